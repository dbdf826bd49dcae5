"""Fingerprints: stable across releases, sensitive to everything that counts."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.fingerprints import HASH_DTYPE, encode_key, file_sha256, text_hash, text_hashes

CONFIGURATION = {
    "model": "org/name",
    "revision": "a" * 40,
    "prompt": "query: ",
    "max_length": 256,
    "dtype": "float32",
    "backend": "torch",
}


def test_text_hashes_are_fixed() -> None:
    """Stored vectors are found by them: they must never change."""
    assert text_hash("").hex() == "cae66941d9efbd404e4d88758ea67670"
    assert text_hash("naïve 🙂").hex() == "5e765de3b6234b8f57ec4b088e6642ef"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5)))
def test_many_hashes_are_each_texts_own(texts: list[str]) -> None:
    hashes = text_hashes(texts)
    assert hashes.shape == (len(texts),)
    assert hashes.dtype == HASH_DTYPE
    assert [value.tobytes() for value in hashes] == [text_hash(text) for text in texts]


def test_hashes_are_sorted_searched_and_made_unique_by_numpy() -> None:
    texts = [f"text {i}" for i in range(2000)]
    held = np.sort(text_hashes(texts))
    assert [value.tobytes() for value in held] == sorted(text_hash(text) for text in texts)
    wanted = text_hashes(texts[::7])
    assert (held[np.searchsorted(held, wanted)] == wanted).all()
    missing = text_hashes(["not there"])
    assert not (held[np.minimum(np.searchsorted(held, missing), len(held) - 1)] == missing).any()
    assert len(np.unique(text_hashes(texts + texts))) == len(texts)


def test_no_normalisation_hides_a_difference() -> None:
    assert len({text_hash(text) for text in ("é", "e\u0301", "É", "é ", "")}) == 5


def test_the_encode_key_is_fixed_and_free_of_order() -> None:
    assert encode_key(**CONFIGURATION) == "4cdb4af84d47df9c6784ce709d227e7030be7b03"
    assert encode_key(**dict(reversed(CONFIGURATION.items()))) == encode_key(**CONFIGURATION)


@pytest.mark.parametrize("name", CONFIGURATION)
def test_every_part_of_the_configuration_counts(name: str) -> None:
    keys = {
        encode_key(**CONFIGURATION),
        encode_key(**{**CONFIGURATION, name: None}),
        encode_key(**{**CONFIGURATION, name: "other"}),
        encode_key(**{part: value for part, value in CONFIGURATION.items() if part != name}),
    }
    assert len(keys) == 4


def test_a_text_and_a_number_differ() -> None:
    assert encode_key(max_length="256") != encode_key(max_length=256)


def test_nan_has_no_key() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_key(value=float("nan"))


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    content = b"x" * 3_000_000
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
