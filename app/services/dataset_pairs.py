"""All pairs of a board's models on one of its datasets: which one beats which."""

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

import numpy as np
from sqlalchemy.orm import Session

from app.core.aggregation import Booleans
from app.core.all_pairs import tukey
from app.core.resampling import stratified_means
from app.core.verdicts import SIGNIFICANT
from app.db.queries.boards import Board
from app.services.certainty import column_values
from app.services.evidence import CellEvidence, EvidenceReader
from app.services.recent import Recent

_KEPT: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class Beaten:
    """Which model beats which on a dataset.

    Attributes:
        beats: shape (models, models), True where the model of the row beats that of the column; None for fewer than
            two models with values.
        unread: how many models are left out because their files cannot be read.
    """

    beats: Booleans | None
    unread: int


_found: Final[Recent[Beaten]] = Recent(_KEPT)
_computing: Final = Lock()


def beaten_on(session: Session, reader: EvidenceReader, board: Board, place: int) -> Beaten:
    """Which model beats which, by the test over all pairs of those with values of the same examples.

    Kept by the runs' files, which never change; not where one is missing that may come back. One is computed at a time.

    Args:
        session: a snapshot.
        reader: of what runs kept.
        board: all of it.
        place: of the dataset among the board's columns.
    """
    rows = np.flatnonzero(~np.isnan(board.means.complete[:, place]))
    run_ids = {int(board.run_ids[row, place]): int(row) for row in rows}
    cells = {run_ids[run_id]: own for run_id, own in reader.cells(session, run_ids).items()}
    key = len(board.models), tuple(sorted(cells.items()))
    with _computing:
        found = _found.get(key)
        if found is None:
            found = _tested(cells, len(board.models))
            if not found.unread:
                _found.keep(key, found)
    return found


def _tested(cells: Mapping[int, tuple[CellEvidence, ...]], models: int) -> Beaten:
    column, unread = column_values(cells)
    if column is None or len(column.models) < 2:
        return Beaten(None, len(unread))
    means, p = stratified_means(column.strata), tukey(column.strata)
    beats = np.zeros((models, models), np.bool_)
    beats[np.ix_(column.models, column.models)] = (p < SIGNIFICANT) & (means[:, None] > means)
    return Beaten(beats, len(unread))
