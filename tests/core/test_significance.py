"""Intervals, tests and corrections against scipy, hand-computed cases and an obvious slow reference."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from app.core.resampling import Stratum, units_of
from app.core.significance import (
    benjamini_hochberg,
    compare,
    compare_samples,
    compare_strata,
    holm,
    mean_interval,
    sign_flip,
)
from app.core.verdicts import Gate, Verdict, gate, judge, sentence


def scores(n: int, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two models with ties between them."""
    generator = np.random.default_rng(seed)
    a = generator.random(n).round(1)
    return a, (a + generator.normal(shift, 0.2, n)).round(1)


@pytest.mark.parametrize(("n", "shift"), [(20, 0.1), (60, 0.0), (500, 0.02)])
def test_p_values_are_scipys(n: int, shift: float) -> None:
    a, b = scores(n, shift)
    found = compare(a, b)
    theirs = stats.permutation_test(
        (a - b,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    )
    assert found.p == pytest.approx(theirs.pvalue, abs=4 * math.sqrt(found.p * (1 - found.p) / 10_000) + 1e-3)
    assert found.p_t == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-6)


def test_a_few_signs_are_all_of_them() -> None:
    """Of the 8 signs of three equal differences, two reach as far: p is near 1 / 4."""
    assert sign_flip(units_of([0.1, 0.1, 0.1]))[0] == pytest.approx(0.25, abs=0.02)


def test_no_difference_is_no_evidence() -> None:
    found = compare([0.5] * 60, [0.5] * 60)
    assert (found.value, found.p, found.wins, found.ties, found.losses, found.needed) == (0.0, 1.0, 0, 60, 0, None)
    assert math.isnan(found.p_t)


def test_p_is_never_zero() -> None:
    assert compare([1.0] * 100, [0.0] * 100).p == 1 / 10_001


def test_a_is_better_when_the_difference_is_positive() -> None:
    a, b = scores(400, -0.1)
    found, reverse = compare(a, b), compare(b, a)
    assert found.value == pytest.approx(0.1, abs=0.02)
    assert found.value == pytest.approx(-reverse.value)
    assert (found.wins, found.ties, found.losses) == (reverse.losses, reverse.ties, reverse.wins)
    assert found.interval.low < found.equality.low < found.value < found.equality.high < found.interval.high
    assert found.p == reverse.p


def test_float_noise_is_a_tie() -> None:
    found = compare([0.1 + 0.2] * 30, [0.3] * 30)
    assert (found.ties, found.p) == (30, 1.0)


def test_few_examples_have_students_interval() -> None:
    values = np.random.default_rng(2).random(20)
    found = mean_interval(values)
    theirs = stats.t.interval(0.95, 19, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high, found.n) == (pytest.approx(theirs[0]), pytest.approx(theirs[1]), 20)


def test_many_examples_have_the_percentile_bootstrap() -> None:
    values = np.random.default_rng(2).random(300)
    found = mean_interval(values)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(0))
    assert (found.low, found.high) == (
        pytest.approx(theirs.confidence_interval.low, abs=2e-3),
        pytest.approx(theirs.confidence_interval.high, abs=2e-3),
    )


def test_one_value_says_nothing_about_others() -> None:
    found = mean_interval([0.5])
    assert math.isnan(found.low) and math.isnan(found.high) and found.n == 1


def test_clusters_widen_what_is_known() -> None:
    values = np.repeat(np.random.default_rng(4).random(60), 10)
    alone, together = mean_interval(values), mean_interval(values, np.repeat(np.arange(60), 10))
    assert together.n == 60
    assert together.high - together.low > 2.5 * (alone.high - alone.low)


def test_clusters_are_flipped_together() -> None:
    differences = np.repeat([0.1, 0.1, 0.1, 0.1], 10)
    found = compare(differences, np.zeros(40), np.repeat(np.arange(4), 10))
    assert found.p == pytest.approx(2 / 16, abs=0.02)
    assert found.interval.n == 4


def test_the_needed_number_is_the_power_formula() -> None:
    a, b = scores(200, 0.02)
    found = compare(a, b)
    deviation = (a - b).std(ddof=1)
    assert found.needed == math.ceil((2.80 * deviation / found.value) ** 2)


@pytest.mark.parametrize(("a", "b"), [([0.1], [0.1, 0.2]), ([[0.1]], [[0.1]]), ([], [])])
def test_what_cannot_be_compared_is_refused(a: object, b: object) -> None:
    with pytest.raises(ValueError, match="shape"):
        compare(a, b)  # type: ignore[arg-type]


@given(some.lists(some.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_slow_definition(ps: list[float]) -> None:
    adjusted = holm(ps)
    ordered = sorted(ps)
    for p, found in zip(ps, adjusted, strict=True):
        place = ordered.index(p)
        assert found == pytest.approx(min(1, max((len(ps) - i) * ordered[i] for i in range(place + 1))))


@given(some.lists(some.floats(0, 1), min_size=1, max_size=12))
def test_benjamini_hochberg_is_scipys(ps: list[float]) -> None:
    assert benjamini_hochberg(ps) == pytest.approx(stats.false_discovery_control(ps))


@pytest.mark.parametrize("sizes", [(2,) * 25, (2, 100), (5, 5, 300), (4,) * 15])
def test_small_parts_do_not_make_a_mean_over_parts_surer_than_it_is(sizes: tuple[int, ...]) -> None:
    """Of two equal models, whose mean difference is zero: 95% within, give or take what 300 repeats leave open."""
    generator, held = np.random.default_rng(0), 0
    for _ in range(300):
        strata = [Stratum(units_of(generator.normal(0, 1, size)), 1 / len(sizes)) for size in sizes]
        found = compare_strata(strata, resamples=200)
        held += found.interval.low <= 0 <= found.interval.high
    assert 0.91 <= held / 300 <= 0.99


def test_many_parts_of_some_size_have_the_bootstrap_with_the_variance_of_examples() -> None:
    generator = np.random.default_rng(1)
    tables = [generator.normal(0, 1, 10) for _ in range(30)]
    found = compare_strata([Stratum(units_of(table), 1 / 30) for table in tables])
    error = np.sqrt(sum(stats.sem(table) ** 2 for table in tables)) / 30
    assert found.interval.high - found.interval.low == pytest.approx(2 * 1.96 * error, rel=0.03)


def test_a_part_of_one_example_leaves_no_interval_and_no_verdict() -> None:
    strata = [Stratum(units_of(np.full(60, 0.3) + np.arange(60) / 1e3), 0.5), Stratum(units_of([-0.2]), 0.5)]
    found = compare_strata(strata)
    assert np.isnan(found.interval.low) and found.needed is None
    judged = judge(found)
    assert judged.verdict is Verdict.TOO_FEW
    assert sentence(judged, "A", "B") == "No verdict: a part with a single example says nothing of how sure it is."
    assert gate(found, -0.01) is Gate.CANNOT_TELL


def test_equal_differences_have_no_t() -> None:
    assert np.isnan(compare(np.full(60, 0.3), np.full(60, 0.2)).p_t)


def test_a_metric_that_is_undefined_on_many_resamples_has_students_interval() -> None:
    values = np.random.default_rng(0).normal(0.1, 1, 60)
    strata = [Stratum(units_of(values), 1.0)]
    samples = np.where(np.arange(10_000) % 50, np.linspace(-0.1, 0.3, 10_000), np.nan)
    found = compare_samples(samples, np.zeros(10_000), float(values.mean()), strata)
    low, high = stats.t.interval(0.95, 59, values.mean(), stats.sem(values))
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert compare_samples(np.full(10, np.nan), np.zeros(10), 0.1, strata).interval == found.interval
