"""One example: what both models made of it, by task type."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from app.core.example_views import mean_ranks
from app.core.formats.codecs import Record
from app.errors import NotFound
from app.services.examples import facts
from app.services.examples.columns import PlacedQuery, kept_arrays, query_pairs
from app.services.examples.matchups import CellMatch, Matchup
from app.services.examples.rankings import RankedQuery, named_by, ranked_query, ranking_of, ranks_of, said

Two = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class ChangedDocument:
    """A document that a changed instruction makes irrelevant: ranks before and after, by A and by B."""

    place: int
    id: str
    text: str | None
    a: Two
    b: Two


@dataclass(frozen=True, slots=True)
class QueryDetail:
    """Of retrieval and reranking. With instructions that change there are two queries, and what becomes irrelevant."""

    queries: tuple[RankedQuery, ...]
    changed: tuple[ChangedDocument, ...] = ()


@dataclass(frozen=True, slots=True)
class Placing:
    """What a model finds, and which rank that is among all; the smallest has rank 1."""

    value: float
    rank: float


@dataclass(frozen=True, slots=True)
class NumberDetail:
    """Of pairs and of texts with a number.

    Attributes:
        texts: one or two; None for those who may not see them.
        what: what is found, "similarity" or "prediction".
        gold: what the dataset says; a label, 1 or 0, has no rank.
        found: by A and by B.
        examples: how many have ranks.
    """

    texts: tuple[str, ...] | None
    what: str
    gold: Placing
    found: tuple[Placing, Placing]
    examples: int


@dataclass(frozen=True, slots=True)
class LabelDetail:
    """Of texts with labels.

    Attributes:
        texts: the text; None for those who may not see it.
        labels: those of the dataset; None where they may not be seen.
        correct: the share of experiments that got it right, by A and by B.
        guesses: by A and by B each label predicted and how often; None where a run does not tell.
    """

    texts: tuple[str, ...] | None
    labels: tuple[str, ...] | None
    correct: tuple[float, float]
    guesses: tuple[tuple[tuple[str, int], ...] | None, tuple[tuple[str, int], ...] | None]


@dataclass(frozen=True, slots=True)
class FoundTranslation:
    """What a model took for the translation; `text` is None for those who may not see it."""

    place: int
    text: str | None
    similarity: float
    correct: bool


@dataclass(frozen=True, slots=True)
class TranslationDetail:
    """Of a sentence and its translation."""

    texts: tuple[str, ...] | None
    found: tuple[FoundTranslation, FoundTranslation]


@dataclass(frozen=True, slots=True)
class JudgedSummary:
    """A summary by a machine: how good people find it, how near it is to one of theirs to A and to B."""

    text: str | None
    gold: float
    similarity: tuple[float, float]


@dataclass(frozen=True, slots=True)
class SummaryDetail:
    """Of a text with summaries; `human` are those by people, None for those who may not see them."""

    texts: tuple[str, ...] | None
    human: tuple[str, ...] | None
    summaries: tuple[JudgedSummary, ...]


Detail = QueryDetail | NumberDetail | LabelDetail | TranslationDetail | SummaryDetail


def detail(matchup: Matchup, cell: CellMatch, place: int, *, may_see: bool, shown: int = 10) -> Detail:
    """What both models made of one example.

    Args:
        matchup: of the two models.
        cell: one of its cells.
        place: where the example stands in it.
        may_see: whether texts may be seen.
        shown: so many documents of each ranking.

    Raises:
        NotFound: there is no such example (`not_found`), or a file is gone (`evidence_missing`, `dataset_missing`).
    """
    kind = facts.KINDS[matchup.dataset.task_type]
    record = facts.records(matchup.path, cell.cell, kind, [place]).get(place)
    maker = _MAKERS.get(matchup.dataset.task_type)
    if record is None or maker is None:
        raise _absent(matchup, place)
    return maker(_Asked(matchup, cell, place, record, may_see, shown))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a detail is made from."""

    matchup: Matchup
    cell: CellMatch
    place: int
    record: Record
    may_see: bool
    shown: int

    @property
    def texts(self) -> tuple[str, ...] | None:
        """What the example says."""
        if not self.may_see:
            return None
        if "sentence1" in self.record:
            return self.record["sentence1"], self.record["sentence2"]
        return tuple(self.record[name] for name in ("text", "instruction") if self.record.get(name))

    def row(self, name: str) -> tuple[Any, Any]:
        """A's and B's value of the example, where a value stands at its place."""
        kept = [kept_arrays(evidence, name)[name] for evidence in self.cell.sides]
        if any(self.place >= len(values) for values in kept):
            raise _absent(self.matchup, self.place)
        return kept[0][self.place], kept[1][self.place]


def _absent(matchup: Matchup, place: int) -> NotFound:
    return NotFound(f"{matchup.dataset.name} has no example {place} there of which both runs kept a value.")


def _query(asked: _Asked) -> QueryDetail:
    return QueryDetail((_ranked(asked, PlacedQuery(asked.place, asked.record)),))


def _query_pair(asked: _Asked) -> QueryDetail:
    pair = query_pairs(asked.matchup, asked.cell, [asked.place]).get(asked.place)
    if pair is None:
        raise _absent(asked.matchup, asked.place)
    queries = tuple(_ranked(asked, query) for query in pair)
    path, cell = asked.matchup.path, asked.cell.cell
    places = facts.places_of(path, cell, tuple(asked.record["documents"]))
    records = facts.records(path, cell, "document", places)
    by_side = [[ranks_of(ranking_of(evidence, query.place)[0]) for query in pair] for evidence in asked.cell.sides]
    changed = tuple(
        ChangedDocument(
            place,
            named_by(records[place], place, asked.may_see),
            said(records[place], asked.may_see),
            *((ranks[0].get(place), ranks[1].get(place)) for ranks in by_side),
        )
        for place in places
    )
    return QueryDetail(queries, changed)


def _ranked(asked: _Asked, query: PlacedQuery) -> RankedQuery:
    return ranked_query(asked.matchup, asked.cell, query.place, query.record, may_see=asked.may_see, shown=asked.shown)


def _number(asked: _Asked, name: str, gold: str) -> NumberDetail:
    kept = [kept_arrays(evidence, name, gold) for evidence in asked.cell.sides]
    truth = float(asked.row(gold)[0])
    found = [
        Placing(float(value), float(mean_ranks(arrays[name])[asked.place]))
        for value, arrays in zip(asked.row(name), kept, strict=True)
    ]
    rank = float(mean_ranks(kept[0][gold])[asked.place])
    what = "prediction" if name == "predicted" else name
    return NumberDetail(asked.texts, what, Placing(truth, rank), (found[0], found[1]), len(kept[0][gold]))


def _scored_pair(asked: _Asked) -> NumberDetail:
    return _number(asked, "similarity", "gold")


def _labelled_pair(asked: _Asked) -> NumberDetail:
    return _number(asked, "similarity", "label")


def _valued(asked: _Asked) -> NumberDetail:
    return _number(asked, "predicted", "gold")


def _labelled(asked: _Asked) -> LabelDetail:
    names = facts.label_names(asked.matchup.path, asked.cell.cell)
    name = facts.naming(names, asked.may_see)
    label = int(facts.labels_of(asked.matchup.path, asked.cell.cell)[asked.place])
    a, b = asked.row("correct")
    guesses = []
    for evidence in asked.cell.sides:
        predicted = kept_arrays(evidence, "predicted").get("predicted")
        counts = None if predicted is None else Counter(predicted[asked.place].tolist()).most_common()
        guesses.append(None if counts is None else tuple((name(number), count) for number, count in counts))
    return LabelDetail(asked.texts, (name(label),), (float(a), float(b)), (guesses[0], guesses[1]))


def _multilabelled(asked: _Asked) -> LabelDetail:
    shares = []
    for evidence in asked.cell.sides:
        arrays = kept_arrays(evidence, "text", "correct")
        rows = np.flatnonzero(arrays["text"] == asked.place)
        if not len(rows):
            raise _absent(asked.matchup, asked.place)
        shares.append(float(arrays["correct"][rows[0]]))
    labels = tuple(asked.record["labels"]) if asked.may_see else None
    return LabelDetail(asked.texts, labels, (shares[0], shares[1]), (None, None))


def _translated(asked: _Asked) -> TranslationDetail:
    places, scores = [int(place) for place in asked.row("neighbour")], asked.row("score")
    pairs = facts.records(asked.matchup.path, asked.cell.cell, "pair", places)
    a, b = (
        FoundTranslation(
            place, pairs[place]["sentence2"] if asked.may_see else None, float(score), place == asked.place
        )
        for place, score in zip(places, scores, strict=True)
    )
    return TranslationDetail(asked.texts, (a, b))


def _summarized(asked: _Asked) -> SummaryDetail:
    kept = [kept_arrays(evidence, "similarity", "gold", "text") for evidence in asked.cell.sides]
    a, b = (arrays["similarity"][arrays["text"] == asked.place].tolist() for arrays in kept)
    gold = kept[0]["gold"][kept[0]["text"] == asked.place].tolist()
    written = asked.record["machine_summaries"]
    summaries = tuple(
        JudgedSummary(text if asked.may_see else None, good, (near_a, near_b))
        for text, good, near_a, near_b in zip(written, gold, a, b, strict=True)
    )
    human = tuple(asked.record["human_summaries"]) if asked.may_see else None
    return SummaryDetail(asked.texts, human, summaries)


_MAKERS: Final[dict[str, Callable[[_Asked], Detail]]] = {
    **dict.fromkeys(("Retrieval", "Reranking", "InstructionRetrieval"), _query),
    "InstructionReranking": _query_pair,
    "STS": _scored_pair,
    "PairClassification": _labelled_pair,
    "Regression": _valued,
    "Classification": _labelled,
    "MultilabelClassification": _multilabelled,
    "BitextMining": _translated,
    "Summarization": _summarized,
}
