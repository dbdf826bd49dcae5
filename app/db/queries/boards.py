"""What boards show: the list of them, and what one is made of, as arrays."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import distinct, func, select
from sqlalchemy.orm import Session

from app.core.aggregation import Booleans, DatasetMeans, Integers
from app.core.board_certainty import BoardCertainty
from app.core.significance import MARGIN
from app.db.imported_tables import ImportedArchive, ImportedColumn, ImportedModel
from app.db.queries.datasets import counts_text
from app.db.queries.shared import newest_revisions
from app.db.tables import Benchmark, BenchmarkDataset, Dataset, JobState, Run

OPEN = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class BoardSummary:
    """A board in the list of boards. `models` counts those with a finished run on what it shows."""

    slug: str
    name: str
    description: str
    kind: str
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
    """A dataset of a board at its newest revision.

    Attributes:
        slug: stands in addresses, unique on the board.
        metric: the main one.
        domains: where its texts are from, such as "Legal"; known for MTEB's tasks.
        href: leads to the dataset's page, "" if it has none.
        revision: None while there is none.
        margin: scores that differ by no more, on the metric's scale, are practically equal.
    """

    slug: str
    name: str
    task_type: str
    metric: str
    languages: tuple[str, ...]
    domains: tuple[str, ...] = ()
    description: str = ""
    href: str = ""
    revision: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    published_at: datetime | None = None
    margin: float = MARGIN

    @property
    def counts_text(self) -> str:
        """The counts in words."""
        return counts_text(self.counts)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a model costs on one kind of device; see `app.db.tables.Measurement` for the units."""

    device: str
    peak_memory_mb: float
    query_p50_ms: float
    query_p95_ms: float
    documents_per_second: float


@dataclass(frozen=True, slots=True)
class BoardModel:
    """What a row says of its model. `chips` tell it from other rows of the same name; None is unknown.

    `training_code`, `training_data` and `citation` say whether they are public, not where.
    `measured` holds its cost on each kind of device that it has run on, by device.
    """

    key: str
    name: str
    variant: str = ""
    revision: str = ""
    chips: tuple[str, ...] = ()
    parameters: int | None = None
    dimensions: int | None = None
    max_tokens: int | None = None
    memory_mb: float | None = None
    memory_dtype: str | None = None
    precision: str = "float32"
    licence: str | None = None
    open_weights: bool | None = None
    training_code: bool | None = None
    training_data: bool | None = None
    citation: bool | None = None
    release_date: str | None = None
    active_parameters: int | None = None
    kinds: tuple[str, ...] = ()
    measured: tuple[Measured, ...] = ()
    href: str = ""

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


@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """A whole board.

    Attributes:
        columns: its datasets.
        models: those with a score, or a run that waits or works; by name.
        means: shape (models, columns).
        trained_on: shape (models, columns).
        training_known: shape (models,), whether a model's training data is known.
        run_ids: shape (models, columns), the run that gave the score, 0 for none.
        marks: by (model, column) a run newer than that, open or failed.
        left_out: the models whose every run failed.
        imported: whether its scores were imported.
        certainty: how sure its figures are, if that was computed from exactly these; see `app.services.certainty`.
        certainty_expected: whether a worker is about to compute it.
    """

    slug: str
    name: str
    description: str
    is_default: bool
    columns: tuple[BoardColumn, ...]
    models: tuple[BoardModel, ...]
    means: DatasetMeans
    trained_on: Booleans
    training_known: Booleans
    run_ids: Integers
    marks: Mapping[tuple[int, int], RunMark]
    left_out: tuple[BoardModel, ...]
    last_result: datetime | None
    imported: bool = False
    certainty: BoardCertainty | None = None
    certainty_expected: bool = False

    @property
    def task_types(self) -> tuple[str, ...]:
        """The task types of the columns, in their order."""
        return tuple(dict.fromkeys(column.task_type for column in self.columns))

    @property
    def open_runs(self) -> int:
        """How many runs wait or work."""
        return sum(mark.is_open for mark in self.marks.values())


def list_boards(session: Session) -> tuple[BoardSummary, ...]:
    """Every board, the default first, then by name. One query."""
    newest = newest_revisions()
    query = (
        select(
            Benchmark.slug,
            Benchmark.name,
            Benchmark.description,
            Benchmark.kind,
            Benchmark.is_default,
            func.count(distinct(BenchmarkDataset.dataset_id)) + _imported(func.count(), ImportedColumn),
            func.count(distinct(Run.model_id)) + _imported(func.count(distinct(ImportedModel.name)), ImportedModel),
            func.coalesce(func.max(Run.finished_at), _imported(func.max(ImportedArchive.created_at), ImportedArchive)),
        )
        .outerjoin(BenchmarkDataset, BenchmarkDataset.benchmark_id == Benchmark.id)
        .outerjoin(newest, newest.c.dataset_id == BenchmarkDataset.dataset_id)
        .outerjoin(Run, (Run.dataset_revision_id == newest.c.id) & (Run.state == JobState.DONE))
        .group_by(Benchmark.id)
        .order_by(Benchmark.is_default.desc(), Benchmark.name, Benchmark.id)
    )
    return tuple(BoardSummary(*row) for row in session.execute(query))


def _imported(figure: Any, table: type[ImportedColumn | ImportedModel | ImportedArchive]) -> Any:
    """A figure of what was imported into the benchmark of the row."""
    own = table.benchmark_id == Benchmark.id
    return select(figure).select_from(table).where(own).correlate(Benchmark).scalar_subquery()


def dataset_choices(session: Session) -> tuple[DatasetChoice, ...]:
    """Every dataset, by name."""
    query = select(Dataset.slug, Dataset.name, Dataset.task_type).order_by(Dataset.name, Dataset.id)
    return tuple(DatasetChoice(*row) for row in session.execute(query))


def chosen_datasets(session: Session, benchmark_id: int) -> tuple[str, ...]:
    """The slugs of a board's datasets, in its order."""
    query = select(Dataset.slug).join(BenchmarkDataset, BenchmarkDataset.dataset_id == Dataset.id)
    query = query.where(BenchmarkDataset.benchmark_id == benchmark_id)
    return tuple(session.scalars(query.order_by(BenchmarkDataset.position, Dataset.id)))


def read_progress(session: Session, marks: Mapping[tuple[int, int], RunMark]) -> dict[tuple[int, int], RunMark]:
    """The same marks, with how far each running run is by now. One query."""
    running = [mark.id for mark in marks.values() if mark.state == JobState.RUNNING]
    found = session.execute(select(Run.id, Run.done, Run.total).where(Run.id.in_(running)))
    progress: dict[int, tuple[int, int]] = {row.id: (row.done, row.total) for row in found}
    return {
        place: replace(mark, done=progress[mark.id][0], total=progress[mark.id][1]) if mark.id in progress else mark
        for place, mark in marks.items()
    }


def trained_on(training: Iterable[Iterable[str] | None], columns: Iterable[BoardColumn]) -> Booleans:
    """Shape (models, columns): training data name a dataset by its name or its slug; None is unknown."""
    named = [frozenset(names or ()) for names in training]
    columns = tuple(columns)
    told = [[bool(names & {column.slug, column.name}) for column in columns] for names in named]
    return np.array(told, np.bool_).reshape(len(named), len(columns))
