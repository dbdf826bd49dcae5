"""Exact search: the true best, with ties as trec_eval breaks them, whatever the blocks."""

import doctest

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker import search
from worker.search import Rankings, similarities

SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")


def expected(scores: np.ndarray, ids: list[str], k: int) -> list[list[int]]:
    """The obvious way: sort everything."""
    return [sorted(range(len(ids)), key=lambda place: (row[place], ids[place]), reverse=True)[:k] for row in scores]


class Fixed:
    """A lexical index with given scores."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores_by_query = {str(row): scores[row] for row in range(len(scores))}

    def scores(self, queries: list[str]) -> np.ndarray:
        return np.stack([self.scores_by_query[query] for query in queries])


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(search).failed == 0


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("block", [1, 30, 1 << 20])
def test_finds_the_best_with_ties_across_blocks(
    similarity: search.Similarity, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_BLOCK_SCORES", block)
    monkeypatch.setattr(search, "_BLOCK_QUERIES", 4)
    rng = np.random.default_rng(7)
    axes = np.concatenate([np.eye(2), -np.eye(2)]).astype(np.float32)  # exact in any order of summation
    queries = axes[rng.integers(0, 4, 9)] * 2
    documents = axes[rng.integers(0, 4, 40)] * rng.choice(np.array([1, 2, 4], np.float32), (40, 1))
    ids = [f"d{number}" for number in rng.permutation(40)]
    seen: list[int] = []

    found = search.search(queries, documents, ids, 15, similarity=similarity, on_block=seen.append)

    scores = similarities(torch.from_numpy(queries), torch.from_numpy(documents), similarity).numpy()
    assert found.documents.tolist() == expected(scores, ids, 15)
    np.testing.assert_array_equal(found.scores, np.take_along_axis(scores, found.documents, axis=1))
    assert seen == [4, 8, 9]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), count=st.integers(1, 12), k=st.integers(1, 15))
def test_any_scores_with_ties(data: st.DataObject, count: int, k: int) -> None:
    value = st.sampled_from([-np.inf, -1.5, -1e-30, -0.0, 0.0, 1e-30, 2.0, 2.0000002, np.inf])
    scores = np.array(data.draw(st.lists(st.lists(value, min_size=count, max_size=count), max_size=4)), np.float32)
    scores = scores.reshape(-1, count)
    ids = [str(number) for number in data.draw(st.permutations(range(count)))]

    found = search.search_words([str(row) for row in range(len(scores))], Fixed(scores), ids, k)

    assert found.documents.tolist() == expected(scores, ids, k)


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


@settings(deadline=None)
@given(seed=st.integers(0, 99), k=st.integers(1, 30))
def test_both_ways_to_the_kth_score_agree(seed: int, k: int) -> None:
    scores = torch.from_numpy(np.random.default_rng(seed).integers(0, 9, (5, 30)).astype(np.float32))

    assert torch.equal(search.kth_by_partition(scores, k), search.kth_by_topk(scores, k))


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
