"""What the dataset pages show: each function a constant number of queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from app.db.tables import (
    Benchmark,
    BenchmarkDataset,
    Dataset,
    DatasetRevision,
    JobState,
    Run,
    Upload,
    User,
)


@dataclass(frozen=True, slots=True)
class BoardLink:
    """A board by name; `is_default` for the one that `/` shows."""

    slug: str
    name: str
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A dataset with its newest revision; `results` counts the models with a finished run on that one.

    `choices` say how that revision is scored (`app.services.choices`).
    """

    id: int
    slug: str
    name: str
    task_type: str
    languages: tuple[str, ...]
    description: str
    owner_id: int
    owner: str
    revision_id: int
    revision: str
    canonical_sha256: str
    counts: Mapping[str, int]
    warnings: tuple[Mapping[str, Any], ...]
    published_at: datetime
    revisions: int
    results: int
    choices: Mapping[str, Any]
    boards: tuple[BoardLink, ...]

    @property
    def counts_text(self) -> str:
        """The counts in words."""
        return counts_text(self.counts)


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One content of a dataset: the file it came as, and what it holds."""

    revision: str
    file_name: str
    file_sha256: str
    counts: Mapping[str, int]
    warnings: int
    created_by: str
    created_at: datetime
    results: int

    @property
    def counts_text(self) -> str:
        """The counts in words."""
        return counts_text(self.counts)


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An upload that is not published. `ok` is None until its validation has finished."""

    id: int
    name: str
    task_type: str
    file_name: str
    file_bytes: int
    state: JobState
    ok: bool | None
    problems: int
    dataset_slug: str | None
    created_at: datetime


def totals(session: Session) -> tuple[int, datetime | None]:
    """How many datasets there are, and when the newest revision came. One query."""
    query = select(func.count(func.distinct(DatasetRevision.dataset_id)), func.max(DatasetRevision.created_at))
    count, newest = session.execute(query).one()
    return count, newest


def list_datasets(session: Session, *, kind: str = "", text: str = "") -> tuple[DatasetRow, ...]:
    """Datasets by name; of one task type, or with `text` in the name, if given. Two queries."""
    query = _datasets().order_by(func.lower(Dataset.name), Dataset.id)
    if kind:
        query = query.where(Dataset.task_type == kind)
    if text:
        # SQLite folds only ASCII; the slug is folded already, in every script.
        in_name = Dataset.name.icontains(text, autoescape=True)
        query = query.where(or_(in_name, Dataset.slug.contains(text.casefold(), autoescape=True)))
    return _dataset_rows(session, query)


def find_dataset(session: Session, slug: str) -> DatasetRow | None:
    """That dataset. Two queries."""
    return next(iter(_dataset_rows(session, _datasets().where(Dataset.slug == slug))), None)


def revisions_of(session: Session, dataset_id: int) -> tuple[RevisionRow, ...]:
    """Every revision, the newest first. One query."""
    query = (
        select(DatasetRevision, User.name, _results().label("results"))
        .join(User, User.id == DatasetRevision.created_by)
        .where(DatasetRevision.dataset_id == dataset_id)
        .order_by(DatasetRevision.id.desc())
    )
    return tuple(
        RevisionRow(
            revision=revision.revision,
            file_name=revision.file_name,
            file_sha256=revision.file_sha256,
            counts=revision.counts,
            warnings=len(revision.warnings),
            created_by=name,
            created_at=revision.created_at,
            results=results,
        )
        for revision, name, results in session.execute(query)
    )


def waiting_uploads(session: Session, owner_id: int) -> tuple[UploadRow, ...]:
    """A person's uploads that are not published, the newest first. One query; the reports stay where they are."""
    query = (
        select(
            Upload.id,
            Upload.name,
            Upload.task_type,
            Upload.file_name,
            Upload.file_bytes,
            Upload.state,
            Upload.report["ok"].as_boolean().label("ok"),
            Upload.report["total_problems"].as_integer().label("problems"),
            Dataset.slug.label("dataset_slug"),
            Upload.created_at,
        )
        .outerjoin(Dataset, Dataset.id == Upload.dataset_id)
        .where(Upload.owner_id == owner_id, Upload.published_revision_id.is_(None))
        .order_by(Upload.id.desc())
    )
    return tuple(
        UploadRow(**{**row, "state": JobState(row["state"]), "problems": row["problems"] or 0})
        for row in session.execute(query).mappings()
    )


def board_links(session: Session) -> tuple[BoardLink, ...]:
    """Every board, the default first. One query."""
    query = select(Benchmark.slug, Benchmark.name, Benchmark.is_default)
    return tuple(
        BoardLink(*row) for row in session.execute(query.order_by(Benchmark.is_default.desc(), Benchmark.name))
    )


def counts_text(counts: Mapping[str, int]) -> str:
    """Counts in words, such as "210 queries, 1 document"."""
    return ", ".join(f"{number:,} {_one(name) if number == 1 else name}" for name, number in counts.items())


def _one(name: str) -> str:
    """One of what is counted."""
    return f"{name.removesuffix('ies')}y" if name.endswith("ies") else name.removesuffix("s")


def _results() -> Any:
    """How many models have a finished run on the revision of the row."""
    done = Run.state == JobState.DONE
    return (
        select(func.count(func.distinct(Run.model_id)))
        .where(Run.dataset_revision_id == DatasetRevision.id, done)
        .correlate(DatasetRevision)
        .scalar_subquery()
    )


def _datasets() -> Select[Any]:
    newest = (
        select(
            DatasetRevision.dataset_id,
            func.max(DatasetRevision.id).label("id"),
            func.count().label("revisions"),
        )
        .group_by(DatasetRevision.dataset_id)
        .subquery("newest")
    )
    return (
        select(Dataset, DatasetRevision, User.name, newest.c.revisions, _results().label("results"), Upload.choices)
        .join(newest, newest.c.dataset_id == Dataset.id)
        .join(DatasetRevision, DatasetRevision.id == newest.c.id)
        .join(User, User.id == Dataset.owner_id)
        .outerjoin(Upload, Upload.published_revision_id == DatasetRevision.id)
    )


def _dataset_rows(session: Session, query: Select[Any]) -> tuple[DatasetRow, ...]:
    found = session.execute(query).all()
    boards = _boards_of(session, [dataset.id for dataset, *_ in found])
    return tuple(
        DatasetRow(
            id=dataset.id,
            slug=dataset.slug,
            name=dataset.name,
            task_type=dataset.task_type,
            languages=tuple(dataset.languages),
            description=dataset.description,
            owner_id=dataset.owner_id,
            owner=owner,
            revision_id=revision.id,
            revision=revision.revision,
            canonical_sha256=revision.canonical_sha256,
            counts=revision.counts,
            warnings=tuple(revision.warnings),
            published_at=revision.created_at,
            revisions=revisions,
            results=results,
            choices=choices or {},
            boards=tuple(boards.get(dataset.id, ())),
        )
        for dataset, revision, owner, revisions, results, choices in found
    )


def _boards_of(session: Session, dataset_ids: Sequence[int]) -> dict[int, list[BoardLink]]:
    query = (
        select(BenchmarkDataset.dataset_id, Benchmark.slug, Benchmark.name, Benchmark.is_default)
        .join(Benchmark, Benchmark.id == BenchmarkDataset.benchmark_id)
        .where(BenchmarkDataset.dataset_id.in_(dataset_ids))
        .order_by(Benchmark.is_default.desc(), Benchmark.name)
    )
    boards: dict[int, list[BoardLink]] = {}
    for dataset_id, slug, name, is_default in session.execute(query):
        boards.setdefault(dataset_id, []).append(BoardLink(slug, name, is_default))
    return boards
