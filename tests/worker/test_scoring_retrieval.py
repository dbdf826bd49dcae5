"""Retrieval metrics equal MTEB's (pytrec_eval) on any rankings, with ties and without anything relevant."""

import doctest
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mteb._evaluators import RetrievalEvaluator
from mteb._evaluators.retrieval_metrics import make_score_dict

from app.core.records import Document, Query, RetrievalData
from app.core.task_types import RETRIEVAL_CUTOFFS
from tests.worker.engine_world import retrieval_dataset
from worker.scoring import abstention, retrieval, task_for
from worker.scoring.retrieval import Judgements, RetrievalTask, candidate_places, evidence, judged_queries, per_query
from worker.search import Rankings, search_words

CORE = {
    f"{name}_at_{k}" for name in ("ndcg", "map", "recall", "precision", "mrr", "hit_rate") for k in RETRIEVAL_CUTOFFS
}
SCORES = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.5000001, 1.0])


class Fixed:
    """A lexical index that knows the scores."""

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = scores

    def scores(self, queries: list[str]) -> np.ndarray:
        return self._scores[[int(query) for query in queries]]


class FixedSource:
    """A source that knows the score of every document for every query of the dataset."""

    similarity = "cosine"

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = scores

    def vectors(self, *_: Any) -> Any:
        raise AssertionError("retrieval asks for rankings")

    def rankings(self, data: RetrievalData, k: int) -> Rankings:
        rows = judged_queries(data)
        ids = [document.id for document in data.documents]
        found = search_words([str(row) for row in rows], Fixed(self._scores), ids, k)
        return found if data.candidates is None else found.among(candidate_places(data, rows))


def searchable(count: int, qrels: dict[str, dict[str, int]], ids: list[str], **more: Any) -> RetrievalData:
    queries = tuple(Query(str(row), f"query {row}") for row in range(count))
    return RetrievalData(queries, tuple(Document(name, f"text of {name}") for name in ids), qrels, **more)


def oracle(scores: np.ndarray, data: RetrievalData) -> dict[str, float]:
    """MTEB's metrics of the 1000 best, without the query itself where that is asked for."""
    results = {}
    for row, query in enumerate(data.queries):
        if not data.qrels.get(query.id):
            continue
        listed = None if data.candidates is None else data.candidates.get(query.id, ())
        among = [
            (value, document.id)
            for value, document in zip(scores[row].tolist(), data.documents, strict=True)
            if listed is None or document.id in listed
        ]
        results[query.id] = {document: value for value, document in sorted(among, reverse=True)[:1000]}
    evaluator = RetrievalEvaluator.__new__(RetrievalEvaluator)
    found = evaluator.evaluate(data.qrels, results, list(RETRIEVAL_CUTOFFS), data.ignore_identical_ids)
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


def ours(scores: np.ndarray, data: RetrievalData) -> dict[str, float]:
    return task_for("Retrieval").score(data, FixedSource(scores), lambda: None).metrics


def assert_equal_metrics(found: dict[str, float], expected: dict[str, float]) -> None:
    """The same names and values; what is undefined there is left out here."""
    defined = {name: value for name, value in expected.items() if not math.isnan(value)}
    assert set(found) <= set(expected)
    assert {name: found.get(name) for name in defined} == pytest.approx(defined, abs=1e-9)
    assert all(math.isfinite(value) for value in found.values())


def drawn(data: st.DataObject, queries: int, count: int) -> tuple[np.ndarray, list[str], dict[str, dict[str, int]]]:
    """Scores with ties, ids in any order, and judgements, of one document that is not there too."""
    rows = st.lists(st.lists(SCORES, min_size=count, max_size=count), min_size=queries, max_size=queries)
    ids = data.draw(st.permutations([str(number) for number in range(count)]))
    judgements = st.dictionaries(
        st.sampled_from([*ids, "not in the corpus"]), st.integers(-1, 3), min_size=1, max_size=8
    )
    return np.array(data.draw(rows), np.float32), ids, {str(row): data.draw(judgements) for row in range(queries)}


@settings(max_examples=15, deadline=None)
@given(data=st.data(), count=st.integers(1, 25), queries=st.integers(1, 8), ignore=st.booleans())
def test_equals_mteb(data: st.DataObject, count: int, queries: int, ignore: bool) -> None:
    scores, ids, qrels = drawn(data, queries, count)
    cell = searchable(queries, qrels, ids, ignore_identical_ids=ignore)

    assert_equal_metrics(ours(scores, cell), oracle(scores, cell))


@settings(max_examples=15, deadline=None)
@given(data=st.data(), count=st.integers(1, 25), queries=st.integers(1, 8), ignore=st.booleans())
def test_reranking_equals_mteb(data: st.DataObject, count: int, queries: int, ignore: bool) -> None:
    scores, ids, qrels = drawn(data, queries, count)
    some = st.lists(st.sampled_from(ids), max_size=12)
    candidates = {str(row): tuple(data.draw(some)) for row in range(queries)}
    cell = searchable(queries, qrels, ids, candidates=candidates, ignore_identical_ids=ignore)

    found = task_for("Reranking").score(cell, FixedSource(scores), lambda: None)

    assert_equal_metrics(found.metrics, oracle(scores, cell))
    assert found.metrics["map_at_1000"] == pytest.approx(found.arrays["value"].mean(), abs=1e-5)


def test_equals_mteb_beyond_a_thousand_documents() -> None:
    rng = np.random.default_rng(5)
    scores = rng.integers(0, 999, (40, 2500)).astype(np.float32)
    ids = [str(number) for number in rng.permutation(2500)]
    qrels = {
        str(row): {ids[place]: int(rng.integers(0, 4)) for place in rng.choice(2500, 12, replace=False)}
        for row in range(40)
    }
    cell = searchable(41, qrels, ids, ignore_identical_ids=True)

    expected = oracle(scores, cell)

    assert_equal_metrics(ours(scores, cell), expected)
    assert set(expected) > CORE | {"accuracy", "nauc_map_at_10_max", "nauc_precision_at_5_diff1", "nauc_mrr_at_1_std"}


def test_all_found_at_once_leaves_nothing_to_gain_by_silence() -> None:
    found = ours(np.array([[1.0, 0.0]], np.float32), searchable(1, {"0": {"a": 1}}, ["a", "b"]))

    assert found["ndcg_at_10"] == found["recall_at_1"] == found["accuracy"] == 1.0
    assert set(found) >= CORE
    assert not [name for name in found if name.startswith("nauc_ndcg")]


@pytest.mark.parametrize("candidates", [None, {"0": ("a",)}, {"0": ()}, {}])
def test_nothing_relevant_scores_nothing(candidates: dict[str, tuple[str, ...]] | None) -> None:
    cell = searchable(1, {"0": {"a": 0}}, ["a", "b"], candidates=candidates)

    found = ours(np.array([[1.0, 0.0]], np.float32), cell)

    assert {found[name] for name in CORE} == {0.0}


def test_a_query_does_not_find_itself_if_asked_for() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    qrels = {"0": {"1": 1}, "1": {"0": 1}}

    cells = [searchable(2, qrels, ["0", "1"], ignore_identical_ids=ignore) for ignore in (False, True)]

    assert [ours(scores, cell)["ndcg_at_1"] for cell in cells] == [0.0, 1.0]


def test_keeps_a_value_and_the_best_documents_of_every_query() -> None:
    rankings = Rankings(np.tile(np.arange(150), (2, 1)), np.linspace(1, 0, 300, dtype=np.float32).reshape(2, 150))
    one = np.array([0, 1])

    judged = Judgements(one, one, one + 1, 2)
    kept = evidence([4, 7], per_query(rankings, judged)["ndcg_at_10"], rankings, judged)

    assert kept["query"].tolist() == [4, 7]
    assert kept["value"].tolist() == pytest.approx([1.0, 0.63093], abs=1e-5)
    assert kept["ranking"].shape == kept["ranking_scores"].shape == (2, 100)
    assert kept["ranking"].dtype == np.int32


def test_keeps_the_only_relevant_document_of_a_query() -> None:
    """One, two, none, one beside an irrelevant one, one that is not in the corpus."""
    queries = np.array([0, 1, 1, 2, 3, 3, 4])
    documents, relevance = np.array([7, 5, 6, 3, 4, 2, -1]), np.array([1, 1, 2, 0, 0, 1, 1])
    rankings = Rankings(np.zeros((5, 1), np.int64), np.zeros((5, 1), np.float32))
    kept = evidence(range(5), np.zeros(5), rankings, Judgements(queries, documents, relevance, 5))
    assert kept["source"].tolist() == [7, -1, -1, 2, -1]


def test_a_cell_is_scored_on_its_judged_queries() -> None:
    data = retrieval_dataset().cells[0].data
    assert isinstance(data, RetrievalData)
    task = RetrievalTask("ndcg_at_20")
    words = [{*document.full_text.split()} for document in data.documents]
    scores = np.array([[len({*query.text.split()} & known) for known in words] for query in data.queries], np.float32)

    queries, documents = task.parts(data)
    found = task.score(data, FixedSource(scores), lambda: None)

    assert queries.texts == ("red cat", "blue dog", "green tree")
    assert (queries.role, documents.role) == ("query", "document")
    assert documents.texts[0] == "red cat a red cat sat on the mat"
    assert found.kind == "queries"
    assert found.arrays["query"].tolist() == [0, 1, 2]
    assert found.arrays["ranking"][:, 0].tolist() == [0, 1, 2]
    assert found.metrics["hit_rate_at_1"] == 1.0
    assert found.metrics["ndcg_at_20"] == pytest.approx(found.arrays["value"].mean(), abs=1e-5)


@pytest.mark.parametrize("module", [retrieval, abstention])
def test_examples_in_the_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_confidence_of_a_query_without_documents_is_zero() -> None:
    scores = np.array([[0.9, 0.4], [0.7, -np.inf], [-np.inf, -np.inf]], np.float32)

    found = abstention.confidences(scores)

    assert found["max"].tolist() == pytest.approx([0.9, 0.7, 0.0])
    assert found["std"].tolist() == pytest.approx([0.25, 0.0, 0.0])
    assert found["diff1"].tolist() == pytest.approx([0.5, 0.0, 0.0])
