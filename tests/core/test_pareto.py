"""The Pareto frontier: by hand, and against its definition pair by pair."""

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import pareto
from app.core.pareto import pareto_frontier

VALUES = st.one_of(st.integers(0, 6).map(float), st.just(math.nan))
POINTS = st.lists(st.tuples(VALUES, VALUES), max_size=20)


def beaten(point: tuple[float, float], other: tuple[float, float]) -> bool:
    return other[0] <= point[0] and other[1] >= point[1] and other != point


@pytest.mark.parametrize(
    ("points", "frontier"),
    [
        ([], []),
        ([(1, 0.5)], [True]),
        ([(1, 0.5), (2, 0.6)], [True, True]),
        ([(1, 0.6), (2, 0.5)], [True, False]),
        ([(2, 0.5), (1, 0.5)], [False, True]),
        ([(1, 0.5), (1, 0.6)], [False, True]),
        ([(1, 0.5), (1, 0.5), (2, 0.4)], [True, True, False]),
        ([(math.nan, 0.9), (1, math.nan), (3, 0.1)], [False, False, True]),
        ([(-5, -2), (0, -3)], [True, False]),
    ],
)
def test_by_hand(points: list[tuple[float, float]], frontier: list[bool]) -> None:
    assert pareto_frontier([x for x, _ in points], [y for _, y in points]).tolist() == frontier


@given(POINTS)
def test_a_point_is_on_it_exactly_when_no_other_beats_it(points: list[tuple[float, float]]) -> None:
    found = pareto_frontier([x for x, _ in points], [y for _, y in points]).tolist()
    known = [point for point in points if not any(map(math.isnan, point))]
    assert found == [point in known and not any(beaten(point, other) for other in known) for point in points]


def test_scores_that_differ_by_rounding_alone_are_equal() -> None:
    noisy = 0.1 + 0.2
    assert noisy != 0.3
    assert pareto_frontier([1, 2], [0.3, noisy]).tolist() == [True, False]
    assert pareto_frontier([1, 1], [0.3, noisy]).tolist() == [True, True]


def test_every_point_has_both() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) costs and \(1,\) scores"):
        pareto_frontier([1, 2], [0.5])


def test_the_examples() -> None:
    tested = doctest.testmod(pareto)
    assert tested.attempted and not tested.failed
