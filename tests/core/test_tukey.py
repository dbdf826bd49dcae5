"""The randomised Tukey test against an independent slow one, and its limit against the permutations."""

import random

import numpy as np
import pytest

from app.core import tukey as module
from app.core.resampling import units_of
from app.core.significance import compare
from app.core.tukey import tukey


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
    assert tukey(units_of(values)) == pytest.approx(np.array(slow(values, resamples)), abs=allowed)


def test_the_limit_is_what_permuting_comes_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the least number that takes it, and for the coarsest values: every mean is a multiple of a thousandth."""
    values = (table(module.MANY, 6) > 0.6).astype(float)
    limit = tukey(units_of(values))
    monkeypatch.setattr(module, "MANY", module.MANY + 1)
    assert tukey(units_of(values), resamples=4_000) == pytest.approx(limit, abs=0.04)


def test_two_models_are_the_sign_flip_test() -> None:
    values = table(80, 2)
    p = tukey(units_of(values))[0, 1]
    assert p == pytest.approx(compare(values[:, 0], values[:, 1]).p, abs=0.02)


def test_equal_models_are_never_told_apart() -> None:
    values = np.repeat(np.random.default_rng(0).random((1_000, 1)), 3, axis=1)
    assert (tukey(units_of(values)) == 1).all()
    assert (tukey(units_of(values[:50])) == 1).all()


def test_a_pair_is_symmetric_and_p_is_never_zero() -> None:
    values = np.column_stack([np.zeros(1_000), np.ones(1_000), np.ones(1_000)])
    found = tukey(units_of(values))
    assert (found == found.T).all()
    assert found[0, 1] == found[0, 2] == 1 / 10_001
    assert found[1, 2] == 1


def test_one_model_has_no_pairs() -> None:
    with pytest.raises(ValueError, match="two models"):
        tukey(units_of([0.1, 0.2]))
