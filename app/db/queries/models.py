"""What the registry and the page of a model read."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, aliased

from app.core.units import short_count, vector_bytes
from app.db.imported_tables import ImportedModel
from app.db.queries.shared import newest_revisions
from app.db.tables import Benchmark, BenchmarkDataset, Dataset, DatasetRevision, JobState, Measurement, Model, Run, User

OPEN = (JobState.QUEUED, JobState.RUNNING)
NOT_READY = {
    JobState.QUEUED: "waits for its inspection",
    JobState.RUNNING: "is being inspected",
    JobState.FAILED: "its inspection failed",
    JobState.CANCELLED: "its inspection was cancelled",
}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A line of the registry. `twins`: another revision of this name and variant is registered."""

    id: int
    name: str
    variant: str
    revision: str
    loader: str
    source: str
    state: JobState
    parameters: int | None
    dimensions: int | None
    max_tokens: int | None
    memory_mb: float | None
    memory_dtype: str | None
    dtype: str
    precision: str
    licence: str | None
    languages: tuple[str, ...]
    failure: dict[str, Any] | None
    results: int
    twins: bool

    @property
    def href(self) -> str:
        """The address of its page, with this row chosen."""
        return f"/models/{self.name}?id={self.id}"

    @property
    def chips(self) -> tuple[str, ...]:
        """What tells it from other rows of the same name."""
        return model_chips(self.variant, self.revision, self.twins)

    @property
    def is_open(self) -> bool:
        """Whether its inspection waits or works."""
        return self.state in OPEN

    @property
    def reason(self) -> str:
        """Why it cannot run yet; "" when it can."""
        return NOT_READY.get(self.state, "")

    @property
    def parameters_short(self) -> str:
        """Its parameters in three digits: 22.7M, 568M, 1.24B; "" when they are not known."""
        return "" if self.parameters is None else short_count(self.parameters)

    @property
    def vector_bytes(self) -> int | None:
        """The room that one vector takes in an index; None when its dimensions are not known."""
        return None if self.dimensions is None else vector_bytes(self.dimensions, self.precision)


@dataclass(frozen=True, slots=True)
class ModelDetail(ModelRow):
    """Everything about one row. `found` is what the inspection saw, `corrected` what an admin set instead."""

    path: str | None
    truncate_dim: int | None
    max_tokens_limit: int | None
    query_prompt: str | None
    document_prompt: str | None
    similarity: str | None
    prompts: dict[str, Any]
    training_datasets: tuple[str, ...] | None
    release_date: str | None
    active_parameters: int | None
    open_weights: bool | None
    training_code: str | None
    training_data: str | None
    citation: str | None
    kinds: tuple[str, ...]
    reference: str | None
    found: dict[str, Any]
    corrected: dict[str, Any]
    failure_code: str | None
    stage: str | None
    worker: str | None
    attempt: int
    created_at: datetime
    finished_at: datetime | None
    added_by: str
    runs: int


@dataclass(frozen=True, slots=True)
class ModelResult:
    """A model on one dataset: its latest result, and its latest run when that is another one.

    `outdated`: the dataset has a newer revision than the one the result is for.
    """

    dataset_slug: str
    dataset_name: str
    task_type: str
    run_id: int | None
    score: float | None
    finished_at: datetime | None
    outdated: bool
    later_run_id: int | None
    later_state: JobState | None


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """What a model costs on one kind of device; see `app.db.tables.Measurement` for the units."""

    device: str
    peak_memory_mb: float
    query_p50_ms: float
    query_p95_ms: float
    documents_per_second: float
    run_id: int | None
    measured_at: datetime


SORTS: dict[str, ColumnElement[Any]] = {
    "name": Model.name.expression,
    "parameters": Model.parameters.expression,
    "dimensions": Model.dimensions.expression,
    "max_tokens": Model.max_tokens.expression,
    "memory": Model.memory_mb.expression,
}
"""What the registry can be sorted by."""


def list_models(
    session: Session, *, q: str = "", sort: str = "name", descending: bool = False, limit: int, offset: int = 0
) -> tuple[tuple[ModelRow, ...], int]:
    """One page of the registry, and how many rows there are in all.

    Args:
        session: Where to read.
        q: Words that must all occur in name, variant or licence.
        sort: A key of `SORTS`; rows without a value come last either way.
        descending: The largest first.
        limit: Rows of the page.
        offset: Rows before it.
    """
    conditions = [
        Model.name.icontains(word, autoescape=True)
        | Model.variant.icontains(word, autoescape=True)
        | Model.licence.icontains(word, autoescape=True)
        for word in q.split()
    ]
    order = SORTS[sort].desc() if descending else SORTS[sort].asc()
    total = session.scalar(select(func.count()).select_from(Model).where(*conditions)) or 0
    query = _select(ModelRow).where(*conditions).order_by(order.nulls_last(), Model.name, Model.variant, Model.id)
    rows = session.execute(query.limit(limit).offset(offset)).mappings()
    return tuple(ModelRow(**_values(row)) for row in rows), total


def load_family(session: Session, name: str) -> tuple[ModelDetail, ...]:
    """Every revision and variant of that name, the newest revision first; empty when there is none."""
    query = _select(ModelDetail).join(User, User.id == Model.created_by).where(Model.name == name)
    rows = [ModelDetail(**_values(row)) for row in session.execute(query).mappings()]
    since: dict[str, int] = {}
    for row in rows:
        since[row.revision] = min(row.id, since.get(row.revision, row.id))
    return tuple(sorted(rows, key=lambda row: (-since[row.revision], row.variant, row.id)))


def load_model(session: Session, model_id: int) -> ModelDetail | None:
    """One row; None when there is none."""
    query = _select(ModelDetail).join(User, User.id == Model.created_by).where(Model.id == model_id)
    row = session.execute(query).mappings().one_or_none()
    return None if row is None else ModelDetail(**_values(row))


def addresses(session: Session, names: Iterable[str]) -> dict[str, str]:
    """Name -> address of the models that are registered among `names`."""
    query = select(Model.name).where(Model.name.in_(list(names))).distinct()
    return {name: f"/models/{name}" for name in session.scalars(query)}


def results_of(session: Session, model_id: int) -> tuple[ModelResult, ...]:
    """What the model reached on every dataset it was run on, by task type and name."""
    latest = newest_revisions()
    place = func.row_number().over(
        partition_by=(DatasetRevision.dataset_id, Run.state == JobState.DONE),
        order_by=(Run.dataset_revision_id.desc(), Run.id.desc()),
    )
    ranked = (
        select(Run.id, place.label("place"))
        .join(DatasetRevision, DatasetRevision.id == Run.dataset_revision_id)
        .where(Run.model_id == model_id)
        .subquery("ranked")
    )
    query = (
        select(
            Dataset.slug,
            Dataset.name,
            Dataset.task_type,
            Run.id,
            Run.state,
            Run.main_score,
            Run.finished_at,
            (latest.c.id != Run.dataset_revision_id).label("outdated"),
        )
        .join(ranked, ranked.c.id == Run.id)
        .join(DatasetRevision, DatasetRevision.id == Run.dataset_revision_id)
        .join(Dataset, Dataset.id == DatasetRevision.dataset_id)
        .join(latest, latest.c.dataset_id == Dataset.id)
        .where(ranked.c.place == 1)
        .order_by(Dataset.task_type, Dataset.name, Dataset.id, Run.id)
    )
    by_dataset: dict[str, list[Any]] = {}
    for row in session.execute(query):
        by_dataset.setdefault(row.slug, []).append(row)
    return tuple(_result(rows) for rows in by_dataset.values())


def measurements(session: Session, model_id: int) -> tuple[MeasuredModel, ...]:
    """What the model costs on each kind of device that it was measured on, by device."""
    columns = (getattr(Measurement, field.name) for field in fields(MeasuredModel))
    query = select(*columns).where(Measurement.model_id == model_id).order_by(Measurement.device)
    return tuple(MeasuredModel(*row) for row in session.execute(query))


def boards_with(session: Session, name: str) -> tuple[Benchmark, ...]:
    """The boards that have a result of a model's name, of our own runs or imported; the default first. One query."""
    newest = newest_revisions()
    own = (
        select(BenchmarkDataset.benchmark_id)
        .join(newest, newest.c.dataset_id == BenchmarkDataset.dataset_id)
        .join(Run, Run.dataset_revision_id == newest.c.id)
        .join(Model, Model.id == Run.model_id)
        .where(Model.name == name, Run.state == JobState.DONE)
    )
    with_choices = ImportedModel.name.startswith(f"{name} (", autoescape=True)
    imported = select(ImportedModel.benchmark_id).where((ImportedModel.name == name) | with_choices)
    query = select(Benchmark).where(Benchmark.id.in_(own) | Benchmark.id.in_(imported))
    return tuple(session.scalars(query.order_by(Benchmark.is_default.desc(), Benchmark.name, Benchmark.id)))


def model_chips(variant: str, revision: str, twins: bool) -> tuple[str, ...]:
    """The variant, and the revision where another one of the same name and variant is registered."""
    return tuple(chip for chip in (variant, revision[:7] if twins else "") if chip)


def has_twins() -> ColumnElement[bool]:
    """For a query over Model: whether another revision of this name and variant is registered."""
    other = aliased(Model)
    return (
        select(other.id)
        .where(other.name == Model.name, other.variant == Model.variant, other.id != Model.id)
        .exists()
        .label("twins")
    )


def _select(kind: type[ModelRow]) -> Select[Any]:
    """The columns that `kind` has, each under its name."""
    finished = (
        select(func.count(DatasetRevision.dataset_id.distinct()))
        .join(Run, Run.dataset_revision_id == DatasetRevision.id)
        .where(Run.model_id == Model.id, Run.state == JobState.DONE)
        .scalar_subquery()
    )
    special: dict[str, ColumnElement[Any]] = {
        "results": finished.label("results"),
        "twins": has_twins(),
        "added_by": User.name.label("added_by"),
        "runs": select(func.count(Run.id)).where(Run.model_id == Model.id).scalar_subquery().label("runs"),
    }
    names: Iterable[str] = (field.name for field in fields(kind))
    return select(*(special[name] if name in special else getattr(Model, name) for name in names)).select_from(Model)


def _values(row: Any) -> dict[str, Any]:
    """A row as keyword arguments: states as JobState, lists as tuples."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return {**values, "state": JobState(values["state"])}


def _result(rows: list[Any]) -> ModelResult:
    """One dataset's line from its latest finished and its latest other run, of which one may be missing."""
    done = next((row for row in rows if row.state == JobState.DONE), None)
    later = rows[-1] if done is None or rows[-1].id > done.id else None
    shown = done or rows[-1]
    return ModelResult(
        dataset_slug=shown.slug,
        dataset_name=shown.name,
        task_type=shown.task_type,
        run_id=done.id if done else None,
        score=done.main_score if done else None,
        finished_at=done.finished_at if done else None,
        outdated=bool(done and done.outdated),
        later_run_id=later.id if later else None,
        later_state=JobState(later.state) if later else None,
    )
