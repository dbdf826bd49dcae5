"""Resamples: the same draws for all, whole clusters, and intervals as scipy finds them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from app.core.resampling import (
    percentiles,
    rank_intervals,
    ranks,
    resample_counts,
    resampled_means,
    units_of,
)


def test_every_resample_draws_as_many_units_as_there_are() -> None:
    counts = np.concatenate(list(resample_counts(7, resamples=1_000)))
    assert counts.shape == (1_000, 7)
    assert set(counts.sum(axis=1)) == {7.0}
    assert counts.mean(axis=0) == pytest.approx(np.ones(7), abs=0.15)


def test_the_seed_decides() -> None:
    first, again, other = (np.concatenate(list(resample_counts(50, resamples=9, seed=seed))) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_draws_do_not_depend_on_how_many_are_made_at_a_time() -> None:
    few = np.concatenate(list(resample_counts(300_000, resamples=2)))
    assert few.shape == (2, 300_000)
    assert set(few.sum(axis=1)) == {300_000.0}


def test_equal_models_have_equal_means_on_every_resample() -> None:
    values = np.random.default_rng(0).random(100)
    means = resampled_means(units_of(np.column_stack([values, values])), resamples=200)
    assert means[:, 0] == pytest.approx(means[:, 1], abs=1e-12)


def test_intervals_of_a_mean_are_scipys() -> None:
    values = np.random.default_rng(3).beta(2, 5, 400)
    low, high = percentiles(resampled_means(units_of(values)))
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=6e-4)


def test_clusters_are_drawn_whole() -> None:
    values = np.array([1.0, 1.0, 1.0, 0.0])
    units = units_of(values, ["a", "a", "a", "b"])
    assert (units.sums.tolist(), units.sizes.tolist(), units.means.tolist()) == ([[3.0], [0.0]], [3.0, 1.0], [0.75])
    assert set(resampled_means(units, resamples=200).ravel()) == {0.0, 0.75, 1.0}


@given(some.lists(some.lists(some.sampled_from([0.1, 0.2, 0.3]), min_size=4, max_size=4), min_size=1, max_size=5))
def test_ranks_count_those_with_more(rows: list[list[float]]) -> None:
    assert ranks(rows).tolist() == [[1 + sum(other > one for other in row) for one in row] for row in rows]


def test_float_noise_does_not_decide_a_rank() -> None:
    assert ranks([[0.1 + 0.2, 0.3]]).tolist() == [[1, 1]]


def test_rank_intervals_are_ranks_that_occurred() -> None:
    sampled = np.array([[1, 2]] * 90 + [[2, 1]] * 10)
    best, worst = rank_intervals(sampled)
    assert (best.tolist(), worst.tolist()) == ([1, 1], [2, 2])
    best, worst = rank_intervals(np.array([[1, 2]] * 99 + [[2, 1]]))
    assert (best.tolist(), worst.tolist()) == ([1, 2], [1, 2])


@pytest.mark.parametrize("values", [[], [[]], [0.1, float("nan")], np.zeros((2, 2, 2))])
def test_what_cannot_be_drawn_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match="values of shape"):
        units_of(values)  # type: ignore[arg-type]


def test_clusters_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 examples and clusters"):
        units_of([0.1, 0.2], ["a"])
