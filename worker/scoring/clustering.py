"""Clustering: does k-means find the topics of the texts again?"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import adjusted_mutual_info_score, v_measure_score

from app.core.labels import numbered, whole_numbers
from app.core.records import ClusteredText, ClusteringData
from worker.encoders.base import IntArray
from worker.scoring.base import CellScores, Matrix, Part, Source, Tick
from worker.scoring.classification import SEED
from worker.scoring.threads import side_by_side

MAX_TEXTS: Final = 16_384
DRAWS: Final = 10
DRAW_SIZE: Final = 16_384
DRAW_BATCH: Final = 512
SET_BATCH: Final = 500
SETS_SHOWN: Final = 10
"""Of so many sets it is kept which topics their clusters hold."""
NO_LABEL: Final = "-1"
"""What MTEB writes where a text lacks a level."""

Table = dict[str, npt.NDArray[np.int32]]


class ClusteringTask:
    """See `worker.scoring.base.Task`."""

    def parts(self, data: ClusteringData) -> tuple[Part, ...]:
        """The texts that are clustered: a sample, or all sets with more than one label; no part where there is none."""
        if data.whole_sets:
            texts = [text for members in _sets(data) if len(_topics(members)) > 1 for text in members]
        else:
            texts = [data.texts[row] for row in _sample(data)[0]]
        return (Part("text", None, tuple(text.text for text in texts)),) if texts else ()

    def score(self, data: ClusteringData, source: Source, tick: Tick) -> CellScores:
        """See `score_draws` and `score_sets`; a lexical model learns its weights from the sample, or set by set."""
        if data.whole_sets:
            return score_sets(_with_vectors(_sets(data), source), tick=tick)
        rows, generator = _sample(data)
        sample = [data.texts[row] for row in rows]
        texts = [text.text for text in sample]
        labels = [text.labels for text in sample]
        found = score_draws(source.vectors(texts, None, texts), labels, generator, tick=tick)
        topics = np.array(rows, np.int32)[found.arrays["table_topic"]]
        return replace(found, arrays={**found.arrays, "table_topic": topics})


@dataclass(frozen=True, slots=True)
class Level:
    """One level of topics.

    Attributes:
        rows: shape (n,), the texts that have a topic at this level.
        codes: shape (n,), their topics as numbers from 0.
        count: how many topics there are.
    """

    rows: IntArray
    codes: IntArray
    count: int


def score_draws(
    vectors: Matrix, labels: Sequence[Sequence[str]], generator: random.Random, *, tick: Tick = lambda: None
) -> CellScores:
    """Means and standard deviations over 10 draws a level, each clustered into as many clusters as there are topics.

    A draw is 16,384 texts with replacement. `v_measure` is the main metric: the harmonic mean of homogeneity (a
    cluster has one topic) and completeness (a topic is in one cluster), in [0, 1]; `ami` is the mutual information
    adjusted for chance, at most 1, about 0 for a random clustering. Higher is better.

    Args:
        vectors: shape (n, d).
        labels: of n texts the topics, see `label_levels`.
        generator: draws the texts, level by level.
        tick: called after each draw.

    Returns:
        Values a draw: `v_measure`, `ami` and `level`. Of each level's first draw which topics each cluster holds: see
        `_table`, whose topics are rows of `vectors` here.

    Reference:
        MTEB 2.26.24, `AbsTaskClustering`.
    """
    levels = label_levels(labels)

    def cluster(draw: tuple[int, IntArray]) -> tuple[float, float, Table]:
        level, drawn = levels[draw[0]], draw[1]
        k_means = MiniBatchKMeans(level.count, batch_size=DRAW_BATCH, n_init=1, random_state=SEED)
        found = k_means.fit_predict(vectors[level.rows[drawn]])
        codes = level.codes[drawn]
        table = _table(draw[0], codes, found, level.rows[drawn])
        return v_measure_score(codes, found), adjusted_mutual_info_score(codes, found), table

    def draws() -> Iterator[tuple[int, IntArray]]:
        for number, level in enumerate(levels):
            for _ in range(DRAWS):
                yield number, np.array(generator.choices(range(len(level.rows)), k=DRAW_SIZE))

    found, others, tables = zip(*side_by_side(cluster, draws(), tick), strict=True)
    v_measures, amis = np.array(found), np.array(others)
    return CellScores(
        {**_mean_and_std("v_measure", v_measures), **_mean_and_std("ami", amis)},
        "draws",
        {
            "v_measure": v_measures.astype(np.float32),
            "ami": amis.astype(np.float32),
            "level": np.repeat(np.arange(len(levels), dtype=np.int32), DRAWS),
            **_joined(tables[::DRAWS]),
        },
    )


def score_sets(sets: Iterable[tuple[Matrix | None, Sequence[str]]], *, tick: Tick = lambda: None) -> CellScores:
    """Mean and standard deviation of the sets' V-measures, each set clustered into as many clusters as it has topics.

    Args:
        sets: of each set the vectors, shape (n, d), and n topics. Vectors of a set with one topic are not looked at:
            its V-measure is 1.
        tick: called after each set.

    Returns:
        `v_measure`, see `score_draws`; the values a set. Of the first sets which topics each cluster holds: see
        `_table`, whose topics are places of texts over all sets.

    Reference:
        MTEB 2.26.24, `AbsTaskClusteringLegacy`.
    """

    def cluster(members: tuple[Matrix | None, Sequence[str]]) -> tuple[float, IntArray, IntArray]:
        vectors, topics = members
        numbers = numbered(set(topics))
        codes = np.array([numbers[topic] for topic in topics])
        if len(numbers) == 1:
            return 1.0, codes, np.zeros_like(codes)
        k_means = MiniBatchKMeans(len(numbers), batch_size=SET_BATCH, n_init="auto", random_state=SEED).fit(vectors)
        return float(v_measure_score(codes, k_means.labels_)), codes, k_means.labels_

    found = side_by_side(cluster, sets, tick)
    v_measures = np.array([v_measure for v_measure, _, _ in found])
    starts = np.cumsum([0, *(len(codes) for _, codes, _ in found)])
    tables = [
        _table(number, codes, labels, start + np.arange(len(codes)))
        for number, ((_, codes, labels), start) in enumerate(zip(found[:SETS_SHOWN], starts, strict=False))
    ]
    arrays = {"v_measure": v_measures.astype(np.float32), **_joined(tables)}
    return CellScores(_mean_and_std("v_measure", v_measures), "draws", arrays)


def label_levels(labels: Sequence[Sequence[str]]) -> list[Level]:
    """The levels of topics, the coarsest first.

    A text without a topic at some level has the topic -1 there, as in MTEB; and as there, where all topics are whole
    numbers, texts with -1 are left out of the level. A level without texts is left out.

    Args:
        labels: of n texts the topics from coarse to fine, at least one.

    Example:
        >>> [level.rows.tolist() for level in label_levels([("1", "5"), ("2",), ("1", "6")])]
        [[0, 1, 2], [0, 2]]
        >>> [level.count for level in label_levels([("a", "x"), ("b",), ("a", "y")])]
        [2, 3]
    """
    skipped = NO_LABEL if whole_numbers({label for own in labels for label in own}) else None
    levels = []
    for depth in range(max(map(len, labels))):
        topics = [own[depth] if depth < len(own) else NO_LABEL for own in labels]
        rows = [row for row, topic in enumerate(topics) if topic != skipped]
        if rows:
            codes = numbered({topics[row] for row in rows})
            levels.append(Level(np.array(rows), np.array([codes[topics[row]] for row in rows]), len(codes)))
    return levels


def _table(level: int, codes: IntArray, clusters: IntArray, places: IntArray) -> Table:
    """How many texts of each topic each cluster holds, where it holds any.

    Args:
        level: of the topics, or the number of the set.
        codes: shape (n,), the topics.
        clusters: shape (n,).
        places: shape (n,), where each text stands.

    Returns:
        `table_level`, `table_topic` (the place of some text with that topic), `table_cluster` and `table_count`.
    """
    (topics, found), counts = np.unique(np.stack([codes, clusters]), axis=1, return_counts=True)
    names, first = np.unique(codes, return_index=True)
    return {
        "table_level": np.full(len(counts), level, np.int32),
        "table_topic": places[first[np.searchsorted(names, topics)]].astype(np.int32),
        "table_cluster": found.astype(np.int32),
        "table_count": counts.astype(np.int32),
    }


def _joined(tables: Sequence[Table]) -> Table:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _sample(data: ClusteringData) -> tuple[list[int], random.Random]:
    """The places of the texts that are used, shuffled; and the generator that goes on to draw from them."""
    generator = random.Random(SEED)  # noqa: S311 -- MTEB's, to draw the same
    return generator.sample(range(len(data.texts)), k=min(len(data.texts), MAX_TEXTS)), generator


def _sets(data: ClusteringData) -> list[list[ClusteredText]]:
    return [list(members) for _, members in groupby(data.texts, key=lambda text: text.set)]


def _topics(members: Sequence[ClusteredText]) -> set[str]:
    return {text.labels[0] for text in members}


def _with_vectors(
    sets: Sequence[Sequence[ClusteredText]], source: Source
) -> Iterator[tuple[Matrix | None, Sequence[str]]]:
    """Each set's vectors and topics; one set after another, so that few are in memory."""
    for members in sets:
        texts = [text.text for text in members]
        vectors = source.vectors(texts, None, texts) if len(_topics(members)) > 1 else None
        yield vectors, [text.labels[0] for text in members]


def _mean_and_std(name: str, values: npt.NDArray[np.float64]) -> dict[str, float]:
    return {name: float(values.mean()), f"{name}_std": float(values.std())}
