"""Whether one model of a board is really better than another: on each dataset, and on the whole board.

Everything is read from the values that runs keep of each example. A finished run never changes, so what was found is
kept by the numbers of the runs.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from sqlalchemy.orm import Session

from app.core.aggregation import Floats
from app.core.significance import Difference, holm
from app.core.verdicts import Judgement, Verdict, judge
from app.db.queries.boards import Board, BoardColumn
from app.errors import NotFound
from app.services.board_view import full_name, known
from app.services.evidence import CellEvidence, EvidenceReader
from app.services.paired_runs import Histogram, Outcome, compare_board, compare_runs, tukey_of
from app.services.recent import Recent

_KEPT_PAIRS: Final = 5_000
"""Of two runs on a dataset; some 2 kB each."""
_KEPT_WHOLE: Final = 500
"""Of some models on a board."""
_EXAMPLES: Final = {
    **dict.fromkeys(("Retrieval", "Reranking", "InstructionRetrieval"), "queries"),
    **dict.fromkeys(("STS", "PairClassification", "InstructionReranking"), "pairs"),
    "BitextMining": "sentences",
}
CLUSTERING: Final = "Clustering has no score for each text, so there is no test."

Cells = Mapping[int, Sequence[CellEvidence]]


@dataclass(frozen=True, slots=True)
class DatasetVerdict:
    """The baseline (A) beside another model (B) on one dataset.

    Attributes:
        scores: A's and B's, None where one is missing.
        examples: what is compared, such as queries; `units`: what is counted, where those of one source are one.
        judgement: None where nothing could be tested.
        why: then the reason, in words.
        lacking: the places, 0 or 1, of those of the two that have no result here.
        lost: whether the only reason is a file or values that a run should have kept.
        histogram: of the differences.
        draws: for clustering the standard deviation over the draws, of A and of B.
        parts: on how many of the dataset's splits and subsets both have values, and how many there are.
        counts: whether it is part of the test over the whole board.
    """

    column: BoardColumn
    scores: tuple[float | None, float | None]
    examples: str
    units: str
    judgement: Judgement | None
    why: str = ""
    lacking: tuple[int, ...] = ()
    lost: bool = False
    histogram: Histogram | None = None
    draws: tuple[float, float] | None = None
    parts: tuple[int, int] = (0, 0)
    counts: bool = False

    @property
    def relative(self) -> float | None:
        """The difference as a share of B's score; None without one, or where that is no more than 0."""
        score = self.scores[1]
        return self.judgement.difference.value / score if self.judgement and score and score > 0 else None


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """The baseline beside another model.

    Attributes:
        other: its place among the models, 1 or more.
        datasets: in the board's order.
        board: over all datasets that could be tested; None without any.
        margin: what counts as no difference on the board: the mean of those datasets' margins.
        tested: how many datasets that rests on.
    """

    other: int
    datasets: tuple[DatasetVerdict, ...]
    board: Judgement | None
    margin: float
    tested: int

    def count(self, *verdicts: Verdict) -> int:
        """On how many datasets there is one of these verdicts."""
        return sum(found.judgement is not None and found.judgement.verdict in verdicts for found in self.datasets)


@dataclass(frozen=True, slots=True, eq=False)
class AllPairs:
    """Every model beside every other, by Tukey's randomised test.

    Attributes:
        p: shape (models, models), 1 on the diagonal.
        means: shape (models,), over the datasets that were tested.
        datasets: how many those are.
        n: over how many examples (or clusters of them).
    """

    p: Floats
    means: Floats
    datasets: int
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What the tests say of some models of a board, the first of which is the baseline.

    Attributes:
        names: with their variants.
        keys: what names the models in addresses.
        pairs: the baseline beside each of the others, in their order.
        all_pairs: for three models or more, where all of them have values of the same examples.
        final: whether it stays so: no file was missing that may come back.
    """

    names: tuple[str, ...]
    keys: tuple[str, ...]
    pairs: tuple[PairVerdict, ...]
    all_pairs: AllPairs | None
    final: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What is kept: by model and dataset, by model, and of all of them."""

    outcomes: tuple[tuple[Outcome, ...], ...]
    boards: tuple[tuple[Difference | None, tuple[int, ...]], ...]
    all_pairs: AllPairs | None

    @property
    def final(self) -> bool:
        return not any(outcome.missing for row in self.outcomes for outcome in row)


class VerdictKeeper:
    """The verdicts of one process. Safe for threads; one of them computes at a time, as each uses all cores."""

    def __init__(self, evidence: EvidenceReader) -> None:
        self._evidence = evidence
        self._pairs: Recent[Outcome] = Recent(_KEPT_PAIRS)
        self._whole: Recent[_Found] = Recent(_KEPT_WHOLE)
        self._computing = Lock()

    def kept(self, board: Board, places: Sequence[int]) -> Verdicts | None:
        """The verdicts of these models if they are here already; `places` are those in `board.models`."""
        columns = range(len(board.columns))
        found = self._whole.get(_key(board, places, columns))
        return None if found is None else _verdicts(board, places, columns, found)

    def of(
        self,
        session: Session,
        board: Board,
        places: Sequence[int],
        columns: Sequence[int] | None = None,
        *,
        wait: bool = True,
    ) -> Verdicts | None:
        """The verdicts of some models.

        Args:
            session: to find the files by.
            board: of our own runs; on another there is nothing to test.
            places: two or more models, as places in `board.models`; the first is the baseline.
            columns: the datasets that count, as places in `board.columns`; all of them by default.
            wait: whether to wait where another thread computes.

        Returns:
            None where another thread computes and `wait` is off.
        """
        columns = range(len(board.columns)) if columns is None else columns
        key = _key(board, places, columns)
        found = self._whole.get(key)
        if found is None:
            if not self._computing.acquire(blocking=wait):
                return None
            try:
                found = self._whole.get(key) or self._find(session, board, places, columns)
            finally:
                self._computing.release()
            if found.final:
                self._whole.keep(key, found)
        return _verdicts(board, places, columns, found)

    def _find(self, session: Session, board: Board, places: Sequence[int], columns: Sequence[int]) -> _Found:
        runs: list[list[int]] = board.run_ids[list(places)][:, list(columns)].tolist()
        cells = self._evidence.cells(session, {run for row in runs for run in row if run})
        baseline, *others = runs
        outcomes = tuple(
            tuple(self._outcome(a, b, cells) for a, b in zip(baseline, other, strict=True)) for other in others
        )
        boards = []
        for other, row in zip(others, outcomes, strict=True):
            tested = tuple(number for number, outcome in enumerate(row) if outcome.counts)
            pairs = [(cells[baseline[number]], cells[other[number]]) for number in tested]
            whole = compare_board(pairs) if pairs[1:] else row[tested[0]].difference if pairs else None
            boards.append((whole, tested))
        everywhere = [number for number in range(len(columns)) if all(row[number].counts for row in outcomes)]
        all_pairs = _all_pairs([[cells[row[number]] for row in runs] for number in everywhere]) if others[1:] else None
        return _Found(outcomes, tuple(boards), all_pairs)

    def _outcome(self, a: int, b: int, cells: Cells) -> Outcome:
        """Of two runs on one dataset; nothing where there is no run."""
        if not (a and b):
            return Outcome()
        found = self._pairs.get((a, b))
        if found is None:
            try:
                found = compare_runs(cells.get(a, ()), cells.get(b, ()))
            except NotFound as error:
                return Outcome(missing=error.message)
            self._pairs.keep((a, b), found)
        return found


def _key(board: Board, places: Sequence[int], columns: Sequence[int]) -> Hashable:
    """The runs: what they say never changes."""
    return tuple(map(tuple, board.run_ids[list(places)][:, list(columns)].tolist()))


def _all_pairs(datasets: Sequence[Sequence[Sequence[CellEvidence]]]) -> AllPairs | None:
    found = tukey_of(datasets)
    return None if found is None else AllPairs(*found)


def _verdicts(board: Board, places: Sequence[int], columns: Sequence[int], found: _Found) -> Verdicts:
    """Judge what was found by the margins of today; with Holm where a baseline meets several."""
    by_column = [[row[number].difference for row in found.outcomes] for number in range(len(columns))]
    adjusted = [_adjusted(differences) for differences in by_column]
    whole = _adjusted([difference for difference, _ in found.boards])
    pairs = []
    for number, (outcomes, (difference, tested)) in enumerate(zip(found.outcomes, found.boards, strict=True)):
        two = places[0], places[number + 1]
        datasets = tuple(
            _dataset_verdict(board, column, two, outcome, ps[number])
            for column, outcome, ps in zip(columns, outcomes, adjusted, strict=True)
        )
        margin = sum(board.columns[columns[place]].margin for place in tested) / max(1, len(tested))
        judged = judge(difference, adjusted_p=whole[number], margin=margin) if difference else None
        pairs.append(PairVerdict(number + 1, datasets, judged, margin, len(tested)))
    models = [board.models[place] for place in places]
    names, keys = tuple(map(full_name, models)), tuple(model.key for model in models)
    return Verdicts(names, keys, tuple(pairs), found.all_pairs, found.final)


def _adjusted(differences: Sequence[Difference | None]) -> list[float | None]:
    """The p of each by Holm, None where there is none; None everywhere for a single comparison."""
    if len(differences) == 1:
        return [None]
    ps = iter(holm([difference.p for difference in differences if difference]).tolist())
    return [next(ps) if difference else None for difference in differences]


def _dataset_verdict(
    board: Board, place: int, models: tuple[int, int], outcome: Outcome, p: float | None
) -> DatasetVerdict:
    column = board.columns[place]
    lacking = tuple(number for number, model in enumerate(models) if not board.run_ids[model, place])
    judged = judge(outcome.difference, adjusted_p=p, margin=column.margin) if outcome.difference else None
    a, b = known(board.means.complete[list(models), place])
    names = [full_name(board.models[models[number]]) for number in lacking]
    return DatasetVerdict(
        column=column,
        scores=(a, b),
        examples=_EXAMPLES.get(column.task_type, "texts"),
        units=_units(column, outcome),
        judgement=judged,
        why="" if judged else _why(column, outcome, names, imported=board.imported),
        lacking=lacking,
        lost=not (judged or lacking or outcome.draws),
        histogram=outcome.histogram,
        draws=outcome.draws,
        parts=outcome.parts,
        counts=outcome.counts,
    )


def _units(column: BoardColumn, outcome: Outcome) -> str:
    """What is counted, in words."""
    if outcome.clustered:
        return "groups of queries with the same source"
    return _EXAMPLES.get(column.task_type, "texts")


def _why(column: BoardColumn, outcome: Outcome, lacking: Sequence[str], *, imported: bool) -> str:
    """Why there is no test."""
    if imported:
        return "Imported scores come without values of each example."
    if lacking:
        return f"{' and '.join(lacking)} {'have' if lacking[1:] else 'has'} no result here."
    if outcome.missing:
        return outcome.missing
    if column.task_type == "Clustering":
        return CLUSTERING
    return "The two runs kept no values of the same examples. Queue them again."
