"""Models of one vector a text: their vectors are those of sentence-transformers."""

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.errors import RunFailure
from tests.worker.encoder_world import TEXTS, encode, load_dense, reference, spec_of
from tests.worker.engine_world import DIMENSIONS, edit_json, write_model, write_router_model, write_static_model
from worker.encoders import base, dense, folders, load
from worker.encoders.base import Encoder, LexicalEncoder, ModelSpec, find_prompt, first_bad_row


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def copied(model_folder: Path, tmp_path: Path) -> Path:
    """A model whose files may be changed."""
    return Path(shutil.copytree(model_folder, tmp_path / "copied"))


@pytest.mark.parametrize("batch_tokens", [0, 1, 40])
def test_vectors_equal_sentence_transformers(model_folder: Path, batch_tokens: int) -> None:
    encoder = load_dense(model_folder, batch_tokens=batch_tokens)

    np.testing.assert_allclose(encode(encoder, TEXTS), reference(model_folder).encode(TEXTS), atol=1e-6)


def test_says_what_it_is(model_folder: Path) -> None:
    encoder: Encoder = load_dense(model_folder)

    assert (encoder.dimensions, encoder.max_tokens, encoder.dtype, encoder.device) == (DIMENSIONS, 32, "float32", "cpu")
    assert (encoder.similarity, encoder.backend, encoder.by_role) == ("cosine", "torch", False)
    assert encoder.batch_tokens == dense.BATCH_TOKENS["cpu"]
    assert encoder.revision == folders.content_hash(model_folder)
    assert encoder.versions["torch"] == torch.__version__
    assert not isinstance(encoder, LexicalEncoder)


def test_prompts_are_encoded_with_the_text(model_folder: Path) -> None:
    expected = reference(model_folder).encode(TEXTS, prompt="query ")

    np.testing.assert_allclose(encode(load_dense(model_folder), TEXTS, "query "), expected, atol=1e-6)


def test_prompts_that_pooling_leaves_out(tmp_path: Path) -> None:
    folder = write_model(tmp_path, include_prompt=False)
    expected = reference(folder).encode(TEXTS, prompt="query document ")
    encoder = load_dense(folder)

    np.testing.assert_allclose(encode(encoder, TEXTS, "query document "), expected, atol=1e-6)
    assert np.abs(encode(encoder, TEXTS) - expected).max() > 1e-3


def test_truncated_dimensions_are_cut_as_sentence_transformers_does(model_folder: Path) -> None:
    encoder = load_dense(model_folder, truncate_dim=5)

    found = encode(encoder, TEXTS)

    assert encoder.dimensions == found.shape[1] == 5
    np.testing.assert_allclose(found, reference(model_folder, truncate_dim=5).encode(TEXTS), atol=1e-6)
    assert next(encoder.batches(TEXTS)).vectors.shape[1] == DIMENSIONS


def test_a_models_own_truncation_holds(copied: Path) -> None:
    edit_json(copied / "config_sentence_transformers.json", truncate_dim=4)

    assert encode(load_dense(copied), ["a cat"]).shape == (1, 4)


def test_half_precision_is_only_used_where_asked_for(copied: Path) -> None:
    edit_json(copied / "config.json", dtype="bfloat16")
    full, half = load_dense(copied), load_dense(copied, dtype="bfloat16")

    assert encode(half, TEXTS).dtype == np.float32
    assert 0 < np.abs(encode(full, TEXTS) - encode(half, TEXTS)).max() < 0.05


def test_fewer_tokens_change_long_texts_only(model_folder: Path) -> None:
    whole, short = load_dense(model_folder), load_dense(model_folder, max_tokens=6)

    differ = np.abs(encode(whole, TEXTS) - encode(short, TEXTS)).max(axis=1) > 1e-6

    assert short.max_tokens == 6
    assert differ.tolist() == [len(text.split()) > 4 for text in TEXTS]  # two of six are [CLS] and [SEP]


def test_batches_hold_every_text_once_and_count_its_tokens(model_folder: Path) -> None:
    encoder = load_dense(model_folder, batch_tokens=40, max_tokens=8)
    texts = [*TEXTS, TEXTS[0]]

    batches = list(encoder.batches(texts))

    rows = np.concatenate([batch.rows for batch in batches])
    tokens = np.concatenate([batch.tokens for batch in batches])[np.argsort(rows)]
    assert sorted(rows.tolist()) == list(range(len(texts)))
    assert tokens.tolist() == [2 + len(text.split()) for text in texts], "beyond the limit too"


def test_texts_the_model_reads_alike_have_the_same_vector(model_folder: Path) -> None:
    encoder = load_dense(model_folder, batch_tokens=8)

    found = encode(encoder, ["Ünbekannt", "the CAT", "xyzzy", "the cat"])

    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])


def test_no_texts(model_folder: Path) -> None:
    encoder = load_dense(model_folder)

    assert list(encoder.batches([])) == []


def test_word_vectors_without_a_transformer(tmp_path: Path) -> None:
    folder = write_static_model(tmp_path / "static")
    encoder = load_dense(folder)

    np.testing.assert_allclose(encode(encoder, TEXTS), reference(folder).encode(TEXTS), atol=1e-6)
    assert next(encoder.batches(["the cat sat"])).tokens.tolist() == [3]
    assert encoder.max_tokens is None


def test_queries_and_documents_that_take_different_ways(tmp_path: Path) -> None:
    folder = write_router_model(tmp_path)
    encoder, theirs = load_dense(folder), reference(folder)

    assert encoder.by_role
    np.testing.assert_allclose(encode(encoder, TEXTS, role="query"), theirs.encode_query(TEXTS), atol=1e-6)
    np.testing.assert_allclose(encode(encoder, TEXTS, role="document"), theirs.encode_document(TEXTS), atol=1e-6)


@pytest.mark.parametrize(
    ("choices", "word"),
    [
        ({"truncate_dim": 17}, "16 dimensions"),
        ({"max_tokens": 65}, "64 positions"),
        ({"dtype": "int8"}, "int8"),
    ],
)
def test_what_a_model_cannot_do_is_refused(model_folder: Path, choices: dict[str, Any], word: str) -> None:
    with pytest.raises(RunFailure, match=word) as caught:
        load_dense(model_folder, **choices)

    assert caught.value.code == "unsupported"


def test_unknown_devices_and_loaders_are_refused(model_folder: Path) -> None:
    for attempt in (
        lambda: dense.load(spec_of(model_folder), device="warp"),
        lambda: dense.load(spec_of(model_folder), device="meta"),
        lambda: load(ModelSpec("a/b", loader="telepathy")),
    ):
        with pytest.raises(RunFailure) as caught:
            attempt()
        assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    ("cuda", "asked", "there"),
    [
        (0, "cuda:99", "cpu"),
        (0, "cuda", "cpu"),
        (2, "cuda:99", "cuda:0, cuda:1, cpu"),
        (2, "cuda:2", "cuda:0, cuda:1, cpu"),
    ],
)
def test_a_device_that_is_not_there_is_answered_with_those_that_are(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, cuda: int, asked: str, there: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    with pytest.raises(RunFailure, match=f"no device '{asked}'") as caught:
        dense.load(spec_of(model_folder), device=asked)

    assert caught.value.code == "unsupported"
    assert caught.value.remedy.endswith(f"this machine has: {there}.")
    assert base.choose_device("auto") == ("cuda" if cuda else "cpu")


def test_describes_the_device() -> None:
    assert base.describe_device("cpu") == "cpu"
    assert base.choose_device("auto") in {"cpu", "cuda", "mps"}


# Prompts


@pytest.mark.parametrize(
    ("own", "spec", "task_type", "role", "expected"),
    [
        ({}, {}, "Retrieval", "query", ""),
        ({"query": "q: "}, {}, "Retrieval", "query", "q: "),
        ({"query": "q: "}, {}, "STS", None, "default: "),
        ({"STS": "s: "}, {}, "STS", None, "s: "),
        ({"query": "q: ", "Retrieval": "r: "}, {}, "Retrieval", "query", "r: "),
        ({"Retrieval-query": "rq: ", "Retrieval": "r: "}, {}, "Retrieval", "query", "rq: "),
        ({"passage": "p: "}, {}, "Retrieval", "document", "p: "),
        ({"document": "d: ", "passage": "p: "}, {}, "Retrieval", "document", "d: "),
        ({"query": "q: "}, {"query_prompt": "mine: "}, "Retrieval", "query", "mine: "),
        ({"query": "q: "}, {"query_prompt": ""}, "Retrieval", "query", ""),
        ({"query": "q: "}, {"document_prompt": "mine: "}, "Retrieval", "query", "q: "),
        ({"STS": "s: "}, {"prompts": {"STS": "mine: "}}, "STS", None, "mine: "),
        ({"STS": "s: "}, {"query_prompt": "mine: "}, "STS", None, "s: "),
    ],
)
def test_which_prompt_counts(
    own: dict[str, str], spec: dict[str, Any], task_type: str, role: base.Role | None, expected: str
) -> None:
    assert find_prompt(ModelSpec("a/b", **spec), own, "default: ", task_type, role) == expected


def test_a_models_prompts_are_read_from_its_files(tmp_path: Path) -> None:
    encoder = load_dense(write_model(tmp_path, prompts={"query": "query ", "STS": "the "}))

    assert encoder.prompt_for("Retrieval", "query") == "query "
    assert encoder.prompt_for("Retrieval", "document") == ""
    assert encoder.prompt_for("STS", None) == "the "
    assert encoder.prompt_for("Classification", None) == ""


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1, 0], [0, 1]], None),
        ([[1, 0], [0, 0], [math.nan, 0]], (1, "only zeros")),
        ([[math.inf, 0], [0, 0]], (0, "NaN or infinite values")),
    ],
)
def test_bad_vectors_are_found(rows: list[list[float]], expected: tuple[int, str] | None) -> None:
    assert first_bad_row(np.array(rows, np.float32)) == expected


def test_specs_load_no_heavy_library() -> None:
    code = (
        "import sys, worker.encoders.base; print([n for n in ('torch', 'sklearn', 'transformers') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
