"""How far two orders of the same things agree."""

import math

import numpy as np
from numpy.typing import ArrayLike

from app.core.aggregation import Floats


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rank correlation: Pearson's correlation of the ranks, ties sharing the mean of theirs.

    Args:
        x: shape (n,), finite.
        y: shape (n,), finite.

    Returns:
        -1 (the order is reversed) to 1 (it is the same); NaN when x or y has fewer than two different values.

    Raises:
        ValueError: the shapes differ, or a value is not finite.

    Reference:
        Spearman 1904; the same as `scipy.stats.spearmanr`.

    Example:
        >>> spearman([1, 2, 3, 4], [1, 2, 4, 3])
        0.8
    """
    # A row of signs sums to twice the rank less n + 1, and these sums have the mean 0.
    return _cosine(*(signs.sum(axis=1) for signs in _signs(x, y)))


def kendall(x: ArrayLike, y: ArrayLike) -> float:
    """Kendall's tau-b: pairs in the same order less those in the other one, over the pairs, corrected for ties.

    tau_b = sum(sign(x_i - x_j) sign(y_i - y_j)) / sqrt(sum(sign(x_i - x_j)^2) sum(sign(y_i - y_j)^2))

    Args:
        x: shape (n,), finite.
        y: shape (n,), finite.

    Returns:
        -1 (the order is reversed) to 1 (it is the same); NaN when x or y has fewer than two different values.

    Raises:
        ValueError: the shapes differ, or a value is not finite.

    Reference:
        Kendall 1945; the same as `scipy.stats.kendalltau`.

    Example:
        >>> round(kendall([1, 2, 3, 4], [1, 2, 4, 3]), 4)
        0.6667
    """
    return _cosine(*(signs.ravel() for signs in _signs(x, y)))


def _signs(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Of every difference between two values; each of shape (n, n)."""
    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"x of shape {first.shape} and y of shape {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a value is not finite")
    return np.sign(first[:, None] - first), np.sign(second[:, None] - second)


def _cosine(x: Floats, y: Floats) -> float:
    size = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / size if size else math.nan
