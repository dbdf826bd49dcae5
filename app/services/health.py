"""What a working house needs, checked one by one: for `touchstone doctor`, /readyz and the admin's page."""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from kombu import Connection
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from app.db.session import Database
from app.db.tables import DatasetRevision, JobState, Run, Worker
from app.db.types import db_now
from app.queue import make_celery
from app.settings import Settings
from app.storage.blobs import BlobStore

LEAST_FREE_BYTES = 1000**3


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what to do when it is not well."""

    name: str
    ok: bool
    message: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def ready(settings: Settings, database: Database) -> list[Check]:
    """What the web needs to answer: database, schema, data folder, broker."""
    return [
        _guarded("database", lambda: _database(database)),
        _guarded("schema", lambda: _schema(database)),
        _guarded("data folder", lambda: _data_folder(settings)),
        _guarded("broker", lambda: _broker(settings)),
    ]


def examine(settings: Settings) -> list[Check]:
    """Everything: what the web needs, workers, engine, stored files, the queue."""
    database = Database.from_settings(settings)
    try:
        checks = ready(settings, database)
        if not all(check.ok for check in checks[:2]):
            return checks
        return [
            *checks,
            _guarded("light worker", lambda: _workers(database, "light")),
            _guarded("encode worker", lambda: _workers(database, "encode")),
            _guarded("engine", _engine),
            _guarded("files", lambda: _files(settings, database)),
            _guarded("runs", lambda: _runs(database)),
        ]
    finally:
        database.dispose()


def _guarded(name: str, look: Callable[[], tuple[bool, str]]) -> Check:
    try:
        ok, message = look()
    except (SQLAlchemyError, BrokerError, OSError) as error:
        return Check(name, False, str(error).splitlines()[0])
    return Check(name, ok, message)


def _database(database: Database) -> tuple[bool, str]:
    with database.reading() as session:
        session.execute(text("SELECT 1"))
    return True, database.engine.dialect.name


def _schema(database: Database) -> tuple[bool, str]:
    from app.db import migrate  # noqa: PLC0415 -- Alembic, which the web does not need to start

    current, head = migrate.current(database.engine), migrate.head(database.engine)
    if current == head:
        return True, f"at {head}"
    return False, f"at {current or 'nothing'}, this version wants {head}; run `touchstone migrate`"


def _data_folder(settings: Settings) -> tuple[bool, str]:
    with tempfile.TemporaryFile(dir=settings.data_dir) as file:
        file.write(b"touchstone")
        file.flush()
        os.fsync(file.fileno())
    free = shutil.disk_usage(settings.data_dir).free
    return free >= LEAST_FREE_BYTES, f"writable, {free / 1000**3:.1f} GB free"


def _broker(settings: Settings) -> tuple[bool, str]:
    if settings.celery_broker_url.startswith("filesystem:"):
        make_celery(settings)
        return True, "files in the data folder"
    with Connection(settings.celery_broker_url, connect_timeout=3) as connection:
        connection.ensure_connection(max_retries=1, timeout=3)
        return True, connection.transport_cls if isinstance(connection.transport_cls, str) else "connected"


def _workers(database: Database, queue: str) -> tuple[bool, str]:
    with database.reading() as session:
        names = session.scalars(
            select(Worker.name).where(Worker.queue == queue, Worker.seen_at > db_now(-120)).order_by(Worker.name)
        ).all()
    return bool(names), ", ".join(names) or f"none was seen in the last two minutes; run `touchstone worker {queue}`"


def _engine() -> tuple[bool, str]:
    try:
        return True, ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "sentence-transformers"))
    except metadata.PackageNotFoundError as error:
        return False, f"{error.name} is not installed here; install the extra named worker where workers run"


def _files(settings: Settings, database: Database) -> tuple[bool, str]:
    blobs = BlobStore(settings.blobs_dir)
    with database.reading() as session:
        wanted = session.execute(select(DatasetRevision.revision, DatasetRevision.canonical_sha256)).all()
    missing = [revision for revision, sha256 in wanted if not blobs.exists(sha256)]
    if missing:
        return False, f"{len(missing)} of {len(wanted)} dataset revisions have no file, first {missing[0][:12]}"
    return True, f"{len(wanted)} dataset revisions, all files here"


def _runs(database: Database) -> tuple[bool, str]:
    with database.reading() as session:
        counts = {row[0]: row[1] for row in session.execute(select(Run.state, func.count()).group_by(Run.state))}
        stuck = session.scalar(
            select(func.count()).where(Run.state == JobState.RUNNING, Run.lease_expires < db_now(-120))
        )
    if stuck:
        return False, f"{stuck} runs lost their worker and wait for a sweep; is a worker running?"
    return True, ", ".join(f"{counts[state]} {state}" for state in JobState if counts.get(state)) or "none yet"
