"""What each task type adds to the two values of an example: facts that stand beside them in lists."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.core.aggregation import Cell
from app.core.formats.codecs import Record
from app.services.evidence import CellEvidence
from app.services.examples import facts
from app.services.examples.facts import ORIGINAL
from app.services.examples.matchups import CellMatch, Matchup

_KEPT: Final = 64
"""So many arrays stay in memory; of a run two to ten numbers an example each."""
_QUERIES_AT_ONCE: Final = 5_000

Value = str | int | float | None
Both = tuple[Value, Value]
Fact = Value | Both


@dataclass(frozen=True, slots=True)
class Column:
    """What a task type adds to each row; `both` where each model has a value of its own."""

    key: str
    label: str
    help: str
    both: bool = False
    only_members: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """What it is called where each value has a column."""
        return (f"{self.key}_a", f"{self.key}_b") if self.both else (self.key,)


_FIRST: Final = Column(
    "first_relevant",
    "First relevant",
    "The rank of the best placed relevant document, A → B; >100 where it is not among the 100 that a run keeps.",
    both=True,
)
_LABEL: Final = Column("label", "Label", "The label that the dataset gives.")
_GOLD: Final = Column("gold", "Gold", "The number that the dataset gives.")
_SIMILARITY: Final = Column("similarity", "Similarity", "How alike the two texts are to each model, A → B.", both=True)
_COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    **dict.fromkeys(("Retrieval", "Reranking", "InstructionRetrieval"), (_FIRST,)),
    "InstructionReranking": (
        Column("changed", "Changed", "How many documents the changed instruction makes irrelevant."),
    ),
    "STS": (_GOLD, _SIMILARITY),
    "PairClassification": (Column("label", "Label", "1: the two texts match; 0: they do not."), _SIMILARITY),
    "Regression": (_GOLD, Column("predicted", "Predicted", "The mean prediction of each model, A → B.", both=True)),
    "Classification": (
        _LABEL,
        Column("predicted", "Predicted", "What each model predicted most often, A → B.", both=True),
    ),
    "MultilabelClassification": (Column("labels", "Labels", "All labels of the text.", only_members=True),),
    "BitextMining": (
        Column("found", "Found", "Which translation each model found, by its place, A → B.", both=True),
        Column("found_text", "Found text", "The translation that each model found, A → B.", True, only_members=True),
    ),
    "Summarization": (),
    "Clustering": (),
}


def columns_of(matchup: Matchup, may_see: bool) -> tuple[Column, ...]:
    """What the task type adds; only what a person may see."""
    return tuple(column for column in _COLUMNS[matchup.dataset.task_type] if may_see or not column.only_members)


@dataclass(frozen=True, slots=True)
class PlacedQuery:
    """A query and its place among those of its cell."""

    place: int
    record: Record


def query_pairs(
    matchup: Matchup, cell: CellMatch, pairs: Collection[int]
) -> dict[int, tuple[PlacedQuery, PlacedQuery]]:
    """Of some pairs of instruction reranking the two queries, the one with the original instruction first.

    Raises:
        NotFound: code `evidence_missing` or `dataset_missing`.
    """
    arrays = kept_arrays(cell.a, "query", "pair")
    places: dict[int, list[int]] = {}
    for query, pair in zip(arrays["query"].tolist(), arrays["pair"].tolist(), strict=True):
        if pair in pairs:
            places.setdefault(pair, []).append(query)
    records = facts.records(matchup.path, cell.cell, "query", [query for two in places.values() for query in two])
    found = {}
    for pair, two in places.items():
        queries = sorted(
            (PlacedQuery(query, records[query]) for query in two if query in records),
            key=lambda query: not str(query.record["id"]).endswith(ORIGINAL),
        )
        if len(queries) == 2:
            found[pair] = queries[0], queries[1]
    return found


@lru_cache(maxsize=_KEPT)
def kept_arrays(evidence: CellEvidence, *names: str) -> dict[str, NDArray[Any]]:
    """Some of the arrays that a run kept of a cell, none of them a whole ranking; they stay in memory for a while.

    Raises:
        NotFound: code `evidence_missing`.
    """
    return evidence.arrays(*names)


@lru_cache(maxsize=_KEPT)
def first_ranks(evidence: CellEvidence, path: Path, cell: Cell) -> dict[int, int]:
    """By place of a query the rank of its best placed relevant document; without those that have none in the ranking.

    Raises:
        NotFound: code `evidence_missing` or `dataset_missing`.
    """
    arrays, judged = evidence.arrays("query", "ranking"), facts.relevant(path, cell)
    queries, ranking = arrays["query"].astype(np.int64), arrays["ranking"]
    width = int(max(ranking.max(initial=0), judged.documents.max(initial=0))) + 1
    owners = np.repeat(np.arange(len(judged.starts) - 1), np.diff(judged.starts))
    known = (owners * width + judged.documents)[judged.documents >= 0]
    found: dict[int, int] = {}
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        some, listed = queries[start : start + _QUERIES_AT_ONCE], ranking[start : start + _QUERIES_AT_ONCE]
        hits = np.isin(some[:, None] * width + listed, known) & (listed >= 0)
        rows = np.flatnonzero(hits.any(axis=1))
        found |= dict(zip(some[rows].tolist(), (hits[rows].argmax(axis=1) + 1).tolist(), strict=True))
    return found


_Adder = Callable[[Matchup, CellMatch, list[int], dict[int, Record], bool], dict[str, Sequence[Fact]]]


def added_facts(
    matchup: Matchup, cell: CellMatch, places: list[int], records: dict[int, Record], may_see: bool
) -> dict[str, Sequence[Fact]]:
    """By the keys of the columns a fact for each place.

    Raises:
        NotFound: code `evidence_missing` or `dataset_missing`.
    """
    adder = _ADDERS.get(matchup.dataset.task_type)
    return adder(matchup, cell, places, records, may_see) if adder and places else {}


def _first_relevant(
    matchup: Matchup, cell: CellMatch, places: list[int], _records: dict[int, Record], _may_see: bool
) -> dict[str, Sequence[Fact]]:
    a, b = (first_ranks(evidence, matchup.path, cell.cell) for evidence in cell.sides)
    return {"first_relevant": [(a.get(place), b.get(place)) for place in places]}


def _changed(
    _matchup: Matchup, _cell: CellMatch, places: list[int], records: dict[int, Record], _may_see: bool
) -> dict[str, Sequence[Fact]]:
    return {"changed": [len(records[place]["documents"]) if place in records else None for place in places]}


def _both(cell: CellMatch, name: str, places: list[int]) -> list[Fact]:
    """The two models' numbers of that name."""
    a, b = (kept_arrays(evidence, name)[name][places].tolist() for evidence in cell.sides)
    return list(zip(a, b, strict=True))


def _scored_pairs(
    _matchup: Matchup, cell: CellMatch, places: list[int], _records: dict[int, Record], _may_see: bool
) -> dict[str, Sequence[Fact]]:
    gold = kept_arrays(cell.a, "gold")["gold"][places].tolist()
    return {"gold": gold, "similarity": _both(cell, "similarity", places)}


def _labelled_pairs(
    _matchup: Matchup, cell: CellMatch, places: list[int], _records: dict[int, Record], _may_see: bool
) -> dict[str, Sequence[Fact]]:
    labels = kept_arrays(cell.a, "label")["label"][places].tolist()
    return {"label": labels, "similarity": _both(cell, "similarity", places)}


def _valued(
    _matchup: Matchup, cell: CellMatch, places: list[int], _records: dict[int, Record], _may_see: bool
) -> dict[str, Sequence[Fact]]:
    gold = kept_arrays(cell.a, "gold")["gold"][places].tolist()
    return {"gold": gold, "predicted": _both(cell, "predicted", places)}


def _labelled(
    matchup: Matchup, cell: CellMatch, places: list[int], _records: dict[int, Record], may_see: bool
) -> dict[str, Sequence[Fact]]:
    name = facts.naming(facts.label_names(matchup.path, cell.cell), may_see)
    labels = facts.labels_of(matchup.path, cell.cell)[places].tolist()
    guesses = [_guesses(evidence, places) for evidence in cell.sides]
    predicted = [tuple(None if one is None else name(one) for one in two) for two in zip(*guesses, strict=True)]
    return {"label": [name(label) for label in labels], "predicted": [(two[0], two[1]) for two in predicted]}


def _guesses(evidence: CellEvidence, places: list[int]) -> list[int | None]:
    """What was predicted most often for each; None where a run did not keep that."""
    predicted = kept_arrays(evidence, "predicted").get("predicted")
    if predicted is None:
        return [None] * len(places)
    return [Counter(guesses).most_common(1)[0][0] for guesses in predicted[places].tolist()]


def _multilabelled(
    _matchup: Matchup, _cell: CellMatch, places: list[int], records: dict[int, Record], may_see: bool
) -> dict[str, Sequence[Fact]]:
    return {"labels": [", ".join(records[place]["labels"]) for place in places]} if may_see else {}


def _translated(
    matchup: Matchup, cell: CellMatch, places: list[int], _records: dict[int, Record], may_see: bool
) -> dict[str, Sequence[Fact]]:
    a, b = (kept_arrays(evidence, "neighbour")["neighbour"][places].tolist() for evidence in cell.sides)
    found: dict[str, Sequence[Fact]] = {"found": list(zip(a, b, strict=True))}
    if may_see:
        texts = facts.records(matchup.path, cell.cell, "pair", [*a, *b])
        found["found_text"] = [(texts[x]["sentence2"], texts[y]["sentence2"]) for x, y in zip(a, b, strict=True)]
    return found


_ADDERS: Final[dict[str, _Adder]] = {
    **dict.fromkeys(("Retrieval", "Reranking", "InstructionRetrieval"), _first_relevant),
    "InstructionReranking": _changed,
    "STS": _scored_pairs,
    "PairClassification": _labelled_pairs,
    "Regression": _valued,
    "Classification": _labelled,
    "MultilabelClassification": _multilabelled,
    "BitextMining": _translated,
}
