"""What each example contributes to a metric that is no mean: the score plus the example's influence on it.

Contributions have the score as their mean, and their mean over a resample is the score of the resample to first order
(the infinitesimal jackknife; Efron 1982, chapter 6). So fifty models can be drawn together by one matrix product, and
tests that want a value an example have one. Two models alone are compared by `app.core.resampled_metrics` exactly.
"""

import numpy as np
from numpy.typing import ArrayLike

from app.core.aggregation import Floats

_BLOCK_VALUES = 4_000_000


def spearman_contributions(predicted: ArrayLike, gold: ArrayLike) -> Floats:
    """Of each pair to Spearman's correlation.

    Args:
        predicted: shape (pairs,), finite, not all equal.
        gold: shape (pairs,), likewise.

    Returns:
        Shape (pairs,), their mean is the correlation; NaN where one side is constant.

    Example:
        >>> spearman_contributions([1, 2, 3, 5], [1, 2, 4, 3]).mean().round(3).item()
        0.8
    """
    x, y = _distribution(predicted), _distribution(gold)
    r, s = _standardised(x), _standardised(y)
    rho = float((r * s).mean())
    direct = r * s - rho / 2 * (r * r + s * s)
    through_ranks = _above(x, (s - rho * r) / x.std()) + _above(y, (r - rho * s) / y.std())
    return rho + direct + through_ranks


def average_precision_contributions(scores: ArrayLike, labels: ArrayLike) -> Floats:
    """Of each pair to average precision; equal scores share a threshold.

    Args:
        scores: shape (pairs,), finite; higher means more alike.
        labels: shape (pairs,), 1 for a pair that belongs together, else 0; at least one is 1.

    Returns:
        Shape (pairs,), their mean is the average precision.

    Example:
        >>> average_precision_contributions([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0]).mean().round(4).item()
        0.8333
    """
    values, positive = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    order = np.argsort(-values, kind="stable")
    ordered, hit = values[order], positive[order]
    group = np.cumsum(np.r_[0, ordered[1:] != ordered[:-1]])
    last = np.searchsorted(group, group, side="right") - 1
    seen = (last + 1).astype(np.float64)
    precision = np.cumsum(hit)[last] / seen
    positives = hit.sum()
    average = float((hit * precision).sum() / positives)
    # A pair counts at its own threshold, if it is positive, and in the precision of every one at or below its score.
    shares = np.bincount(group, hit / seen)
    misses = np.bincount(group, hit * precision / seen)
    below, lost = (np.cumsum(part[::-1])[::-1][group] for part in (shares, misses))
    influence = (hit * (precision - average) + hit * below - lost) * (len(values) / positives)
    found = np.empty(len(values))
    found[order] = average + influence
    return found


def kendall_contributions(predicted: ArrayLike, gold: ArrayLike) -> Floats:
    """Of each text to Kendall's tau-b.

    Args:
        predicted: shape (texts,), finite, not all equal.
        gold: shape (texts,), likewise.

    Returns:
        Shape (texts,), their mean is tau-b; NaN where one side is constant.

    Example:
        >>> kendall_contributions([1, 2, 3, 5], [1, 2, 4, 3]).mean().round(3).item()
        0.667
    """
    x, y = np.asarray(predicted, np.float64), np.asarray(gold, np.float64)
    concordant, untied_x, untied_y = np.zeros((3, len(x)))
    rows = max(1, _BLOCK_VALUES // len(x))
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        sign_x, sign_y = np.sign(x[part, None] - x), np.sign(y[part, None] - y)
        concordant[part] = (sign_x * sign_y).sum(axis=1)
        untied_x[part], untied_y[part] = np.abs(sign_x).sum(axis=1), np.abs(sign_y).sum(axis=1)
    total, all_x, all_y = concordant.sum(), untied_x.sum(), untied_y.sum()
    if not (all_x and all_y):
        return np.full(len(x), np.nan)
    tau = total / np.sqrt(all_x * all_y)
    # tau = S / sqrt(X Y); the parts of a text in S, X and Y count twice, once for each end of a couple.
    influence = 2 * len(x) * (concordant / np.sqrt(all_x * all_y) - tau / 2 * (untied_x / all_x + untied_y / all_y))
    found: Floats = tau + influence
    return found


def _distribution(values: ArrayLike) -> Floats:
    """The share of values below each, equal ones by half."""
    table = np.asarray(values, np.float64)
    ordered = np.sort(table)
    below = np.searchsorted(ordered, table, side="left") + np.searchsorted(ordered, table, side="right")
    found: Floats = below / (2 * len(table))
    return found


def _standardised(values: Floats) -> Floats:
    spread = values.std()
    found: Floats = (values - values.mean()) / spread if spread else np.full(len(values), np.nan)
    return found


def _above(places: Floats, weights: Floats) -> Floats:
    """For each value the mean over all of the weights of those above it, equal ones by half."""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    sums = np.r_[0.0, np.cumsum(weights[order])]
    to_first, to_last = (sums[np.searchsorted(ordered, places, side=side)] for side in ("left", "right"))
    found: Floats = (sums[-1] - (to_first + to_last) / 2) / len(places)
    return found
