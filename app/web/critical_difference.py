"""A critical-difference diagram drawn by the server: models on a line by their mean, bars over those no test separates.

Reference:
    Demšar 2006, "Statistical comparisons of classifiers over multiple data sets", figure 1; here of means, not ranks.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from app.core.verdicts import SIGNIFICANT

WIDTH: Final = 960
_SIDE: Final = 290
"""Room for the names on either side."""
_STUB: Final = 16
"""The shortest line from a name to the axis."""
_AXIS: Final = 30
_FIRST_BAR: Final = 12
_BAR_STEP: Final = 8
_BAR_OVER: Final = 5
_ROW: Final = 20
_MOST_TICKS: Final = 7
_LABEL_LENGTH: Final = 36


@dataclass(frozen=True, slots=True)
class Scale:
    """A line in pixels: `low` stands at `start`, `high` at `end`, and `ticks` are round numbers between them."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Where a value stands, in pixels."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Each tick and where it stands."""
        return tuple((tick, self.place(tick)) for tick in self.ticks)


@dataclass(frozen=True, slots=True)
class Stem:
    """From a model's mean on the axis down to its row, and across to its label.

    Attributes:
        name: whole; `label` is what there is room for.
        value: its mean.
        path: of the line, as SVG wants it.
        place: where the label begins, or with the anchor "end" where it ends.
        anchor: SVG text-anchor, "end" on the left.
    """

    name: str
    label: str
    value: float
    path: str
    place: tuple[float, float]
    anchor: str


@dataclass(frozen=True, slots=True)
class Bar:
    """Joins neighbours that no test separates, from one x to another; `names` from the lowest mean to the highest."""

    start: float
    end: float
    y: float
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CriticalDifference:
    """What the drawing consists of; the best stands at the right."""

    axis: Scale
    stems: tuple[Stem, ...]
    bars: tuple[Bar, ...]
    height: int
    width: int = WIDTH
    axis_y: int = _AXIS


def critical_difference(
    names: Sequence[str], means: Sequence[float], p: Sequence[Sequence[float | None]]
) -> CriticalDifference | None:
    """Lay out the diagram.

    Args:
        names: of the models.
        means: of each, finite, higher is better.
        p: of every pair, adjusted, symmetric, each row as long as `names`; None or NaN where there is no test.

    Returns:
        None for fewer than two models.

    Example:
        >>> p = [[1, 0.4, 0.01], [0.4, 1, 0.02], [0.01, 0.02, 1]]
        >>> drawn = critical_difference(["a", "b", "c"], [0.5, 0.6, 0.9], p)
        >>> [bar.names for bar in drawn.bars], drawn.axis.ticks[:2]
        ([('a', 'b')], (0.5, 0.6))
    """
    if len(names) < 2:
        return None
    order = sorted(range(len(names)), key=lambda place: means[place])
    axis = scale(means, _SIDE + _STUB, WIDTH - _SIDE - _STUB)
    bars = _bars(axis, [(names[place], axis.place(means[place])) for place in order], _separated(p, order))
    below = max((bar.y for bar in bars), default=_AXIS) + _ROW
    left = len(order) // 2
    rows = [*range(left), *reversed(range(len(order) - left))]
    stems = tuple(
        _stem(names[place], means[place], axis.place(means[place]), below + _ROW * row, at_left=number < left)
        for number, (place, row) in enumerate(zip(order, rows, strict=True))
    )
    return CriticalDifference(axis, stems, bars, height=int(below + _ROW * max(rows) + _ROW / 2))


def scale(values: Iterable[float], start: float, end: float, most: int = _MOST_TICKS) -> Scale:
    """A line on which all values have a place, with ticks at 1, 2 or 5 times a power of ten.

    Args:
        values: finite, at least one.
        start: in pixels, of the lowest.
        end: of the highest.
        most: about so many ticks.

    Example:
        >>> found = scale([0.61, 0.72], 0, 100, most=4)
        >>> found.ticks, found.place(0.65)
        ((0.6, 0.65, 0.7, 0.75), 33.3)
    """
    present = list(values)
    low, high = min(present), max(present)
    step = _step(max(high - low, abs(high) * 1e-6, 1e-6) / most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    ticks = tuple(round(number * step, 12) for number in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], start, end, ticks)


def _step(wanted: float) -> float:
    """The least of 1, 2, 5 and 10 times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9))


def _separated(p: Sequence[Sequence[float | None]], order: Sequence[int]) -> list[list[bool]]:
    """Whether a test separates two models, in this order."""
    return [[(found := p[one][other]) is not None and found < SIGNIFICANT for other in order] for one in order]


def _bars(axis: Scale, models: Sequence[tuple[str, float]], separated: Sequence[Sequence[bool]]) -> tuple[Bar, ...]:
    """A bar for each largest group of neighbours, each on the highest line that is free."""
    ends: list[float] = []
    bars = []
    for first, last in _groups(separated):
        start, end = models[first][1] - _BAR_OVER, models[last][1] + _BAR_OVER
        line = next((number for number, taken in enumerate(ends) if taken < start), len(ends))
        ends[line : line + 1] = [end]
        names = tuple(name for name, _ in models[first : last + 1])
        y = _AXIS + _FIRST_BAR + line * _BAR_STEP
        bars.append(Bar(max(start, axis.start - _BAR_OVER), min(end, axis.end + _BAR_OVER), y, names))
    return tuple(bars)


def _groups(separated: Sequence[Sequence[bool]]) -> list[tuple[int, int]]:
    """First and last of every group of neighbours without a separated pair that no larger group holds."""
    groups: list[tuple[int, int]] = []
    reached = 0
    for first in range(len(separated)):
        last = first
        while last + 1 < len(separated) and not any(separated[last + 1][first : last + 1]):
            last += 1
        if last > max(first, reached):
            groups.append((first, last))
        reached = max(reached, last)
    return groups


def _stem(name: str, value: float, x: float, y: float, *, at_left: bool) -> Stem:
    end = _SIDE if at_left else WIDTH - _SIDE
    return Stem(
        name=name,
        label=_label(name),
        value=value,
        path=f"M{x:g} {_AXIS}V{y:g}H{end:g}",
        place=(end - 6 if at_left else end + 6, y),
        anchor="end" if at_left else "start",
    )


def _label(name: str) -> str:
    """What there is room for: the organisation gives way first."""
    if len(name) > _LABEL_LENGTH and "/" in name:
        name = f"…/{name.partition('/')[2]}"
    return name if len(name) <= _LABEL_LENGTH else f"{name[: _LABEL_LENGTH - 1]}…"
