"""What a look shows of a board: the datasets and models that pass its filters, ranked anew, in order, as columns."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.core.aggregation import DatasetMeans, Integers, Standings, standings, zero_shot_percents
from app.core.licences import allows_commercial_use
from app.core.task_types import TASK_TYPES
from app.db.queries.boards import Board, BoardColumn, BoardModel
from app.errors import Invalid
from app.services.board_look import Look

Value = float | int | str | None
GIGABYTE_MB = 1024


class Kind(StrEnum):
    """How a column's values are drawn."""

    RANK = "rank"
    MODEL = "model"
    PERCENT = "percent"
    MEMORY = "memory"
    COUNT = "count"
    MEAN = "mean"
    TYPE = "type"
    TASK = "task"

    @property
    def is_score(self) -> bool:
        """Whether the values are scores: higher is better, shown times 100."""
        return self in {Kind.MEAN, Kind.TYPE, Kind.TASK}


@dataclass(frozen=True, slots=True, eq=False)
class TableColumn:
    """A column of the table.

    Attributes:
        key: in the address.
        help: in words.
        values: of every model that a view ranks, None where nothing is known.
        group: the task type of a type or task column.
        dataset: the board's column that a task column shows, else -1.
        href: where a dataset is described.
    """

    key: str
    label: str
    help: str
    kind: Kind
    values: Sequence[Value] = ()
    unit: str = ""
    group: str = ""
    dataset: int = -1
    href: str = ""

    @property
    def falls_first(self) -> bool:
        """Whether the first click on the head puts the largest on top."""
        return self.kind.is_score or self.kind is Kind.PERCENT


FIXED_COLUMNS: Final = (
    TableColumn(
        "rank",
        "Rank",
        "Borda: on every dataset a model earns a point for each model it beats or that lacks the dataset, and half "
        "a point for each it ties with. The most points rank first; equal points share a rank.",
        Kind.RANK,
        unit="Borda",
    ),
    TableColumn("model", "Model", "Organisation, name and what sets the variant apart.", Kind.MODEL),
    TableColumn(
        "zero_shot",
        "Zero-shot",
        "Share of the datasets shown that the model was not trained on. NA: its training data is unknown.",
        Kind.PERCENT,
    ),
    TableColumn(
        "memory",
        "Memory",
        "Size of the weights as they are stored, in MB of 1,024² bytes; their data type shows on hover.",
        Kind.MEMORY,
        unit="MB",
    ),
    TableColumn("parameters", "Parameters", "How many numbers the model has learnt.", Kind.COUNT),
    TableColumn("dimensions", "Dimensions", "Length of one vector.", Kind.COUNT),
    TableColumn(
        "max_tokens", "Max tokens", "How much of a text the model reads; what comes after is cut off.", Kind.COUNT
    ),
    TableColumn("mean_task", "Mean (Task)", "Mean over all datasets shown; none when one is missing.", Kind.MEAN),
    TableColumn(
        "mean_task_type",
        "Mean (TaskType)",
        "Mean of the task types' means, so that each type weighs the same; none when a dataset is missing.",
        Kind.MEAN,
    ),
)
"""Those before the scores by type and by dataset, without their values."""


@dataclass(frozen=True, slots=True, eq=False)
class BoardView:
    """What a look shows of a board.

    Attributes:
        board: all of it.
        look: what was asked for.
        datasets: the board's columns that count here, ascending.
        models: the board's models that are ranked here, ascending.
        means: shape (models, datasets).
        standings: of these models on these datasets.
        columns: of the table, with a value for each of `models`.
        order: the rows to show, as places in `models`.
    """

    board: Board
    look: Look
    datasets: tuple[int, ...]
    models: tuple[int, ...]
    means: DatasetMeans
    standings: Standings
    columns: tuple[TableColumn, ...]
    order: tuple[int, ...]

    def model(self, row: int) -> BoardModel:
        """The model at a place in `models`."""
        return self.board.models[self.models[row]]

    def complete(self, row: int) -> bool:
        """Whether it has a score on every dataset."""
        return 0 < len(self.datasets) == int(self.standings.scored[row])

    @property
    def shown_columns(self) -> tuple[BoardColumn, ...]:
        """The datasets that count."""
        return tuple(self.board.columns[place] for place in self.datasets)

    @property
    def falling(self) -> frozenset[str]:
        """The columns whose first click sorts downwards."""
        return frozenset(column.key for column in self.columns if column.falls_first)


def view_board(board: Board, look: Look) -> BoardView:
    """Filter, rank and order.

    Raises:
        Invalid: the look sorts by a column that this board has not.
    """
    datasets = np.flatnonzero([_counts(column, look) for column in board.columns])
    zero_shot = zero_shot_percents(board.trained_on[:, datasets], board.training_known)
    whole: list[bool] = np.logical_not(np.isnan(board.means.complete[:, datasets]).any(axis=1)).tolist()
    models = np.flatnonzero(
        [
            _passes(model, look, percent, every)
            for model, percent, every in zip(board.models, zero_shot.tolist(), whole, strict=True)
        ]
    )
    means = board.means.of(models, datasets)
    chosen = [board.columns[place] for place in datasets]
    ranked = standings(means, [column.task_type for column in chosen])
    columns = (
        *_fixed(board, models, ranked, zero_shot[models]),
        *(_type_column(name, values, chosen) for name, values in ranked.types.items()),
        *(
            _task_column(column, int(place), known(means.complete[:, number]))
            for number, (place, column) in enumerate(zip(datasets, chosen, strict=True))
        ),
    )
    order = _order(board, look, models, ranked, columns)
    return BoardView(board, look, tuple(datasets.tolist()), tuple(models.tolist()), means, ranked, columns, order)


def known(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers as values, None for NaN."""
    return [None if math.isnan(value) else value for value in values.tolist()]


def type_columns(view: BoardView) -> tuple[TableColumn, ...]:
    """A mean a task type."""
    return tuple(column for column in view.columns if column.kind is Kind.TYPE)


def task_columns(view: BoardView) -> tuple[TableColumn, ...]:
    """A column a dataset, in the board's order."""
    return tuple(column for column in view.columns if column.kind is Kind.TASK)


def type_names(name: str) -> tuple[str, str]:
    """A task type's abbreviation and title; an imported board may have others than ours."""
    kind = TASK_TYPES.get(name)
    return (kind.abbreviation, kind.title) if kind else (name, name)


def group_by_type(columns: Iterable[TableColumn]) -> Mapping[str, tuple[TableColumn, ...]]:
    """Task type -> its columns, types in the order of their first column."""
    groups: dict[str, tuple[TableColumn, ...]] = {}
    for column in columns:
        groups[column.group] = (*groups.get(column.group, ()), column)
    return groups


def _counts(column: BoardColumn, look: Look) -> bool:
    """Whether a dataset passes the filters."""
    return (
        (not look.type or column.task_type in look.type)
        and (not look.dataset or column.slug in look.dataset)
        and (not look.language or not set(look.language).isdisjoint(column.languages))
    )


def _passes(model: BoardModel, look: Look, zero_shot: int, whole: bool) -> bool:
    """Whether a model passes the filters. What is unknown passes no limit."""
    return (
        (whole or not look.complete)
        and zero_shot >= {"all": -1, "known": 0, "full": 100}[look.zero_shot]
        and (model.open_weights is True or not look.open_weights)
        and (not look.commercial or allows_commercial_use(model.licence))
        and (not look.kind or not set(look.kind).isdisjoint(model.kinds))
        and _within(model.parameters, look.min_parameters, look.max_parameters)
        and _within(model.memory_mb, None, look.max_memory_gb and look.max_memory_gb * GIGABYTE_MB)
        and _within(model.dimensions, look.min_dimensions, look.max_dimensions)
        and _within(model.max_tokens, look.min_tokens, None)
    )


def _within(value: float | None, least: float | None, most: float | None) -> bool:
    if least is None and most is None:
        return True
    return value is not None and (least or 0) <= value <= (math.inf if most is None else most)


def _order(
    board: Board, look: Look, models: Integers, ranked: Standings, columns: Sequence[TableColumn]
) -> tuple[int, ...]:
    """The rows to show, in order. Missing values come last both ways; equal ones by rank, then by name."""
    column = next((column for column in columns if column.key == look.key), None)
    if column is None:
        names = ", ".join(column.key for column in columns if column.kind not in {Kind.TYPE, Kind.TASK})
        raise Invalid(
            f"This board cannot be sorted by {look.key[:200]!r}. Sort by {names}, type:NAME for a task type "
            "that is shown or task:SLUG for a dataset that is; with - before it the largest come first.",
            code="unknown_sort",
            details={"keys": [column.key for column in columns]},
        )
    wanted = look.q.casefold()
    rows = [row for row, place in enumerate(models.tolist()) if _named(board.models[place], wanted)]
    ranks = ranked.ranks.tolist()
    rows.sort(key=lambda row: (ranks[row] == 0, ranks[row]))
    values = column.values
    present = [row for row in rows if values[row] is not None]
    present.sort(key=lambda row: _sortable(values[row]), reverse=look.descending)
    return (*present, *(row for row in rows if values[row] is None))


def _named(model: BoardModel, wanted: str) -> bool:
    return not wanted or wanted in f"{model.name} {' '.join(model.chips)}".casefold()


def _sortable(value: Value) -> Any:
    """Names without regard to case; numbers as they are."""
    return value.casefold() if isinstance(value, str) else value


def _fixed(board: Board, models: Integers, ranked: Standings, zero_shot: Integers) -> Iterator[TableColumn]:
    """`FIXED_COLUMNS` with their values."""
    rows = [board.models[place] for place in models.tolist()]
    values: dict[str, Sequence[Value]] = {
        "rank": [rank or None for rank in ranked.ranks.tolist()],
        "model": [model.name for model in rows],
        "zero_shot": [None if percent < 0 else percent for percent in zero_shot.tolist()],
        "memory": [model.memory_mb for model in rows],
        "parameters": [model.parameters for model in rows],
        "dimensions": [model.dimensions for model in rows],
        "max_tokens": [model.max_tokens for model in rows],
        "mean_task": known(ranked.mean_task),
        "mean_task_type": known(ranked.mean_task_type),
    }
    return (replace(column, values=values[column.key]) for column in FIXED_COLUMNS)


def _type_column(name: str, values: NDArray[np.float64], columns: Sequence[BoardColumn]) -> TableColumn:
    short, title = type_names(name)
    count = sum(column.task_type == name for column in columns)
    return TableColumn(
        f"type:{name}",
        short,
        f"{title}: mean over the {count} {'dataset' if count == 1 else 'datasets'} of this type; none when "
        "one is missing.",
        Kind.TYPE,
        known(values),
        unit="mean",
        group=name,
    )


def _task_column(column: BoardColumn, place: int, values: Sequence[Value]) -> TableColumn:
    short, title = type_names(column.task_type)
    return TableColumn(
        f"task:{column.slug}",
        column.name,
        f"{title}: {column.metric}, times 100.",
        Kind.TASK,
        values,
        unit=short,
        group=column.task_type,
        dataset=place,
        href=column.href,
    )
