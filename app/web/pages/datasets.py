"""The datasets: all of them, the tabs of one, and the form that describes it. Uploads have their own module."""

import math
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Query, Request, Response
from sqlalchemy.orm import Session

from app.core.aggregation import RANK_DIGITS, Cell
from app.core.formats import canonical
from app.core.significance import MARGIN, Interval
from app.core.task_types import TASK_TYPES, TaskType
from app.db.queries.dataset_scores import OlderRow, ScoreRow, older_scores, scores_of
from app.db.queries.datasets import (
    DatasetRow,
    RevisionRow,
    UploadRow,
    find_dataset,
    list_datasets,
    revisions_of,
    totals,
    waiting_uploads,
)
from app.db.tables import Role
from app.errors import Invalid, NotFound
from app.http.access import Member, Viewer
from app.http.dependencies import AppSettings, ReadSession, WriteSession
from app.services import choices, datasets
from app.services.accounts import Person
from app.services.table_columns import half_width, interval_text
from app.storage.blobs import BlobStore
from app.web.board_table import HEAT_LEVELS
from app.web.flash import redirect
from app.web.forms import Form as ShownForm
from app.web.forms import rejected
from app.web.pages import uploads
from app.web.record_tables import RecordTable, record_tables
from app.web.templating import page

router = APIRouter(include_in_schema=False)
router.include_router(uploads.router)  # first: "new" is no dataset
Text = Annotated[str, Form()]

ROWS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Filter:
    """Which datasets are asked for; "" for any."""

    task_type: str = ""
    text: str = ""

    def url(self, **change: str) -> str:
        """The address of the list under a changed filter."""
        values = {"type": self.task_type, "q": self.text, **change}
        query = urlencode({name: value for name, value in values.items() if value})
        return f"/datasets?{query}" if query else "/datasets"


@dataclass(frozen=True, slots=True)
class DatasetsPage:
    """What /datasets shows; `waiting` are the person's own uploads, `total` counts beyond the filter."""

    total: int
    newest: datetime | None
    datasets: tuple[DatasetRow, ...]
    waiting: tuple[UploadRow, ...]
    filter: Filter
    may_upload: bool

    @property
    def type_options(self) -> list[tuple[str, str]]:
        """Value and label of each choice."""
        return [("", "Every task type"), *((kind.name, kind.title) for kind in TASK_TYPES.values())]


@dataclass(frozen=True, slots=True)
class Frame:
    """What every tab of a dataset shows."""

    dataset: DatasetRow
    task_type: TaskType
    tabs: tuple[tuple[str, str, bool], ...]
    may_change: bool

    @property
    def choices(self) -> tuple[tuple[str, str], ...]:
        """Label and text of each scoring option that was chosen."""
        return choices.in_words(self.dataset.choices)


@dataclass(frozen=True)
class ScoreColumn:
    """A column of the table of scores; `values` are of its rows, `unit` is the quiet second line of the head."""

    label: str
    unit: str
    help: str
    values: tuple[float | None, ...]
    intervals: tuple[Interval | None, ...]

    def note(self, row: int) -> str:
        """Half of the interval's width, "" where it is not known."""
        known = self.intervals[row]
        return half_width((known.low, known.high)) if known else ""

    def title(self, row: int) -> str:
        """The interval in words, "" where it is not known."""
        known = self.intervals[row]
        return interval_text(known) if known else ""

    @cached_property
    def _range(self) -> tuple[float, float]:
        known = [value for value in self.values if value is not None]
        return min(known, default=0.0), max(known, default=0.0)

    def is_best(self, row: int) -> bool:
        """Whether no value is higher, and some are lower."""
        value, (low, high) = self.values[row], self._range
        return value is not None and low < high and round(value, RANK_DIGITS) == round(high, RANK_DIGITS)

    def heat(self, row: int) -> int | None:
        """How strong the tint of a value is, as on a board; None for none."""
        value, (low, high) = self.values[row], self._range
        if value is None or low == high:
            return None
        return min(int((value - low) / (high - low) * HEAT_LEVELS), HEAT_LEVELS - 1)


@dataclass(frozen=True, slots=True)
class ScoresPage:
    """Every model on the newest revision: the score, then a column a cell if there are several; and older results."""

    frame: Frame
    scores: tuple[ScoreRow, ...]
    columns: tuple[ScoreColumn, ...]
    older: tuple[OlderRow, ...]


@dataclass(frozen=True, slots=True)
class RowsPage:
    """The first rows of the newest revision; `problem` when its file cannot be read."""

    frame: Frame
    tables: tuple[RecordTable, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class RevisionsPage:
    """Every revision."""

    frame: Frame
    revisions: tuple[RevisionRow, ...]


@dataclass(frozen=True, slots=True)
class ReportPage:
    """What was odd about the newest revision."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class EditPage:
    """The form that describes a dataset."""

    dataset: DatasetRow
    form: ShownForm = field(default_factory=ShownForm)
    language_help: str = datasets.LANGUAGE_HELP
    usual_margin: float = MARGIN


@router.get("/datasets")
def all_datasets(
    request: Request,
    person: Viewer,
    session: ReadSession,
    task_type: Annotated[str, Query(alias="type")] = "",
    q: str = "",
) -> Response:
    """All datasets, of a task type or with a word in the name; above them what waits for this person."""
    wanted = Filter(task_type, q.strip())
    may_upload = person.can(Role.MEMBER)
    total, newest = totals(session)
    context = DatasetsPage(
        total=total,
        newest=newest,
        datasets=list_datasets(session, kind=wanted.task_type, text=wanted.text),
        waiting=waiting_uploads(session, person.id) if may_upload else (),
        filter=wanted,
        may_upload=may_upload,
    )
    return page(request, "datasets/list.html", context, partial="datasets/_table.html")


@router.get("/datasets/{slug}")
def dataset_scores(request: Request, person: Viewer, session: ReadSession, slug: str) -> Response:
    """Every model's scores on the newest revision, and what is only on older ones."""
    frame = _frame(session, person, slug, "")
    scores = scores_of(session, frame.dataset)
    columns = _score_columns(scores, frame.task_type.main_metric)
    older = older_scores(session, frame.dataset)
    return page(request, "datasets/scores.html", ScoresPage(frame, scores, columns, older))


@router.get("/datasets/{slug}/rows")
def dataset_rows(request: Request, person: Member, session: ReadSession, settings: AppSettings, slug: str) -> Response:
    """The first rows; for members, because they are the raw texts."""
    frame = _frame(session, person, slug, "rows")
    path = BlobStore(settings.blobs_dir).path(frame.dataset.canonical_sha256)
    tables: tuple[RecordTable, ...] = ()
    problem = ""
    try:
        tables = record_tables(canonical.sample(path, ROWS_SHOWN))
    except FileNotFoundError:
        problem = "The file of this revision is not in this server's data folder. Restore it from a backup."
    except canonical.CorruptDataset:
        problem = "The file of this revision is damaged. Restore it from a backup."
    return page(request, "datasets/rows.html", RowsPage(frame, tables, problem))


@router.get("/datasets/{slug}/revisions")
def dataset_revisions(request: Request, person: Viewer, session: ReadSession, slug: str) -> Response:
    """Every revision, the newest first."""
    frame = _frame(session, person, slug, "revisions")
    return page(request, "datasets/revisions.html", RevisionsPage(frame, revisions_of(session, frame.dataset.id)))


@router.get("/datasets/{slug}/report")
def dataset_report(request: Request, person: Viewer, session: ReadSession, slug: str) -> Response:
    """What was odd about the newest revision."""
    return page(request, "datasets/report.html", ReportPage(_frame(session, person, slug, "report")))


@router.get("/datasets/{slug}/edit")
def edit_form(request: Request, person: Member, session: ReadSession, slug: str) -> Response:
    """The form for languages, description and margin."""
    margin = datasets.revisable(session, person, slug).margin
    dataset = _found(session, slug)
    points = "" if margin is None else f"{margin * 100:.10g}"
    values = {"languages": ", ".join(dataset.languages), "description": dataset.description, "margin": points}
    return page(request, "datasets/edit.html", EditPage(dataset, ShownForm(values)))


@router.post("/datasets/{slug}/edit")
def edit(
    request: Request,
    person: Member,
    session: WriteSession,
    slug: str,
    *,
    languages: Text = "",
    description: Text = "",
    margin: Text = "",
) -> Response:
    """Change languages, description and margin."""
    codes = datasets.parse_languages(languages)
    try:
        dataset = datasets.describe(
            session, person, slug, languages=codes, description=description, margin=_share(margin)
        )
    except Invalid as error:
        form = rejected(error, languages=languages, description=description, margin=margin)
        return page(request, "datasets/edit.html", EditPage(_found(session, slug), form), status=error.status)
    return redirect(f"/datasets/{quote(slug)}", f"Saved “{dataset.name}”.")


def _share(points: str) -> float | None:
    """Points of a hundred as typed: "1.5" -> 0.015; None for nothing, NaN for what is no number."""
    if not points.strip():
        return None
    try:
        return float(points.replace(",", ".")) / 100
    except ValueError:
        return math.nan


def _score_columns(scores: tuple[ScoreRow, ...], metric: str) -> tuple[ScoreColumn, ...]:
    """The score, then the cells by split and subset; what is the same for all of them is the second line."""
    whole = ScoreColumn(
        "Score",
        metric,
        f"The main metric, {metric}, times 100; the mean over the dataset's parts. Higher is better.",
        tuple(row.score for row in scores),
        tuple(row.interval for row in scores),
    )
    cells = sorted({cell for row in scores for cell in row.cells})
    one_subset = len({subset for _, subset in cells}) == 1
    return (whole,) if len(cells) < 2 else (whole, *(_cell_column(scores, cell, metric, one_subset) for cell in cells))


def _cell_column(scores: tuple[ScoreRow, ...], cell: Cell, metric: str, by_split: bool) -> ScoreColumn:
    split, subset = cell
    label, unit = (split, subset) if by_split else (subset, split)
    return ScoreColumn(
        label,
        "" if unit == "default" else unit,
        f"{metric} on the split {split}, subset {subset}, times 100.",
        tuple(row.cells.get(cell) for row in scores),
        tuple(row.intervals.get(cell) for row in scores),
    )


def _found(session: Session, slug: str) -> DatasetRow:
    dataset = find_dataset(session, slug)
    if dataset is None:
        raise NotFound(f"There is no dataset {slug!r}. See all datasets for those there are.")
    return dataset


def _frame(session: Session, person: Person, slug: str, tab: str) -> Frame:
    dataset = _found(session, slug)
    names = ["", "rows", "revisions", "report"] if person.can(Role.MEMBER) else ["", "revisions", "report"]
    address = f"/datasets/{quote(slug)}"
    return Frame(
        dataset=dataset,
        task_type=TASK_TYPES[dataset.task_type],
        tabs=tuple(
            (name.capitalize() or "Scores", f"{address}/{name}" if name else address, name == tab) for name in names
        ),
        may_change=datasets.may_change(person, dataset.owner_id),
    )
