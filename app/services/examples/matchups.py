"""Two models on every example of a dataset: which runs that takes, which examples differ, in what order to look."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core.aggregation import Cell, Floats, Integers
from app.core.significance import MARGIN
from app.core.task_types import DEFAULT_SUBSET, TASK_TYPES, TaskType
from app.db.queries.datasets import DatasetRow, find_dataset
from app.db.tables import BoardKind, Dataset, JobState, Model, Run
from app.errors import Invalid, NotFound
from app.services import benchmarks
from app.services.evidence import CellEvidence, EvidenceReader, PairedCell, paired
from app.storage.blobs import BlobStore

TIE_DIGITS: Final = 10
"""Differences are compared after rounding to these, as the tests do."""
_SHOWN: Final = 80
_FAILS_AT_ZERO: Final = frozenset(
    {
        "Retrieval",
        "Reranking",
        "InstructionRetrieval",
        "Classification",
        "MultilabelClassification",
        "BitextMining",
    }
)
"""Task types of which an example's 0 means that the model failed."""


def _escaped(name: str) -> str:
    """A name that holds no colon, and that no browser takes for a folder."""
    text = name.replace("%", "%25").replace(":", "%3A")
    return text.replace(".", "%2E") if text in {".", ".."} else text


class Outcome(StrEnum):
    """Which examples to look at; A is the first model."""

    ALL = "all"
    IMPROVED = "improved"
    WORSE = "worse"
    UNCHANGED = "unchanged"
    FAILED = "failed"


SORTS: Final = ("difference", "-difference", "a", "-a", "b", "-b", "place")
"""By which examples are ordered; with a minus the largest first."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models, and the run that counts."""

    key: str
    name: str
    chips: tuple[str, ...]
    run_id: int
    score: float | None

    @property
    def full_name(self) -> str:
        """Its name, and what tells it from the other one."""
        return " ".join((self.name, *self.chips))


@dataclass(frozen=True, slots=True)
class CellMatch:
    """What both runs kept of one cell."""

    split: str
    subset: str
    a: CellEvidence
    b: CellEvidence

    @property
    def cell(self) -> Cell:
        """Its name in the dataset."""
        return self.split, self.subset

    @property
    def sides(self) -> tuple[CellEvidence, CellEvidence]:
        """A's and B's."""
        return self.a, self.b

    @property
    def key(self) -> str:
        """Its name in addresses: "test", or "test:eng-deu"."""
        split = _escaped(self.split)
        return split if self.subset == DEFAULT_SUBSET else f"{split}:{_escaped(self.subset)}"


@dataclass(frozen=True, slots=True)
class Matchup:
    """The newest finished runs of two models on a dataset's newest revision.

    Attributes:
        board: slug and name of the board from which they are compared; "" and "" for none.
        margin: differences within it are practically none.
        path: the dataset's canonical file, whether it is there or not.
        cells: those of which both runs kept something, by split and subset.
    """

    dataset: DatasetRow
    board: tuple[str, str]
    margin: float
    sides: tuple[Side, Side]
    path: Path
    cells: tuple[CellMatch, ...]

    @property
    def task_type(self) -> TaskType:
        """Of the dataset."""
        return TASK_TYPES[self.dataset.task_type]

    def cell(self, key: str) -> int:
        """The number of a cell, by its name in addresses.

        Raises:
            NotFound: there is no such cell.
        """
        for number, found in enumerate(self.cells):
            if found.key == key:
                return number
        names = ", ".join(found.key for found in self.cells) or "none"
        raise NotFound(f"{self.dataset.name} has no part {key[:_SHOWN]!r} that both runs kept. Parts: {names}.")

    def address(self, *behind: str, **query: str) -> str:
        """The page of the examples, or what lies behind it; with everything that names the two runs."""
        path = "/".join(quote(part, safe="") for part in (self.dataset.slug, *behind))
        board = {"board": self.board[0]} if self.board[0] else {}
        models = ",".join(side.key for side in self.sides)
        named = urlencode({**board, "models": models, **{name: text for name, text in query.items() if text}}, safe=",")
        return f"/compare/{path}?{named}"

    def csv_address(self, look: "ExampleLook") -> str:
        """What a look shows, as CSV."""
        path, _, query = self.address(**look.query()).partition("?")
        return f"{path}.csv?{query}"


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Every example that both runs have a value of, in the order of the dataset.

    Attributes:
        cell: shape (n,), numbers of `Matchup.cells`.
        place: shape (n,), where each stands in its cell.
        a: shape (n,), the first model's values.
        b: shape (n,), the second one's.
        is_mean: whether the values are scores of their own; else what examples contribute to the score.
        can_fail: whether 0 means that a model failed.
    """

    cell: Integers
    place: Integers
    a: Floats
    b: Floats
    is_mean: bool
    can_fail: bool

    @property
    def difference(self) -> Floats:
        """A less B, shape (n,)."""
        return np.round(self.a - self.b, TIE_DIGITS)

    def __len__(self) -> int:
        return len(self.place)

    def chosen(self, outcome: Outcome, cell: int | None = None) -> NDArray[np.bool_]:
        """Which examples an outcome is that of; in one cell, or in all."""
        difference = self.difference
        flags: NDArray[np.bool_] = {
            Outcome.ALL: np.ones(len(self), np.bool_),
            Outcome.IMPROVED: difference > 0,
            Outcome.WORSE: difference < 0,
            Outcome.UNCHANGED: difference == 0,
            Outcome.FAILED: (self.a == 0) & (self.b == 0) if self.can_fail else np.zeros(len(self), np.bool_),
        }[outcome]
        here: NDArray[np.bool_] = flags if cell is None else flags & (self.cell == cell)
        return here

    def counts(self, cell: int | None = None) -> dict[Outcome, int]:
        """How many there are of each outcome that has a meaning here."""
        meant = [outcome for outcome in Outcome if self.can_fail or outcome is not Outcome.FAILED]
        return {outcome: int(self.chosen(outcome, cell).sum()) for outcome in meant}

    def widest(self) -> float:
        """The largest difference, either way; 0 without examples."""
        return float(np.abs(self.difference).max(initial=0.0))


@dataclass(frozen=True, slots=True)
class ExampleLook:
    """Which examples to look at, and in what order; `cell` is one's name in addresses, "" for all."""

    outcome: Outcome = Outcome.ALL
    cell: str = ""
    sort: str = SORTS[0]

    def query(self, **changes: str) -> dict[str, str]:
        """What stands in an address, what is usual left out; with some of it changed."""
        values = {"only": self.outcome.value, "cell": self.cell, "sort": self.sort, **changes}
        return {name: text for name, text in values.items() if text != _USUAL[name]}


_USUAL: Final = {"only": Outcome.ALL.value, "cell": "", "sort": SORTS[0]}


def parse_look(query: Mapping[str, str]) -> ExampleLook:
    """Read `only`, `cell` and `sort` of an address.

    Raises:
        Invalid: there is no such outcome or order.
    """
    only, cell, sort = (query.get(name, usual) for name, usual in _USUAL.items())
    if only not in list(Outcome):
        raise Invalid(f"There is no choice {only[:_SHOWN]!r}. Choose one of: {', '.join(Outcome)}.", code="bad_choice")
    if sort not in SORTS:
        raise Invalid(f"Examples have no order {sort[:_SHOWN]!r}. Choose one of: {', '.join(SORTS)}.", code="bad_sort")
    return ExampleLook(Outcome(only), cell, sort)


def order(found: Examples, look: ExampleLook, cell: int | None) -> Integers:
    """The examples that a look shows, by number, in its order; equal ones in that of the dataset."""
    chosen = np.flatnonzero(found.chosen(look.outcome, cell))
    if look.sort == "place":
        return chosen
    keys = {"difference": found.difference, "a": found.a, "b": found.b}[look.sort.removeprefix("-")]
    sign = -1 if look.sort.startswith("-") else 1
    return chosen[np.argsort(sign * keys[chosen], kind="stable")]


def find_matchup(
    session: Session, evidence: EvidenceReader, blobs: BlobStore, slug: str, keys: Sequence[str], *, board: str = ""
) -> Matchup:
    """Which runs to lay side by side.

    Args:
        session: a snapshot.
        evidence: reads what runs kept.
        blobs: where the dataset's file lies.
        slug: of the dataset.
        keys: of the two models, A first.
        board: slug of the board from which they are compared; "" for none.

    Raises:
        NotFound: there is no such dataset, board or model, or no result of one of them on the newest revision.
        Invalid: there are not two different models (code `compare_count`).
    """
    dataset = find_dataset(session, slug)
    if dataset is None:
        raise NotFound(f"There is no dataset {slug!r}. See all datasets for those there are.")
    named = _board(session, board)
    models = _models(session, keys)
    alike = models[0].name == models[1].name and models[0].variant == models[1].variant
    runs = _runs(session, dataset, models)
    cells = evidence.cells(session, [run.id for run in runs])
    first, second = (
        Side(
            str(model.id),
            model.name,
            tuple(filter(None, (model.variant, model.revision[:7] if alike else ""))),
            run.id,
            run.main_score,
        )
        for model, run in zip(models, runs, strict=True)
    )
    margin = session.scalar(select(Dataset.margin).where(Dataset.id == dataset.id))
    return Matchup(
        dataset,
        named,
        MARGIN if margin is None else margin,
        (first, second),
        blobs.path(dataset.canonical_sha256),
        tuple(_matched(cells.get(first.run_id, ()), cells.get(second.run_id, ()))),
    )


def paired_cells(matchup: Matchup) -> tuple[PairedCell, ...]:
    """The values of both, by cell; none for a task type whose score is no sum over examples.

    Raises:
        NotFound: code `evidence_missing`.
    """
    return paired([cell.a for cell in matchup.cells], [cell.b for cell in matchup.cells])


def examples_of(matchup: Matchup) -> Examples:
    """All examples, cell after cell.

    Raises:
        NotFound: code `evidence_missing`.
    """
    numbers = {cell.cell: number for number, cell in enumerate(matchup.cells)}
    cells = paired_cells(matchup)
    return Examples(
        np.concatenate(
            [np.zeros(0, np.int64), *(np.full(len(cell.place), numbers[cell.split, cell.subset]) for cell in cells)]
        ),
        np.concatenate([np.zeros(0, np.int64), *(cell.place for cell in cells)]),
        np.concatenate([np.zeros(0), *(cell.a for cell in cells)]),
        np.concatenate([np.zeros(0), *(cell.b for cell in cells)]),
        all(cell.is_mean for cell in cells),
        matchup.dataset.task_type in _FAILS_AT_ZERO,
    )


def number_of(found: Examples, cell: int, place: int) -> int | None:
    """Which of the examples stands there; None where not both models have a value."""
    numbers = np.flatnonzero((found.cell == cell) & (found.place == place))
    return int(numbers[0]) if len(numbers) else None


def _board(session: Session, slug: str) -> tuple[str, str]:
    if not slug:
        return "", ""
    benchmark = benchmarks.by_slug(session, slug)
    if benchmark.kind == BoardKind.IMPORTED:
        raise NotFound(
            f"“{benchmark.name}” is a board of imported scores. They come without examples, so there is nothing to "
            "compare one by one. Run the models here to see that.",
            code="no_examples",
        )
    return benchmark.slug, benchmark.name


def _models(session: Session, keys: Sequence[str]) -> tuple[Model, Model]:
    wanted = tuple(dict.fromkeys(keys))
    if len(wanted) != 2:
        raise Invalid(
            f"Examples are laid side by side for two different models, and {len(wanted) or 'none'} "
            f"{'was' if len(wanted) < 2 else 'were'} given. Name them as models=KEY,KEY.",
            code="compare_count",
        )
    ids = [_model_id(key) for key in wanted]
    models = {row.id: row for row in session.scalars(select(Model).where(Model.id.in_(ids)))}
    if unknown := [key for key, model_id in zip(wanted, ids, strict=True) if model_id not in models]:
        raise NotFound(
            f"There is no model with the key {', '.join(repr(key[:_SHOWN]) for key in unknown)}. "
            "A model's key stands in the address when it is compared.",
            code="unknown_model",
        )
    first, second = (models[model_id] for model_id in ids)
    return first, second


def _model_id(key: str) -> int:
    """The id of a model by its key; 0, which none has, for anything else."""
    return int(key) if re.fullmatch(r"[1-9]\d{0,8}", key, re.ASCII) else 0


def _runs(session: Session, dataset: DatasetRow, models: Sequence[Model]) -> list[Run]:
    newest = (
        select(func.max(Run.id))
        .where(
            Run.dataset_revision_id == dataset.revision_id,
            Run.state == JobState.DONE,
            Run.model_id.in_([model.id for model in models]),
        )
        .group_by(Run.model_id)
    )
    found = {run.model_id: run for run in session.scalars(select(Run).where(Run.id.in_(newest)))}
    if lacking := [model.name for model in models if model.id not in found]:
        raise NotFound(
            f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no finished run on the newest "
            f"revision of {dataset.name}. Queue one, then compare again.",
            code="no_result",
        )
    return [found[model.id] for model in models]


def _matched(a: Iterable[CellEvidence], b: Iterable[CellEvidence]) -> Iterable[CellMatch]:
    others = {(cell.split, cell.subset): cell for cell in b}
    for cell in a:
        if other := others.get((cell.split, cell.subset)):
            yield CellMatch(cell.split, cell.subset, cell, other)
