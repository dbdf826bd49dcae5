"""A query with the rankings that two models made for it, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from app.core.formats.codecs import Record
from app.services.evidence import CellEvidence
from app.services.examples import facts
from app.services.examples.matchups import CellMatch, Matchup

KEPT: Final = 100
"""So many documents a query are kept by a run."""

Two = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document in the ranking of one model.

    Attributes:
        place: in the corpus.
        text: title and text; None for those who may not see it.
        grade: how relevant it is, 0 for not.
        other_rank: where the other model has it; None where not among those that were kept.
    """

    place: int
    id: str
    text: str | None
    rank: int
    score: float
    grade: int
    other_rank: int | None

    @property
    def move(self) -> int | None:
        """How many ranks higher it stands here than in the other ranking; below 0 for lower."""
        return None if self.other_rank is None else self.other_rank - self.rank


@dataclass(frozen=True, slots=True)
class RelevantDocument:
    """A relevant document, and the rank that each model gives it; None where not among those that were kept."""

    place: int
    id: str
    text: str | None
    grade: int
    ranks: Two


@dataclass(frozen=True, slots=True)
class RankedQuery:
    """A query with the two rankings.

    Attributes:
        texts: the query, and its instruction where it has one; None for those who may not see it.
        relevant: the best placed by either model first; those that are in no corpus are only counted by `lost`.
        rankings: A's and B's first documents.
        kept: how long the rankings are that the runs kept.
    """

    id: str
    texts: tuple[str, ...] | None
    relevant: tuple[RelevantDocument, ...]
    lost: int
    rankings: tuple[tuple[RankedDocument, ...], tuple[RankedDocument, ...]]
    kept: tuple[int, int]


def ranked_query(
    matchup: Matchup, match: CellMatch, query: int, record: Record, *, may_see: bool, shown: int
) -> RankedQuery:
    """The two rankings of a query.

    Args:
        matchup: of the two models.
        match: the cell that the query is in.
        query: its place among the queries of the cell.
        record: the query itself.
        may_see: whether texts may be seen.
        shown: so many documents of each ranking.

    Raises:
        NotFound: code `evidence_missing` or `dataset_missing`.
    """
    grades = facts.relevant(matchup.path, match.cell).of(query)
    rankings = [ranking_of(evidence, query) for evidence in match.sides]
    ranks = [ranks_of(documents) for documents, _ in rankings]
    wanted = {place for documents, _ in rankings for place in documents[:shown]} | grades.keys()
    records = facts.records(matchup.path, match.cell, "document", sorted(wanted))
    named = {place: (place, named_by(found, place, may_see), said(found, may_see)) for place, found in records.items()}
    relevant = [
        RelevantDocument(*named[place], grade, (ranks[0].get(place), ranks[1].get(place)))
        for place, grade in grades.items()
        if place in named
    ]
    relevant.sort(key=lambda one: min(rank or KEPT + 1 for rank in one.ranks))
    a, b = (
        tuple(
            RankedDocument(*named[place], rank, score, grades.get(place, 0), other.get(place))
            for rank, (place, score) in enumerate(zip(documents[:shown], scores, strict=False), start=1)
        )
        for (documents, scores), other in zip(rankings, reversed(ranks), strict=True)
    )
    texts = tuple(record[name] for name in ("text", "instruction") if record.get(name)) if may_see else None
    lost = len(grades) - len(relevant)
    counts = len(ranks[0]), len(ranks[1])
    return RankedQuery(named_by(record, query, may_see), texts, tuple(relevant), lost, (a, b), counts)


def ranking_of(evidence: CellEvidence, query: int) -> tuple[list[int], list[float]]:
    """The documents that a run kept for a query, the best first, and their scores; nothing for one that it left out."""
    arrays = evidence.arrays("query", "ranking", "ranking_scores")
    rows = np.flatnonzero(arrays["query"] == query)
    if not len(rows):
        return [], []
    documents, scores = arrays["ranking"][rows[0]], arrays["ranking_scores"][rows[0]]
    return documents[documents >= 0].tolist(), scores[documents >= 0].tolist()


def ranks_of(documents: Sequence[int]) -> dict[int, int]:
    """The ranks of documents, from 1."""
    return {place: rank for rank, place in enumerate(documents, start=1)}


def named_by(record: Record, place: int, may_see: bool) -> str:
    """The id of a query or document; for those who may see no texts, of which ids may be made, its kind and place."""
    return str(record["id"]) if may_see else f"{record['kind']} {place}"


def said(document: Record, may_see: bool) -> str | None:
    """Title and text; None for those who may not see them."""
    return " ".join(filter(None, (document.get("title"), document["text"]))) if may_see else None
