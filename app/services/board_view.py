"""How a board is looked at: its table's columns, and the sort and filter that stand in the address."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from app.core.task_types import TASK_TYPES
from app.db.queries.boards import Board, BoardRow
from app.errors import Invalid

Value = float | str | None
FILTER_LENGTH = 200


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


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of the table: `key` in the address, `help` in words, `value` of a row (None when missing).

    `group` is the task type of a type or task column, `slug` the dataset of a task column.
    """

    key: str
    label: str
    help: str
    kind: Kind
    value: Callable[[BoardRow], Value]
    unit: str = ""
    group: str = ""
    slug: str = ""

    @property
    def falls_first(self) -> bool:
        """Whether the first click on the head puts the largest on top."""
        return self.kind.is_score or self.kind is Kind.PERCENT


@dataclass(frozen=True, slots=True)
class BoardView:
    """Sort and filter of one look at a board, parsed once from the address; it also builds the links.

    `q` keeps models whose name or variant contains it, `complete` those with every dataset. Neither changes
    a rank.
    """

    path: str
    key: str = "rank"
    descending: bool = False
    q: str = ""
    complete: bool = False
    falling: frozenset[str] = frozenset()
    """The columns whose first click sorts downwards."""

    @property
    def address(self) -> str:
        """The address of this very look."""
        return self.at(self.path)

    @property
    def sort_parameter(self) -> str:
        """`key` or `-key`; empty for the default order."""
        return "" if (self.key, self.descending) == ("rank", False) else f"{'-' if self.descending else ''}{self.key}"

    def url(self, key: str) -> str:
        """The link of a head: its own first direction, the other one when the table is sorted by it already."""
        descending = not self.descending if key == self.key else key in self.falling
        return replace(self, key=key, descending=descending).address

    def without(self, *names: str) -> str:
        """The link that takes filters (`q`, `complete`) away."""
        plain = BoardView(self.path)
        return replace(self, **{name: getattr(plain, name) for name in names}).address

    def at(self, path: str) -> str:
        """The same look at another address: a tab or a download."""
        choices = {"sort": self.sort_parameter, "q": self.q, "complete": "1" if self.complete else ""}
        query = urlencode({name: value for name, value in choices.items() if value})
        return f"{path}?{query}" if query else path

    def rows(self, board: Board) -> tuple[BoardRow, ...]:
        """The rows to show, in order. Missing values come last both ways; equal ones by rank, then by name."""
        (column,) = [column for column in table_columns(board) if column.key == self.key]
        wanted = self.q.casefold()
        kept = [
            row
            for row in board.rows
            if (row.standing.complete or not self.complete)
            and wanted in f"{row.model.name} {' '.join(row.model.chips)}".casefold()
        ]
        present = [row for row in kept if column.value(row) is not None]
        missing = [row for row in kept if column.value(row) is None]
        present.sort(key=lambda row: _sortable(column.value(row)), reverse=self.descending)
        return (*present, *missing)


def parse_view(parameters: Iterable[tuple[str, str]], board: Board, path: str) -> BoardView:
    """Read sort and filter from an address; of a doubled parameter the last one counts.

    Raises:
        Invalid: a parameter, a sort key or a value that does not exist; the message says which do.
    """
    given = dict(parameters)
    if unknown := [name for name in given if name not in {"sort", "q", "complete"}]:
        raise Invalid(
            f"A board has no filter {unknown[0]!r}. There are: sort, q (a part of the model's name), complete=1.",
            code="unknown_filter",
        )
    columns = table_columns(board)
    sort = given.get("sort", "") or "rank"
    key = sort.removeprefix("-")
    if key not in {column.key for column in columns}:
        keys = ", ".join(column.key for column in FIXED_COLUMNS)
        raise Invalid(
            f"This board cannot be sorted by {key!r}. Sort by {keys}, type:NAME for a task type of the board or "
            "task:SLUG for a dataset of it; with - before it the largest come first.",
            code="unknown_sort",
            details={"keys": [column.key for column in columns]},
        )
    if given.get("complete", "") not in {"", "0", "1"}:
        raise Invalid("The filter complete is 1 (hide partial models) or 0.", code="unknown_filter")
    q = given.get("q", "").strip()
    if len(q) > FILTER_LENGTH:
        raise Invalid(f"The name filter has at most {FILTER_LENGTH} characters.", code="unknown_filter")
    falling = frozenset(column.key for column in columns if column.falls_first)
    return BoardView(path, key, sort.startswith("-"), q, given.get("complete") == "1", falling)


def table_columns(board: Board) -> tuple[TableColumn, ...]:
    """Every column of a board's table, in order."""
    return (*FIXED_COLUMNS, *type_columns(board), *task_columns(board))


def type_columns(board: Board) -> tuple[TableColumn, ...]:
    """A mean a task type."""
    return tuple(_type_column(board, name) for name in board.task_types)


def task_columns(board: Board) -> tuple[TableColumn, ...]:
    """A column a dataset, in the board's order."""
    return tuple(_task_column(column.slug, column.name, column.task_type) for column in board.columns)


def group_by_type(columns: Iterable[TableColumn]) -> Mapping[str, tuple[TableColumn, ...]]:
    """Task type -> its columns, types in the order of their first column."""
    groups: dict[str, tuple[TableColumn, ...]] = {}
    for column in columns:
        groups[column.group] = (*groups.get(column.group, ()), column)
    return groups


def _standing(name: str) -> Callable[[BoardRow], Value]:
    return lambda row: getattr(row.standing, name)


def _model(name: str) -> Callable[[BoardRow], Value]:
    return lambda row: getattr(row.model, name)


FIXED_COLUMNS = (
    TableColumn(
        "rank",
        "Rank",
        "Borda: on every dataset a model earns a point for each model it beats or that lacks the dataset, and half "
        "a point for each it ties with. The most points rank first; equal points share a rank.",
        Kind.RANK,
        _standing("rank"),
        unit="Borda",
    ),
    TableColumn("model", "Model", "Organisation, name and what sets the variant apart.", Kind.MODEL, _model("name")),
    TableColumn(
        "zero_shot",
        "Zero-shot",
        "Share of this board's datasets that the model was not trained on. NA: its training data is unknown.",
        Kind.PERCENT,
        _standing("zero_shot"),
    ),
    TableColumn(
        "memory",
        "Memory",
        "Size of the weights as they are stored, in MB of 1,024² bytes; their data type shows on hover.",
        Kind.MEMORY,
        _model("memory_mb"),
        unit="MB",
    ),
    TableColumn("parameters", "Parameters", "How many numbers the model has learnt.", Kind.COUNT, _model("parameters")),
    TableColumn("dimensions", "Dimensions", "Length of one vector.", Kind.COUNT, _model("dimensions")),
    TableColumn(
        "max_tokens",
        "Max tokens",
        "How much of a text the model reads; what comes after is cut off.",
        Kind.COUNT,
        _model("max_tokens"),
    ),
    TableColumn(
        "mean_task",
        "Mean (Task)",
        "Mean over all datasets of the board; none when one is missing.",
        Kind.MEAN,
        _standing("mean_task"),
    ),
    TableColumn(
        "mean_task_type",
        "Mean (TaskType)",
        "Mean of the task types' means, so that each type weighs the same; none when a dataset is missing.",
        Kind.MEAN,
        _standing("mean_task_type"),
    ),
)


def _type_column(board: Board, name: str) -> TableColumn:
    count = sum(column.task_type == name for column in board.columns)
    return TableColumn(
        f"type:{name}",
        TASK_TYPES[name].abbreviation,
        f"{TASK_TYPES[name].title}: mean over the board's {count} {'dataset' if count == 1 else 'datasets'} of this "
        "type; none when one is missing.",
        Kind.TYPE,
        lambda row: row.standing.types[name],
        unit="mean",
        group=name,
    )


def _task_column(slug: str, name: str, task_type: str) -> TableColumn:
    kind = TASK_TYPES[task_type]
    return TableColumn(
        f"task:{slug}",
        name,
        f"{kind.title}: {kind.main_metric}, times 100.",
        Kind.TASK,
        lambda row: row.standing.datasets[slug],
        unit=kind.abbreviation,
        group=task_type,
        slug=slug,
    )


def _sortable(value: Value) -> Any:
    """Names without regard to case; numbers as they are."""
    return value.casefold() if isinstance(value, str) else value
