"""What an imported board holds, by model name and task."""

from typing import Any, NamedTuple

from sqlalchemy import Float, func, select
from sqlalchemy.orm import Session

from app.db.imported_tables import ImportedArchive, ImportedColumn, ImportedModel, ImportedResult, ImportedScore


class ImportedMean(NamedTuple):
    """The mean over the cells of a task that a model's chosen result has; of a name and a task there is one."""

    model_id: int
    task: str
    mean: float
    cells: int


class NamedModel(NamedTuple):
    """One revision of a model, with what its model_meta.json states."""

    id: int
    name: str
    revision: str
    meta: dict[str, Any]


def imported_columns(session: Session, benchmark_id: int) -> list[ImportedColumn]:
    """The tasks of an imported board, in its order. One query."""
    query = select(ImportedColumn).where(ImportedColumn.benchmark_id == benchmark_id)
    return list(session.scalars(query.order_by(ImportedColumn.position, ImportedColumn.task)))


def imported_models(session: Session, benchmark_id: int) -> list[NamedModel]:
    """Every revision of every model, by name; of one name the last imported comes last. One query."""
    query = (
        select(ImportedModel.id, ImportedModel.name, ImportedModel.revision, ImportedModel.meta)
        .where(ImportedModel.benchmark_id == benchmark_id)
        .order_by(ImportedModel.name, ImportedModel.id)
    )
    return [NamedModel(*row) for row in session.execute(query)]


def imported_means(session: Session, benchmark_id: int) -> list[ImportedMean]:
    """The means of all models on all tasks, of the results that count. One query."""
    query = (
        select(ImportedResult.model_id, ImportedResult.task, func.avg(ImportedScore.value, type_=Float()), func.count())
        .join(ImportedModel, ImportedModel.id == ImportedResult.model_id)
        .join(ImportedScore, ImportedScore.result_id == ImportedResult.id)
        .where(ImportedModel.benchmark_id == benchmark_id, ImportedResult.chosen)
        .group_by(ImportedResult.id)
    )
    return [ImportedMean(*row) for row in session.execute(query)]


def last_import(session: Session, benchmark_id: int) -> Any:
    """When results were imported last."""
    query = select(func.max(ImportedArchive.created_at)).where(ImportedArchive.benchmark_id == benchmark_id)
    return session.scalar(query)
