"""Uploads: the form, the examples beside it, and the report with its one button."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request, Response
from sqlalchemy.orm import Session

from app.core.task_types import RETRIEVAL_FAMILY, TASK_TYPES, TaskType
from app.db.queries.datasets import BoardLink, board_links, counts_text
from app.db.tables import Dataset, JobState, Role, Upload
from app.errors import AppError, Conflict, Invalid, NotFound
from app.http.access import Member
from app.http.dependencies import AppSettings, ReadSession, RowId, WriteSession
from app.http.uploads import Received, Submission
from app.services import choices, datasets, demo
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
    "tsv": "text/tab-separated-values; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
_FIELDS = ("name", "task_type", "languages", "description")


@dataclass(frozen=True, slots=True)
class Layout:
    """How files of a task type look: in which formats, and one to imitate; "" where there is none."""

    task_type: TaskType
    formats: str
    example: str


@dataclass(frozen=True, slots=True)
class NewPage:
    """What /datasets/new shows. `dataset` is set for a new revision, `former` for an upload that is sent again."""

    form: ShownForm
    max_bytes: int
    dataset: Dataset | None = None
    former: int | None = None
    conflict: str | None = None
    """The slug of the dataset that is this very file."""
    endings: str = ENDINGS
    language_help: str = datasets.LANGUAGE_HELP
    name_length: int = datasets.NAME_LENGTH
    description_length: int = datasets.DESCRIPTION_LENGTH

    @property
    def kind(self) -> str:
        """The task type that is chosen, "" for none yet."""
        return self.dataset.task_type if self.dataset else str(self.form.value("task_type"))

    @property
    def type_options(self) -> list[tuple[str, str, str]]:
        """Value, label and class of each choice; the class says which scoring options belong to it."""
        kinds = ((kind.name, kind.title, _option_class(kind.name)) for kind in TASK_TYPES.values())
        return [("", "Choose one", ""), *kinds]

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """What the files look like: of every task type, or of the dataset's."""
        names = (self.dataset.task_type,) if self.dataset else TASK_TYPES
        examples = {form.task_type: file_name for file_name, form in demo.DATASETS.items()}
        return tuple(Layout(TASK_TYPES[name], _formats(TASK_TYPES[name]), examples.get(name, "")) for name in names)

    @property
    def option_class(self) -> str:
        """Which scoring options belong to the dataset's task type, as in `type_options`."""
        return _option_class(self.kind)

    @property
    def has_choices(self) -> bool:
        """Whether a scoring option was chosen already, or is wrong."""
        return any(self.form.value(name) not in {"", "0"} or self.form.error(name) for name in choices.USUAL)


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
    def choices(self) -> tuple[tuple[str, str], ...]:
        """Label and text of each scoring option that was chosen."""
        return choices.in_words(self.upload.choices)

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
    task_type: str = "",
) -> Response:
    """The form: empty, for a new revision of `dataset`, or with what was said about a former upload.

    `task_type` chooses one; its fragment says what files of that type look like.
    """
    former = datasets.own_upload(session, person, upload) if upload else None
    revised = datasets.revisable(session, person, dataset) if dataset else None
    if former and former.dataset_id is not None:
        revised = session.get_one(Dataset, former.dataset_id)
    values = {"task_type": task_type if task_type in TASK_TYPES else ""}
    if former:
        values = {name: getattr(former, name) for name in _FIELDS}
        values |= {"languages": ", ".join(former.languages), **choices.as_typed(former.choices)}
    elif revised:
        values |= choices.as_typed(datasets.choices_of(session, revised))
    context = NewPage(ShownForm(values), settings.upload_max_bytes, revised, former.id if former else None)
    return page(request, "datasets/new.html", context, partial="datasets/_formats.html")


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


def _option_class(kind: str) -> str:
    """Which scoring options there are for a task type, beside those for all."""
    if kind in RETRIEVAL_FAMILY:
        return "ranked"
    return "sets" if kind == "Clustering" else ""


def _formats(kind: TaskType) -> str:
    """In which formats a task type is read."""
    if any("." in field.name for field in kind.fields):
        return "A zip of these files"
    bundle = "of train and test files" if kind.learns else "of CSV, TSV or JSONL files"
    lists = any("a list" in field.help for field in kind.fields)
    return "".join(
        (
            "CSV, TSV, JSONL, Parquet; or a zip ",
            "in the BEIR layout" if kind.name in RETRIEVAL_FAMILY else bundle,
            '. In CSV and TSV a list is a JSON array: ["one", "two"]' if lists else "",
        )
    )


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
        rejected(error, **{name: submission.text(name) for name in (*_FIELDS, *choices.USUAL)}),
        max_bytes,
        datasets.by_slug(session, slug) if slug else None,
        former.id if former else None,
        conflict=error.details.get("dataset"),
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
