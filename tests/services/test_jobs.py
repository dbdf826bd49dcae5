"""Claims, leases, sweeps: what keeps work from being lost or done twice."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.session import Database
from app.db.tables import JobState, Model, Run, Score, User
from app.services import jobs, runs
from tests import factories

pytestmark = pytest.mark.both_databases


def _add_models(database: Database, count: int) -> list[int]:
    with database.session() as session:
        user = User(name=f"u{count}", role="admin")
        session.add(user)
        session.flush()
        rows = [
            Model(name=f"org/m{number}", loader="bm25", source="builtin", created_by=user.id) for number in range(count)
        ]
        session.add_all(rows)
        session.flush()
        return [row.id for row in rows]


def _claim(database: Database, worker: str = "w", lease_seconds: float = 60) -> jobs.Claim | None:
    with database.session() as session:
        return jobs.claim(session, Model, worker=worker, lease_seconds=lease_seconds)


@contextmanager
def _row(database: Database, row_id: int) -> Iterator[Model]:
    with database.reading() as session:
        yield session.get_one(Model, row_id)


def test_the_oldest_queued_row_is_claimed_once(database: Database) -> None:
    first, second = _add_models(database, 2)
    claims = [_claim(database) for _ in range(3)]
    assert [held.id for held in claims if held] == [first, second]
    assert claims[2] is None
    with _row(database, first) as row:
        assert (row.state, row.attempt, row.worker) == (JobState.RUNNING, 1, "w")
        assert row.lease_expires is not None and row.started_at is not None


def test_competing_workers_never_share_a_row(database: Database) -> None:
    ids = _add_models(database, 40)
    taken: list[int] = []
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            while held := _claim(database, name):
                taken.append(held.id)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(taken) == ids


def test_renewing_reports_progress_and_a_wish_to_cancel(database: Database) -> None:
    (row_id,) = _add_models(database, 1)
    held = _claim(database)
    assert held is not None
    with database.session() as session:
        assert jobs.renew(session, held, lease_seconds=60, stage="encode", done=3, total=9) is False
    with database.session() as session:
        assert jobs.request_cancel(session, Model, row_id) == JobState.RUNNING
    with database.session() as session:
        assert jobs.renew(session, held, lease_seconds=60) is True
    with _row(database, row_id) as row:
        assert (row.stage, row.done, row.total) == ("encode", 3, 9)


def test_cancelling_what_waits_ends_it_at_once(database: Database) -> None:
    (row_id,) = _add_models(database, 1)
    with database.session() as session:
        assert jobs.request_cancel(session, Model, row_id) == JobState.QUEUED
        assert jobs.request_cancel(session, Model, row_id) is None
    assert _claim(database) is None


def test_an_expired_lease_is_queued_again_and_its_old_owner_is_refused(database: Database) -> None:
    (row_id,) = _add_models(database, 1)
    old = _claim(database, lease_seconds=-1)
    assert old is not None
    with database.session() as session:
        assert jobs.sweep(session, max_attempts=3) == 1
    new = _claim(database)
    assert new is not None and (new.id, new.attempt) == (row_id, 2)
    with database.session() as session:
        assert jobs.renew(session, old, lease_seconds=60) is None
        assert jobs.finish(session, old, JobState.DONE) is False
        assert jobs.finish(session, new, JobState.DONE) is True
    with _row(database, row_id) as row:
        assert row.state == JobState.DONE


def test_a_living_lease_is_left_alone(database: Database) -> None:
    _add_models(database, 1)
    assert _claim(database, lease_seconds=60) is not None
    with database.session() as session:
        assert jobs.sweep(session, max_attempts=3) == 0


def test_the_last_attempt_fails_with_worker_lost(database: Database) -> None:
    (row_id,) = _add_models(database, 1)
    for _ in range(3):
        assert _claim(database, lease_seconds=-1) is not None
        with database.session() as session:
            assert jobs.sweep(session, max_attempts=3) == 1
    with _row(database, row_id) as row:
        assert (row.state, row.failure_code) == (JobState.FAILED, "worker_lost")
        assert row.failure is not None and row.failure["remedy"]
    assert _claim(database) is None


def test_a_vanished_worker_does_not_revive_what_was_cancelled(database: Database) -> None:
    (row_id,) = _add_models(database, 1)
    assert _claim(database, lease_seconds=-1) is not None
    with database.session() as session:
        jobs.request_cancel(session, Model, row_id)
        assert jobs.sweep(session, max_attempts=3) == 1
    with _row(database, row_id) as row:
        assert (row.state, row.failure) == (JobState.CANCELLED, None)


def test_a_dead_workers_rows_are_freed_at_once_and_only_its_own(database: Database) -> None:
    _add_models(database, 2)
    mine, other = _claim(database, "dead"), _claim(database, "alive")
    assert mine is not None and other is not None
    with database.session() as session:
        assert jobs.free_worker(session, "dead", max_attempts=3) == 1
    with _row(database, mine.id) as row, _row(database, other.id) as untouched:
        assert (row.state, untouched.state) == (JobState.QUEUED, JobState.RUNNING)


def test_giving_back_does_not_count_the_attempt(database: Database) -> None:
    (row_id,) = _add_models(database, 1)
    held = _claim(database)
    assert held is not None
    with database.session() as session:
        assert jobs.release(session, held) is True
    with _row(database, row_id) as row:
        assert (row.state, row.attempt, row.token) == (JobState.QUEUED, 0, None)


def test_giving_back_what_was_to_be_cancelled_cancels_it(database: Database) -> None:
    (row_id,) = _add_models(database, 1)
    held = _claim(database)
    assert held is not None
    with database.session() as session:
        jobs.request_cancel(session, Model, row_id)
        assert jobs.release(session, held) is True
    with _row(database, row_id) as row:
        assert (row.state, row.finished_at is None) == (JobState.CANCELLED, False)
    assert _claim(database) is None


def test_a_worker_that_is_ended_on_purpose_costs_no_attempt(database: Database) -> None:
    row_id, other_id = _add_models(database, 2)
    for _ in range(4):
        assert _claim(database, "ended") is not None
        with database.session() as session:
            assert jobs.release_worker(session, "ended") == 1
    assert _claim(database, "alive") is not None
    with database.session() as session:
        assert jobs.release_worker(session, "ended") == 0
    with _row(database, row_id) as row, _row(database, other_id) as other:
        assert (row.state, row.attempt, row.worker) == (JobState.RUNNING, 1, "alive")
        assert (other.state, other.attempt) == (JobState.QUEUED, 0)


def _open_run(session: Session) -> int:
    return factories.run(session, factories.person(session)).id


def test_a_result_is_published_once_and_only_by_its_owner(database: Database) -> None:
    with database.session() as session:
        run_id = _open_run(session)
    with database.session() as session:
        old = jobs.claim(session, Run, worker="a", lease_seconds=-1)
        jobs.sweep(session, max_attempts=3)
        new = jobs.claim(session, Run, worker="b", lease_seconds=60)
    assert old is not None and new is not None
    scores = [runs.CellScore("test", "default", "accuracy", 0.5)]
    for held, published in ((old, False), (new, True), (new, False)):
        with database.session() as session:
            done = runs.complete(
                session, held, main_score=0.5, scores=scores, evidence=[], provenance={"device": "cpu"}, log=""
            )
            assert done is published
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Score).where(Score.run_id == run_id)) == 1
        assert session.get_one(Run, run_id).state == JobState.DONE


def test_a_score_that_is_not_finite_is_refused_whole(database: Database) -> None:
    with database.session() as session:
        run_id = _open_run(session)
        held = jobs.claim(session, Run, worker="a", lease_seconds=60)
    assert held is not None
    scores = [runs.CellScore("test", "default", name, value) for name, value in (("f1", 0.5), ("ap", float("nan")))]
    with pytest.raises(Exception, match="not a finite number"), database.session() as session:
        runs.complete(session, held, main_score=0.5, scores=scores, evidence=[], provenance={}, log="")
    with database.reading() as session:
        assert session.get_one(Run, run_id).state == JobState.RUNNING
        assert session.scalar(select(func.count()).select_from(Score)) == 0
