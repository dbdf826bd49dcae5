"""What exports need: the files of imports, and our own results."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Subquery, func, select
from sqlalchemy.orm import Session

from app.db.imported_tables import ImportedArchive
from app.db.queries.shared import newest_revisions
from app.db.tables import BenchmarkDataset, Dataset, DatasetRevision, JobState, Model, Run, Score


@dataclass(frozen=True, slots=True)
class OwnResult:
    """The newest finished run of a model on the newest revision of a dataset; metrics by (split, subset)."""

    model: Model
    dataset: Dataset
    dataset_revision: str
    seconds: float | None
    finished: datetime | None
    scores: Mapping[tuple[str, str], Mapping[str, float]]


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
