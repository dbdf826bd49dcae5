"""STS correlations equal MTEB's, and say NaN where there is nothing to correlate."""

import doctest
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mteb.abstasks.sts import AbsTaskSTS
from scipy.sparse import csr_array
from sentence_transformers import SentenceTransformer, util
from sklearn.metrics.pairwise import (
    paired_cosine_distances,
    paired_euclidean_distances,
    paired_manhattan_distances,
)

from app.core.records import StsData
from tests.worker.engine_world import sts_dataset
from worker.encoders.base import Similarity
from worker.scoring import sts
from worker.scoring.sts import StsTask, score

OWN = {
    "cosine": util.pairwise_cos_sim,
    "dot": util.pairwise_dot_score,
    "euclidean": util.pairwise_euclidean_sim,
    "manhattan": util.pairwise_manhattan_sim,
}


def oracle(first: np.ndarray, second: np.ndarray, gold: list[float], similarity: Similarity) -> dict[str, float]:
    """MTEB's metrics: its evaluator's four similarities, its task's correlations."""
    own = OWN[similarity](torch.from_numpy(first), torch.from_numpy(second))
    scores = {
        "cosine_scores": (1 - paired_cosine_distances(first, second)).tolist(),
        "manhattan_distances": (-paired_manhattan_distances(first, second)).tolist(),
        "euclidean_distances": (-paired_euclidean_distances(first, second)).tolist(),
        "similarity_scores": own.tolist(),
    }
    normalised = [value / 5 for value in gold]
    found: dict[str, float] = dict(AbsTaskSTS._calculate_scores(None, scores, normalised))  # type: ignore[arg-type]
    return found


@settings(max_examples=60, deadline=None)
@given(
    similarity=st.sampled_from(list(OWN)),
    seed=st.integers(0, 10_000),
    count=st.integers(4, 30),
    coarse=st.booleans(),
)
def test_equals_mteb(similarity: Similarity, seed: int, count: int, coarse: bool) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.standard_normal((2, count, 5)).astype(np.float32)
    if coarse:  # ties in the vectors and in the gold scores
        first, second = np.sign(first), np.sign(second)
        second[:2] = first[:2]
    gold = rng.integers(0, 6, count).astype(float).tolist()
    gold[:2] = [0.0, 5.0]

    found = score(first, second, gold, similarity).metrics
    expected = oracle(first, second, gold, similarity)

    assert set(found) == set(expected)
    for name, value in expected.items():
        assert math.isnan(found[name]) if math.isnan(value) else found[name] == pytest.approx(value, abs=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("constant", ["gold", "vectors"])
def test_a_constant_side_gives_nan_without_a_warning(constant: str) -> None:
    vectors = np.eye(4, dtype=np.float32)
    second = vectors if constant == "vectors" else vectors[::-1] + vectors
    gold = [1.0] * 4 if constant == "gold" else [1.0, 2.0, 3.0, 4.0]

    assert math.isnan(score(vectors, second, gold).metrics["cosine_spearman"])


def test_keeps_similarity_and_gold_of_every_pair() -> None:
    first = np.array([[1, 0], [0, 2], [3, 3]], np.float32)

    kept = score(first, first[::-1].copy(), [5, 1, 0])

    assert kept.kind == "pairs"
    assert kept.arrays["similarity"].tolist() == pytest.approx([0.70711, 1.0, 0.70711], abs=1e-5)
    assert kept.arrays["gold"].tolist() == [5.0, 1.0, 0.0]


def test_sparse_vectors_score_as_dense_ones() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.random((2, 12, 6)) * (rng.random((2, 12, 6)) < 0.6)
    first[:, 0], second[:, 1] = 1.0, 1.0
    gold = rng.random(12).tolist()

    sparse = score(csr_array(first), csr_array(second), gold).metrics

    assert sparse == pytest.approx(score(first, second, gold).metrics, abs=1e-9)


def test_a_text_without_words_is_like_no_other() -> None:
    first = csr_array(np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]]))
    second = csr_array(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]))

    assert score(first, second, [0, 1, 2]).arrays["similarity"].tolist() == pytest.approx([0, 0.70711, 1], abs=1e-5)


class Letters:
    """A source whose vectors count the letters a to e."""

    similarity: Similarity = "cosine"

    def vectors(self, texts: list[str], role: object, fitted_on: list[str]) -> np.ndarray:
        assert role is None
        assert set(texts) <= set(fitted_on)
        return np.array([[1 + text.count(letter) for letter in "abcde"] for text in texts], np.float32)

    def rankings(self, *_: Any) -> Any:
        raise AssertionError("STS asks for vectors")


def test_a_cell_is_scored_pair_by_pair() -> None:
    data = sts_dataset().cells[0].data
    assert isinstance(data, StsData)

    scores = StsTask().score(data, Letters(), lambda: None)

    assert [part.name for part in StsTask().parts(data)] == ["sentence1", "sentence2"]
    assert len(scores.arrays["similarity"]) == len(data.pairs)
    assert scores.arrays["similarity"][4] == pytest.approx(1.0)


def test_the_models_own_similarity_is_that_of_sentence_transformers() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.standard_normal((2, 8, 5)).astype(np.float32)
    for name in OWN:
        model = SentenceTransformer.__new__(SentenceTransformer)
        torch.nn.Module.__init__(model)
        model.similarity_fn_name = name
        theirs = model.similarity_pairwise(first, second).numpy()
        np.testing.assert_allclose(sts._own(first, second, name), theirs, rtol=1e-6)  # type: ignore[arg-type]


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(sts).failed == 0
