"""All pairs of models at once: the randomised Tukey test, whose one null distribution holds for every pair."""

from typing import Final

import numpy as np

from app.core.aggregation import Floats
from app.core.resampling import RESAMPLES, SEED, Units

MANY: Final = 1_000
"""From so many units on the distribution of the permuted means is taken at its limit, which is normal."""
_TABLE: Final = 2_048
"""Permutations that are drawn at a time; each unit of each resample takes one of them."""
_CHUNK: Final = 64


def tukey(units: Units, *, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """The randomised Tukey test: for each pair, how often chance alone makes some two models differ as much.

    If all models are equal, a unit's values could stand at any of them. So they are permuted within each unit, and the
    greatest of the means less the smallest is what chance makes of it; p = (b + 1) / (resamples + 1), b being how often
    that reaches the difference of the pair. The family of all pairs errs in 5% of cases.

    From `MANY` units on, permuting is replaced by what it comes to: sums of so many independent permutations are
    normal, each mean with the variance V = sum of s_i² / n², s_i² being the variance within unit i, and any two
    correlated by -1 / (models - 1). The range is then sqrt(V * models / (models - 1)) times that of independent
    standard normals.

    Args:
        units: values of at least two models; clusters are permuted whole, and should be of one size.
        resamples: at least 1.
        seed: the same one gives the same p.

    Returns:
        Shape (models, models), symmetric, above 0 and at most 1; 1 on the diagonal.

    Raises:
        ValueError: there are fewer than two models.

    Reference:
        Carterette 2012, "Multiple testing in statistical analysis of systems-based information retrieval experiments".
    """
    models = units.sums.shape[1]
    if models < 2:
        raise ValueError("a comparison of all pairs needs at least two models")
    ranges = np.sort(_normal_ranges(units, resamples, seed) if len(units) >= MANY else _ranges(units, resamples, seed))
    means = units.means
    differences = np.abs(means[:, None] - means)
    reached = differences - 1e-9 * (1 + np.abs(means).max())
    beyond = resamples - np.searchsorted(ranges, reached, side="left")
    found: Floats = (beyond + 1) / (resamples + 1)
    np.fill_diagonal(found, 1.0)
    return np.minimum(found, 1.0)


def _ranges(units: Units, resamples: int, seed: int) -> Floats:
    """Of the means after permuting within each unit; shape (resamples,)."""
    generator, sums, total = np.random.default_rng(seed), units.sums, float(units.sizes.sum())
    found = np.empty(resamples)
    for start in range(0, resamples, _CHUNK):
        table = np.argsort(generator.random((_TABLE, sums.shape[1])), axis=1)
        for number in range(start, min(start + _CHUNK, resamples)):
            chosen = table[generator.integers(0, _TABLE, len(sums))]
            found[number] = np.ptp(np.take_along_axis(sums, chosen, axis=1).sum(axis=0)) / total
    return found


def _normal_ranges(units: Units, resamples: int, seed: int) -> Floats:
    """The same in the limit of many units; shape (resamples,)."""
    models = units.sums.shape[1]
    variance = float(units.sums.var(axis=1).sum()) / float(units.sizes.sum()) ** 2
    drawn = np.random.default_rng(seed).standard_normal((resamples, models))
    ranges: Floats = np.sqrt(variance * models / (models - 1)) * np.ptp(drawn, axis=1)
    return ranges
