"""Batches: every text once, within the budget, the longest first."""

import doctest

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.fingerprints import text_hashes
from worker import batching

lengths = st.lists(st.integers(0, 300), max_size=60)


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(batching).failed == 0


@settings(deadline=None)
@given(lengths=lengths, budget=st.integers(1, 1000))
def test_batches_hold_every_text_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(batching.token_batches(lengths, budget))

    assert sorted(position for batch in batches for position in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[position] for position in batch) <= budget


@settings(deadline=None)
@given(lengths=lengths, budget=st.integers(1, 1000))
def test_the_longest_texts_come_first(lengths: list[int], budget: int) -> None:
    order = [position for batch in batching.token_batches(lengths, budget) for position in batch.tolist()]

    assert [lengths[position] for position in order] == sorted(lengths, reverse=True)


def test_equal_lengths_keep_their_order() -> None:
    assert batching.longest_first([5, 7, 5, 7, 5]).tolist() == [1, 3, 0, 2, 4]


@settings(deadline=None)
@given(size=st.integers(1, 7), count=st.integers(0, 30))
def test_slices_cut_without_loss(size: int, count: int) -> None:
    parts = list(batching.slices(np.arange(count), size))

    assert [position for part in parts for position in part.tolist()] == list(range(count))
    assert all(0 < len(part) <= size for part in parts)


@settings(deadline=None)
@given(texts=st.lists(st.text(max_size=4), max_size=20))
def test_distinct_texts_match_their_hashes(texts: list[str]) -> None:
    hashes, kept = batching.distinct(text_hashes(texts), texts)

    assert sorted(kept) == sorted(set(texts))
    assert hashes.tolist() == text_hashes(kept).tolist()
