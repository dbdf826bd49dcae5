"""Which texts are encoded together: batches of similar length under a budget of tokens, longest first."""

from collections.abc import Iterator, Sequence

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


def token_batches(lengths: npt.ArrayLike, budget: int) -> Iterator[IntArray]:
    """Positions in batches whose padded size, rows times longest row, stays within the budget.

    Longest first: what does not fit into memory shows at once. A text beyond the budget is alone.

    Args:
        lengths: shape (n,), tokens a text.
        budget: tokens a batch, at least 1.

    Yields:
        Each position once.

    Example:
        >>> [batch.tolist() for batch in token_batches([3, 8, 4, 4], 8)]
        [[1], [2, 3], [0]]
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = longest_first(sizes)
    start = 0
    while start < len(order):
        rows = max(1, budget // max(1, int(sizes[order[start]])))
        yield order[start : start + rows]
        start += rows


def slices(order: IntArray, size: int) -> Iterator[IntArray]:
    """An order cut into pieces of at most `size` positions."""
    for start in range(0, len(order), size):
        yield order[start : start + size]


def distinct(hashes: npt.NDArray[np.void], texts: Sequence[str]) -> tuple[npt.NDArray[np.void], list[str]]:
    """Every text once.

    Args:
        hashes: shape (n,), the texts' hashes.
        texts: n texts.

    Returns:
        The distinct hashes, sorted, and their texts.
    """
    kept, first = np.unique(hashes, return_index=True)
    return kept, [texts[position] for position in first]
