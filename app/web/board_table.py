"""A board's table as it is drawn: which value is best, how strong its tint, what stands in a cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

from app.core.aggregation import RANK_DIGITS
from app.core.task_types import TASK_TYPES
from app.core.units import short_count
from app.db.queries.boards import Board, BoardCell, BoardModel, BoardRow
from app.services.board_view import (
    FIXED_COLUMNS,
    BoardView,
    Kind,
    TableColumn,
    Value,
    group_by_type,
    table_columns,
    task_columns,
    type_columns,
)

HEAT_LEVELS = 10


@dataclass(frozen=True, slots=True)
class TableCell:
    """One cell. `heat` is 0 to 9, None where nothing is tinted; `runs` only in a dataset's column."""

    column: TableColumn
    value: Value
    best: bool
    heat: int | None
    runs: BoardCell | None

    @property
    def short(self) -> str:
        """A count in three digits, such as 22.7M; empty for anything else."""
        return short_count(self.value) if isinstance(self.value, int | float) else ""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row; `scored` says on how many datasets the model has a score."""

    model: BoardModel
    cells: tuple[TableCell, ...]
    complete: bool
    scored: int


@dataclass(frozen=True, slots=True)
class BoardTable:
    """The table of one tab. `groups` are (task type, how many columns), empty without a second head."""

    id: str
    columns: tuple[TableColumn, ...]
    groups: tuple[tuple[str, int], ...]
    ungrouped: int
    rows: tuple[TableRow, ...]
    datasets: int


def summary_table(board: Board, view: BoardView) -> BoardTable:
    """Every column there is."""
    return _table(board, view, table_columns(board))


def task_table(board: Board, view: BoardView) -> BoardTable:
    """Rank, model, Mean (Task), then the types, each with its mean and its datasets."""
    fixed = [column for column in FIXED_COLUMNS if column.key in {"rank", "model", "mean_task"}]
    means = [replace(column, label="Mean", unit="") for column in type_columns(board)]
    groups = group_by_type((*means, *task_columns(board)))
    grouped = [column for columns in groups.values() for column in columns]
    table = _table(board, view, (*fixed, *grouped))
    heads = tuple((TASK_TYPES[name].title, len(columns)) for name, columns in groups.items())
    return replace(table, groups=heads, ungrouped=len(fixed))


def _table(board: Board, view: BoardView, columns: tuple[TableColumn, ...]) -> BoardTable:
    scales = {column.key: _scale(column, board.rows) for column in columns if column.kind.is_score}
    keys = "\n".join(column.key for column in columns)
    return BoardTable(
        id=f"rows-{crc32(keys.encode()):08x}",
        columns=columns,
        groups=(),
        ungrouped=0,
        rows=tuple(_row(row, columns, scales) for row in view.rows(board)),
        datasets=len(board.columns),
    )


def _row(row: BoardRow, columns: Sequence[TableColumn], scales: Mapping[str, tuple[float, float] | None]) -> TableRow:
    cells = []
    for column in columns:
        value, scale = column.value(row), scales.get(column.key)
        best, heat = False, None
        if scale is not None and isinstance(value, float):
            lowest, highest = scale
            best = round(value, RANK_DIGITS) == round(highest, RANK_DIGITS)
            heat = min(int((value - lowest) / (highest - lowest) * HEAT_LEVELS), HEAT_LEVELS - 1)
        runs = row.cells[column.slug] if column.kind is Kind.TASK else None
        cells.append(TableCell(column, value, best, heat, runs))
    scored = sum(score is not None for score in row.standing.datasets.values())
    return TableRow(row.model, tuple(cells), row.standing.complete, scored)


def _scale(column: TableColumn, rows: Sequence[BoardRow]) -> tuple[float, float] | None:
    """Lowest and highest score of a column on the whole board; None when nothing can be told apart."""
    values = [value for row in rows if isinstance(value := column.value(row), float)]
    return (min(values), max(values)) if len(values) > 1 and min(values) < max(values) else None
