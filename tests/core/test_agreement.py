"""Our statistics beside scipy's and statsmodels' on the same data; test_all_pairs has a slow form of Tukey's test."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from app.core.contributions import kendall_contributions, spearman_contributions
from app.core.resampled_metrics import resampled_spearman
from app.core.resampling import Stratum, percentiles, units_of
from app.core.significance import (
    EQUALITY_LEVEL,
    benjamini_hochberg,
    compare,
    compare_samples,
    compare_strata,
    holm,
    mean_interval,
    sign_flip,
)

RESAMPLES = 20_000


def two_models(kind: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of two models on the same examples."""
    generator = np.random.default_rng((n, len(kind)))
    if kind == "binary":
        return (generator.random(n) < 0.6).astype(float), (generator.random(n) < 0.52).astype(float)
    ease = generator.random(n)
    if kind == "reciprocal ranks":
        ranks = np.ceil(1 + 20 * ease + generator.normal(0, 3, n).clip(-15, 15)).clip(1)
        return 1 / ranks, 1 / np.ceil(ranks + generator.normal(0.2, 2, n)).clip(1)
    return ease + generator.exponential(0.2, n), ease + generator.normal(0.16, 0.1, n)


def chance(p: float, resamples: int) -> float:
    """How far two shares of so many draws may be apart, in five of a million cases."""
    return 4.6 * math.sqrt(2 * p * (1 - p) / resamples) + 2 / resamples


@pytest.mark.parametrize("kind", ["binary", "reciprocal ranks", "skewed"])
@pytest.mark.parametrize("n", [40, 300])
class TestTwoModels:
    def test_permutations_are_scipys(self, kind: str, n: int) -> None:
        a, b = two_models(kind, n)
        theirs = stats.permutation_test(
            (a, b),
            lambda x, y, axis: (x - y).mean(axis=axis),
            permutation_type="samples",
            n_resamples=RESAMPLES,
            vectorized=True,
            rng=np.random.default_rng(7),
        ).pvalue
        assert compare(a, b, resamples=RESAMPLES).p == pytest.approx(theirs, abs=chance(theirs, RESAMPLES))

    def test_the_t_test_is_scipys(self, kind: str, n: int) -> None:
        a, b = two_models(kind, n)
        assert compare(a, b, resamples=10).p_t == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-6)

    def test_intervals_of_the_difference_are_scipys(self, kind: str, n: int) -> None:
        a, b = two_models(kind, n)
        found = compare(a, b, resamples=RESAMPLES)
        for ours, level in ((found.interval, 0.95), (found.equality, EQUALITY_LEVEL)):
            if n < 50:
                theirs = stats.ttest_rel(a, b).confidence_interval(level)
                allowed = 1e-7
            else:
                theirs = bootstrapped((a - b,), np.mean, level)
                allowed = (theirs.high - theirs.low) * 0.03
            assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=allowed)

    def test_the_interval_of_a_score_is_scipys(self, kind: str, n: int) -> None:
        values = two_models(kind, n)[0]
        found = mean_interval(values, resamples=RESAMPLES)
        if n < 50:
            low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
            assert (found.low, found.high) == pytest.approx((low, high), abs=1e-7)
        else:
            theirs = bootstrapped((values,), np.mean, 0.95)
            allowed = (theirs.high - theirs.low) * 0.03
            assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=allowed)


def bootstrapped(data: tuple[np.ndarray, ...], statistic: object, level: float, **options: object) -> object:
    """scipy's percentile interval."""
    found = stats.bootstrap(
        data,
        statistic,
        confidence_level=level,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(3),
        **options,
    )
    return found.confidence_interval


def test_every_sign_is_as_likely_as_scipys_exact_ones() -> None:
    """Ten examples have 1,024 signs, which scipy all tries."""
    differences = np.round(np.random.default_rng(1).normal(0.3, 0.5, 10), 1)
    theirs = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=False
    )
    ours = sign_flip(units_of(differences), resamples=RESAMPLES)[0]
    assert ours == pytest.approx(theirs.pvalue, abs=chance(theirs.pvalue, RESAMPLES))


def test_one_stratum_of_clusters_is_scipy_on_their_sums() -> None:
    """Clusters of one size are examples of their own."""
    differences = np.random.default_rng(2).normal(0.05, 0.3, (60, 4))
    clusters = np.repeat(np.arange(60), 4)
    found = compare_strata([Stratum(units_of(differences.ravel(), clusters), 1.0)], resamples=RESAMPLES)
    means = differences.mean(axis=1)
    theirs = stats.permutation_test(
        (means,), np.mean, permutation_type="samples", n_resamples=5_000, vectorized=False, rng=np.random.default_rng(0)
    )
    assert found.p == pytest.approx(theirs.pvalue, abs=chance(theirs.pvalue, 5_000))
    assert found.p_t == pytest.approx(stats.ttest_1samp(means, 0).pvalue, rel=1e-6)
    ends = bootstrapped((means,), np.mean, 0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((ends.low, ends.high), abs=3e-3)


@pytest.mark.parametrize("count", [1, 2, 10, 200])
@pytest.mark.parametrize("tied", [False, True])
def test_corrections_are_statsmodels(count: int, tied: bool) -> None:
    ps = np.random.default_rng(count).beta(0.5, 2, count)
    ps = ps.round(1) if tied else ps
    assert holm(ps) == pytest.approx(multipletests(ps, method="holm")[1], abs=1e-12)
    assert benjamini_hochberg(ps) == pytest.approx(multipletests(ps, method="fdr_bh")[1], abs=1e-12)


def pairs(n: int, *, tied: bool) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of two models, shape (n, 2), and gold scores."""
    generator = np.random.default_rng(n)
    gold = generator.normal(0, 1, n)
    found = gold[:, None] + generator.normal(0, 1, (n, 1)) * 0.5 + generator.normal(0, [0.6, 0.9], (n, 2))
    return (found.round(1), gold.round()) if tied else (found, gold)


def spearman_by_rows(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    """`stats.spearmanr` of every row, which takes no rows itself."""
    ranked = stats.rankdata(x, axis=axis), stats.rankdata(y, axis=axis)
    centred = [one - one.mean(axis=axis, keepdims=True) for one in ranked]
    sizes = [np.square(one).sum(axis=axis) for one in centred]
    return (centred[0] * centred[1]).sum(axis=axis) / np.sqrt(sizes[0] * sizes[1])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("n", [60, 150])
class TestSpearman:
    def test_intervals_are_scipys(self, n: int, tied: bool) -> None:
        similarity, gold = pairs(n, tied=tied)
        own = similarity[:, 0]
        assert spearman_by_rows(own, gold) == pytest.approx(stats.spearmanr(own, gold).statistic)
        (low,), (high,) = percentiles(resampled_spearman(own, gold, resamples=RESAMPLES))
        theirs = bootstrapped((own, gold), spearman_by_rows, 0.95, paired=True)
        assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * (theirs.high - theirs.low))

    def test_intervals_of_the_difference_are_scipys(self, n: int, tied: bool) -> None:
        similarity, gold = pairs(n, tied=tied)
        samples = resampled_spearman(similarity, gold, resamples=RESAMPLES)
        a, b = (spearman_contributions(one, gold) for one in similarity.T)
        value = float((a - b).mean())
        found = compare_samples(samples[:, 0], samples[:, 1], value, [Stratum(units_of(a - b), 1.0)])

        def apart(x: np.ndarray, y: np.ndarray, z: np.ndarray, axis: int = -1) -> np.ndarray:
            return spearman_by_rows(x, z, axis) - spearman_by_rows(y, z, axis)

        theirs = bootstrapped((*similarity.T, gold), apart, 0.95, paired=True)
        allowed = 0.03 * (theirs.high - theirs.low)
        assert (found.interval.low, found.interval.high) == pytest.approx((theirs.low, theirs.high), abs=allowed)

    def test_contributions_add_up_to_scipys_and_spread_as_its_bootstrap(self, n: int, tied: bool) -> None:
        similarity, gold = pairs(n, tied=tied)
        own = similarity[:, 0]
        for contributions, metric in (
            (spearman_contributions(own, gold), stats.spearmanr),
            (kendall_contributions(own, gold), stats.kendalltau),
        ):
            assert contributions.mean() == pytest.approx(metric(own, gold).statistic, abs=1e-12)
        errors = bootstrap_error(own, gold)
        assert stats.sem(spearman_contributions(own, gold)) == pytest.approx(errors, rel=0.12)


def bootstrap_error(x: np.ndarray, y: np.ndarray) -> float:
    return float(
        stats.bootstrap(
            (x, y), spearman_by_rows, paired=True, n_resamples=4_000, method="percentile", rng=np.random.default_rng(5)
        ).standard_error
    )
