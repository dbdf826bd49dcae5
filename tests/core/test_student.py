"""Student's t against scipy."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from app.core.student import t_quantile, t_tails

DEGREES = (1, 2, 3, 10, 49, 1_000, 100_000)


@given(t=some.floats(-1_000, 1_000), df=some.sampled_from(DEGREES))
def test_tails_are_scipys(t: float, df: int) -> None:
    assert t_tails(t, df) == pytest.approx(2 * stats.t.sf(abs(t), df), rel=1e-8, abs=1e-290)


def test_nothing_and_infinity() -> None:
    assert t_tails(0.0, 5) == 1.0
    assert t_tails(float("inf"), 5) == t_tails(float("-inf"), 5) == 0.0


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("df", DEGREES)
def test_quantiles_are_scipys(level: float, df: int) -> None:
    assert t_quantile(level, df) == pytest.approx(stats.t.ppf((1 + level) / 2, df), rel=1e-9)
