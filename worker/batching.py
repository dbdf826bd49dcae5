"""Which texts are encoded together: batches of similar length under a budget of tokens, longest first."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def longest_first(lengths: npt.ArrayLike) -> IntArray:
    """The positions by falling length; equal ones keep their order.

    Args:
        lengths: shape (n,).

    Example:
        >>> longest_first([2, 9, 2, 5]).tolist()
        [1, 3, 0, 2]
    """
    return np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")


def token_batches(lengths: npt.ArrayLike, budget: int, start: int) -> Iterator[IntArray]:
    """Positions in batches whose padded size, rows times longest row, stays within the budget.

    Longest first: what does not fit into memory shows at once. A text beyond the budget is alone. A batch ends
    sooner where its padding would outweigh the start of another one.

    Args:
        lengths: shape (n,), tokens a text.
        budget: tokens a batch, at least 1.
        start: what a batch costs before its first token, in tokens.

    Yields:
        Each position once.

    Example:
        >>> [batch.tolist() for batch in token_batches([3, 8, 4, 4, 1], 8, 2)]
        [[1], [2, 3], [0, 4]]
        >>> [batch.tolist() for batch in token_batches([3, 8, 4, 4, 1], 100, 5)]
        [[1, 2], [3, 0, 4]]
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = longest_first(sizes)
    first = 0
    while first < len(order):
        longest = max(1, int(sizes[order[first]]))
        rows = order[first : first + max(1, budget // longest)]
        padding = np.cumsum(longest - sizes[rows])
        rows = rows[: max(1, int(np.searchsorted(padding, start, side="right")))]
        yield rows
        first += len(rows)


def by_size(order: IntArray, sizes: IntArray, most: int) -> Iterator[IntArray]:
    """An order cut into pieces of about one size.

    Args:
        order: positions.
        sizes: of every position.
        most: the sizes of a piece add up to at most this; a greater position is alone.

    Example:
        >>> [piece.tolist() for piece in by_size(np.arange(4), np.array([3, 1, 9, 2]), 5)]
        [[0, 1], [2], [3]]
    """
    ends = np.cumsum(sizes[order])
    first = 0
    while first < len(order):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield order[first:last]
        first = last


def slices(order: IntArray, size: int) -> Iterator[IntArray]:
    """An order cut into pieces of at most `size` positions."""
    for start in range(0, len(order), size):
        yield order[start : start + size]
