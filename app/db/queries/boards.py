"""What a board shows, read in a constant number of queries."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Subquery, distinct, func, select
from sqlalchemy.orm import Session

from app.core.aggregation import Cell, Column, Entry, Standing, aggregate
from app.core.task_types import TASK_TYPES
from app.db.queries.datasets import counts_text
from app.db.queries.shared import newest_revisions
from app.db.tables import Benchmark, BenchmarkDataset, Dataset, DatasetRevision, JobState, Model, Run, Score

OPEN = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class BoardSummary:
    """A board in the list of boards. `models` counts those with a finished run on what it shows."""

    slug: str
    name: str
    description: str
    is_default: bool
    datasets: int
    models: int
    last_result: datetime | None


@dataclass(frozen=True, slots=True)
class DatasetChoice:
    """A dataset that a board can have as a column."""

    slug: str
    name: str
    task_type: str


@dataclass(frozen=True, slots=True)
class BoardColumn:
    """A dataset of a board at its newest revision; `revision` is None while it has none."""

    id: int
    slug: str
    name: str
    task_type: str
    languages: tuple[str, ...]
    description: str
    revision_id: int | None
    revision: str | None
    counts: Mapping[str, int]
    published_at: datetime | None

    @property
    def counts_text(self) -> str:
        """The counts in words."""
        return counts_text(self.counts)


@dataclass(frozen=True, slots=True)
class BoardModel:
    """What a row says of its model. `chips` tell it from other rows of the same name."""

    id: int
    name: str
    variant: str
    revision: str
    chips: tuple[str, ...]
    parameters: int | None
    dimensions: int | None
    max_tokens: int | None
    memory_mb: float | None
    memory_dtype: str | None
    training_datasets: tuple[str, ...] | None

    @property
    def organisation(self) -> str:
        """The part of the name before the first slash."""
        return self.name.partition("/")[0]

    @property
    def short_name(self) -> str:
        """The part of the name after the first slash."""
        return self.name.partition("/")[2]


@dataclass(frozen=True, slots=True)
class RunMark:
    """A run without a result yet (queued, running) or ever (failed, with the reason in words)."""

    id: int
    state: JobState
    done: int
    total: int
    reason: str

    @property
    def is_open(self) -> bool:
        """Whether it waits or works."""
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class BoardCell:
    """A model on a dataset: the run that gave the score, and a newer run that is open or has failed."""

    run_id: int | None = None
    mark: RunMark | None = None


@dataclass(frozen=True, slots=True)
class BoardRow:
    """A model's row. `cells` has an entry for every dataset slug of the board."""

    model: BoardModel
    standing: Standing
    cells: Mapping[str, BoardCell]


@dataclass(frozen=True, slots=True)
class Board:
    """A whole board; `rows` by rank, `left_out` the models whose every run on it failed."""

    slug: str
    name: str
    description: str
    is_default: bool
    columns: tuple[BoardColumn, ...]
    rows: tuple[BoardRow, ...]
    left_out: tuple[BoardModel, ...]
    open_runs: int
    last_result: datetime | None

    @property
    def task_types(self) -> tuple[str, ...]:
        """The task types of the columns, in their order."""
        return tuple(dict.fromkeys(column.task_type for column in self.columns))


def list_boards(session: Session) -> tuple[BoardSummary, ...]:
    """Every board, the default first, then by name."""
    newest = newest_revisions()
    query = (
        select(
            Benchmark.slug,
            Benchmark.name,
            Benchmark.description,
            Benchmark.is_default,
            func.count(distinct(BenchmarkDataset.dataset_id)),
            func.count(distinct(Run.model_id)),
            func.max(Run.finished_at),
        )
        .outerjoin(BenchmarkDataset, BenchmarkDataset.benchmark_id == Benchmark.id)
        .outerjoin(newest, newest.c.dataset_id == BenchmarkDataset.dataset_id)
        .outerjoin(Run, (Run.dataset_revision_id == newest.c.id) & (Run.state == JobState.DONE))
        .group_by(Benchmark.id)
        .order_by(Benchmark.is_default.desc(), Benchmark.name, Benchmark.id)
    )
    return tuple(BoardSummary(*row) for row in session.execute(query))


def dataset_choices(session: Session) -> tuple[DatasetChoice, ...]:
    """Every dataset, by name."""
    query = select(Dataset.slug, Dataset.name, Dataset.task_type).order_by(Dataset.name, Dataset.id)
    return tuple(DatasetChoice(*row) for row in session.execute(query))


def load_board(session: Session, benchmark: Benchmark) -> Board:
    """The board of a benchmark, in four queries: columns, runs, scores and models.

    A model is shown when it has a finished run on the newest revision of a dataset, or one that waits or
    works. What a dataset requires are the (split, subset) cells that finished runs of its newest revision
    have: a run publishes all of its cells at once.
    """
    columns = _columns(session, benchmark.id)
    latest = _latest_runs(benchmark.id)
    cells, last_result = _cells(session, latest, columns)
    scores = _scores(session, latest, columns)
    shown = {key: row for key, row in cells.items() if any(cell.run_id or _is_open(cell) for cell in row.values())}
    models = _models(session, latest)
    standings = aggregate(_required(columns, scores), [_entry(models[key], columns, scores) for key in shown])
    rows = [
        BoardRow(models[key], standing, {column.slug: shown[key].get(column.slug, BoardCell()) for column in columns})
        for key, standing in zip(shown, standings, strict=True)
    ]
    return Board(
        slug=benchmark.slug,
        name=benchmark.name,
        description=benchmark.description,
        is_default=benchmark.is_default,
        columns=columns,
        rows=tuple(sorted(rows, key=_by_rank)),
        left_out=tuple(model for key, model in models.items() if key not in shown),
        open_runs=sum(_is_open(cell) for row in cells.values() for cell in row.values()),
        last_result=last_result,
    )


def _columns(session: Session, benchmark_id: int) -> tuple[BoardColumn, ...]:
    newest = newest_revisions()
    query = (
        select(Dataset, DatasetRevision)
        .join(BenchmarkDataset, BenchmarkDataset.dataset_id == Dataset.id)
        .outerjoin(newest, newest.c.dataset_id == Dataset.id)
        .outerjoin(DatasetRevision, DatasetRevision.id == newest.c.id)
        .where(BenchmarkDataset.benchmark_id == benchmark_id)
        .order_by(BenchmarkDataset.position, Dataset.id)
    )
    return tuple(
        BoardColumn(
            id=dataset.id,
            slug=dataset.slug,
            name=dataset.name,
            task_type=dataset.task_type,
            languages=tuple(dataset.languages),
            description=dataset.description,
            revision_id=revision.id if revision else None,
            revision=revision.revision if revision else None,
            counts=revision.counts if revision else {},
            published_at=revision.created_at if revision else None,
        )
        for dataset, revision in session.execute(query)
    )


def _latest_runs(benchmark_id: int) -> Subquery:
    """The newest run of each (model, newest dataset revision, state); a newer run has a larger id."""
    newest = newest_revisions()
    return (
        select(func.max(Run.id).label("id"))
        .join(newest, newest.c.id == Run.dataset_revision_id)
        .join(BenchmarkDataset, BenchmarkDataset.dataset_id == newest.c.dataset_id)
        .where(BenchmarkDataset.benchmark_id == benchmark_id, Run.state != JobState.CANCELLED)
        .group_by(Run.model_id, Run.dataset_revision_id, Run.state)
        .subquery("latest")
    )


def _cells(
    session: Session, latest: Subquery, columns: tuple[BoardColumn, ...]
) -> tuple[dict[int, dict[str, BoardCell]], datetime | None]:
    """Model id -> dataset slug -> cell, and when the last result came."""
    slugs = {column.revision_id: column.slug for column in columns}
    query = (
        select(
            Run.id,
            Run.model_id,
            Run.dataset_revision_id,
            Run.state,
            Run.done,
            Run.total,
            Run.failure,
            Run.finished_at,
        )
        .join(latest, latest.c.id == Run.id)
        .order_by(Run.id)
    )
    cells: dict[int, dict[str, BoardCell]] = {}
    finished: list[datetime] = []
    for run in session.execute(query):
        row = cells.setdefault(run.model_id, {})
        slug = slugs[run.dataset_revision_id]
        if run.state == JobState.DONE:  # in order of id: what failed before is settled by this result
            row[slug] = BoardCell(run.id)
            finished += [run.finished_at] if run.finished_at else []
        else:
            reason = (run.failure or {}).get("message", "")
            mark = RunMark(run.id, JobState(run.state), run.done, run.total, reason)
            row[slug] = BoardCell(row.get(slug, BoardCell()).run_id, mark)
    return cells, max(finished, default=None)


def _scores(
    session: Session, latest: Subquery, columns: tuple[BoardColumn, ...]
) -> dict[int, dict[str, dict[Cell, float]]]:
    """Model id -> dataset slug -> cell -> main metric, of the latest finished runs."""
    by_revision = {column.revision_id: column for column in columns}
    metrics = {column.slug: TASK_TYPES[column.task_type].main_metric for column in columns}
    query = (
        select(Run.model_id, Run.dataset_revision_id, Score.split, Score.subset, Score.metric, Score.value)
        .join(latest, latest.c.id == Run.id)
        .join(Score, Score.run_id == Run.id)
        .where(Run.state == JobState.DONE, Score.metric.in_(sorted(set(metrics.values()))))
        .order_by(Run.id, Score.split, Score.subset)
    )
    scores: dict[int, dict[str, dict[Cell, float]]] = {}
    for model_id, revision_id, split, subset, metric, value in session.execute(query):
        slug = by_revision[revision_id].slug
        if metric == metrics[slug]:
            scores.setdefault(model_id, {}).setdefault(slug, {})[split, subset] = value
    return scores


def _models(session: Session, latest: Subquery) -> dict[int, BoardModel]:
    used = select(Run.model_id).join(latest, latest.c.id == Run.id)
    found = session.execute(
        select(
            Model.id,
            Model.name,
            Model.variant,
            Model.revision,
            Model.parameters,
            Model.dimensions,
            Model.max_tokens,
            Model.memory_mb,
            Model.memory_dtype,
            Model.training_datasets,
        )
        .where(Model.id.in_(used))
        .order_by(Model.name, Model.variant, Model.id)
    ).all()
    alike = Counter((row.name, row.variant) for row in found)
    return {row.id: _model(row, twins=alike[row.name, row.variant] > 1) for row in found}


def _model(row: Any, *, twins: bool) -> BoardModel:
    """`twins`: whether another revision of the same variant is on the board."""
    chips = (row.variant, row.revision[:7] if twins else "")
    return BoardModel(
        id=row.id,
        name=row.name,
        variant=row.variant,
        revision=row.revision,
        chips=tuple(chip for chip in chips if chip),
        parameters=row.parameters,
        dimensions=row.dimensions,
        max_tokens=row.max_tokens,
        memory_mb=row.memory_mb,
        memory_dtype=row.memory_dtype,
        training_datasets=None if row.training_datasets is None else tuple(row.training_datasets),
    )


def _required(
    columns: tuple[BoardColumn, ...], scores: Mapping[int, Mapping[str, Mapping[Cell, float]]]
) -> list[Column]:
    def seen(slug: str) -> frozenset[Cell]:
        return frozenset(cell for datasets in scores.values() for cell in datasets.get(slug, {}))

    return [Column(column.slug, column.task_type, seen(column.slug)) for column in columns]


def _entry(
    model: BoardModel,
    columns: tuple[BoardColumn, ...],
    scores: Mapping[int, Mapping[str, Mapping[Cell, float]]],
) -> Entry:
    """A model as the aggregation wants it; training data name a dataset by its name or its slug."""
    trained_on: frozenset[str] | None = None
    if model.training_datasets is not None:
        named = set(model.training_datasets)
        trained_on = frozenset(column.slug for column in columns if named & {column.slug, column.name})
    return Entry(str(model.id), scores.get(model.id, {}), trained_on)


def _is_open(cell: BoardCell) -> bool:
    return cell.mark is not None and cell.mark.is_open


def _by_rank(row: BoardRow) -> tuple[bool, int, str, str, int]:
    rank = row.standing.rank
    return rank is None, rank or 0, row.model.name, row.model.variant, row.model.id
