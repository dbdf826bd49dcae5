"""Clustering draws the same texts and gets the same metrics as MTEB."""

import doctest
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from mteb.abstasks import AbsTaskClustering, AbsTaskClusteringLegacy

from app.core.records import ClusteredText, ClusteringData
from tests.worker.mteb_tasks import KnownVectors, around_centres, mteb_scores
from worker.scoring import clustering
from worker.scoring.clustering import ClusteringTask, label_levels

Labels = Sequence[Sequence[Any]]


@pytest.fixture
def small_draws(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Three draws of 600 texts out of 100 at most, here and as attributes of MTEB's task."""
    assert AbsTaskClustering.n_clusters == clustering.DRAWS
    assert AbsTaskClustering.max_documents_per_cluster == clustering.DRAW_SIZE
    assert AbsTaskClustering.k_mean_batch_size == clustering.DRAW_BATCH
    monkeypatch.setattr(clustering, "MAX_TEXTS", 100)
    monkeypatch.setattr(clustering, "DRAWS", 3)
    monkeypatch.setattr(clustering, "DRAW_SIZE", 600)
    return {
        "max_fraction_of_documents_to_embed": None,
        "max_document_to_embed": 100,
        "n_clusters": 3,
        "max_documents_per_cluster": 600,
    }


def vectors_for(labels: Labels, seed: int = 0) -> dict[str, Any]:
    numbers = {label: number for number, label in enumerate(dict.fromkeys(str(own[-1]) for own in labels))}
    return around_centres([numbers[str(own[-1])] for own in labels], seed)


def clustered(labels: Labels, sets: Sequence[int] | None = None) -> ClusteringData:
    texts = (
        ClusteredText(f"text {row}", tuple(map(str, own)), sets[row] if sets else 0) for row, own in enumerate(labels)
    )
    return ClusteringData(tuple(texts), whole_sets=sets is not None)


FLAT = [["abc"[row % 3]] for row in range(70)]
DEEP = [["ab"[row % 2], f"{row % 2}{row % 5}"] for row in range(70)]
RAGGED = [own[: 1 + row % 2] for row, own in enumerate(DEEP)]
NUMBERS = [[row % 3, 10 * (row % 3) + row % 2] for row in range(70)]
RAGGED_NUMBERS = [own[: 1 + row % 3] for row, own in enumerate(NUMBERS)]
NOISE = [[row % 3 - 1] for row in range(70)]


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(FLAT, id="flat"),
        pytest.param([["abc"[row % 3]] for row in range(250)], id="more texts than are sampled"),
        pytest.param(DEEP, id="two levels"),
        pytest.param(RAGGED, id="a level is missing"),
        pytest.param(NUMBERS, id="numbers"),
        pytest.param(RAGGED_NUMBERS, id="numbers, a level is missing"),
        pytest.param(NOISE, id="numbers, -1 for none"),
        pytest.param([["a"]] * 30, id="one topic"),
        pytest.param([[f"{row}"] for row in range(30)], id="as many topics as texts"),
    ],
)
def test_draws_are_scored_as_mteb_scores_them(labels: Labels, small_draws: dict[str, Any]) -> None:
    data, vectors, ticks = clustered(labels), vectors_for(labels), []
    source = KnownVectors(vectors)

    parts = ClusteringTask().parts(data)
    scores = ClusteringTask().score(data, source, lambda: ticks.append(None))

    split = {"text": [text.text for text in data.texts], "labels": labels}
    expected = mteb_scores(AbsTaskClustering, "Clustering", {"test": split}, vectors, **small_draws)
    assert scores.metrics == pytest.approx(expected, abs=1e-12)
    assert scores.kind == "draws"
    assert scores.arrays["v_measure"].mean() == pytest.approx(expected["v_measure"], abs=1e-6)
    assert scores.arrays["ami"].mean() == pytest.approx(expected["ami"], abs=1e-6)
    assert scores.arrays["level"].tolist() == sorted(scores.arrays["level"].tolist())
    assert len(ticks) == len(scores.arrays["level"]) == 3 * max(map(len, labels))
    assert [list(part.texts) for part in parts] == source.asked == source.fitted_on
    assert len(parts[0].texts) == min(100, len(labels))


def test_keeps_which_topics_the_clusters_of_each_levels_first_draw_hold(small_draws: dict[str, Any]) -> None:
    data = clustered(DEEP)
    kept = ClusteringTask().score(data, KnownVectors(vectors_for(DEEP)), lambda: None).arrays
    levels = max(map(len, DEEP))
    for level in range(levels):
        mine = kept["table_level"] == level
        topics = [data.texts[place].labels[level] for place in kept["table_topic"][mine]]
        assert set(topics) <= {labels[level] for labels in DEEP}
        cells = list(zip(topics, kept["table_cluster"][mine].tolist(), strict=True))
        assert len(set(cells)) == len(cells)
        assert kept["table_count"][mine].sum() == small_draws["max_documents_per_cluster"]


def test_equal_vectors_are_no_obstacle(small_draws: dict[str, Any]) -> None:
    data = clustered(FLAT)
    vectors = {
        text: vector if row < 2 else np.ones(20, np.float32)
        for row, (text, vector) in enumerate(vectors_for(FLAT).items())
    }

    scores = ClusteringTask().score(data, KnownVectors(vectors), lambda: None)

    split = {"text": [text.text for text in data.texts], "labels": FLAT}
    expected = mteb_scores(AbsTaskClustering, "Clustering", {"test": split}, vectors, **small_draws)
    assert scores.metrics == pytest.approx(expected, abs=1e-12)


def test_a_level_without_texts_is_left_out() -> None:
    levels = label_levels([("1", "-1"), ("2",)])

    assert [(level.rows.tolist(), level.codes.tolist(), level.count) for level in levels] == [([0, 1], [0, 1], 2)]


SETS = [0] * 25 + [1] * 30 + [2] * 15


@pytest.mark.parametrize(
    "topics",
    [
        pytest.param([own[0] for own in FLAT], id="three topics each"),
        pytest.param(["a"] * 25 + [own[0] for own in FLAT[25:]], id="one set has one topic"),
        pytest.param([str(row) for row in range(70)], id="as many topics as texts"),
    ],
)
def test_whole_sets_are_scored_as_mteb_scores_them(topics: list[str]) -> None:
    labels = [[topic] for topic in topics]
    data, vectors, ticks = clustered(labels, SETS), vectors_for(labels), []
    source = KnownVectors(vectors)

    (part,) = ClusteringTask().parts(data)
    scores = ClusteringTask().score(data, source, lambda: ticks.append(None))

    rows = [[row for row, number in enumerate(SETS) if number == wanted] for wanted in (0, 1, 2)]
    split = {
        "text": [[f"text {row}" for row in members] for members in rows],
        "labels": [[topics[row] for row in members] for members in rows],
    }
    expected = mteb_scores(AbsTaskClusteringLegacy, "Clustering", {"test": split}, vectors)
    assert scores.metrics == pytest.approx(expected, abs=1e-12)
    assert scores.kind == "draws"
    assert scores.arrays["v_measure"].mean() == pytest.approx(expected["v_measure"], abs=1e-6)
    assert len(ticks) == len(scores.arrays["v_measure"]) == 3
    several = [members for members, found in zip(rows, split["labels"], strict=True) if len(set(found)) > 1]
    assert source.asked == source.fitted_on == [[f"text {row}" for row in members] for members in several]
    assert list(part.texts) == [text for texts in source.asked for text in texts]


def test_keeps_which_topics_the_clusters_of_each_set_hold() -> None:
    topics = [own[0] for own in FLAT]
    data = clustered([[topic] for topic in topics], SETS)
    kept = ClusteringTask().score(data, KnownVectors(vectors_for(FLAT)), lambda: None).arrays
    for number in set(SETS):
        mine = kept["table_level"] == number
        counted: Counter[str] = Counter()
        for place, count in zip(kept["table_topic"][mine], kept["table_count"][mine], strict=True):
            assert SETS[place] == number
            counted[topics[place]] += int(count)
        assert counted == Counter(topic for topic, own in zip(topics, SETS, strict=True) if own == number)


def test_sets_of_one_topic_each_need_no_vectors() -> None:
    data = clustered([["a"]] * 3 + [["b"]] * 2, [0, 0, 0, 1, 1])

    scores = ClusteringTask().score(data, KnownVectors({}), lambda: None)

    assert ClusteringTask().parts(data) == ()
    assert scores.metrics == {"v_measure": 1.0, "v_measure_std": 0.0}
    assert scores.arrays["v_measure"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("sets", [None, SETS])
def test_sparse_vectors_are_clustered(sets: Sequence[int] | None, small_draws: dict[str, Any]) -> None:
    words = {text: np.where(vector > 0.1, vector, 0) for text, vector in vectors_for(FLAT).items()}

    scores = ClusteringTask().score(clustered(FLAT, sets), KnownVectors(words, sparse=True), lambda: None)

    assert scores.metrics["v_measure"] > 0.5


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(clustering).failed == 0
