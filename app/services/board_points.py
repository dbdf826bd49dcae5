"""The points of a board's charts: a score of each model against one of its attributes, and the Pareto frontier."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

import numpy as np

from app.core.pareto import pareto_frontier
from app.core.units import short_count
from app.db.queries.boards import BoardModel
from app.errors import Invalid, NotFound
from app.services.board_look import FILTER_LENGTH, Look, parse_look
from app.services.board_view import BoardView, type_columns
from app.services.table_columns import (
    MEASURED_FACTS,
    Kind,
    TableColumn,
    Value,
    measured_on,
    measured_text,
    type_names,
)

DEFAULT_SCORE: Final = "mean_task"
FEWEST_TYPES: Final = 3
"""A radar needs so many axes."""
_MOST_PINNED, _MOST_BY_RANK = 6, 5


@dataclass(frozen=True, slots=True)
class Axis:
    """What scores are drawn against.

    Attributes:
        key: in the address.
        unit: stands in heads, "" for none.
        value: of a model, to be compared; None where it is unknown, or not what a chart can show.
        text: such a value for people.
        ticks: the base of the logarithmic scale, 10 or 2; 0 for days.
        frontier: what it means to be on the frontier.
        device: what measured values were measured on, else "".
        more_is_better: else less is.
    """

    key: str
    label: str
    unit: str
    value: Callable[[BoardModel], float | None]
    text: Callable[[float], str]
    ticks: int
    frontier: str
    device: str = ""
    more_is_better: bool = False

    @property
    def title(self) -> str:
        """Label, unit and device."""
        units = ", ".join(filter(None, (self.unit, self.device)))
        return f"{self.label} ({units})" if units else self.label

    @property
    def title_lines(self) -> tuple[str, ...]:
        """The same in two lines where there is a device, for a chart on a narrow screen."""
        first = f"{self.label} ({self.unit})" if self.unit else self.label
        return (first, self.device) if self.device else (first,)


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


def _measured_axis(key: str, label: str, unit: str, better: str, device: str) -> Axis:
    fact = MEASURED_FACTS[key]

    def value(model: BoardModel) -> float | None:
        found = measured_on(model, device)
        return None if found is None else _positive(fact(found))

    more = key == "documents_per_second"
    return Axis(key, label, unit, value, measured_text, 10, _BETTER.format(better), device, more)


def axes_of(view: BoardView) -> dict[str, Axis]:
    """The axes of a board's charts by key: what was measured too, on the one device that the view shows."""
    if not view.device:
        return AXES
    measured = (
        _measured_axis("query_p50", "Query latency p50", "ms", "faster", view.device),
        _measured_axis("documents_per_second", "Documents a second", "", "faster", view.device),
        _measured_axis("peak_memory", "Peak memory", "MB", "smaller", view.device),
    )
    return AXES | {axis.key: axis for axis in measured}


class ScorePoint(NamedTuple):
    """A model in a chart. `rank` is None without one; `score` is 0 to 1 for most metrics."""

    model: BoardModel
    rank: int | None
    x: float
    score: float
    on_frontier: bool
    pinned: bool


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


def find_axis(view: BoardView, key: str) -> Axis:
    """The axis of that key.

    Raises:
        NotFound: this board has none.
    """
    axes = axes_of(view)
    if key not in axes:
        raise NotFound(f"This board has no chart {key[:FILTER_LENGTH]!r}. There are: {', '.join(axes)}.")
    return axes[key]


def chosen_score(look: Look) -> str:
    """The score that a look asks for: the one it sorts by, else Mean (Task)."""
    key = look.key
    return key if key.startswith("type:") or key in {"mean_task", "mean_task_type"} else DEFAULT_SCORE


def parse_chart_look(parameters: Iterable[tuple[str, str]]) -> Look:
    """Read the look of a chart from an address; `score` says what it sorts by, so that filters, tabs and axes keep it.

    Raises:
        Invalid: see `parse_look`; or the score is none of all datasets or of a task type.
    """
    given = list(parameters)
    look = parse_look(pair for pair in given if pair[0] != "score")
    scores = [value for name, value in given if name == "score" and value]
    return _with_score(look, scores[-1]) if scores else look


def _with_score(look: Look, key: str) -> Look:
    """The look that asks for a score: it puts the highest first."""
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
    scores = [_score(value) for value in column.values]
    costs = np.array(xs, np.float64)  # NaN for None
    on = pareto_frontier(-costs if axis.more_is_better else costs, np.array(scores, np.float64)).tolist()
    pinned = frozenset(view.pinned)

    def point(row: int) -> ScorePoint | None:
        x, score = xs[row], scores[row]
        if x is None or score is None:
            return None
        return ScorePoint(view.model(row), ranks[row] or None, x, score, on[row], row in pinned)

    points = tuple(filter(None, map(point, view.order)))
    frontier = sorted(filter(None, (point(row) for row, is_on in enumerate(on) if is_on)), key=lambda one: one.x)
    without_x = sum(xs[row] is None for row in view.order)
    return ScorePoints(axis, column, points, tuple(frontier), without_x, len(view.order) - len(points) - without_x)


class TypeProfile(NamedTuple):
    """A model's mean on each task type; None where one is missing."""

    model: BoardModel
    rank: int | None
    means: tuple[float | None, ...]


def type_profiles(view: BoardView) -> tuple[TypeProfile, ...]:
    """The means by type of the pinned models, at most six, else of the first five by rank; none of one without any."""
    ranks = view.standings.ranks.tolist()
    ranked = sorted((row for row in view.order if ranks[row]), key=lambda row: ranks[row])
    rows = view.pinned[:_MOST_PINNED] or ranked[:_MOST_BY_RANK]
    columns = type_columns(view)
    found = (
        TypeProfile(view.model(row), ranks[row] or None, tuple(_score(column.values[row]) for column in columns))
        for row in rows
    )
    return tuple(profile for profile in found if any(mean is not None for mean in profile.means))


def _score(value: Value) -> float | None:
    return value if isinstance(value, float) else None
