"""All pairs of models at once: Tukey's randomised test, whose one null distribution holds for all, and tiers."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from app.core.aggregation import Floats, Integers
from app.core.resampling import RESAMPLES, SEED, Strata, pooled
from app.core.significance import random_signs
from app.core.verdicts import SIGNIFICANT

_SAME: Final = 1e-20
"""Models whose values differ by less, squared and summed, are the same: what is left is rounding."""


def tukey(strata: Strata, *, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Tukey's randomised test: for each pair, how often chance alone makes some two models differ as clearly.

    Under random signs of all differences within a unit, each pair's difference is divided by what signs alone make of
    it, sqrt(sum of squares); the greatest over all pairs is what chance makes of the whole board. p = (b + 1) /
    (resamples + 1), b being how often that reaches the pair's own. The family of all pairs errs in 5% of cases.

    The classical form permutes the values of all models within a unit and takes the plain range of the means. There
    one bad model, such as a random baseline, widens the distribution for all: with it on the board good models are
    hardly ever told apart. Dividing pair by pair (Tukey and Kramer) leaves each pair to its own noise, and two models
    alone are exactly the sign-flip test.

    Args:
        strata: at least one, each of the same two or more models; clusters get one sign.
        resamples: at least 1.
        seed: the same one gives the same p.

    Returns:
        Shape (models, models), symmetric, above 0 and at most 1; 1 on the diagonal and where values are the same.

    Raises:
        ValueError: there is no stratum, there are fewer than two models, or strata differ in their number.

    Reference:
        Westfall and Young 1993, "Resampling-Based Multiple Testing", chapter 2 (single-step maxT); Carterette 2012,
        "Multiple testing in statistical analysis of systems-based information retrieval experiments".
    """
    counts = {stratum.units.sums.shape[1] for stratum in strata}
    if len(counts) != 1 or min(counts) < 2:
        raise ValueError("a comparison of all pairs needs values of the same models, at least two")
    sums = pooled(strata).sums
    values = sums - sums.mean(axis=1, keepdims=True)
    values /= np.abs(values).max(initial=1e-300)
    precision = _precision(values)
    maxima = np.concatenate(
        [_greatest(signs @ values, precision) for signs in random_signs(len(values), resamples=resamples, seed=seed)]
    )
    totals = values.sum(axis=0)
    reached = np.abs(totals[:, None] - totals) * precision * (1 - 1e-9)
    beyond = resamples - np.searchsorted(np.sort(maxima), reached, side="left")
    found: Floats = np.where(precision > 0, (beyond + 1) / (resamples + 1), 1.0)
    return found


def tiers(means: ArrayLike, ps: ArrayLike, *, level: float = SIGNIFICANT) -> Integers:
    """Groups of models that no test separates, by falling mean.

    A tier ends before the first model that is told apart from any of it; that one leads the next.

    Args:
        means: shape (models,).
        ps: shape (models, models), of all pairs.
        level: a p below it tells two models apart.

    Returns:
        Shape (models,), 1 for the first tier.

    Example:
        >>> tiers([0.7, 0.5, 0.69], [[1, 0.01, 0.4], [0.01, 1, 0.03], [0.4, 0.03, 1]]).tolist()
        [1, 2, 1]
    """
    values, table = np.asarray(means, np.float64), np.asarray(ps, np.float64)
    found = np.zeros(len(values), np.int64)
    members: list[int] = []
    tier = 0
    for model in np.argsort(-values, kind="stable").tolist():
        if not members or (table[members, model] < level).any():
            members, tier = [], tier + 1
        members.append(model)
        found[model] = tier
    return found


def _precision(values: Floats) -> Floats:
    """By pair, one over what random signs make of its difference; 0 for the same values. Shape (models, models)."""
    models = values.shape[1]
    found = np.zeros((models, models))
    for model in range(models):
        squares = np.square(values - values[:, [model]]).sum(axis=0)
        found[model] = np.divide(1, np.sqrt(squares), out=np.zeros(models), where=squares > _SAME)
    return found


def _greatest(totals: Floats, precision: Floats) -> Floats:
    """The clearest difference between any two of the models, on each resample; totals of shape (resamples, models)."""
    found = np.zeros(len(totals))
    for model in range(1, totals.shape[1]):
        apart = np.abs(totals[:, :model] - totals[:, [model]]) * precision[model, :model]
        np.maximum(found, apart.max(axis=1), out=found)
    return found
