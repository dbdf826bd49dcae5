"""The courier: Celery's configuration and the sending of wake-ups. The database holds the work itself."""

from functools import lru_cache
from typing import Any, Literal

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.settings import Settings, get_settings

QueueName = Literal["light", "encode"]
TASKS: dict[QueueName, str] = {"light": "touchstone.work_light", "encode": "touchstone.work_encode"}
"""A message carries nothing: it says "look into the database", and the row decides what is done."""

log = structlog.get_logger(__name__)


def make_celery(settings: Settings) -> Celery:
    """The Celery application for web and workers, on files or on Redis."""
    celery = Celery("touchstone", broker=settings.celery_broker_url)
    options: dict[str, Any] = {}
    if settings.celery_broker_url.startswith("filesystem:"):
        for name in ("messages", "control"):
            (settings.broker_dir / name).mkdir(parents=True, exist_ok=True)
        messages = str(settings.broker_dir / "messages")
        options = {
            "data_folder_in": messages,
            "data_folder_out": messages,
            "control_folder": str(settings.broker_dir / "control"),
            "polling_interval": 0.5,
        }
    else:
        options = {"visibility_timeout": 7 * 24 * 3600, "socket_connect_timeout": 3, "socket_timeout": 10}
    celery.conf.update(
        broker_transport_options=options,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=3,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        task_routes={task: {"queue": queue} for queue, task in TASKS.items()},
        task_default_queue="light",
        timezone="UTC",
    )
    return celery


@lru_cache
def _producer() -> Celery:
    return make_celery(get_settings())


def wake(queue: QueueName) -> bool:
    """Tell the workers of a queue that there is something to do.

    Returns:
        Whether the message went out. A lost one costs time, never work: workers look by themselves
        every TOUCHSTONE_SWEEP_SECONDS.
    """
    try:
        _producer().send_task(TASKS[queue], queue=queue, retry=False, expires=3600)
    except (OperationalError, OSError) as error:
        log.warning("wake-up not sent, the sweep will find the work", queue=queue, error=str(error))
        return False
    return True


def wake_after_commit(session: Session, queue: QueueName) -> None:
    """Send one wake-up once `session` has committed; none when it rolls back."""
    if "wake" not in session.info:
        event.listen(session, "after_commit", _send_waiting)
        event.listen(session, "after_rollback", _forget_waiting)
    session.info.setdefault("wake", set()).add(queue)


def _send_waiting(session: Session) -> None:
    if session.in_nested_transaction():
        return  # the release of a savepoint is no commit
    waiting: set[QueueName] = session.info["wake"]
    while waiting:
        wake(waiting.pop())


def _forget_waiting(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info["wake"].clear()
