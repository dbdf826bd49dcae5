"""What imported boards hold, and what an export of our own results needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Subquery, func, select
from sqlalchemy.orm import Session

from app.db.queries.shared import newest_revisions
from app.db.tables import (
    BenchmarkDataset,
    Dataset,
    DatasetRevision,
    ImportedArchive,
    ImportedModel,
    ImportedResult,
    ImportedScore,
    JobState,
    Model,
    Run,
    Score,
)


class ImportedCell(NamedTuple):
    """A score that counts, on mteb's scale. `model_id` is of the revision; a board's row is the model's name."""

    model_id: int
    model: str
    revision: str
    task: str
    split: str
    subset: str
    value: float


@dataclass(frozen=True, slots=True)
class OwnResult:
    """The newest finished run of a model on the newest revision of a dataset; metrics by (split, subset)."""

    model: Model
    dataset: Dataset
    dataset_revision: str
    seconds: float | None
    finished: datetime | None
    scores: Mapping[tuple[str, str], Mapping[str, float]]


def imported_scores(session: Session, benchmark_id: int) -> list[ImportedCell]:
    """Every score that counts on an imported board, in one query; by model name, revision and task."""
    query = (
        select(
            ImportedModel.id,
            ImportedModel.name,
            ImportedModel.revision,
            ImportedResult.task,
            ImportedScore.split,
            ImportedScore.subset,
            ImportedScore.value,
        )
        .join(ImportedResult, ImportedResult.model_id == ImportedModel.id)
        .join(ImportedScore, ImportedScore.result_id == ImportedResult.id)
        .where(ImportedModel.benchmark_id == benchmark_id, ImportedResult.chosen)
        .order_by(ImportedModel.name, ImportedModel.revision, ImportedResult.task, ImportedScore.split)
    )
    return [ImportedCell(*row) for row in session.execute(query)]


def archives_of(session: Session, benchmark_id: int) -> list[ImportedArchive]:
    """The imports of a board, the first one first."""
    query = select(ImportedArchive).where(ImportedArchive.benchmark_id == benchmark_id).order_by(ImportedArchive.id)
    return list(session.scalars(query))


def own_results(session: Session, benchmark_id: int) -> list[OwnResult]:
    """What a board of our own runs shows, in two queries; by model and dataset."""
    newest = _newest_results(benchmark_id)
    scores: dict[int, dict[tuple[str, str], dict[str, float]]] = {}
    cells = select(Score.run_id, Score.split, Score.subset, Score.metric, Score.value)
    for run_id, split, subset, metric, value in session.execute(cells.join(newest, newest.c.id == Score.run_id)):
        scores.setdefault(run_id, {}).setdefault((split, subset), {})[metric] = value
    query = (
        select(Run.id, Run.started_at, Run.finished_at, Model, Dataset, DatasetRevision.revision)
        .join(newest, newest.c.id == Run.id)
        .join(Model, Model.id == Run.model_id)
        .join(DatasetRevision, DatasetRevision.id == Run.dataset_revision_id)
        .join(Dataset, Dataset.id == DatasetRevision.dataset_id)
        .order_by(Model.name, Model.revision, Model.variant, Dataset.slug)
    )
    return [
        OwnResult(model, dataset, revision, _seconds(started, finished), finished, scores.get(run_id, {}))
        for run_id, started, finished, model, dataset, revision in session.execute(query)
    ]


def _newest_results(benchmark_id: int) -> Subquery:
    """The newest finished run of each (model, newest dataset revision); a newer run has a larger id."""
    newest = newest_revisions()
    return (
        select(func.max(Run.id).label("id"))
        .join(newest, newest.c.id == Run.dataset_revision_id)
        .join(BenchmarkDataset, BenchmarkDataset.dataset_id == newest.c.dataset_id)
        .where(BenchmarkDataset.benchmark_id == benchmark_id, Run.state == JobState.DONE)
        .group_by(Run.model_id, Run.dataset_revision_id)
        .subquery("newest_results")
    )


def _seconds(started: datetime | None, finished: datetime | None) -> float | None:
    return (finished - started).total_seconds() if started and finished else None
