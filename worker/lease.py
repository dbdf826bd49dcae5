"""A claim kept alive from a thread, and the progress it reports."""

import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import structlog
from celery.worker import state as celery_state
from sqlalchemy.exc import SQLAlchemyError

from app.db.session import Database
from app.db.tables import Run
from app.services import jobs
from app.settings import Settings

log = structlog.get_logger(__name__)

GIVE_UP_SECONDS = 60.0
PROGRESS_SECONDS = 1.0


class Stop(Exception):
    """The work must not go on; says why by its class."""


class LeaseLost(Stop):
    """Another attempt owns the row, or the database could not be reached for too long."""


class CancelRequested(Stop):
    """Somebody cancelled it."""


class WorkerStopping(Stop):
    """This worker was asked to end; the job goes back into the queue."""


def worker_stopping() -> bool:
    """Whether this process has been asked to end (the first SIGTERM or Ctrl-C)."""
    # Celery stores the exit code to come, and 0 is one: only None and False mean "go on".
    asked = (celery_state.should_stop, celery_state.should_terminate)
    return any(code is not None and code is not False for code in asked)


class Lease:
    """Renews a claim every `heartbeat_seconds`, and about once a second while there is progress to tell.

    It is the `Progress` the engine reports to: `stage`, `advance`, and `check`, which raises Stop.
    Use as a context manager around the work.
    """

    def __init__(self, database: Database, held: jobs.Claim, settings: Settings) -> None:
        self.held = held
        self.lines: list[str] = []
        self._database = database
        self._lease_seconds = settings.lease_seconds
        self._heartbeat_seconds = settings.heartbeat_seconds
        self._give_up_seconds = min(GIVE_UP_SECONDS, settings.lease_seconds * 2 / 3)
        self._stage, self._done, self._total, self._stage_started = "start", 0, 0, time.monotonic()
        self._lost = self._cancelled = False
        self._last_success = time.monotonic()
        self._changed, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{held.id}", daemon=True)

    def __enter__(self) -> "Lease":
        self.note(f"attempt {self.held.attempt} begins")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._changed.set()
        self._thread.join()

    def note(self, line: str) -> None:
        """Add a line to the job's log."""
        self.lines.append(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}")

    @property
    def log_text(self) -> str:
        """The job's log so far."""
        return "\n".join(self.lines)

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of `total` steps (texts, mostly); 0 where steps are not counted."""
        self._stage, self._done, self._total, self._stage_started = name, 0, total, time.monotonic()
        self.note(f"{name}: {total:,} texts" if name == "encode" else name)
        self._changed.set()

    def advance(self, done: int, total: int | None = None) -> None:
        """So many steps of the stage are done, in all; `total` where it turned out to be another."""
        self._done = done
        self._total = self._total if total is None else total
        self._changed.set()

    def check(self) -> None:
        """Raise Stop when the work must not go on."""
        if self._lost or self._silent_for_too_long():
            raise LeaseLost
        if self._cancelled:
            raise CancelRequested
        if worker_stopping():
            raise WorkerStopping

    def _silent_for_too_long(self) -> bool:
        """Whether no renewal has come through; also while the thread hangs in one."""
        return time.monotonic() - self._last_success > self._give_up_seconds

    def _keep(self) -> None:
        last_beat = time.monotonic()
        while not self._ended.is_set() and not self._lost:
            changed = self._changed.wait(timeout=self._heartbeat_seconds)
            if self._ended.is_set():
                return
            self._changed.clear()
            now = time.monotonic()
            if changed and now - last_beat < PROGRESS_SECONDS:
                self._ended.wait(PROGRESS_SECONDS - (now - last_beat))
            last_beat = time.monotonic()
            try:
                self._renew()
                self._last_success = time.monotonic()
            except SQLAlchemyError as error:
                log.warning("heartbeat failed", job=self.held.id, error=str(error))
                self._lost = self._silent_for_too_long()
                self._ended.wait(1.0)
                self._changed.set()

    def _renew(self) -> None:
        with self._database.session() as session:
            cancelled = jobs.renew(session, self.held, lease_seconds=self._lease_seconds, **self._progress())
        if cancelled is None:
            self._lost = True
        elif cancelled:
            self._cancelled = True

    def _progress(self) -> dict[str, Any]:
        progress: dict[str, Any] = {"stage": self._stage, "done": self._done, "total": self._total}
        if self.held.table is Run:
            elapsed = time.monotonic() - self._stage_started
            progress["texts_per_second"] = self._done / elapsed if self._done and elapsed > 0.2 else None
        return progress
