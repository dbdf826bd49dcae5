"""Every table. Relationships are never loaded by accident: the read side names its columns."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.db.types import FiniteFloat, Json, UtcDateTime, db_now


class Base(DeclarativeBase):
    """Constraint names follow one pattern, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # Read by SQLAlchemy.
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: Json, list[str]: Json, float: FiniteFloat}  # noqa: RUF012


class Role(StrEnum):
    """What a person may do; each role includes the ones before it."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """0 for viewer, 1 for member, 2 for admin."""
        return list(Role).index(self)


class JobState(StrEnum):
    """The life of a piece of work: a run, an upload's validation, a model's inspection."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


def created_now() -> Mapped[datetime]:
    """A column with the time at which its row was made."""
    return mapped_column(default=db_now(0))


class Job:
    """Columns of everything a worker claims: the row is the truth and the outbox."""

    state: Mapped[str] = mapped_column(String(16), default=JobState.QUEUED, index=True)
    attempt: Mapped[int] = mapped_column(default=0)
    token: Mapped[str | None] = mapped_column(String(32))
    lease_expires: Mapped[datetime | None]
    progress_at: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    failure_code: Mapped[str | None] = mapped_column(String(64))
    failure: Mapped[dict[str, Any] | None]
    stage: Mapped[str | None] = mapped_column(String(32))
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[datetime] = created_now()
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class User(Base):
    """A person. Without a password hash only a one-time link lets them in."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str | None] = mapped_column(String(256))
    active: Mapped[bool] = mapped_column(default=True, server_default=true())
    created_at: Mapped[datetime] = created_now()


class SignInLink(Base):
    """A link that signs one person in once; only its hash is stored."""

    __tablename__ = "sign_in_links"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = created_now()
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class UserSession(Base):
    """A signed-in browser; only the token's hash is stored."""

    __tablename__ = "sessions"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = created_now()
    seen_at: Mapped[datetime] = mapped_column(default=db_now(0))
    expires_at: Mapped[datetime]
    address: Mapped[str] = mapped_column(String(64), default="")
    agent: Mapped[str] = mapped_column(String(200), default="")


class ApiToken(Base):
    """A key for scripts: shown once, stored as a hash, never more than its owner's role."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(8))
    scope: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = created_now()
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class AuditEntry(Base):
    """One row for every change of state; never dataset text."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=db_now(0), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64), index=True)
    subject: Mapped[str] = mapped_column(String(300))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    address: Mapped[str] = mapped_column(String(64), default="")


class Dataset(Base):
    """A named dataset; its texts live in revisions.

    Scores that differ by no more than `margin`, on the metric's scale, are practically equal; None for the usual one.
    """

    __tablename__ = "datasets"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    task_type: Mapped[str] = mapped_column(String(40))
    languages: Mapped[list[str]]
    description: Mapped[str] = mapped_column(Text, default="")
    margin: Mapped[float | None]
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = created_now()


class DatasetRevision(Base):
    """An immutable content of a dataset, named by the hash of its canonical form."""

    __tablename__ = "dataset_revisions"
    __table_args__ = (UniqueConstraint("dataset_id", "revision"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), index=True)
    revision: Mapped[str] = mapped_column(String(40), index=True)
    canonical_sha256: Mapped[str] = mapped_column(String(64))
    canonical_bytes: Mapped[int] = mapped_column(BigInteger)
    file_name: Mapped[str] = mapped_column(String(255))
    file_sha256: Mapped[str] = mapped_column(String(64), index=True)
    counts: Mapped[dict[str, Any]]
    warnings: Mapped[list[Any]] = mapped_column(Json, default=list)
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = created_now()


class Upload(Job, Base):
    """A file on its way in: stored, validated by the light worker, then published by its owner.

    `state` is the validation's; a finished one has a report, which says whether it can be published. `choices`
    says how the file is scored, as `app.services.choices` writes it; {} for the usual way.
    """

    __tablename__ = "uploads"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    dataset_id: Mapped[int | None] = mapped_column(ForeignKey("datasets.id"))
    name: Mapped[str] = mapped_column(String(120))
    task_type: Mapped[str] = mapped_column(String(40))
    languages: Mapped[list[str]]
    description: Mapped[str] = mapped_column(Text, default="")
    file_name: Mapped[str] = mapped_column(String(255))
    file_sha256: Mapped[str] = mapped_column(String(64))
    file_bytes: Mapped[int] = mapped_column(BigInteger)
    choices: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    report: Mapped[dict[str, Any] | None]
    published_revision_id: Mapped[int | None] = mapped_column(ForeignKey("dataset_revisions.id"))


class Model(Job, Base):
    """One row of a board: a model, its revision and the explicit choices of this variant.

    `state` is the inspection's. `found` holds what the inspection saw, `corrected` what an admin set
    instead; the attribute columns, `parameters` to `reference`, hold what counts (see
    `app.services.model_attributes`): `release_date` as 2024-01-31, `kinds` in MTEB's words, such as dense.
    """

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("name", "revision", "variant"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    revision: Mapped[str] = mapped_column(String(40), default="")
    variant: Mapped[str] = mapped_column(String(64), default="")
    loader: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(16))
    path: Mapped[str | None] = mapped_column(String(1000))
    truncate_dim: Mapped[int | None]
    precision: Mapped[str] = mapped_column(String(16), default="float32", server_default="float32")
    max_tokens_limit: Mapped[int | None]
    dtype: Mapped[str] = mapped_column(String(16), default="float32")
    query_prompt: Mapped[str | None] = mapped_column(Text)
    document_prompt: Mapped[str | None] = mapped_column(Text)

    parameters: Mapped[int | None] = mapped_column(BigInteger)
    dimensions: Mapped[int | None]
    max_tokens: Mapped[int | None]
    memory_mb: Mapped[float | None]
    memory_dtype: Mapped[str | None] = mapped_column(String(32))
    licence: Mapped[str | None] = mapped_column(String(100))
    languages: Mapped[list[str]] = mapped_column(default=list)
    similarity: Mapped[str | None] = mapped_column(String(32))
    prompts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    training_datasets: Mapped[list[str] | None]
    release_date: Mapped[str | None] = mapped_column(String(10))
    active_parameters: Mapped[int | None] = mapped_column(BigInteger)
    open_weights: Mapped[bool | None]
    training_code: Mapped[str | None] = mapped_column(String(1000))
    training_data: Mapped[str | None] = mapped_column(String(1000))
    citation: Mapped[str | None] = mapped_column(Text)
    kinds: Mapped[list[str]] = mapped_column(default=list, server_default=text("'[]'"))
    reference: Mapped[str | None] = mapped_column(String(1000))
    found: Mapped[dict[str, Any]] = mapped_column(default=dict)
    corrected: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))


class BoardKind(StrEnum):
    """Where a board's scores come from: our own runs, or MTEB result files."""

    OWN = "own"
    IMPORTED = "imported"


class Benchmark(Base):
    """A named set of datasets: one board."""

    __tablename__ = "benchmarks"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    description: Mapped[str] = mapped_column(Text, default="")
    kind: Mapped[str] = mapped_column(String(16), default=BoardKind.OWN, server_default=BoardKind.OWN)
    is_default: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = created_now()


class BenchmarkDataset(Base):
    """A column of a board; the dataset's newest revision counts."""

    __tablename__ = "benchmark_datasets"

    benchmark_id: Mapped[int] = mapped_column(ForeignKey("benchmarks.id"), primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    position: Mapped[int] = mapped_column(default=0)


class SavedView(Base):
    """A look at a board with a name, in normal form (`app.services.saved_views`).

    A shared one is shown to everybody, the others to who saved them.

    Attributes:
        tab: the address behind that of the board, "" for Summary.
        query: that behind the "?"; it holds the axis of a chart too, as `axis`.
    """

    __tablename__ = "saved_views"
    __table_args__ = (UniqueConstraint("benchmark_id", "owner_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    benchmark_id: Mapped[int] = mapped_column(ForeignKey("benchmarks.id", ondelete="CASCADE"))
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(80))
    tab: Mapped[str] = mapped_column(String(20), default="")
    query: Mapped[str] = mapped_column(Text, default="")
    shared: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = created_now()


class Run(Job, Base):
    """One evaluation of one model on one dataset revision.

    A finished one has its main score, the mean of the main metric over its `cells` (splits and subsets), and between
    what it lies (95%), from `main_n` examples; None where it kept none, as long ago. A `fresh` one encodes every text
    itself and takes no vector from the store: it repeats another one.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_claim", "state", "priority", "id"),
        Index("ix_runs_pair", "model_id", "dataset_revision_id", "state"),
        # All that a board reads of its finished runs.
        Index("ix_runs_board", "dataset_revision_id", "state", "model_id", "main_score", "cells"),
        # At most one run of a pair waits or works; asking twice cannot queue twice.
        Index(
            "uq_runs_open_pair",
            "model_id",
            "dataset_revision_id",
            unique=True,
            sqlite_where=text("state IN ('queued', 'running')"),
            postgresql_where=text("state IN ('queued', 'running')"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    dataset_revision_id: Mapped[int] = mapped_column(ForeignKey("dataset_revisions.id"))
    priority: Mapped[int] = mapped_column(default=0)
    queued_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    device: Mapped[str | None] = mapped_column(String(64))
    texts_per_second: Mapped[float | None]
    main_score: Mapped[float | None]
    main_low: Mapped[float | None]
    main_high: Mapped[float | None]
    main_n: Mapped[int | None]
    cells: Mapped[int | None]
    fresh: Mapped[bool] = mapped_column(default=False, server_default=false())
    provenance: Mapped[dict[str, Any] | None]
    log: Mapped[str] = mapped_column(Text, default="")


class Score(Base):
    """A metric of one cell of a run, 0 to 1 (p-MRR and correlations -1 to 1), finite.

    The main one has its 95% interval, from `n` examples.
    """

    __tablename__ = "scores"
    __table_args__ = (CheckConstraint("value > -1e300 AND value < 1e300", name="finite"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    split: Mapped[str] = mapped_column(String(40), primary_key=True)
    subset: Mapped[str] = mapped_column(String(80), primary_key=True)
    metric: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[float]
    low: Mapped[float | None]
    high: Mapped[float | None]
    n: Mapped[int | None]


class Evidence(Base):
    """Where a run's per-example values of one cell lie: an .npz blob."""

    __tablename__ = "evidence"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    split: Mapped[str] = mapped_column(String(40), primary_key=True)
    subset: Mapped[str] = mapped_column(String(80), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    blob_sha256: Mapped[str] = mapped_column(String(64))


class BoardCertaintyRow(Base):
    """How sure a board is, as a light worker computed it (`app.services.certainty`).

    Attributes:
        inputs: a hash of all that it was computed from; what has another one by now is not shown.
        content: arrays, as an .npz file.
    """

    __tablename__ = "board_certainty"

    benchmark_id: Mapped[int] = mapped_column(ForeignKey("benchmarks.id", ondelete="CASCADE"), primary_key=True)
    inputs: Mapped[str] = mapped_column(String(64))
    content: Mapped[bytes] = mapped_column(LargeBinary)
    computed_at: Mapped[datetime] = created_now()


class Measurement(Base):
    """What a model costs on one kind of device, measured by a worker on the same texts for every model.

    Attributes:
        device: as people name it, such as "cuda: NVIDIA H200"; figures of different devices are never mixed.
        run_id: the run after which it was measured.
        peak_memory_mb: in MB of 1,024² bytes: of the GPU, else of the worker's process.
        query_p50_ms: milliseconds to encode one query at batch 1, the median.
        query_p95_ms: likewise, the 95th percentile.
        documents_per_second: in batches as a run makes them.
    """

    __tablename__ = "measurements"

    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), primary_key=True)
    device: Mapped[str] = mapped_column(String(120), primary_key=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id"))
    peak_memory_mb: Mapped[float]
    query_p50_ms: Mapped[float]
    query_p95_ms: Mapped[float]
    documents_per_second: Mapped[float]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    measured_at: Mapped[datetime] = created_now()


class Stamp(Base):
    """A number that rises with every change of something; see `app.db.changes`."""

    __tablename__ = "stamps"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger, default=0)


class Worker(Base):
    """A worker process and its last sign of life."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    queue: Mapped[str] = mapped_column(String(16))
    device: Mapped[str] = mapped_column(String(64), default="")
    version: Mapped[str] = mapped_column(String(32), default="")
    started_at: Mapped[datetime] = mapped_column(default=db_now(0))
    seen_at: Mapped[datetime] = mapped_column(default=db_now(0))
