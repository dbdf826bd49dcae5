"""All pairs of a board's models on one of its datasets: which one beats which."""

from functools import lru_cache

import numpy as np
from sqlalchemy.orm import Session

from app.core.aggregation import Booleans, Integers
from app.core.all_pairs import tukey
from app.core.resampling import stratified_means
from app.core.verdicts import SIGNIFICANT
from app.db.queries.boards import Board
from app.services.certainty import column_values
from app.services.evidence import CellEvidence, EvidenceReader


def beaten_on(session: Session, reader: EvidenceReader, board: Board, place: int) -> Booleans | None:
    """Which model beats which on a dataset, by the test over all pairs of those with values of the same examples.

    Args:
        session: a snapshot.
        reader: of what runs kept.
        board: all of it.
        place: of the dataset among the board's columns.

    Returns:
        Shape (models, models), True where the model of the row beats that of the column; None for fewer than two
        models with values.
    """
    rows = np.flatnonzero(~np.isnan(board.means.complete[:, place]))
    run_ids = {int(board.run_ids[row, place]): int(row) for row in rows}
    cells = reader.cells(session, run_ids)
    tested = _tested(tuple(sorted((run_ids[run_id], found) for run_id, found in cells.items())))
    if tested is None:
        return None
    models, beats = tested
    found = np.zeros((len(board.models),) * 2, np.bool_)
    found[np.ix_(models, models)] = beats
    return found


@lru_cache(maxsize=256)
def _tested(cells: tuple[tuple[int, tuple[CellEvidence, ...]], ...]) -> tuple[Integers, Booleans] | None:
    """The models that were tested, and which beats which; kept, for the runs' files are named by their content."""
    column = column_values(dict(cells))
    if column is None or len(column.models) < 2:
        return None
    means = stratified_means(column.strata)
    p = tukey(column.strata)
    return column.models, (p < SIGNIFICANT) & (means[:, None] > means)
