"""/api/v1/datasets and /api/v1/uploads: read datasets; members send files, read their reports and publish them."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy.orm import Session

from app.api.shared import FailureOut
from app.core.aggregation import Cell
from app.core.significance import MARGIN
from app.core.task_types import task_type
from app.db.queries.dataset_scores import scores_of
from app.db.queries.datasets import DatasetRow, find_dataset, list_datasets, revisions_of
from app.db.tables import JobState, Upload
from app.errors import NotFound
from app.http.access import Member, Viewer
from app.http.dependencies import AppSettings, ReadSession, RowId, WriteSession
from app.http.uploads import Received
from app.services import datasets
from app.storage.blobs import BlobStore

router = APIRouter(tags=["datasets"])

_TEXT_FIELDS = {
    "name": "What people read on the board",
    "task_type": "Such as STS",
    "languages": "Such as eng-Latn, deu-Latn",
    "description": "What the texts are",
    "splits": "Those to score, with commas between; when empty test, or the only one of validation and dev",
    "ignore_identical_ids": "true: a document with the query's own id is left out; for retrieval and reranking",
    "cluster_sets": "Cut the rows into so many sets, each clustered as a whole; for Clustering",
    "dataset": "Slug of the dataset this is a new revision of; name, task type, languages and description are "
    "then its own, and the scoring options those of the revision before unless they are given",
}
_UPLOAD_SCHEMA = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        **{name: {"type": "string", "description": text} for name, text in _TEXT_FIELDS.items()},
    },
}
_UPLOAD_BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _UPLOAD_SCHEMA}}}}


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class BoardRef(_Out):
    """A board that a dataset is on."""

    slug: str
    name: str


class WarningOut(_Out):
    """Something odd that was accepted."""

    code: str
    message: str
    count: int


class ProblemOut(_Out):
    """A fault of a file and its place."""

    code: str
    message: str
    file: str
    row: int | None = Field(description="From 1, the header being row 1; the line of JSON Lines; the record of Parquet")
    column: str
    excerpt: str


class DatasetOut(_Out):
    """A dataset at its newest revision."""

    slug: str
    name: str
    task_type: str
    languages: list[str]
    description: str
    owner: str
    revision: str = Field(description="40 hexadecimal digits, the hash of its content")
    counts: dict[str, int]
    published_at: AwareDatetime
    results: int = Field(description="Models with a finished run on this revision")
    choices: dict[str, Any] = Field(description="Scoring options of this revision: those that were chosen")
    boards: list[BoardRef]


class MarginChange(BaseModel):
    """How far apart two scores may be and still be practically equal."""

    model_config = ConfigDict(extra="forbid")

    margin: Annotated[float, Field(ge=0, le=1, strict=True)] | None = Field(
        description=f"On the metric's scale, 0 to 1: 0.015 is one point and a half; null for the usual {MARGIN}"
    )


class MarginOut(_Out):
    """The margin of a dataset."""

    slug: str
    margin: float = Field(description="That counts: the dataset's own, else the usual one")


class RevisionOut(_Out):
    """A content of a dataset."""

    revision: str
    file_name: str
    file_sha256: str
    counts: dict[str, int]
    warnings: int
    created_by: str
    created_at: AwareDatetime
    results: int


class CellOut(BaseModel):
    """The main metric on a part of a dataset."""

    split: str
    subset: str
    score: float = Field(description="On the metric's own scale, most 0 to 1")


def _cells(cells: Mapping[Cell, float]) -> list[CellOut]:
    return [CellOut(split=split, subset=subset, score=score) for (split, subset), score in cells.items()]


class ScoreOut(_Out):
    """A model on the newest revision; rank and score are null without a complete result."""

    model: str
    variant: str
    rank: int | None
    score: float | None = Field(description="The main metric on its own scale, most 0 to 1")
    cells: Annotated[list[CellOut], BeforeValidator(_cells)] = Field(
        description="By split and subset; the score is their mean for a model that has them all"
    )
    run_id: int
    state: JobState = Field(description="State of the model's newest run")
    finished_at: AwareDatetime | None


class DatasetDetail(DatasetOut):
    """A dataset with its revisions and scores."""

    main_metric: str
    warnings: list[WarningOut]
    revisions: list[RevisionOut]
    scores: list[ScoreOut]


class ReportOut(_Out):
    """What the validation found; `status` is the HTTP status that the file deserves."""

    ok: bool
    status: int
    revision: str
    counts: dict[str, int]
    warnings: list[WarningOut]
    problems: list[ProblemOut] = Field(description="The first 50")
    total_problems: int
    preview: list[dict[str, Any]] = Field(description="The first records of each kind, texts shortened")


class UploadOut(_Out):
    """An upload: how far its validation is, and its report."""

    id: int
    name: str
    task_type: str
    languages: list[str]
    description: str
    choices: dict[str, Any] = Field(description="Scoring options that were chosen")
    file_name: str
    file_bytes: int
    file_sha256: str
    state: JobState = Field(description="State of the validation; done does not mean that the file is well")
    done: int
    total: int
    failure: FailureOut | None = Field(description="Why the validation could not be finished")
    report: ReportOut | None
    published: bool
    created_at: AwareDatetime
    url: str = Field(description="Where to ask again")


class Publication(BaseModel):
    """What to do besides publishing."""

    model_config = ConfigDict(extra="forbid")

    board: str | None = Field(None, description="Slug of a board to add the dataset to")


@router.get("/datasets", response_model=list[DatasetOut])
def get_datasets(
    _viewer: Viewer, session: ReadSession, kind: Annotated[str, Query(alias="type")] = "", q: str = ""
) -> Any:
    """Every dataset by name; of one task type, or with `q` in the name."""
    return list_datasets(session, kind=kind, text=q)


@router.get("/datasets/{slug}", response_model=DatasetDetail)
def get_dataset(_viewer: Viewer, session: ReadSession, slug: str) -> Any:
    """One dataset with its revisions and every model's score."""
    dataset = _found(session, slug)
    return {
        **DatasetOut.model_validate(dataset).model_dump(),
        "main_metric": task_type(dataset.task_type).main_metric,
        "warnings": dataset.warnings,
        "revisions": revisions_of(session, dataset.id),
        "scores": scores_of(session, dataset),
    }


@router.post("/datasets", response_model=UploadOut, status_code=202, openapi_extra=_UPLOAD_BODY)
def post_dataset(response: Response, person: Member, submission: Received, session: WriteSession) -> Any:
    """Send a file as `multipart/form-data`; its validation is queued, and `url` tells when it is done."""
    upload = datasets.accept(session, person, submission.form, submission.file, file_name=submission.file_name)
    shown = _shown(upload)
    response.headers["Location"] = shown["url"]
    return shown


@router.patch("/datasets/{slug}", response_model=MarginOut)
def patch_dataset(person: Member, session: WriteSession, slug: str, body: MarginChange) -> Any:
    """Change what counts as practically equal on a dataset; for its owner and for admins."""
    found = datasets.revisable(session, person, slug)
    changed = datasets.describe(
        session, person, slug, languages=found.languages, description=found.description, margin=body.margin
    )
    return {"slug": slug, "margin": MARGIN if changed.margin is None else changed.margin}


@router.get("/uploads/{upload_id}", response_model=UploadOut)
def get_upload(person: Member, session: ReadSession, upload_id: RowId) -> Any:
    """State, progress and report of one of one's own uploads; admins see every one."""
    return _shown(datasets.own_upload(session, person, upload_id))


@router.post("/uploads/{upload_id}/publish", response_model=DatasetOut, status_code=201)
def publish_upload(
    response: Response, person: Member, session: WriteSession, upload_id: RowId, body: Publication | None = None
) -> Any:
    """Make a validated upload a dataset or a new revision of one."""
    board = body.board if body else None
    dataset = datasets.publish(session, person, upload_id, benchmark_slug=board)
    session.flush()
    response.headers["Location"] = f"/api/v1/datasets/{quote(dataset.slug)}"
    return _found(session, dataset.slug)


@router.delete("/uploads/{upload_id}", status_code=204)
def delete_upload(person: Member, session: WriteSession, settings: AppSettings, upload_id: RowId) -> None:
    """Forget an upload that is not published, and its file."""
    datasets.discard(session, BlobStore(settings.blobs_dir), person, upload_id)


def _found(session: Session, slug: str) -> DatasetRow:
    dataset = find_dataset(session, slug)
    if dataset is None:
        raise NotFound(f"There is no dataset {slug!r}.")
    return dataset


def _shown(upload: Upload) -> dict[str, Any]:
    names = UploadOut.model_fields.keys() - {"published", "url"}
    return {
        **{name: getattr(upload, name) for name in names},
        "published": upload.published_revision_id is not None,
        "url": f"/api/v1/uploads/{upload.id}",
    }
