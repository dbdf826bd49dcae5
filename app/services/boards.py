"""Boards of either kind, read whole; and kept until something changes that they may show."""

from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import Final

from sqlalchemy.orm import Session

from app.db.changes import board_stamp
from app.db.queries.boards import Board, read_progress
from app.db.queries.own_board import load_own_board
from app.db.tables import Benchmark, BoardKind
from app.services.certainty import with_certainty
from app.services.imported_board import load_imported_board

_KEPT: Final = 8
"""So many boards; one of 450 models and 130 datasets takes some two megabytes."""


def load_board(session: Session, benchmark: Benchmark) -> Board:
    """The board of a benchmark, of our own runs or imported, with how sure it is."""
    imported = benchmark.kind == BoardKind.IMPORTED
    board = load_imported_board(session, benchmark) if imported else load_own_board(session, benchmark)
    return with_certainty(session, board, benchmark.id)


class BoardCache:
    """The boards of one process. Safe for threads; one of them reads a board while the others wait for it."""

    def __init__(self) -> None:
        self._boards: OrderedDict[int, tuple[int, Board]] = OrderedDict()
        self._reading: dict[int, Lock] = {}
        self._lock = Lock()

    def board(self, session: Session, benchmark: Benchmark, stamp: int | None = None) -> Board:
        """The board as this transaction sees it; the progress of running runs is read every time.

        Args:
            session: a snapshot.
            benchmark: of either kind.
            stamp: `board_stamp` in this transaction, if it was read already.
        """
        stamp = board_stamp(session) if stamp is None else stamp
        with self._lock:
            reading = self._reading.setdefault(benchmark.id, Lock())
        with reading:
            found = self._find(benchmark.id, stamp)
            if found is None:
                found = load_board(session, benchmark)
                self._keep(benchmark.id, stamp, found)
        return replace(found, marks=read_progress(session, found.marks)) if found.open_runs else found

    def _find(self, key: int, stamp: int) -> Board | None:
        with self._lock:
            known, board = self._boards.get(key, (None, None))
            if known != stamp:
                return None
            self._boards.move_to_end(key)
            return board

    def _keep(self, key: int, stamp: int, board: Board) -> None:
        with self._lock:
            self._boards[key] = stamp, board
            self._boards.move_to_end(key)
            while len(self._boards) > _KEPT:
                self._boards.popitem(last=False)
