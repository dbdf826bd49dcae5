"""Charts of examples that the server draws as inline SVG: predicted against gold, and threshold curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.core.aggregation import Floats
from app.core.example_views import ThresholdCurve
from app.web.critical_difference import Scale, scale

WIDTH: Final = 440
HEIGHT: Final = 300
LEFT: Final = 48
TOP: Final = 12
MOST_POINTS: Final = 2_000
_RIGHT: Final = WIDTH - 12
_BOTTOM: Final = HEIGHT - 40
_MOST_STEPS: Final = 240
_MOST_TICKS: Final = 5
_RECALLS: Final = (0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where values stand: `x` from left to right, `y` from below."""

    x: Scale
    y: Scale
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = _RIGHT
    top: int = TOP
    bottom: int = _BOTTOM


@dataclass(frozen=True, slots=True)
class Scatter:
    """A dot an example.

    Attributes:
        dots: a path of lines without length, whose round ends are the dots.
        drawn: how many of `total` examples have a dot.
        marked: the one example that a page is about.
    """

    frame: Frame
    dots: str
    drawn: int
    total: int
    marked: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """What one threshold comes to; `why` says what makes it worth a row."""

    why: str
    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Curves:
    """Precision, recall and F1 by threshold.

    Attributes:
        paths: by name, as SVG wants them.
        best: where F1 is highest, in pixels from the left.
        rows: the table beside the drawing.
        marked: the similarity of the one example that a page is about, in pixels from the left.
    """

    frame: Frame
    paths: tuple[tuple[str, str], ...]
    best: float
    rows: tuple[ThresholdRow, ...]
    marked: float | None = None


def scatter(gold: Floats, predicted: Floats, at: tuple[float, float] | None = None) -> Scatter:
    """Predicted against gold; beyond 2,000 examples as many that stand at even distances in the dataset.

    Args:
        gold: shape (n,), finite, at least one.
        predicted: shape (n,), finite.
        at: gold and predicted of the example to mark.

    Example:
        >>> drawn = scatter(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
        >>> drawn.dots, drawn.drawn
        ('M48 260h0M428 12h0', 2)
    """
    frame = _frame(gold, predicted)
    chosen = _thinned(len(gold), MOST_POINTS)
    points = [(frame.x.place(x), frame.y.place(y)) for x, y in zip(gold[chosen], predicted[chosen], strict=True)]
    marked = None if at is None else (frame.x.place(at[0]), frame.y.place(at[1]))
    return Scatter(frame, "".join(f"M{x:g} {y:g}h0" for x, y in points), len(points), len(gold), marked)


def curves(found: ThresholdCurve, at: float | None = None) -> Curves:
    """Lay out a threshold curve.

    Args:
        found: of one model.
        at: the similarity of the example to mark.
    """
    frame = _frame(found.thresholds, np.array([0.0, 1.0]))
    chosen = _thinned(len(found.thresholds), _MOST_STEPS)
    named = (("Precision", found.precision), ("Recall", found.recall), ("F1", found.f1))
    return Curves(
        frame,
        tuple((name, _path(frame, found.thresholds[chosen], values[chosen])) for name, values in named),
        frame.x.place(float(found.thresholds[found.best])),
        tuple(_rows(found)),
        None if at is None else frame.x.place(at),
    )


def _frame(x: Floats, y: Floats) -> Frame:
    across = scale(_ends(x), LEFT, _RIGHT, _MOST_TICKS)
    return Frame(across, scale(_ends(y), _BOTTOM, TOP, _MOST_TICKS))


def _ends(values: Floats) -> Sequence[float]:
    return float(values.min()), float(values.max())


def _thinned(count: int, most: int) -> NDArray[Any]:
    """Places at even distances, the first and the last among them."""
    return np.arange(count) if count <= most else np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def _path(frame: Frame, x: Floats, y: Floats) -> str:
    points = [f"{frame.x.place(one):g} {frame.y.place(other):g}" for one, other in zip(x, y, strict=True)]
    return f"M{' L'.join(points)}"


def _rows(found: ThresholdCurve) -> list[ThresholdRow]:
    """The best F1, and the highest thresholds that reach some recalls."""
    rows = [_row(found, found.best, "best F1")]
    for recall in _RECALLS:
        reached = int(np.argmax(found.recall >= recall - 1e-12))
        rows.append(_row(found, reached, f"recall {recall:.0%}"))
    return rows


def _row(found: ThresholdCurve, at: int, why: str) -> ThresholdRow:
    values = (float(column[at]) for column in (found.thresholds, found.precision, found.recall, found.f1))
    return ThresholdRow(why, *values)
