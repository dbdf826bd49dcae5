"""Could the model keep silent on the queries it fails? Normalised areas under abstention curves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

RATES: Final = np.linspace(0, 1, 11)[:-1]

Values = npt.NDArray[np.float64]


def naucs(scores: npt.NDArray[np.float32], metrics: Mapping[str, Values]) -> dict[str, float]:
    """The nAUC of every metric under three measures of confidence: `nauc_<metric>_<max|std|diff1>`.

    nAUC = (area - flat) / (oracle - flat): the area under the mean metric of the queries kept when the least
    confident 0%, 10% ... 90% are dropped, between that of dropping none and that of dropping the worst.

    Args:
        scores: shape (n, k), each query's scores, best first, -inf where there are no more.
        metrics: values of shape (n,) by metric.

    Returns:
        At most 1, higher is better, 0 for confidence that says nothing; left out where oracle and flat are equal,
        that is, where the metric is the same for all queries (unless rounding parts them, as in MTEB).

    Reference:
        Gisserot-Boukhlef et al. 2024, arXiv 2402.12997; MTEB 2.26.24, `evaluate_abstention`.
    """
    ordered = {measure: _Ordered.by(confidence) for measure, confidence in confidences(scores).items()}
    found = {}
    for name, values in metrics.items():
        oracle = abstention_curve(values, values)
        best, flat = np.trapezoid(oracle, RATES), oracle[0] * (RATES[-1] - RATES[0])
        if best == flat:
            continue
        for measure, confidence in ordered.items():
            area = np.trapezoid(confidence.curve(values), RATES)
            found[f"nauc_{name}_{measure}"] = float((area - flat) / (best - flat))
    return found


def confidences(scores: npt.NDArray[np.float32]) -> dict[str, Values]:
    """Each query's greatest score, the scores' standard deviation, and the lead of the first over the second.

    Args:
        scores: as for `naucs`.

    Returns:
        Shape (n,) each; 0 for a query without documents.
    """
    if not scores.size:
        nothing = np.zeros(len(scores))
        return {"max": nothing, "std": nothing, "diff1": nothing}
    there = np.isfinite(scores)
    values = np.where(there, scores, 0).astype(np.float64)
    count = np.maximum(there.sum(axis=1), 1)
    centred = np.where(there, values - (values.sum(axis=1) / count)[:, None], 0.0)
    lead = values[:, 0] - values[:, 1] if scores.shape[1] > 1 else np.zeros(len(scores))
    return {
        "max": values[:, 0],
        "std": np.sqrt((centred**2).sum(axis=1) / count),
        "diff1": np.where(there.sum(axis=1) > 1, lead, 0.0),
    }


def abstention_curve(confidence: Values, values: Values) -> Values:
    """The mean of the values kept at each rate; of equally confident ones each counts as their mean.

    Args:
        confidence: shape (n,), n at least 1.
        values: shape (n,).

    Returns:
        Shape (10,).

    Example:
        >>> abstention_curve(np.array([0.1, 0.9]), np.array([0.0, 1.0]))[[0, -1]].tolist()
        [0.5, 1.0]
    """
    return _Ordered.by(confidence).curve(values)


@dataclass(frozen=True, slots=True)
class _Ordered:
    """Queries from the least to the most confident, in groups of equal confidence.

    Attributes:
        order: shape (n,), their rows.
        starts: shape (groups,), where each group begins.
        sizes: shape (groups,).
    """

    order: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]

    @classmethod
    def by(cls, confidence: Values) -> "_Ordered":
        """In order of that confidence."""
        order = np.argsort(confidence, kind="stable")
        ordered = confidence[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        return cls(order, starts, np.diff(np.r_[starts, len(ordered)]))

    def curve(self, values: Values) -> Values:
        """See `abstention_curve`."""
        shared = np.repeat(np.add.reduceat(values[self.order], self.starts) / self.sizes, self.sizes)
        dropped = [min(round(rate * len(shared)), len(shared) - 1) for rate in RATES]
        return np.array([shared[first:].mean() for first in dropped])
