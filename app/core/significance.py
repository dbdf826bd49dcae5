"""Whether one model is really better than another, from one value an example.

All tests are of paired differences: the same examples, in the same order, for every model.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from app.core.aggregation import Floats
from app.core.resampling import (
    LEVEL,
    RESAMPLES,
    SEED,
    Strata,
    Stratum,
    Units,
    percentiles,
    pooled,
    resampled_scores,
    stratified_means,
    units_of,
)
from app.core.student import t_quantile, t_tails

FEW: Final = 30
"""With fewer examples there is no verdict."""
INDICATIVE: Final = 50
"""With fewer a verdict is indicative, and intervals are Student's."""
MANY: Final = 10_000
"""From so many on a score's bootstrap interval is Student's to three digits, and takes seconds more."""
MARGIN: Final = 0.01
"""Differences within this are practically none, where a dataset says nothing else."""
EQUALITY_LEVEL: Final = 0.9
"""Of the interval that must lie within the margin: two one-sided tests at 5%."""
_POWER: Final = 2.80
"""1.96 + 0.84: a two-sided test at 5% finds the difference in 80 of 100 cases."""
_TIE_DIGITS: Final = 10
_SAME: Final = 1e-9
"""A standard error that is a smaller share of the difference than this is what rounding leaves of none."""
_DEFINED: Final = 0.99
_CHUNK_SIGNS: Final = 400_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Between what a value lies, and from how many examples (or clusters of them) that was found."""

    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better A is than B, on the metric's own scale.

    Attributes:
        value: mean of A less mean of B.
        interval: 95%.
        equality: the 90% interval; inside the margin the two are practically equal.
        p: of the sign-flip permutation test, two-sided; at least 1 / (resamples + 1).
        p_t: of the paired t-test, NaN where all differences are the same.
        wins: examples (or clusters) on which A has more; `ties` as much; `losses` less; None where an example has no
            score of its own.
        needed: so many examples (or clusters) would find this difference in 80 of 100 cases; None where it is zero.
    """

    value: float
    interval: Interval
    equality: Interval
    p: float
    p_t: float
    wins: int | None
    ties: int | None
    losses: int | None
    needed: int | None


def mean_interval(
    values: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Between what the mean lies: percentile bootstrap; Student's t below 50 units, and from 10,000 on.

    Args:
        values: shape (examples,), finite, at least one.
        clusters: shape (examples,), equal for examples that belong together; they are drawn together.
        level: such as 0.95.
        resamples: of the bootstrap.
        seed: of the bootstrap; the same one gives the same interval.

    Returns:
        NaN to NaN for a single unit: one value says nothing about the others.

    Raises:
        ValueError: see `app.core.resampling.units_of`.

    Example:
        >>> found = mean_interval([0.0, 1.0] * 200)
        >>> 0.44 < found.low < 0.46, 0.54 < found.high < 0.56, found.n
        (True, True, 400)
    """
    return score_interval([Stratum(units_of(values, clusters), 1.0)], level=level, resamples=resamples, seed=seed)


def score_interval(strata: Strata, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """The same of one model's score over several strata, such as the cells of a dataset; one column."""
    n = sum(len(stratum.units) for stratum in strata)
    if n >= MANY or is_few(strata):
        low, high = student_intervals(strata, level)
    else:
        low, high = percentiles(resampled_scores(strata, resamples=resamples, seed=seed), level)
    return Interval(float(low[0]), float(high[0]), n)


def compare(
    a: ArrayLike,
    b: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Difference:
    """How much better A is than B, and how sure that is.

    Args:
        a: shape (examples,), finite, at least one: a value an example.
        b: shape (examples,), of the same examples.
        clusters: shape (examples,), equal for examples that belong together; they are drawn and flipped together.
        resamples: of the bootstrap and of the test.
        seed: of both.

    Raises:
        ValueError: the shapes differ, or see `app.core.resampling.units_of`.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"values of shape {first.shape} and {second.shape}; wanted is one for each of the same examples"
        )
    differences = np.round(first - second, _TIE_DIGITS)
    return compare_strata([Stratum(units_of(differences, clusters), 1.0)], resamples=resamples, seed=seed)


def compare_strata(strata: Strata, *, resamples: int = RESAMPLES, seed: int = SEED, counted: bool = True) -> Difference:
    """The same of differences that are drawn stratum by stratum: of a dataset of several cells, or of a board.

    Args:
        strata: differences A - B, one column; at least one stratum.
        resamples: of the bootstrap and of the test.
        seed: of both.
        counted: whether a unit's difference is one of scores, so that wins, ties and losses can be counted.
    """
    samples = None if is_few(strata) else resampled_scores(strata, resamples=resamples, seed=seed)[:, 0]
    flipped = sign_flip(pooled(strata), resamples=resamples, seed=seed)
    differences = np.concatenate([stratum.units.sums[:, 0] for stratum in strata])
    outcomes = _outcomes(differences) if counted else _NOT_COUNTED
    return _difference(strata, float(stratified_means(strata)[0]), samples, float(flipped[0]), outcomes)


def compare_samples(samples_a: ArrayLike, samples_b: ArrayLike, value: float, strata: Strata) -> Difference:
    """The same for a metric that is no mean, such as a correlation: intervals from the metric on every resample.

    The tests are of what the examples contribute. The bootstrap's own p errs more often where few pairs belong
    together (docs/statistics.md).

    Args:
        samples_a: shape (resamples,), A's score on each; NaN where it is undefined. Where that is more than one in a
            hundred, the intervals are Student's.
        samples_b: B's on the same resamples.
        value: A's score less B's, on all examples.
        strata: differences of what the examples contribute to the two scores (`app.core.contributions`).
    """
    samples = np.asarray(samples_a, np.float64) - np.asarray(samples_b, np.float64)
    defined = samples[np.isfinite(samples)]
    told = len(defined) >= _DEFINED * len(samples) and not is_few(strata)
    p = float(sign_flip(pooled(strata))[0])
    return _difference(strata, value, defined if told else None, p, _NOT_COUNTED)


def sign_flip(units: Units, *, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """The paired permutation test: how often random signs of the differences give a mean as far from zero.

    p = (b + 1) / (resamples + 1), two-sided: never 0. All columns meet the same signs.

    Args:
        units: sums of differences, a column a comparison.
        resamples: at least 1.
        seed: the same one gives the same signs.

    Returns:
        Shape (comparisons,), above 0 and at most 1.

    Reference:
        Fisher 1935; Phipson and Smyth 2010 for (b + 1) / (B + 1). The same as `scipy.stats.permutation_test` with
        `permutation_type="samples"`.
    """
    sums = units.sums[units.sums.any(axis=1)]
    total = sums.sum(axis=0)
    reached = np.abs(total) - 1e-9 * np.abs(sums).sum(axis=0)
    beyond = np.zeros(sums.shape[1], np.int64)
    for signs in random_signs(len(sums), resamples=resamples, seed=seed):
        beyond += (np.abs(signs @ sums) >= reached).sum(axis=0)
    return (beyond + 1) / (resamples + 1)


def random_signs(units: int, *, resamples: int = RESAMPLES, seed: int = SEED) -> Iterator[Floats]:
    """A sign for each unit, in each resample.

    Yields:
        1 and -1, of shape (a few resamples, units), all together `resamples` rows.
    """
    generator = np.random.default_rng(seed)
    at_once = max(1, _CHUNK_SIGNS // max(1, units))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = generator.integers(0, 256, size=(rows, -(-units // 8)), dtype=np.uint8)
        plus = np.unpackbits(drawn, axis=1, count=units).astype(np.float64)
        yield 2 * plus - 1


def holm(ps: ArrayLike) -> Floats:
    """P-values of several comparisons with one baseline, adjusted by Holm: the family errs in 5% of cases.

    Args:
        ps: shape (comparisons,), 0 to 1.

    Reference:
        Holm 1979; the same as `statsmodels.stats.multitest.multipletests(method="holm")`.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    found = np.asarray(ps, np.float64)
    order = np.argsort(found, kind="stable")
    raised = np.maximum.accumulate(found[order] * np.arange(len(found), 0, -1))
    adjusted = np.empty_like(found)
    adjusted[order] = np.minimum(raised, 1)
    return adjusted


def benjamini_hochberg(ps: ArrayLike) -> Floats:
    """P-values of many slices, adjusted so that of those found at 5% at most 5% are false.

    Args:
        ps: shape (comparisons,), 0 to 1.

    Reference:
        Benjamini and Hochberg 1995; the same as `multipletests(method="fdr_bh")`.

    Example:
        >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.04, 0.04]
    """
    found = np.asarray(ps, np.float64)
    order = np.argsort(found, kind="stable")[::-1]
    lowered = np.minimum.accumulate(found[order] * len(found) / np.arange(len(found), 0, -1))
    adjusted = np.empty_like(found)
    adjusted[order] = np.minimum(lowered, 1)
    return adjusted


_NOT_COUNTED: Final[dict[str, int | None]] = {"wins": None, "ties": None, "losses": None}


def _outcomes(differences: Floats) -> dict[str, int | None]:
    rounded = np.round(differences, _TIE_DIGITS)
    wins, losses = int((rounded > 0).sum()), int((rounded < 0).sum())
    return {"wins": wins, "ties": len(rounded) - wins - losses, "losses": losses}


def _difference(
    strata: Strata, value: float, samples: Floats | None, p: float, outcomes: dict[str, int | None]
) -> Difference:
    """Put together; without samples the intervals are Student's."""
    n = sum(len(stratum.units) for stratum in strata)
    error, free = float(standard_errors(strata)[0]), degrees_of_freedom(strata)
    if samples is None:
        ends = [student_intervals(strata, level) for level in (LEVEL, EQUALITY_LEVEL)]
    else:
        ends = [percentiles(samples[:, None], level) for level in (LEVEL, EQUALITY_LEVEL)]
    intervals = [Interval(float(low[0]), float(high[0]), n) for low, high in ends]
    p_t = t_tails(value / error, free) if error > _SAME * abs(value) else math.nan
    told = abs(value) > 10**-_TIE_DIGITS and not math.isnan(error)
    needed = math.ceil(n * (_POWER * error / value) ** 2) if told else None
    return Difference(value, intervals[0], intervals[1], p, p_t, needed=needed, **outcomes)


def standard_errors(strata: Strata) -> Floats:
    """Of every model's score; of clusters by the deviations of their sums (linearised ratio).

    Returns:
        Shape (models,); NaN where a stratum is a single unit, which says nothing about the others.
    """
    variance = np.zeros(strata[0].units.sums.shape[1])
    for stratum in strata:
        units, n = stratum.units, len(stratum.units)
        if n < 2:
            return np.full(len(variance), np.nan)
        deviations = units.sums - units.means * units.sizes[:, None]
        share = stratum.weight / units.sizes.sum()
        variance += share**2 * n / (n - 1) * np.square(deviations).sum(axis=0)
    return np.sqrt(variance)


def degrees_of_freedom(strata: Strata) -> float:
    """Of the standard error, by Welch and Satterthwaite for strata that vary alike: n - 1 for one, else between.

    Of what a small stratum happens to vary nothing is made: two values that are near each other by chance would make
    the whole look sure.

    Returns:
        NaN where a stratum is a single unit, and without any.
    """
    parts = [(stratum.weight**2 / len(stratum.units), len(stratum.units) - 1) for stratum in strata]
    if not parts or not all(free for _, free in parts):
        return math.nan
    total = math.fsum(part for part, _ in parts)
    return round(total**2 / math.fsum(part**2 / free for part, free in parts), _TIE_DIGITS)


def is_few(strata: Strata) -> bool:
    """Whether intervals are Student's: the spread is as little known as from fewer than 50 units of one stratum."""
    return not degrees_of_freedom(strata) + 1 >= INDICATIVE


def student_intervals(strata: Strata, level: float = LEVEL) -> tuple[Floats, Floats]:
    """The ends of Student's interval of every model's score, for few units; each of shape (models,)."""
    scores, free = stratified_means(strata), degrees_of_freedom(strata)
    half = standard_errors(strata) * (math.nan if math.isnan(free) else t_quantile(level, free))
    return scores - half, scores + half
