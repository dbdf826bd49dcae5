"""How sure boards are: computed by a light worker from what runs kept, stored, and read with the board.

What was computed names the state that it was computed from, so what is old is never shown beside what is new.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.core.aggregation import Integers
from app.core.board_certainty import FEWEST_TASKS, BoardCertainty, ColumnValues, board_certainty, certainty_by_task
from app.core.example_values import ExampleValues, sampled_values, stratified
from app.core.resampling import RESAMPLES, SEED, Stratum
from app.db.queries.boards import Board
from app.db.tables import Benchmark, BoardCertaintyRow
from app.db.types import db_now
from app.errors import NotFound
from app.services.evidence import CellEvidence, EvidenceReader, shared_units

log = structlog.get_logger(__name__)

_METHOD: Final = 1
"""Rises with every change of what is computed, so that all boards are computed again."""
_MEAN: Final = "mean "


def with_certainty(session: Session, board: Board, benchmark_id: int) -> Board:
    """The board with what was computed from exactly its state, or with the word that it is to come."""
    inputs = inputs_of(board)
    if not inputs:
        return board
    stored = select(BoardCertaintyRow.content).where(
        BoardCertaintyRow.benchmark_id == benchmark_id, BoardCertaintyRow.inputs == inputs
    )
    content = session.scalar(stored)
    return replace(board, certainty_expected=True) if content is None else replace(board, certainty=_read(content))


def inputs_of(board: Board) -> str:
    """A hash of all that a board's certainty depends on; "" where nothing can be computed."""
    if len(board.columns) < FEWEST_TASKS if board.imported else not board.run_ids.any():
        return ""
    names = [
        *(f"{column.slug} {column.task_type} {column.revision}" for column in board.columns),
        *(model.key for model in board.models),
    ]
    digest = hashlib.sha256(repr((_METHOD, RESAMPLES, SEED, board.imported, names)).encode())
    for array in (board.run_ids, board.means.known, board.means.complete):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def compute(session: Session, board: Board, evidence: EvidenceReader) -> BoardCertainty:
    """From the values that the board's runs kept; of an imported board from its tasks. Seconds on a large board.

    A run whose values cannot be read is left out, the log says so, and what was found names it.
    """
    if board.imported:
        return certainty_by_task(board.means)
    complete = ~np.isnan(board.means.complete)
    run_ids = np.where(complete, board.run_ids, 0)
    columns, unread = [], []
    for place in range(len(board.columns)):
        wanted = {int(run_id): row for row, run_id in enumerate(run_ids[:, place]) if run_id}
        cells = {wanted[run_id]: found for run_id, found in evidence.cells(session, wanted).items()}
        found, lost = column_values(cells)
        columns.append(found)
        unread += [int(run_ids[row, place]) for row in lost]
    whole = board_certainty(columns, board.means, [column.task_type for column in board.columns])
    return replace(whole, unread=np.array(unread, np.int64))


def computed_within(session: Session, benchmark_id: int, seconds: int) -> bool:
    """Whether something was computed for the board so lately, from whatever state."""
    lately = select(BoardCertaintyRow.benchmark_id).where(
        BoardCertaintyRow.benchmark_id == benchmark_id, BoardCertaintyRow.computed_at > db_now(-seconds)
    )
    return session.scalar(lately) is not None


def is_readable(session: Session, unread: Integers, evidence: EvidenceReader) -> bool:
    """Whether some of the runs whose values could not be read are there by now."""
    for cells in evidence.cells(session, unread.tolist()).values():
        try:
            for cell in cells:
                cell.arrays()
        except NotFound:
            continue
        return True
    return False


def store(session: Session, benchmark_id: int, inputs: str, found: BoardCertainty) -> None:
    """Take the place of what was known of the board, unless the board is gone."""
    if session.get(Benchmark, benchmark_id) is None:
        return
    values = {"inputs": inputs, "content": _written(found), "computed_at": db_now(0)}
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(BoardCertaintyRow).values(benchmark_id=benchmark_id, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["benchmark_id"], set_=values))


def column_values(cells: Mapping[int, Sequence[CellEvidence]]) -> tuple[ColumnValues | None, tuple[int, ...]]:
    """The values of one dataset, of the models that have them in every cell that any has.

    Args:
        cells: by the row of each model on the board.

    Returns:
        None where there is nothing that several models could share; and the rows whose files cannot be read.
    """
    unread = []
    by_model: dict[int, dict[tuple[str, str], ExampleValues]] = {}
    for row, own in cells.items():
        try:
            values = {(cell.split, cell.subset): _values(cell) for cell in own}
        except NotFound as error:
            log.warning("values of a run cannot be read", **error.details)
            unread.append(row)
            continue
        by_model[row] = {name: found for name, found in values.items() if found is not None}
    names = sorted({name for values in by_model.values() for name in values})
    models = sorted(row for row, values in by_model.items() if len(values) == len(names))
    if not names or not models:
        return None, tuple(unread)
    strata: list[Stratum] = []
    for name in names:
        shared = [by_model[model][name] for model in models]
        units = shared_units(shared)
        if units is None:
            return None, tuple(unread)
        strata += stratified(units, shared[0], len(names))
    tested = all(cell.task_type != "Clustering" for own in cells.values() for cell in own)
    return ColumnValues(np.array(models), strata, tested), tuple(unread)


def _values(cell: CellEvidence) -> ExampleValues | None:
    """Of a cell; of clustering those of its draws."""
    if cell.task_type != "Clustering":
        return cell.values()
    return sampled_values(cell.task_type, cell.arrays("v_measure", "level"), cell.score)


def _written(found: BoardCertainty) -> bytes:
    arrays: dict[str, NDArray[Any]] = {
        field.name: np.asarray(getattr(found, field.name)) for field in fields(found) if field.name != "means"
    }
    arrays["p"] = found.p.astype(np.float32)
    arrays |= {f"{_MEAN}{name}": np.array(ends) for name, ends in found.means.items()}
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub wants allow_pickle here
    return file.getvalue()


def _read(content: bytes) -> BoardCertainty:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    means = {name.removeprefix(_MEAN): tuple(arrays.pop(name)) for name in list(arrays) if name.startswith(_MEAN)}
    plain = {name: array.item() if array.ndim == 0 else array for name, array in arrays.items()}
    return BoardCertainty(**{**plain, "p": arrays["p"].astype(np.float64), "means": means})
