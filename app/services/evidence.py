"""What runs kept of every example, read back; and two runs laid beside each other, example by example."""

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.aggregation import Floats, Integers
from app.core.example_values import ExampleValues, needed_arrays, values_of
from app.core.resampling import Strata, Stratum, Units, units_of
from app.core.task_types import TASK_TYPES
from app.db.queries.shared import in_parts
from app.db.tables import Dataset, DatasetRevision, Evidence, Run, Score
from app.errors import NotFound
from app.services.recent import Recent
from app.storage.blobs import BlobStore

_KEPT_VALUES: Final = 8_000_000
"""Values that a process keeps in memory, of 16 bytes each."""


@dataclass(frozen=True, slots=True)
class CellEvidence:
    """What a run kept of one cell.

    Attributes:
        kind: what the arrays are about, see `worker.scoring.base.CellScores`.
        task_type: of the dataset.
        score: the main metric of the cell.
        path: the .npz file.
    """

    split: str
    subset: str
    kind: str
    task_type: str
    score: float
    path: Path
    _kept: Recent[tuple[ExampleValues | None]] = field(repr=False, compare=False)

    def arrays(self, *names: str) -> dict[str, NDArray[Any]]:
        """Some of the arrays, those that there are; all of them if none is named.

        Raises:
            NotFound: code `evidence_missing`, the file is not there or damaged.
        """
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                return {name: kept[name] for name in kept.files if not names or name in names}
        except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise NotFound(
                "The file with the values of each example of a run is missing from this server's data folder, or "
                "damaged. Restore it from a backup, or queue the run again.",
                code="evidence_missing",
                details={"file": self.path.name},
            ) from error

    def values(self) -> ExampleValues | None:
        """A value an example; None for clustering and where nothing is defined. See `values_of`."""
        key = self.path.name, self.task_type, self.score
        found = self._kept.get(key)
        if found is None:
            names = needed_arrays(self.task_type)
            found = (values_of(self.task_type, self.arrays(*names), self.score) if names else None,)
            self._kept.keep(key, found)
        return found[0]


class EvidenceReader:
    """Reads what runs kept. One for a process, so that what was read stays."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._kept: Recent[tuple[ExampleValues | None]] = Recent(_KEPT_VALUES, lambda found: len(found[0] or ()) + 1)

    def cells(self, session: Session, run_ids: Iterable[int]) -> dict[int, tuple[CellEvidence, ...]]:
        """The cells of each run, by split and subset; nothing for a run that kept nothing."""
        found: dict[int, tuple[CellEvidence, ...]] = {}
        for some in in_parts(run_ids):
            query = (
                select(Run.id, Evidence.split, Evidence.subset, Evidence.kind, Dataset.task_type, Evidence.blob_sha256)
                .join(Evidence, Evidence.run_id == Run.id)
                .join(DatasetRevision, DatasetRevision.id == Run.dataset_revision_id)
                .join(Dataset, Dataset.id == DatasetRevision.dataset_id)
                .where(Run.id.in_(some))
                .order_by(Run.id, Evidence.split, Evidence.subset)
            )
            scores = _main_scores(session, some)
            for run_id, split, subset, kind, task_type, sha256 in session.execute(query):
                score = scores[run_id, split, subset, TASK_TYPES[task_type].main_metric]
                cell = CellEvidence(split, subset, kind, task_type, score, self._blobs.path(sha256), self._kept)
                found[run_id] = (*found.get(run_id, ()), cell)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class PairedCell:
    """The examples of a cell that two runs have values of, in the order of the dataset.

    Attributes:
        place: shape (n,), where each stands in the cell.
        a: shape (n,), the first run's values.
        b: shape (n,), the second one's.
        clusters: see `ExampleValues`.
        is_mean: likewise.
    """

    split: str
    subset: str
    place: Integers
    a: Floats
    b: Floats
    clusters: Integers | None
    is_mean: bool


def paired(a: Sequence[CellEvidence], b: Sequence[CellEvidence]) -> tuple[PairedCell, ...]:
    """Two runs on one dataset revision, cell by cell; only what both have values of."""
    others = {(cell.split, cell.subset): cell for cell in b}
    found = []
    for cell in a:
        other = others.get((cell.split, cell.subset))
        mine, theirs = cell.values(), other.values() if other else None
        if mine is None or theirs is None:
            continue
        places, rows, columns = np.intersect1d(mine.place, theirs.place, assume_unique=True, return_indices=True)
        if len(places):
            told = [(one.clusters, where) for one, where in ((mine, rows), (theirs, columns))]
            clusters = next((numbers[where] for numbers, where in told if numbers is not None), None)
            values = mine.value[rows], theirs.value[columns]
            found.append(PairedCell(cell.split, cell.subset, places, *values, clusters, mine.is_mean))
    return tuple(found)


def shared_units(values: Sequence[ExampleValues]) -> Units | None:
    """The examples of a cell that all of some models have a value of, a column a model; None without any."""
    places = reduce(np.intersect1d, [own.place for own in values])
    if not len(places):
        return None
    rows = [np.searchsorted(own.place, places) for own in values]
    table = np.column_stack([own.value[row] for own, row in zip(values, rows, strict=True)])
    told = (own.clusters[row] for own, row in zip(values, rows, strict=True) if own.clusters is not None)
    return units_of(table, next(told, None))


def strata_of(cells: Sequence[PairedCell], weight: float = 1.0) -> Strata:
    """The differences A - B, to be compared: each cell counts as much as another.

    Args:
        cells: of one dataset.
        weight: of the dataset, such as one by the number of datasets of a board.
    """
    return [Stratum(units_of(cell.a - cell.b, cell.clusters), weight / len(cells)) for cell in cells]


def _main_scores(session: Session, run_ids: Sequence[int]) -> dict[tuple[int, str, str, str], float]:
    metrics = {kind.main_metric for kind in TASK_TYPES.values()}
    query = select(Score.run_id, Score.split, Score.subset, Score.metric, Score.value)
    rows = session.execute(query.where(Score.run_id.in_(run_ids), Score.metric.in_(metrics)))
    return {(run_id, split, subset, metric): value for run_id, split, subset, metric, value in rows}
