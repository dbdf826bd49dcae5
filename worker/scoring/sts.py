"""Semantic textual similarity: does the model order sentence pairs as people do?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import issparse
from scipy.stats import rankdata
from sklearn.metrics.pairwise import (
    paired_cosine_distances,
    paired_euclidean_distances,
    paired_manhattan_distances,
)
from sklearn.preprocessing import normalize
from torch.nn.functional import normalize as torch_normalize

from app.core.records import StsData
from worker.encoders.base import Similarity
from worker.scoring.base import CellScores, Matrix, Part, Source, Tick

Values = npt.NDArray[np.floating[Any]]


class StsTask:
    """See `worker.scoring.base.Task`."""

    def parts(self, data: StsData) -> tuple[Part, ...]:
        """Both sentences of every pair; neither is query or document."""
        return (
            Part("sentence1", None, tuple(pair.sentence1 for pair in data.pairs)),
            Part("sentence2", None, tuple(pair.sentence2 for pair in data.pairs)),
        )

    def score(self, data: StsData, source: Source, tick: Tick) -> CellScores:  # noqa: ARG002 -- it is one step
        """See `score`."""
        first, second = self.parts(data)
        sentences = (*first.texts, *second.texts)
        return score(
            source.vectors(first.texts, None, sentences),
            source.vectors(second.texts, None, sentences),
            [pair.score for pair in data.pairs],
            source.similarity,
        )


def score(first: Matrix, second: Matrix, gold: Sequence[float], similarity: Similarity = "cosine") -> CellScores:
    """Correlations of gold scores with cosine, Manhattan, Euclidean and the model's own similarity.

    `cosine_spearman` is the main metric. A text without words (lexical models) has the cosine 0 with every other.

    Args:
        first: shape (n, d), the first sentences' vectors.
        second: shape (n, d), the second ones'.
        gold: n scores on any scale; higher is more alike.
        similarity: the model's own, for `pearson` and `spearman`.

    Returns:
        Eight correlations in [-1, 1], higher is better; NaN where one side is constant. For each pair its cosine
        (`similarity`) and its gold score (`gold`).

    Reference:
        Agirre et al. 2012, SemEval-2012 Task 6; MTEB 2.26.24, `AbsTaskSTS`.

    Example:
        >>> first = np.array([[1, 0], [1, 0], [1, 0]], dtype=np.float32)
        >>> second = np.array([[1, 0], [1, 1], [0, 1]], dtype=np.float32)
        >>> round(score(first, second, [5, 3, 0]).metrics["cosine_spearman"], 6)
        1.0
    """
    cosine = _cosine(first, second)
    found = {
        "": _own(first, second, similarity),
        "cosine_": cosine,
        "manhattan_": -paired_manhattan_distances(first, second),
        "euclidean_": -paired_euclidean_distances(first, second),
    }
    scores = np.asarray(gold, dtype=np.float64)
    metrics = {}
    for prefix, values in found.items():
        metrics[f"{prefix}pearson"] = pearson(values, scores)
        metrics[f"{prefix}spearman"] = spearman(values, scores)
    return CellScores(metrics, "pairs", {"similarity": cosine.astype(np.float32), "gold": scores})


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


def _cosine(first: Matrix, second: Matrix) -> Values:
    if issparse(first):
        products: Values = normalize(first).multiply(normalize(second)).sum(axis=1)
        return np.asarray(products).ravel()
    cosine: Values = 1 - paired_cosine_distances(first, second)
    return cosine


def _own(first: Matrix, second: Matrix, similarity: Similarity) -> Values:
    """Shape (n,), as sentence-transformers computes a model's pairwise similarity."""
    if issparse(first):
        return _cosine(first, second)
    a, b = torch.from_numpy(first), torch.from_numpy(second)
    match similarity:
        case "cosine":
            values = (torch_normalize(a, dim=1) * torch_normalize(b, dim=1)).sum(dim=1)
        case "dot":
            values = (a * b).sum(dim=1)
        case "euclidean":
            values = -torch.sqrt(((a - b) ** 2).sum(dim=1))
        case "manhattan":
            values = -(a - b).abs().sum(dim=1)
    array: Values = values.numpy()
    return array
