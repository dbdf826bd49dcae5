"""A number that rises with every change that a board may show, so that what was computed can be kept until then.

Sessions watch themselves: whoever changes a row of a watched table counts it up in the same transaction. So a
reader who sees the number sees the change, and the other way round.
"""

from itertools import chain
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker

from app.db.imported_tables import ImportedArchive
from app.db.tables import (
    Benchmark,
    BenchmarkDataset,
    BoardCertaintyRow,
    Dataset,
    DatasetRevision,
    Measurement,
    Model,
    Run,
    Score,
    Stamp,
)

BOARDS = "boards"
NO_CHANGE = {"touchstone_no_change": True}
"""Execution options of a statement whose effect is read anew every time, such as a run's progress."""

_WATCHED = (
    Benchmark,
    BenchmarkDataset,
    BoardCertaintyRow,
    Dataset,
    DatasetRevision,
    ImportedArchive,
    Measurement,
    Model,
    Run,
    Score,
)
_CHANGED = "touchstone_boards_changed"


def watch(sessions: sessionmaker[Session]) -> None:
    """Let the sessions of this maker count their changes."""
    event.listen(sessions, "after_flush", _flushed)
    event.listen(sessions, "do_orm_execute", _executed)
    event.listen(sessions, "before_commit", _count)


def board_stamp(session: Session) -> int:
    """The number as this transaction sees it. One query by primary key."""
    return session.scalar(select(Stamp.value).where(Stamp.name == BOARDS)) or 0


def _flushed(session: Session, _context: Any) -> None:
    if any(isinstance(row, _WATCHED) for row in chain(session.new, session.dirty, session.deleted)):
        session.info[_CHANGED] = True


def _executed(state: ORMExecuteState) -> None:
    mapper = state.bind_mapper
    writes = state.is_insert or state.is_update or state.is_delete
    if writes and mapper and issubclass(mapper.class_, _WATCHED) and not state.execution_options.keys() & NO_CHANGE:
        state.session.info[_CHANGED] = True


def _count(session: Session) -> None:
    """Last of all, so that nobody waits long for the row."""
    session.flush()
    if session.info.pop(_CHANGED, False):
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        first = dialect.insert(Stamp).values(name=BOARDS, value=1)
        session.execute(first.on_conflict_do_update(index_elements=[Stamp.name], set_={"value": Stamp.value + 1}))
