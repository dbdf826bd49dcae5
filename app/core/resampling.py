"""Resamples of examples, shared by everything that is compared: the same draw for every model.

Examples that belong together (queries of one source document) are drawn together, as one cluster.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from app.core.aggregation import Floats, Integers

RESAMPLES: Final = 10_000
SEED: Final = 42
LEVEL: Final = 0.95
FEW_UNITS: Final = 50
"""The deviations of fewer are widened when they are drawn beside other strata: m units alone spread by (m - 1) / m."""
_CHUNK_VALUES: Final = 200_000
"""Counts that are drawn at a time: few enough to stay in a processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """What is drawn: examples, or clusters of them.

    Attributes:
        sums: shape (units, models), the sum of each model's values in a unit.
        sizes: shape (units,), how many examples each has.
    """

    sums: Floats
    sizes: Floats

    @property
    def means(self) -> Floats:
        """Shape (models,), over all examples."""
        means: Floats = self.sums.sum(axis=0) / self.sizes.sum()
        return means

    def of(self, models: Integers) -> "Units":
        """The same units of some of the models."""
        return Units(self.sums[:, models], self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)


@dataclass(frozen=True, slots=True, eq=False)
class Stratum:
    """Units that are drawn by themselves, such as those of one cell of a dataset, or of one dataset of a board.

    Attributes:
        units: with the values of every model.
        weight: the score of a model is the sum over the strata of weight * mean.
    """

    units: Units
    weight: float


Strata = Sequence[Stratum]


def stratified_means(strata: Strata) -> Floats:
    """Every model's score over all strata; shape (models,)."""
    means: Floats = np.sum([stratum.weight * stratum.units.means for stratum in strata], axis=0)
    return means


def pooled(strata: Strata) -> Units:
    """All units of all strata as ones of a single sum: each value is scaled so that they add up to the score.

    For tests that flip or permute within units. It is no sample to draw from: strata would change their sizes.
    """
    sums = [stratum.units.sums * (stratum.weight / stratum.units.sizes.sum()) for stratum in strata]
    table = np.concatenate(sums)
    return Units(table * len(table), np.ones(len(table)))


def units_of(values: ArrayLike, clusters: ArrayLike | None = None) -> Units:
    """The units of some examples.

    Args:
        values: shape (examples, models) or (examples,), finite; at least one example.
        clusters: shape (examples,), equal for those that belong together; None where each stands for itself.

    Raises:
        ValueError: there is no example, a value is not finite, or the shapes do not fit.
    """
    table = np.asarray(values, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ValueError(f"values of shape {table.shape}; wanted are finite ones, a row an example, at least one")
    if clusters is None:
        return Units(table, np.ones(len(table)))
    names = np.asarray(clusters)
    if names.shape != (len(table),):
        raise ValueError(f"{len(table)} examples and clusters of shape {names.shape}")
    _, member = np.unique(names, return_inverse=True)
    sizes = np.bincount(member).astype(np.float64)
    sums = np.column_stack([np.bincount(member, column) for column in table.T]).astype(np.float64)
    return Units(sums, sizes)


Seed = int | tuple[int, ...]


def resample_counts(units: int, *, resamples: int = RESAMPLES, seed: Seed = SEED) -> Iterator[Floats]:
    """How often each unit was drawn, in each resample of as many units with replacement.

    Args:
        units: at least 1.
        resamples: at least 1.
        seed: the same one gives the same draws.

    Yields:
        Of shape (a few resamples, units), all together `resamples` rows; each sums to `units`.
    """
    for drawn in _draws(units, resamples, seed):
        rows = len(drawn)
        cells = drawn + np.arange(rows)[:, None] * units
        yield np.bincount(cells.ravel(), minlength=rows * units).reshape(rows, units).astype(np.float64)


def resampled_means(units: Units, *, resamples: int = RESAMPLES, seed: Seed = SEED) -> Floats:
    """Every model's mean on every resample.

    Returns:
        Shape (resamples, models).
    """
    if units.sums.shape[1] == 1 and (units.sizes == 1).all():
        values = units.sums[:, 0]
        return np.concatenate([values[drawn].mean(axis=1) for drawn in _draws(len(units), resamples, seed)])[:, None]
    parts = [
        (counts @ units.sums) / (counts @ units.sizes)[:, None]
        for counts in resample_counts(len(units), resamples=resamples, seed=seed)
    ]
    return np.concatenate(parts)


def resampled_scores(strata: Strata, *, resamples: int = RESAMPLES, seed: Seed = SEED) -> Floats:
    """Every model's score on every resample; each stratum is drawn by itself, and keeps its size.

    Returns:
        Shape (resamples, models).
    """
    first, *others = strata
    found = first.weight * _spread_means(first.units, resamples, seed)
    for number, stratum in enumerate(others, 1):
        own = (*(seed if isinstance(seed, tuple) else (seed,)), number)
        found += stratum.weight * _spread_means(stratum.units, resamples, own)
    return found


def _spread_means(units: Units, resamples: int, seed: Seed) -> Floats:
    """As `resampled_means`; of few units with the variance that examples have, not that of these few."""
    found, m = resampled_means(units, resamples=resamples, seed=seed), len(units)
    if 1 < m < FEW_UNITS:
        found = units.means + (found - units.means) * np.sqrt(m / (m - 1))
    return found


def percentiles(samples: ArrayLike, level: float = LEVEL) -> tuple[Floats, Floats]:
    """The ends of the percentile interval of each column.

    Args:
        samples: shape (resamples, models).
        level: such as 0.95: the 2.5 and the 97.5 percentile.

    Returns:
        Low and high, each of shape (models,).

    Reference:
        Efron and Tibshirani 1993, chapter 13.
    """
    table = np.sort(np.asarray(samples, np.float64), axis=0)
    low, high = np.quantile(table, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def ranks(scores: ArrayLike) -> Integers:
    """Ranks within each row: 1 + how many have more; equal ones share the smaller rank.

    Args:
        scores: shape (rows, models); compared after rounding to 10 digits, as boards are.

    Returns:
        Shape (rows, models).

    Example:
        >>> ranks([[0.5, 0.7, 0.5]]).tolist()
        [[2, 1, 2]]
    """
    table = -np.round(np.asarray(scores, np.float64), 10)
    order = np.argsort(table, axis=1, kind="stable")
    ordered = np.take_along_axis(table, order, axis=1)
    begins = np.ones(table.shape, np.bool_)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    places = np.maximum.accumulate(np.where(begins, np.arange(table.shape[1]), 0), axis=1)
    found = np.empty(table.shape, np.int64)
    np.put_along_axis(found, order, places + 1, axis=1)
    return found


def rank_intervals(sampled_ranks: Integers, level: float = LEVEL) -> tuple[Integers, Integers]:
    """The ranks between which a model stands on that share of the resamples.

    Args:
        sampled_ranks: shape (resamples, models).
        level: the share, such as 0.95.

    Returns:
        Best and worst, each of shape (models,): whole ranks that occurred.
    """
    tails = [(1 - level) / 2, (1 + level) / 2]
    best, worst = np.quantile(sampled_ranks, tails, axis=0, method="inverted_cdf")
    return best.astype(np.int64), worst.astype(np.int64)


def _draws(units: int, resamples: int, seed: Seed) -> Iterator[Integers]:
    """The units of each resample, of shape (a few resamples, units).

    A number below n is the upper half of n times 32 random bits: none is likelier than another by more than n / 2^32.
    """
    source = np.random.SFC64(seed)
    at_once = max(1, _CHUNK_VALUES // units)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        bits = source.random_raw(-(-rows * units // 2)).view(np.uint32)[: rows * units]
        drawn = np.multiply(bits, np.uint64(units), dtype=np.uint64)
        drawn >>= np.uint64(32)
        yield drawn.view(np.int64).reshape(rows, units)
