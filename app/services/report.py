"""A board for the appendix of a paper: scores with intervals, which models each one beats, and how that was found."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import __version__
from app.core.aggregation import Booleans
from app.core.significance import FEW
from app.core.verdicts import SIGNIFICANT
from app.db.queries.boards import Board, BoardColumn
from app.db.queries.shared import in_parts
from app.db.tables import Run
from app.services.board_look import Look
from app.services.board_view import BoardView, full_name, view_board
from app.services.dataset_pairs import beaten_on
from app.services.evidence import EvidenceReader
from app.services.report_words import MTEB_RULES, methods, references
from app.services.table_columns import Ends, Kind, TableColumn, Value

MOST_TESTED: Final = 100
"""On boards of more models, datasets are not tested one by one: that would take a reader's patience."""


@dataclass(frozen=True, slots=True)
class ReportScore:
    """A score, between what it lies, whether it is the best shown, and the letters of the models that it beats."""

    value: float | None
    ends: Ends | None
    best: bool
    beats: str


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A model; `letter` names it where others beat it."""

    letter: str
    model: str
    rank: int | None
    ranks: Ends | None
    tier: int | None
    scores: tuple[ReportScore, ...]


@dataclass(frozen=True, slots=True)
class ReportDataset:
    """A dataset: what it is, how many examples its intervals rest on (0: unknown), and why it was not tested."""

    name: str
    task_type: str
    metric: str
    revision: str
    n: int
    margin: float
    untested: str


@dataclass(frozen=True, slots=True)
class Report:
    """A part of a board.

    Attributes:
        heads: of the scores of each row: the means, then the datasets.
        missing: what keeps intervals or tests from being here, "" for nothing.
        facts: by their label, what is needed to repeat it.
        methods: paragraphs to be pasted.
        references: of what the methods name.
    """

    slug: str
    name: str
    last_result: datetime | None
    heads: tuple[str, ...]
    rows: tuple[ReportRow, ...]
    datasets: tuple[ReportDataset, ...]
    missing: str
    facts: Mapping[str, str]
    methods: tuple[str, ...]
    references: tuple[str, ...]


def board_report(session: Session, reader: EvidenceReader, board: Board, look: Look) -> Report:
    """The models and datasets that a look shows, in its order.

    Raises:
        Invalid: see `app.services.board_view.view_board`.
    """
    view = view_board(board, look)
    columns = _score_columns(view)
    tests = _tests(session, reader, view)
    datasets = tuple(_dataset(board, place, tests[f"task:{board.columns[place].slug}"]) for place in view.datasets)
    return Report(
        slug=board.slug,
        name=board.name,
        last_result=board.last_result,
        heads=tuple(column.label for column in columns),
        rows=_Rows(view, columns, tests).rows(),
        datasets=datasets,
        missing=_missing(view),
        facts=_facts(session, view),
        methods=tuple(methods(view, tested=[one.name for one in datasets if not one.untested])),
        references=tuple(references(view)),
    )


def letter(number: int) -> str:
    """0 -> "a", 25 -> "z", 26 -> "aa", as spreadsheets count columns."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text


def in_short(places: Sequence[int], letters: Sequence[str]) -> str:
    """Letters of ascending places: three or more neighbours are a range.

    >>> in_short([1, 3, 4, 5], "abcdef")
    'b,d–f'
    """
    runs: list[list[int]] = []
    for place in places:
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    parts = [
        f"{letters[run[0]]}–{letters[run[-1]]}" if len(run) > 2 else ",".join(letters[place] for place in run)
        for run in runs
    ]
    return ",".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Test:
    """Which of the board's models beats which, shape (models, models); or why that was not tested."""

    beats: Booleans | None
    why: str = ""


def _tests(session: Session, reader: EvidenceReader, view: BoardView) -> dict[str, _Test]:
    """By the key of a column."""
    board = view.board
    found = {
        f"task:{board.columns[place].slug}": _dataset_test(session, reader, board, place) for place in view.datasets
    }
    if len(view.datasets) == len(board.columns):
        found["mean_task"] = _Test(_beaten_in_the_mean(board))
    return found


def _dataset_test(session: Session, reader: EvidenceReader, board: Board, place: int) -> _Test:
    certainty = board.certainty
    if certainty is None or certainty.by_task:
        return _Test(None, "no values an example are kept")
    if not certainty.tested[place]:
        kind = board.columns[place].task_type
        return _Test(
            None,
            "its texts are no examples by themselves; draws are counted"
            if kind == "Clustering"
            else "no values an example",
        )
    if certainty.n[place] < FEW:
        return _Test(None, f"fewer than {FEW} examples")
    if len(board.models) > MOST_TESTED:
        return _Test(None, f"the board has more than {MOST_TESTED} models")
    found = beaten_on(session, reader, board, place)
    why = "" if found.beats is not None else "fewer than two models have values of the same examples"
    if found.unread:
        why = f"the files of {found.unread:,} {'run is' if found.unread == 1 else 'runs are'} missing; restore them"
    return _Test(None if found.unread else found.beats, why)


def _beaten_in_the_mean(board: Board) -> Booleans | None:
    """By the test of the whole board, over the datasets that it rests on."""
    certainty = board.certainty
    if certainty is None or not certainty.tested.any():
        return None
    means = board.means.complete[:, certainty.tested].mean(axis=1)
    with np.errstate(invalid="ignore"):
        beats: Booleans = (certainty.p < SIGNIFICANT) & (means[:, None] > means)
    return beats


def _score_columns(view: BoardView) -> tuple[TableColumn, ...]:
    """Mean (Task), Mean (TaskType) where there are several types, and the datasets."""
    types = {column.task_type for column in view.shown_columns}
    return tuple(
        column
        for column in view.columns
        if column.kind is Kind.TASK or (column.kind is Kind.MEAN and (column.key == "mean_task" or len(types) > 1))
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The rows of a view, in its order, with the letters that name them."""

    view: BoardView
    columns: Sequence[TableColumn]
    tests: Mapping[str, _Test]

    def rows(self) -> tuple[ReportRow, ...]:
        view = self.view
        letters = [letter(number) for number in range(len(view.order))]
        ranks = next(column for column in view.columns if column.kind is Kind.RANK)
        tiers = next((column.values for column in view.columns if column.key == "tier"), ())
        by_column = [self._scores(column, letters) for column in self.columns]
        return tuple(
            ReportRow(
                letters[number],
                full_name(view.model(row)),
                _whole(ranks.values[row]),
                ranks.ends[row] if ranks.ends else None,
                _whole(tiers[row]) if tiers else None,
                tuple(scores[number] for scores in by_column),
            )
            for number, row in enumerate(view.order)
        )

    def _scores(self, column: TableColumn, letters: Sequence[str]) -> list[ReportScore]:
        """Of every row."""
        best = max((value for value in column.values if isinstance(value, float)), default=None)
        beats = self.tests[column.key].beats if column.key in self.tests else None
        shown = [self.view.models[row] for row in self.view.order]
        found = []
        for model, row in zip(shown, self.view.order, strict=True):
            value = column.values[row]
            beaten = [] if beats is None else np.flatnonzero(beats[model, shown]).tolist()
            ends = column.ends[row] if column.ends else None
            score = value if isinstance(value, float) else None
            found.append(ReportScore(score, ends, score is not None and score == best, in_short(beaten, letters)))
        return found


def _whole(value: Value) -> int | None:
    return value if isinstance(value, int) else None


def _dataset(board: Board, place: int, test: _Test) -> ReportDataset:
    column: BoardColumn = board.columns[place]
    n = int(board.certainty.n[place]) if board.certainty else 0
    return ReportDataset(
        column.name, column.task_type, column.metric, column.revision or "", n, column.margin, test.why
    )


def _missing(view: BoardView) -> str:
    board = view.board
    if board.certainty is None:
        if board.certainty_expected:
            return "Intervals and tests are being computed. They are here in a few minutes; load the page again then."
        return (
            "There are no intervals and no tests: nothing that they could be computed from is kept. Runs keep the "
            "values of each example; an imported board needs at least ten tasks."
        )
    if len(view.datasets) < len(board.columns):
        return "Means of a part of the datasets have no intervals and no tests: show all datasets to have them."
    return ""


def _facts(session: Session, view: BoardView) -> dict[str, str]:
    board, certainty = view.board, view.board.certainty
    found = {
        "Board": board.name,
        "Models": _of(len(view.order), len(board.models)),
        "Datasets": _of(len(view.datasets), len(board.columns)),
        "Last result": f"{board.last_result:%Y-%m-%d %H:%M} UTC" if board.last_result else "none",
    }
    if certainty is not None:
        found |= {
            "Intervals": "95%, percentile bootstrap over tasks"
            if certainty.by_task
            else "95%, percentile bootstrap over examples, Student's for few",
            "Tests": "Tukey's randomised test, studentised (max T), two-sided, all pairs of "
            f"{len(board.models):,} models, p < {SIGNIFICANT}",
            "Correction": "for all pairs; the mean and each dataset are families of their own",
            "Resamples": f"{certainty.resamples:,}",
            "Seed": str(certainty.seed),
        }
    versions = {"Touchstone": __version__, "rules of mteb": MTEB_RULES, **_libraries(session, view)}
    return {**found, "Versions": ", ".join(f"{name} {version}" for name, version in versions.items())}


def _libraries(session: Session, view: BoardView) -> dict[str, str]:
    """What the runs were computed with; a library that differs between them is called so."""
    runs = view.board.run_ids[np.ix_(view.models, view.datasets)]
    found: dict[str, set[str]] = {}
    for some in in_parts(runs[runs > 0].tolist()):
        for provenance in session.scalars(select(Run.provenance).where(Run.id.in_(some))):
            for name, version in ((provenance or {}).get("versions") or {}).items():
                found.setdefault(str(name), set()).add(str(version))
    return {name: versions.pop() if len(versions) == 1 else "(several)" for name, versions in sorted(found.items())}


def _of(shown: int, there: int) -> str:
    return f"{shown:,}" if shown == there else f"{shown:,} of {there:,}"


def ends_text(ends: Ends | None) -> str:
    """An interval times 100, "" for none."""
    return "" if ends is None or math.isnan(ends[0]) else f"{ends[0] * 100:.2f} to {ends[1] * 100:.2f}"


def ranks_text(ends: Ends | None) -> str:
    """Such as "2 to 5"; one rank alone is itself."""
    return "" if ends is None else f"{ends[0]:.0f}" if ends[0] == ends[1] else f"{ends[0]:.0f} to {ends[1]:.0f}"
