"""The geometry of a difference on its line, and of a histogram."""

import math
import re

import pytest

from app.core.significance import Difference, Interval
from app.services.paired_runs import BINS, Histogram
from app.web.difference_chart import LINE_WIDTH, SPREAD_HEIGHT, SPREAD_WIDTH, line, reach, spread


def difference(value: float, low: float, high: float) -> Difference:
    interval = Interval(low, high, 100)
    return Difference(value, interval, interval, p=0.5, p_t=0.5, wins=1, ties=0, losses=0, needed=None)


def test_a_line_has_room_for_every_interval_and_margin() -> None:
    found = [(difference(0.1, -0.05, 0.25), 0.01), (difference(0.0, math.nan, math.nan), 0.3)]
    assert reach(found) == 0.3
    assert reach(found[:1]) == 0.25
    assert reach([]) == reach([(difference(0.0, 0.0, 0.0), 0.0)]) == 1.0


def test_zero_stands_in_the_middle_and_the_widest_at_the_sides() -> None:
    drawn = line(difference(0.0, -0.2, 0.2), 0.1, 0.2)
    assert (drawn.low, drawn.point, drawn.high) == (5.0, LINE_WIDTH / 2, LINE_WIDTH - 5.0)
    begin, width = drawn.band
    assert begin + width / 2 == LINE_WIDTH / 2
    assert width == pytest.approx((LINE_WIDTH - 10) / 2)


def test_without_an_interval_there_is_a_point() -> None:
    drawn = line(difference(0.1, math.nan, math.nan), 0.01, 0.2)
    assert (drawn.low, drawn.high) == (None, None)
    assert drawn.point > LINE_WIDTH / 2


def test_bars_are_as_high_as_their_counts_and_a_single_example_is_seen() -> None:
    counts = [0] * (2 * BINS)
    counts[0], counts[BINS], counts[-1] = 1, 400, 200
    drawn = spread(Histogram(0.5, tuple(counts), 7))
    assert (drawn.highest, drawn.examples, drawn.ties, drawn.widest) == (400, 608, 7, 0.5)
    (lonely,) = re.findall(r"M([\d.]+) \d+v-([\d.]+)", drawn.worse)
    assert (float(lonely[0]), float(lonely[1])) == (0.5, 1.5)
    bars = [(float(x), float(height)) for x, height in re.findall(r"M([\d.]+) \d+v-([\d.]+)", drawn.better)]
    assert bars == [
        (SPREAD_WIDTH / 2 + 0.5, SPREAD_HEIGHT),
        (SPREAD_WIDTH - SPREAD_WIDTH / (2 * BINS) + 0.5, SPREAD_HEIGHT / 2),
    ]


def test_all_the_same_draws_nothing() -> None:
    drawn = spread(Histogram(0.0, (0,) * (2 * BINS), 50))
    assert (drawn.worse, drawn.better, drawn.ties) == ("", "", 50)
