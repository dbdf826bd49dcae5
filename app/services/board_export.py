"""A board for spreadsheets and scripts: the rows that the page shows, at full precision, scores 0 to 1."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from app.services import benchmarks
from app.services.board_look import Look
from app.services.board_view import BoardView, task_columns, type_columns, view_board
from app.services.boards import load_board
from app.services.table_columns import TIER, Kind, TableColumn, Value, half_width, measured_text, rank_range

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_MARKUP: Final = re.compile(r"[\\`*_\[\]<>|~#&!]")
_LATEX: Final = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "±": r"$\pm$",
        "–": "--",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "—": "---",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': "''",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    }
)


def board_dict(session: Session, slug: str) -> dict[str, Any]:
    """A board by rank: {benchmark, models: [...]}, as `as_dict` makes it.

    Raises:
        NotFound: there is no such board.
    """
    return as_dict(_by_rank(session, slug))


def board_text(session: Session, slug: str, format_name: str) -> str:
    """A board by rank in one of `FORMATS`.

    Raises:
        NotFound: there is no such board.
    """
    return FORMATS[format_name].write(_by_rank(session, slug))


def as_dict(view: BoardView) -> dict[str, Any]:
    """JSON-ready: the board's name and the rows shown, in their order; None where a value is missing.

    `task_types` and `tasks` of a model go by the names of types and datasets; `measured` has what it costs on every
    device it was measured on.
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

    Where they are known, rank ranges, the intervals of the means that are shown, and tiers come last. Text that a
    spreadsheet would run as a formula gets an apostrophe before it; numbers never do.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    certain = _certain(view)
    writer.writerow([_safe(text) for column in view.shown for text in _heads(column)] + [*certain])
    writer.writerows(
        [_safe(value) for column in view.shown for value in _values(view, column, row)]
        + [values[row] for values in certain.values()]
        for row in view.order
    )
    return out.getvalue()


def as_json(view: BoardView) -> str:
    """`as_dict` as text."""
    return json.dumps(as_dict(view), ensure_ascii=False, allow_nan=False, indent=2)


def as_markdown(view: BoardView) -> str:
    """A table for a README: names as text, scores times 100 with half their interval, the best of a column bold."""
    heads = [markdown_text(_head(column)) for column in view.shown]
    lines = [heads, ["---" if column.kind is Kind.MODEL else "---:" for column in view.shown]]
    lines += [[_styled(cell, "**{}**", " {}", markdown_text) for cell in row] for row in _shown(view)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_latex(view: BoardView) -> str:
    """A table for a paper, with booktabs: scores times 100 with half their interval, the best of a column bold."""
    kinds = "".join("l" if column.kind is Kind.MODEL else "r" for column in view.shown)
    rows = [
        [_styled(cell, r"\textbf{{{}}}", r" {{\scriptsize {}}}", latex_text) for cell in row] for row in _shown(view)
    ]
    lines = [" & ".join(row) + r" \\" for row in [[latex_text(_head(column)) for column in view.shown], *rows]]
    begin, end = rf"\begin{{tabular}}{{{kinds}}}", r"\end{tabular}"
    return "\n".join([begin, r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", end, ""])


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of download; `label` for people, `suffix` of the file."""

    label: str
    suffix: str
    media_type: str
    write: Callable[[BoardView], str]


FORMATS: Final = {
    "csv": Format("CSV", "csv", "text/csv", as_csv),
    "json": Format("JSON", "json", "application/json", as_json),
    "md": Format("Markdown", "md", "text/markdown", as_markdown),
    "latex": Format("LaTeX", "tex", "text/x-tex", as_latex),
}


def _by_rank(session: Session, slug: str) -> BoardView:
    return view_board(load_board(session, benchmarks.by_slug(session, slug)), Look())


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell as people read it; `note` is between what its figure lies, "" where that is not known or not shown."""

    text: str
    best: bool
    note: str


def _shown(view: BoardView) -> Iterator[list[_Cell]]:
    """The rows as people read them."""
    best = {
        column.key: max((score for score in column.values if isinstance(score, float)), default=None)
        for column in view.shown
        if column.kind.is_score
    }
    for row in view.order:
        yield [
            _Cell(
                _text(view, column, row),
                column.key in best and column.values[row] == best[column.key] is not None,
                "" if view.look.plain else _note(column, row),
            )
            for column in view.shown
        ]


def _note(column: TableColumn, row: int) -> str:
    ends = column.ends[row] if column.ends else None
    if ends is None or column.values[row] is None:
        return ""
    return f"({rank_range(ends)})" if column.kind is Kind.RANK else half_width(ends)


def _text(view: BoardView, column: TableColumn, row: int) -> str:
    value = column.values[row]
    if column.kind is Kind.MODEL:
        return " ".join((view.model(row).name, *view.model(row).chips))
    if value is None:
        return "NA" if column.kind is Kind.PERCENT else "—"
    if column.kind.is_score and isinstance(value, float):
        return f"{value * 100:.2f}"
    if column.kind is Kind.PERCENT:
        return f"{value}%"
    if column.kind is Kind.MEASURED and isinstance(value, float):
        return measured_text(value)
    return f"{value:,.0f}" if column.kind is Kind.MEMORY else f"{value:,}"


def _styled(cell: _Cell, best: str, note: str, escape: Callable[[str], str]) -> str:
    """The text, in the pattern of the best if it is, and its note in another pattern."""
    text = best.format(escape(cell.text)) if cell.best else escape(cell.text)
    return f"{text}{note.format(escape(cell.note))}" if cell.note else text


def markdown_text(text: str) -> str:
    """Text that neither ends a cell nor is taken for markup."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def latex_text(text: str) -> str:
    """Any text in one line, as LaTeX reads it."""
    return " ".join(text.split()).translate(_LATEX)


def _certain(view: BoardView) -> dict[str, Sequence[Value]]:
    """The ends of shown ranks and means, and tiers if they are not shown, by the head of a column; of all models."""
    shown, rows = view.shown, range(len(view.models))
    ends: dict[str, Sequence[Value]] = {
        f"{column.key}_{name}": [_end(column, row, end) for row in rows]
        for column in shown
        if column.ends and column.kind is not Kind.TASK
        for end, name in enumerate(("low", "high"))
    }
    return ends | {
        column.key: column.values for column in view.columns if column.key == TIER.key and column not in shown
    }


def _end(column: TableColumn, row: int, end: int) -> Value:
    """One end of an interval: 0 for the low one; ranks are whole."""
    ends = column.ends[row] if column.ends else None
    if ends is None:
        return None
    return int(ends[end]) if column.kind is Kind.RANK else ends[end]


def _row_dict(view: BoardView, row: int) -> dict[str, Any]:
    model = view.model(row)
    columns = {column.key: column for column in view.columns}
    values = {key: column.values[row] for key, column in columns.items()}
    return {
        "key": model.key,
        "model": model.name,
        "variant": model.variant,
        "revision": model.revision,
        "rank": values["rank"],
        "rank_low": _end(columns["rank"], row, 0),
        "rank_high": _end(columns["rank"], row, 1),
        "tier": values.get(TIER.key),
        "points": float(view.standings.points[row]),
        "complete": view.complete(row),
        "zero_shot": values["zero_shot"],
        "memory_mb": values["memory"],
        "memory_dtype": model.memory_dtype,
        "parameters": values["parameters"],
        "active_parameters": values["active_parameters"],
        "dimensions": values["dimensions"],
        "index_bytes": values["index_bytes"],
        "max_tokens": values["max_tokens"],
        "licence": model.licence,
        "open_weights": model.open_weights,
        "training_code": model.training_code,
        "training_data": model.training_data,
        "citation": model.citation,
        "release_date": model.release_date,
        "measured": [asdict(found) for found in model.measured],
        "mean_task": values["mean_task"],
        "mean_task_low": _end(columns["mean_task"], row, 0),
        "mean_task_high": _end(columns["mean_task"], row, 1),
        "mean_task_type": values["mean_task_type"],
        "task_types": {column.group: column.values[row] for column in type_columns(view)},
        "tasks": {column.label: column.values[row] for column in task_columns(view)},
    }


def _head(column: TableColumn) -> str:
    """The head of a column that is read without its page: with its unit, and the device of what was measured."""
    if column.kind not in {Kind.MEMORY, Kind.COUNT, Kind.MEASURED}:
        return column.label
    units = ", ".join(filter(None, (column.unit, column.device)))
    return f"{column.label} ({units})" if units else column.label


def _heads(column: TableColumn) -> tuple[str, ...]:
    """The heads of a column; the model's and the memory's hold more than one fact."""
    match column.kind:
        case Kind.RANK:
            return ("Rank (Borda)",)
        case Kind.MODEL:
            return ("Model", "Variant", "Revision")
        case Kind.MEMORY:
            return (_head(column), f"{column.label} dtype")
        case Kind.TYPE:
            return (f"Mean ({column.group})",)
        case _:
            return (_head(column),)


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
