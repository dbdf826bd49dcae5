"""The Celery application of the workers: `celery -A worker.main worker -Q light|encode --pool solo`."""

import os
import socket
import threading
from functools import lru_cache
from typing import Any

import structlog
from celery.exceptions import WorkerShutdown
from celery.signals import setup_logging, worker_ready, worker_shutdown
from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError

import app
from app import logging as app_logging
from app.db.tables import Model as ModelTable
from app.db.tables import Run, Upload, Worker
from app.db.types import db_now
from app.errors import RunFailure
from app.queue import TASKS, QueueName, make_celery, wake
from app.services import jobs
from app.settings import get_settings
from worker.tasks import DeviceLost, Shop

log = structlog.get_logger(__name__)
celery = make_celery(get_settings())
QUEUE: QueueName = "encode" if os.environ.get("TOUCHSTONE_WORKER_QUEUE") == "encode" else "light"
WORKER_NAME = f"{QUEUE}@{socket.gethostname()}-{os.getpid()}"
_OWN_TABLES: dict[QueueName, tuple[jobs.JobTable, ...]] = {"light": (Upload, ModelTable), "encode": (Run,)}


@lru_cache
def shop() -> Shop:
    """This process's connections, made when first needed."""
    return Shop(get_settings(), WORKER_NAME)


@celery.task(name=TASKS["light"])
def work_light() -> None:
    """Validate uploads and inspect models until none waits; then see how sure the boards are."""
    shop().work_light()


@celery.task(name=TASKS["encode"])
def work_encode() -> None:
    """Evaluate runs until none waits. Without its device the worker ends, and whoever keeps it starts another."""
    try:
        shop().work_encode()
    except DeviceLost as error:
        log.error("the device is lost, this worker ends", exc_info=True)
        raise WorkerShutdown(1) from error


class Keeper(threading.Thread):
    """Says that this worker lives, frees what vanished workers held, and finds work whose message was lost."""

    def __init__(self, device: str) -> None:
        super().__init__(name="keeper", daemon=True)
        self.device = device
        self._ended = threading.Event()

    def run(self) -> None:
        """Every TOUCHSTONE_SWEEP_SECONDS, until the worker ends."""
        settings = get_settings()
        while not self._ended.is_set():
            try:
                self.turn()
            except SQLAlchemyError as error:
                log.warning("sweep failed, will try again", error=str(error))
            self._ended.wait(settings.sweep_seconds)

    def turn(self) -> None:
        """One sweep; wakes this worker's own queue when it is idle and something waits."""
        own = shop()
        with own.database.session() as session:
            # The whole row each time: at the start the database may not have answered.
            about = {"queue": QUEUE, "device": self.device, "version": app.__version__, "seen_at": db_now(0)}
            session.merge(Worker(name=WORKER_NAME, **about))
            session.execute(delete(Worker).where(Worker.seen_at < db_now(-24 * 3600)))
            freed = jobs.sweep(session, max_attempts=own.settings.max_attempts)
            waiting = jobs.any_queued(session, *_OWN_TABLES[QUEUE])
            waiting = waiting or (QUEUE == "light" and own.certainty.is_due(session))
        if freed:
            log.warning("freed what a vanished worker held", rows=freed)
        if waiting and not own.busy:
            wake(QUEUE)

    def end(self) -> None:
        """Stop sweeping, and take this worker off the list."""
        self._ended.set()
        self.join(timeout=5)  # or a last turn would put it back
        with shop().database.session() as session:
            session.execute(delete(Worker).where(Worker.name == WORKER_NAME))


@lru_cache
def keeper() -> Keeper:
    """This process's keeper, made once the worker is ready."""
    return Keeper(_device() if QUEUE == "encode" else "none")


@setup_logging.connect
def _setup_logging(**_: Any) -> None:
    app_logging.configure(get_settings())


@worker_ready.connect
def _ready(**_: Any) -> None:
    keeper().start()
    log.info("worker ready", worker=WORKER_NAME, device=keeper().device)


@worker_shutdown.connect
def _shutdown(**_: Any) -> None:
    if keeper.cache_info().currsize:
        keeper().end()
    shop().database.dispose()


def _device() -> str:
    from worker.encoders.base import describe_device  # torch, which the light worker never loads

    try:
        return describe_device(get_settings().device)
    except (RunFailure, RuntimeError, AssertionError) as error:  # the last two are torch's, for a wrong number
        # Every run will fail with it, and say so; the worker still sweeps.
        log.error("the device cannot be used", device=get_settings().device, error=str(error))
        return "none"
