"""From cells to a board: dataset means, type means, Mean (Task), Mean (TaskType), Borda points and ranks.

All of it on arrays of models by datasets, NaN where nothing is known, so that any choice of either is ranked anew
in a few milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Cell = tuple[str, str]
"""(split, subset)."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Chosen = Integers | Booleans | slice

RANK_DIGITS = 10
"""Dataset means are rounded to so many digits before ranking; else float order would decide near-ties."""

EVERY = slice(None)


@dataclass(frozen=True, slots=True, eq=False)
class DatasetMeans:
    """What models score on datasets, on the metric's own scale; both of shape (models, datasets).

    Attributes:
        known: the mean of the required cells that there are, NaN for none.
        complete: the same, NaN where a required cell is missing.
    """

    known: Floats
    complete: Floats

    def of(self, models: Chosen = EVERY, datasets: Chosen = EVERY) -> "DatasetMeans":
        """Some models on some datasets."""
        return DatasetMeans(self.known[models][:, datasets], self.complete[models][:, datasets])


@dataclass(frozen=True, slots=True, eq=False)
class Standings:
    """Every model's place on a board; each array of shape (models,).

    Attributes:
        points: Borda points.
        ranks: 1 for the best, 0 for a model without any score.
        mean_task: the mean over the datasets, NaN when one is missing.
        mean_task_type: the mean over the types' means, NaN when one is missing.
        types: by task type the mean over its datasets, NaN when one is missing.
        scored: on how many datasets there is a whole score.
    """

    points: Floats
    ranks: Integers
    mean_task: Floats
    mean_task_type: Floats
    types: Mapping[str, Floats]
    scored: Integers


def dataset_means(
    models: ArrayLike, datasets: ArrayLike, values: ArrayLike, shape: tuple[int, int], required: ArrayLike
) -> DatasetMeans:
    """A dataset's score for a model: the plain mean of the main metric over its cells.

    Args:
        models: shape (n,), the row of each value.
        datasets: shape (n,), its column; a value for every required cell that there is, each once, no other.
        values: shape (n,), finite.
        shape: how many models and datasets.
        required: shape (datasets,), how many cells each dataset has; 0 where nobody knows yet.

    Example:
        >>> means = dataset_means([0, 0, 1], [0, 0, 0], [0.8, 0.6, 0.9], (2, 1), [2])
        >>> means.known.tolist(), means.complete.tolist()
        ([[0.7], [0.9]], [[0.7], [nan]])
    """
    places = np.asarray(models, np.int64) * shape[1] + np.asarray(datasets, np.int64)
    size = shape[0] * shape[1]
    counts = np.bincount(places, minlength=size).reshape(shape)
    sums = np.bincount(places, np.asarray(values, np.float64), minlength=size).reshape(shape)
    known = np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0)
    return DatasetMeans(known, np.where(counts == np.asarray(required), known, np.nan))


def standings(means: DatasetMeans, task_types: Sequence[str]) -> Standings:
    """Rank models by MTEB's rule, over exactly these datasets and among exactly these models.

    Mean (Task) is the mean over datasets; a type's mean the same within the type; Mean (TaskType) the mean over
    types. For the ranks see `borda`: partial dataset means count there, and n is the number of models with at least
    one complete dataset.

    Args:
        means: shape (models, datasets). Without datasets every mean is NaN and every rank 0.
        task_types: of each dataset.

    Reference:
        mteb 2.26.24, `benchmarks/_create_table.py`.

    Example:
        >>> found = standings(dataset_means([0, 0, 1, 1], [0, 1, 0, 1], [0.8, 0.5, 0.9, 0.6], (2, 2), [1, 1]), "ab")
        >>> found.ranks.tolist(), found.mean_task.round(2).tolist()
        ([2, 1], [0.65, 0.75])
    """
    scored = (~np.isnan(means.complete)).sum(axis=1)
    points, ranks = borda(means.known, int((scored > 0).sum()))
    of_type = np.asarray(task_types, dtype=object)
    types = {name: _mean(means.complete[:, of_type == name]) for name in dict.fromkeys(task_types)}
    by_type = np.column_stack(list(types.values())) if types else np.empty((len(points), 0))
    return Standings(points, ranks, _mean(means.complete), _mean(by_type), types, scored)


def borda(scores: Floats, n: int) -> tuple[Floats, Integers]:
    """Borda points and ranks: points = sum over datasets of (n - r), rank = 1 + models with more points.

    r is the average rank (1 = best) among the models with a score there, after rounding to 10 digits; a
    missing score gives no points.

    Args:
        scores: shape (models, datasets), higher is better, NaN where missing.
        n: how many models count; a sole first place of a dataset earns n - 1 points.

    Returns:
        Points and ranks, shape (models,); models with equal points share the smaller rank, and a model without any
        score has rank 0.

    Example:
        >>> points, ranks = borda(np.array([[0.9, 0.5], [0.7, 0.5], [0.8, np.nan]]), 3)
        >>> points.tolist(), ranks.tolist()
        ([3.5, 1.5, 1.0], [1, 2, 3])
    """
    points = np.zeros(len(scores))
    missing = np.isnan(scores)
    for column, gone in zip(np.round(scores, RANK_DIGITS).T, missing.T, strict=True):
        present = ~gone
        points[present] += n - _average_ranks(column[present])
    scored = ~missing.all(axis=1)
    contenders = np.sort(points[scored])
    better = len(contenders) - np.searchsorted(contenders, points, side="right")
    return points, np.where(scored, 1 + better, 0)


def zero_shot_percents(trained_on: Booleans, known: Booleans) -> Integers:
    """The share of a board's datasets that each model was not trained on, cut to a whole number.

    Args:
        trained_on: shape (models, datasets).
        known: shape (models,), whether a model's training data is known.

    Returns:
        Shape (models,): int(100 - 100 * |trained on ∩ board| / |board|), 0 to 100; -1 where the training data is
        unknown or the board is empty.

    Example:
        >>> zero_shot_percents(np.array([[True, False, False]] * 2), np.array([True, False])).tolist()
        [66, -1]
    """
    models, datasets = trained_on.shape
    if not datasets:
        return np.full(models, -1, np.int64)
    share = (100 - 100 * (trained_on.sum(axis=1) / datasets)).astype(np.int64)
    return np.where(known, share, -1)


def _average_ranks(values: Floats) -> Floats:
    """Ranks of `values`, 1 for the largest; equal values share the mean of their places."""
    _, place, counts = np.unique(-values, return_inverse=True, return_counts=True)
    average: Floats = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return average


def _mean(scores: Floats) -> Floats:
    """The mean of each row, NaN where one is missing or there is none."""
    return scores.mean(axis=1) if scores.shape[1] else np.full(len(scores), np.nan)
