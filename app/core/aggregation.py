"""From cells to a board: dataset means, type means, Mean (Task), Mean (TaskType), Borda points and ranks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum

import numpy as np
from numpy.typing import NDArray

Cell = tuple[str, str]
"""(split, subset)."""

RANK_DIGITS = 10
"""Dataset means are rounded to so many digits before ranking; else float order would decide near-ties."""


@dataclass(frozen=True, slots=True)
class Column:
    """A dataset of a board. A model has a score for it only if it has every cell of `cells`."""

    key: str
    task_type: str
    cells: frozenset[Cell]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one model: its main metric by dataset key and cell, and what it was trained on.

    `scores` may lack datasets and cells; cells that a column does not require are left out of its mean.
    `trained_on` holds dataset keys, None when unknown.
    """

    key: str
    scores: Mapping[str, Mapping[Cell, float]]
    trained_on: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A model's place on a board. Every score is on the metric's own scale (0 to 1), None when incomplete.

    `datasets` and `types` have an entry for every dataset and task type of the board. `rank` is 1 for the
    best and None for a model without any cell; `zero_shot` is 0 to 100, None when unknown.
    """

    key: str
    datasets: Mapping[str, float | None]
    types: Mapping[str, float | None]
    mean_task: float | None
    mean_task_type: float | None
    points: float
    rank: int | None
    complete: bool
    zero_shot: int | None


@dataclass(frozen=True, slots=True)
class _Means:
    """A model's dataset means: those of complete datasets, and every one there is."""

    complete: dict[str, float | None] = field(default_factory=dict)
    known: list[float] = field(default_factory=list)


def aggregate(columns: Sequence[Column], entries: Sequence[Entry]) -> tuple[Standing, ...]:
    """Rank models by MTEB's rule, over exactly these columns.

    A dataset's score is the plain mean of its cells; Mean (Task) the mean over datasets; a type's mean the
    same within the type; Mean (TaskType) the mean over types. A mean that lacks one part is None. For the
    ranks see `borda`: partial dataset means count there, and n is the number of models with at least one
    complete dataset.

    Args:
        columns: the board's datasets, with distinct keys.
        entries: the models, in any order.

    Returns:
        One standing an entry, in the order of `entries`. Without columns every score and rank is None.

    Reference:
        mteb 2.26.24, `benchmarks/_create_table.py`.

    >>> sts = Column("sts", "STS", frozenset({("test", "en"), ("test", "de")}))
    >>> a = Entry("a", {"sts": {("test", "en"): 0.8, ("test", "de"): 0.6}})
    >>> b = Entry("b", {"sts": {("test", "en"): 0.9}})
    >>> [(row.rank, row.mean_task) for row in aggregate([sts], [a, b])]
    [(2, 0.7), (1, None)]
    """
    means = [_dataset_means(columns, entry) for entry in entries]
    table = np.array([row.known for row in means], dtype=np.float64).reshape(len(entries), len(columns))
    ranked_models = sum(any(score is not None for score in row.complete.values()) for row in means)
    points, ranks = borda(table, ranked_models)
    return tuple(
        _standing(columns, entry, row.complete, float(got), rank)
        for entry, row, got, rank in zip(entries, means, points, ranks, strict=True)
    )


def borda(scores: NDArray[np.float64], n: int) -> tuple[NDArray[np.float64], list[int | None]]:
    """Borda points and ranks: points = sum over datasets of (n - r), rank = 1 + models with more points.

    r is the average rank (1 = best) among the models with a score there, after rounding to 10 digits; a
    missing score gives no points.

    Args:
        scores: shape (models, datasets), higher is better, NaN where missing.
        n: how many models count; a sole first place of a dataset earns n - 1 points.

    Returns:
        Points, shape (models,), and the ranks; models with equal points share the smaller rank, and a
        model without any score has rank None.

    >>> points, ranks = borda(np.array([[0.9, 0.5], [0.7, 0.5], [0.8, np.nan]]), 3)
    >>> points.tolist(), ranks
    ([3.5, 1.5, 1.0], [1, 2, 3])
    """
    points = np.zeros(len(scores))
    for column in np.round(scores, RANK_DIGITS).T:
        present = ~np.isnan(column)
        points[present] += n - _average_ranks(column[present])
    scored: NDArray[np.bool_] = np.logical_not(np.isnan(scores).all(axis=1))
    contenders = points[scored]
    ranks = [1 + int((contenders > own).sum()) if there else None for own, there in zip(points, scored, strict=True)]
    return points, ranks


def zero_shot_percent(trained_on: frozenset[str] | None, board: Iterable[str]) -> int | None:
    """The share of the board's datasets that a model was not trained on, 0 to 100, cut to a whole number.

    Returns:
        int(100 - 100 * |trained on ∩ board| / |board|); None when the training data is unknown or the
        board is empty.

    >>> zero_shot_percent(frozenset({"a", "elsewhere"}), ["a", "b", "c"])
    66
    """
    datasets = frozenset(board)
    if trained_on is None or not datasets:
        return None
    return int(100 - 100 * (len(trained_on & datasets) / len(datasets)))


def _average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks of `values`, 1 for the largest; equal values share the mean of their places."""
    _, place, counts = np.unique(-values, return_inverse=True, return_counts=True)
    average: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return average


def _dataset_means(columns: Sequence[Column], entry: Entry) -> _Means:
    means = _Means()
    for column in columns:
        cells = entry.scores.get(column.key, {})
        values = [value for cell, value in cells.items() if cell in column.cells]
        mean = _mean(values)
        means.known.append(np.nan if mean is None else mean)
        means.complete[column.key] = mean if len(values) == len(column.cells) else None
    return means


def _standing(
    columns: Sequence[Column], entry: Entry, datasets: Mapping[str, float | None], points: float, rank: int | None
) -> Standing:
    by_type: dict[str, list[float | None]] = {}
    for column in columns:
        by_type.setdefault(column.task_type, []).append(datasets[column.key])
    types = {task_type: _mean(scores) for task_type, scores in by_type.items()}
    return Standing(
        key=entry.key,
        datasets=datasets,
        types=types,
        mean_task=_mean(datasets.values()),
        mean_task_type=_mean(types.values()),
        points=points,
        rank=rank,
        complete=bool(columns) and None not in datasets.values(),
        zero_shot=zero_shot_percent(entry.trained_on, (column.key for column in columns)),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean, the same in every order; None for nothing or when a value is None."""
    parts = list(values)
    present = [value for value in parts if value is not None]
    return fsum(present) / len(present) if present and len(present) == len(parts) else None
