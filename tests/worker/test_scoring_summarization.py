"""Summarization: every metric is MTEB's, texts without a spread are skipped as there, equal summaries stay equal."""

import doctest
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mteb._evaluators.text.summarization_evaluator import SummarizationEvaluator
from mteb.timing import TimingStack
from scipy.sparse import csr_array

from app.core.records import SummarizationData, SummarizedText
from tests.worker.vector_world import METADATA, SIMILARITIES, GivenModel, GivenSource
from worker.encoders.base import Similarity
from worker.scoring import summarization
from worker.scoring.summarization import JudgedSummaries, SummarizationTask, score

MAIN = "cosine_spearman"


def mteb_metrics(data: SummarizationData, vectors: dict[str, Any], own: Similarity) -> dict[str, float]:
    """What MTEB's evaluator makes of the same vectors; undefined ones left out."""
    evaluator = SummarizationEvaluator(
        human_summaries=[list(text.human_summaries) for text in data.texts],
        machine_summaries=[list(text.machine_summaries) for text in data.texts],
        texts=[text.text for text in data.texts],
        gold_scores=[list(text.relevance) for text in data.texts],
        task_metadata=METADATA,
        hf_split="test",
        hf_subset="default",
        timer=TimingStack(),
    )
    model: Any = GivenModel(vectors, own)
    found = evaluator._calculate_metrics(evaluator(model, encode_kwargs={"batch_size": 32}))
    return {name: value for name, value in found.items() if not math.isnan(value)}  # type: ignore[misc]


def random_data(rng: np.random.Generator, texts: int) -> tuple[SummarizationData, dict[str, Any]]:
    """A few texts with three to six summaries by machines, some of them equal, and one to four by people."""
    made = []
    for number in range(texts):
        machines = [f"text {number}, machine {one}" for one in range(rng.integers(3, 7))]
        people = tuple(f"text {number}, person {one}" for one in range(rng.integers(1, 5)))
        machines[-1] = machines[0] if rng.random() < 0.5 else machines[-1]
        gold = rng.integers(0, 4, len(machines)).astype(float).tolist()
        made.append(SummarizedText(f"text {number}", people, tuple(machines), tuple(gold)))
    names = [name for text in made for name in (*text.human_summaries, *text.machine_summaries)]
    return SummarizationData(tuple(made)), {name: rng.standard_normal(6).astype(np.float32) for name in names}


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value encountered")
@settings(max_examples=30, deadline=None)
@given(own=st.sampled_from(SIMILARITIES), seed=st.integers(0, 10_000), texts=st.integers(1, 5))
def test_equals_mteb(own: Similarity, seed: int, texts: int) -> None:
    data, vectors = random_data(np.random.default_rng(seed), texts)

    found = SummarizationTask().score(data, GivenSource(vectors, own), lambda: None).metrics

    expected = mteb_metrics(data, vectors, own)
    assert found == pytest.approx({MAIN: math.nan} | expected, abs=1e-6, nan_ok=True)


def test_by_hand() -> None:
    """Each machine summary counts by the human one that is nearer: cosines 1, 0.8, 0.6 with gold 3, 1, 2."""
    vectors = {"x": [1, 0], "y": [0, 1], "a": [0, 7], "b": [0.8, -0.6], "c": [-0.8, 0.6]}
    data = SummarizationData((SummarizedText("t", ("x", "y"), ("a", "b", "c"), (3.0, 1.0, 2.0)),))

    found = SummarizationTask().score(data, GivenSource(vectors), lambda: None)

    assert found.kind == "summaries"
    assert found.arrays["similarity"].tolist() == pytest.approx([1, 0.8, 0.6])
    assert found.arrays["gold"].tolist() == [3, 1, 2]
    assert found.arrays["text"].tolist() == [0, 0, 0]
    assert found.metrics["cosine_spearman"] == pytest.approx(0.5)
    assert found.metrics["cosine_pearson"] == pytest.approx(0.5)
    assert found.metrics["dot_spearman"] == pytest.approx(0.5)
    assert set(found.metrics) == {f"{of}{how}" for of in ("", "cosine_", "dot_") for how in ("pearson", "spearman")}


GOOD = SummarizedText("good", ("x",), ("a", "b", "c"), (3.0, 1.0, 2.0))
FLAT_GOLD = SummarizedText("flat gold", ("x",), ("a", "b", "c"), (1.0, 1.0, 1.0))
EQUAL = SummarizedText("equal", ("x",), ("a", "a", "a"), (3.0, 1.0, 2.0))
ONE = SummarizedText("one", ("x",), ("a",), (3.0,))
ZEROS = SummarizedText("zeros", ("zero",), ("a", "b", "c"), (3.0, 1.0, 2.0))
VECTORS = {"x": [1, 0], "a": [0.9, 0.1], "b": [0.1, 0.9], "c": [0.2, 0.4], "zero": [0, 0]}


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value encountered")
@pytest.mark.parametrize("text", [FLAT_GOLD, EQUAL, ONE, ZEROS], ids=lambda text: text.text)
@pytest.mark.parametrize("beside", [(), (GOOD,)], ids=["alone", "beside another"])
def test_a_text_without_a_spread_is_skipped(text: SummarizedText, beside: tuple[SummarizedText, ...]) -> None:
    data = SummarizationData((text, *beside))

    found = SummarizationTask().score(data, GivenSource(VECTORS), lambda: None)

    assert found.metrics == pytest.approx(
        {MAIN: math.nan} | mteb_metrics(data, VECTORS, "cosine"), abs=1e-6, nan_ok=True
    )
    assert math.isnan(found.metrics[MAIN]) == (not beside)
    assert len(found.arrays["gold"]) == sum(len(one.relevance) for one in data.texts)


def test_a_similarity_of_the_model_that_is_flat_in_one_text_is_left_out() -> None:
    """Equally far from the human summary, but not by angle: `pearson` and `spearman` have no mean."""
    vectors = np.array([[0, 1], [1, 1], [0, 2], [-1, 1]], np.float32)
    text = JudgedSummaries(np.array([1, 2, 3]), np.array([0]), np.array([3.0, 1.0, 2.0]))

    found = score(vectors, [text], "euclidean", lambda: None).metrics

    assert sorted(found) == ["cosine_pearson", "cosine_spearman", "dot_pearson", "dot_spearman"]


def test_sparse_vectors_score_as_dense_ones() -> None:
    data, vectors = random_data(np.random.default_rng(6), 4)
    words = {name: np.maximum(vector, 0) for name, vector in vectors.items()}

    sparse = SummarizationTask().score(data, GivenSource(words, sparse=True), lambda: None)

    dense = SummarizationTask().score(data, GivenSource(words), lambda: None)
    assert sparse.metrics == pytest.approx(dense.metrics, abs=1e-6)
    assert sparse.arrays["similarity"].tolist() == pytest.approx(dense.arrays["similarity"].tolist(), abs=1e-6)


def test_a_summary_without_words_is_like_no_other() -> None:
    words = csr_array(np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]))
    text = JudgedSummaries(np.array([1, 2]), np.array([0]), np.array([1.0, 2.0]))

    found = score(words, [text], "cosine", lambda: None)

    assert found.arrays["similarity"].tolist() == pytest.approx([0, 0.70711], abs=1e-5)
    assert found.metrics[MAIN] == pytest.approx(1)


def test_a_cell_is_scored_with_each_summary_once() -> None:
    data = SummarizationData((GOOD, EQUAL))
    source = GivenSource(VECTORS)

    found = SummarizationTask().score(data, source, lambda: None)

    human, machine = SummarizationTask().parts(data)
    assert (human.name, human.texts) == ("human summary", ("x", "x"))
    assert (machine.name, machine.texts) == ("machine summary", ("a", "b", "c", "a", "a", "a"))
    assert source.fitted_on == [*human.texts, *machine.texts]
    assert found.arrays["text"].tolist() == [0, 0, 0, 1, 1, 1]


def test_examples_in_the_docstrings() -> None:
    tested = doctest.testmod(summarization)

    assert tested.attempted > 0
    assert tested.failed == 0
