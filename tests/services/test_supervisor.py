"""What the supervisor does with the work of its children when it ends them, and when they die."""

import os
import sys
from pathlib import Path

import pytest

from app import supervisor
from app.db.session import Database
from app.db.tables import JobState, Run
from app.services import jobs
from app.settings import Settings
from app.supervisor import Child, Supervisor
from tests import factories
from tests.e2e.house import until

DEAF = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
signal.pause()
"""


@pytest.mark.parametrize("by_us", [True, False], ids=["ended by us", "died"])
def test_only_an_attempt_that_a_worker_did_not_survive_by_itself_counts(
    settings: Settings, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_us: bool
) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.2)
    child = Child("encode", [sys.executable, "-c", DEAF, str(tmp_path / "ready")])
    monkeypatch.setattr(supervisor, "children", lambda _settings: [child])
    house = Supervisor(settings, database, lambda: True)
    house._tend(child)
    assert child.process is not None
    until((tmp_path / "ready").exists, seconds=20, what="the child")
    with database.session() as session:
        run_id = factories.run(session, factories.person(session)).id
        assert jobs.claim(session, Run, worker=str(child.worker_name), lease_seconds=90) is not None
    if by_us:
        house._end_all()
    else:
        os.killpg(child.process.pid, 9)
        child.process.wait()
        house._tend(child)
    with database.reading() as session:
        run = session.get_one(Run, run_id)
    assert (run.state, run.attempt) == (JobState.QUEUED, 0 if by_us else 1)
