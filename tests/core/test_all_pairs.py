"""The randomised Tukey test against an independent slow one, its limit against the permutations; and tiers."""

import random

import numpy as np
import pytest

from app.core import all_pairs
from app.core.all_pairs import tiers, tukey
from app.core.resampling import units_of
from app.core.significance import compare


def table(n: int, models: int, seed: int = 0) -> np.ndarray:
    """Values of models whose means rise a little."""
    generator = np.random.default_rng(seed)
    return generator.random((n, 1)) + generator.normal(0, 0.2, (n, models)) + np.linspace(0, 0.08, models)


def slow(values: np.ndarray, resamples: int) -> list[list[float]]:
    """As it is written in the book: shuffle each row, look at the extremes."""
    chance = random.Random(5)
    means = values.mean(axis=0)
    ranges = []
    for _ in range(resamples):
        rows = [chance.sample(row, len(row)) for row in values.tolist()]
        permuted = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        ranges.append(max(permuted) - min(permuted))
    models = range(len(means))
    return [
        [sum(r >= abs(means[a] - means[b]) for r in ranges) / resamples if a != b else 1.0 for b in models]
        for a in models
    ]


@pytest.mark.parametrize(("n", "models", "resamples"), [(40, 2, 2_000), (60, 4, 2_000), (1_000, 3, 400)])
def test_p_values_are_those_of_the_slow_one(n: int, models: int, resamples: int) -> None:
    values = table(n, models)
    allowed = 4 * 0.5 / resamples**0.5
    assert tukey([units_of(values)]) == pytest.approx(np.array(slow(values, resamples)), abs=allowed)


def test_the_limit_is_what_permuting_comes_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the least number that takes it, and for the coarsest values: every mean is a multiple of a thousandth."""
    values = (table(all_pairs.MANY, 6) > 0.6).astype(float)
    limit = tukey([units_of(values)])
    monkeypatch.setattr(all_pairs, "MANY", all_pairs.MANY + 1)
    assert tukey([units_of(values)], resamples=4_000) == pytest.approx(limit, abs=0.04)


def test_two_models_are_the_sign_flip_test() -> None:
    values = table(80, 2)
    p = tukey([units_of(values)])[0, 1]
    assert p == pytest.approx(compare(values[:, 0], values[:, 1]).p, abs=0.02)


def test_equal_models_are_never_told_apart() -> None:
    values = np.repeat(np.random.default_rng(0).random((1_000, 1)), 3, axis=1)
    assert (tukey([units_of(values)]) == 1).all()
    assert (tukey([units_of(values[:50])]) == 1).all()


def test_a_pair_is_symmetric_and_p_is_never_zero() -> None:
    values = np.column_stack([np.zeros(1_000), np.ones(1_000), np.ones(1_000)])
    found = tukey([units_of(values)])
    assert (found == found.T).all()
    assert found[0, 1] == found[0, 2] == 1 / 10_001
    assert found[1, 2] == 1


def test_one_model_has_no_pairs() -> None:
    with pytest.raises(ValueError, match="at least two"):
        tukey([units_of([0.1, 0.2])])


def test_datasets_must_be_of_the_same_models() -> None:
    with pytest.raises(ValueError, match="the same models"):
        tukey([units_of(table(50, 2)), units_of(table(50, 3))])
    with pytest.raises(ValueError, match="the same models"):
        tukey([])


def test_a_board_is_the_mean_over_its_datasets() -> None:
    """Two datasets of one size are as one of both, once each has the same mean."""
    values = table(160, 3)
    values -= values.mean(axis=1, keepdims=True)
    halves = [units_of(values[:80]), units_of(values[80:])]
    assert tukey(halves) == pytest.approx(tukey([units_of(values)]), abs=0.02)


def test_small_and_large_datasets_stand_on_one_board() -> None:
    found = tukey([units_of(table(60, 4)), units_of(table(all_pairs.MANY, 4, seed=1))])
    assert (found == found.T).all() and (found > 0).all() and (found <= 1).all()
    assert found[0, 3] < 0.05 < found[0, 1]


def test_tiers_end_where_the_leader_is_told_apart() -> None:
    means = [0.90, 0.88, 0.86, 0.80]
    ps = np.ones((4, 4))
    for a, b in ((0, 2), (0, 3), (1, 3), (2, 3)):
        ps[a, b] = ps[b, a] = 0.01
    assert tiers(means, ps).tolist() == [1, 1, 2, 3]
    assert tiers(means[::-1], ps[::-1, ::-1]).tolist() == [3, 2, 1, 1]
    assert tiers([], np.ones((0, 0))).tolist() == []
