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

from app.core.records import ClassificationData, LabelledText
from tests.worker.mteb_tasks import KnownVectors, around_centres, mteb_scores
from worker.scoring import classification
from worker.scoring.classification import ClassificationTask, metrics, numbered, score, training_rows

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
    assert "ap" not in metrics(np.array([0, 1, 0]), np.array([0, 1, 1]), positive=None)


def test_average_precision_by_hand() -> None:
    true, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])

    assert metrics(true, predicted)["ap"] == pytest.approx(2 / 3)  # both true ones among the three predicted ones
    assert metrics(true, predicted, positive=0)["ap"] == pytest.approx(5 / 12)  # 1/3 at half, 1/2 at all of them


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
    right = found.arrays["predicted"] == test_codes[:, None]
    assert right.shape[1] == len(rows) and right.mean(axis=1) == pytest.approx(found.arrays["correct"])
    assert found.kind == "texts"
    assert len(ticks) == 10


def test_sparse_vectors_are_learnt_from() -> None:
    vectors, codes = blobs(3, 45)
    sparse = csr_array(np.where(vectors > 0.7, vectors, 0))

    found = score(sparse, codes, [np.arange(24)], sparse, codes)

    assert found.metrics["accuracy"] > 0.6


@pytest.mark.parametrize(
    ("labels", "ordered"),
    [
        ({"b", "a"}, ["a", "b"]),
        ({"10", "9", "-1"}, ["-1", "9", "10"]),
        ({"01", "1"}, ["01", "1"]),
        ({"2", "x", "10"}, ["10", "2", "x"]),
    ],
)
def test_labels_are_numbered_in_their_order(labels: set[str], ordered: list[str]) -> None:
    assert numbered(labels) == {label: code for code, label in enumerate(ordered)}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        pytest.param([row % 3 for row in range(60)], [row % 3 for row in range(25)], id="three labels"),
        pytest.param([row % 2 for row in range(40)], [row % 2 for row in range(25)], id="0 and 1"),
        pytest.param([row % 2 + 1 for row in range(40)], [row % 2 + 1 for row in range(25)], id="1 and 2"),
        pytest.param([2 * (row % 2) - 1 for row in range(40)], [2 * (row % 2) - 1 for row in range(25)], id="-1 and 1"),
        pytest.param([row % 3 for row in range(60)], [row % 2 for row in range(25)], id="two of three labels"),
        pytest.param([row % 3 for row in range(60)], [1] * 9, id="one label in the test"),
        pytest.param([row % 2 for row in range(60)], [row % 3 for row in range(25)], id="a label only in the test"),
        pytest.param([row % 12 for row in range(150)], [row % 11 for row in range(40)], id="numbers above 9"),
        pytest.param([row % 15 for row in range(28)], [row % 15 for row in range(28)], id="few texts a label"),
    ],
)
def test_a_cell_is_scored_as_mteb_does(train: list[int], test: list[int]) -> None:
    vectors = around_centres([label % 13 for label in [*train, *test]], spread=1.5)
    texts = [LabelledText(text, str(label)) for text, label in zip(vectors, [*train, *test], strict=True)]
    data = ClassificationData(tuple(texts[: len(train)]), tuple(texts[len(train) :]))
    source = KnownVectors(vectors)

    parts = ClassificationTask().parts(data)
    scores = ClassificationTask().score(data, source, lambda: None)

    splits = {
        "train": {"text": [text.text for text in data.train], "label": train},
        "test": {"text": [text.text for text in data.test], "label": test},
    }
    expected = mteb_scores(AbsTaskClassification, "Classification", splits, vectors)
    assert scores.metrics == pytest.approx(expected, abs=1e-12)
    drawn = set().union(*(rows.tolist() for rows in training_rows([text.label for text in data.train])))
    assert parts[0].texts == tuple(data.train[row].text for row in sorted(drawn))
    assert source.asked == [list(part.texts) for part in parts]
    assert source.fitted_on[0] == [text.text for text in data.train]


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(classification).failed == 0
