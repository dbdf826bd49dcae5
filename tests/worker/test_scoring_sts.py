"""STS correlations equal MTEB's, and say NaN where there is nothing to correlate."""

import doctest
import math
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from mteb._evaluators import AnySTSEvaluator
from mteb.abstasks.sts import AbsTaskSTS
from mteb.timing import TimingStack
from scipy.sparse import csr_array
from scipy.stats import ConstantInputWarning, NearConstantInputWarning
from sentence_transformers import SentenceTransformer

from app.core.records import SentencePair, StsData
from tests.worker.vector_world import METADATA, SIMILARITIES, GivenModel, GivenSource
from worker.encoders.base import Similarity
from worker.scoring import sts
from worker.scoring.similarity import Pairs, own
from worker.scoring.sts import StsTask, score


def mteb_metrics(data: StsData, vectors: dict[str, Any], similarity: Similarity) -> dict[str, float]:
    """What MTEB's evaluator and task make of the same vectors; undefined ones left out."""
    columns = {
        "sentence1": [pair.sentence1 for pair in data.pairs],
        "sentence2": [pair.sentence2 for pair in data.pairs],
    }
    evaluator = AnySTSEvaluator(
        Dataset.from_dict(columns),
        ("sentence1", "sentence2"),
        task_metadata=METADATA,
        hf_split="test",
        hf_subset="default",
        input1_prompt_type=None,
        input2_prompt_type=None,
        timer=TimingStack(),
    )
    model: Any = GivenModel(vectors, similarity)
    scores = evaluator(model, encode_kwargs={"batch_size": 32})
    normalised = [pair.score / 5 for pair in data.pairs]
    found = AbsTaskSTS._calculate_scores(None, scores, normalised)  # type: ignore[arg-type]
    return {name: value for name, value in found.items() if not math.isnan(value)}  # type: ignore[misc]


@settings(max_examples=30, deadline=None)
@given(
    similarity=st.sampled_from(SIMILARITIES),
    seed=st.integers(0, 10_000),
    count=st.integers(4, 30),
    coarse=st.booleans(),
)
def test_equals_mteb(similarity: Similarity, seed: int, count: int, coarse: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((count, 5)).astype(np.float32)
    values = np.sign(values) if coarse else values  # ties
    vectors = {f"text {number}": vector for number, vector in enumerate(values)}
    gold = [0.0, 5.0, *rng.integers(0, 6, count - 2).astype(float)]
    pairs = zip(*rng.choice(list(vectors), (2, count)), gold, strict=True)
    data = StsData(tuple(SentencePair(str(first), str(second), score) for first, second, score in pairs))

    found = StsTask().score(data, GivenSource(vectors, similarity), lambda: None).metrics

    try:
        expected = mteb_metrics(data, vectors, similarity)
    except (ConstantInputWarning, NearConstantInputWarning):  # then nothing is defined, or rounding decides
        reject()
    assert found == pytest.approx({"cosine_spearman": math.nan} | expected, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("constant", ["gold", "vectors"])
def test_a_constant_side_leaves_only_the_main_metric_and_that_undefined(constant: str) -> None:
    second = np.arange(4) if constant == "gold" else np.zeros(4, np.int64)
    gold = [1.0] * 4 if constant == "gold" else [1.0, 2.0, 3.0, 4.0]
    pairs = Pairs(np.eye(4, dtype=np.float32), np.zeros(4, np.int64), second)

    found = score(pairs, gold, "cosine", lambda: None).metrics

    assert list(found) == ["cosine_spearman"]
    assert math.isnan(found["cosine_spearman"])


def test_an_undefined_metric_beside_others_is_left_out() -> None:
    """All equally far from the first by the Manhattan distance, not by angle."""
    vectors = np.array([[4, 0], [6, 2], [5, 3], [4, 4]], np.float32)
    pairs = Pairs(vectors, np.zeros(3, np.int64), np.arange(1, 4))

    found = score(pairs, [3, 2, 1], "cosine", lambda: None).metrics

    assert {"manhattan_pearson", "manhattan_spearman"}.isdisjoint(found)
    assert found["cosine_spearman"] == pytest.approx(1)
    assert len(found) == 6


def test_keeps_similarity_and_gold_of_every_pair() -> None:
    vectors = np.array([[1, 0], [0, 2], [3, 3]], np.float32)

    kept = score(Pairs(vectors, np.arange(3), np.array([2, 1, 0])), [5, 1, 0], "cosine", lambda: None)

    assert kept.kind == "pairs"
    assert kept.arrays["similarity"].tolist() == pytest.approx([0.70711, 1.0, 0.70711], abs=1e-5)
    assert kept.arrays["gold"].tolist() == [5.0, 1.0, 0.0]


def test_sparse_vectors_score_as_dense_ones() -> None:
    rng = np.random.default_rng(2)
    dense = rng.random((24, 6)) * (rng.random((24, 6)) < 0.6)
    dense[:, 0] = 1.0
    first, second, gold = np.arange(12), np.arange(12, 24), rng.random(12).tolist()

    sparse = score(Pairs(csr_array(dense), first, second), gold, "cosine", lambda: None).metrics

    assert sparse == pytest.approx(score(Pairs(dense, first, second), gold, "cosine", lambda: None).metrics, abs=1e-9)


def test_a_text_without_words_is_like_no_other() -> None:
    words = csr_array(np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]]))

    found = score(Pairs(words, np.arange(3), np.array([2, 2, 2])), [0, 1, 2], "cosine", lambda: None)

    assert found.arrays["similarity"].tolist() == pytest.approx([0, 0.70711, 1], abs=1e-5)


def test_a_cell_is_scored_pair_by_pair_with_each_text_once() -> None:
    vectors = {"cat": [1, 0], "dog": [1, 1], "tree": [0, 1]}
    pairs = (SentencePair("cat", "cat", 5), SentencePair("cat", "dog", 3), SentencePair("tree", "cat", 0))
    source = GivenSource(vectors)

    found = StsTask().score(StsData(pairs), source, lambda: None)

    assert [part.name for part in StsTask().parts(StsData(pairs))] == ["sentence1", "sentence2"]
    assert source.fitted_on == ["cat", "cat", "tree", "cat", "dog", "cat"]
    assert found.arrays["similarity"].tolist() == pytest.approx([1, 0.70711, 0], abs=1e-5)
    assert found.metrics["cosine_spearman"] == pytest.approx(1)


def test_the_models_own_similarity_is_that_of_sentence_transformers() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.standard_normal((2, 8, 5)).astype(np.float32)
    for name in SIMILARITIES:
        model = SentenceTransformer.__new__(SentenceTransformer)
        torch.nn.Module.__init__(model)
        model.similarity_fn_name = name
        theirs = model.similarity_pairwise(first, second).numpy()
        np.testing.assert_array_equal(own(name)(first, second), theirs)


def test_examples_in_the_docstrings() -> None:
    tested = doctest.testmod(sts)

    assert tested.attempted > 0
    assert tested.failed == 0
