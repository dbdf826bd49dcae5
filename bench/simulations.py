"""Models of which the truth is known, and how often the tests and the intervals of the core are wrong about them.

Repeats are columns: the functions of the core take many comparisons at once, and since every comparison of the house
draws by the same seed, a column is to the last digit what `compare` answers for it. The first of each block is asked.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from app.core.aggregation import Floats, Integers
from app.core.all_pairs import tukey
from app.core.resampling import (
    Stratum,
    Units,
    percentiles,
    pooled,
    resampled_means,
    resampled_scores,
    units_of,
)
from app.core.significance import Difference, compare, compare_strata, sign_flip
from app.core.verdicts import SIGNIFICANT, Verdict, judge

SEED: Final = 5
MODELS: Final = 10
"""Of a family."""
_BLOCK: Final = 250
"""Repeats at a time: few enough for memory."""
_POWER: Final = 2.80
"""What statistics.md says of power: 80% at two-sided 5% need (2.80 * sd / difference)² examples."""

Generator = np.random.Generator
Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Noise:
    """How equal models differ.

    Attributes:
        name: for people.
        draw: generator and (examples, models, repeats) -> values of that shape; all models have the same true mean.
        mean: that mean.
    """

    name: str
    draw: Callable[[Generator, Shape], Floats]
    mean: float


@dataclass(frozen=True, slots=True)
class Rates:
    """Of equal models, the share of the repeats in which ...

    Attributes:
        told_apart: a verdict said "better" or "worse".
        mean: the 95% interval of a model's score held the truth.
        difference: that of the difference held zero.
    """

    told_apart: float
    mean: float
    difference: float


def exchangeable(generator: Generator, shape: Shape) -> Floats:
    """Examples of unlike difficulty, and independent normal noise of each model."""
    return _difficulty(generator, shape) + generator.normal(0, 0.1, shape)


def binary(generator: Generator, shape: Shape) -> Floats:
    """0 or 1: each model solves six examples of ten."""
    return (generator.random(shape) < 0.6).astype(np.float64)


def skewed(generator: Generator, shape: Shape) -> Floats:
    """One of two models is often a little worse and seldom much better: exponential noise; the other hardly varies."""
    return _one_sided(generator, shape, generator.exponential(0.2, shape) - 0.2)


def skewed_alike(generator: Generator, shape: Shape) -> Floats:
    """Exponential noise of every model."""
    return _difficulty(generator, shape) + generator.exponential(0.2, shape) - 0.2


def very_skewed(generator: Generator, shape: Shape) -> Floats:
    """The same with lognormal noise, of skewness 6."""
    return _one_sided(generator, shape, 0.1 * (generator.lognormal(0, 1, shape) - math.exp(0.5)))


EXCHANGEABLE: Final = Noise("exchangeable noise", exchangeable, 0.5)
BINARY: Final = Noise("binary values", binary, 0.6)
SKEWED: Final = Noise("skewed noise", skewed, 0.5)
SKEWED_ALIKE: Final = Noise("skewed noise", skewed_alike, 0.5)
VERY_SKEWED: Final = Noise("very skewed noise", very_skewed, 0.5)


def equal_models(noise: Noise, n: int, *, repeats: int, resamples: int, clusters: Integers | None = None) -> Rates:
    """Two equal models on n examples, or on the examples of these clusters.

    Args:
        noise: of the models.
        n: examples; the length of `clusters` where there are some.
        repeats: how often two models are drawn.
        resamples: of each test and interval.
        clusters: shape (n,), equal for examples that belong together.

    Raises:
        AssertionError: `compare` answers otherwise for the first repeat of a block.
    """
    counts = np.zeros(3)
    for generator, width in _blocks(repeats, n):
        values = noise.draw(generator, (n, 2, width))
        differences = units_of(np.round(values[:, 0] - values[:, 1], 10), clusters)
        p = sign_flip(differences, resamples=resamples)
        apart = percentiles(resampled_means(differences, resamples=resamples))
        _assert_same(compare(values[:, 0, 0], values[:, 1, 0], clusters, resamples=resamples), p, *apart)
        alone = percentiles(resampled_means(units_of(values[:, 0], clusters), resamples=resamples))
        counts += (p < SIGNIFICANT).sum(), _held(*alone, noise.mean), _held(*apart, 0)
    return Rates(*(counts / repeats))


def equal_on_a_board(noises: Sequence[Noise], sizes: Sequence[int], *, repeats: int, resamples: int) -> Rates:
    """Two equal models on datasets of these sizes, each with the same weight."""
    counts, weight = np.zeros(3), 1 / len(sizes)
    for generator, width in _blocks(repeats, len(sizes)):
        values = [noise.draw(generator, (n, 2, width)) for noise, n in zip(noises, sizes, strict=True)]
        differences = [Stratum(units_of(np.round(table[:, 0] - table[:, 1], 10)), weight) for table in values]
        p = sign_flip(pooled(differences), resamples=resamples)
        apart = percentiles(resampled_scores(differences, resamples=resamples))
        first = [Stratum(_column(stratum.units), weight) for stratum in differences]
        _assert_same(compare_strata(first, resamples=resamples), p, *apart)
        alone = [Stratum(units_of(table[:, 0]), weight) for table in values]
        truth = sum(noise.mean for noise in noises) * weight
        held = _held(*percentiles(resampled_scores(alone, resamples=resamples)), truth)
        counts += (p < SIGNIFICANT).sum(), held, _held(*apart, 0)
    return Rates(*(counts / repeats))


def families_in_error(noises: Sequence[Noise], sizes: Sequence[int], *, repeats: int, resamples: int) -> float:
    """How often Tukey's test tells any two of ten equal models apart, on datasets of these sizes."""
    wrong = 0
    for generator, width in _blocks(repeats, sum(sizes)):
        values = [noise.draw(generator, (n, MODELS, width)) for noise, n in zip(noises, sizes, strict=True)]
        for repeat in range(width):
            strata = [Stratum(units_of(table[:, :, repeat]), 1 / len(sizes)) for table in values]
            wrong += bool((tukey(strata, resamples=resamples) < SIGNIFICANT).any())
    return wrong / repeats


def found_beside(*, baseline: bool, classical: bool, repeats: int, resamples: int) -> float:
    """How often a difference between two good models is found that 200 examples tell in 80% of cases.

    Args:
        baseline: whether a model with hardly any score is on the board too.
        classical: whether by the classical randomised Tukey test, instead of the house's.
        repeats: how often models are drawn.
        resamples: of each test.
    """
    n, found = 200, 0
    difference = _POWER * 0.1 * math.sqrt(2 / n)
    for generator, width in _blocks(repeats, n):
        for _ in range(width):
            values = exchangeable(generator, (n, 2, 1))[:, :, 0] + np.array([difference, 0])
            if baseline:
                values = np.column_stack([values, 0.1 * generator.random(n)])
            if classical:
                p = _classical(values, generator, resamples)
            else:
                p = float(tukey([Stratum(units_of(values), 1.0)], resamples=resamples)[0, 1])
            found += p < SIGNIFICANT
    return found / repeats


def equal_in_clusters(count: int, *, repeats: int, resamples: int) -> Rates:
    """Two equal models on so many clusters of one to eight examples that share a part of their noise."""
    sizes = np.random.default_rng(SEED).integers(1, 9, count)
    clusters = np.repeat(np.arange(count), sizes)

    def draw(generator: Generator, shape: Shape) -> Floats:
        shared: Floats = generator.normal(0, 0.1, (count, *shape[1:]))[clusters]
        return exchangeable(generator, shape) + shared

    noise = Noise("clusters", draw, EXCHANGEABLE.mean)
    return equal_models(noise, len(clusters), repeats=repeats, resamples=resamples, clusters=clusters)


def power(noise: Noise, difference: float, *, repeats: int, resamples: int) -> tuple[int, float]:
    """The number of examples that the power formula asks for, and how often the difference is found with so many."""
    large = noise.draw(np.random.default_rng(SEED), (1_000_000, 2, 1))
    n = math.ceil((_POWER * float((large[:, 0] - large[:, 1]).std()) / difference) ** 2)
    found = 0
    for generator, width in _blocks(repeats, n):
        values = noise.draw(generator, (n, 2, width))
        p = sign_flip(units_of(values[:, 0] - values[:, 1] + difference), resamples=resamples)
        found += int((p < SIGNIFICANT).sum())
    return n, found / repeats


def _classical(values: Floats, generator: Generator, resamples: int) -> float:
    """Of the first two models: values are permuted within each example; the range of the means is what chance makes."""
    many = np.broadcast_to(values, (resamples, *values.shape))
    ranges = np.ptp(generator.permuted(many, axis=2).mean(axis=1), axis=1)
    own = abs(values[:, 0].mean() - values[:, 1].mean())
    return float((ranges >= own - 1e-12).sum() + 1) / (resamples + 1)


def _difficulty(generator: Generator, shape: Shape) -> Floats:
    return generator.beta(2, 2, (shape[0], 1, shape[2]))


def _one_sided(generator: Generator, shape: Shape, noise: Floats) -> Floats:
    noise[:, 1::2] = generator.normal(0, 0.02, noise[:, 1::2].shape)
    return _difficulty(generator, shape) + noise


def _blocks(repeats: int, salt: int) -> Iterator[tuple[Generator, int]]:
    """A generator of its own, and how many repeats, for each block."""
    for start in range(0, repeats, _BLOCK):
        yield np.random.default_rng((SEED, salt, start)), min(_BLOCK, repeats - start)


def _column(units: Units) -> Units:
    return Units(units.sums[:, :1], units.sizes)


def _held(low: Floats, high: Floats, truth: float) -> int:
    return int(((low <= truth) & (truth <= high)).sum())


def _assert_same(found: Difference, p: Floats, low: Floats, high: Floats) -> None:
    """That a whole comparison answers as its parts did for the first column; p to what chance leaves open."""
    error = 5 * math.sqrt(found.p * (1 - found.p) / 1_000) + 0.01
    assert abs(found.p - p[0]) < error, f"compare() finds p = {found.p}, the test {p[0]}"
    assert np.allclose((found.interval.low, found.interval.high), (low[0], high[0])), "compare() has another interval"
    told = judge(found).verdict in {Verdict.BETTER, Verdict.WORSE}
    assert told == (found.p < SIGNIFICANT), f"a verdict at p = {found.p} is {judge(found).verdict}"
