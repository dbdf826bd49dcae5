"""Bitext mining: is a sentence's translation its nearest neighbour in the other language?"""

from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import issparse
from sklearn.preprocessing import normalize

from app.core.records import BitextMiningData
from worker.encoders.base import FloatArray, IntArray, Similarity
from worker.scoring.base import CellScores, Matrix, Part, Source, Tick
from worker.scoring.similarity import Pairs, gather_pairs
from worker.search import similarities

_BLOCK_QUERIES: Final = 1_024
_BLOCK_HAYSTACK: Final = 4_096


class BitextMiningTask:
    """See `worker.scoring.base.Task`."""

    def parts(self, data: BitextMiningData) -> tuple[Part, ...]:
        """Both sentences of every pair; neither is query or document, as in MTEB."""
        return (
            Part("sentence1", None, tuple(pair.sentence1 for pair in data.pairs)),
            Part("sentence2", None, tuple(pair.sentence2 for pair in data.pairs)),
        )

    def score(self, data: BitextMiningData, source: Source, tick: Tick) -> CellScores:
        """See `score`."""
        first, second = self.parts(data)
        return score(gather_pairs(source, first.texts, second.texts), source.similarity, tick)


def score(pairs: Pairs, similarity: Similarity, tick: Tick) -> CellScores:
    """Every first sentence finds the most similar of all second ones; right is only its own.

    `f1` is the main metric. Every place among the second sentences is a class of its own with one example, so the
    weighted means over classes are plain means: with c(j) for how many first sentences find place j, a sentence
    that finds its own j adds 1 / c(j) to precision, 1 to recall and 2 / (c(j) + 1) to F1, any other adds 0.

    Args:
        pairs: n translations.
        similarity: the model's own, which decides what is near; the cosine for sparse vectors.
        tick: see `Tick`.

    Returns:
        `precision`, `recall`, `f1`, `accuracy` in [0, 1], higher is better. For each first sentence the place of its
        `neighbour` among the second ones, how similar the two are (`score`), and whether it is `correct`. Among
        equally near ones the first counts, so the second of two equal sentences is never found.

    Reference:
        Artetxe and Schwenk 2019; MTEB 2.26.24, `AbsTaskBitextMining`.

    Example:
        >>> vectors = np.array([[1, 0], [0, 1], [1, 1], [3, 1], [1, 9]], dtype=np.float32)
        >>> found = score(Pairs(vectors, np.array([0, 1, 2]), np.array([3, 4, 0])), "cosine", lambda: None)
        >>> found.arrays["neighbour"].tolist(), round(found.metrics["f1"], 4)
        ([2, 1, 0], 0.3333)
    """
    count = len(pairs.second)
    neighbour, alike = neighbours(pairs, similarity, tick)
    correct = neighbour == np.arange(count)
    found = np.bincount(neighbour, minlength=count)[neighbour[correct]]
    metrics = {
        "precision": float((1 / found).sum() / count),
        "recall": float(correct.mean()),
        "f1": float((2 / (found + 1)).sum() / count),
        "accuracy": float(correct.mean()),
    }
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "neighbour": neighbour.astype(np.int32),
        "score": alike,
        "correct": correct,
    }
    return CellScores(metrics, "sentences", arrays)


def neighbours(pairs: Pairs, similarity: Similarity, tick: Tick) -> tuple[IntArray, FloatArray]:
    """For each first text the place of the nearest second one, and how similar they are; shape (n,) each.

    Equal texts are compared once, so that rounding cannot part them; of equally near ones the first counts.
    """
    queries, back = np.unique(pairs.first, return_inverse=True)
    _, places = np.unique(pairs.second, return_index=True)
    places = np.sort(places)
    best = np.full(len(queries), -np.inf, np.float32)
    nearest = np.zeros(len(queries), np.int64)
    for left in range(0, len(places), _BLOCK_HAYSTACK):
        block = places[left : left + _BLOCK_HAYSTACK]
        haystack = pairs.vectors[pairs.second[block]]
        for start in range(0, len(queries), _BLOCK_QUERIES):
            tick()
            rows = slice(start, start + _BLOCK_QUERIES)
            alike = _all_pairs(pairs.vectors[queries[rows]], haystack, similarity)
            column = alike.argmax(axis=1)
            value = alike[np.arange(len(alike)), column]
            better = value > best[rows]
            best[rows][better], nearest[rows][better] = value[better], block[column[better]]
    return nearest[back], best[back]


def _all_pairs(queries: Matrix, haystack: Matrix, similarity: Similarity) -> FloatArray:
    """Shape (queries, haystack)."""
    if issparse(queries):
        products: FloatArray = (normalize(queries) @ normalize(haystack).T).toarray().astype(np.float32)
        return products
    found: FloatArray = similarities(torch.from_numpy(queries), torch.from_numpy(haystack), similarity).numpy()
    return found
