"""Spearman and average precision on resamples, against scipy and scikit-learn on the very examples drawn."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from app.core.resampled_metrics import resampled_average_precision, resampled_spearman
from app.core.resampling import percentiles, resample_counts


def drawn(n: int, resamples: int) -> list[np.ndarray]:
    """The examples of each resample, with repetitions."""
    counts = np.concatenate(list(resample_counts(n, resamples=resamples)))
    return [np.repeat(np.arange(n), row.astype(int)) for row in counts]


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Two models' similarities, with ties, and gold scores."""
    generator = np.random.default_rng(0)
    gold = generator.integers(0, 6, 80).astype(float)
    return np.column_stack([gold + generator.normal(0, noise, 80) for noise in (1, 3)]).round(1), gold


def test_every_resample_is_scipys_spearman(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, gold = pairs
    found = resampled_spearman(predicted, gold, resamples=30)
    for row, members in zip(found, drawn(80, 30), strict=True):
        theirs = [stats.spearmanr(predicted[members, model], gold[members]).statistic for model in (0, 1)]
        assert row == pytest.approx(theirs, abs=1e-12)


def test_the_interval_is_scipys(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, gold = pairs
    low, high = percentiles(resampled_spearman(predicted[:, 0], gold))
    theirs = stats.bootstrap(
        (predicted[:, 0], gold),
        lambda x, y: stats.spearmanr(x, y).statistic,
        paired=True,
        vectorized=False,
        n_resamples=2_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_every_resample_is_scikit_learns_average_precision(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    scores, gold = pairs
    labels = (gold > 3).astype(int)
    found = resampled_average_precision(scores, labels, resamples=30)
    for row, members in zip(found, drawn(80, 30), strict=True):
        theirs = [average_precision_score(labels[members], scores[members, model]) for model in (0, 1)]
        assert row == pytest.approx(theirs, abs=1e-12)


def test_what_a_resample_cannot_tell_is_nan() -> None:
    assert np.isnan(resampled_spearman([0.5, 0.5, 0.5], [1, 2, 3], resamples=5)).all()
    found = resampled_average_precision([0.1, 0.2, 0.3], [0, 0, 1], resamples=200)[:, 0]
    assert np.isnan(found).any() and not np.isnan(found).all()


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.1, 0.2], [0, 2], "neither 0 nor 1"),
        ([0.1, 0.2], [1], "shape"),
        ([], [], "shape"),
        ([0.1, float("nan")], [0, 1], "not finite"),
    ],
)
def test_what_cannot_be_computed_is_refused(scores: list[float], labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resampled_average_precision(scores, labels)
