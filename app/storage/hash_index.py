"""Sorted text hashes: which are different, and where one stands. As numbers, many times quicker than bytewise."""

import numpy as np
import numpy.typing as npt

from app.core.fingerprints import HASH_DTYPE

Hashes = npt.NDArray[np.void]
Positions = npt.NDArray[np.int64]


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
    heads, tails = _halves(hashes)
    order = np.argsort(heads, kind="stable")
    same_head = heads[order][1:] == heads[order][:-1]
    if (same_head & (tails[order][1:] != tails[order][:-1])).any():
        order = np.lexsort((tails, heads))
        same_head = heads[order][1:] == heads[order][:-1]
    same = same_head & (tails[order][1:] == tails[order][:-1])
    first = order[np.concatenate([np.ones(min(1, len(order)), np.bool_), ~same])]
    return hashes[first], first


class HashIndex:
    """Where each hash stands in an array.

    Args:
        hashes: shape (n,), in any order; of a repeated one the first counts.
    """

    def __init__(self, hashes: Hashes) -> None:
        known, self._first = unique(hashes)
        self._heads, self._tails = _halves(known)

    def find(self, hashes: Hashes) -> Positions:
        """The position of each hash, or -1.

        Args:
            hashes: shape (n,), in any order; sorted ones are found quickest.

        Returns:
            Shape (n,), in the order of `hashes`.
        """
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


def _halves(hashes: Hashes) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The first and the second eight bytes as numbers that order as the bytes do."""
    numbers = np.ascontiguousarray(hashes).view(">u8").reshape(-1, HASH_DTYPE.itemsize // 8)
    return numbers[:, 0].astype(np.uint64), numbers[:, 1].astype(np.uint64)
