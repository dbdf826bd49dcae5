"""How sure a board is: intervals of every score and mean, and of every rank, from shared resamples of the examples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.core.aggregation import Floats, Integers
from app.core.resampling import LEVEL, RESAMPLES, SEED, Units, percentiles, rank_intervals, ranks, resampled_means


@dataclass(frozen=True, slots=True, eq=False)
class BoardCertainty:
    """Between what the figures of a board lie.

    Attributes:
        low: shape (datasets, models), of each score.
        high: likewise.
        mean_low: shape (models,), of Mean (Task).
        mean_high: likewise.
        best: shape (models,), the best rank (Borda) that a model has on 95% of the resamples.
        worst: likewise the worst.
    """

    low: Floats
    high: Floats
    mean_low: Floats
    mean_high: Floats
    best: Integers
    worst: Integers


def board_certainty(
    datasets: Sequence[Units], *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> BoardCertainty:
    """Resample the examples within each dataset, the same ones for every model, and rank again each time.

    Args:
        datasets: at least one, each of the same models.
        level: of all intervals.
        resamples: at least 1.
        seed: the same one gives the same intervals.

    Raises:
        ValueError: there is no dataset, or they differ in their number of models.
    """
    models = {units.sums.shape[1] for units in datasets}
    if len(models) != 1:
        raise ValueError("a board's datasets need scores of the same models")
    lows, highs = [], []
    total, points = np.zeros((2, resamples, models.pop()))
    for number, units in enumerate(datasets):
        means = resampled_means(units, resamples=resamples, seed=seed + number)
        low, high = percentiles(means, level)
        lows.append(low)
        highs.append(high)
        total += means / len(datasets)
        points -= _average_ranks(means)
    mean_low, mean_high = percentiles(total, level)
    best, worst = rank_intervals(ranks(points), level)
    return BoardCertainty(np.array(lows), np.array(highs), mean_low, mean_high, best, worst)


def _average_ranks(scores: Floats) -> Floats:
    """Ranks within each row, equal ones sharing the mean of theirs, as Borda points want them."""
    found: Floats = (ranks(scores) + scores.shape[1] + 1 - ranks(-scores)) / 2
    return found
