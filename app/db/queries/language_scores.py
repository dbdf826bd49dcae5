"""The main metric of every cell behind a board, for whoever needs more of a board than its datasets' means."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from app.core.task_types import TASK_TYPES
from app.db.imported_tables import ImportedModel, ImportedResult, ImportedScore
from app.db.queries.shared import newest_revisions
from app.db.tables import BenchmarkDataset, Dataset, DatasetRevision, JobState, Run, Score

_READ_ON = {"yield_per": 10_000}


class BoardCell(NamedTuple):
    """A score that counts: of which row (the `key` of a `BoardModel`) and column (its slug), on which cell."""

    model: str
    dataset: str
    split: str
    subset: str
    value: float


def own_cells(session: Session, benchmark_id: int) -> Iterator[BoardCell]:
    """The cells of the latest finished runs on the newest revisions of a board's datasets. One query, read on."""
    newest = newest_revisions()
    latest = (
        select(func.max(Run.id))
        .join(newest, newest.c.id == Run.dataset_revision_id)
        .join(BenchmarkDataset, BenchmarkDataset.dataset_id == newest.c.dataset_id)
        .where(BenchmarkDataset.benchmark_id == benchmark_id, Run.state == JobState.DONE)
        .group_by(Run.model_id, Run.dataset_revision_id)
    )
    main_metric = or_(
        *(and_(Dataset.task_type == kind.name, Score.metric == kind.main_metric) for kind in TASK_TYPES.values())
    )
    query = (
        select(Run.model_id, Dataset.slug, Score.split, Score.subset, Score.value)
        .join(Score, Score.run_id == Run.id)
        .join(DatasetRevision, DatasetRevision.id == Run.dataset_revision_id)
        .join(Dataset, Dataset.id == DatasetRevision.dataset_id)
        .where(Run.id.in_(latest), main_metric)
    )
    for model_id, dataset, split, subset, value in session.execute(query, execution_options=_READ_ON):
        yield BoardCell(str(model_id), dataset, split, subset, value)


def imported_cells(session: Session, benchmark_id: int) -> Iterator[BoardCell]:
    """The cells of the results that count on an imported board. One query, read on."""
    query = (
        select(ImportedModel.name, ImportedResult.task, ImportedScore.split, ImportedScore.subset, ImportedScore.value)
        .join(ImportedResult, ImportedResult.model_id == ImportedModel.id)
        .join(ImportedScore, ImportedScore.result_id == ImportedResult.id)
        .where(ImportedModel.benchmark_id == benchmark_id, ImportedResult.chosen)
    )
    for row in session.execute(query, execution_options=_READ_ON):
        yield BoardCell(*row)
