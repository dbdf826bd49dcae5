"""How sure a board is: intervals of every score and mean, of every rank, and which models no test separates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.core.aggregation import Booleans, DatasetMeans, Floats, Integers, borda
from app.core.all_pairs import tiers, tukey
from app.core.resampling import (
    LEVEL,
    RESAMPLES,
    SEED,
    Strata,
    Stratum,
    percentiles,
    rank_intervals,
    ranks,
    resample_counts,
    resampled_scores,
    stratified_means,
    units_of,
)
from app.core.significance import FEW, is_few, student_intervals

FEWEST_TASKS: Final = 10
"""Fewer tasks are never resampled: an interval from them would be a guess."""


@dataclass(frozen=True, slots=True, eq=False)
class ColumnValues:
    """What is known of the examples of one dataset.

    Attributes:
        models: shape (k,), the rows of the board whose values these are, ascending.
        strata: of these models, one a cell.
        tested: whether they are values an example. The draws of a clustering are not: they only spread.
    """

    models: Integers
    strata: Strata
    tested: bool = True

    @property
    def can_be_tested(self) -> bool:
        """Whether they are values an example, and no part is a single one, which says nothing of the others."""
        return self.tested and all(len(stratum.units) > 1 for stratum in self.strata)


@dataclass(frozen=True, slots=True, eq=False)
class BoardCertainty:
    """Between what the figures of a board lie, 95%; arrays are in the order of its models and columns.

    Attributes:
        low: shape (models, columns), of each score: by bootstrap, below 50 examples Student's; NaN where unknown.
        high: likewise.
        n: shape (columns,), from how many examples; 0 where unknown.
        means: low and high, each of shape (models,), by `mean_task`, `mean_task_type` and `type:NAME`.
        best: shape (models,), the best rank (Borda) that a model has on 95% of the resamples; 0 where unknown, as
            where every dataset has but a few examples.
        worst: likewise the worst.
        tiers: shape (models,), 1 for the models that no test separates from the best; 0 where none was made.
        p: shape (models, models), of Tukey's randomised test over all pairs; NaN where none was made.
        tested: shape (columns,), the datasets that tests and tiers rest on; with fewer than 30 examples in all there
            are none.
        by_task: whether tasks were resampled, because nothing is known of their examples.
        resamples: how many were drawn.
        seed: of all draws.
        unread: the numbers of runs whose values could not be read when this was computed.
    """

    low: Floats
    high: Floats
    n: Integers
    means: Mapping[str, tuple[Floats, Floats]]
    best: Integers
    worst: Integers
    tiers: Integers
    p: Floats
    tested: Booleans
    by_task: bool = False
    resamples: int = RESAMPLES
    seed: int = SEED
    unread: Integers = field(default_factory=lambda: np.zeros(0, np.int64))


def board_certainty(
    columns: Sequence[ColumnValues | None],
    means: DatasetMeans,
    task_types: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> BoardCertainty:
    """Resample the examples within each dataset, the same ones for every model, and rank again each time.

    Args:
        columns: of each dataset, None where nothing is known of its examples.
        means: shape (models, datasets), what the board shows. A model with a score whose values are not known has no
            intervals of its means, and no model has a rank interval then.
        task_types: of each dataset.
        resamples: at least 1.
        seed: the same one gives the same intervals.
    """
    sampled = _Sampled(means, task_types, resamples)
    for place, column in enumerate(columns):
        if column is not None and len(column.models):
            drawn = resampled_scores(column.strata, resamples=resamples, seed=(seed, place))
            sampled.add(place, column, drawn)
    found = sampled.intervals()
    enough = any(column is not None and not is_few(column.strata) for column in columns)
    best, worst = sampled.rank_intervals() if enough else np.zeros((2, len(means.known)), np.int64)
    tested = np.array([column is not None and column.can_be_tested for column in columns], np.bool_)
    testable = [column for column in columns if column is not None and column.can_be_tested]
    p, own_tiers = _tests(testable, len(means.complete), FEW, resamples, seed)
    n = [sum(len(one.units) for one in column.strata) if column else 0 for column in columns]
    return BoardCertainty(
        sampled.low, sampled.high, np.array(n, np.int64), found, best, worst, own_tiers, p, tested,
        resamples=resamples, seed=seed,
    )  # fmt: skip


def certainty_by_task(means: DatasetMeans, *, resamples: int = RESAMPLES, seed: int = SEED) -> BoardCertainty:
    """For a board of scores without examples: draw its tasks again, and rank again each time.

    It tells how much the order hangs on which tasks were chosen, not how exact a score is.

    Args:
        means: shape (models, tasks).
        resamples: at least 1.
        seed: the same one gives the same intervals.

    Returns:
        Without intervals of single scores.

    Raises:
        ValueError: there are fewer than 10 tasks.
    """
    models, tasks = means.known.shape
    if tasks < FEWEST_TASKS:
        raise ValueError(f"{tasks} tasks are too few to be resampled, at least {FEWEST_TASKS} are needed")
    contenders = int((~np.isnan(means.complete)).any(axis=1).sum())
    points = np.column_stack([borda(means.known[:, [task]], contenders)[0] for task in range(tasks)])
    whole = np.flatnonzero(~np.isnan(means.complete).any(axis=1))
    ranked = np.flatnonzero(~np.isnan(means.known).all(axis=1))
    drawn = [
        (counts @ points[ranked].T, counts @ means.complete[whole].T / tasks)
        for counts in resample_counts(tasks, resamples=resamples, seed=seed)
    ]
    sampled_points, sampled_means = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    best, worst = _places(models, ranked, sampled_points)
    low, high = np.full((2, models), np.nan)
    if len(whole):
        low[whole], high[whole] = percentiles(sampled_means)
    columns = [ColumnValues(whole, [Stratum(units_of(means.complete[whole].T), 1.0)])] if len(whole) else []
    p, own_tiers = _tests(columns, models, FEWEST_TASKS, resamples, seed)
    unknown = np.full((models, tasks), np.nan)
    return BoardCertainty(
        unknown, unknown, np.zeros(tasks, np.int64), {"mean_task": (low, high)}, best, worst, own_tiers, p,
        np.ones(tasks, np.bool_), by_task=True, resamples=resamples, seed=seed,
    )  # fmt: skip


@dataclass(slots=True, eq=False)
class _Sampled:
    """What is gathered column by column."""

    means: DatasetMeans
    task_types: Sequence[str]
    resamples: int
    low: Floats = field(init=False)
    high: Floats = field(init=False)
    points: Floats = field(init=False)
    by_type: dict[str, NDArray[np.float32]] = field(init=False)
    """Sums over the type's datasets, shape (resamples, models)."""

    def __post_init__(self) -> None:
        shape = self.means.known.shape
        self.low, self.high = np.full((2, *shape), np.nan)
        self.points = np.zeros((self.resamples, shape[0]))
        self.by_type = {
            name: np.zeros((self.resamples, shape[0]), np.float32) for name in dict.fromkeys(self.task_types)
        }

    def add(self, place: int, column: ColumnValues, drawn: Floats) -> None:
        """The scores of some models on a dataset, on every resample."""
        models = column.models
        ends = student_intervals(column.strata) if is_few(column.strata) else percentiles(drawn)
        self.low[models, place], self.high[models, place] = ends
        self.by_type[self.task_types[place]][:, models] += drawn.astype(np.float32)
        contenders = int((~np.isnan(self.means.complete)).any(axis=1).sum())
        self.points[:, models] += contenders - _average_ranks(drawn)

    def intervals(self) -> dict[str, tuple[Floats, Floats]]:
        """Of every mean that a board shows, for the models with values of all that it is over."""
        types = np.array(list(self.task_types), dtype=object)
        if not self.by_type:
            return {}
        found, every = {}, np.ones(len(types), np.bool_)
        mean_task, mean_task_type = np.zeros((2, *self.points.shape), np.float32)
        for name, sums in self.by_type.items():
            own = types == name
            found[f"type:{name}"] = self._ends(sums / own.sum(), own)
            mean_task += sums / len(types)
            mean_task_type += sums / (own.sum() * len(self.by_type))
        found["mean_task"] = self._ends(mean_task, every)
        found["mean_task_type"] = self._ends(mean_task_type, every)
        return found

    def _ends(self, drawn: NDArray[np.floating[Any]], over: Booleans) -> tuple[Floats, Floats]:
        """Of a mean over these datasets; over a single one it is that one's."""
        if over.sum() == 1:
            return self.low[:, over][:, 0], self.high[:, over][:, 0]
        low, high = np.full((2, drawn.shape[1]), np.nan)
        known = _whole(np.isnan(self.low[:, over]))
        if known.any():
            low[known], high[known] = percentiles(drawn[:, known], LEVEL)
        return low, high

    def rank_intervals(self) -> tuple[Integers, Integers]:
        """Zeros if a score counts for ranks whose values are not known."""
        scored = ~np.isnan(self.means.known)
        ranked = np.flatnonzero(scored.any(axis=1))
        if not len(ranked) or (scored & np.isnan(self.low)).any():
            return np.zeros(len(scored), np.int64), np.zeros(len(scored), np.int64)
        return _places(len(scored), ranked, self.points[:, ranked])


def _tests(
    known: Sequence[ColumnValues], count: int, fewest: int, resamples: int, seed: int
) -> tuple[Floats, Integers]:
    """Tukey's p and the tiers of so many models, over those that have a value of every example; none for too few."""
    p, found = np.full((count, count), np.nan), np.zeros(count, np.int64)
    models = np.arange(count)
    for column in known:
        models = np.intersect1d(models, column.models)
    if sum(len(stratum.units) for column in known for stratum in column.strata) < fewest or len(models) < 2:
        return p, found
    strata = [
        Stratum(one.units.of(np.searchsorted(column.models, models)), one.weight / len(known))
        for column in known
        for one in column.strata
    ]
    own = tukey(strata, resamples=resamples, seed=seed)
    p[np.ix_(models, models)] = own
    found[models] = tiers(stratified_means(strata), own)
    return p, found


def _places(models: int, ranked: Integers, points: Floats) -> tuple[Integers, Integers]:
    best, worst = np.zeros((2, models), np.int64)
    best[ranked], worst[ranked] = rank_intervals(ranks(points))
    return best, worst


def _whole(unknown: Booleans) -> Booleans:
    """The rows without anything unknown."""
    whole: Booleans = np.logical_not(np.any(unknown, axis=1))
    return whole


def _average_ranks(scores: Floats) -> Floats:
    """Ranks within each row, equal ones sharing the mean of theirs, as Borda points want them."""
    found: Floats = (ranks(scores) + scores.shape[1] + 1 - ranks(-scores)) / 2
    return found
