"""The board of our own runs, read in a constant number of queries."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core.aggregation import DatasetMeans, Integers
from app.core.significance import MARGIN
from app.core.task_types import TASK_TYPES
from app.db.queries.boards import OPEN, Board, BoardColumn, BoardModel, Measured, RunMark, trained_on
from app.db.queries.shared import newest_revisions
from app.db.tables import Benchmark, BenchmarkDataset, Dataset, DatasetRevision, JobState, Measurement, Model, Run

_UNSETTLED = (*OPEN, JobState.FAILED)


def load_own_board(session: Session, benchmark: Benchmark) -> Board:
    """The board of a benchmark, in six queries: columns, results, other runs, the last result's time, models, costs.

    A model is shown when it has a finished run on the newest revision of a dataset, or one that waits or works.
    """
    columns, revisions = _columns(session, benchmark.id)
    runs = _Runs(session, revisions)
    found = _models(session, revisions)
    shown = [key for key in found if key in runs.shown]
    shape = len(shown), len(columns)
    place = {key: number for number, key in enumerate(shown)}
    models = _named(found.values(), _measured(session, found))
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
            margin=MARGIN if dataset.margin is None else dataset.margin,
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
            Model.training_code.is_not(None).label("training_code"),
            Model.training_data.is_not(None).label("training_data"),
            Model.citation.is_not(None).label("citation"),
            Model.release_date,
            Model.active_parameters,
            Model.kinds,
            Model.training_datasets,
        )
        .where(Model.id.in_(used))
        .order_by(Model.name, Model.variant, Model.id)
    )
    return {row.id: row for row in session.execute(query)}


def _measured(session: Session, models: Iterable[int]) -> dict[int, tuple[Measured, ...]]:
    """What each of some models costs, by device."""
    query = (
        select(
            Measurement.model_id,
            Measurement.device,
            Measurement.peak_memory_mb,
            Measurement.query_p50_ms,
            Measurement.query_p95_ms,
            Measurement.documents_per_second,
        )
        .where(Measurement.model_id.in_(models))
        .order_by(Measurement.device)
    )
    measured: dict[int, tuple[Measured, ...]] = {}
    for model, device, peak, p50, p95, rate in session.execute(query):
        measured[model] = (*measured.get(model, ()), Measured(device, peak, p50, p95, rate))
    return measured


def _named(rows: Iterable[Any], measured: Mapping[int, tuple[Measured, ...]]) -> dict[int, BoardModel]:
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
            training_code=row.training_code or None,
            training_data=row.training_data or None,
            citation=row.citation or None,
            release_date=row.release_date,
            active_parameters=row.active_parameters,
            kinds=tuple(row.kinds),
            measured=measured.get(row.id, ()),
            href=f"/models/{row.name}",
        )
        for row in rows
    }
