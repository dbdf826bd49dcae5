"""How work is claimed, kept alive, finished and found again. The row decides; only the database's clock counts."""

import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, and_, case, literal, not_, null, or_, select, update
from sqlalchemy.orm import Session

from app.db.changes import NO_CHANGE
from app.db.tables import JobState, Model, Run, Upload
from app.db.types import db_now

JobTable = type[Run] | type[Upload] | type[Model]
JOB_TABLES: tuple[JobTable, ...] = (Run, Upload, Model)

WORKER_LOST = {
    "message": "The worker vanished again and again while it worked on this.",
    "remedy": "See the worker's log for the reason (often memory), then try again.",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one row, as long as its lease is renewed under this token."""

    table: JobTable
    id: int
    token: str
    attempt: int


def claim(session: Session, table: JobTable, *, worker: str, lease_seconds: float) -> Claim | None:
    """Take the next queued row, the highest priority and then the oldest first; None when there is none.

    One conditional UPDATE decides between competing workers; on PostgreSQL they choose different rows.
    """
    order = [table.priority.desc(), table.id] if table is Run else [table.id]
    candidate = select(table.id).where(table.state == JobState.QUEUED).order_by(*order).limit(1)
    if session.get_bind().dialect.name == "postgresql":
        candidate = candidate.with_for_update(skip_locked=True)
    while (row_id := session.scalar(candidate)) is not None:
        token = secrets.token_hex(16)
        taken = _execute(
            session,
            update(table)
            .where(table.id == row_id, table.state == JobState.QUEUED)
            .values(
                state=JobState.RUNNING,
                attempt=table.attempt + 1,
                token=token,
                worker=worker,
                lease_expires=db_now(lease_seconds),
                progress_at=db_now(0),
                started_at=db_now(0),
                finished_at=None,
                failure_code=None,
                failure=None,
                stage="start",
                done=0,
                total=0,
            ),
        )
        if taken == 1:
            attempt = session.scalar(select(table.attempt).where(table.id == row_id)) or 1
            return Claim(table, row_id, token, attempt)
    return None


def renew(session: Session, held: Claim, *, lease_seconds: float, **progress: Any) -> bool | None:
    """Renew the lease and note progress (columns of the table by name).

    Returns:
        None when the claim is lost (another attempt owns the row, or it ended); else whether
        somebody asked to cancel.
    """
    table = held.table
    values = {"lease_expires": db_now(lease_seconds), "progress_at": db_now(0), **progress}
    renewal = update(table).where(*_owned(held)).values(**values).execution_options(**NO_CHANGE)
    if _execute(session, renewal) == 0:
        return None
    return session.scalar(select(table.cancel_requested).where(table.id == held.id))


def finish(session: Session, held: Claim, state: JobState, **values: Any) -> bool:
    """End the job, if the claim still holds; False when it does not and nothing was changed."""
    values = {"state": state, "finished_at": db_now(0), "lease_expires": None, "token": None, "stage": None, **values}
    return _execute(session, update(held.table).where(*_owned(held)).values(**values)) == 1


def release(session: Session, held: Claim) -> bool:
    """Give the job back unfinished, without counting the attempt: the worker is asked to stop.

    One that was to be cancelled is cancelled.
    """
    return _release(session, held.table, and_(*_owned(held))) == 1


def sweep(session: Session, *, max_attempts: int) -> int:
    """Queue again what a vanished worker held; fail it with `worker_lost` at the last attempt.

    Returns:
        How many rows were freed.
    """
    return sum(_free(session, table, table.lease_expires < db_now(0), max_attempts) for table in JOB_TABLES)


def free_worker(session: Session, worker: str, *, max_attempts: int) -> int:
    """The same at once for everything a worker held that is known to be dead."""
    return sum(_free(session, table, table.worker == worker, max_attempts) for table in JOB_TABLES)


def release_worker(session: Session, worker: str) -> int:
    """Give back everything a worker held that was ended on purpose, without counting the attempts."""
    return sum(_release(session, table, table.worker == worker) for table in JOB_TABLES)


def any_queued(session: Session, *tables: JobTable) -> bool:
    """Whether something waits in one of these tables."""
    return any(
        session.scalar(select(table.id).where(table.state == JobState.QUEUED).limit(1)) is not None for table in tables
    )


def request_cancel(session: Session, table: JobTable, row_id: int) -> JobState | None:
    """Cancel at once what waits; ask the worker to stop what runs.

    Returns:
        The state it was in, None when it had ended already.
    """
    waits = table.state == JobState.QUEUED
    statement = (
        update(table)
        .where(table.id == row_id, table.state.in_((JobState.QUEUED, JobState.RUNNING)))
        .values(
            state=case((waits, JobState.CANCELLED), else_=table.state),
            finished_at=case((waits, db_now(0)), else_=None),
            cancel_requested=not_(waits),
        )
        .returning(table.state)
    )
    after = session.scalar(statement.execution_options(synchronize_session=False))
    return None if after is None else JobState.QUEUED if after == JobState.CANCELLED else JobState.RUNNING


def _owned(held: Claim) -> tuple[Any, ...]:
    return held.table.id == held.id, held.table.token == held.token, held.table.state == JobState.RUNNING


def _free(session: Session, table: JobTable, lost: Any, max_attempts: int) -> int:
    give_up = and_(table.attempt >= max_attempts, table.cancel_requested.is_(False))
    ended = or_(give_up, table.cancel_requested.is_(True))
    statement = (
        update(table)
        .where(table.state == JobState.RUNNING, lost)
        .values(
            state=case(
                (table.cancel_requested.is_(True), JobState.CANCELLED),
                (give_up, JobState.FAILED),
                else_=JobState.QUEUED,
            ),
            failure_code=case((give_up, "worker_lost"), else_=None),
            failure=case((give_up, _json(table, WORKER_LOST)), else_=_json(table, None)),
            finished_at=case((ended, db_now(0)), else_=None),
            token=None,
            lease_expires=None,
            stage=None,
        )
    )
    return _execute(session, statement)


def _release(session: Session, table: JobTable, which: Any) -> int:
    cancelled = table.cancel_requested.is_(True)
    statement = (
        update(table)
        .where(table.state == JobState.RUNNING, which)
        .values(
            state=case((cancelled, JobState.CANCELLED), else_=JobState.QUEUED),
            finished_at=case((cancelled, db_now(0)), else_=None),
            attempt=table.attempt - 1,
            token=None,
            lease_expires=None,
            worker=None,
            stage=None,
        )
    )
    return _execute(session, statement)


def _json(table: JobTable, value: dict[str, str] | None) -> Any:
    return null() if value is None else literal(value, table.failure.type)


def _execute(session: Session, statement: Any) -> int:
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)  # noqa: S101 - an UPDATE always gives one
    return result.rowcount
