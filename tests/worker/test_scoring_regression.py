"""Regression draws the same texts and gets the same metrics as MTEB."""

import doctest
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset
from datasets.utils.stratify import stratified_shuffle_split_generate_indices
from hypothesis import given, settings
from hypothesis import strategies as st
from mteb.abstasks import AbsTaskRegression

from app.core.records import RegressionData, ValuedText
from tests.worker.mteb_tasks import KnownVectors, around_centres, mteb_scores
from worker.scoring import regression
from worker.scoring.regression import RegressionTask, metrics, training_rows
from worker.scoring.stratify import drawn_by_bin, quantile_bins

VALUES = st.lists(st.one_of(st.integers(0, 3).map(float), st.floats(-1e9, 1e9)), min_size=2, max_size=80)


def cell(train: int, test: int, seed: int = 0) -> tuple[RegressionData, dict[str, Any], dict[str, Any]]:
    """Our data, mteb's and the vectors; a value is a noisy linear function of the vector."""
    vectors = around_centres([0] * (train + test), seed)
    rng = np.random.default_rng(seed)
    values = [round(float(vector[:3].sum() + 0.3 * rng.standard_normal()), 2) for vector in vectors.values()]
    texts = [ValuedText(text, value) for text, value in zip(vectors, values, strict=True)]
    splits = {
        name: {"text": [text.text for text in part], "value": [text.value for text in part]}
        for name, part in (("train", texts[:train]), ("test", texts[train:]))
    }
    return RegressionData(tuple(texts[:train]), tuple(texts[train:])), splits, vectors


@settings(max_examples=100, deadline=None)
@given(values=VALUES.filter(lambda values: len(set(values)) > 1))
def test_deciles_are_cut_as_pandas_cuts_them(values: list[float]) -> None:
    assert quantile_bins(np.array(values)).tolist() == pd.qcut(values, 10, labels=False, duplicates="drop").tolist()


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(2, 30), min_size=1, max_size=6),
    share=st.floats(0, 1),
    seed=st.integers(0, 50),
)
def test_rows_are_drawn_from_bins_as_datasets_draws_them(counts: list[int], share: float, seed: int) -> None:
    bins = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    size = min(max(len(counts), int(share * len(bins))), len(bins) - len(counts))
    generator = np.random.default_rng(seed)

    _, expected = next(stratified_shuffle_split_generate_indices(bins, len(bins) - size, size, generator))

    assert drawn_by_bin(bins, size, seed).tolist() == expected.tolist()


@pytest.mark.parametrize("distinct", [300, 7])
def test_draws_the_same_rows_as_mteb(distinct: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regression, "SAMPLES", 200)
    values = np.random.default_rng(distinct).permutation(np.arange(300) % distinct) / 3
    data = Dataset.from_dict({"value": values.tolist()})
    task: Any = SimpleNamespace(seed=42, n_samples=200, label_column_name="value")
    task.stratified_subsampling = AbsTaskRegression.stratified_subsampling

    expected = [list(AbsTaskRegression._undersample_data(task, data, number)[2]) for number in range(10)]

    assert [rows.tolist() for rows in training_rows(values)] == expected


def test_a_bin_of_one_row_is_no_obstacle() -> None:
    values = np.concatenate([[0.0], np.ones(2_060), [2.0]])  # where MTEB raises

    assert all(len(set(rows.tolist())) == 2_048 for rows in training_rows(values))


@pytest.mark.parametrize(("train", "test"), [(120, 40), (15, 9), (220, 30)])
def test_a_cell_is_scored_as_mteb_does(train: int, test: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert AbsTaskRegression.n_samples == regression.SAMPLES
    monkeypatch.setattr(regression, "SAMPLES", 200)
    data, splits, vectors = cell(train, test)
    ticks: list[None] = []
    source = KnownVectors(vectors)

    parts = RegressionTask().parts(data)
    scores = RegressionTask().score(data, source, lambda: ticks.append(None))

    expected = mteb_scores(AbsTaskRegression, "Regression", splits, vectors, n_samples=200)
    assert scores.metrics == pytest.approx(expected, abs=1e-12)
    assert source.asked == [list(part.texts) for part in parts]
    assert scores.kind == "texts"
    assert scores.arrays["gold"].tolist() == pytest.approx([text.value for text in data.test])
    assert metrics(scores.arrays["gold"], scores.arrays["predicted"])["mae"] == pytest.approx(expected["mae"], rel=0.05)
    assert len(ticks) == (10 if train > 200 else 1)


def test_equal_vectors_leave_kendalls_tau_undefined() -> None:
    data, splits, vectors = cell(30, 8)
    vectors = dict.fromkeys(vectors, vectors["text 0"])

    scores = RegressionTask().score(data, KnownVectors(vectors), lambda: None)

    expected = mteb_scores(AbsTaskRegression, "Regression", splits, vectors)
    assert math.isnan(scores.metrics.pop("kendalltau"))
    assert scores.metrics == pytest.approx(expected, abs=1e-6)


def test_a_single_test_text_has_no_r2() -> None:
    found = metrics(np.array([1.0]), np.array([3.0]))

    assert math.isnan(found.pop("kendalltau"))
    assert found == {"mse": 4.0, "mae": 2.0, "rmse": 2.0}


def test_sparse_vectors_are_learnt_from() -> None:
    data, _, vectors = cell(200, 40)

    dense = RegressionTask().score(data, KnownVectors(vectors), lambda: None)
    sparse = RegressionTask().score(data, KnownVectors(vectors, sparse=True), lambda: None)

    assert sparse.metrics["kendalltau"] == pytest.approx(dense.metrics["kendalltau"], abs=0.01)


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(regression).failed == 0
