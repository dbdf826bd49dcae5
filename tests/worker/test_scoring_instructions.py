"""Instruction reranking: p-MRR and the metrics of both halves equal MTEB's on any rankings."""

import doctest
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mteb._evaluators.retrieval_metrics import evaluate_p_mrr_change

from app.core.records import Document, Query, RetrievalData
from app.core.task_types import RETRIEVAL_CUTOFFS
from worker.scoring import instructions, task_for
from worker.scoring.base import CellScores
from worker.scoring.retrieval import candidate_places, judged_queries
from worker.search import Rankings, search_words

SCORES = st.sampled_from([-1.0, 0.0, 0.5, 0.5000001, 1.0])


class Fixed:
    """A source, and its index, that know the score of every document for every query."""

    similarity = "cosine"

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = scores

    def scores(self, queries: list[str]) -> np.ndarray:
        return self._scores[[int(query) for query in queries]]

    def vectors(self, *_: Any) -> Any:
        raise AssertionError("reranking asks for rankings")

    def rankings(self, data: RetrievalData, k: int) -> Rankings:
        rows = judged_queries(data)
        found = search_words([str(row) for row in rows], self, [document.id for document in data.documents], k)
        return found.among(candidate_places(data, rows))


def scored(data: RetrievalData, scores: np.ndarray) -> CellScores:
    return task_for("InstructionReranking").score(data, Fixed(scores), lambda: None)


def oracle(data: RetrievalData, scores: np.ndarray) -> dict[str, float]:
    """MTEB's p-MRR and the metrics of both halves, by the names we give them."""
    assert data.candidates is not None
    assert data.changed is not None
    value = {document.id: place for place, document in enumerate(data.documents)}
    results = {
        query.id: {document: float(scores[row, value[document]]) for document in data.candidates[query.id]}
        for row, query in enumerate(data.queries)
    }
    changed = {base: list(documents) for base, documents in data.changed.items()}
    found = evaluate_p_mrr_change(data.qrels, results, changed, list(RETRIEVAL_CUTOFFS))
    halves = {f"{half}_{name}": value for half in ("og", "changed") for name, value in found[half].items()}
    return {"p-MRR": found["p-MRR"], **halves}


@st.composite
def cells(draw: st.DrawFn) -> tuple[RetrievalData, np.ndarray]:
    """Pairs of queries, and perhaps one without its other half; ties; changed documents that are not ranked."""
    ids = draw(st.permutations([f"d{number}" for number in range(draw(st.integers(1, 12)))]))
    bases = [str(number) for number in range(draw(st.integers(1, 4)))]
    queries = [f"{base}{end}" for base in bases for end in ("-og", "-changed")] + draw(
        st.sampled_from([[], ["x-og"], ["x-changed"]])
    )
    rows = st.lists(SCORES, min_size=len(ids), max_size=len(ids))
    some = st.lists(st.sampled_from(ids), unique=True).map(tuple)
    return RetrievalData(
        tuple(Query(name, "text", "instruction") for name in queries),
        tuple(Document(name, "text") for name in ids),
        {name: draw(st.dictionaries(st.sampled_from(ids), st.integers(0, 2), min_size=1)) for name in queries},
        {name: draw(some) for name in queries},
        {"0": (ids[0],), **{base: draw(some) for base in [*bases[1:], "x"]}},
    ), np.array([draw(rows) for _ in queries], np.float32)


@settings(max_examples=12, deadline=None)
@given(cell=cells())
def test_equals_mteb(cell: tuple[RetrievalData, np.ndarray]) -> None:
    data, scores = cell

    found = scored(data, scores)

    defined = {name: value for name, value in oracle(data, scores).items() if not math.isnan(value)}
    assert {name: found.metrics.get(name) for name in defined} == pytest.approx(defined, abs=1e-9)
    halves = {name for name in found.metrics if name.startswith(("og_", "changed_", "p-MRR"))}
    assert halves == set(defined)
    assert found.metrics["p-MRR"] == pytest.approx(np.nanmean(found.arrays["value"]))


def pair(**more: Any) -> RetrievalData:
    queries = (Query("q-og", "cats", "all of them"), Query("q-changed", "cats", "no red ones"), Query("other", "dogs"))
    documents = tuple(Document(name, name) for name in ("a", "b", "c"))
    qrels = {query.id: {"a": 1} for query in queries}
    given: dict[str, Any] = {"candidates": dict.fromkeys(qrels, ("a", "b", "c")), "changed": {"q": ("a",)}, **more}
    return RetrievalData(queries, documents, qrels, **given)


RANKED = np.array([[3, 2, 1], [1, 2, 3], [3, 2, 1]], np.float32)


def test_a_document_that_falls_as_it_should() -> None:
    found = scored(pair(), RANKED)

    assert found.metrics["p-MRR"] == pytest.approx(2 / 3)
    assert found.metrics["og_mrr_at_10"] == 1.0
    assert found.metrics["changed_mrr_at_10"] == pytest.approx((1 / 3 + 1) / 2)
    assert found.arrays["pair"].tolist() == [0, 0, -1]
    assert found.arrays["value"].tolist() == pytest.approx([2 / 3, 2 / 3, np.nan], nan_ok=True)
    assert found.arrays["ranking"].tolist() == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]


def test_query_and_instruction_are_read_together() -> None:
    queries, _ = task_for("InstructionReranking").parts(pair())

    assert queries.texts == ("cats all of them", "cats no red ones", "dogs")


def test_a_document_that_is_not_ranked_comes_after_the_last() -> None:
    found = scored(pair(candidates={"q-og": ("a",), "q-changed": ("b", "c"), "other": ()}), RANKED)

    assert found.metrics["p-MRR"] == pytest.approx(1 - 1 / 3)


@pytest.mark.parametrize("changed", [None, {}, {"q": ()}, {"unknown": ("a",)}])
def test_p_mrr_is_undefined_where_nothing_changes(changed: dict[str, tuple[str, ...]] | None) -> None:
    found = scored(pair(changed=changed), RANKED)

    assert math.isnan(found.metrics["p-MRR"])
    assert np.isnan(found.arrays["value"]).all()


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(instructions).failed == 0
