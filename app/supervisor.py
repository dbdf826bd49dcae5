"""`touchstone up`: web, light worker and encode worker as children of one process, restarted when they die."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.db.session import Database
from app.services import jobs
from app.settings import Settings

log = structlog.get_logger(__name__)

GRACE_SECONDS = 5.0
WEB_FIRST_SECONDS = 15.0
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Child:
    """One child process and how to start it again."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    quick_deaths: int = 0
    start_after: float = 0.0

    @property
    def worker_name(self) -> str | None:
        """The name its claims carry; None for the web and for a child that has not started."""
        if self.name == "web" or self.process is None:
            return None
        return f"{self.name}@{socket.gethostname()}-{self.process.pid}"


def children(settings: Settings) -> list[Child]:
    """The three children of an embedded Touchstone."""
    python = sys.executable
    web = Child("web", [python, "-m", "app.cli", "serve", "--host", settings.host, "--port", str(settings.port)])
    return [web, *(Child(queue, [python, "-m", "app.cli", "worker", queue]) for queue in ("light", "encode"))]


class Supervisor:
    """Starts children, restarts dead ones with a growing pause, and ends all of them together.

    `web_answers` is asked until it says yes; the workers, whose libraries are heavy, start after that,
    so that a person sees the first page soon.
    """

    def __init__(self, settings: Settings, database: Database, web_answers: Callable[[], bool]) -> None:
        self._settings = settings
        self._database = database
        self._web_answers = web_answers
        self._children = children(settings)
        self._environment = environment(settings)
        self._stopping = False

    def run(self, now_and_then: Callable[[], None]) -> None:
        """Supervise until SIGINT or SIGTERM; `now_and_then` is called in between and must not block."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        web, *workers = self._children
        latest = time.monotonic() + WEB_FIRST_SECONDS
        started: list[Child] = [web]
        try:
            while not self._stopping:
                if len(started) == 1 and (self._web_answers() or time.monotonic() > latest):
                    started += workers
                for child in started:
                    self._tend(child)
                now_and_then()
                time.sleep(0.25)
        finally:
            self._end_all()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _tend(self, child: Child) -> None:
        if child.process is not None and (code := child.process.poll()) is not None:
            self._bury(child, code)
        if child.process is None and time.monotonic() >= child.start_after and not self._stopping:
            child.process = subprocess.Popen(  # noqa: S603 - our own commands
                child.command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has no threads
            )
            child.started = time.monotonic()

    def _bury(self, child: Child, code: int) -> None:
        lived = time.monotonic() - child.started
        child.quick_deaths = child.quick_deaths + 1 if lived < 10 else 0
        pause = min(30.0, 0.5 * 2**child.quick_deaths)
        log.warning("a process ended, starting it again", process=child.name, exit_code=code, pause_seconds=pause)
        self._free_claims(child, ended_by_us=False)
        child.process, child.start_after = None, time.monotonic() + pause

    def _free_claims(self, child: Child, *, ended_by_us: bool) -> None:
        """Queue again at once what a dead worker held, instead of waiting for its lease to end.

        Only an attempt that the worker did not survive by itself counts.
        """
        if not child.worker_name:
            return
        try:
            with self._database.session() as session:
                if ended_by_us:
                    jobs.release_worker(session, child.worker_name)
                else:
                    jobs.free_worker(session, child.worker_name, max_attempts=self._settings.max_attempts)
        except SQLAlchemyError as error:
            log.warning("its work waits for the lease to end", process=child.name, error=str(error))

    def _end_all(self) -> None:
        alive = [child.process for child in self._children if child.process is not None]
        _signal_all(alive, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for process in alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
        # The whole group: a validating child of the light worker must not outlive it.
        _signal_all(alive, signal.SIGKILL)
        for process in alive:
            process.wait()
        for child in self._children:
            self._free_claims(child, ended_by_us=True)


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a child: ours, with the settings that a command line may have changed."""
    return {
        **os.environ,
        "TOUCHSTONE_DATA_DIR": str(settings.data_dir),
        "TOUCHSTONE_HOST": settings.host,
        "TOUCHSTONE_PORT": str(settings.port),
    }


def _signal_all(processes: list[subprocess.Popen[bytes]], number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def _die_with_parent() -> None:
    """On Linux, end with the supervisor even when it is killed outright."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
