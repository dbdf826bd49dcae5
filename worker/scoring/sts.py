"""Semantic textual similarity: does the model order sentence pairs as people do?"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from app.core.records import StsData
from worker.encoders.base import Similarity
from worker.scoring.base import CellScores, Part, Source, Tick
from worker.scoring.similarity import Pairs, compare, cosine, euclidean, gather_pairs, manhattan, own

_MAIN: Final = "cosine_spearman"


class StsTask:
    """See `worker.scoring.base.Task`."""

    def parts(self, data: StsData) -> tuple[Part, ...]:
        """Both sentences of every pair; neither is query or document."""
        return (
            Part("sentence1", None, tuple(pair.sentence1 for pair in data.pairs)),
            Part("sentence2", None, tuple(pair.sentence2 for pair in data.pairs)),
        )

    def score(self, data: StsData, source: Source, tick: Tick) -> CellScores:
        """See `score`."""
        first, second = self.parts(data)
        pairs = gather_pairs(source, first.texts, second.texts)
        return score(pairs, [pair.score for pair in data.pairs], source.similarity, tick)


def score(pairs: Pairs, gold: Sequence[float], similarity: Similarity, tick: Tick) -> CellScores:
    """Correlations of gold scores with cosine, Manhattan, Euclidean and the model's own similarity.

    `cosine_spearman` is the main metric.

    Args:
        pairs: n of them.
        gold: n scores on any scale; higher is more alike.
        similarity: the model's own, for `pearson` and `spearman`.
        tick: see `Tick`.

    Returns:
        Eight correlations in [-1, 1], higher is better; those where one side is constant are left out, but for the
        main one, which is NaN. For each pair its cosine (`similarity`) and its gold score (`gold`).

    Reference:
        Agirre et al. 2012, SemEval-2012 Task 6; MTEB 2.26.24, `AbsTaskSTS`.

    Example:
        >>> vectors = np.array([[1, 0], [1, 1], [0, 1]], dtype=np.float32)
        >>> pairs = Pairs(vectors, np.array([0, 0, 0]), np.array([0, 1, 2]))
        >>> round(score(pairs, [5, 3, 0], "cosine", lambda: None).metrics["cosine_spearman"], 6)
        1.0
    """
    measures = {"": own(similarity), "cosine_": cosine, "manhattan_": manhattan, "euclidean_": euclidean}
    found = compare(pairs, measures, tick)
    scores = np.asarray(gold, dtype=np.float64)
    metrics = {}
    for prefix, values in found.items():
        metrics[f"{prefix}pearson"] = pearson(values, scores)
        metrics[f"{prefix}spearman"] = spearman(values, scores)
    defined = {name: value for name, value in metrics.items() if name == _MAIN or not math.isnan(value)}
    return CellScores(defined, "pairs", {"similarity": found["cosine_"].astype(np.float32), "gold": scores})


def pearson(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """The linear correlation of two samples: cov(x, y) / (sd(x) * sd(y)).

    Args:
        x: shape (n,).
        y: shape (n,).

    Returns:
        In [-1, 1]; NaN where one of them is constant.

    Example:
        >>> round(pearson([1, 2, 3], [2, 4, 6]), 6)
        1.0
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if not len(first) or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    first, second = first - first.mean(), second - second.mean()
    correlation = np.dot(first / np.linalg.norm(first), second / np.linalg.norm(second))
    return float(np.clip(correlation, -1.0, 1.0))


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """The correlation of two samples' ranks; equal values share the mean of their ranks.

    Args:
        x: shape (n,).
        y: shape (n,).

    Returns:
        In [-1, 1]; NaN where one of them is constant.

    Example:
        >>> round(spearman([1, 2, 30], [2, 4, 5]), 6)
        1.0
    """
    return pearson(rankdata(x), rankdata(y))
