"""Retrieval: does the model put the relevant documents first? trec_eval's metrics, computed on arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app.core.records import RetrievalData
from app.core.task_types import RETRIEVAL_CUTOFFS
from worker.encoders.base import IntArray
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
    """See `worker.scoring.base.Task`."""

    def parts(self, data: RetrievalData) -> tuple[Part, ...]:
        """The judged queries and all documents."""
        rows = judged_queries(data)
        return (
            Part("query", "query", tuple(data.queries[row].text for row in rows)),
            Part("document", "document", tuple(document.full_text for document in data.documents)),
        )

    def score(self, data: RetrievalData, source: Source, tick: Tick) -> CellScores:  # noqa: ARG002 -- it is one step
        """See `score`; `query` is added, the query's place in the dataset."""
        rows = judged_queries(data)
        scores = score(source.rankings(data, TOP_K), judgements(data, rows))
        return replace(scores, arrays={"query": np.array(rows, np.int32), **scores.arrays})


def judged_queries(data: RetrievalData) -> list[int]:
    """The places of the queries that have a judgement; the others are left out, as MTEB does."""
    return [row for row, query in enumerate(data.queries) if data.qrels.get(query.id)]


def judgements(data: RetrievalData, rows: Sequence[int]) -> Judgements:
    """The judgements of some of the queries, as arrays."""
    places = {document.id: place for place, document in enumerate(data.documents)}
    judged = [
        (number, places.get(document, -1), relevance)
        for number, row in enumerate(rows)
        for document, relevance in data.qrels[data.queries[row].id].items()
    ]
    queries, documents, relevance = np.array(judged, np.int64).reshape(-1, 3).T
    return Judgements(queries, documents, relevance, len(rows))


def score(rankings: Rankings, judged: Judgements) -> CellScores:
    """Means over the queries of ndcg, map, recall, precision, mrr and hit_rate at 1, 3, 5, 10, 20, 100 and 1000.

    `ndcg_at_10` is the main metric; gains are linear. `accuracy` is recall_at_1. A query without a relevant
    document has 0 everywhere. As in MTEB, means are rounded to five decimals, except those of mrr. The `nauc_*`
    are areas under abstention curves (`worker.scoring.abstention`); undefined ones are left out.

    Args:
        rankings: shape (n, k), best first, ties already broken.
        judged: for the same queries and corpus.

    Returns:
        Metrics in [0, 1] (nauc: at most 1), higher is better. For each query its ndcg_at_10 (`value`), its top 100
        documents (`ranking`, places in the corpus, -1 for none) and their scores (`ranking_scores`).

    Reference:
        trec_eval 9 by way of pytrec_eval; Järvelin and Kekäläinen 2002; MTEB 2.26.24, `AbsTaskRetrieval`.

    Example:
        >>> rankings = Rankings(np.array([[1, 0]]), np.array([[0.9, 0.1]], dtype=np.float32))
        >>> one = np.array([0])
        >>> round(score(rankings, Judgements(one, one, one + 1, 1)).metrics["ndcg_at_10"], 5)
        0.63093
    """
    values = per_query(rankings, judged)
    metrics = {}
    for name, column in values.items():
        mean = sum(column.tolist()) / judged.count
        metrics[name] = mean if name.startswith("mrr") else round(mean, 5)
    metrics["accuracy"] = metrics["recall_at_1"]
    metrics |= naucs(rankings.scores, {name: column for name, column in values.items() if "hit_rate" not in name})
    arrays: dict[str, npt.NDArray[Any]] = {
        "value": values["ndcg_at_10"],
        "ranking": rankings.documents[:, :KEPT].astype(np.int32),
        "ranking_scores": rankings.scores[:, :KEPT],
    }
    return CellScores(metrics, "queries", arrays)


def per_query(rankings: Rankings, judged: Judgements) -> dict[str, Values]:
    """Every metric's value for each query, shape (n,), by `name_at_cutoff`."""
    relevance = _found_relevance(rankings.documents, judged)
    relevant = relevance > 0
    wanted = np.bincount(judged.queries[judged.relevance > 0], minlength=judged.count)
    ranks = np.arange(1, relevance.shape[1] + 1)
    found = np.cumsum(relevant, axis=1)
    gain = np.cumsum(np.maximum(relevance, 0) / np.log2(ranks + 1), axis=1)
    ideal_relevance = _ideal_relevance(judged)
    ideal = np.cumsum(ideal_relevance / np.log2(np.arange(2, ideal_relevance.shape[1] + 2)), axis=1)
    precision = np.cumsum(np.where(relevant, found / ranks, 0.0), axis=1)
    first = np.where(relevant.any(axis=1), relevant.argmax(axis=1) + 1, np.iinfo(np.int64).max)
    columns: dict[str, dict[int, Values]] = {"ndcg": {}, "map": {}, "recall": {}, "precision": {}, "mrr": {}}
    columns["hit_rate"] = {}
    for cutoff in RETRIEVAL_CUTOFFS:
        columns["ndcg"][cutoff] = _ratio(_at(gain, cutoff), _at(ideal, cutoff))
        columns["map"][cutoff] = _ratio(_at(precision, cutoff), wanted)
        columns["recall"][cutoff] = _ratio(_at(found, cutoff), wanted)
        columns["precision"][cutoff] = _at(found, cutoff) / cutoff
        columns["mrr"][cutoff] = np.where(first <= cutoff, 1.0 / first, 0.0)
        columns["hit_rate"][cutoff] = (first <= cutoff).astype(np.float64)
    return {f"{name}_at_{cutoff}": values for name, by in columns.items() for cutoff, values in by.items()}


def _found_relevance(documents: IntArray, judged: Judgements) -> IntArray:
    """Shape (n, k): the relevance of every ranked document; 0 for one that was not judged."""
    if not documents.size or not len(judged.queries):
        return np.zeros((judged.count, max(1, documents.shape[1])), np.int64)
    width = max(int(documents.max()), int(judged.documents.max())) + 2
    known = judged.queries * width + judged.documents + 1
    order = np.argsort(known, kind="stable")
    keys = np.arange(judged.count)[:, None] * width + documents + 1
    place = np.minimum(np.searchsorted(known[order], keys), len(known) - 1)
    hit = (known[order][place] == keys) & (documents >= 0)
    return np.where(hit, judged.relevance[order][place], 0)


def _ideal_relevance(judged: Judgements) -> IntArray:
    """Shape (n, w): each query's positive relevances in falling order, then zeros."""
    order = np.lexsort((-judged.relevance, judged.queries))
    order = order[judged.relevance[order] > 0]
    queries = judged.queries[order]
    place = np.arange(len(queries)) - np.searchsorted(queries, queries)
    ideal = np.zeros((judged.count, int(place.max(initial=0)) + 1), np.int64)
    ideal[queries, place] = judged.relevance[order]
    return ideal


def _at(cumulative: npt.NDArray[np.generic], cutoff: int) -> Values:
    """The column of a cutoff; the last one where there are fewer."""
    return cumulative[:, min(cutoff, cumulative.shape[1]) - 1].astype(np.float64)


def _ratio(part: Values, whole: npt.NDArray[np.generic]) -> Values:
    """Part by whole; 0 where the whole is 0."""
    ratio: Values = np.divide(part, whole, out=np.zeros(len(part)), where=np.asarray(whole) > 0)
    return ratio
