"""A board's table as it is drawn: what stands in a cell, which value is best, how strong its tint.

A board has ten thousand cells and more, so they are plain tuples, made column by column.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
from markupsafe import Markup

from app.core.aggregation import RANK_DIGITS
from app.core.units import short_count
from app.db.queries.boards import BoardModel, RunMark
from app.services.board_view import (
    BoardView,
    Kind,
    TableColumn,
    Value,
    group_by_type,
    task_columns,
    type_columns,
    type_names,
)
from app.web.templating import number, score

HEAT_LEVELS: Final = 10
_SUMMARY_DATASETS: Final = 15
_TINTS: Final = [[f"num{' best' if best else ''} h{heat}" for heat in range(HEAT_LEVELS)] for best in (False, True)]


class TableCell(NamedTuple):
    """One cell. `run_id` is the run that gave a score, 0 for none; `mark` a run that is newer."""

    text: str | Markup
    css: str = "num"
    title: str = ""
    run_id: int = 0
    mark: RunMark | None = None


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the rank, the model, then a cell for every other column."""

    rank: str | Markup
    model: BoardModel
    cells: tuple[TableCell, ...]


@dataclass(frozen=True, slots=True)
class BoardTable:
    """The table of one tab. `groups` are (task type, how many columns), empty without a second head."""

    id: str
    columns: tuple[TableColumn, ...]
    groups: tuple[tuple[str, int], ...]
    ungrouped: int
    rows: tuple[TableRow, ...]


def summary_table(view: BoardView) -> BoardTable:
    """Every column there is; without the datasets' own where they are many: those have a tab of their own."""
    many = len(view.datasets) > _SUMMARY_DATASETS
    return _table(view, tuple(column for column in view.columns if column.kind is not Kind.TASK or not many))


def task_table(view: BoardView) -> BoardTable:
    """Rank, model, Mean (Task), then the types, each with its mean and its datasets."""
    fixed = [column for column in view.columns if column.key in {"rank", "model", "mean_task"}]
    means = [replace(column, label="Mean", unit="") for column in type_columns(view)]
    groups = group_by_type((*means, *task_columns(view)))
    grouped = [column for columns in groups.values() for column in columns]
    table = _table(view, (*fixed, *grouped))
    heads = tuple((type_names(name)[1], len(columns)) for name, columns in groups.items())
    return replace(table, groups=heads, ungrouped=len(fixed))


def _table(view: BoardView, columns: tuple[TableColumn, ...]) -> BoardTable:
    rank, _, *others = columns
    keys = "\n".join(column.key for column in columns)
    by_column = [_DRAWN[column.kind](view, column) for column in others]
    return BoardTable(
        id=f"rows-{crc32(keys.encode()):08x}",
        columns=columns,
        groups=(),
        ungrouped=0,
        rows=tuple(
            TableRow(_rank(rank.values[row]), view.model(row), cells)
            for row, cells in zip(view.order, zip(*by_column, strict=True), strict=True)
        ),
    )


def _dash(word: str) -> Markup:
    """What is missing: a dash to see, a word to hear."""
    hidden = Markup('<span class="dash" aria-hidden="true">—</span><span class="visually-hidden">{}</span>')
    return hidden.format(word)


def _rank(value: Value) -> str | Markup:
    return str(value) if value else _dash("no rank yet")


_MISSING: Final = TableCell(_dash("no value"))
_UNKNOWN: Final = TableCell(Markup('<span class="dash">NA</span>'))


def _percents(view: BoardView, column: TableColumn) -> list[TableCell]:
    values = (column.values[row] for row in view.order)
    return [_UNKNOWN if value is None else TableCell(f"{value}%") for value in values]


def _memories(view: BoardView, column: TableColumn) -> list[TableCell]:
    cells = []
    for row in view.order:
        value, dtype = column.values[row], view.model(row).memory_dtype or ""
        if isinstance(value, int | float):
            cells.append(TableCell(number(value, 1 if 0 < value < 10 else 0) + _spoken(dtype), title=dtype))
        else:
            cells.append(_MISSING)
    return cells


@cache
def _spoken(text: str) -> Markup:
    """For screen readers only."""
    return Markup('<span class="visually-hidden"> {}</span>').format(text) if text else Markup()


def _counts(view: BoardView, column: TableColumn) -> list[TableCell]:
    short = column.key == "parameters"

    def cell(value: Value) -> TableCell:
        if not isinstance(value, int | float):
            return _MISSING
        return TableCell(short_count(value), title=number(value)) if short else TableCell(number(value))

    return [cell(column.values[row]) for row in view.order]


def _scores(view: BoardView, column: TableColumn) -> list[TableCell]:
    """Means: of all datasets, or of a type."""
    found = zip(view.order, (column.values[row] for row in view.order), _tints(view, column), strict=True)
    if column.key == "mean_task":
        return [
            TableCell(score(value), css) if isinstance(value, float) else _partial(view, row)
            for row, value, css in found
        ]
    return [TableCell(score(value), css) if isinstance(value, float) else _MISSING for _, value, css in found]


def _partial(view: BoardView, row: int) -> TableCell:
    """What stands instead of Mean (Task): on how many datasets there is a score."""
    counts = f"{view.standings.scored[row]} of {len(view.datasets)}"
    text = Markup('<span class="visually-hidden">partial: </span>{}').format(counts)
    return TableCell(text, "num open", f"A score on {counts} datasets, so no mean yet.")


def _tasks(view: BoardView, column: TableColumn) -> list[TableCell]:
    """Scores of one dataset; each leads to its run."""
    board, cells = view.board, []
    run_ids = board.run_ids[list(view.models), column.dataset].tolist()
    for row, css in zip(view.order, _tints(view, column), strict=True):
        value, run_id = column.values[row], run_ids[row]
        mark = board.marks.get((view.models[row], column.dataset))
        if isinstance(value, float):
            cells.append(TableCell(score(value), f"{css} again" if mark else css, "", run_id, mark))
        elif mark:
            cells.append(TableCell("", f"num open {mark.state}", "", 0, mark))
        elif run_id:
            cells.append(TableCell(_dash("incomplete"), "num", "Its last run lacks a part of this dataset.", run_id))
        else:
            cells.append(_MISSING)
    return cells


def _tints(view: BoardView, column: TableColumn) -> list[str]:
    """The class of each shown cell: its tint among the ranked models, and whether it is the best."""
    values = np.array(column.values, np.float64)
    present = values[~np.isnan(values)]
    if not present.size or present.min() == present.max():
        return ["num"] * len(view.order)
    low, high = present.min(), present.max()
    share = np.nan_to_num((values - low) / (high - low))
    heats = np.minimum((share * HEAT_LEVELS).astype(int), HEAT_LEVELS - 1).tolist()
    best = (np.round(values, RANK_DIGITS) == np.round(high, RANK_DIGITS)).tolist()
    return [_TINTS[best[row]][heats[row]] for row in view.order]


_DRAWN: Final[dict[Kind, Callable[[BoardView, TableColumn], Sequence[TableCell]]]] = {
    Kind.PERCENT: _percents,
    Kind.MEMORY: _memories,
    Kind.COUNT: _counts,
    Kind.MEAN: _scores,
    Kind.TYPE: _scores,
    Kind.TASK: _tasks,
}
