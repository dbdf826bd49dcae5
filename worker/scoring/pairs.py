"""Pair classification: does a threshold on the similarity separate the pairs that match from those that do not?"""

from typing import Final

import numpy as np
import numpy.typing as npt

from app.core.records import PairClassificationData
from app.core.task_types import PAIR_MEASURES
from worker.encoders.base import IntArray, Similarity
from worker.scoring.base import CellScores, Part, Source, Tick
from worker.scoring.similarity import Pairs, Values, compare, cosine, dot, euclidean, gather_pairs, manhattan, own

_METRICS: Final = ("accuracy", "f1", "precision", "recall", "ap")


class PairClassificationTask:
    """See `worker.scoring.base.Task`."""

    def parts(self, data: PairClassificationData) -> tuple[Part, ...]:
        """Both sentences of every pair; neither is query or document."""
        return (
            Part("sentence1", None, tuple(pair.sentence1 for pair in data.pairs)),
            Part("sentence2", None, tuple(pair.sentence2 for pair in data.pairs)),
        )

    def score(self, data: PairClassificationData, source: Source, tick: Tick) -> CellScores:
        """See `score`."""
        first, second = self.parts(data)
        pairs = gather_pairs(source, first.texts, second.texts)
        return score(pairs, np.array([pair.label for pair in data.pairs]), source.similarity, tick)


def score(pairs: Pairs, labels: IntArray, similarity: Similarity, tick: Tick) -> CellScores:
    """Average precision, best accuracy and best F1 by five measures of similarity, and the best over these.

    `max_ap` is the main metric: the greatest of `similarity_ap` (the model's own measure), `cosine_ap`,
    `manhattan_ap`, `euclidean_ap` and `dot_ap`. `max_precision` and `max_recall` are the greatest ones at each
    measure's best F1, so they can belong to different measures.

    Args:
        pairs: n of them, at least one.
        labels: shape (n,), 1 = they match, 0 = they do not.
        similarity: the model's own.
        tick: see `Tick`.

    Returns:
        Thirty metrics in [0, 1], higher is better; see `by_threshold`. For each pair its `similarity` by the measure
        whose average precision is `max_ap`, the number of that measure in `PAIR_MEASURES` (`measure`), and its `label`.

    Reference:
        MTEB 2.26.24, `AbsTaskPairClassification`.

    Example:
        >>> vectors = np.array([[1, 0], [1, 1], [0, 1]], dtype=np.float32)
        >>> pairs = Pairs(vectors, np.array([0, 0, 0]), np.array([0, 1, 2]))
        >>> score(pairs, np.array([1, 0, 0]), "cosine", lambda: None).metrics["max_ap"]
        1.0
    """
    measures = {
        "cosine": cosine,
        "similarity": own(similarity),
        "dot": dot,
        "euclidean": euclidean,
        "manhattan": manhattan,
    }
    found = compare(pairs, measures, tick)
    scores = {name: by_threshold(values, labels) for name, values in found.items()}
    metrics = {f"{name}_{metric}": of[metric] for name, of in scores.items() for metric in _METRICS}
    metrics |= {f"max_{metric}": max(of[metric] for of in scores.values()) for metric in _METRICS}
    best = max(measures, key=lambda name: scores[name]["ap"])
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "similarity": found[best].astype(np.float32),
        "label": labels.astype(np.int8),
        "measure": np.full(len(labels), PAIR_MEASURES.index(best), np.int8),
    }
    return CellScores(metrics, "pairs", arrays)


def by_threshold(values: Values, labels: IntArray) -> dict[str, float]:
    """How well "they match if the value is above a threshold" does at each threshold between two different values.

    Average precision is the sum over the thresholds of (recall - recall before) * precision, over all different
    values. Accuracy and F1 are the best of all thresholds, as in MTEB without the one below the least value, where
    all pairs match; equal F1 go to the highest threshold, whose precision and recall are given.

    Args:
        values: shape (n,), higher is more alike; n at least 1.
        labels: shape (n,), 0 or 1.

    Returns:
        `accuracy`, `f1`, `precision`, `recall`, `ap` in [0, 1], higher is better. Equal values are never parted;
        where all are equal, only `ap` is not 0. Without a pair that matches, all but `accuracy` are 0.

    Reference:
        scikit-learn, `average_precision_score`; MTEB 2.26.24, `AbsTaskPairClassification`.

    Example:
        >>> found = by_threshold(np.array([0.9, 0.8, 0.7, 0.1]), np.array([1, 0, 1, 0]))
        >>> {name: round(value, 4) for name, value in found.items()}
        {'accuracy': 0.75, 'f1': 0.8, 'precision': 0.6667, 'recall': 1.0, 'ap': 0.8333}
    """
    order = np.argsort(-values, kind="stable")
    values, matching = values[order], np.cumsum(labels[order])
    count, positives = len(values), int(matching[-1])
    ends = np.append(np.flatnonzero(values[1:] != values[:-1]), count - 1)  # the last of each run of equal values
    taken = np.concatenate([[0], ends + 1])  # above each threshold, the first being above all values
    hits = np.concatenate([[0], matching[ends]])
    precision, recall = hits / np.maximum(1, taken), hits / max(1, positives)
    f1 = 2 * precision * recall / np.where(hits > 0, precision + recall, 1.0)
    right = hits + (count - taken) - (positives - hits)  # those that match above, the others below
    best = int(np.argmax(f1[:-1]))
    return {
        "accuracy": float(right[1:-1].max(initial=0) / count),
        "f1": float(f1[best]),
        "precision": float(precision[best]),
        "recall": float(recall[best]),
        "ap": float(np.sum(np.diff(recall) * precision[1:])),
    }
