"""What the queue, the page of a run and the form for new runs read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import Session, aliased

from app.core.significance import Interval
from app.core.task_types import TASK_TYPES
from app.db.queries.models import NOT_READY, OPEN, has_twins, model_chips
from app.db.tables import Dataset, DatasetRevision, JobState, Model, Run, Score, User, Worker


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are meant; None and "" stand for all."""

    state: JobState | None = None
    model_id: int | None = None
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in a list. `position` counts from 1 among everything that waits.

    `newer_id` is a later run of the same model on the same texts, so that nobody tries a failure twice.
    """

    id: int
    state: JobState
    attempt: int
    stage: str | None
    done: int
    total: int
    texts_per_second: float | None
    worker: str | None
    device: str | None
    cancel_requested: bool
    main_score: float | None
    failure_code: str | None
    failure: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    position: int | None
    newer_id: int | None
    queued_by: str
    model_id: int
    model_name: str
    variant: str
    model_revision: str
    twins: bool
    dataset_slug: str
    dataset_name: str
    task_type: str

    @property
    def is_open(self) -> bool:
        """Whether it waits or works."""
        return self.state in OPEN

    @property
    def model_href(self) -> str:
        """The address of its model's page."""
        return f"/models/{self.model_name}?id={self.model_id}"

    @property
    def chips(self) -> tuple[str, ...]:
        """What tells its model from others of the same name."""
        return model_chips(self.variant, self.model_revision, self.twins)

    @property
    def main_metric(self) -> str:
        """The metric that `main_score` is."""
        known = TASK_TYPES.get(self.task_type)
        return known.main_metric if known else ""

    @property
    def seconds_left(self) -> float | None:
        """For how long texts will still be encoded; None when it cannot be told."""
        if self.stage != "encode" or not self.texts_per_second or not self.total:
            return None
        return max(0, self.total - self.done) / self.texts_per_second

    @property
    def seconds(self) -> float | None:
        """How long the last attempt took; None while it is not over."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def can_retry(self) -> bool:
        """Whether it ended without a result and nothing came after it."""
        return self.state in {JobState.FAILED, JobState.CANCELLED} and self.newer_id is None


@dataclass(frozen=True, slots=True)
class RunDetail(RunRow):
    """Everything about a run but its scores."""

    dataset_revision: str
    priority: int
    main_low: float | None
    main_high: float | None
    main_n: int | None
    provenance: dict[str, Any] | None
    log: str


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric with a value for every cell of its table, None where a cell has none."""

    metric: str
    is_main: bool
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """All scores of a run: a column for each (split, subset), a row for each metric, the main one first.

    `intervals` are those of the main metric, where they are known, by (split, subset).
    """

    cells: tuple[tuple[str, str], ...]
    rows: tuple[MetricRow, ...]
    intervals: Mapping[tuple[str, str], Interval]


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that can be ticked, or the reason why not."""

    id: int
    name: str
    chips: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class DatasetChoice:
    """A dataset that can be ticked, or the reason why not."""

    slug: str
    name: str
    task_type: str
    reason: str


def count_by_state(session: Session, only: RunFilter) -> Mapping[JobState, int]:
    """How many runs there are in each state; the filter's own state does not count."""
    conditions = _conditions(RunFilter(None, only.model_id, only.dataset))
    query = _joined(Run.state, func.count()).where(*conditions).group_by(Run.state)
    counts: dict[str, int] = dict(session.execute(query).all())
    return {state: counts.get(state, 0) for state in JobState}


def list_runs(
    session: Session, only: RunFilter, state: JobState | None, limit: int, offset: int = 0
) -> tuple[RunRow, ...]:
    """The runs in `state`, or in any; the filter's own state does not count.

    What works or waits comes in the order of the queue, what ended with the newest first, all together
    by when they were queued, the newest first.
    """
    order: list[ColumnElement[Any]]
    if state is None:
        order = [Run.id.desc()]
    elif state in OPEN:
        order = [Run.priority.desc(), Run.id.asc()]
    else:
        order = [Run.finished_at.desc().nulls_last(), Run.id.desc()]
    conditions = _conditions(RunFilter(state, only.model_id, only.dataset))
    # First which runs, then everything about them: places and newer runs are looked up for a page only.
    shown = _joined(Run.id).where(*conditions).order_by(*order).limit(limit).offset(offset)
    query = _select(RunRow).where(Run.id.in_(shown)).order_by(*order)
    return tuple(RunRow(**_values(row)) for row in session.execute(query).mappings())


def load_run(session: Session, run_id: int) -> RunDetail | None:
    """One run; None when there is none."""
    row = session.execute(_select(RunDetail).where(Run.id == run_id)).mappings().one_or_none()
    return None if row is None else RunDetail(**_values(row))


def load_scores(session: Session, run: RunDetail) -> ScoreTable:
    """Every score of a run; empty while it has none."""
    main = (run.provenance or {}).get("main_metric") or run.main_metric
    query = select(Score.split, Score.subset, Score.metric, Score.value, Score.low, Score.high, Score.n)
    found = session.execute(query.where(Score.run_id == run.id)).all()
    values = {(row.split, row.subset, row.metric): row.value for row in found}
    intervals = {(row.split, row.subset): Interval(row.low, row.high, row.n) for row in found if row.n}
    cells = sorted({(split, subset) for split, subset, _ in values}, key=lambda cell: (cell[1], cell[0]))
    metrics = sorted(
        {metric for _, _, metric in values}, key=lambda name: (name != main, _further(name), _natural(name))
    )
    rows = (
        MetricRow(metric, metric == main, tuple(values.get((split, subset, metric)) for split, subset in cells))
        for metric in metrics
    )
    return ScoreTable(tuple(cells), tuple(rows), intervals)


def model_choices(session: Session) -> tuple[ModelChoice, ...]:
    """Every model, by name; those that cannot run have a reason."""
    query = select(Model.id, Model.name, Model.variant, Model.revision, has_twins(), Model.state)
    return tuple(
        ModelChoice(row.id, row.name, model_chips(row.variant, row.revision, row.twins), NOT_READY.get(row.state, ""))
        for row in session.execute(query.order_by(Model.name, Model.variant, Model.id))
    )


def dataset_choices(session: Session) -> tuple[DatasetChoice, ...]:
    """Every dataset, by task type and name; those that cannot be run on have a reason."""
    has_revision = select(DatasetRevision.id).where(DatasetRevision.dataset_id == Dataset.id).exists()
    query = select(Dataset.slug, Dataset.name, Dataset.task_type, has_revision).order_by(
        Dataset.task_type, Dataset.name, Dataset.id
    )
    return tuple(
        DatasetChoice(slug, name, task_type, "" if ready else "it has no revision yet")
        for slug, name, task_type, ready in session.execute(query)
    )


def _joined(*columns: Any) -> Select[Any]:
    """These columns of runs with their model, revision and dataset."""
    return (
        select(*columns)
        .select_from(Run)
        .join(Model, Model.id == Run.model_id)
        .join(DatasetRevision, DatasetRevision.id == Run.dataset_revision_id)
        .join(Dataset, Dataset.id == DatasetRevision.dataset_id)
    )


def _conditions(only: RunFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if only.state is not None:
        conditions.append(Run.state == only.state)
    if only.model_id is not None:
        conditions.append(Run.model_id == only.model_id)
    if only.dataset:
        conditions.append(Dataset.slug == only.dataset)
    return conditions


def _select(kind: type[RunRow]) -> Select[Any]:
    """The columns that `kind` has, each under its name."""
    ahead, later = aliased(Run), aliased(Run)
    place = (
        select(func.count(ahead.id))
        .where(
            ahead.state == JobState.QUEUED,
            (ahead.priority > Run.priority) | ((ahead.priority == Run.priority) & (ahead.id <= Run.id)),
        )
        .scalar_subquery()
    )
    newer = (
        select(func.max(later.id))
        .where(
            later.model_id == Run.model_id,
            later.dataset_revision_id == Run.dataset_revision_id,
            later.id > Run.id,
        )
        .scalar_subquery()
    )
    special: dict[str, Any] = {
        "device": func.coalesce(Run.device, Worker.device),
        "position": case((Run.state == JobState.QUEUED, place)),
        "newer_id": newer,
        "queued_by": User.name,
        "model_name": Model.name,
        "variant": Model.variant,
        "model_revision": Model.revision,
        "twins": has_twins(),
        "dataset_slug": Dataset.slug,
        "dataset_name": Dataset.name,
        "task_type": Dataset.task_type,
        "dataset_revision": DatasetRevision.revision,
    }
    names = [field.name for field in fields(kind)]
    columns = (special[name].label(name) if name in special else getattr(Run, name) for name in names)
    return _joined(*columns).join(User, User.id == Run.queued_by).outerjoin(Worker, Worker.name == Run.worker)


def _values(row: Any) -> dict[str, Any]:
    return {**row, "state": JobState(row["state"])}


def _further(name: str) -> tuple[bool, bool]:
    """Sorts metrics over a part of the queries behind those over all, and naucs behind both."""
    return "nauc" in name, name.startswith(("og_", "changed_"))


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts numbers in a name by their value: ndcg_at_3 before ndcg_at_10."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part)
