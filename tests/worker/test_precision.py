"""Vectors of fewer bits are those of sentence-transformers, whatever the blocks they are calibrated on."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sentence_transformers.util import quantize_embeddings

from worker.encoders import precision
from worker.encoders.base import Precision

matrices = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.just(5)),
    # Multiples of a thousandth or so: sentence-transformers overflows where values hardly differ.
    elements=st.integers(-4096, 4096).map(lambda number: number / 1024) | st.sampled_from([0.0, -0.0, 1.0]),
)


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(precision).failed == 0


@settings(deadline=None)
@given(corpus=matrices, vectors=matrices)
@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_codes_are_those_of_sentence_transformers(kind: Precision, corpus: np.ndarray, vectors: np.ndarray) -> None:
    limits = precision.ranges([corpus])
    assert limits is not None

    for each in (corpus, vectors):
        found = precision.quantise(each, kind, limits)

        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, quantize_embeddings(each, kind, ranges=limits).astype(np.float32))


def test_what_lies_beyond_limits_that_hardly_differ_is_the_limit() -> None:
    limits = np.array([[0.0], [3.3e-40]], np.float32)
    assert precision.quantise(np.array([[1.0], [-1.0], [0.0]], np.float32), "uint8", limits).tolist() == [
        [255],
        [0],
        [0],
    ]


@settings(deadline=None)
@given(vectors=matrices)
def test_binary_codes_are_the_signs_that_sentence_transformers_packs(vectors: np.ndarray) -> None:
    packed = quantize_embeddings(vectors, "binary").astype(np.int16) + 128
    bits = np.unpackbits(packed.astype(np.uint8), axis=1)[:, : vectors.shape[1]]

    np.testing.assert_array_equal(precision.quantise(vectors, "binary"), np.where(bits, 1, -1).astype(np.float32))


@settings(deadline=None)
@given(corpus=matrices, cut=st.integers(0, 12))
def test_ranges_do_not_depend_on_the_blocks(corpus: np.ndarray, cut: int) -> None:
    np.testing.assert_array_equal(precision.ranges([corpus[:cut], corpus[cut:]]), precision.ranges([corpus]))


def test_float32_is_left_as_it_is() -> None:
    vectors = np.ones((2, 3), np.float32)

    assert precision.quantise(vectors, "float32") is vectors


def test_nothing_to_calibrate_on() -> None:
    assert precision.ranges([]) is None
    with pytest.raises(ValueError, match="int8 needs the limits"):
        precision.quantise(np.ones((2, 3), np.float32), "int8")
