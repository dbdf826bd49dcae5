"""The Celery application of the workers: `celery -A worker.main worker -Q light|encode --pool solo`."""

import os
import platform
import socket
import threading
from functools import lru_cache
from typing import Any

import structlog
from celery.signals import setup_logging, worker_ready, worker_shutdown
from sqlalchemy import delete, update
from sqlalchemy.exc import SQLAlchemyError

import app
from app import logging as app_logging
from app.db.tables import Model as ModelTable
from app.db.tables import Run, Upload, Worker
from app.db.types import db_now
from app.queue import TASKS, QueueName, make_celery, wake
from app.services import jobs
from app.settings import get_settings
from worker.tasks import Shop

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
    """Validate uploads and inspect models until none waits."""
    shop().work_light()


@celery.task(name=TASKS["encode"])
def work_encode() -> None:
    """Evaluate runs until none waits."""
    shop().work_encode()


class Keeper(threading.Thread):
    """Says that this worker lives, frees what vanished workers held, and finds work whose message was lost."""

    def __init__(self) -> None:
        super().__init__(name="keeper", daemon=True)
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
            session.execute(update(Worker).where(Worker.name == WORKER_NAME).values(seen_at=db_now(0)))
            session.execute(delete(Worker).where(Worker.seen_at < db_now(-24 * 3600)))
            freed = jobs.sweep(session, max_attempts=own.settings.max_attempts)
            waiting = jobs.any_queued(session, *_OWN_TABLES[QUEUE])
        if freed:
            log.warning("freed what a vanished worker held", rows=freed)
        if waiting and not own.busy:
            wake(QUEUE)

    def end(self) -> None:
        """Stop sweeping."""
        self._ended.set()


_keeper = Keeper()


@setup_logging.connect
def _setup_logging(**_: Any) -> None:
    app_logging.configure(get_settings())


@worker_ready.connect
def _ready(**_: Any) -> None:
    device = _device() if QUEUE == "encode" else "none"
    with shop().database.session() as session:
        session.merge(Worker(name=WORKER_NAME, queue=QUEUE, device=device, version=app.__version__))
    _keeper.start()
    log.info("worker ready", worker=WORKER_NAME, device=device)


@worker_shutdown.connect
def _shutdown(**_: Any) -> None:
    _keeper.end()
    with shop().database.session() as session:
        session.execute(delete(Worker).where(Worker.name == WORKER_NAME))
    shop().database.dispose()


def _device() -> str:
    from worker.encoders.base import describe_device  # torch, which the light worker never loads

    return describe_device(get_settings().device) or platform.machine()
