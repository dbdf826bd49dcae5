"""The tables of imported boards: what goes with a benchmark is deleted with it."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables import Base, created_now
from app.db.types import Json


def _of_benchmark(**options: Any) -> Mapped[int]:
    return mapped_column(ForeignKey("benchmarks.id", ondelete="CASCADE"), **options)


class ImportedArchive(Base):
    """The original bytes of one import, as a zip in the blob store. `definition` is "" for every task found."""

    __tablename__ = "imported_archives"

    id: Mapped[int] = mapped_column(primary_key=True)
    benchmark_id: Mapped[int] = _of_benchmark(index=True)
    blob_sha256: Mapped[str] = mapped_column(String(64), index=True)
    file_name: Mapped[str] = mapped_column(String(255))
    files: Mapped[int]
    definition: Mapped[str] = mapped_column(String(200), default="")
    excluded: Mapped[list[str]] = mapped_column(default=list)
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = created_now()


class ImportedColumn(Base):
    """A task of an imported board; `cells` holds the [split, subset] pairs whose mean is its score."""

    __tablename__ = "imported_columns"

    benchmark_id: Mapped[int] = _of_benchmark(primary_key=True)
    task: Mapped[str] = mapped_column(String(200), primary_key=True)
    position: Mapped[int]
    task_type: Mapped[str] = mapped_column(String(40))
    cells: Mapped[list[list[str]]] = mapped_column(Json)
    languages: Mapped[list[str]]


class ImportedModel(Base):
    """One revision of a model on an imported board; `meta` is what its model_meta.json states."""

    __tablename__ = "imported_models"
    __table_args__ = (UniqueConstraint("benchmark_id", "name", "revision"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    benchmark_id: Mapped[int] = _of_benchmark()
    name: Mapped[str] = mapped_column(String(200))
    revision: Mapped[str] = mapped_column(String(100))
    meta: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ImportedResult(Base):
    """One result file. `chosen`: of all results of a model's name on a task, the one that counts."""

    __tablename__ = "imported_results"
    __table_args__ = (Index("ix_imported_results_model_id_task", "model_id", "task"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("imported_models.id", ondelete="CASCADE"))
    archive_id: Mapped[int] = mapped_column(ForeignKey("imported_archives.id", ondelete="CASCADE"), index=True)
    task: Mapped[str] = mapped_column(String(200))
    mteb_version: Mapped[str | None] = mapped_column(String(64))
    chosen: Mapped[bool]


class ImportedScore(Base):
    """The main metric of one cell of a result file, on mteb's scale, finite."""

    __tablename__ = "imported_scores"
    __table_args__ = (CheckConstraint("value > -1e300 AND value < 1e300", name="finite"),)

    result_id: Mapped[int] = mapped_column(ForeignKey("imported_results.id", ondelete="CASCADE"), primary_key=True)
    split: Mapped[str] = mapped_column(String(64), primary_key=True)
    subset: Mapped[str] = mapped_column(String(200), primary_key=True)
    value: Mapped[float]
