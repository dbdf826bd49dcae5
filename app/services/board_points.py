"""The points of a board's charts: a score of each model against one of its attributes, and the Pareto frontier."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from app.core.pareto import pareto_frontier
from app.core.units import short_count
from app.db.queries.boards import BoardModel
from app.errors import Invalid, NotFound
from app.services.board_look import FILTER_LENGTH, Look
from app.services.board_view import BoardView
from app.services.table_columns import Kind, TableColumn, type_names

DEFAULT_SCORE: Final = "mean_task"


@dataclass(frozen=True, slots=True)
class Axis:
    """What scores are drawn against; less is better.

    Attributes:
        key: in the address.
        unit: stands in heads, "" for none.
        value: of a model, to be compared; None where it is unknown, or not what a chart can show.
        text: such a value for people.
        ticks: the base of the logarithmic scale, 10 or 2; 0 for days.
        frontier: what it means to be on the frontier.
    """

    key: str
    label: str
    unit: str
    value: Callable[[BoardModel], float | None]
    text: Callable[[float], str]
    ticks: int
    frontier: str

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


def _positive(value: float | None) -> float | None:
    """A logarithmic axis has no zero."""
    return value if value is not None and 0 < value < math.inf else None


def _released(model: BoardModel) -> float | None:
    """The day as a number; cards of models hold any text."""
    try:
        return float(date.fromisoformat((model.release_date or "")[:10]).toordinal())
    except ValueError:
        return None


def day(value: float) -> str:
    """738000 -> "2021-07-29"; the number of a day as `datetime.date` counts."""
    return date.fromordinal(round(value)).isoformat()


_BETTER: Final = "no other model shown is both {} and better"
AXES: Final = {
    axis.key: axis
    for axis in (
        Axis(
            "parameters",
            "Parameters",
            "",
            lambda model: _positive(model.parameters),
            short_count,
            10,
            _BETTER.format("smaller"),
        ),
        Axis(
            "memory",
            "Memory",
            "MB",
            lambda model: _positive(model.memory_mb),
            lambda value: f"{value:,.{1 if value < 10 else 0}f}",
            10,
            _BETTER.format("smaller"),
        ),
        Axis(
            "dimensions",
            "Dimensions",
            "",
            lambda model: _positive(model.dimensions),
            lambda value: f"{value:,.0f}",
            2,
            _BETTER.format("shorter"),
        ),
        Axis("released", "Release date", "", _released, day, 0, _BETTER.format("older")),
    )
}
"""By key, the first is the one that is shown when none is asked for."""


class ScorePoint(NamedTuple):
    """A model in a chart. `rank` is None without one; `score` is 0 to 1 for most metrics."""

    model: BoardModel
    rank: int | None
    x: float
    score: float
    on_frontier: bool


@dataclass(frozen=True, slots=True, eq=False)
class ScorePoints:
    """A chart: its points in the order of the look.

    Attributes:
        frontier: the points of the frontier by `x`, those too that a search for a name hides.
        without_x: how many shown models have no value to be drawn at.
        without_score: how many others have no score.
    """

    axis: Axis
    score: TableColumn
    points: tuple[ScorePoint, ...]
    frontier: tuple[ScorePoint, ...]
    without_x: int
    without_score: int


def find_axis(key: str) -> Axis:
    """The axis of that key.

    Raises:
        NotFound: there is none.
    """
    axis = AXES.get(key)
    if axis is None:
        raise NotFound(f"There is no chart {key[:FILTER_LENGTH]!r}. There are: {', '.join(AXES)}.")
    return axis


def chosen_score(look: Look) -> str:
    """The score that a look asks for: the one it sorts by, else Mean (Task)."""
    key = look.key
    return key if key.startswith("type:") or key in {"mean_task", "mean_task_type"} else DEFAULT_SCORE


def with_score(look: Look, key: str) -> Look:
    """The look that asks for a score: it puts the highest first.

    Raises:
        Invalid: it is no score of all datasets or of a task type.
    """
    asked = look.with_(sort=f"-{key}")
    if chosen_score(asked) != key:
        raise Invalid(
            f"A chart cannot show the score {key[:FILTER_LENGTH]!r}. Choose mean_task, mean_task_type or "
            "type:NAME for a task type that is shown.",
            code="unknown_score",
        )
    return asked


def score_columns(view: BoardView) -> tuple[TableColumn, ...]:
    """The scores that a chart can show."""
    return tuple(column for column in view.columns if column.kind in {Kind.MEAN, Kind.TYPE})


def score_name(column: TableColumn) -> str:
    """A score in words; a task type by its title."""
    return type_names(column.group)[1] if column.kind is Kind.TYPE else column.label


def score_points(view: BoardView, axis: Axis) -> ScorePoints:
    """The points of a chart; its frontier is that of all models that the view ranks, as ranks are."""
    chosen = chosen_score(view.look)
    column = next(column for column in view.columns if column.key == chosen)
    ranks = view.standings.ranks.tolist()
    xs = [axis.value(view.model(row)) for row in range(len(view.models))]
    scores = [value if isinstance(value, float) else None for value in column.values]
    on = pareto_frontier(_floats(xs), _floats(scores)).tolist()

    def point(row: int) -> ScorePoint | None:
        x, score = xs[row], scores[row]
        if x is None or score is None:
            return None
        return ScorePoint(view.model(row), ranks[row] or None, x, score, on[row])

    points = tuple(filter(None, map(point, view.order)))
    frontier = sorted(filter(None, (point(row) for row, is_on in enumerate(on) if is_on)), key=lambda one: one.x)
    without_x = sum(xs[row] is None for row in view.order)
    return ScorePoints(axis, column, points, tuple(frontier), without_x, len(view.order) - len(points) - without_x)


def _floats(values: list[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]
