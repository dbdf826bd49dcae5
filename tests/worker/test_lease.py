"""A claim is kept alive while the work goes on, and the work stops when it is lost."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db.session import Database
from app.db.tables import Run
from app.services import jobs
from app.settings import Settings
from tests import factories
from worker.lease import CancelRequested, Lease, LeaseLost

QUICK = {"lease_seconds": 3.0, "heartbeat_seconds": 0.1}


@pytest.fixture
def held(database: Database) -> jobs.Claim:
    """A claim on a run, as long as a quick lease."""
    with database.session() as session:
        factories.run(session, factories.person(session))
        claim = jobs.claim(session, Run, worker="w", lease_seconds=QUICK["lease_seconds"])
    assert claim is not None
    return claim


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Settings with short times."""
    return settings.model_copy(update=QUICK)


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited ten seconds in vain"
        time.sleep(0.02)


def _stopped_by(lease: Lease, reason: type[Exception]) -> bool:
    try:
        lease.check()
    except reason:
        return True
    return False


def test_somebody_elses_claim_stops_the_work(database: Database, held: jobs.Claim, quick: Settings) -> None:
    with Lease(database, held, quick) as lease:
        with database.session() as session:
            jobs.free_worker(session, "w", max_attempts=3)
        _until(lambda: _stopped_by(lease, LeaseLost))


def test_a_wish_to_cancel_stops_the_work(database: Database, held: jobs.Claim, quick: Settings) -> None:
    with Lease(database, held, quick) as lease:
        with database.session() as session:
            jobs.request_cancel(session, Run, held.id)
        _until(lambda: _stopped_by(lease, CancelRequested))


@pytest.mark.parametrize("hangs", [False, True], ids=["refuses", "hangs"])
def test_a_database_that_does_not_answer_stops_the_work_before_the_lease_ends(
    database: Database, held: jobs.Claim, quick: Settings, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    released = threading.Event()

    def session() -> AbstractContextManager[Session]:
        if hangs:
            released.wait(20)
        raise OperationalError("SELECT 1", {}, Exception("no route"))

    started = time.monotonic()
    with Lease(database, held, quick) as lease:
        monkeypatch.setattr(database, "session", session)
        _until(lambda: _stopped_by(lease, LeaseLost))
        assert time.monotonic() - started < QUICK["lease_seconds"]
        monkeypatch.undo()
        released.set()
