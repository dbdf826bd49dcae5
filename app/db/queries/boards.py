"""What boards show: the list of them, and the whole content of one as arrays, read in a constant number of queries."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import distinct, func, select
from sqlalchemy.orm import Session

from app.core.aggregation import Booleans, DatasetMeans, Integers
from app.core.task_types import TASK_TYPES
from app.db.queries.datasets import counts_text
from app.db.queries.shared import newest_revisions
from app.db.tables import (
    Benchmark,
    BenchmarkDataset,
    Dataset,
    DatasetRevision,
    ImportedArchive,
    ImportedColumn,
    ImportedModel,
    JobState,
    Model,
    Run,
)

OPEN = (JobState.QUEUED, JobState.RUNNING)
_UNSETTLED = (*OPEN, JobState.FAILED)


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

    @property
    def counts_text(self) -> str:
        """The counts in words."""
        return counts_text(self.counts)


@dataclass(frozen=True, slots=True)
class BoardModel:
    """What a row says of its model. `chips` tell it from other rows of the same name; None is unknown."""

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
    release_date: str | None = None
    active_parameters: int | None = None
    kinds: tuple[str, ...] = ()

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


def load_own_board(session: Session, benchmark: Benchmark) -> Board:
    """The board of a benchmark, in five queries: columns, results, other runs, the last result's time, models.

    A model is shown when it has a finished run on the newest revision of a dataset, or one that waits or works.
    """
    columns, revisions = _columns(session, benchmark.id)
    runs = _Runs(session, revisions)
    found = _models(session, revisions)
    shown = [key for key in found if key in runs.shown]
    shape = len(shown), len(columns)
    place = {key: number for number, key in enumerate(shown)}
    models = _named([found[key] for key in found])
    training = [found[key].training_datasets for key in shown]
    return Board(
        slug=benchmark.slug,
        name=benchmark.name,
        description=benchmark.description,
        is_default=benchmark.is_default,
        columns=columns,
        models=tuple(models[key] for key in shown),
        means=runs.means(place, shape),
        trained_on=trained_on(training, columns),
        training_known=np.array([names is not None for names in training], np.bool_),
        run_ids=runs.ids(place, shape),
        marks={(place[key], column): mark for (key, column), mark in runs.marks.items() if key in place},
        left_out=tuple(models[key] for key in found if key not in place),
        last_result=runs.last_result,
    )


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


def _columns(session: Session, benchmark_id: int) -> tuple[tuple[BoardColumn, ...], dict[int, int]]:
    """The datasets, and the column of each newest revision."""
    newest = newest_revisions()
    query = (
        select(Dataset, DatasetRevision)
        .join(BenchmarkDataset, BenchmarkDataset.dataset_id == Dataset.id)
        .outerjoin(newest, newest.c.dataset_id == Dataset.id)
        .outerjoin(DatasetRevision, DatasetRevision.id == newest.c.id)
        .where(BenchmarkDataset.benchmark_id == benchmark_id)
        .order_by(BenchmarkDataset.position, Dataset.id)
    )
    found = session.execute(query).all()
    columns = tuple(
        BoardColumn(
            slug=dataset.slug,
            name=dataset.name,
            task_type=dataset.task_type,
            metric=TASK_TYPES[dataset.task_type].main_metric,
            languages=tuple(dataset.languages),
            description=dataset.description,
            href=f"/datasets/{dataset.slug}",
            revision=revision.revision if revision else None,
            counts=revision.counts if revision else {},
            published_at=revision.created_at if revision else None,
        )
        for dataset, revision in found
    )
    return columns, {revision.id: place for place, (_, revision) in enumerate(found) if revision}


class _Runs:
    """The latest runs of a board by (model id, column).

    Attributes:
        done: id, mean of the main metric and number of cells of those that gave the scores.
        marks: open or failed ones that are newer.
        shown: the models with a score, or with a run that waits or works.
        last_result: when the last score came.
    """

    def __init__(self, session: Session, revisions: Mapping[int, int]) -> None:
        here = Run.dataset_revision_id.in_(revisions)
        pair = Run.id, Run.model_id, Run.dataset_revision_id
        results = select(*pair, Run.main_score, Run.cells).where(here, Run.state == JobState.DONE)
        self.done: dict[tuple[int, int], tuple[int, float | None, int | None]] = {
            (model, revisions[revision]): (run_id, score, cells)
            for run_id, model, revision, score, cells in session.execute(results.order_by(Run.id))
        }
        self.marks: dict[tuple[int, int], RunMark] = {}
        others = select(*pair, Run.state, Run.done, Run.total, Run.failure).where(here, Run.state.in_(_UNSETTLED))
        for run in session.execute(others.order_by(Run.id)):
            place = run.model_id, revisions[run.dataset_revision_id]
            if place not in self.done or self.done[place][0] < run.id:  # what failed before is settled by the result
                reason = (run.failure or {}).get("message", "")
                self.marks[place] = RunMark(run.id, JobState(run.state), run.done, run.total, reason)
        self.shown = {model for model, _ in self.done}
        self.shown |= {model for (model, _), mark in self.marks.items() if mark.is_open}
        newest = select(func.max(Run.finished_at)).where(here, Run.state == JobState.DONE)
        self.last_result: datetime | None = session.scalar(newest)

    def ids(self, place: Mapping[int, int], shape: tuple[int, int]) -> Integers:
        """Shape (models, columns)."""
        ids = np.zeros(shape, np.int64)
        for (model, column), (run_id, _, _) in self.done.items():
            ids[place[model], column] = run_id
        return ids

    def means(self, place: Mapping[int, int], shape: tuple[int, int]) -> DatasetMeans:
        """What a dataset requires are as many cells as any finished run of its newest revision has."""
        known = np.full(shape, np.nan)
        cells = np.zeros(shape, np.int64)
        for (model, column), (_, score, count) in self.done.items():
            if score is not None:
                known[place[model], column] = score
                cells[place[model], column] = count or 0
        required = cells.max(axis=0, initial=0)
        return DatasetMeans(known, np.where(cells == required, known, np.nan))


def _models(session: Session, revisions: Mapping[int, int]) -> dict[int, Any]:
    """The models that have run, by name."""
    used = select(Run.model_id).where(
        Run.dataset_revision_id.in_(revisions), Run.state.in_((JobState.DONE, *_UNSETTLED))
    )
    query = (
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
            Model.precision,
            Model.licence,
            Model.open_weights,
            Model.release_date,
            Model.active_parameters,
            Model.kinds,
            Model.training_datasets,
        )
        .where(Model.id.in_(used))
        .order_by(Model.name, Model.variant, Model.id)
    )
    return {row.id: row for row in session.execute(query)}


def _named(rows: Iterable[Any]) -> dict[int, BoardModel]:
    """By id; a revision is a chip where another one of the same variant is on the board."""
    rows = tuple(rows)
    alike = Counter((row.name, row.variant) for row in rows)
    return {
        row.id: BoardModel(
            key=str(row.id),
            name=row.name,
            variant=row.variant,
            revision=row.revision,
            chips=tuple(filter(None, (row.variant, row.revision[:7] if alike[row.name, row.variant] > 1 else ""))),
            parameters=row.parameters,
            dimensions=row.dimensions,
            max_tokens=row.max_tokens,
            memory_mb=row.memory_mb,
            memory_dtype=row.memory_dtype,
            precision=row.precision,
            licence=row.licence,
            open_weights=row.open_weights,
            release_date=row.release_date,
            active_parameters=row.active_parameters,
            kinds=tuple(row.kinds),
            href=f"/models/{row.name}",
        )
        for row in rows
    }
