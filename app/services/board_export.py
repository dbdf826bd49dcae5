"""A board for spreadsheets and scripts: the rows that the page shows, at full precision, scores 0 to 1."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.db.queries.boards import Board, BoardRow, load_board
from app.services import benchmarks
from app.services.board_view import Kind, TableColumn, table_columns

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def board_dict(session: Session, slug: str) -> dict[str, Any]:
    """A board by rank: {benchmark, models: [...]}, as `as_dict` makes it.

    Raises:
        NotFound: there is no such board.
    """
    board = load_board(session, benchmarks.by_slug(session, slug))
    return as_dict(board, board.rows)


def board_csv(session: Session, slug: str) -> str:
    """A board by rank as CSV, as `as_csv` makes it.

    Raises:
        NotFound: there is no such board.
    """
    board = load_board(session, benchmarks.by_slug(session, slug))
    return as_csv(board, board.rows)


def as_dict(board: Board, rows: Sequence[BoardRow]) -> dict[str, Any]:
    """JSON-ready: the board's name and these rows, in their order; None where a value is missing.

    `task_types` and `tasks` of a model go by the names of types and datasets.
    """
    return {
        "benchmark": board.name,
        "slug": board.slug,
        "datasets": [
            {"slug": column.slug, "name": column.name, "task_type": column.task_type, "revision": column.revision}
            for column in board.columns
        ],
        "models": [_row_dict(board, row) for row in rows],
    }


def as_csv(board: Board, rows: Sequence[BoardRow]) -> str:
    """One line a row, in their order; empty where a value is missing.

    Text that a spreadsheet would run as a formula gets an apostrophe before it; numbers never do.
    """
    columns = table_columns(board)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_safe(text) for column in columns for text in _heads(column)])
    writer.writerows([_safe(value) for column in columns for value in _values(column, row)] for row in rows)
    return out.getvalue()


def _row_dict(board: Board, row: BoardRow) -> dict[str, Any]:
    model, standing = row.model, row.standing
    return {
        "model": model.name,
        "variant": model.variant,
        "revision": model.revision,
        "rank": standing.rank,
        "points": standing.points,
        "complete": standing.complete,
        "zero_shot": standing.zero_shot,
        "memory_mb": model.memory_mb,
        "memory_dtype": model.memory_dtype,
        "parameters": model.parameters,
        "dimensions": model.dimensions,
        "max_tokens": model.max_tokens,
        "mean_task": standing.mean_task,
        "mean_task_type": standing.mean_task_type,
        "task_types": dict(standing.types),
        "tasks": {column.name: standing.datasets[column.slug] for column in board.columns},
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


def _values(column: TableColumn, row: BoardRow) -> tuple[object, ...]:
    match column.kind:
        case Kind.MODEL:
            return row.model.name, row.model.variant, row.model.revision
        case Kind.MEMORY:
            return row.model.memory_mb, row.model.memory_dtype
        case _:
            return (column.value(row),)


def _safe(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
