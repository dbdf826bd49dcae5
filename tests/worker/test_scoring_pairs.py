"""Pair classification: every metric is MTEB's, whatever the ties, the labels and the kind of vectors."""

import doctest
import math
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from mteb._evaluators import PairClassificationEvaluator
from mteb.abstasks.pair_classification import AbsTaskPairClassification
from mteb.timing import TimingStack
from scipy.sparse import csr_array

from app.core.records import LabelledPair, PairClassificationData
from app.core.task_types import PAIR_MEASURES
from tests.worker.vector_world import METADATA, SIMILARITIES, GivenModel, GivenSource
from worker.encoders.base import Similarity
from worker.scoring import pairs, similarity
from worker.scoring.pairs import PairClassificationTask, by_threshold, score
from worker.scoring.similarity import Pairs


class Oracle(AbsTaskPairClassification):
    """MTEB's metrics without a dataset."""

    def __init__(self) -> None:
        pass


def mteb_metrics(data: PairClassificationData, vectors: dict[str, Any], own: Similarity) -> dict[str, float]:
    """What MTEB's evaluator and task make of the same vectors."""
    columns = {
        "sentence1": [pair.sentence1 for pair in data.pairs],
        "sentence2": [pair.sentence2 for pair in data.pairs],
    }
    evaluator = PairClassificationEvaluator(
        Dataset.from_dict(columns),
        input1_column_name="sentence1",
        input2_column_name="sentence2",
        task_metadata=METADATA,
        hf_split="test",
        hf_subset="default",
        input1_prompt_type=None,
        input2_prompt_type=None,
        timer=TimingStack(),
    )
    found = evaluator(GivenModel(vectors, own), encode_kwargs={"batch_size": 32})  # type: ignore[arg-type]
    return Oracle()._compute_metrics(found, [pair.label for pair in data.pairs])


def random_data(rng: np.random.Generator, count: int, texts: int) -> PairClassificationData:
    """Pairs of a few texts, so that pairs and sentences occur again; some of a text with itself."""
    names = np.array([f"text {number}" for number in range(texts)])
    labels = rng.integers(0, 2, count)
    return PairClassificationData(
        tuple(
            LabelledPair(str(first), str(second), int(label))
            for first, second, label in zip(*rng.choice(names, (2, count)), labels, strict=True)
        )
    )


@settings(max_examples=30, deadline=None)
@given(
    own=st.sampled_from(SIMILARITIES),
    seed=st.integers(0, 10_000),
    count=st.integers(1, 40),
    texts=st.integers(1, 30),
    coarse=st.booleans(),
    labels=st.sampled_from(["mixed", "all match"]),
)
def test_equals_mteb(own: Similarity, seed: int, count: int, texts: int, coarse: bool, labels: str) -> None:
    rng = np.random.default_rng(seed)
    data = random_data(rng, count, texts)
    if labels == "all match" or not any(pair.label for pair in data.pairs):
        data = PairClassificationData(tuple(LabelledPair(p.sentence1, p.sentence2, 1) for p in data.pairs))
    values = rng.standard_normal((texts, 5)).astype(np.float32)
    values = np.sign(values) if coarse else values
    vectors = {f"text {number}": vector for number, vector in enumerate(values)}

    found = PairClassificationTask().score(data, GivenSource(vectors, own), lambda: None).metrics

    assert found == pytest.approx(mteb_metrics(data, vectors, own), abs=1e-9)


@pytest.mark.filterwarnings("ignore:No positive class found")
@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        pytest.param([0, 0, 0], [[1, 0], [1, 1], [0, 1]], id="no pair matches"),
        pytest.param([1, 1, 1], [[1, 0], [1, 1], [0, 1]], id="all pairs match"),
        pytest.param([1, 0, 1], [[1, 0], [1, 0], [1, 0]], id="equal vectors"),
        pytest.param([1, 0, 1], [[0, 0], [1, 0], [0, 2]], id="a vector of zeros"),
        pytest.param([1], [[1, 0], [0, 1]], id="one pair that matches"),
        pytest.param([0], [[1, 0], [0, 1]], id="one pair that does not"),
    ],
)
def test_degenerate_input_has_mtebs_values(labels: list[int], rows: list[list[float]]) -> None:
    vectors = {f"text {number}": np.array(row, np.float32) for number, row in enumerate(rows)}
    names = list(vectors)
    data = PairClassificationData(
        tuple(LabelledPair(names[0], names[number % len(names)], label) for number, label in enumerate(labels, 1))
    )

    found = PairClassificationTask().score(data, GivenSource(vectors), lambda: None).metrics

    assert found == pytest.approx(mteb_metrics(data, vectors, "cosine"), abs=1e-12)


@pytest.mark.parametrize(("numbers", "least"), [(1, 1), (35, 1), (1, 7)])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, numbers: int, least: int) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((20, 5)).astype(np.float32)
    compared = Pairs(vectors, rng.integers(0, 20, 50), rng.integers(0, 20, 50))
    labels = rng.integers(0, 2, 50)
    whole = score(compared, labels, "cosine", lambda: None)

    monkeypatch.setattr(similarity, "_BLOCK_NUMBERS", numbers)
    monkeypatch.setattr(similarity, "_LEAST_PAIRS", least)
    ticks: list[None] = []
    found = score(compared, labels, "cosine", lambda: ticks.append(None))

    assert found.metrics == whole.metrics
    assert len(ticks) == math.ceil(50 / max(least, numbers // 5))


def test_thresholds_by_hand() -> None:
    """Values 9, 8, 8, 7, 1; the pairs of 9, 8 and 7 match.

    Above the thresholds 8.5, 7.5 and 4 are 1 of 1, 2 of 3 and 3 of 4 that match.
    """
    found = by_threshold(np.array([8.0, 1.0, 9.0, 7.0, 8.0]), np.array([1, 0, 1, 1, 0]))

    assert found["accuracy"] == pytest.approx(4 / 5)  # above 4: one too many
    assert found["f1"] == pytest.approx(6 / 7)
    assert (found["precision"], found["recall"]) == pytest.approx((3 / 4, 1))
    assert found["ap"] == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 4)


def test_keeps_the_similarity_that_the_score_is_of_and_the_label_of_every_pair() -> None:
    vectors = {"a": [1, 0], "b": [3, 3], "c": [0, 2]}
    data = PairClassificationData((LabelledPair("a", "b", 1), LabelledPair("b", "b", 1), LabelledPair("c", "a", 0)))
    source = GivenSource(vectors)

    kept = PairClassificationTask().score(data, source, lambda: None)

    assert kept.kind == "pairs"
    assert kept.arrays["similarity"].tolist() == pytest.approx([0.70711, 1.0, 0.0], abs=1e-5)
    assert kept.arrays["label"].tolist() == [1, 1, 0]
    assert [PAIR_MEASURES[number] for number in kept.arrays["measure"]] == ["cosine"] * 3
    assert [part.name for part in PairClassificationTask().parts(data)] == ["sentence1", "sentence2"]
    assert source.fitted_on == ["a", "b", "c", "b", "b", "a"]


@pytest.mark.parametrize("seed", range(6))
def test_the_kept_similarity_has_the_average_precision_that_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(40, 4)) * rng.exponential(size=(40, 1))
    pairs = Pairs(vectors, rng.integers(0, 40, 60), rng.integers(0, 40, 60))
    found = score(pairs, rng.integers(0, 2, 60), "dot", lambda: None)
    own = by_threshold(found.arrays["similarity"], found.arrays["label"].astype(np.int64))["ap"]
    assert own == pytest.approx(found.metrics["max_ap"], abs=1e-6)
    (measure,) = set(found.arrays["measure"].tolist())
    assert found.metrics[f"{PAIR_MEASURES[measure]}_ap"] == found.metrics["max_ap"]


def test_sparse_vectors_score_as_dense_ones() -> None:
    rng = np.random.default_rng(2)
    dense = rng.random((12, 6)) * (rng.random((12, 6)) < 0.6)
    dense[:, 0] = 1.0
    first, second, labels = rng.integers(0, 12, (2, 30)), rng.integers(0, 12, 30), rng.integers(0, 2, 30)

    sparse = score(Pairs(csr_array(dense), first[0], second), labels, "cosine", lambda: None)

    assert sparse.metrics == pytest.approx(
        score(Pairs(dense, first[0], second), labels, "cosine", lambda: None).metrics, abs=1e-9
    )


def test_one_sparse_pair_and_a_text_without_words() -> None:
    words = csr_array(np.array([[0.0, 0.0], [1.0, 1.0]]))

    found = score(Pairs(words, np.array([0]), np.array([1])), np.array([1]), "cosine", lambda: None)

    assert found.arrays["similarity"].tolist() == [0.0]
    assert found.metrics["max_ap"] == 1.0


@pytest.mark.parametrize("module", [pairs, similarity])
def test_examples_in_the_docstrings(module: Any) -> None:
    tested = doctest.testmod(module)

    assert tested.attempted > 0
    assert tested.failed == 0
