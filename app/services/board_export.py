"""A board for spreadsheets and scripts: the rows that the page shows, at full precision, scores 0 to 1."""

import csv
import io
from typing import Any

from sqlalchemy.orm import Session

from app.db.queries.boards import load_board
from app.services import benchmarks
from app.services.board_look import Look
from app.services.board_view import BoardView, Kind, TableColumn, Value, task_columns, type_columns, view_board

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def board_dict(session: Session, slug: str) -> dict[str, Any]:
    """A board by rank: {benchmark, models: [...]}, as `as_dict` makes it.

    Raises:
        NotFound: there is no such board.
    """
    return as_dict(view_board(load_board(session, benchmarks.by_slug(session, slug)), Look()))


def board_csv(session: Session, slug: str) -> str:
    """A board by rank as CSV, as `as_csv` makes it.

    Raises:
        NotFound: there is no such board.
    """
    return as_csv(view_board(load_board(session, benchmarks.by_slug(session, slug)), Look()))


def as_dict(view: BoardView) -> dict[str, Any]:
    """JSON-ready: the board's name and the rows shown, in their order; None where a value is missing.

    `task_types` and `tasks` of a model go by the names of types and datasets.
    """
    return {
        "benchmark": view.board.name,
        "slug": view.board.slug,
        "datasets": [
            {"slug": column.slug, "name": column.name, "task_type": column.task_type, "revision": column.revision}
            for column in view.shown_columns
        ],
        "models": [_row_dict(view, row) for row in view.order],
    }


def as_csv(view: BoardView) -> str:
    """One line a row, in their order; empty where a value is missing.

    Text that a spreadsheet would run as a formula gets an apostrophe before it; numbers never do.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_safe(text) for column in view.columns for text in _heads(column)])
    writer.writerows(
        [_safe(value) for column in view.columns for value in _values(view, column, row)] for row in view.order
    )
    return out.getvalue()


def _row_dict(view: BoardView, row: int) -> dict[str, Any]:
    model = view.model(row)
    values = {column.key: column.values[row] for column in view.columns}
    return {
        "model": model.name,
        "variant": model.variant,
        "revision": model.revision,
        "rank": values["rank"],
        "points": float(view.standings.points[row]),
        "complete": view.complete(row),
        "zero_shot": values["zero_shot"],
        "memory_mb": values["memory"],
        "memory_dtype": model.memory_dtype,
        "parameters": values["parameters"],
        "dimensions": values["dimensions"],
        "max_tokens": values["max_tokens"],
        "mean_task": values["mean_task"],
        "mean_task_type": values["mean_task_type"],
        "task_types": {column.group: column.values[row] for column in type_columns(view)},
        "tasks": {column.label: column.values[row] for column in task_columns(view)},
    }


def _heads(column: TableColumn) -> tuple[str, ...]:
    """The heads of a column; the model's and the memory's hold more than one fact."""
    match column.kind:
        case Kind.RANK:
            return ("Rank (Borda)",)
        case Kind.MODEL:
            return ("Model", "Variant", "Revision")
        case Kind.MEMORY:
            return ("Memory (MB)", "Memory dtype")
        case Kind.TYPE:
            return (f"Mean ({column.group})",)
        case _:
            return (column.label,)


def _values(view: BoardView, column: TableColumn, row: int) -> tuple[Value, ...]:
    model = view.model(row)
    match column.kind:
        case Kind.MODEL:
            return model.name, model.variant, model.revision
        case Kind.MEMORY:
            return model.memory_mb, model.memory_dtype
        case _:
            return (column.values[row],)


def _safe(value: Value) -> Value:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
