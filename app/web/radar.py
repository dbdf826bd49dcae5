"""A radar drawn by the server: the geometry of an inline SVG, an axis for each label and a line for each series."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 400
HEIGHT: Final = 320
_CENTRE: Final = (200.0, 160.0)
_RADIUS: Final = 124.0
_FEWEST_AXES: Final = 3
_MOST_RINGS: Final = 4
_LABEL_LENGTH: Final = 12

Point = tuple[float, float]
Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Axis:
    """A spoke from the centre to `end`; its label stands at `place`, with an SVG text-anchor."""

    label: str
    end: Point
    place: Point
    anchor: str


@dataclass(frozen=True, slots=True)
class Ring:
    """A circle where the scale has this value."""

    value: float
    radius: float


@dataclass(frozen=True, slots=True)
class Line:
    """A series: the path between neighbouring values, with a gap where one is missing, and a dot for each."""

    path: str
    dots: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Radar:
    """What the drawing consists of; `low` is the value at the centre, the last ring is the rim."""

    low: float
    axes: tuple[Axis, ...]
    rings: tuple[Ring, ...]
    lines: tuple[Line, ...]
    width: int = WIDTH
    height: int = HEIGHT
    centre: Point = _CENTRE

    @property
    def high(self) -> float:
        """The value at the rim."""
        return self.rings[-1].value


def radar(labels: Sequence[str], series: Sequence[Values]) -> Radar | None:
    """Lay out a radar.

    Args:
        labels: of the axes, clockwise from the top.
        series: each with a value for every axis, None where one is missing.

    Returns:
        None for fewer than three axes, or without any value.

    Example:
        >>> drawn = radar(["a", "b", "c"], [[0.5, 0.62, 0.7]])
        >>> drawn.low, drawn.high, drawn.lines[0].dots[0]
        (0.45, 0.7, (200.0, 135.2))
    """
    present = [value for values in series for value in values if value is not None]
    if len(labels) < _FEWEST_AXES or not present:
        return None
    low, step, count = _scale(min(present), max(present))
    span = count * step

    def dot(place: int, value: float | None) -> Point | None:
        return None if value is None else _point(place, len(labels), _RADIUS * (value - low) / span)

    dots = [[dot(place, value) for place, value in enumerate(values)] for values in series]
    return Radar(
        low=low,
        axes=tuple(_axis(place, len(labels), label) for place, label in enumerate(labels)),
        rings=tuple(
            Ring(round(low + ring * step, 10), round(_RADIUS * ring / count, 1)) for ring in range(1, count + 1)
        ),
        lines=tuple(Line(_path(line), tuple(point for point in line if point)) for line in dots),
    )


def _scale(least: float, most: float) -> tuple[float, float, int]:
    """The value at the centre, the step from ring to ring, and how many rings.

    The step is 1, 2 or 5 times a power of ten, at least 0.05; nothing but a zero stands at the centre.
    """
    wanted = max((most - least) / _MOST_RINGS, 0.05)
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9))
    first = math.ceil(round(least / step, 9)) - 1
    if least >= 0:
        first = max(first, 0)
    last = max(math.ceil(round(most / step, 9)), first + 1)
    return round(first * step, 10), step, last - first


def _axis(place: int, count: int, label: str) -> Axis:
    x, y = _point(place, count, _RADIUS + 14)
    anchor = "middle" if abs(x - _CENTRE[0]) < 1 else "start" if x > _CENTRE[0] else "end"
    short = label if len(label) <= _LABEL_LENGTH else f"{label[: _LABEL_LENGTH - 1]}…"
    return Axis(short, _point(place, count, _RADIUS), (x, y), anchor)


def _point(place: int, count: int, radius: float) -> Point:
    angle = math.tau * place / count - math.pi / 2
    return round(_CENTRE[0] + radius * math.cos(angle), 1), round(_CENTRE[1] + radius * math.sin(angle), 1)


def _path(points: Sequence[Point | None]) -> str:
    if None not in points:
        return f"M{' L'.join(_pair(point) for point in points if point)} Z"
    return " ".join(_segments(points))


def _segments(points: Sequence[Point | None]) -> Iterator[str]:
    for one, next_ in zip(points, (*points[1:], points[0]), strict=True):
        if one and next_:
            yield f"M{_pair(one)} L{_pair(next_)}"


def _pair(point: Point) -> str:
    return f"{point[0]:g} {point[1]:g}"
