"""What the admin's pages about workers and storage read."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.db.tables import Dataset, DatasetRevision, JobState, Model, Run, Upload, Worker
from app.db.types import db_now

ALIVE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Doing:
    """A piece of work in a worker's hands; `href` is "" where it has no page for everyone."""

    text: str
    href: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker process. `alive`: it gave a sign of life in the last two minutes."""

    name: str
    queue: str
    device: str
    version: str
    started_at: datetime
    seen_at: datetime
    alive: bool
    doing: tuple[Doing, ...]


def list_workers(session: Session) -> tuple[WorkerRow, ...]:
    """Every worker that was seen in the last day, with what it does now."""
    doing = _in_hand(session)
    workers = session.execute(
        select(
            Worker.name,
            Worker.queue,
            Worker.device,
            Worker.version,
            Worker.started_at,
            Worker.seen_at,
            Worker.seen_at > db_now(-ALIVE_SECONDS),
        ).order_by(Worker.queue, Worker.name)
    )
    return tuple(WorkerRow(*row, doing=tuple(doing.get(row[0], ()))) for row in workers)


def count_alive(session: Session, queue: str) -> int:
    """How many workers of that queue gave a sign of life in the last two minutes."""
    alive = select(func.count()).select_from(Worker)
    return session.scalar(alive.where(Worker.queue == queue, Worker.seen_at > db_now(-ALIVE_SECONDS))) or 0


def database_bytes(session: Session) -> int:
    """How large the database is, without the log of what is being written."""
    if session.get_bind().dialect.name == "postgresql":
        return session.scalar(text("SELECT pg_database_size(current_database())")) or 0
    pages = text("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
    return session.scalar(pages) or 0


def models_by_store(session: Session) -> dict[str, str]:
    """Folder of the vector store -> name of the model whose vectors it holds, as finished runs report it."""
    stores = Run.provenance["stores"]
    query = select(Model.name, stores).join(Run, Run.model_id == Model.id).where(Run.state == JobState.DONE)
    return {folder: name for name, folders in session.execute(query.order_by(Run.id)) for folder in folders or ()}


def _in_hand(session: Session) -> dict[str, list[Doing]]:
    """What runs now, by the name of its worker."""
    doing: dict[str, list[Doing]] = {}
    runs = (
        select(Run.worker, Run.id, Model.name, Dataset.name, Run.started_at)
        .join(Model, Model.id == Run.model_id)
        .join(DatasetRevision, DatasetRevision.id == Run.dataset_revision_id)
        .join(Dataset, Dataset.id == DatasetRevision.dataset_id)
        .where(Run.state == JobState.RUNNING)
        .order_by(Run.id)
    )
    for worker, run_id, model, dataset, since in session.execute(runs):
        doing.setdefault(worker or "", []).append(Doing(f"{model} → {dataset}", f"/runs/{run_id}", since))
    models = select(Model.worker, Model.name, Model.started_at).where(Model.state == JobState.RUNNING)
    for worker, name, since in session.execute(models.order_by(Model.id)):
        doing.setdefault(worker or "", []).append(Doing(f"inspects {name}", f"/models/{name}", since))
    uploads = select(Upload.worker, Upload.name, Upload.started_at).where(Upload.state == JobState.RUNNING)
    for worker, name, since in session.execute(uploads.order_by(Upload.id)):
        doing.setdefault(worker or "", []).append(Doing(f"validates {name}", "", since))
    return doing
