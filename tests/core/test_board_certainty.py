"""A board's intervals: those of its parts, and ranks by the board's own rule on every resample."""

import numpy as np
import pytest
from scipy import stats

from app.core.aggregation import borda
from app.core.board_certainty import board_certainty
from app.core.resampling import percentiles, rank_intervals, ranks, resampled_means, units_of


def values(n: int, seed: int) -> np.ndarray:
    """Scores of four models, the last two alike."""
    generator = np.random.default_rng(seed)
    easy = generator.random((n, 1))
    return np.clip(easy + generator.normal([0.1, 0.05, 0.0, 0.0], 0.15, (n, 4)), 0, 1).round(1)


def test_one_dataset_is_its_own_means_ranked() -> None:
    units = units_of(values(200, 0))
    found = board_certainty([units], resamples=500)
    means = resampled_means(units, resamples=500)
    low, high = percentiles(means)
    assert (found.low[0] == low).all() and (found.high[0] == high).all()
    assert found.mean_low == pytest.approx(low) and found.mean_high == pytest.approx(high)
    best, worst = rank_intervals(ranks(means))
    assert (found.best.tolist(), found.worst.tolist()) == (best.tolist(), worst.tolist())


def test_ranks_over_datasets_are_bordas() -> None:
    datasets = [units_of(values(120, seed)) for seed in range(3)]
    found = board_certainty(datasets, resamples=40)
    drawn = [resampled_means(units, resamples=40, seed=42 + number) for number, units in enumerate(datasets)]
    each = np.array([borda(np.array([means[row] for means in drawn]).T, 4)[1] for row in range(40)])
    best, worst = rank_intervals(each)
    assert (found.best.tolist(), found.worst.tolist()) == (best.tolist(), worst.tolist())


def test_the_mean_over_datasets_is_surer_than_one() -> None:
    datasets = [units_of(values(150, seed)) for seed in range(4)]
    found = board_certainty(datasets, resamples=2_000)
    assert (found.mean_high - found.mean_low < (found.high - found.low).mean(axis=0) * 0.6).all()
    errors = [stats.sem(units.sums[:, 0]) for units in datasets]
    expected = 2 * 1.96 * np.sqrt(np.square(errors).sum()) / 4
    assert found.mean_high[0] - found.mean_low[0] == pytest.approx(expected, rel=0.1)


def test_models_that_are_far_apart_have_one_rank() -> None:
    table = np.random.default_rng(0).normal([0.9, 0.5, 0.1], 0.01, (100, 3))
    found = board_certainty([units_of(table)], resamples=300)
    assert found.best.tolist() == found.worst.tolist() == [1, 2, 3]


def test_datasets_must_be_of_the_same_models() -> None:
    for datasets in ([], [units_of(values(50, 0)), units_of(values(50, 0)[:, :2])]):
        with pytest.raises(ValueError, match="the same models"):
            board_certainty(datasets)
