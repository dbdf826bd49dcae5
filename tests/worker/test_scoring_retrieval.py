"""Retrieval metrics equal MTEB's (pytrec_eval) on any rankings, with ties and without anything relevant."""

import doctest
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores, make_score_dict

from app.core.records import RetrievalData
from app.core.task_types import RETRIEVAL_CUTOFFS
from tests.worker.engine_world import retrieval_dataset
from worker.scoring import abstention, retrieval
from worker.scoring.retrieval import Judgements, RetrievalTask, judged_queries, score
from worker.search import Rankings, search_words

CORE = {
    f"{name}_at_{k}" for name in ("ndcg", "map", "recall", "precision", "mrr", "hit_rate") for k in RETRIEVAL_CUTOFFS
}


class Fixed:
    """A lexical index that knows the scores."""

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = scores

    def scores(self, queries: list[str]) -> np.ndarray:
        return self._scores[[int(query) for query in queries]]


def oracle(scores: np.ndarray, ids: list[str], qrels: dict[str, dict[str, int]]) -> dict[str, float]:
    """MTEB's metrics of the 1000 best."""
    results = {}
    for row, values in enumerate(scores):
        best = sorted(zip(values.tolist(), ids, strict=True), reverse=True)[:1000]
        results[str(row)] = {document: value for value, document in best}
    found = calculate_retrieval_scores(results, qrels, list(RETRIEVAL_CUTOFFS))
    return make_score_dict(
        ndcg=found.ndcg,
        _map=found.map,
        recall=found.recall,
        precision=found.precision,
        mrr=found.mrr,
        naucs=found.naucs,
        naucs_mrr=found.naucs_mrr,
        hit_rate=found.hit_rate,
        task_scores={},
    )


def ours(scores: np.ndarray, ids: list[str], qrels: dict[str, dict[str, int]]) -> dict[str, float]:
    rankings = search_words([str(row) for row in range(len(scores))], Fixed(scores), ids, 1000)
    places = {document: place for place, document in enumerate(ids)}
    judged = [(int(q), places.get(d, -1), rel) for q, judgements in qrels.items() for d, rel in judgements.items()]
    queries, documents, relevance = np.array(judged, np.int64).T
    return score(rankings, Judgements(queries, documents, relevance, len(scores))).metrics


def assert_equal_metrics(found: dict[str, float], expected: dict[str, float]) -> None:
    """The same names and values; what is undefined there is left out here."""
    defined = {name: value for name, value in expected.items() if not math.isnan(value)}
    assert set(found) <= set(expected)
    assert {name: found.get(name) for name in defined} == pytest.approx(defined, abs=1e-9)
    assert all(math.isfinite(value) for value in found.values())


@settings(max_examples=30, deadline=None)
@given(data=st.data(), count=st.integers(1, 25), queries=st.integers(1, 8))
def test_equals_mteb(data: st.DataObject, count: int, queries: int) -> None:
    value = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.5000001, 1.0])
    rows = st.lists(st.lists(value, min_size=count, max_size=count), min_size=queries, max_size=queries)
    scores = np.array(data.draw(rows), np.float32)
    ids = data.draw(st.permutations([f"d{number}" for number in range(count)]))
    known = st.sampled_from([*ids, "not in the corpus"])
    judgements = st.dictionaries(known, st.integers(0, 3), min_size=1, max_size=8)
    qrels = {str(row): data.draw(judgements) for row in range(queries)}

    assert_equal_metrics(ours(scores, ids, qrels), oracle(scores, ids, qrels))


def test_equals_mteb_beyond_a_thousand_documents() -> None:
    rng = np.random.default_rng(5)
    scores = rng.standard_normal((40, 2500)).astype(np.float32)
    ids = [f"d{number}" for number in rng.permutation(2500)]
    qrels = {
        str(row): {ids[place]: int(rng.integers(0, 4)) for place in rng.choice(2500, 12, replace=False)}
        for row in range(40)
    }

    expected = oracle(scores, ids, qrels)

    assert_equal_metrics(ours(scores, ids, qrels), expected)
    assert set(expected) > CORE | {"accuracy", "nauc_map_at_10_max", "nauc_precision_at_5_diff1", "nauc_mrr_at_1_std"}


def test_all_found_at_once_leaves_nothing_to_gain_by_silence() -> None:
    found = ours(np.array([[1.0, 0.0]], np.float32), ["a", "b"], {"0": {"a": 1}})

    assert found["ndcg_at_10"] == found["recall_at_1"] == found["accuracy"] == 1.0
    assert set(found) >= CORE
    assert not [name for name in found if name.startswith("nauc_ndcg")]


def test_nothing_relevant_scores_nothing() -> None:
    found = ours(np.array([[1.0, 0.0]], np.float32), ["a", "b"], {"0": {"a": 0}})

    assert {found[name] for name in CORE} == {0.0}


def test_keeps_a_value_and_the_best_documents_of_every_query() -> None:
    rankings = Rankings(np.tile(np.arange(150), (2, 1)), np.linspace(1, 0, 300, dtype=np.float32).reshape(2, 150))
    one = np.array([0, 1])

    kept = score(rankings, Judgements(one, one, one + 1, 2))

    assert kept.kind == "queries"
    assert kept.arrays["value"].tolist() == pytest.approx([1.0, 0.63093], abs=1e-5)
    assert kept.arrays["ranking"].shape == kept.arrays["ranking_scores"].shape == (2, 100)
    assert kept.arrays["ranking"].dtype == np.int32


class Words:
    """A source that ranks by words in common."""

    similarity = "cosine"

    def vectors(self, *_: Any) -> Any:
        raise AssertionError("retrieval asks for rankings")

    def rankings(self, data: RetrievalData, k: int) -> Rankings:
        scores = np.array(
            [
                [len({*data.queries[row].text.split()} & {*d.full_text.split()}) for d in data.documents]
                for row in judged_queries(data)
            ],
            np.float32,
        )
        ids = [document.id for document in data.documents]
        return search_words([str(row) for row in range(len(scores))], Fixed(scores), ids, k)


def test_a_cell_is_scored_on_its_judged_queries() -> None:
    data = retrieval_dataset().cells[0].data
    assert isinstance(data, RetrievalData)
    task = RetrievalTask()

    queries, documents = task.parts(data)
    scores = task.score(data, Words(), lambda: None)

    assert queries.texts == ("red cat", "blue dog", "green tree")
    assert (queries.role, documents.role) == ("query", "document")
    assert documents.texts[0] == "red cat a red cat sat on the mat"
    assert scores.arrays["query"].tolist() == [0, 1, 2]
    assert scores.arrays["ranking"][:, 0].tolist() == [0, 1, 2]
    assert scores.metrics["hit_rate_at_1"] == 1.0


@pytest.mark.parametrize("module", [retrieval, abstention])
def test_examples_in_the_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_confidence_of_a_query_without_documents_is_zero() -> None:
    scores = np.array([[0.9, 0.4], [0.7, -np.inf], [-np.inf, -np.inf]], np.float32)

    found = abstention.confidences(scores)

    assert found["max"].tolist() == pytest.approx([0.9, 0.7, 0.0])
    assert found["std"].tolist() == pytest.approx([0.25, 0.0, 0.0])
    assert found["diff1"].tolist() == pytest.approx([0.5, 0.0, 0.0])
