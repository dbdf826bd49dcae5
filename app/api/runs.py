"""/api/v1/runs: read the queue and results; admins queue, cancel and try again."""

from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from app.api.shared import FailureOut
from app.db.queries import runs as queries
from app.db.tables import JobState, Role
from app.errors import NotFound
from app.http.access import Admin, Viewer
from app.http.dependencies import ReadSession, RowId, WriteSession
from app.http.pagination import SIZE, Listing, Paging
from app.services import runs
from app.services.accounts import Person
from app.services.repeats import TOLERANCE, repeat_of

router = APIRouter(prefix="/runs", tags=["runs"])

Ids = Annotated[list[Annotated[int, Field(ge=1, le=2**31 - 1)]], Field(max_length=1000)]
PerPage = Annotated[int, Query(ge=1, le=200)]
Slugs = Annotated[list[str], Field(max_length=1000)]


class RunOut(BaseModel):
    """A run of one model on one dataset revision."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    state: JobState
    model_id: int
    model_name: str
    variant: str
    dataset_slug: str
    dataset_name: str
    task_type: str
    position: int | None = Field(description="Place in the queue, from 1")
    stage: str | None
    done: int = Field(description="Steps of the stage that are done, texts mostly")
    total: int
    texts_per_second: float | None
    seconds_left: float | None
    worker: str | None
    device: str | None
    attempt: int
    cancel_requested: bool
    main_metric: str
    main_score: float | None
    failure_code: str | None
    failure: FailureOut | None = Field(description="Why it failed")
    newer_id: int | None = Field(description="The latest later run of the same model on the same texts")
    queued_by: str
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None


class ScoreOut(BaseModel):
    """One metric of one (split, subset)."""

    split: str
    subset: str
    metric: str
    value: float
    low: float | None = Field(None, description="Of the 95% interval of the main metric")
    high: float | None = None
    n: int | None = Field(None, description="From so many examples; of clustering, draws")


class ChangeOut(BaseModel):
    """What was otherwise in the earlier run; both empty where only the fact of a change is told."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    before: str
    after: str


class RepeatOut(BaseModel):
    """The run beside the last finished one before it, of the same model on the same texts."""

    model_config = ConfigDict(from_attributes=True)

    run_id: int = Field(description="The earlier run")
    before: float
    after: float
    difference: float
    differs: bool = Field(description=f"Whether by more than {TOLERANCE}")
    fresh: bool = Field(description="Whether the later one encoded every text anew")
    changes: list[ChangeOut]


class RunDetailOut(RunOut):
    """Everything about a run. Encoded texts and the log are for members and admins."""

    dataset_revision: str
    main_low: float | None = Field(description="Of the 95% interval of the main score")
    main_high: float | None
    main_n: int | None = Field(description="From so many examples; of clustering, draws")
    provenance: dict[str, Any] | None
    scores: list[ScoreOut]
    repeat: RepeatOut | None
    log: str | None


class RunsOut(BaseModel):
    """A page of runs."""

    items: list[RunOut]
    total: int
    next: str | None = Field(description="The address of the next page")


class RunsIn(BaseModel):
    """Models and datasets; every model runs on the newest revision of every dataset."""

    model_config = ConfigDict(extra="forbid")

    models: Ids
    datasets: Slugs
    again: bool = Field(False, description="Also what has a result already")


class QueuedOut(BaseModel):
    """What became of it."""

    runs: list[int] = Field(description="The runs that were queued")
    already_done: int
    already_open: int


@router.get("", response_model=RunsOut)
def get_runs(
    _viewer: Viewer,
    session: ReadSession,
    paging: Paging,
    *,
    state: JobState | None = None,
    model: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="A model's id")] = None,
    dataset: Annotated[str, Query(description="A dataset's slug")] = "",
    per_page: PerPage = SIZE,
) -> Any:
    """Runs: a queued or running state in the order of the queue, everything else with the newest first."""
    only = queries.RunFilter(state, model, dataset)
    counts = queries.count_by_state(session, only)
    total = sum(counts.values()) if state is None else counts[state]
    asked = replace(paging, size=per_page)
    rows = queries.list_runs(session, only, state, asked.size, asked.offset)
    return {"items": rows, "total": total, "next": Listing(rows, total, asked).next}


@router.post("", response_model=QueuedOut, status_code=202)
def post_runs(admin: Admin, session: WriteSession, body: RunsIn) -> Any:
    """Queue models on datasets."""
    datasets = runs.ids_of_slugs(session, body.datasets)
    queued = runs.queue_product(session, admin, model_ids=body.models, dataset_ids=datasets, again=body.again)
    return QueuedOut(runs=list(queued.run_ids), already_done=queued.already_done, already_open=queued.already_open)


@router.get("/{run_id}", response_model=RunDetailOut)
def get_run(viewer: Viewer, session: ReadSession, run_id: RowId) -> Any:
    """One run with its scores and its provenance."""
    return _load(session, run_id, viewer)


@router.post("/{run_id}/cancel", response_model=RunDetailOut, status_code=202)
def post_cancel(admin: Admin, session: WriteSession, run_id: RowId) -> Any:
    """Cancel what waits; ask the worker to stop what runs."""
    runs.cancel(session, admin, run_id)
    return _load(session, run_id, admin)


@router.post("/{run_id}/retry", response_model=RunDetailOut, status_code=202)
def post_retry(admin: Admin, session: WriteSession, run_id: RowId) -> Any:
    """Queue what failed or was cancelled again, as the run that is answered."""
    return _load(session, runs.retry(session, admin, run_id), admin)


@router.post("/{run_id}/repeat", response_model=RunDetailOut, status_code=202)
def post_repeat(admin: Admin, session: WriteSession, run_id: RowId) -> Any:
    """Queue what is finished again, with every text encoded anew, as the run that is answered."""
    return _load(session, runs.repeat(session, admin, run_id), admin)


def _load(session: Session, run_id: int, reader: Person) -> RunDetailOut:
    run = queries.load_run(session, run_id)
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    table = queries.load_scores(session, run)
    scores = [
        ScoreOut(split=split, subset=subset, metric=row.metric, value=value, **_ends(table, row, (split, subset)))
        for row in table.rows
        for (split, subset), value in zip(table.cells, row.values, strict=True)
        if value is not None
    ]
    repeated = repeat_of(session, run_id)
    sees_texts = reader.can(Role.MEMBER)
    hidden = () if sees_texts else ("prompts",)
    provenance = {name: value for name, value in (run.provenance or {}).items() if name not in hidden}
    return RunDetailOut(
        **RunOut.model_validate(run).model_dump(),
        dataset_revision=run.dataset_revision,
        main_low=run.main_low,
        main_high=run.main_high,
        main_n=run.main_n,
        provenance=provenance or None,
        scores=scores,
        repeat=RepeatOut.model_validate(repeated) if repeated else None,
        log=run.log if sees_texts else None,
    )


def _ends(table: queries.ScoreTable, row: queries.MetricRow, cell: tuple[str, str]) -> dict[str, Any]:
    interval = table.intervals.get(cell) if row.is_main else None
    return asdict(interval) if interval else {}
