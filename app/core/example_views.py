"""What models did on examples, put together for the eye: thresholds, residuals of ranks, confusions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.core.aggregation import Floats, Integers


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdCurve:
    """What calling every pair alike from some similarity on comes to.

    Attributes:
        thresholds: shape (t,), falling: the different similarities.
        precision: shape (t,), of the pairs at or above it the share that match.
        recall: shape (t,), of the pairs that match the share at or above it.
        f1: shape (t,), their harmonic mean.
    """

    thresholds: Floats
    precision: Floats
    recall: Floats
    f1: Floats

    @property
    def best(self) -> int:
        """Where F1 is highest; among equals the highest threshold."""
        return int(self.f1.argmax())


def threshold_curve(similarity: ArrayLike, labels: ArrayLike) -> ThresholdCurve:
    """Precision, recall and F1 at every threshold.

    Args:
        similarity: shape (n,), finite; higher means more alike.
        labels: shape (n,), 1 for a pair that matches, else 0; at least one 1.

    Raises:
        ValueError: no pair matches.

    Reference:
        Without its last point the same as `sklearn.metrics.precision_recall_curve`, in reverse order.

    Example:
        >>> found = threshold_curve([0.9, 0.8, 0.8, 0.1], [1, 1, 0, 0])
        >>> found.thresholds.tolist(), found.precision.round(3).tolist(), found.recall.tolist()
        ([0.9, 0.8, 0.1], [1.0, 0.667, 0.5], [0.5, 1.0, 1.0])
    """
    values, matches = np.asarray(similarity, np.float64), np.asarray(labels, np.float64)
    if not matches.any():
        raise ValueError("no pair matches")
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])
    found = np.cumsum(matches[order])[ends]
    precision, recall = found / (ends + 1), found / found[-1]
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros(len(total)), where=total > 0)
    return ThresholdCurve(ordered[ends], precision, recall, f1)


def mean_ranks(values: ArrayLike) -> Floats:
    """Ranks from 1, rising; equal ones share the mean of theirs.

    Example:
        >>> mean_ranks([5, 1, 5]).tolist()
        [2.5, 1.0, 2.5]
    """
    _, group, sizes = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return ranks


def confusion(true: ArrayLike, predicted: ArrayLike, labels: int) -> Integers:
    """How often each label was predicted for each label, over all experiments.

    Args:
        true: shape (n,), numbers of labels below `labels`; -1 for an example without one, which does not count.
        predicted: shape (n, experiments), likewise.
        labels: how many there are.

    Returns:
        Shape (labels, labels): a row for each true label.

    Example:
        >>> confusion([0, 1], [[0, 0], [0, 1]], 2).tolist()
        [[2, 0], [1, 1]]
    """
    guesses = np.asarray(predicted, np.int64)
    truth = np.broadcast_to(np.asarray(true, np.int64)[:, None], guesses.shape)
    known = (truth >= 0) & (guesses >= 0) & (truth < labels) & (guesses < labels)
    counts = np.bincount(truth[known] * labels + guesses[known], minlength=labels * labels)
    return counts.reshape(labels, labels)
