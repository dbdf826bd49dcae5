"""Sorted text hashes: which are different, and where one stands. As numbers, many times quicker than bytewise."""

import numpy as np
import numpy.typing as npt

from app.core.fingerprints import HASH_DTYPE

Hashes = npt.NDArray[np.void]
Positions = npt.NDArray[np.int64]
_Numbers = npt.NDArray[np.uint64]

_FOUND_AT_ONCE = 65_536


def unique(hashes: Hashes) -> tuple[Hashes, Positions]:
    """Every hash once.

    Args:
        hashes: shape (n,), in any order.

    Returns:
        The different hashes, ascending bytewise, and the first position of each; shape (m,) each.

    Example:
        >>> hashes = np.array([b"b" * 16, b"a" * 16, b"b" * 16], HASH_DTYPE)
        >>> unique(hashes)[1].tolist()
        [1, 0]
    """
    first = _firsts(*_halves(hashes))
    return hashes[first], first


class HashIndex:
    """Where each hash stands in an array.

    Args:
        hashes: shape (n,), in any order; of a repeated one the first counts.
    """

    def __init__(self, hashes: Hashes) -> None:
        heads, tails = _halves(hashes)
        self._first = _firsts(heads, tails)
        self._heads, self._tails = heads[self._first], tails[self._first]

    def find(self, hashes: Hashes) -> Positions:
        """The position of each hash, or -1.

        Args:
            hashes: shape (n,), in any order; sorted ones are found quickest.

        Returns:
            Shape (n,), in the order of `hashes`.
        """
        found = np.empty(len(hashes), np.int64)
        for start in range(0, len(hashes), _FOUND_AT_ONCE):
            found[start : start + _FOUND_AT_ONCE] = self._find(hashes[start : start + _FOUND_AT_ONCE])
        return found

    def _find(self, hashes: Hashes) -> Positions:
        heads, tails = _halves(hashes)
        place = np.searchsorted(self._heads, heads)
        found = np.full(len(hashes), -1, np.int64)
        rows = np.arange(len(hashes))
        while len(rows):  # a single turn, unless two known hashes share their first half
            rows = rows[place[rows] < len(self._heads)]
            rows = rows[self._heads[place[rows]] == heads[rows]]
            same = self._tails[place[rows]] == tails[rows]
            found[rows[same]] = self._first[place[rows[same]]]
            rows = rows[~same]
            place[rows] += 1
        return found


def _firsts(heads: _Numbers, tails: _Numbers) -> Positions:
    """The first position of each different hash, ascending by hash."""
    order = np.argsort(heads, kind="stable")
    same_head, same_tail = _as_before(heads, order), _as_before(tails, order)
    if (same_head & ~same_tail).any():
        order = np.lexsort((tails, heads))
        same_head, same_tail = _as_before(heads, order), _as_before(tails, order)
    firsts: Positions = order[~(same_head & same_tail)]
    return firsts


def _as_before(numbers: _Numbers, order: Positions) -> npt.NDArray[np.bool_]:
    """Whether each number in that order is the one before it."""
    ordered = numbers[order]
    same = np.zeros(len(order), np.bool_)
    np.equal(ordered[1:], ordered[:-1], out=same[1:])
    return same


def _halves(hashes: Hashes) -> tuple[_Numbers, _Numbers]:
    """The first and the second eight bytes as numbers that order as the bytes do."""
    numbers = np.ascontiguousarray(hashes).view(">u8").reshape(-1, HASH_DTYPE.itemsize // 8)
    return numbers[:, 0].astype(np.uint64), numbers[:, 1].astype(np.uint64)
