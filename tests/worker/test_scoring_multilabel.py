"""Multilabel classification draws the same texts and gets the same metrics as MTEB."""

import doctest
import random
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mteb._evaluators.classification_metrics import hamming_score
from mteb.abstasks import AbsTaskMultilabelClassification
from mteb.abstasks._stratification import _iterative_train_test_split
from sklearn.metrics import f1_score, label_ranking_average_precision_score

from app.core.records import MultilabelClassificationData, MultilabelText
from app.errors import RunFailure
from tests.worker.mteb_tasks import KnownVectors, around_centres, mteb_scores
from worker.scoring import multilabel, stratify
from worker.scoring.multilabel import MultilabelClassificationTask, metrics, training_rows
from worker.scoring.stratify import balanced_rows

LABELS = st.lists(st.lists(st.sampled_from("abcd"), unique=True, max_size=3).map(sorted), min_size=1, max_size=60)


def drawn_by_mteb(labels: list[list[str]]) -> list[list[int]]:
    task: Any = SimpleNamespace(np_rng=np.random.default_rng(42))
    draw = AbsTaskMultilabelClassification._undersample_data_indices
    return [[int(row) for row in draw(task, labels, 8)[0]] for _ in range(10)]


def as_table(labels: list[list[int]], count: int) -> np.ndarray:
    table = np.zeros((len(labels), count), bool)
    for row, own in enumerate(labels):
        table[row, own] = True
    return table


def cell(train: list[list[str]], test: list[list[str]], seed: int = 0) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Our data, mteb's and the vectors; a text is near the centre of its first label."""
    all_labels = [*train, *test]
    vectors = around_centres([ord(own[0]) % 8 if own else 0 for own in all_labels], seed, spread=0.8)
    texts = list(vectors)
    data = MultilabelClassificationData(
        tuple(MultilabelText(text, tuple(own)) for text, own in zip(texts, train, strict=False)),
        tuple(MultilabelText(text, tuple(own)) for text, own in zip(texts[len(train) :], test, strict=True)),
    )
    splits = {
        "train": {"text": texts[: len(train)], "label": train},
        "test": {"text": texts[len(train) :], "label": test},
    }
    return data, splits, vectors


def random_labels(count: int, names: str, seed: int) -> list[list[str]]:
    rng = random.Random(seed)
    return [sorted(rng.sample(names, rng.randint(0, 3))) for _ in range(count)]


@settings(max_examples=30, deadline=None)
@given(labels=LABELS)
def test_draws_the_same_rows_as_mteb(labels: list[list[str]]) -> None:
    assert [rows.tolist() for rows in training_rows(labels)] == drawn_by_mteb(labels)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), labels=st.integers(2, 5), count=st.integers(1, 12))
def test_metrics_equal_mteb(data: st.DataObject, labels: int, count: int) -> None:
    cells = st.lists(st.booleans(), min_size=labels * count, max_size=labels * count)
    true, predicted = (np.array(data.draw(cells)).reshape(count, labels) for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "accuracy": (true == predicted).all(axis=1).mean(),
            "lrap": label_ranking_average_precision_score(true.astype(int), predicted.astype(int)),
            "f1": f1_score(true, predicted, average="macro"),
            "hamming": hamming_score(true.astype(int), predicted.astype(int)),
        }

    assert metrics(true, predicted) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.lists(st.integers(0, 4), unique=True, max_size=4).map(sorted), min_size=2, max_size=40),
    share=st.floats(0, 1, exclude_min=True, exclude_max=True),
)
def test_large_tests_are_cut_as_mteb_cuts_them(labels: list[list[int]], share: float) -> None:
    size = min(max(1, int(share * len(labels))), len(labels) - 1)
    table = as_table(labels, 5)
    if not table.any():
        table = table[:, :0]

    _, expected = _iterative_train_test_split(np.zeros((len(labels), 1)), table.astype(int), size / len(labels), 42)

    assert balanced_rows(labels, size).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("train", "test"),
    [
        pytest.param(random_labels(90, "abcde", 1), random_labels(40, "abcde", 2), id="random"),
        pytest.param(random_labels(90, "abcdefg", 3), random_labels(40, "abc", 4), id="labels only in training"),
        pytest.param(random_labels(90, "abc", 5), random_labels(40, "abcde", 6), id="labels only in the test"),
        pytest.param([["a"], ["b"], ["a", "b"], ["c"], ["c"]], [["a"], ["b", "c"]], id="five training texts"),
    ],
)
def test_a_cell_is_scored_as_mteb_does(train: list[list[str]], test: list[list[str]]) -> None:
    data, splits, vectors = cell(train, test)
    ticks: list[None] = []

    scores = MultilabelClassificationTask().score(data, KnownVectors(vectors), lambda: ticks.append(None))

    expected = mteb_scores(AbsTaskMultilabelClassification, "MultilabelClassification", splits, vectors)
    assert scores.metrics == pytest.approx(expected, abs=1e-12)
    assert scores.kind == "texts"
    assert scores.arrays["text"].tolist() == list(range(len(test)))
    assert scores.arrays["correct"].mean() == pytest.approx(expected["accuracy"], abs=1e-6)
    assert len(ticks) == 10


def test_a_large_test_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multilabel, "MAX_TEST_TEXTS", 100)
    data, splits, vectors = cell(random_labels(60, "abc", 1), random_labels(130, "abc", 2))

    train, test = MultilabelClassificationTask().parts(data)
    source = KnownVectors(vectors)
    scores = MultilabelClassificationTask().score(data, source, lambda: None)

    assert AbsTaskMultilabelClassification.max_eval_samples == 3_000
    expected = mteb_scores(
        AbsTaskMultilabelClassification, "MultilabelClassification", splits, vectors, max_eval_samples=100
    )
    assert scores.metrics == pytest.approx(expected, abs=1e-12)
    assert len(test.texts) == len(scores.arrays["text"]) == len(scores.arrays["correct"]) < 130
    assert test.texts == tuple(data.test[row].text for row in scores.arrays["text"])
    assert source.asked == [list(train.texts), list(test.texts)]
    assert source.fitted_on[0] == [example.text for example in data.train]


def test_equal_vectors_are_no_obstacle() -> None:
    data, splits, vectors = cell(random_labels(60, "abc", 1), random_labels(20, "abc", 2))
    vectors = {text: vectors["text 0"] if row % 2 else vector for row, (text, vector) in enumerate(vectors.items())}

    scores = MultilabelClassificationTask().score(data, KnownVectors(vectors), lambda: None)

    expected = mteb_scores(AbsTaskMultilabelClassification, "MultilabelClassification", splits, vectors)
    assert scores.metrics == pytest.approx(expected, abs=1e-12)


def test_a_single_label_is_scored() -> None:
    data, _, vectors = cell([["a"]] * 9 + [[]] * 3, [["a"], [], ["a"], ["a"]])

    scores = MultilabelClassificationTask().score(data, KnownVectors(vectors), lambda: None)

    assert scores.metrics == pytest.approx({"accuracy": 0.75, "lrap": 1.0, "f1": 6 / 7, "hamming": 0.75})
    assert scores.arrays["correct"].tolist() == [1, 0, 1, 1]


def test_sparse_vectors_are_learnt_from() -> None:
    data, _, vectors = cell(random_labels(100, "abc", 1), random_labels(40, "abc", 2))
    words = {text: np.where(vector > 0.1, vector, 0) for text, vector in vectors.items()}

    dense = MultilabelClassificationTask().score(data, KnownVectors(words), lambda: None)
    sparse = MultilabelClassificationTask().score(data, KnownVectors(words, sparse=True), lambda: None)

    assert sparse.metrics == pytest.approx(dense.metrics)


@pytest.mark.parametrize(
    ("train", "test", "problem"),
    [
        ([["a"], ["b"], ["a"], ["b"], []], [["a"]], "Fewer than 5 training texts have a label"),
        ([["a"], ["b"]] * 3, [[], []], "No test text has a label"),
    ],
)
def test_what_cannot_be_scored_is_said_before_anything_is_encoded(
    train: list[list[str]], test: list[list[str]], problem: str
) -> None:
    data, _, _ = cell(train, test)

    with pytest.raises(RunFailure, match=problem) as failure:
        MultilabelClassificationTask().parts(data)

    assert failure.value.code == "unsupported"
    assert failure.value.remedy


@pytest.mark.parametrize("module", [multilabel, stratify])
def test_examples_in_the_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
