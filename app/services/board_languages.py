"""A board by language: as MTEB has it, the mean over every score on a part of a dataset that is in the language."""

import json
import math
from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from threading import Lock
from typing import Any, Final

import numpy as np
from sqlalchemy.orm import Session

from app.core.aggregation import Booleans, Floats, Integers
from app.core.languages import named_languages
from app.db.queries.boards import Board, BoardColumn
from app.db.queries.language_scores import BoardCell, imported_cells, own_cells
from app.db.tables import Benchmark
from app.errors import Invalid
from app.mteb import registry
from app.services.board_export import FORMATS
from app.services.board_look import FILTER_LENGTH, Look
from app.services.board_view import BoardView, known, view_board
from app.services.boards import load_board
from app.services.table_columns import Kind, TableColumn, Value

LANGUAGE: Final = "language:"
"""Begins the key of a language's column."""
MOST_COLUMNS: Final = 60
"""So many languages are shown unless some are chosen; one of MTEB's benchmarks has a thousand."""
_KEPT: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class LanguageScores:
    """The scores of a board by (dataset, language).

    Attributes:
        languages: those of any score, the ones of the most datasets first, then by code.
        datasets: shape (pairs,), the board's column of each pair.
        of: shape (pairs,), the place of its language in `languages`.
        cells: shape (pairs,), on how many cells any model has a score.
        sums: shape (models, pairs), the sum of a model's scores.
        counts: shape (models, pairs), how many they are.
    """

    languages: tuple[str, ...]
    datasets: Integers
    of: Integers
    cells: Integers
    sums: Floats
    counts: Integers


@dataclass(frozen=True, slots=True, eq=False)
class LanguageView(BoardView):
    """What a look shows of a board by language.

    Attributes:
        languages: a column each.
        counts: shape (models, languages), how many scores each mean is over.
        cells: shape (languages,), how many there could be.
        more: how many languages are not shown because nobody chose them.
    """

    languages: tuple[TableColumn, ...]
    counts: Integers
    cells: Integers
    more: int

    @property
    def shown(self) -> tuple[TableColumn, ...]:
        """Rank, model, Mean (Task) and the languages, whatever columns the look chooses for the other tabs."""
        first = (column for column in self.columns if column.key in {"rank", "model", "mean_task"})
        return *first, *self.languages

    @property
    def has_partial(self) -> bool:
        """Whether a row has no score on some dataset, so that its means are over less than those of others."""
        return not all(self.complete(row) for row in self.order)


def load_language_scores(session: Session, benchmark: Benchmark, board: Board) -> LanguageScores:
    """The scores behind a board, in one query.

    Args:
        session: the transaction that the board was read in.
        benchmark: the board's.
        board: with the rows and columns to use.
    """
    cells = imported_cells if board.imported else own_cells
    return gather(board, cells(session, benchmark.id))


def gather(board: Board, cells: Iterable[BoardCell]) -> LanguageScores:
    """Sum cells by row, dataset and language."""
    rows = {model.key: row for row, model in enumerate(board.models)}
    columns = {column.slug: place for place, column in enumerate(board.columns)}
    pairs: dict[tuple[int, str], int] = {}
    required: Counter[int] = Counter()

    @cache  # once a cell: so it counts them too
    def pairs_of(dataset: str, _split: str, subset: str) -> tuple[int, ...]:
        place = columns[dataset]
        found = languages_of(board.columns[place], subset, board.imported)
        numbers = tuple(pairs.setdefault((place, language), len(pairs)) for language in found)
        required.update(numbers)
        return numbers

    at_row, at_pair, values = array("l"), array("l"), array("d")
    for model, dataset, split, subset, value in cells:
        for pair in pairs_of(dataset, split, subset):
            at_row.append(rows[model])
            at_pair.append(pair)
            values.append(value)
    spread = Counter(language for _, language in pairs)
    languages = tuple(sorted(spread, key=lambda language: (-spread[language], language)))
    places = {language: place for place, language in enumerate(languages)}
    shape = len(rows), len(pairs)
    flat = np.asarray(at_row, np.int64) * len(pairs) + np.asarray(at_pair, np.int64)
    return LanguageScores(
        languages=languages,
        datasets=np.array([dataset for dataset, _ in pairs], np.int64),
        of=np.array([places[language] for _, language in pairs], np.int64),
        cells=np.array([required[pair] for pair in pairs.values()], np.int64),
        sums=np.bincount(flat, np.asarray(values), math.prod(shape)).reshape(shape).astype(np.float64, copy=False),
        counts=np.bincount(flat, minlength=math.prod(shape)).reshape(shape),
    )


def languages_of(column: BoardColumn, subset: str, imported: bool) -> tuple[str, ...]:
    """The languages of a subset: as MTEB has them for a task of its own on an imported board, else by its name."""
    task = registry.find_task(column.slug) if imported else None
    if task and subset in task.subsets:
        return task.subsets[subset]
    return named_languages(subset, column.languages)


def view_languages(board: Board, scores: LanguageScores, look: Look, most: int | None = MOST_COLUMNS) -> LanguageView:
    """Filter, rank and order as `view_board` does, then average by language over the datasets that count.

    A model's mean is over every score it has, however few, as in MTEB's own table by language. The filter for
    languages chooses the columns too.

    Args:
        board: all of it.
        scores: those of the board.
        look: may also sort by `language:CODE`, a language of the board.
        most: so many columns while no language is chosen; None for all.

    Raises:
        Invalid: the look sorts by a column that this board has not.
    """
    by_language = look.key.startswith(LANGUAGE)
    view = view_board(board, look.without("sort") if by_language else look)
    counted = np.isin(scores.datasets, view.datasets)
    there = np.unique(scores.of[counted]).tolist()
    wanted = [place for place in there if not look.language or scores.languages[place] in look.language]
    shown = wanted if look.language else wanted[:most]
    means, counts = _averaged(scores, view, counted, shown)
    pairs = [np.flatnonzero(counted & (scores.of == place)) for place in shown]
    columns = tuple(_column(scores, of, known(means[:, number])) for number, of in enumerate(pairs))
    order = view.order
    if by_language:
        values, _ = _averaged(scores, view, counted, [_place(scores, look.key.removeprefix(LANGUAGE))])
        order = _sorted(view, known(values[:, 0]), look.descending)
    return LanguageView(
        **{field.name: getattr(view, field.name) for field in fields(BoardView) if field.name not in _CHANGED},
        look=look,
        columns=(*view.columns, *columns),
        order=order,
        pinned=tuple(row for row in order if row in view.pinned),
        languages=columns,
        counts=counts,
        cells=np.array([scores.cells[of].sum() for of in pairs], np.int64),
        more=len(wanted) - len(shown),
    )


_CHANGED: Final = {"look", "columns", "order", "pinned"}


def _averaged(
    scores: LanguageScores, view: BoardView, counted: Booleans, places: Sequence[int]
) -> tuple[Floats, Integers]:
    """Means over the pairs that count, NaN for none, and how many scores each is over; of shape (models, places)."""
    used = np.flatnonzero(counted)
    here = np.ix_(np.array(view.models, np.int64), used)
    belongs = (scores.of[used][:, None] == np.array(places, np.int64)).astype(np.float64)
    sums, counts = scores.sums[here] @ belongs, scores.counts[here] @ belongs
    means: Floats = np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return means, counts.astype(np.int64)


def _column(scores: LanguageScores, pairs: Integers, values: Sequence[Value]) -> TableColumn:
    """The column of a language, from its pairs that count."""
    language, cells = scores.languages[scores.of[pairs[0]]], int(scores.cells[pairs].sum())
    datasets = "1 dataset" if len(pairs) == 1 else f"{len(pairs)} datasets"
    over = "the score" if cells == 1 else f"the {cells:,} scores"
    return TableColumn(
        f"{LANGUAGE}{language}",
        language,
        f"Mean over {over} in this language, of {datasets}, times 100; higher is better. Every split and subset weighs "
        "the same, and what a model lacks is left out.",
        Kind.MEAN,
        values,
        unit=datasets,
    )


def _place(scores: LanguageScores, language: str) -> int:
    """Where a language stands."""
    if language not in scores.languages:
        raise Invalid(
            f"This board has no scores in the language {language[:FILTER_LENGTH]!r}. Sort by {LANGUAGE}CODE for one "
            f"that it has, such as {LANGUAGE}{next(iter(scores.languages), 'eng-Latn')}.",
            code="unknown_sort",
        )
    return scores.languages.index(language)


def _sorted(view: BoardView, values: Sequence[Any], descending: bool) -> tuple[int, ...]:
    """The view's rows, pinned ones first; missing values last both ways, equal ones as they were."""
    present = sorted((row for row in view.order if values[row] is not None), key=values.__getitem__, reverse=descending)
    order = (*present, *(row for row in view.order if values[row] is None))
    return tuple(sorted(order, key=lambda row: row not in view.pinned))


def as_dict(view: LanguageView) -> dict[str, Any]:
    """JSON-ready: the rows shown, in their order; a mean is None where a model has no score in the language."""
    return {
        "benchmark": view.board.name,
        "slug": view.board.slug,
        "languages": [
            {"language": column.label, "scores": cells}
            for column, cells in zip(view.languages, view.cells.tolist(), strict=True)
        ],
        "models": [_row_dict(view, row) for row in view.order],
    }


def _row_dict(view: LanguageView, row: int) -> dict[str, Any]:
    model = view.model(row)
    return {
        "key": model.key,
        "model": model.name,
        "variant": model.variant,
        "revision": model.revision,
        "rank": view.columns[0].values[row],
        "languages": {column.label: column.values[row] for column in view.languages},
        "scores": {
            column.label: count for column, count in zip(view.languages, view.counts[row].tolist(), strict=True)
        },
    }


def as_json(view: LanguageView) -> str:
    """`as_dict` as text."""
    return json.dumps(as_dict(view), ensure_ascii=False, allow_nan=False, indent=2)


def as_text(view: LanguageView, format_name: str) -> str:
    """The table as it is shown, in one of `app.services.board_export.FORMATS`."""
    return as_json(view) if format_name == "json" else FORMATS[format_name].write(view)


def languages_text(session: Session, benchmark: Benchmark, format_name: str) -> str:
    """Every model by rank and every language of a board, in one of `app.services.board_export.FORMATS`."""
    board = load_board(session, benchmark)
    view = view_languages(board, load_language_scores(session, benchmark, board), Look(), most=None)
    return as_text(view, format_name)


class LanguageCache:
    """The scores by language that one process has read last. Safe for threads; two may read the same at once."""

    def __init__(self) -> None:
        self._scores: OrderedDict[int, tuple[int, LanguageScores]] = OrderedDict()
        self._lock = Lock()

    def scores(self, session: Session, benchmark: Benchmark, board: Board, stamp: int) -> LanguageScores:
        """The scores behind a board; `stamp` is `board_stamp` in this transaction, which has read the board."""
        with self._lock:
            known, scores = self._scores.get(benchmark.id, (None, None))
        if scores is None or known != stamp:
            scores = load_language_scores(session, benchmark, board)
        with self._lock:
            self._scores[benchmark.id] = stamp, scores
            self._scores.move_to_end(benchmark.id)
            while len(self._scores) > _KEPT:
                self._scores.popitem(last=False)
        return scores
