"""The layout of a critical-difference diagram: where models stand, what is joined, which name has which place."""

import doctest
import math
from itertools import pairwise

import pytest

from app.web import critical_difference as module
from app.web.critical_difference import CriticalDifference, critical_difference, scale


def drawn(means: list[float], apart: set[tuple[int, int]], names: list[str] | None = None) -> CriticalDifference:
    """With a test between the pairs of `apart` only."""
    count = len(means)
    p = [[0.01 if {(i, j), (j, i)} & apart else 0.6 for j in range(count)] for i in range(count)]
    found = critical_difference(names or [chr(97 + place) for place in range(count)], means, p)
    assert found is not None
    return found


def joined(found: CriticalDifference) -> list[str]:
    return ["".join(bar.names) for bar in found.bars]


@pytest.mark.parametrize(
    ("apart", "bars"),
    [
        (set(), ["abcd"]),
        ({(0, 3)}, ["abc", "bcd"]),
        ({(0, 2), (0, 3), (1, 3)}, ["ab", "bc", "cd"]),
        ({(0, 1), (0, 2), (0, 3)}, ["bcd"]),
        ({(i, j) for i in range(4) for j in range(i)}, []),
        ({(1, 2)}, ["ab", "cd"]),
    ],
)
def test_a_bar_joins_each_largest_group_of_neighbours(apart: set[tuple[int, int]], bars: list[str]) -> None:
    assert joined(drawn([0.1, 0.2, 0.3, 0.4], apart)) == bars


def test_the_order_is_that_of_the_means_whatever_that_of_the_names() -> None:
    found = drawn([0.4, 0.1, 0.3], {(0, 1)})
    assert joined(found) == ["bc", "ca"]
    assert [stem.name for stem in found.stems] == ["b", "c", "a"]
    assert [stem.anchor for stem in found.stems] == ["end", "start", "start"]


def test_bars_of_one_line_never_touch() -> None:
    found = drawn([0.1, 0.2, 0.3, 0.4, 0.9, 1.0], {(0, 2), (0, 3), (1, 3), (3, 4), (2, 4), (1, 4), (0, 4)})
    for one in found.bars:
        others = [bar for bar in found.bars if bar is not one and bar.y == one.y]
        assert all(bar.end < one.start or one.end < bar.start for bar in others)
    assert len({bar.y for bar in found.bars}) == 2


def test_every_name_has_a_row_of_its_own_below_the_bars_and_inside_the_drawing() -> None:
    found = drawn([place / 10 for place in range(7)], {(0, 6)})
    for side in ("end", "start"):
        rows = sorted(stem.place[1] for stem in found.stems if stem.anchor == side)
        assert all(below - above == 20 for above, below in pairwise(rows))
        assert rows[0] > max(bar.y for bar in found.bars) and rows[-1] < found.height
    outermost = {stem.name: stem.place[1] for stem in found.stems}
    assert outermost["a"] == outermost["g"] == min(outermost.values())


def test_a_pair_without_a_test_is_not_separated() -> None:
    found = critical_difference(["a", "b"], [0.1, 0.2], [[None, math.nan], [None, None]])
    assert found and joined(found) == ["ab"]


def test_one_model_is_no_diagram() -> None:
    assert critical_difference(["a"], [0.5], [[1.0]]) is None


def test_long_names_give_their_organisation_away_first() -> None:
    names = ["sentence-transformers/all-MiniLM-L12-v2", "x" * 50, "short"]
    found = drawn([0.1, 0.2, 0.3], set(), names)
    assert [stem.label for stem in found.stems] == ["…/all-MiniLM-L12-v2", "x" * 35 + "…", "short"]
    assert [stem.name for stem in found.stems] == names


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5], [0.0, 0.0], [-0.2, 0.3], [0.611, 0.614], [-7.0, 1234.5]])
def test_a_scale_has_a_place_for_every_value(values: list[float]) -> None:
    found = scale(values, 10, 110)
    assert 2 <= len(found.ticks) <= 9
    assert all(10 <= found.place(value) <= 110 for value in values)
    assert [x for _, x in found.marks][:: len(found.ticks) - 1] == [10, 110]


def test_the_examples() -> None:
    tested = doctest.testmod(module)
    assert tested.attempted == 5 and not tested.failed
