"""Tukey's randomised test against an independent slow one; and tiers."""

import itertools
import math
import operator
import random

import numpy as np
import pytest

from app.core.all_pairs import tiers, tukey
from app.core.resampling import Strata, Stratum, units_of
from app.core.significance import compare


def table(n: int, models: int, seed: int = 0) -> np.ndarray:
    """Values of models whose means rise a little."""
    generator = np.random.default_rng(seed)
    return generator.random((n, 1)) + generator.normal(0, 0.2, (n, models)) + np.linspace(0, 0.08, models)


def strata(*tables: np.ndarray) -> Strata:
    """Each as much as another."""
    return [Stratum(units_of(values), 1 / len(tables)) for values in tables]


def slow(values: np.ndarray, resamples: int) -> list[list[float]]:
    """As it is written in the book: flip every row's signs, divide each pair by its noise, keep the clearest."""
    chance = random.Random(5)
    pairs = list(itertools.combinations(range(values.shape[1]), 2))
    differences = {(a, b): (values[:, a] - values[:, b]).tolist() for a, b in pairs}
    noise = {pair: math.sqrt(math.fsum(d * d for d in own)) for pair, own in differences.items()}
    greatest = []
    for _ in range(resamples):
        signs = [chance.choice((-1, 1)) for _ in values]
        greatest.append(max(abs(sum(map(operator.mul, signs, own))) / noise[pair] for pair, own in differences.items()))
    found = [[1.0] * values.shape[1] for _ in range(values.shape[1])]
    for (a, b), own in differences.items():
        clear = abs(sum(own)) / noise[a, b]
        found[a][b] = found[b][a] = sum(one >= clear for one in greatest) / resamples
    return found


@pytest.mark.parametrize(("n", "models", "resamples"), [(40, 2, 2_000), (60, 4, 2_000), (1_000, 3, 400)])
def test_p_values_are_those_of_the_slow_one(n: int, models: int, resamples: int) -> None:
    values = table(n, models)
    allowed = 4 * 0.5 / resamples**0.5
    assert tukey(strata(values)) == pytest.approx(np.array(slow(values, resamples)), abs=allowed)


def test_a_bad_model_on_the_board_does_not_hide_the_others() -> None:
    """The classical form would: its range is that of the worst."""
    generator = np.random.default_rng(0)
    good = generator.random((300, 1)) * 0.4 + 0.5 + generator.normal([0, 0.03], 0.1, (300, 2))
    alone = tukey(strata(good))[0, 1]
    beside = tukey(strata(np.column_stack([good, generator.random(300) * 0.1])))
    assert alone < 0.01 and beside[0, 1] < 0.02
    assert (beside[2, :2] < 0.001).all()


def test_two_models_are_the_sign_flip_test() -> None:
    values = table(80, 2)
    p = tukey(strata(values))[0, 1]
    assert p == compare(values[:, 0], values[:, 1]).p


def test_equal_models_are_never_told_apart() -> None:
    values = np.repeat(np.random.default_rng(0).random((1_000, 1)), 3, axis=1)
    assert (tukey(strata(values)) == 1).all()
    assert (tukey(strata(values[:50])) == 1).all()


def test_a_pair_is_symmetric_and_p_is_never_zero() -> None:
    values = np.column_stack([np.zeros(1_000), np.ones(1_000), np.ones(1_000)])
    found = tukey(strata(values))
    assert (found == found.T).all()
    assert found[0, 1] == found[0, 2] == 1 / 10_001
    assert found[1, 2] == 1


def test_one_model_has_no_pairs() -> None:
    with pytest.raises(ValueError, match="at least two"):
        tukey(strata([0.1, 0.2]))


def test_datasets_must_be_of_the_same_models() -> None:
    with pytest.raises(ValueError, match="the same models"):
        tukey(strata(table(50, 2), table(50, 3)))
    with pytest.raises(ValueError, match="the same models"):
        tukey([])


def test_a_board_is_the_mean_over_its_datasets() -> None:
    """Two datasets of one size are as one of both, once each has the same mean."""
    values = table(160, 3)
    values -= values.mean(axis=1, keepdims=True)
    halves = strata(values[:80], values[80:])
    assert tukey(halves) == pytest.approx(tukey(strata(values)), abs=0.02)


def test_small_and_large_datasets_stand_on_one_board() -> None:
    found = tukey(strata(table(60, 4), table(1_000, 4, seed=1)))
    assert (found == found.T).all() and (found > 0).all() and (found <= 1).all()
    assert found[0, 3] < 0.05 < found[0, 1]


def test_a_tier_ends_before_the_first_model_that_is_told_apart_from_any_of_it() -> None:
    means = [0.90, 0.88, 0.86, 0.80]
    ps = np.ones((4, 4))
    for a, b in ((0, 2), (0, 3), (1, 3), (2, 3)):
        ps[a, b] = ps[b, a] = 0.01
    assert tiers(means, ps).tolist() == [1, 1, 2, 3]
    assert tiers(means[::-1], ps[::-1, ::-1]).tolist() == [3, 2, 1, 1]
    ps[0, 2] = ps[2, 0] = 0.2
    ps[1, 2] = ps[2, 1] = 0.01  # from the second, though not from the best
    assert tiers(means, ps).tolist() == [1, 1, 2, 3]
    assert tiers([], np.ones((0, 0))).tolist() == []
