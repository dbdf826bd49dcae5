"""Contributions have the metric as their mean, and are what a little more weight on an example changes."""

import doctest
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import average_precision_score

from app.core import contributions
from app.core.contributions import average_precision_contributions, kendall_contributions, spearman_contributions
from app.core.resampled_metrics import resampled_average_precision, resampled_spearman
from app.core.resampling import percentiles, resampled_means, units_of

Metric = Callable[[np.ndarray, np.ndarray], float]
Contributions = Callable[[np.ndarray, np.ndarray], np.ndarray]


def pairs(n: int, decimals: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two related columns; the fewer decimals, the more ties."""
    generator = np.random.default_rng(seed)
    first = generator.normal(size=n)
    return first.round(decimals), (first + generator.normal(size=n)).round(max(0, decimals - 1))


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    return float(spearmanr(x, y).statistic)


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    return float(kendalltau(x, y).statistic)


def precision(x: np.ndarray, y: np.ndarray) -> float:
    return float(average_precision_score((y > 0).astype(int), x))


def precision_contributions(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return average_precision_contributions(x, y > 0)


METRICS = [
    pytest.param(spearman, spearman_contributions, id="Spearman"),
    pytest.param(kendall, kendall_contributions, id="Kendall"),
    pytest.param(precision, precision_contributions, id="average precision"),
]


@pytest.mark.parametrize("decimals", [0, 1, 6])
@pytest.mark.parametrize(("metric", "contributed"), METRICS)
def test_their_mean_is_the_metric(metric: Metric, contributed: Contributions, decimals: int) -> None:
    x, y = pairs(90, decimals)
    assert contributed(x, y).mean() == pytest.approx(metric(x, y), abs=1e-12)


@pytest.mark.parametrize(("metric", "contributed"), METRICS)
def test_each_is_what_more_of_an_example_changes(metric: Metric, contributed: Contributions) -> None:
    """By the definition of the influence function: every example forty times, one of them a few times more."""
    x, y = pairs(40, 1)
    whole, everyone = metric(x, y), np.repeat(np.arange(40), 40)
    influence = contributed(x, y) - whole
    for example in (0, 7, 19, 33):
        more = np.r_[everyone, [example] * 2]
        assert (metric(x[more], y[more]) - whole) / 2 * 1_600 == pytest.approx(influence[example], abs=0.03)


def test_equal_sides_have_no_correlation() -> None:
    for contributed in (spearman_contributions, kendall_contributions):
        assert np.isnan(contributed(np.ones(5), np.arange(5.0))).all()
        assert np.isnan(contributed(np.arange(5.0), np.ones(5))).all()


def test_kendalls_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = pairs(90, 1)
    whole = kendall_contributions(x, y)
    monkeypatch.setattr(contributions, "_BLOCK_VALUES", 200)
    assert kendall_contributions(x, y) == pytest.approx(whole, abs=1e-12)


def test_resampling_them_is_nearly_resampling_the_metric() -> None:
    """Over the same draws, for examples enough."""
    x, y = pairs(400, 6)
    drawn = {
        "rho": (resampled_means(units_of(spearman_contributions(x, y))), resampled_spearman(x, y)),
        "ap": (resampled_means(units_of(precision_contributions(x, y))), resampled_average_precision(x, y > 0)),
    }
    for linear, exact in drawn.values():
        width = np.ptp([*percentiles(exact)])
        assert np.array(percentiles(linear)) == pytest.approx(np.array(percentiles(exact)), abs=0.1 * width)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(contributions).failed == 0
