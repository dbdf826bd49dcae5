"""Whether one model is really better than another, from one value an example.

All tests are of paired differences: the same examples, in the same order, for every model.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from app.core.aggregation import Floats
from app.core.resampling import LEVEL, RESAMPLES, SEED, Units, percentiles, resampled_means, units_of
from app.core.student import t_quantile, t_tails

FEW: Final = 30
"""With fewer examples there is no verdict."""
INDICATIVE: Final = 50
"""With fewer a verdict is indicative, and intervals are Student's."""
MARGIN: Final = 0.01
"""Differences within this are practically none, where a dataset says nothing else."""
EQUALITY_LEVEL: Final = 0.9
"""Of the interval that must lie within the margin: two one-sided tests at 5%."""
_POWER: Final = 2.80
"""1.96 + 0.84: a two-sided test at 5% finds the difference in 80 of 100 cases."""
_TIE_DIGITS: Final = 10
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
        wins: examples on which A has more; `ties` as much; `losses` less.
        needed: so many examples (or clusters) would find this difference in 80 of 100 cases; None where it is zero.
    """

    value: float
    interval: Interval
    equality: Interval
    p: float
    p_t: float
    wins: int
    ties: int
    losses: int
    needed: int | None


def mean_interval(
    values: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Between what the mean lies: percentile bootstrap; Student's t below 50 units.

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
    units = units_of(values, clusters)
    if len(units) >= INDICATIVE:
        low, high = percentiles(resampled_means(units, resamples=resamples, seed=seed), level)
        return Interval(float(low[0]), float(high[0]), len(units))
    return _student_interval(units, level)


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
    units = units_of(differences, clusters)
    if len(units) >= INDICATIVE:
        samples = resampled_means(units, resamples=resamples, seed=seed)
        wide, narrow = percentiles(samples), percentiles(samples, EQUALITY_LEVEL)
        intervals = [Interval(float(low[0]), float(high[0]), len(units)) for low, high in (wide, narrow)]
    else:
        intervals = [_student_interval(units, level) for level in (LEVEL, EQUALITY_LEVEL)]
    value = float(units.means[0])
    return Difference(
        value,
        intervals[0],
        intervals[1],
        p=float(sign_flip(units, resamples=resamples, seed=seed)[0]),
        p_t=_paired_t(units),
        wins=int((differences > 0).sum()),
        ties=int((differences == 0).sum()),
        losses=int((differences < 0).sum()),
        needed=_needed(units, value),
    )


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
    generator, beyond = np.random.default_rng(seed), np.zeros(sums.shape[1], np.int64)
    width = max(1, len(sums))
    at_once = max(1, _CHUNK_SIGNS // width)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = generator.integers(0, 256, size=(rows, -(-width // 8)), dtype=np.uint8)
        plus = np.unpackbits(drawn, axis=1, count=len(sums)).astype(np.float64)
        beyond += (np.abs(2 * (plus @ sums) - total) >= reached).sum(axis=0)
    return (beyond + 1) / (resamples + 1)


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


def _student_interval(units: Units, level: float) -> Interval:
    """Of a mean over few units; of clusters, by the deviations of their sums (linearised ratio)."""
    n, mean = len(units), float(units.means[0])
    if n < 2:
        return Interval(math.nan, math.nan, n)
    half = t_quantile(level, n - 1) * _standard_error(units)
    return Interval(mean - half, mean + half, n)


def _standard_error(units: Units) -> float:
    """Of the mean over all examples."""
    n = len(units)
    deviations = units.sums[:, 0] - units.means[0] * units.sizes
    return math.sqrt(float(deviations @ deviations) / (n - 1) * n) / float(units.sizes.sum())


def _paired_t(units: Units) -> float:
    if len(units) < 2 or not (error := _standard_error(units)):
        return math.nan
    return t_tails(float(units.means[0]) / error, len(units) - 1)


def _needed(units: Units, value: float) -> int | None:
    if not value or len(units) < 2:
        return None
    deviation = _standard_error(units) * math.sqrt(len(units))
    return math.ceil((_POWER * deviation / value) ** 2)
