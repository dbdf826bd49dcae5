"""Classification draws the same examples and gets the same metrics as MTEB."""

import doctest
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from mteb.abstasks.classification import AbsTaskClassification
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

from app.core.records import ClassificationData
from tests.worker.engine_world import classification_dataset
from worker.encoders.base import Similarity
from worker.scoring import classification
from worker.scoring.classification import ClassificationTask, encode_labels, metrics, score, training_rows

TASK: Any = SimpleNamespace(seed=42, samples_per_label=8, label_column_name="label")


def mteb_rows(labels: list[str]) -> list[list[int]]:
    """The rows MTEB draws in each experiment."""
    data, order, rows = Dataset.from_dict({"label": labels}), None, []
    for experiment in range(10):
        _, order, selected = AbsTaskClassification._undersample_data(TASK, data, experiment, order)
        rows.append(selected)
    return rows


def mteb_metrics(true: list[int], predicted: list[int]) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = AbsTaskClassification._calculate_scores(TASK, true, predicted)
    return {name: float(value) for name, value in found.items() if value is not None}  # type: ignore[arg-type]


@settings(max_examples=20, deadline=None)
@given(labels=st.lists(st.sampled_from(["x", "y", "z", "10", "9"]), min_size=1, max_size=80))
def test_draws_the_same_rows_as_mteb(labels: list[str]) -> None:
    assert [rows.tolist() for rows in training_rows(labels)] == mteb_rows(labels)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), labels=st.integers(1, 4), count=st.integers(1, 20))
def test_metrics_equal_mteb(data: st.DataObject, labels: int, count: int) -> None:
    codes = st.lists(st.integers(0, labels - 1), min_size=count, max_size=count)
    true, predicted = data.draw(codes), data.draw(codes)
    if len(set(true)) == 2 and 1 not in true:
        true = [int(code == max(true)) for code in true]  # MTEB raises for two labels without 1

    assert metrics(np.array(true), np.array(predicted)) == pytest.approx(mteb_metrics(true, predicted), abs=1e-12)


def test_two_labels_without_a_positive_one_have_no_average_precision() -> None:
    assert "ap" not in metrics(np.array([0, 2, 0]), np.array([0, 2, 2]))


def blobs(labels: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around a centre a label."""
    rng = np.random.default_rng(1)
    codes = np.arange(count) % labels
    return (rng.standard_normal((count, 6)) + 1.5 * np.eye(6)[codes]).astype(np.float32), codes


@pytest.mark.parametrize("labels", [2, 4])
def test_the_mean_over_experiments_equals_mteb(labels: int) -> None:
    train, train_codes = blobs(labels, 60)
    test, test_codes = blobs(labels, 23)
    rows = mteb_rows([str(code) for code in train_codes])
    expected = []
    for selected in rows:
        classifier = LogisticRegression(max_iter=100, random_state=42).fit(train[selected], train_codes[selected])
        expected.append(mteb_metrics(test_codes.tolist(), classifier.predict(test).tolist()))
    ticks: list[None] = []

    found = score(
        train,
        train_codes,
        [np.array(selected) for selected in rows],
        test,
        test_codes,
        tick=lambda: ticks.append(None),
    )

    means = {name: np.mean([each[name] for each in expected]) for name in expected[0]}
    assert found.metrics == pytest.approx(means, abs=1e-12)
    assert found.arrays["correct"].mean() == pytest.approx(found.metrics["accuracy"], abs=1e-6)
    assert found.kind == "texts"
    assert len(ticks) == 10


def test_sparse_vectors_are_learnt_from() -> None:
    vectors, codes = blobs(3, 45)
    sparse = csr_array(np.where(vectors > 0.7, vectors, 0))

    found = score(sparse, codes, [np.arange(24)], sparse, codes)

    assert found.metrics["accuracy"] > 0.6


@pytest.mark.parametrize(
    ("train", "test", "codes"),
    [
        (["b", "a"], ["a"], [[1, 0], [0]]),
        (["10", "9"], ["-1"], [[2, 1], [0]]),
        (["01", "1"], ["1"], [[0, 1], [1]]),
        (["2", "x"], ["10"], [[1, 2], [0]]),
    ],
)
def test_labels_are_numbered_in_their_order(train: list[str], test: list[str], codes: list[list[int]]) -> None:
    assert [found.tolist() for found in encode_labels(train, test)] == codes


class Animals:
    """A source that sees which animal a text is about."""

    similarity: Similarity = "cosine"

    def vectors(self, texts: list[str], role: object, fitted_on: list[str]) -> np.ndarray:
        assert len(fitted_on) == 33
        animals = ("cat", "dog", "tree")
        return np.array([[float(animal in text.split()) for animal in animals] for text in texts], np.float32)

    def rankings(self, *_: Any) -> Any:
        raise AssertionError("classification asks for vectors")


def test_a_cell_is_scored_on_the_rows_that_experiments_draw() -> None:
    data = classification_dataset(("cats", "dogs", "trees")).cells[0].data
    assert isinstance(data, ClassificationData)

    train, test = ClassificationTask().parts(data)
    scores = ClassificationTask().score(data, Animals(), lambda: None)

    drawn = set().union(*(rows.tolist() for rows in training_rows([example.label for example in data.train])))
    assert train.texts == tuple(data.train[row].text for row in sorted(drawn))
    assert len(test.texts) == len(data.test)
    assert scores.metrics["accuracy"] == 1.0


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(classification).failed == 0
