"""Batches: every text once, within the budget, the longest first."""

import doctest
import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from worker import batching

lengths = st.lists(st.integers(0, 300), max_size=60)


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(batching).failed == 0


@settings(deadline=None)
@given(lengths=lengths, budget=st.integers(1, 1000), start=st.integers(0, 500))
def test_batches_hold_every_text_once_within_the_budget(lengths: list[int], budget: int, start: int) -> None:
    batches = list(batching.token_batches(lengths, budget, start))

    assert sorted(position for batch in batches for position in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[position] for position in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
        assert sum(max(1, longest) - lengths[position] for position in batch[:-1]) <= max(start, 1)


@settings(deadline=None)
@given(lengths=lengths, budget=st.integers(1, 1000), start=st.integers(0, 500))
def test_the_longest_texts_come_first(lengths: list[int], budget: int, start: int) -> None:
    order = [position for batch in batching.token_batches(lengths, budget, start) for position in batch.tolist()]

    assert [lengths[position] for position in order] == sorted(lengths, reverse=True)


def test_a_batch_ends_where_padding_outweighs_another_start() -> None:
    lengths = [100] * 5 + [60] * 5 + [10] * 50

    together = list(batching.token_batches(lengths, 10_000, 10**6))
    apart = list(batching.token_batches(lengths, 10_000, 64))

    assert [len(batch) for batch in together] == [60]
    assert [len(batch) for batch in apart] == [6, 5, 49], (
        "one shorter text costs less than another batch, two cost more"
    )


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 50), max_size=40), most=st.integers(1, 120))
def test_pieces_of_about_one_size(sizes: list[int], most: int) -> None:
    order = batching.longest_first(sizes)

    pieces = list(batching.by_size(order, np.array(sizes, np.int64), most))

    assert [position for piece in pieces for position in piece.tolist()] == order.tolist()
    for piece in pieces:
        assert sum(sizes[position] for position in piece) <= most or len(piece) == 1
    for piece, after in itertools.pairwise(pieces):
        assert sum(sizes[position] for position in piece) + sizes[after[0]] > most


def test_equal_lengths_keep_their_order() -> None:
    assert batching.longest_first([5, 7, 5, 7, 5]).tolist() == [1, 3, 0, 2, 4]


@settings(deadline=None)
@given(size=st.integers(1, 7), count=st.integers(0, 30))
def test_slices_cut_without_loss(size: int, count: int) -> None:
    parts = list(batching.slices(np.arange(count), size))

    assert [position for part in parts for position in part.tolist()] == list(range(count))
    assert all(0 < len(part) <= size for part in parts)
