"""Loaded models: memory that runs out, texts that make them fail, and what runs share."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertModel

from app.errors import RunFailure
from tests.worker.encoder_world import TEXTS, encode, load_dense, loaded, spec_of
from tests.worker.engine_world import write_model, write_router_model, write_static_model
from worker.encoders import dense, facts, network, tokens
from worker.encoders.base import PoisonedText


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def _nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "seat", network.Seat())


# Memory


def limit_memory(
    encoder: dense.DenseEncoder, monkeypatch: pytest.MonkeyPatch, most: int, error: Exception
) -> list[int]:
    """Make batches of more than `most` padded tokens fail; returns the sizes that were tried."""
    tried: list[int] = []
    forward = loaded(encoder)._forward

    def limited(features: dict[str, Any], role: Any) -> torch.Tensor:
        tried.append(features["input_ids"].numel())
        if tried[-1] > most:
            raise error
        return forward(features, role)

    monkeypatch.setattr(loaded(encoder), "_forward", limited)
    return tried


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("MPS backend out of memory"), MemoryError()]
)
def test_a_batch_too_large_is_halved(model_folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setitem(network.START_TOKENS, "cpu", 10**6)
    encoder = load_dense(model_folder)
    expected = encode(encoder, TEXTS)
    tried = limit_memory(encoder, monkeypatch, 50, error)

    np.testing.assert_allclose(encode(encoder, TEXTS), expected, atol=1e-6)
    first = list(tried)
    np.testing.assert_allclose(encode(encoder, TEXTS), expected, atol=1e-6)

    assert first[0] == 24 * 16
    assert any(size > 50 for size in first)
    assert all(size <= 50 for size in tried[len(first) :]), "the next time begins with the smaller batches"


def test_memory_that_does_not_suffice_for_two_batches_is_given_to_one(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    encoder = load_dense(model_folder, batch_tokens=16)
    expected = encode(encoder, TEXTS)
    model, room, most = loaded(encoder), threading.Semaphore(1), 16
    forward = model._forward
    sizes: list[int] = []

    def crowded(features: dict[str, Any], role: Any) -> torch.Tensor:
        if not room.acquire(blocking=False):
            raise torch.OutOfMemoryError("CUDA out of memory")
        try:
            time.sleep(0.02)
            sizes.append(features["input_ids"].numel())
            return forward(features, role)
        finally:
            room.release()

    monkeypatch.setattr(model, "_forward", crowded)

    np.testing.assert_allclose(encode(encoder, TEXTS), expected, atol=1e-6)
    assert model._at_once == 1
    assert model._most_tokens is None, "no batch had to be halved"
    assert max(sizes) == most


@pytest.mark.parametrize(("device", "code"), [("cuda", "gpu_oom"), ("cpu", "out_of_memory")])
def test_one_text_too_large_ends_the_run(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, device: str, code: str
) -> None:
    encoder = load_dense(model_folder)
    limit_memory(encoder, monkeypatch, 0, torch.OutOfMemoryError("out of memory"))
    monkeypatch.setattr(loaded(encoder), "_device", device)

    with pytest.raises(RunFailure) as caught:
        encode(encoder, TEXTS)

    assert caught.value.code == code
    assert caught.value.remedy


# Poisoned texts


def fail_at(encoder: dense.DenseEncoder, monkeypatch: pytest.MonkeyPatch, poison: str, error: Exception) -> None:
    """Make every batch fail that holds a word."""
    model = loaded(encoder)
    word = model._model.tokenizer.convert_tokens_to_ids(poison)
    forward = model._forward

    def failing(features: dict[str, Any], role: Any) -> torch.Tensor:
        if (features["input_ids"] == word).any():
            raise error
        return forward(features, role)

    monkeypatch.setattr(model, "_forward", failing)


def test_a_text_that_makes_the_model_fail_is_found(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_dense(model_folder)
    texts = ["the cat sat", "a dog", "red red tree", "one", "a mat"]
    fail_at(encoder, monkeypatch, "tree", IndexError("index out of range in the words red red tree"))
    done: list[int] = []

    with pytest.raises(PoisonedText) as caught:
        for batch in encoder.batches(texts):
            done += batch.rows.tolist()

    assert (caught.value.row, caught.value.where, caught.value.kind) == (2, "the model", "IndexError")
    assert "tree" not in str(caught.value)
    assert 2 not in done


def test_a_batch_that_fails_only_as_a_whole_is_encoded_in_parts(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_dense(model_folder)
    expected = encode(encoder, TEXTS)
    limit_memory(encoder, monkeypatch, 20, RuntimeError("such shapes are not supported"))

    np.testing.assert_allclose(encode(encoder, TEXTS), expected, atol=1e-6)


def test_a_lost_device_is_not_blamed_on_a_text(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_dense(model_folder)
    limit_memory(encoder, monkeypatch, 0, torch.AcceleratorError("device-side assert triggered"))

    with pytest.raises(torch.AcceleratorError):
        encode(encoder, TEXTS)


PanicException = type("PanicException", (BaseException,), {})


@pytest.mark.parametrize("error", [ValueError("cannot split tree"), PanicException("tree")])
@pytest.mark.parametrize("write", [write_model, write_static_model], ids=["plain", "counted"])
def test_a_text_that_makes_the_tokenizer_fail_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, error: BaseException
) -> None:
    encoder = load_dense(write(tmp_path))
    texts = ["the cat sat", "a dog", "red red tree", "one", "a mat"]
    reader = loaded(encoder)._reader

    def failing(read: Any, part: list[str]) -> Any:
        if any("tree" in text for text in part):
            raise error
        return read(part)

    for name in ("_ids", "_counts"):
        monkeypatch.setattr(reader, name, partial(failing, getattr(reader, name)))

    with pytest.raises(PoisonedText) as caught:
        encode(encoder, texts)

    assert (caught.value.row, caught.value.where, caught.value.kind) == (2, "the tokenizer", type(error).__name__)
    assert "tree" not in str(caught.value)


def test_an_interrupt_is_no_fault_of_a_text(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_dense(model_folder)

    def interrupted(part: list[str]) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(loaded(encoder)._reader, "_ids", interrupted)

    with pytest.raises(KeyboardInterrupt):
        encode(encoder, TEXTS)


# Reading ahead


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("tokenizer", "network"))]


@pytest.fixture(params=[write_model, write_static_model, write_router_model], ids=["plain", "words", "router"])
def any_model(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    yield request.param(tmp_path)


def test_slices_and_parts_of_slices_change_nothing(any_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_dense(any_model, batch_tokens=16)
    role = "document" if encoder.by_role else None
    texts = [*TEXTS, *TEXTS[::-1], "the cat"]
    expected = encode(encoder, texts, role=role)
    monkeypatch.setattr(network, "_SLICE_BATCHES", 8)
    monkeypatch.setattr(tokens, "_AT_ONCE_CHARACTERS", 50)

    np.testing.assert_allclose(encode(encoder, texts, role=role), expected, atol=1e-6)
    assert own_threads() == []


def test_nothing_runs_on_when_the_run_ends_early(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_dense(model_folder, batch_tokens=16)
    monkeypatch.setattr(network, "_SLICE_BATCHES", 4)

    batches = encoder.batches(TEXTS * 20)
    next(batches)
    during = own_threads()
    batches.close()

    assert during
    assert own_threads() == []


def test_vectors_of_a_gpu_are_waited_for(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_dense(model_folder, batch_tokens=16)
    expected = encode(encoder, TEXTS)
    waited: list[str] = []

    class Event:
        def record(self, stream: str) -> None:
            self.stream = stream

        def synchronize(self) -> None:
            waited.append(self.stream)

    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory, **how: empty(*shape, **how))
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(loaded(encoder), "_kind", "cuda")
    monkeypatch.setitem(network.START_TOKENS, "cuda", 0)

    np.testing.assert_allclose(encode(encoder, TEXTS), expected, atol=1e-6)
    assert set(waited) == {"stream of cpu"}


@pytest.mark.parametrize("kind", ["dynamic", "longrope", {"full_attention": "dynamic"}])
def test_a_model_that_changes_while_it_computes_has_one_batch_at_a_time(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, kind: object
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert loaded(load_dense(model_folder))._at_once == 5
    monkeypatch.setattr(network, "seat", network.Seat())
    monkeypatch.setattr(BertModel, "rope_type", kind, raising=False)

    assert loaded(load_dense(model_folder))._at_once == 1


def test_threads_are_as_many_as_before(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_dense(model_folder, batch_tokens=16)
    monkeypatch.setattr(loaded(encoder), "_threads", 1)
    before = torch.get_num_threads()
    found: list[int] = []

    encode(encoder, TEXTS)
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()

    assert [torch.get_num_threads(), *found] == [before, before]


# What runs share


def test_variants_of_a_model_share_its_weights(model_folder: Path) -> None:
    one = loaded(load_dense(model_folder))

    for choices in ({"truncate_dim": 4}, {"precision": "int8"}, {"query_prompt": "query "}, {"prompts": {"STS": "a "}}):
        assert loaded(load_dense(model_folder, **choices)) is one
    assert loaded(load_dense(model_folder, max_tokens=8)) is not one


def test_a_model_whose_facts_are_known_is_loaded_when_it_encodes(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dense.load(spec_of(model_folder), device="cpu", remembered=tmp_path)
    monkeypatch.setattr(network, "seat", network.Seat())

    second = dense.load(spec_of(model_folder, truncate_dim=4), device="cpu", remembered=tmp_path)

    assert network.seat._network is None
    for name in ("revision", "max_tokens", "similarity", "by_role", "dtype"):
        assert getattr(second, name) == getattr(first, name)
    assert (first.dimensions, second.dimensions) == (16, 4)
    second.ready()
    assert network.seat._network is not None
    np.testing.assert_allclose(encode(second, TEXTS), encode(first, TEXTS)[:, :4], atol=1e-6)


@pytest.mark.parametrize("choices", [{"dtype": "bfloat16"}, {"max_tokens": 8}])
def test_what_changes_the_facts_has_facts_of_its_own(model_folder: Path, tmp_path: Path, choices: Any) -> None:
    dense.load(spec_of(model_folder), device="cpu", remembered=tmp_path)

    encoder = dense.load(spec_of(model_folder, **choices), device="cpu", remembered=tmp_path)

    assert encoder.max_tokens == choices.get("max_tokens", 32)
    assert len(list((tmp_path / facts.FOLDER).iterdir())) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"dimensions": 3}'])
def test_damaged_facts_are_found_out_again(model_folder: Path, tmp_path: Path, content: str) -> None:
    dense.load(spec_of(model_folder), device="cpu", remembered=tmp_path)
    (path,) = (tmp_path / facts.FOLDER).iterdir()
    whole = path.read_text()
    path.write_text(content)

    assert dense.load(spec_of(model_folder), device="cpu", remembered=tmp_path).dimensions == 16
    assert path.read_text() == whole


def test_known_facts_need_no_sentence_transformers(model_folder: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from worker.encoders import dense
from worker.encoders.base import ModelSpec
spec = ModelSpec("local/tiny", source="folder", path={str(model_folder)!r})
dense.load(spec, device="cpu", remembered=Path({str(tmp_path)!r}))
print([name for name in ("sentence_transformers", "transformers") if name in sys.modules])
"""
    dense.load(spec_of(model_folder), device="cpu", remembered=tmp_path)

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
