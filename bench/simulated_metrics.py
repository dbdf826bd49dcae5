"""Metrics that are no means: how often the intervals and tests of two equal models are wrong about them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import norm

from app.core.aggregation import Floats
from app.core.contributions import (
    average_precision_contributions,
    kendall_contributions,
    spearman_contributions,
)
from app.core.resampled_metrics import resampled_average_precision, resampled_spearman
from app.core.resampling import Stratum, percentiles, resampled_means, units_of
from app.core.significance import Interval, compare_samples, sign_flip
from app.core.verdicts import SIGNIFICANT
from bench.simulations import SEED, Rates

_R: Final = 0.8
"""The correlation of each model's similarities with the gold scores; those of two models share half of their noise."""
_SHARE: Final = 0.3
"""Of pairs that belong together; these are alike by two standard deviations more."""
_GAP: Final = 2.0
_BLOCK: Final = 250

Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of scores against gold.

    Attributes:
        name: for people.
        draw: generator and n -> the scores of two equal models, shape (n, 2), and the gold ones.
        truth: its value on endlessly many examples.
        contributions: what each example adds to it.
        resampled: the metric computed again on every resample; None where nothing does.
    """

    name: str
    draw: Callable[[Generator, int], tuple[Floats, Floats]]
    truth: float
    contributions: Callable[[Floats, Floats], Floats]
    resampled: Callable[..., Floats] | None = None


def correlated(generator: Generator, n: int) -> tuple[Floats, Floats]:
    """Gold scores, and two models' similarities that go with them."""
    gold = generator.normal(0, 1, n)
    return gold[:, None] * _R + math.sqrt(1 - _R**2) * _noise(generator, n), gold


def labelled(generator: Generator, n: int) -> tuple[Floats, Floats]:
    """Labels, and two models' similarities that are higher for 1."""
    labels = (generator.random(n) < _SHARE).astype(np.float64)
    return _GAP * labels[:, None] + _noise(generator, n), labels


def true_average_precision() -> float:
    """Of `labelled`: the integral of precision over recall."""
    threshold = np.linspace(-8, 8 + _GAP, 200_001)
    positives, negatives = _SHARE * norm.sf(threshold - _GAP), (1 - _SHARE) * norm.sf(threshold)
    return float(np.trapezoid(positives / (positives + negatives) * norm.pdf(threshold - _GAP), threshold))


SPEARMAN: Final = Metric(
    "Spearman", correlated, 6 / math.pi * math.asin(_R / 2), spearman_contributions, resampled_spearman
)
AVERAGE_PRECISION: Final = Metric(
    "average precision",
    labelled,
    true_average_precision(),
    average_precision_contributions,
    resampled_average_precision,
)
KENDALL: Final = Metric("Kendall", correlated, 2 / math.pi * math.asin(_R), kendall_contributions)


def by_contributions(metric: Metric, n: int, *, repeats: int, resamples: int) -> Rates:
    """Intervals and the sign-flip test over what each example contributes, as boards and all pairs use it."""
    counts = np.zeros(3)
    for start in range(0, repeats, _BLOCK):
        generator, width = np.random.default_rng((SEED, n, start)), min(_BLOCK, repeats - start)
        drawn = [metric.draw(generator, n) for _ in range(width)]
        values = np.array([[metric.contributions(one, gold) for one in scores.T] for scores, gold in drawn])
        differences, alone = units_of((values[:, 0] - values[:, 1]).T), units_of(values[:, 0].T)
        told = (sign_flip(differences, resamples=resamples) < SIGNIFICANT).sum()
        low, high = percentiles(resampled_means(alone, resamples=resamples))
        held = ((low <= metric.truth) & (metric.truth <= high)).sum()
        low, high = percentiles(resampled_means(differences, resamples=resamples))
        counts += told, held, ((low <= 0) & (high >= 0)).sum()
    return Rates(*(counts / repeats))


def computed_again(metric: Metric, n: int, *, repeats: int, resamples: int) -> Rates:
    """Intervals of the metric on every resample and the test of contributions, as two models are compared.

    Raises:
        ValueError: nothing computes that metric again.
    """
    if metric.resampled is None:
        raise ValueError(f"{metric.name} is not computed again on resamples")
    generator, counts = np.random.default_rng((SEED, n)), np.zeros(3)
    for _ in range(repeats):
        scores, gold = metric.draw(generator, n)
        samples = metric.resampled(scores, gold, resamples=resamples)
        values = np.array([metric.contributions(one, gold) for one in scores.T])
        strata = [Stratum(units_of(values[0] - values[1]), 1.0)]
        found = compare_samples(samples[:, 0], samples[:, 1], float((values[0] - values[1]).mean()), strata)
        (low, _), (high, _) = percentiles(samples)
        alone = Interval(float(low), float(high), n)
        counts += found.p < SIGNIFICANT, _holds(alone, metric.truth), _holds(found.interval, 0)
    return Rates(*(counts / repeats))


def _noise(generator: Generator, n: int) -> Floats:
    """Shape (n, 2), of variance 1; half of it is the pair's own."""
    found: Floats = (generator.normal(0, 1, (n, 1)) + generator.normal(0, 1, (n, 2))) / math.sqrt(2)
    return found


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high
