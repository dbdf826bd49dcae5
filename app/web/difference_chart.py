"""Differences between two models as small drawings: an interval on a line, and their spread over the examples."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from app.core.significance import Difference
from app.services.paired_runs import Histogram

LINE_WIDTH: Final = 168
LINE_HEIGHT: Final = 18
_SIDE: Final = 5.0
SPREAD_WIDTH: Final = 260
SPREAD_HEIGHT: Final = 72
_LEAST_BAR: Final = 1.5
"""As high as this at least: a single example is seen beside hundreds."""


@dataclass(frozen=True, slots=True)
class Line:
    """A difference and its 95% interval, in pixels of a line whose middle is zero.

    Attributes:
        low: None, like `high`, where there is no interval.
        band: begin and width of what is practically equal.
    """

    point: float
    low: float | None
    high: float | None
    band: tuple[float, float]
    middle: float = LINE_WIDTH / 2
    width: int = LINE_WIDTH
    height: int = LINE_HEIGHT


@dataclass(frozen=True, slots=True)
class Spread:
    """A histogram of differences as the paths of its bars: those to B's advantage, and to A's.

    Attributes:
        widest: the difference at either edge.
        highest: how many examples the highest bar has.
        ties: how many have no difference; they are told in words.
    """

    worse: str
    better: str
    widest: float
    highest: int
    ties: int
    examples: int
    width: int = SPREAD_WIDTH
    height: int = SPREAD_HEIGHT


def reach(differences: Iterable[tuple[Difference, float]]) -> float:
    """How far a line has to reach so that every interval and margin has its place on it.

    Args:
        differences: each with its margin.
    """
    ends = [
        abs(value)
        for found, margin in differences
        for value in (found.value, found.interval.low, found.interval.high, margin)
        if not math.isnan(value)
    ]
    return max(ends, default=0.0) or 1.0


def line(found: Difference, margin: float, widest: float) -> Line:
    """Lay out one difference on a line from -widest to widest."""

    def place(value: float) -> float:
        return round(LINE_WIDTH / 2 + value / widest * (LINE_WIDTH / 2 - _SIDE), 1)

    ends = [None if math.isnan(end) else place(end) for end in (found.interval.low, found.interval.high)]
    band = place(-margin), round(place(margin) - place(-margin), 1)
    return Line(place(found.value), ends[0], ends[1], band)


def spread(histogram: Histogram) -> Spread:
    """Lay out a histogram; the heights are as the counts, the highest bar fills the drawing."""
    counts = histogram.counts
    half, highest = len(counts) // 2, max(counts)
    bar = SPREAD_WIDTH / len(counts)
    return Spread(
        worse=_bars(counts[:half], 0.0, bar, highest),
        better=_bars(counts[half:], half * bar, bar, highest),
        widest=histogram.widest,
        highest=highest,
        ties=histogram.ties,
        examples=sum(counts) + histogram.ties,
    )


def _bars(counts: Sequence[int], start: float, width: float, highest: int) -> str:
    """A path with a rectangle for each count that is not zero."""
    heights = [round(max(_LEAST_BAR, SPREAD_HEIGHT * count / highest), 1) if count else 0 for count in counts]
    return "".join(
        f"M{start + place * width + 0.5:g} {SPREAD_HEIGHT}v{-height:g}h{width - 1:g}v{height:g}z"
        for place, height in enumerate(heights)
        if height
    )
