"""All pairs of models at once: the randomised Tukey test, whose one null distribution holds for all, and tiers."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from app.core.aggregation import Floats, Integers
from app.core.resampling import RESAMPLES, SEED, Units
from app.core.verdicts import SIGNIFICANT

MANY: Final = 1_000
"""From so many units on the distribution of the permuted means is taken at its limit, which is normal."""
_TABLE: Final = 2_048
"""Permutations that are drawn at a time; each unit of each resample takes one of them."""
_CHUNK: Final = 64


def tukey(datasets: Sequence[Units], *, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """The randomised Tukey test: for each pair, how often chance alone makes some two models differ as much.

    If all models are equal, a unit's values could stand at any of them. So they are permuted within each unit, and the
    greatest of the means less the smallest is what chance makes of it; p = (b + 1) / (resamples + 1), b being how often
    that reaches the difference of the pair. The family of all pairs errs in 5% of cases. Over several datasets each is
    permuted by itself, and the means are those over datasets, as on a board.

    From `MANY` units on, permuting is replaced by what it comes to: sums of so many independent permutations are
    normal, each mean with the variance V = sum of s_i² / n², s_i² being the variance within unit i, and any two
    correlated by -1 / (models - 1).

    Args:
        datasets: at least one, each of the same two or more models; clusters are permuted whole, and should be of
            one size.
        resamples: at least 1.
        seed: the same one gives the same p.

    Returns:
        Shape (models, models), symmetric, above 0 and at most 1; 1 on the diagonal.

    Raises:
        ValueError: there is no dataset, there are fewer than two models, or datasets differ in their number.

    Reference:
        Carterette 2012, "Multiple testing in statistical analysis of systems-based information retrieval experiments".
    """
    counts = {units.sums.shape[1] for units in datasets}
    if len(counts) != 1 or min(counts) < 2:
        raise ValueError("a comparison of all pairs needs datasets of the same models, at least two")
    generators = [np.random.default_rng((seed, number)) for number in range(len(datasets))]
    drawn = [_drawn(units, resamples, generator) for units, generator in zip(datasets, generators, strict=True)]
    ranges = np.sort(np.ptp(np.mean(drawn, axis=0), axis=1))
    means = np.mean([units.means for units in datasets], axis=0)
    differences = np.abs(means[:, None] - means)
    reached = differences - 1e-9 * (1 + np.abs(means).max())
    beyond = resamples - np.searchsorted(ranges, reached, side="left")
    found: Floats = (beyond + 1) / (resamples + 1)
    np.fill_diagonal(found, 1.0)
    return found


def tiers(means: ArrayLike, ps: ArrayLike, *, level: float = SIGNIFICANT) -> Integers:
    """Groups of models that no test separates, by falling mean.

    The best model leads the first tier, which ends before the first model that is told apart from its leader; that
    one leads the next.

    Args:
        means: shape (models,).
        ps: shape (models, models), of all pairs.
        level: a p below it tells two models apart.

    Returns:
        Shape (models,), 1 for the first tier.

    Example:
        >>> tiers([0.5, 0.9, 0.8], [[1, 0.01, 0.02], [0.01, 1, 0.4], [0.02, 0.4, 1]]).tolist()
        [2, 1, 1]
    """
    values, table = np.asarray(means, np.float64), np.asarray(ps, np.float64)
    found = np.zeros(len(values), np.int64)
    leader, tier = -1, 0
    for model in np.argsort(-values, kind="stable").tolist():
        if leader < 0 or table[leader, model] < level:
            leader, tier = model, tier + 1
        found[model] = tier
    return found


def _drawn(units: Units, resamples: int, generator: np.random.Generator) -> Floats:
    """Means that chance alone makes, less what they have in common; shape (resamples, models)."""
    if len(units) < MANY:
        return _permuted(units, resamples, generator)
    models = units.sums.shape[1]
    variance = float(units.sums.var(axis=1).sum()) / float(units.sizes.sum()) ** 2
    return generator.normal(0, np.sqrt(variance * models / (models - 1)), (resamples, models))


def _permuted(units: Units, resamples: int, generator: np.random.Generator) -> Floats:
    """Means after permuting within each unit; shape (resamples, models)."""
    sums, total = units.sums, float(units.sizes.sum())
    found = np.empty((resamples, sums.shape[1]))
    for start in range(0, resamples, _CHUNK):
        table = np.argsort(generator.random((_TABLE, sums.shape[1])), axis=1)
        for number in range(start, min(start + _CHUNK, resamples)):
            chosen = table[generator.integers(0, _TABLE, len(sums))]
            found[number] = np.take_along_axis(sums, chosen, axis=1).sum(axis=0) / total
    return found
