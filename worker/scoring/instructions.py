"""Instruction reranking: does a changed instruction change the ranking as it should?"""

from collections.abc import Mapping, Sequence

import numpy as np

from app.core.records import RetrievalData
from worker.encoders.base import IntArray
from worker.scoring.base import CellScores, Source, Tick
from worker.scoring.retrieval import (
    RetrievalTask,
    Values,
    evidence,
    judged_queries,
    judgements,
    metrics,
    per_query,
    ranked,
)

ORIGINAL, CHANGED = "-og", "-changed"
"""The ends of the ids of a pair of queries."""


class InstructionRerankingTask(RetrievalTask):
    """See `worker.scoring.base.Task`."""

    def __init__(self) -> None:
        super().__init__("p-MRR")

    def score(self, data: RetrievalData, source: Source, tick: Tick) -> CellScores:
        """p-MRR, and the metrics of retrieval over all queries, the original (`og_*`) and the others (`changed_*`).

        p-MRR is the mean of `rank_changes` over the pairs of queries, each pair's mean over its documents first. It is
        NaN where there is no pair with a document whose relevance changes.

        Returns:
            Evidence as for retrieval; `pair` is the place of a query's pair in `RetrievalData.changed`, -1 for none,
            and `value` the p-MRR of its pair, NaN for none.

        Reference:
            Weller et al. 2024 (FollowIR), arXiv 2403.15246; MTEB 2.26.24, `evaluate_p_mrr_change`.
        """
        rows = judged_queries(data)
        rankings = ranked(data, rows, source)
        tick()
        judged = judgements(data, rows)
        values = per_query(rankings, judged)
        found = metrics(rankings.scores, values)
        original = np.array([data.queries[row].id.endswith(ORIGINAL) for row in rows])
        for name, mine in (("og", original), ("changed", ~original)):
            if mine.any():
                own = metrics(rankings.scores[mine], {metric: column[mine] for metric, column in values.items()})
                found |= {f"{name}_{metric}": value for metric, value in own.items()}
        pairs, changes = _changes(data, rows, rankings.documents)
        found["p-MRR"] = float(np.mean(list(changes.values()))) if changes else np.nan
        value = np.array([changes.get(pair, np.nan) for pair in pairs.tolist()])
        return CellScores(found, "queries", {**evidence(rows, value, rankings, judged), "pair": pairs.astype(np.int32)})


def rank_changes(before: IntArray, after: IntArray) -> Values:
    """How far documents moved, as a share of the rank: 0 for not at all, near 1 for far down, near -1 for far up.

    after < before: after / before - 1; else 1 - before / after.

    Args:
        before: shape (n,), ranks from 1 under the original instruction.
        after: shape (n,), under the one that makes these documents irrelevant.

    Returns:
        Shape (n,), in (-1, 1), higher is better.

    Example:
        >>> rank_changes(np.array([1, 4, 3]), np.array([4, 1, 3])).tolist()
        [0.75, -0.75, 0.0]
    """
    return np.where(after < before, after / before - 1, 1 - before / after)


def _changes(data: RetrievalData, rows: Sequence[int], documents: IntArray) -> tuple[IntArray, Mapping[int, float]]:
    """Each query's pair, and by pair the mean change of its documents; only whole pairs with documents count."""
    number = {data.queries[row].id: place for place, row in enumerate(rows)}
    places = {document.id: place for place, document in enumerate(data.documents)}
    pairs, changes = np.full(len(rows), -1, np.int64), {}
    for pair, (base, changed) in enumerate((data.changed or {}).items()):
        before, after = number.get(base + ORIGINAL), number.get(base + CHANGED)
        if before is None or after is None:
            continue
        pairs[[before, after]] = pair
        if changed:
            wanted = np.array([places.get(document, len(places)) for document in changed])
            moved = rank_changes(_ranks(documents[before], wanted), _ranks(documents[after], wanted))
            changes[pair] = float(moved.mean())
    return pairs, changes


def _ranks(ranking: IntArray, wanted: IntArray) -> IntArray:
    """The ranks of documents, from 1; one after the last for those that were not ranked."""
    same = ranking[:, None] == wanted
    ranks: IntArray = np.where(same.any(axis=0), same.argmax(axis=0), (ranking >= 0).sum()) + 1
    return ranks
