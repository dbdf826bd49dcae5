"""Retrieval and reranking: does the model put the relevant documents first? trec_eval's metrics, on arrays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app.core.records import RetrievalData
from app.core.task_types import RETRIEVAL_CUTOFFS
from worker.encoders.base import FloatArray, IntArray
from worker.scoring.abstention import naucs
from worker.scoring.base import CellScores, Part, Source, Tick
from worker.search import Rankings

TOP_K: Final = max(RETRIEVAL_CUTOFFS)
KEPT: Final = 100
"""So many documents a query are kept as evidence."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judgements:
    """Judged (query, document) pairs.

    Attributes:
        queries: shape (j,), rows of the rankings.
        documents: shape (j,), positions in the corpus; -1 for one that is not in it.
        relevance: shape (j,), 0 or less for irrelevant.
        count: the number of queries.
    """

    queries: IntArray
    documents: IntArray
    relevance: IntArray
    count: int


class RetrievalTask:
    """See `worker.scoring.base.Task`. Also for reranking, where each query ranks its own candidates.

    Args:
        main_metric: one of those that each query has a value of.
    """

    def __init__(self, main_metric: str) -> None:
        self._main_metric = main_metric

    def parts(self, data: RetrievalData) -> tuple[Part, ...]:
        """The judged queries and all documents."""
        rows = judged_queries(data)
        return (
            Part("query", "query", tuple(data.queries[row].full_text for row in rows)),
            Part("document", "document", tuple(document.full_text for document in data.documents)),
        )

    def score(self, data: RetrievalData, source: Source, tick: Tick) -> CellScores:
        """See `metrics` and `evidence`; an example's value is its main metric."""
        rows = judged_queries(data)
        rankings = ranked(data, rows, source)
        tick()
        judged = judgements(data, rows)
        values = per_query(rankings, judged)
        arrays = evidence(rows, values[self._main_metric], rankings, judged)
        return CellScores(metrics(rankings.scores, values), "queries", arrays)


def judged_queries(data: RetrievalData) -> list[int]:
    """The places of the queries that have a judgement; the others are left out, as MTEB does."""
    return [row for row, query in enumerate(data.queries) if data.qrels.get(query.id)]


def candidate_places(data: RetrievalData, rows: Sequence[int]) -> list[IntArray | None]:
    """For some of the queries the positions of their candidates, each once; None for a query that is not mentioned."""
    candidates = data.candidates or {}
    listed = [candidates.get(data.queries[row].id) for row in rows]
    places = _places(data, chain.from_iterable(filter(None, listed)))
    return [
        None if documents is None else np.array([places[document] for document in dict.fromkeys(documents)], np.int64)
        for documents in listed
    ]


def judgements(data: RetrievalData, rows: Sequence[int]) -> Judgements:
    """The judgements of some of the queries, as arrays."""
    judged = [data.qrels[data.queries[row].id] for row in rows]
    places = _places(data, chain.from_iterable(judged))
    documents = (places.get(document, -1) for document in chain.from_iterable(judged))
    return Judgements(
        np.repeat(np.arange(len(judged)), [len(documents) for documents in judged]),
        np.fromiter(documents, np.int64),
        np.fromiter(chain.from_iterable(documents.values() for documents in judged), np.int64),
        len(rows),
    )


def ranked(data: RetrievalData, rows: Sequence[int], source: Source) -> Rankings:
    """The 1000 best documents of some of the queries; of these one with the query's own id is dropped, if asked for."""
    rankings = source.rankings(data, TOP_K)
    if not data.ignore_identical_ids:
        return rankings
    names = [data.queries[row].id for row in rows]
    places = _places(data, names)
    own = np.array([places.get(name, -1) for name in names], np.int64)
    return rankings.without((rankings.documents == own[:, None]) & (own >= 0)[:, None])


def evidence(
    rows: Sequence[int], values: Values, rankings: Rankings, judged: Judgements
) -> dict[str, npt.NDArray[Any]]:
    """What is kept of each query.

    Returns:
        Its place in the dataset (`query`), its `value`, the place of its only relevant document (`source`, -1 where
        there are several, or it is not in the corpus), its top 100 documents (`ranking`, places in the corpus, -1 for
        none) and their scores (`ranking_scores`).
    """
    return {
        "query": np.array(rows, np.int32),
        "value": values,
        "source": _only_relevant(judged).astype(np.int32),
        "ranking": rankings.documents[:, :KEPT].astype(np.int32),
        "ranking_scores": rankings.scores[:, :KEPT],
    }


def metrics(scores: FloatArray, values: Mapping[str, Values]) -> dict[str, float]:
    """The means of what `per_query` gives, `accuracy` (recall_at_1) and the areas under abstention curves.

    As in MTEB, means are rounded to five decimals, except those of mrr. The areas (`nauc_*`, see
    `worker.scoring.abstention`) are of all but hit_rate; undefined ones are left out.

    Args:
        scores: shape (n, k), of the rankings.
        values: of the same n queries, at least one.

    Returns:
        Metrics in [0, 1] (nauc: at most 1), higher is better.

    Reference:
        MTEB 2.26.24, `calculate_retrieval_scores`.
    """
    found = {}
    for name, column in values.items():
        mean = sum(column.tolist()) / len(column)
        found[name] = mean if name.startswith("mrr") else round(mean, 5)
    found["accuracy"] = found["recall_at_1"]
    return found | naucs(scores, {name: column for name, column in values.items() if "hit_rate" not in name})


def per_query(rankings: Rankings, judged: Judgements) -> dict[str, Values]:
    """ndcg, map, recall, precision, mrr and hit_rate at 1, 3, 5, 10, 20, 100 and 1000 of each query.

    Gains are linear: ndcg = sum of relevance / log2(rank + 1) over that of the best order. A query without a relevant
    document has 0 everywhere, and so has one whose ranking is empty.

    Args:
        rankings: shape (n, k), best first, ties already broken.
        judged: for the same queries and corpus.

    Returns:
        Shape (n,) by `name_at_cutoff`, each in [0, 1], higher is better.

    Reference:
        trec_eval 9 by way of pytrec_eval; Järvelin and Kekäläinen 2002.

    Example:
        >>> rankings = Rankings(np.array([[1, 0]]), np.array([[0.9, 0.1]], dtype=np.float32))
        >>> one = np.array([0])
        >>> per_query(rankings, Judgements(one, one, one + 1, 1))["ndcg_at_10"].round(5).tolist()
        [0.63093]
    """
    rows, ranks, relevance = _hits(rankings.documents, judged)
    number = np.arange(1, len(rows) + 1) - np.searchsorted(rows, rows)
    gain = _sums(rows, ranks, relevance / np.log2(ranks + 1), judged.count)
    ideal = _sums(*_ideal(judged), judged.count)
    found = _sums(rows, ranks, np.ones(len(rows)), judged.count)
    precision = _sums(rows, ranks, number / ranks, judged.count)
    first = _sums(rows, ranks, (number == 1) / ranks, judged.count)
    wanted = np.bincount(judged.queries[judged.relevance > 0], minlength=judged.count)
    columns: dict[str, dict[int, Values]] = {
        "ndcg": {cutoff: _ratio(gain[cutoff], ideal[cutoff]) for cutoff in RETRIEVAL_CUTOFFS},
        "map": {cutoff: _ratio(precision[cutoff], wanted) for cutoff in RETRIEVAL_CUTOFFS},
        "recall": {cutoff: _ratio(found[cutoff], wanted) for cutoff in RETRIEVAL_CUTOFFS},
        "precision": {cutoff: found[cutoff] / cutoff for cutoff in RETRIEVAL_CUTOFFS},
        "mrr": first,
        "hit_rate": {cutoff: (found[cutoff] > 0).astype(np.float64) for cutoff in RETRIEVAL_CUTOFFS},
    }
    return {f"{name}_at_{cutoff}": values for name, by in columns.items() for cutoff, values in by.items()}


def _only_relevant(judged: Judgements) -> IntArray:
    """The relevant document of each query that has one alone, else -1."""
    relevant = judged.relevance > 0
    queries, documents = judged.queries[relevant], judged.documents[relevant]
    only = np.full(judged.count, -1, np.int64)
    only[queries] = documents
    only[np.bincount(queries, minlength=judged.count) != 1] = -1
    return only


def _places(data: RetrievalData, names: Iterable[str]) -> dict[str, int]:
    """The positions of some documents by id; of a million documents most are not asked for."""
    wanted = frozenset(names)
    return {document.id: place for place, document in enumerate(data.documents) if document.id in wanted}


def _hits(documents: IntArray, judged: Judgements) -> tuple[IntArray, IntArray, IntArray]:
    """The relevant documents that were ranked: row, rank (from 1) and relevance, ordered by row, then rank."""
    chosen = (judged.relevance > 0) & (judged.documents >= 0)
    queries, relevant, relevance = judged.queries[chosen], judged.documents[chosen], judged.relevance[chosen]
    width = int(max(documents.max(initial=0), relevant.max(initial=0))) + 2  # so that -1 is nobody's place
    somewhere = np.zeros(width, np.bool_)
    somewhere[relevant] = True
    rows, columns = np.nonzero(somewhere[documents])  # few are left to be looked up one by one
    keys, known = rows * width + documents[rows, columns], queries * width + relevant
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known[order], keys), len(known) - 1)
    hit = known[order][place] == keys
    return rows[hit], columns[hit] + 1, relevance[order][place][hit]


def _ideal(judged: Judgements) -> tuple[IntArray, IntArray, Values]:
    """The best order: row, rank and gain of every relevant document."""
    order = np.lexsort((-judged.relevance, judged.queries))
    order = order[judged.relevance[order] > 0]
    rows = judged.queries[order]
    ranks = np.arange(1, len(rows) + 1) - np.searchsorted(rows, rows)
    return rows, ranks, judged.relevance[order] / np.log2(ranks + 1)


def _sums(rows: IntArray, ranks: IntArray, weights: Values, count: int) -> dict[int, Values]:
    """By cutoff: each row's sum of the weights up to that rank, added up in order of rank."""
    sums: dict[int, Values] = {}
    for cutoff in RETRIEVAL_CUTOFFS:
        near = ranks <= cutoff
        sums[cutoff] = np.bincount(rows[near], weights[near], minlength=count).astype(np.float64)
    return sums


def _ratio(part: Values, whole: npt.NDArray[np.generic]) -> Values:
    """Part by whole; 0 where the whole is 0."""
    ratio: Values = np.divide(part, whole, out=np.zeros(len(part)), where=np.asarray(whole) > 0)
    return ratio
