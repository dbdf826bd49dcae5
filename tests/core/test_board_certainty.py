"""A board's intervals: those of its parts, and ranks by the board's own rule on every resample."""

import numpy as np
import pytest
from scipy import stats

from app.core.aggregation import DatasetMeans, borda
from app.core.all_pairs import tiers, tukey
from app.core.board_certainty import BoardCertainty, ColumnValues, board_certainty, certainty_by_task
from app.core.resampling import Stratum, percentiles, rank_intervals, ranks, resample_counts, resampled_means, units_of


def values(n: int, seed: int) -> np.ndarray:
    """Scores of four models, the last two alike."""
    generator = np.random.default_rng(seed)
    easy = generator.random((n, 1))
    return np.clip(easy + generator.normal([0.1, 0.05, 0.0, 0.0], 0.15, (n, 4)), 0, 1).round(1)


def column(*cells: np.ndarray, models: tuple[int, ...] = (0, 1, 2, 3), tested: bool = True) -> ColumnValues:
    """A dataset of these cells."""
    strata = [Stratum(units_of(cell), 1 / len(cells)) for cell in cells]
    return ColumnValues(np.array(models), strata, tested)


def certainty(*columns: ColumnValues | None, types: str = "", resamples: int = 300, extra: float = 0) -> BoardCertainty:
    """Of a board of four models; `extra` is the score of datasets without values."""
    means = np.full((4, len(columns)), np.nan)
    for place, one in enumerate(columns):
        means[:, place] = extra or np.nan
        if one is not None:
            means[one.models, place] = sum(stratum.weight * stratum.units.means for stratum in one.strata)
    return board_certainty(columns, DatasetMeans(means, means), types or "a" * len(columns), resamples=resamples)


def test_one_dataset_is_its_own_means_ranked() -> None:
    table = values(200, 0)
    found = certainty(column(table), resamples=500)
    means = resampled_means(units_of(table), resamples=500, seed=(42, 0))
    low, high = percentiles(means)
    assert (found.low[:, 0] == low).all() and (found.high[:, 0] == high).all()
    for name in ("mean_task", "mean_task_type", "type:a"):
        assert found.means[name][0] == pytest.approx(low) and found.means[name][1] == pytest.approx(high)
    best, worst = rank_intervals(ranks(means))
    assert (found.best.tolist(), found.worst.tolist()) == (best.tolist(), worst.tolist())
    assert found.n.tolist() == [200]


def test_ranks_over_datasets_are_bordas() -> None:
    tables = [values(120, seed) for seed in range(3)]
    found = certainty(*map(column, tables), resamples=40)
    drawn = [resampled_means(units_of(table), resamples=40, seed=(42, place)) for place, table in enumerate(tables)]
    each = np.array([borda(np.array([means[row] for means in drawn]).T, 4)[1] for row in range(40)])
    best, worst = rank_intervals(each)
    assert (found.best.tolist(), found.worst.tolist()) == (best.tolist(), worst.tolist())


def test_the_mean_over_datasets_is_surer_than_one() -> None:
    tables = [values(150, seed) for seed in range(4)]
    found = certainty(*map(column, tables), resamples=2_000)
    low, high = found.means["mean_task"]
    assert (high - low < (found.high - found.low).mean(axis=1) * 0.6).all()
    errors = [stats.sem(table[:, 0]) for table in tables]
    assert high[0] - low[0] == pytest.approx(2 * 1.96 * np.sqrt(np.square(errors).sum()) / 4, rel=0.1)


def test_cells_count_alike_whatever_their_size() -> None:
    small, large = values(60, 0), values(600, 1)
    found = certainty(column(small, large), resamples=2_000)
    error = np.sqrt(stats.sem(small[:, 0]) ** 2 + stats.sem(large[:, 0]) ** 2) / 2
    assert found.high[0, 0] - found.low[0, 0] == pytest.approx(2 * 1.96 * error, rel=0.1)
    middle = (found.high[0, 0] + found.low[0, 0]) / 2
    assert middle == pytest.approx((small[:, 0].mean() + large[:, 0].mean()) / 2, abs=error / 2)
    assert found.n.tolist() == [660]


def test_means_by_type_are_those_of_their_datasets() -> None:
    tables = [values(100, seed) for seed in range(3)]
    found = certainty(*map(column, tables), types="aab", resamples=200)
    drawn = [resampled_means(units_of(table), resamples=200, seed=(42, place)) for place, table in enumerate(tables)]
    by_type = (drawn[0] + drawn[1]) / 2, drawn[2]
    for name, samples in zip(("type:a", "type:b"), by_type, strict=True):
        assert np.array(found.means[name]) == pytest.approx(np.array(percentiles(samples)))
    assert np.array(found.means["mean_task_type"]) == pytest.approx(np.array(percentiles(sum(by_type) / 2)))


def test_models_that_are_far_apart_have_one_rank_and_a_tier_each() -> None:
    table = np.random.default_rng(0).normal([0.9, 0.5, 0.1, 0.0], 0.01, (100, 4))
    found = certainty(column(table))
    assert found.best.tolist() == found.worst.tolist() == found.tiers.tolist() == [1, 2, 3, 4]


def test_tiers_and_p_are_those_of_the_tested_datasets() -> None:
    tested, draws = values(150, 0), np.random.default_rng(1).random((10, 4))
    found = certainty(column(tested), column(draws, tested=False), resamples=500)
    p = tukey([Stratum(units_of(tested), 1.0)], resamples=500)
    assert found.tested.tolist() == [True, False]
    assert found.p == pytest.approx(p)
    assert found.tiers.tolist() == tiers(tested.mean(axis=0), p).tolist()
    assert np.isfinite(found.low).all() and (found.best > 0).all()  # the draws spread all the same


def test_a_model_that_lacks_a_dataset_has_a_rank_but_no_mean() -> None:
    found = certainty(column(values(100, 0)), column(values(100, 1)[:, 1:], models=(1, 2, 3)))
    assert np.isnan(found.low[0, 1]) and np.isnan(found.means["mean_task"][0][0])
    assert np.isfinite(found.means["mean_task"][0][1:]).all()
    assert (found.best > 0).all() and found.best[0] == 2  # never before model 1
    assert found.tiers[0] == 0 and (found.tiers[1:] > 0).all()
    assert np.isnan(found.p[0]).all() and np.isfinite(found.p[1:, 1:]).all()


def test_ranks_that_rest_on_unknown_values_have_no_interval() -> None:
    found = certainty(column(values(100, 0)), None, extra=0.5)
    assert not found.best.any() and not found.worst.any()
    assert np.isnan(found.means["mean_task"][0]).all()
    assert np.isfinite(found.low[:, 0]).all() and found.n.tolist() == [100, 0]


def test_a_board_without_datasets_or_values_knows_nothing() -> None:
    for found in (certainty(), certainty(None), certainty(column(values(50, 0), tested=False))):
        assert np.isnan(found.p).all() and not found.tiers.any() and not found.tested.any()
    assert certainty().means == {}


def board_of_tasks(tasks: int) -> DatasetMeans:
    """Five models, the last without its last score."""
    generator = np.random.default_rng(0)
    scores = generator.random((1, tasks)) * 0.3 + generator.normal([[0.6], [0.58], [0.5], [0.3], [0.2]], 0.05)
    scores = scores + generator.normal(0, 0.03, scores.shape)
    known = np.where(np.arange(5)[:, None] * np.ones(tasks) == 4, np.r_[np.ones(tasks - 1), np.nan], 1) * scores
    return DatasetMeans(known, known)


def test_tasks_are_resampled_where_examples_are_not_known() -> None:
    means = board_of_tasks(40)
    found = certainty_by_task(means, resamples=400)
    assert found.by_task
    picks = [np.repeat(np.arange(40), row.astype(int)) for row in np.concatenate([*resample_counts(40, resamples=400)])]
    mean = np.array([means.complete[:, pick].mean(axis=1) for pick in picks])
    low, high = found.means["mean_task"]
    assert np.array([low, high])[:, :4] == pytest.approx(np.array(percentiles(mean[:, :4])))
    assert np.isnan(low[4]) and found.tiers[4] == 0 and found.best[4] == 5
    each = np.array([borda(means.known[:, pick], 5)[1] for pick in picks])
    best, worst = rank_intervals(each)
    assert (found.best.tolist(), found.worst.tolist()) == (best.tolist(), worst.tolist())
    assert np.isnan(found.low).all() and not found.n.any()


def test_few_tasks_are_not_resampled() -> None:
    with pytest.raises(ValueError, match="9 tasks are too few"):
        certainty_by_task(board_of_tasks(9))


def test_scores_from_few_examples_have_students_intervals() -> None:
    table = values(40, 0)
    found = certainty(column(table))
    for model in range(4):
        expected = stats.t.interval(0.95, 39, table[:, model].mean(), stats.sem(table[:, model]))
        assert (found.low[model, 0], found.high[model, 0]) == pytest.approx(expected)
        assert (found.means["mean_task"][0][model], found.means["type:a"][1][model]) == pytest.approx(expected)
    assert not found.best.any()  # ranks of few examples alone are anybody's guess
    assert (certainty(column(table), column(values(60, 1))).best > 0).all()
    single = certainty(column(table[:1]))
    assert np.isnan(single.low).all() and not single.best.any()


def test_fewer_than_thirty_examples_in_all_are_not_tested() -> None:
    far = np.random.default_rng(0).normal([0.9, 0.5, 0.1, 0.0], 0.01, (20, 4))
    few = certainty(column(far))
    assert not few.tiers.any() and np.isnan(few.p).all() and np.isfinite(few.low).all()
    assert certainty(column(far), column(far[:10])).tiers.all()


def test_a_part_of_one_example_is_not_tested() -> None:
    found = certainty(column(values(100, 0)), column(values(100, 1), values(1, 2)))
    assert found.tested.tolist() == [True, False]
    assert np.isnan(found.low[:, 1]).all() and (found.tiers > 0).all()
