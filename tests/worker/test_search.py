"""Exact search: the true best, with ties as trec_eval breaks them, whatever the blocks."""

import doctest
from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker import search, topk
from worker.search import Rankings, Tile, similarities

SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
VALUES = [-np.inf, -1.5, -1e-30, -0.0, 0.0, 1e-30, 2.0, 2.0000002, np.inf]


def expected(scores: np.ndarray, ids: list[str], k: int) -> list[list[int]]:
    """The obvious way: sort everything."""
    return [sorted(range(len(ids)), key=lambda place: (row[place], ids[place]), reverse=True)[:k] for row in scores]


class Fixed:
    """A lexical index with given scores."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores_by_query = {str(row): scores[row] for row in range(len(scores))}

    def scores(self, queries: list[str]) -> np.ndarray:
        return np.stack([self.scores_by_query[query] for query in queries])


class Shuffled:
    """Documents as a store gives them: in blocks of any order and size, of which nothing may be written to."""

    def __init__(self, documents: np.ndarray, seed: int = 0) -> None:
        self._documents, self._rng = documents, np.random.default_rng(seed)
        self.asked = 0

    def __call__(self, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self.asked += 1
        order = self._rng.permutation(len(self._documents))
        while len(order):
            positions, order = np.split(order, [int(self._rng.integers(1, rows + 1))])
            vectors = self._documents[positions]
            vectors.flags.writeable = False
            yield positions, vectors


def axes(count: int, rng: np.random.Generator) -> np.ndarray:
    """Vectors whose similarities are exact in any order of summation, so that there are many ties."""
    four = np.concatenate([np.eye(2), -np.eye(2)]).astype(np.float32)
    return four[rng.integers(0, 4, count)] * rng.choice(np.array([1, 2, 4], np.float32), (count, 1))


def compare(queries: np.ndarray, documents: np.ndarray, similarity: search.Similarity) -> np.ndarray:
    return similarities(torch.from_numpy(queries), torch.from_numpy(documents), similarity).numpy()


@pytest.fixture(params=["numpy", "torch"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as on processors, once as on other devices."""
    if request.param == "torch":
        monkeypatch.setattr(topk, "_NUMPY", ())


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(search).failed == 0


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("width", [1, 7, 1000])
def test_finds_the_best_with_ties_across_blocks(
    similarity: search.Similarity, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(search.TILES, "cpu", Tile(4, width, 3))
    rng = np.random.default_rng(7)
    queries, documents = axes(9, rng), axes(40, rng)
    ids = [f"d{number}" for number in rng.permutation(40)]
    blocks, seen = Shuffled(documents), list[int]()

    found = search.search(queries, documents, ids, 15, similarity=similarity)
    streamed = search.search(queries, blocks, ids, 15, similarity=similarity, on_block=seen.append)

    scores = compare(queries, documents, similarity)
    assert found.documents.tolist() == streamed.documents.tolist() == expected(scores, ids, 15)
    np.testing.assert_array_equal(found.scores, np.take_along_axis(scores, found.documents, axis=1))
    np.testing.assert_array_equal(streamed.scores, found.scores)
    assert seen == sorted(seen)
    assert {4, 8, 9} <= set(seen)
    assert blocks.asked == 3


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("k", [1, 5, 64])
@pytest.mark.parametrize("kind", ["rising", "falling", "any", "same"])
def test_whatever_the_order_of_the_documents(kind: str, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(search.TILES, "cpu", Tile(8, 16, 8))
    rng = np.random.default_rng(1)
    scores = {
        "rising": np.sort(rng.integers(0, 99, (3, 300)), axis=1),
        "falling": -np.sort(rng.integers(0, 99, (3, 300)), axis=1),
        "any": rng.integers(0, 99, (3, 300)),
        "same": np.ones((3, 300)),
    }[kind].astype(np.float32)
    ids = [f"d{number}" for number in rng.permutation(300)]

    found = search.search_words(["0", "1", "2"], Fixed(scores), ids, k)

    assert found.documents.tolist() == expected(scores, ids, k)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), count=st.integers(1, 12), k=st.integers(1, 15), width=st.integers(1, 12))
def test_any_scores_with_ties(data: st.DataObject, count: int, k: int, width: int) -> None:
    rows = st.lists(st.lists(st.sampled_from(VALUES), min_size=count, max_size=count), max_size=4)
    scores = np.array(data.draw(rows), np.float32).reshape(-1, count)
    ids = [str(number) for number in data.draw(st.permutations(range(count)))]

    with patch.dict(search.TILES, cpu=Tile(3, width, 2)):
        found = search.search_words([str(row) for row in range(len(scores))], Fixed(scores), ids, k)

    assert found.documents.tolist() == expected(scores, ids, k)
    np.testing.assert_array_equal(
        found.scores, np.take_along_axis(scores, found.documents, axis=1) if len(scores) else np.empty((0, 0))
    )


def test_more_wanted_than_there_are() -> None:
    found = search.search(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), ["a", "b"], 1000)

    assert found.documents.tolist() == [[0, 1], [1, 0]]


def test_no_queries() -> None:
    found = search.search(np.empty((0, 2), np.float32), np.eye(2, dtype=np.float32), ["a", "b"], 5)

    assert found.documents.shape[0] == 0
    assert isinstance(found, Rankings)


def test_ids_are_compared_as_text() -> None:
    found = search.search(np.ones((1, 1), np.float32), np.ones((4, 1), np.float32), ["9", "10", "é", "z"], 4)

    assert found.documents.tolist() == [[2, 3, 0, 1]]


# Candidates


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("together", [1, 20, 10_000])
def test_reranks_each_querys_own_candidates(
    similarity: search.Similarity, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_CANDIDATES", together)
    rng = np.random.default_rng(3)
    queries, documents = axes(6, rng), axes(30, rng)
    ids = [f"d{number}" for number in rng.permutation(30)]
    candidates = [rng.choice(30, size, replace=False) for size in (7, 0, 1, 30, 12, 0)]
    seen: list[int] = []

    found = search.rerank(
        queries, documents.__getitem__, candidates, ids, 10, similarity=similarity, on_block=seen.append
    )

    scores = compare(queries, documents, similarity)
    assert found.documents.shape == (6, 10)
    for row, places in enumerate(candidates):
        best = sorted(places.tolist(), key=lambda place: (scores[row, place], ids[place]), reverse=True)[:10]
        assert found.documents[row].tolist() == best + [-1] * (10 - len(best))
        assert found.scores[row].tolist() == [*scores[row, best].tolist(), *[-np.inf] * (10 - len(best))]
    assert seen[-1] == 6


def test_reranks_nothing() -> None:
    nothing = np.empty(0, np.int64)
    vectors = np.eye(2, dtype=np.float32)

    assert search.rerank(vectors, vectors.__getitem__, [nothing, nothing], ["a", "b"], 5).documents.shape == (2, 0)
    assert search.rerank(vectors[:0], vectors.__getitem__, [], ["a", "b"], 5).documents.shape == (0, 0)


def test_leaves_out_what_is_not_a_candidate() -> None:
    rankings = Rankings(np.array([[3, 1, 2], [0, 2, -1]]), np.array([[3, 2, 1], [5, 4, -np.inf]], np.float32))

    found = rankings.among([np.array([2, 3, 9]), None])

    assert found.documents.tolist() == [[3, 2, -1], [0, 2, -1]]
    assert found.scores.tolist() == [[3.0, 1.0, -np.inf], [5.0, 4.0, -np.inf]]


def test_similarities_are_those_of_sentence_transformers() -> None:
    from sentence_transformers import util

    rng = np.random.default_rng(3)
    a, b = (torch.from_numpy(rng.standard_normal((4, 6)).astype(np.float32)) for _ in range(2))
    theirs = {
        "cosine": util.cos_sim,
        "dot": util.dot_score,
        "euclidean": util.euclidean_sim,
        "manhattan": util.manhattan_sim,
    }
    for name in SIMILARITIES:
        assert torch.equal(similarities(a, b, name), theirs[name](a, b))  # type: ignore[arg-type]
