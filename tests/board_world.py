"""A small house for the tests of boards: people, datasets, models and runs, written straight into the tables."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event, select

from app.core.task_types import task_type
from app.db.session import Database
from app.db.tables import Dataset, DatasetRevision, JobState, Measurement, Model, Role, Run, Score, User
from app.services import benchmarks
from app.services.accounts import Person

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
GPU, CPU = "cuda: NVIDIA H200", "cpu: AMD EPYC 9454, 2 threads"


class World:
    """Adds rows; each method is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.session() as session:
            user = session.scalar(select(User).where(User.name == "ada"))
            if user is None:
                user = User(name="ada", role=Role.ADMIN)
                session.add(user)
                session.flush()
            self.person = Person(user.id, user.name, Role.ADMIN)

    def dataset(
        self,
        slug: str,
        kind: str = "STS",
        *,
        name: str = "",
        languages: Sequence[str] = ("eng-Latn",),
        revisions: int = 1,
    ) -> int:
        """A dataset with so many revisions; its name is the slug unless given. Returns its id."""
        with self.database.session() as session:
            row = Dataset(
                slug=slug,
                name=name or slug,
                task_type=kind,
                languages=list(languages),
                description=f"About {slug}.",
                owner_id=self.person.id,
            )
            session.add(row)
            session.flush()
            dataset_id = row.id
        for number in range(revisions):
            self.revision(slug, number)
        return dataset_id

    def revision(self, slug: str, number: int) -> None:
        """One more content of a dataset."""
        with self.database.session() as session:
            dataset_id = session.scalars(select(Dataset.id).where(Dataset.slug == slug)).one()
            session.add(
                DatasetRevision(
                    dataset_id=dataset_id,
                    revision=f"{number:040x}",
                    canonical_sha256="0" * 64,
                    canonical_bytes=1,
                    file_name="data.csv",
                    file_sha256=f"{dataset_id:032x}{number:032x}",
                    counts={"pairs": 1200},
                    created_by=self.person.id,
                )
            )

    def model(self, name: str, **columns: Any) -> int:
        """A model that is ready to run. Returns its id."""
        values = {"loader": "dense", "source": "hub", "state": JobState.DONE, "created_by": self.person.id, **columns}
        with self.database.session() as session:
            row = Model(name=name, **values)
            session.add(row)
            session.flush()
            return row.id

    def run(
        self,
        model_id: int,
        slug: str,
        score: float | Mapping[tuple[str, str], float] | None = None,
        *,
        state: JobState = JobState.DONE,
        **columns: Any,
    ) -> int:
        """A run on the newest revision of a dataset; with a score for its one cell, or by cell. Returns its id."""
        with self.database.session() as session:
            newest = (
                select(DatasetRevision.id, Dataset.task_type)
                .join(Dataset, Dataset.id == DatasetRevision.dataset_id)
                .where(Dataset.slug == slug)
                .order_by(DatasetRevision.id.desc())
                .limit(1)
            )
            revision_id, kind = session.execute(newest).one()
            cells = score if isinstance(score, Mapping) else {} if score is None else {("test", "default"): score}
            if cells:
                columns = {"main_score": sum(cells.values()) / len(cells), "cells": len(cells), **columns}
            row = Run(
                model_id=model_id,
                dataset_revision_id=revision_id,
                queued_by=self.person.id,
                state=state,
                finished_at=NOW if state in {JobState.DONE, JobState.FAILED} else None,
                **columns,
            )
            session.add(row)
            session.flush()
            for (split, subset), value in cells.items():
                metric = task_type(kind).main_metric
                session.add(Score(run_id=row.id, split=split, subset=subset, metric=metric, value=value))
                session.add(Score(run_id=row.id, split=split, subset=subset, metric="another_metric", value=-1.0))
            return row.id

    def measure(
        self, model_id: int, device: str, *, memory: float = 500.0, p50: float = 4.0, rate: float = 1000.0
    ) -> None:
        """What a model costs on a device; p95 is twice p50."""
        with self.database.session() as session:
            session.add(
                Measurement(
                    model_id=model_id,
                    device=device,
                    peak_memory_mb=memory,
                    query_p50_ms=p50,
                    query_p95_ms=2 * p50,
                    documents_per_second=rate,
                )
            )

    def measured(self) -> str:
        """A board of three models: two were measured on a GPU, one of them on a CPU too. Returns its slug."""
        self.dataset("a")
        fast, slow, other = (self.model(f"acme/{name}") for name in ("fast", "slow", "other"))
        for model, score in ((fast, 0.5), (slow, 0.9), (other, 0.7)):
            self.run(model, "a", score)
        self.measure(fast, GPU, memory=200.0, p50=0.5, rate=9000.0)
        self.measure(slow, GPU, memory=8000.0, p50=12.25, rate=80.0)
        self.measure(slow, CPU, memory=9000.0, p50=480.0, rate=1.5)
        return self.board("a", name="Measured")

    def board(self, *slugs: str, name: str = "Help desk") -> str:
        """A benchmark of these datasets. Returns its slug."""
        with self.database.session() as session:
            return benchmarks.create(session, self.person, name=name, dataset_slugs=slugs).slug

    def full(self) -> str:
        """A complete model, a variant whose run goes on, a model whose run failed; two types. Returns its slug."""
        self.dataset("pairs", "STS")
        self.dataset("articles", "Retrieval")
        strong = self.model(
            "acme/strong",
            dimensions=384,
            max_tokens=512,
            parameters=22_700_000,
            memory_mb=86.6,
            memory_dtype="float32",
            training_datasets=["pairs"],
        )
        small = self.model("acme/strong", variant="128 d", dimensions=128)
        weak = self.model("zeta/weak", training_datasets=[])
        self.run(strong, "pairs", 0.9)
        self.run(strong, "articles", 0.75)
        self.run(small, "pairs", 0.8)
        self.run(small, "articles", state=JobState.RUNNING, done=30, total=120)
        self.run(weak, "pairs", 0.95)
        self.run(weak, "articles", state=JobState.FAILED, failure={"message": "The model is broken."})
        return self.board("pairs", "articles")


@contextmanager
def counted_statements(database: Database) -> Iterator[list[str]]:
    """The SELECTs that are sent while the block runs."""
    statements: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
