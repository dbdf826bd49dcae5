"""The light worker's chore beside its queue: every board's certainty is computed again when its results change."""

import time
from typing import Final

import numpy as np
import structlog
from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from app.db.changes import board_stamp
from app.db.session import Database
from app.db.tables import Benchmark
from app.services.boards import load_board
from app.services.certainty import compute, computed_within, inputs_of, is_readable, store
from app.services.evidence import EvidenceReader

log = structlog.get_logger(__name__)

_PAUSE_SECONDS: Final = 60
"""While runs of a board go on, it is computed no more often."""


class CertaintyKeeper:
    """Looks at the boards when something changed that they may show."""

    def __init__(self, database: Database, evidence: EvidenceReader) -> None:
        self._database, self._evidence = database, evidence
        self._seen: int | None = None

    def is_due(self, session: Session) -> bool:
        """Whether something has changed since all boards were up to date. One query."""
        return board_stamp(session) != self._seen

    def refresh(self) -> None:
        """Compute what is missing, one board after the other."""
        with self._database.reading() as session:
            stamp = board_stamp(session)
            if stamp == self._seen:
                return
            benchmarks = session.scalars(select(Benchmark).order_by(Benchmark.is_default.desc(), Benchmark.id)).all()
        settled = [self._settled(benchmark) for benchmark in benchmarks]
        if all(settled):
            self._seen = stamp

    def _settled(self, benchmark: Benchmark) -> bool:
        """As `_is_up_to_date`; a board that cannot be computed keeps no other waiting, until something changes."""
        try:
            return self._is_up_to_date(benchmark)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            log.exception("certainty cannot be computed", board=benchmark.slug)
            return True

    def _is_up_to_date(self, benchmark: Benchmark) -> bool:
        with self._database.reading() as session:
            board = load_board(session, benchmark)
            unread = board.certainty.unread if board.certainty else np.zeros(0, np.int64)
            if len(unread):
                if not is_readable(session, unread, self._evidence):
                    return False
            elif not board.certainty_expected:
                return True
            if board.open_runs and computed_within(session, benchmark.id, _PAUSE_SECONDS):
                return False
            began = time.monotonic()
            found = compute(session, board, self._evidence)
        with self._database.session() as session:
            store(session, benchmark.id, inputs_of(board), found)
        log.info("certainty computed", board=board.slug, seconds=round(time.monotonic() - began, 2))
        return False  # its own change calls for another look
