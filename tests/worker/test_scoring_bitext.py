"""Bitext mining: neighbours and metrics are MTEB's, and a tie goes to the first sentence."""

import doctest
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mteb._evaluators import BitextMiningEvaluator
from mteb.abstasks.text.bitext_mining import AbsTaskBitextMining
from scipy.sparse import csr_array

from app.core.records import BitextMiningData, Translation
from tests.worker.vector_world import SIMILARITIES, GivenModel, GivenSource
from worker.encoders.base import Similarity
from worker.scoring import bitext
from worker.scoring.bitext import BitextMiningTask, score
from worker.scoring.similarity import Pairs


def mteb_neighbours(first: Any, second: Any, own: Similarity) -> list[dict[str, float]]:
    model: Any = GivenModel({}, own)
    return BitextMiningEvaluator._similarity_search(None, first, second, model)  # type: ignore[arg-type]


def mteb_metrics(neighbours: list[dict[str, float]]) -> dict[str, float]:
    gold = [(row, row) for row in range(len(neighbours))]
    return dict(AbsTaskBitextMining._compute_metrics(None, neighbours, gold))  # type: ignore[arg-type]


def own_pairs(first: Any, second: Any) -> Pairs:
    """Each row a text of its own."""
    count = len(first)
    return Pairs(np.concatenate([first, second]), np.arange(count), np.arange(count, 2 * count))


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
@settings(max_examples=40, deadline=None)
@given(
    own=st.sampled_from(SIMILARITIES), seed=st.integers(0, 10_000), count=st.integers(1, 250), noise=st.floats(0.1, 3)
)
def test_equals_mteb(own: Similarity, seed: int, count: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((count, 6)).astype(np.float32)
    second = first + np.float32(noise) * rng.standard_normal((count, 6)).astype(np.float32)

    found = score(own_pairs(first, second), own, lambda: None)

    expected = mteb_neighbours(first, second, own)
    assert found.arrays["neighbour"].tolist() == [neighbour["corpus_id"] for neighbour in expected]
    np.testing.assert_allclose(found.arrays["score"], [neighbour["score"] for neighbour in expected], atol=2e-3)
    assert found.metrics == pytest.approx(mteb_metrics(expected), abs=1e-9)


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(64, 200), texts=st.integers(2, 60))
def test_equal_sentences_are_ties_that_go_to_the_first_as_in_mteb(seed: int, count: int, texts: int) -> None:
    """Below 64 sentences MTEB's pick among equal ones is any, as torch.topk's is."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((texts, 6)).astype(np.float32)
    first, second = rng.integers(0, texts, (2, count))

    found = score(Pairs(values, first, second), "cosine", lambda: None)

    expected = mteb_neighbours(values[first], values[second], "cosine")
    assert found.arrays["neighbour"].tolist() == [neighbour["corpus_id"] for neighbour in expected]
    assert found.metrics == pytest.approx(mteb_metrics(expected), abs=1e-9)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal((40, 6)).astype(np.float32)
    pairs = Pairs(values, rng.integers(0, 40, 70), rng.integers(0, 40, 70))
    whole = score(pairs, "cosine", lambda: None)

    monkeypatch.setattr(bitext, "_BLOCK_QUERIES", 16)
    monkeypatch.setattr(bitext, "_BLOCK_HAYSTACK", 20)
    ticks: list[None] = []
    found = score(pairs, "cosine", lambda: ticks.append(None))

    assert found.metrics == whole.metrics
    assert found.arrays["neighbour"].tolist() == whole.arrays["neighbour"].tolist()
    assert len(ticks) == 3 * 2  # blocks of different sentences


def test_metrics_by_hand() -> None:
    """Sentences 0 and 1 both find 0, 2 finds 2, 3 finds 1."""
    first = np.array([[1, 0, 0, 0], [1, 0.1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]], np.float32)
    second = np.eye(4, dtype=np.float32)

    found = score(own_pairs(first, second), "dot", lambda: None)

    assert found.kind == "sentences"
    assert found.arrays["neighbour"].tolist() == [0, 0, 2, 1]
    assert found.arrays["score"].tolist() == [1, 1, 1, 1]
    assert found.arrays["correct"].tolist() == [True, False, True, False]
    assert found.metrics == pytest.approx(
        {"precision": (1 / 2 + 1) / 4, "recall": 2 / 4, "f1": (2 / 3 + 1) / 4, "accuracy": 2 / 4}
    )


@pytest.mark.parametrize(
    ("first", "second", "neighbours"),
    [
        pytest.param([[1.0, 0.0]], [[0.0, 1.0]], [0], id="one pair"),
        pytest.param([[1.0, 0.0]] * 3, [[1.0, 0.0]] * 3, [0, 0, 0], id="all alike"),
        pytest.param([[0.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]], [0, 1], id="a vector of zeros"),
    ],
)
@pytest.mark.parametrize("sparse", [False, True])
def test_degenerate_input(first: Any, second: Any, neighbours: list[int], sparse: bool) -> None:
    pairs = own_pairs(np.array(first, np.float32), np.array(second, np.float32))
    if sparse:
        pairs = Pairs(csr_array(pairs.vectors), pairs.first, pairs.second)

    assert score(pairs, "cosine", lambda: None).arrays["neighbour"].tolist() == neighbours


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
def test_sparse_vectors_find_what_dense_ones_find() -> None:
    rng = np.random.default_rng(5)
    values = (rng.random((60, 9)) * (rng.random((60, 9)) < 0.4)).astype(np.float32)
    values[:, 0] += 0.1
    first, second = np.arange(30), np.arange(30, 60)

    found = score(Pairs(csr_array(values), first, second), "cosine", lambda: None)

    expected = mteb_neighbours(values[first], values[second], "cosine")
    assert found.arrays["neighbour"].tolist() == [neighbour["corpus_id"] for neighbour in expected]
    assert found.arrays["score"].dtype == np.float32


def test_a_cell_is_scored_with_each_text_once() -> None:
    vectors = {"eins": [1.0, 0.1], "zwei": [0.1, 1.0], "one": [1.0, 0.0], "two": [0.0, 1.0]}
    data = BitextMiningData((Translation("zwei", "two"), Translation("eins", "one"), Translation("eins", "one")))
    source = GivenSource(vectors)

    found = BitextMiningTask().score(data, source, lambda: None)

    assert [part.texts for part in BitextMiningTask().parts(data)] == [("zwei", "eins", "eins"), ("two", "one", "one")]
    assert source.fitted_on == ["zwei", "eins", "eins", "two", "one", "one"]
    assert found.arrays["neighbour"].tolist() == [0, 1, 1]
    assert found.metrics["accuracy"] == pytest.approx(2 / 3)


def test_torch_picks_the_first_of_equal_ones_from_64_on() -> None:
    """On what the rule for ties rests."""
    assert torch.topk(torch.zeros(1, 64), 1, dim=1, sorted=False).indices.item() == 0


def test_examples_in_the_docstrings() -> None:
    tested = doctest.testmod(bitext)

    assert tested.attempted > 0
    assert tested.failed == 0
