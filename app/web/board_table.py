"""A board's table as it is drawn: what stands in a cell, which value is best, how strong its tint.

A board has ten thousand cells and more. So they are written here, column by column, and not by a template, which
takes twenty times as long. Whatever is not a number is escaped.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise, repeat
from typing import Final
from zlib import crc32

import numpy as np
from markupsafe import Markup, escape

from app.core.aggregation import RANK_DIGITS
from app.core.units import short_count
from app.db.queries.boards import BoardModel
from app.services.board_look import BoardLinks
from app.services.board_view import BoardView, group_by_type, task_columns, type_columns
from app.services.table_columns import (
    TIER,
    Ends,
    Kind,
    TableColumn,
    Value,
    half_width,
    measured_text,
    rank_range,
    type_names,
)
from app.web.templating import environment, number, score

HEAT_LEVELS: Final = 10
_WHOLE_TEXT: Final = 16
_TINTS: Final = [[f"num{' best' if best else ''} h{heat}" for heat in range(HEAT_LEVELS)] for best in (False, True)]


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the rank, the model, then the markup of every other cell. `pin` is the link that pins or unpins it.

    `band` is what a line above the row says, "" where there is none.
    """

    rank: str | Markup
    model: BoardModel
    cells: Markup
    pin: str
    pinned: bool
    band: str


@dataclass(frozen=True, slots=True)
class BoardTable:
    """The table of one tab.

    `groups` are (task type, how many columns), empty without a second head. `two_lines`: intervals stand in cells.
    """

    id: str
    columns: tuple[TableColumn, ...]
    groups: tuple[tuple[str, int], ...]
    ungrouped: int
    two_lines: bool
    rows: tuple[TableRow, ...]


def summary_table(view: BoardView) -> BoardTable:
    """The columns that the look shows."""
    return _table(view, view.shown)


def task_table(view: BoardView) -> BoardTable:
    """Rank, model, Mean (Task), then the types, each with its mean, if it has several, and its datasets."""
    fixed = [column for column in view.columns if column.key in {"rank", "model", "mean_task"}]
    means = {column.group: replace(column, label="Mean", unit="") for column in type_columns(view)}
    groups = {
        name: (means[name], *columns) if len(columns) > 1 else columns
        for name, columns in group_by_type(task_columns(view)).items()
    }
    grouped = [column for columns in groups.values() for column in columns]
    table = _table(view, (*fixed, *grouped))
    heads = tuple((type_names(name)[1], len(columns)) for name, columns in groups.items())
    return replace(table, groups=heads, ungrouped=len(fixed))


def _table(view: BoardView, columns: tuple[TableColumn, ...]) -> BoardTable:
    rank, _, *others = columns
    links, pinned = BoardLinks("", view.look), frozenset(view.pinned)
    keys = "\n".join(column.key for column in columns)
    by_column, bands = [_drawn(view, column) for column in others], _bands(view)
    ends = _shown_ends(view, rank) or [None] * len(view.models)
    return BoardTable(
        id=f"rows-{crc32(keys.encode()):08x}",
        columns=columns,
        groups=(),
        ungrouped=0,
        two_lines=any(_shown_ends(view, column) for column in columns),
        rows=tuple(
            TableRow(
                rank=_rank(rank.values[row], ends[row]),
                model=model,
                cells=cells,
                pin=links.pin(model.key),
                pinned=row in pinned,
                band=bands.get(row, ""),
            )
            for row, model, cells in zip(view.order, map(view.model, view.order), _joined(by_column), strict=True)
        ),
    )


def _drawn(view: BoardView, column: TableColumn) -> Iterator[str]:
    """The cells of a column; those of a dataset say so, because its name takes more room than other heads."""
    cells = _DRAWN[column.kind](view, column)
    return (str(cell).replace('class="', 'class="task ', 1) for cell in cells) if column.kind is Kind.TASK else cells


def _joined(columns: Iterable[Iterable[str]]) -> Iterator[Markup]:
    """The cells of each row in one piece."""
    for cells in zip(*columns, strict=True):
        yield Markup("".join(cells))  # noqa: S704 -- made below, with what is not a number escaped


def _dash(word: str) -> Markup:
    """What is missing: a dash to see, a word to hear."""
    hidden = Markup('<span class="dash" aria-hidden="true">—</span><span class="visually-hidden">{}</span>')
    return hidden.format(word)


def _rank(value: Value, ends: Ends | None) -> str | Markup:
    """With the ranks that the model has on other examples, unless it has no other."""
    if not value or ends is None or ends == (value, value):
        return str(value) if value else _dash("no rank yet")
    words = rank_range(ends)
    return Markup('{}<small title="On 95 of 100 resamples: {}">{}</small>').format(value, words, words)


def _bands(view: BoardView) -> Mapping[int, str]:
    """What is said between two tiers where they order the table, by the row that comes after; not among pinned rows."""
    tiers = next((column.values for column in view.columns if column.key == view.look.key == TIER.key), ())
    if not tiers:
        return {}
    sizes, rows = Counter(tiers), view.order[len(view.pinned) :]
    return {
        below: f"Tier {tiers[above]}: "
        f"{'no test separates the rows above' if sizes[tiers[above]] > 1 else 'the row above alone'}"
        for above, below in pairwise(rows)
        if tiers[above] != tiers[below]
    }


def _shown_ends(view: BoardView, column: TableColumn) -> Sequence[Ends | None]:
    """The ends of a column's intervals; empty where the look hides them."""
    return () if view.look.plain else column.ends


def _notes(view: BoardView, column: TableColumn) -> Iterable[tuple[str, str]]:
    """For each shown cell of a score an attribute with its interval, and the quiet second line; "" for both if none."""
    ends = _shown_ends(view, column)
    if not ends:
        return repeat(("", ""), len(view.order))
    what = "draws" if column.group == "Clustering" else "n"
    examples = f", {what} = {number(column.n)}" if column.n else ""
    return (_note(ends[row], examples) for row in view.order)


def _note(ends: Ends | None, examples: str) -> tuple[str, str]:
    if ends is None:
        return "", ""
    low, high = ends
    return f' title="{low * 100:.2f} to {high * 100:.2f} (95%){examples}"', f"<small>{half_width(ends)}</small>"


_MISSING: Final = Markup('<td class="num">{}</td>').format(_dash("no value"))
_UNMEASURED: Final = Markup('<td class="num">{}</td>').format(_dash("not measured"))
_MISSING_TEXT: Final = Markup('<td class="text">{}</td>').format(_dash("not known"))
_INCOMPLETE: Final = _dash("incomplete")
_UNKNOWN: Final = Markup('<td class="num"><span class="dash">NA</span></td>')


def _percents(view: BoardView, column: TableColumn) -> Iterator[str]:
    for row in view.order:
        value = column.values[row]
        yield _UNKNOWN if value is None else f'<td class="num">{value}%</td>'


def _memories(view: BoardView, column: TableColumn) -> Iterator[str]:
    for row in view.order:
        value, dtype = column.values[row], view.model(row).memory_dtype or ""
        if isinstance(value, int | float):
            title, spoken = _dtype(dtype)
            yield f'<td class="num"{title}>{number(value, 1 if 0 < value < 10 else 0)}{spoken}</td>'
        else:
            yield _MISSING


@cache
def _dtype(name: str) -> tuple[Markup, Markup]:
    """A data type on hover, and for screen readers."""
    if not name:
        return Markup(), Markup()
    return Markup(' title="{}"').format(name), Markup('<span class="visually-hidden"> {}</span>').format(name)


def _counts(view: BoardView, column: TableColumn) -> Iterator[str]:
    short = column.key in {"parameters", "active_parameters"}
    for row in view.order:
        value = column.values[row]
        if not isinstance(value, int | float):
            yield _MISSING
        elif short:
            yield f'<td class="num" title="{number(value)}">{short_count(value)}</td>'
        else:
            yield f'<td class="num">{number(value)}</td>'


def _measured(view: BoardView, column: TableColumn) -> Iterator[str]:
    for row in view.order:
        value = column.values[row]
        yield f'<td class="num">{measured_text(value)}</td>' if isinstance(value, float) else _UNMEASURED


def _texts(view: BoardView, column: TableColumn) -> Iterator[str]:
    for row in view.order:
        value = column.values[row]
        yield _MISSING_TEXT if value is None else _text(str(value))


@lru_cache(4096)
def _text(value: str) -> str:
    """A long text, such as the address of a licence, is cut to see and whole on hover."""
    title = Markup(' title="{}"').format(value) if len(value) > _WHOLE_TEXT else ""
    return f'<td class="text"{title}>{escape(value)}</td>'


def _scores(view: BoardView, column: TableColumn) -> Iterator[str]:
    """Means: of all datasets, or of a type."""
    for row, css, (title, note) in zip(view.order, _tints(view, column), _notes(view, column), strict=True):
        value = column.values[row]
        if isinstance(value, float):
            yield f'<td class="{css}"{title}>{score(value)}{note}</td>'
        else:
            yield _partial(view, row) if column.key == "mean_task" else _MISSING


def _partial(view: BoardView, row: int) -> str:
    """What stands instead of Mean (Task): on how many datasets there is a score."""
    counts = f"{view.standings.scored[row]} of {len(view.datasets)}"
    spoken = f'<span class="visually-hidden">partial: </span>{counts}'
    return f'<td class="num open" title="A score on {counts} datasets, so no mean yet.">{spoken}</td>'


def _tasks(view: BoardView, column: TableColumn) -> Iterator[str]:
    """Scores of one dataset; each leads to its run. While rows replace themselves, ids keep the focus."""
    board, lives = view.board, bool(view.board.open_runs)
    run_ids = board.run_ids[list(view.models), column.dataset].tolist()
    for row, css, (title, note) in zip(view.order, _tints(view, column), _notes(view, column), strict=True):
        value, run_id = column.values[row], run_ids[row]
        mark = board.marks.get((view.models[row], column.dataset))
        text = score(value) if isinstance(value, float) else _INCOMPLETE
        if mark:
            shown = f"{css} again" if isinstance(value, float) else f"num open {mark.state}"
            yield _marked_cell()(text, shown, run_id if isinstance(value, float) else 0, mark, Markup(note))  # noqa: S704
        elif run_id:
            lacks = "" if isinstance(value, float) else ' title="Its last run lacks a part of this dataset."'
            key = f' id="run-{run_id}"' if lives else ""
            yield f'<td class="{css}"{title}><a{key} href="/runs/{run_id}"{lacks}>{text}</a>{note}</td>'
        else:
            yield f'<td class="{css}">{text}</td>' if isinstance(value, float) else _MISSING


@cache
def _marked_cell() -> Callable[..., Markup]:
    """The macro of a cell with a run that is open or has failed."""
    parts = environment().get_template("boards/_parts.html").make_module()
    macro: Callable[..., Markup] = getattr(parts, "marked_cell")  # noqa: B009 -- what a template defines
    return macro


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


_DRAWN: Final[dict[Kind, Callable[[BoardView, TableColumn], Iterator[str]]]] = {
    Kind.PERCENT: _percents,
    Kind.MEMORY: _memories,
    Kind.COUNT: _counts,
    Kind.MEASURED: _measured,
    Kind.TEXT: _texts,
    Kind.MEAN: _scores,
    Kind.TYPE: _scores,
    Kind.TASK: _tasks,
}
