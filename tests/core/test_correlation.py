"""Rank correlation: by hand, and against scipy with and without ties."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from app.core import correlation
from app.core.correlation import kendall, spearman

PAIRS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=3, max_size=40)


@pytest.mark.parametrize(
    ("x", "y", "rho", "tau"),
    [
        ([1, 2, 3], [1, 2, 3], 1.0, 1.0),
        ([1, 2, 3], [30, 20, 10], -1.0, -1.0),
        ([1, 2, 3, 4], [1, 2, 4, 3], 0.8, 4 / 6),
        ([1, 2, 2, 4], [1, 2, 3, 4], 4.5 / math.sqrt(4.5 * 5), 5 / math.sqrt(5 * 6)),
    ],
)
def test_by_hand(x: list[float], y: list[float], rho: float, tau: float) -> None:
    assert spearman(x, y) == pytest.approx(rho, abs=1e-12)
    assert kendall(x, y) == pytest.approx(tau, abs=1e-12)


@given(PAIRS)
def test_as_scipy_has_it(pairs: list[tuple[int, int]]) -> None:
    x, y = (list(values) for values in zip(*pairs, strict=True))
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(spearman(x, y)) and math.isnan(kendall(x, y))
        return
    assert spearman(x, y) == pytest.approx(float(stats.spearmanr(x, y).statistic), abs=1e-12)
    assert kendall(x, y) == pytest.approx(float(stats.kendalltau(x, y).statistic), abs=1e-12)


def test_a_large_board_with_ties() -> None:
    random = np.random.default_rng(7)
    x = random.integers(1, 200, 450)
    y = x + random.integers(-40, 40, 450)
    assert spearman(x, y) == pytest.approx(float(stats.spearmanr(x, y).statistic), abs=1e-12)
    assert kendall(x, y) == pytest.approx(float(stats.kendalltau(x, y).statistic), abs=1e-12)


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0]])
def test_without_two_different_values_there_is_none(values: list[float]) -> None:
    assert math.isnan(spearman(values, values))
    assert math.isnan(kendall(values, values))


@pytest.mark.parametrize("correlate", [spearman, kendall])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2], [1, 2, 3], r"x of shape \(2,\) and y of shape \(3,\)"),
        ([[1, 2]], [[1, 2]], r"x of shape \(1, 2\)"),
        ([1, math.nan], [1, 2], "a value is not finite"),
        ([1, 2], [1, math.inf], "a value is not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(correlate: object, x: object, y: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        correlate(x, y)  # type: ignore[operator]


def test_the_examples() -> None:
    tested = doctest.testmod(correlation)
    assert tested.attempted == 2 and not tested.failed
