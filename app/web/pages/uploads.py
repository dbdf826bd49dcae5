"""Uploads: the form, the examples beside it, and the report with its one button."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request, Response
from sqlalchemy.orm import Session

from app.core.task_types import SCORED, TASK_TYPES, TaskType
from app.db.queries.datasets import BoardLink, board_links, counts_text
from app.db.tables import Dataset, JobState, Role, Upload
from app.errors import AppError, Conflict, Invalid, NotFound
from app.http.access import Member
from app.http.dependencies import AppSettings, ReadSession, RowId, WriteSession
from app.http.uploads import Received, Submission
from app.services import datasets, demo
from app.services.accounts import Person
from app.storage.blobs import BlobStore
from app.web.flash import redirect
from app.web.forms import Form as ShownForm
from app.web.forms import rejected
from app.web.record_tables import RecordTable, record_tables
from app.web.templating import page

router = APIRouter()
Text = Annotated[str, Form()]

NO_BOARD = ""
ENDINGS = ".zip,.csv,.tsv,.jsonl,.ndjson,.parquet"
_CONTENT_TYPES = {
    "zip": "application/zip",
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
}
_FIELDS = ("name", "task_type", "languages", "description")


@dataclass(frozen=True, slots=True)
class Example:
    """A file to imitate: what it is for, and the formats that hold the same."""

    file_name: str
    task_type: TaskType
    formats: str


@dataclass(frozen=True, slots=True)
class NewPage:
    """What /datasets/new shows. `dataset` is set for a new revision, `former` for an upload that is sent again."""

    form: ShownForm
    max_bytes: int
    dataset: Dataset | None = None
    former: int | None = None
    conflict: str | None = None
    """The slug of the dataset that is this very file."""
    examples: tuple[Example, ...] = ()
    endings: str = ENDINGS
    language_help: str = datasets.LANGUAGE_HELP
    name_length: int = datasets.NAME_LENGTH
    description_length: int = datasets.DESCRIPTION_LENGTH

    @property
    def type_options(self) -> list[tuple[str, str]]:
        """Value and label of each choice, those that can be scored first."""
        kinds = sorted(TASK_TYPES.values(), key=lambda kind: not kind.scored)
        labels = [(kind.name, kind.title + ("" if kind.scored else " (not scored yet)")) for kind in kinds]
        return [("", "Choose one"), *labels]


@dataclass(frozen=True, slots=True)
class Report:
    """What the validation found."""

    ok: bool
    status: int
    counts: str
    revision: str
    warnings: tuple[Mapping[str, Any], ...]
    problems: tuple[Mapping[str, Any], ...]
    total_problems: int
    preview: tuple[RecordTable, ...]


@dataclass(frozen=True, slots=True)
class UploadPage:
    """What /datasets/uploads/{id} shows, and its partial while the validation goes on."""

    upload: Upload
    report: Report | None
    dataset: Dataset | None
    boards: tuple[BoardLink, ...] = ()

    @property
    def board(self) -> str:
        """The board that is chosen at first: the default one; none for a revision, which stays where it is."""
        return next((board.slug for board in self.boards if board.is_default and not self.dataset), NO_BOARD)

    @property
    def board_options(self) -> list[tuple[str, str]]:
        """Value and label of each choice."""
        none = "No further board" if self.dataset else "No board"
        return [(NO_BOARD, none), *((board.slug, board.name) for board in self.boards)]

    @property
    def is_open(self) -> bool:
        """Whether the validation waits or works."""
        return self.upload.state in {JobState.QUEUED, JobState.RUNNING}

    @property
    def is_published(self) -> bool:
        """Whether it is a revision already."""
        return self.upload.published_revision_id is not None

    @property
    def fault_of_ours(self) -> bool:
        """Whether the validation failed for a reason that is not in the file."""
        return self.report is not None and self.report.status >= 500


@router.get("/datasets/examples/{file_name}")
def example(_person: Member, file_name: str) -> Response:
    """A demo file, to download and imitate."""
    if file_name not in demo.DATASETS:
        raise NotFound(f"There is no example {file_name!r}. The upload page lists them.")
    try:
        content = demo.file_bytes(file_name)
    except FileNotFoundError as error:
        raise NotFound("The examples are not installed on this server.") from error
    headers = {"Content-Disposition": f'attachment; filename="{file_name}"'}
    return Response(content, media_type=_CONTENT_TYPES[file_name.rpartition(".")[2]], headers=headers)


@router.get("/datasets/new")
def new_form(
    request: Request,
    person: Member,
    session: ReadSession,
    settings: AppSettings,
    *,
    upload: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    dataset: str = "",
) -> Response:
    """The form: empty, for a new revision of `dataset`, or with what was said about a former upload."""
    former = datasets.own_upload(session, person, upload) if upload else None
    revised = datasets.revisable(session, person, dataset) if dataset else None
    if former and former.dataset_id is not None:
        revised = session.get_one(Dataset, former.dataset_id)
    values: dict[str, str] = {}
    if former:
        values = {name: getattr(former, name) for name in _FIELDS}
        values["languages"] = ", ".join(former.languages)
    context = NewPage(
        ShownForm(values), settings.upload_max_bytes, revised, former.id if former else None, examples=_examples()
    )
    return page(request, "datasets/new.html", context)


@router.post("/datasets/new")
def send(
    request: Request, person: Member, submission: Received, session: WriteSession, settings: AppSettings
) -> Response:
    """Take the file in and queue its validation; a refused form comes back with what was typed."""
    former = _former(session, person, submission)
    try:
        upload = datasets.accept(session, person, submission.form, submission.file, file_name=submission.file_name)
    except (Invalid, Conflict) as error:
        context = _refused(session, submission, error, former, settings.upload_max_bytes)
        return page(request, "datasets/new.html", context, status=error.status)
    if former is not None:
        datasets.discard(session, BlobStore(settings.blobs_dir), person, former.id)
    return redirect(f"/datasets/uploads/{upload.id}")


@router.get("/datasets/uploads/{upload_id}")
def report(request: Request, person: Member, session: ReadSession, upload_id: RowId) -> Response:
    """How far the validation is, and then what it found."""
    upload = datasets.own_upload(session, person, upload_id)
    context = _upload_page(session, upload, person)
    return page(request, "datasets/upload.html", context, partial="datasets/_upload.html")


@router.post("/datasets/uploads/{upload_id}/publish")
def publish(person: Member, session: WriteSession, upload_id: RowId, board: Text = NO_BOARD) -> Response:
    """Make it a dataset, and a column of a board if one was chosen."""
    try:
        dataset = datasets.publish(session, person, upload_id, benchmark_slug=board or None)
    except Conflict as error:
        return redirect(f"/datasets/uploads/{upload_id}", error.message, "fail")
    return redirect(f"/datasets/{quote(dataset.slug)}", f"Published “{dataset.name}”.")


@router.post("/datasets/uploads/{upload_id}/again")
def validate_again(person: Member, session: WriteSession, upload_id: RowId) -> Response:
    """Queue a validation that failed."""
    datasets.validate_again(session, person, upload_id)
    return redirect(f"/datasets/uploads/{upload_id}")


@router.post("/datasets/uploads/{upload_id}/discard")
def discard(person: Member, session: WriteSession, settings: AppSettings, upload_id: RowId) -> Response:
    """Forget an upload that is not published."""
    datasets.discard(session, BlobStore(settings.blobs_dir), person, upload_id)
    return redirect("/datasets", "Discarded the upload; its file is deleted.")


def _examples() -> tuple[Example, ...]:
    formats = {
        "Retrieval": "A zip of these three files",
        "STS": "CSV, TSV, JSONL, Parquet; or a zip of CSV, TSV or JSONL files",
        "Classification": "CSV, TSV, JSONL, Parquet; or a zip of train and test files",
    }
    files = {form.task_type: file_name for file_name, form in demo.DATASETS.items()}
    return tuple(Example(files[kind.name], kind, formats[kind.name]) for kind in SCORED if kind.name in files)


def _former(session: Session, person: Person, submission: Submission) -> Upload | None:
    """The refused upload that this one stands in for; None when there is none to take away."""
    number = submission.text("upload")
    if not number.isdecimal() or len(number) > 9:
        return None
    upload = session.get(Upload, int(number))
    if upload is None or upload.owner_id != person.id or upload.published_revision_id is not None:
        return None
    return None if upload.state in {JobState.QUEUED, JobState.RUNNING} or (upload.report or {}).get("ok") else upload


def _refused(
    session: Session, submission: Submission, error: AppError, former: Upload | None, max_bytes: int
) -> NewPage:
    slug = submission.form.dataset_slug
    return NewPage(
        rejected(error, **{name: submission.text(name) for name in _FIELDS}),
        max_bytes,
        datasets.by_slug(session, slug) if slug else None,
        former.id if former else None,
        conflict=error.details.get("dataset"),
        examples=_examples(),
    )


def _upload_page(session: Session, upload: Upload, person: Person) -> UploadPage:
    dataset = session.get_one(Dataset, upload.dataset_id) if upload.dataset_id is not None else None
    boards = board_links(session) if upload.state == JobState.DONE and person.can(Role.ADMIN) else ()
    return UploadPage(upload, _report(upload.report), dataset, boards)


def _report(found: Mapping[str, Any] | None) -> Report | None:
    if found is None:
        return None
    return Report(
        ok=found["ok"],
        status=found["status"],
        counts=counts_text(found["counts"]),
        revision=found["revision"],
        warnings=tuple(found["warnings"]),
        problems=tuple(found["problems"]),
        total_problems=found["total_problems"],
        preview=record_tables(found["preview"]),
    )
