"""Metrics that are no means, computed again on every resample: Spearman's correlation and average precision."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from app.core.aggregation import Floats, Integers
from app.core.resampling import RESAMPLES, SEED, resample_counts

_Weighted = Callable[[Floats], Floats]
"""Counts of shape (resamples, examples) -> a value a resample."""


def resampled_spearman(
    predicted: ArrayLike, gold: ArrayLike, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Floats:
    """Spearman's correlation with the gold scores, for every model on every resample of the pairs.

    Args:
        predicted: shape (pairs, models) or (pairs,), finite: similarities, on each model's own scale.
        gold: shape (pairs,), finite.
        resamples: at least 1.
        seed: the same one draws the same pairs, whatever the models are.

    Returns:
        Shape (resamples, models), -1 to 1; NaN where all pairs drawn are equal in one of the two.

    Raises:
        ValueError: the shapes do not fit, or a value is not finite.
    """
    table, truth = _checked(predicted, gold)
    own = _Ranks(truth)
    models = [_Ranks(column) for column in table.T]

    def correlations(model: _Ranks) -> _Weighted:
        return lambda counts: _pearson(model.of(counts), own.of(counts), counts)

    return _on_resamples(len(truth), [correlations(model) for model in models], resamples, seed)


def resampled_average_precision(
    scores: ArrayLike, labels: ArrayLike, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Floats:
    """Average precision, for every model on every resample of the pairs.

    AP = sum over thresholds of (recall - the recall before) * precision; equal scores share a threshold.

    Args:
        scores: shape (pairs, models) or (pairs,), finite; higher means more alike.
        labels: shape (pairs,), 1 for a pair that belongs together, else 0.
        resamples: at least 1.
        seed: the same one draws the same pairs, whatever the models are.

    Returns:
        Shape (resamples, models), 0 to 1; NaN where no positive pair was drawn.

    Raises:
        ValueError: the shapes do not fit, a value is not finite, or a label is neither 0 nor 1.

    Reference:
        The same on the whole as `sklearn.metrics.average_precision_score`.
    """
    table, truth = _checked(scores, labels)
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("a label is neither 0 nor 1")

    def precision(column: Floats) -> _Weighted:
        order, _, last = _groups(-column)
        ends = np.unique(last)
        positive = truth[order]

        def of(counts: Floats) -> Floats:
            drawn = counts[:, order]
            found = np.cumsum(drawn * positive, axis=1)[:, ends]
            seen = np.cumsum(drawn, axis=1)[:, ends]
            shares = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
            gained = np.diff(found, axis=1, prepend=0)
            return _quotient((gained * shares).sum(axis=1), found[:, -1])

        return of

    return _on_resamples(len(truth), [precision(column) for column in table.T], resamples, seed)


class _Ranks:
    """The ranks of some values on any resample; equal ones share the mean of theirs."""

    def __init__(self, values: Floats) -> None:
        self._order, self._first, self._last = _groups(values)
        self._place = np.argsort(self._order)

    def of(self, counts: Floats) -> Floats:
        """Shape (resamples, values), in the order of the values; of those drawn several times the mean rank."""
        upto = np.zeros((len(counts), counts.shape[1] + 1))
        np.cumsum(counts[:, self._order], axis=1, out=upto[:, 1:])
        ranks = (upto[:, self._first] + upto[:, self._last + 1] + 1) / 2
        found: Floats = ranks[:, self._place]
        return found


def _groups(values: Floats) -> tuple[Integers, Integers, Integers]:
    """The order of the values, and of each place in it the first and the last place with the same value."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    places = np.arange(len(values))
    begins = np.r_[True, ordered[1:] != ordered[:-1]]
    first = np.maximum.accumulate(np.where(begins, places, 0))
    ends = np.r_[begins[1:], True]
    last = np.minimum.accumulate(np.where(ends, places, len(values))[::-1])[::-1]
    return order, first, last


def _pearson(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Row by row, weighted."""
    total = weights.sum(axis=1, keepdims=True)
    x = x - (weights * x).sum(axis=1, keepdims=True) / total
    y = y - (weights * y).sum(axis=1, keepdims=True) / total
    size = np.sqrt((weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1))
    return _quotient((weights * x * y).sum(axis=1), size)


def _quotient(above: Floats, below: Floats) -> Floats:
    """NaN where there is nothing to divide by."""
    found: Floats = np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
    return found


def _on_resamples(examples: int, models: list[_Weighted], resamples: int, seed: int) -> Floats:
    drawn = resample_counts(examples, resamples=resamples, seed=seed)
    return np.concatenate([np.column_stack([model(counts) for model in models]) for counts in drawn])


def _checked(values: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    table, gold = np.asarray(values, np.float64), np.asarray(truth, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or gold.shape != (len(table),) or not table.size:
        raise ValueError(f"values of shape {table.shape} for gold of shape {gold.shape}")
    if not (np.isfinite(table).all() and np.isfinite(gold).all()):
        raise ValueError("a value is not finite")
    return table, gold
