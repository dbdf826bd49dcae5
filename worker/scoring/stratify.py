"""Samples that keep the shares of labels or of values, draw for draw those that MTEB takes."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from worker.encoders.base import IntArray

SEED: Final = 42
BINS: Final = 10


def balanced_rows(labels: Sequence[Sequence[int]], size: int) -> IntArray:
    """About `size` rows in which labels, and pairs of labels, are as frequent as in all.

    Iterative stratification: the rows of one pair after another go each to that of two folds, sample and rest, which
    still lacks the pair most; among equals to a random one. Rows without labels go to a random fold with room.

    Args:
        labels: of n rows the labels as numbers from 0, ascending; a row may have none.
        size: how many rows to aim at, in [1, n).

    Returns:
        Rows in ascending order; their number can differ from `size` by a few.

    Reference:
        Sechidis et al. 2011, On the stratification of multi-label data; Szymański and Kajdanowicz 2017, PMLR 74:22-35.
        MTEB 2.26.24, `_multilabel_subsampling`.

    Example:
        >>> len(balanced_rows([[0], [0, 1], [1], [0]] * 5, 10))
        10
    """
    rng = np.random.RandomState(SEED)
    pairs = _Pairs(labels)
    shares = np.array([size / len(labels), 1 - size / len(labels)])
    wanted = len(labels) * shares
    wanted_of_pair = pairs.support[:, None] * shares
    fold = np.full(len(labels), -1)
    while (pair := pairs.most_wanted()) is not None:
        for row in reversed(pairs.rows[pair]):
            if fold[row] < 0:
                lacks = wanted_of_pair[pair]
                fold[row] = rng.choice(2, 1)[0] if lacks[0] == lacks[1] else np.argmax(lacks)
                wanted_of_pair[pairs.of_row[row], fold[row]] -= 1
                wanted[fold[row]] -= 1
                pairs.support[pairs.of_row[row]] -= 1
    for row in np.flatnonzero(fold < 0)[::-1]:
        fold[row] = rng.choice(np.flatnonzero(wanted > 0), 1)[0]
        wanted[fold[row]] -= 1
    return np.flatnonzero(fold == 0)


class _Pairs:
    """The pairs of labels that occur, a label with itself among them, in the order in which they are met.

    Attributes:
        rows: of each pair its rows, ascending.
        of_row: of each row its pairs.
        support: of each pair how many of its rows are still to be shared out.
    """

    def __init__(self, labels: Sequence[Sequence[int]]) -> None:
        numbers: dict[tuple[int, int], int] = {}
        self.rows: list[list[int]] = []
        self.of_row: list[list[int]] = []
        for row, own in enumerate(labels):
            pairs = [(first, second) for place, first in enumerate(own) for second in own[place:]]
            self.of_row.append([numbers.setdefault(pair, len(numbers)) for pair in pairs])
            for number in self.of_row[-1]:
                if number == len(self.rows):
                    self.rows.append([])
                self.rows[number].append(row)
        self.support: IntArray = np.array([len(rows) for rows in self.rows], np.int64)
        self._mixed = np.array([first != second for first, second in numbers], bool)
        self._first = 0

    def most_wanted(self) -> int | None:
        """The first pair with rows left, or, where that is a label with itself, the first rarer pair of two labels."""
        while self._first < len(self.support) and not self.support[self._first]:
            self._first += 1
        if self._first == len(self.support):
            return None
        if self._mixed[self._first]:
            return self._first
        left = self.support[self._first :]
        rarer = self._mixed[self._first :] & (left > 0) & (left < left[0])
        return self._first + int(np.argmax(rarer))  # 0 where there is none


def quantile_bins(values: npt.NDArray[np.float64]) -> IntArray:
    """For each value its bin of 10, cut at the deciles; an edge belongs to the bin below it, equal edges count once.

    Args:
        values: shape (n,), n at least 1.

    Returns:
        Shape (n,), from 0; some bins may be empty where many values are equal.

    Reference:
        pandas 3.1, `qcut(values, 10, labels=False, duplicates="drop")`.

    Example:
        >>> quantile_bins(np.array([1.0, 1, 1, 5, 6])).tolist()
        [0, 0, 0, 2, 4]
    """
    steps = np.arange(BINS + 1)
    shares = np.linspace(0, 1, BINS + 1)
    shares = np.where(shares * BINS == steps, shares, np.nextafter(shares, 1))  # rounded up, as pandas does
    edges = np.unique(np.quantile(values, shares))
    bins: IntArray = np.maximum(np.searchsorted(edges, values) - 1, 0)
    return bins


def drawn_by_bin(bins: IntArray, size: int, seed: int) -> IntArray:
    """`size` random rows, from each bin as many as its share.

    Args:
        bins: shape (n,), see `quantile_bins`.
        size: in [1, n).
        seed: of a fresh generator.

    Returns:
        Shape (size,), in random order. MTEB raises where a bin has one row only or n - size is below the number of
        bins; here the same rule goes on.

    Reference:
        datasets 5.2, `Dataset.train_test_split(test_size=size, seed=seed, stratify_by_column=bins)["test"]`.
    """
    rng = np.random.default_rng(seed)
    _, codes, counts = np.unique(bins, return_inverse=True, return_counts=True)
    left_out = _shared_out(len(bins) - size, counts, rng)
    drawn = []
    for rows, skipped in zip(np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1]), left_out, strict=True):
        drawn.append(rng.permutation(rows)[skipped:])
    rng.permutation(len(bins) - size)  # the order of the rows that are left out
    return rng.permutation(np.concatenate(drawn))


def _shared_out(total: int, counts: IntArray, rng: np.random.Generator) -> IntArray:
    """How many of `total` each count gets: its share rounded down, one more for the greatest remainders.

    Among equal remainders chance decides.
    """
    exact = total * counts / counts.sum()
    shares = np.floor(exact)
    rest = int(total - shares.sum())
    for remainder in np.unique(exact - shares)[::-1]:
        if not rest:
            break
        places = np.flatnonzero(exact - shares == remainder)
        chosen = rng.choice(places, size=min(len(places), rest), replace=False)
        shares[chosen] += 1
        rest -= len(chosen)
    whole: IntArray = shares.astype(np.int64)
    return whole
