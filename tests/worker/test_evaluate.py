"""A run from texts to scores: only what the store lacks is encoded, and a result says what it depends on."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers.util import quantize_embeddings

from app.core.formats import canonical
from app.core.records import Cell, Dataset, RetrievalData, SentencePair, StsData
from app.core.task_types import TASK_TYPES
from tests.worker.engine_world import (
    DIMENSIONS,
    Recorder,
    classification_dataset,
    retrieval_dataset,
    sts_dataset,
    write_model,
    write_router_model,
)
from tests.worker.run_world import RANDOM, Words, as_values, drawn, run
from worker.encoders import base, network
from worker.encoders.base import ModelSpec
from worker.scoring import task_for

DATASETS = {"STS": sts_dataset, "Classification": classification_dataset, "Retrieval": retrieval_dataset}
BM25 = ModelSpec("baseline/bm25", loader="bm25", source="builtin")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = write_model(tmp_path_factory.mktemp("model"), prompts={"query": "query ", "document": "document "})
    return ModelSpec("local/tiny", source="folder", path=str(folder))


@pytest.mark.parametrize("name", TASK_TYPES)
def test_every_task_type_has_a_task(name: str) -> None:
    assert callable(task_for(name).score)


@pytest.mark.parametrize("task_type", list(DATASETS))
@pytest.mark.parametrize("loader", ["dense", "bm25", "random"])
def test_every_model_scores_every_task_type(task_type: str, loader: str, tiny: ModelSpec) -> None:
    dataset, progress = DATASETS[task_type](), Recorder()

    found = run(dataset, {"dense": tiny, "bm25": BM25, "random": RANDOM}[loader], progress=progress)

    main = [score.value for score in found.scores if score.metric == found.main_metric]
    assert len(main) == len(found.evidence) == len(dataset.cells)
    assert found.main_score == pytest.approx(np.mean(main))
    assert all(math.isfinite(score.value) for score in found.scores)
    names = [name for name, _ in progress.stages]
    assert names[:2] == ["load", "encode"]
    assert names[-1] == "score"
    assert ("search" in names) == (task_type == "Retrieval")
    assert progress.done["encode"][-1] == dict(progress.stages)["encode"] == found.provenance["texts_encoded"]
    json.dumps(found.provenance)


def test_says_what_the_scores_depend_on(tiny: ModelSpec, tmp_path: Path) -> None:
    provenance = run(retrieval_dataset(), tiny, store=tmp_path).provenance

    expected = {
        "model": "local/tiny",
        "dtype": "float32",
        "precision": "float32",
        "device": "cpu",
        "batch_tokens": 1024,
        "max_tokens": 32,
        "dimensions": DIMENSIONS,
        "similarity": "cosine",
        "texts_total": 7,
        "texts_encoded": 7,
        "texts_from_store": 0,
        "texts_truncated": 0,
    }
    assert {name: provenance[name] for name in expected} == expected
    assert provenance["prompts"] == {"query": "query red cat", "document": "document red cat a red cat sat on the mat"}
    assert len(provenance["revision"]) == 40
    assert set(provenance["durations"]) == {"load", "encode", "search", "score"}
    assert provenance["tokens"] > 7
    assert provenance["peak_memory_mb"] > 10
    assert {"torch", "transformers", "sentence-transformers", "numpy", "scikit-learn", "python"} <= set(
        provenance["versions"]
    )


def test_prompts_reach_the_texts() -> None:
    found = run(sts_dataset(), encoder=Words(prompt="STS: ")).provenance["prompts"]

    assert found == {"text": "STS: the cat sat"}


def test_equal_texts_are_encoded_once() -> None:
    encoder = Words()

    provenance = run(sts_dataset(), encoder=encoder).provenance

    assert len(encoder.encoded) == len(set(encoder.encoded)) == provenance["texts_total"] == 9


def test_queries_and_documents_of_the_same_words_are_kept_apart() -> None:
    encoder = Words(prompt="as ")

    run(retrieval_dataset(), encoder=encoder)

    assert len(encoder.encoded) == 7


def test_a_second_run_takes_everything_from_the_store(tmp_path: Path) -> None:
    first = run(sts_dataset(), encoder=Words(), store=tmp_path)
    encoder, progress = Words(), Recorder()

    second = run(sts_dataset(), encoder=encoder, store=tmp_path, progress=progress)

    assert (encoder.encoded, encoder.loaded) == ([], 0)
    assert ("encode", 0) in progress.stages
    assert as_values(second) == as_values(first)
    kept = ("texts_total", "texts_truncated", "tokens")
    assert {name: second.provenance[name] for name in kept} == {name: first.provenance[name] for name in kept}
    assert (second.provenance["texts_encoded"], second.provenance["texts_from_store"]) == (0, 9)


def test_variants_of_a_stored_model_load_no_weights(
    tiny: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(sts_dataset(), tiny, store=tmp_path)
    monkeypatch.setattr(network, "seat", network.Seat())

    for choices in ({}, {"truncate_dim": 4}, {"precision": "int8"}):
        found = run(sts_dataset(), replace(tiny, **choices), store=tmp_path)
        assert found.provenance["texts_from_store"] == 9

    assert network.seat._network is None


def test_tokens_beyond_the_limit_are_not_counted_as_read() -> None:
    provenance = run(sts_dataset(), encoder=Words()).provenance

    lengths = [3, 6, 3, 6, 3, 3, 2, 3, 2]
    assert provenance["texts_truncated"] == sum(length > 4 for length in lengths)
    assert provenance["tokens"] == sum(min(length, 4) for length in lengths)


def test_a_grown_dataset_costs_only_its_new_texts(tmp_path: Path) -> None:
    old = sts_dataset()
    run(old, encoder=Words(), store=tmp_path)
    pairs = old.cells[0].data.pairs  # type: ignore[union-attr]
    grown = Dataset("STS", (Cell("test", "default", StsData((*pairs, SentencePair("new", "newer", 1.0)))),))
    encoder = Words()

    run(grown, encoder=encoder, store=tmp_path)

    assert sorted(encoder.encoded) == ["new", "newer"]


def test_truncated_dimensions_are_cut_from_stored_vectors(tiny: ModelSpec, tmp_path: Path) -> None:
    whole = run(sts_dataset(), tiny, store=tmp_path)
    short_spec = ModelSpec(tiny.name, source="folder", path=tiny.path, truncate_dim=4)

    short = run(sts_dataset(), short_spec, store=tmp_path)

    assert short.provenance["texts_from_store"] == 9
    assert short.provenance["dimensions"] == 4
    assert as_values(short) != as_values(whole)
    assert as_values(short) == pytest.approx(as_values(run(sts_dataset(), short_spec)))


@pytest.mark.parametrize("choices", [{"max_tokens": 4}, {"dtype": "bfloat16"}, {"prompts": {"STS": "the "}}])
def test_what_changes_vectors_has_a_store_of_its_own(tiny: ModelSpec, tmp_path: Path, choices: dict[str, Any]) -> None:
    run(sts_dataset(), tiny, store=tmp_path)

    other = run(sts_dataset(), ModelSpec(tiny.name, source="folder", path=tiny.path, **choices), store=tmp_path)

    assert other.provenance["texts_from_store"] == 0
    assert len(list(tmp_path.glob("*/store.json"))) == 2


def test_a_model_with_routes_keeps_queries_and_documents_apart(tmp_path: Path) -> None:
    spec = ModelSpec("local/router", source="folder", path=str(write_router_model(tmp_path / "model")))

    found = run(retrieval_dataset(), spec, store=tmp_path / "store")

    assert found.provenance["texts_encoded"] == 7
    assert len(list((tmp_path / "store").glob("*/store.json"))) == 2
    assert run(retrieval_dataset(), spec, store=tmp_path / "store").provenance["texts_from_store"] == 7


def test_baselines_of_words_store_nothing(tmp_path: Path) -> None:
    found = run(retrieval_dataset(), BM25, store=tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert found.provenance["similarity"] == "bm25"
    assert found.provenance["tokens"] > 7


def test_scores_do_not_depend_on_the_order_of_the_store(tmp_path: Path) -> None:
    """A subset at a time or all at once: the same vectors."""
    whole = run(sts_dataset(), encoder=Words(), store=tmp_path / "whole")
    for cell in reversed(sts_dataset().cells):
        run(Dataset("STS", (cell,)), encoder=Words(), store=tmp_path / "parts")

    parts = run(sts_dataset(), encoder=Words(), store=tmp_path / "parts")

    assert parts.provenance["texts_encoded"] == 0
    assert as_values(parts) == as_values(whole)


def test_a_dataset_in_its_canonical_form_scores_the_same(tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    with path.open("wb") as file:
        canonical.write(sts_dataset(), file)

    assert as_values(run(canonical.read(path))) == as_values(run(sts_dataset()))


def test_evidence_is_in_the_order_of_the_dataset() -> None:
    by_type = {name: run(dataset(), encoder=Words()).evidence[0] for name, dataset in DATASETS.items()}

    assert by_type["STS"].arrays["gold"].tolist() == [4.5, 4.0, 1.5, 0.0, 5.0]
    assert by_type["STS"].arrays["similarity"][4] == pytest.approx(1.0)
    assert by_type["Retrieval"].arrays["query"].tolist() == [0, 1, 2]
    assert by_type["Retrieval"].arrays["ranking"].shape == (3, 4)
    assert len(by_type["Classification"].arrays["correct"]) == 8
    assert {item.kind for item in by_type.values()} == {"pairs", "queries", "texts"}


# Precision


@pytest.mark.parametrize("kind", ["int8", "uint8", "binary"])
def test_fewer_bits_come_from_stored_vectors(kind: base.Precision, tmp_path: Path) -> None:
    spec = ModelSpec("baseline/random", loader="random", source="builtin", truncate_dim=24, precision=kind)
    run(sts_dataset(), encoder=Words(), store=tmp_path)
    encoder = Words(spec=spec)

    found = run(sts_dataset(), spec, encoder=encoder, store=tmp_path)

    assert encoder.encoded == []
    assert (found.provenance["precision"], found.provenance["dimensions"]) == (kind, 24)
    pairs = sts_dataset().cells[0].data.pairs  # type: ignore[union-attr]
    vectors = drawn([text for pair in pairs for text in (pair.sentence1, pair.sentence2)])[:, :24]
    codes = quantised(vectors, vectors, kind)
    left, right = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (codes[::2], codes[1::2]))
    np.testing.assert_allclose(found.evidence[0].arrays["similarity"], (left * right).sum(axis=1), atol=1e-5)


def test_documents_alone_calibrate_a_search(tmp_path: Path) -> None:
    spec = ModelSpec("baseline/random", loader="random", source="builtin", precision="int8")
    data = retrieval_dataset().cells[0].data
    assert isinstance(data, RetrievalData)

    found = run(retrieval_dataset(), spec, encoder=Words(spec=spec), store=tmp_path)

    queries = drawn([query.text for query in data.queries[:3]])
    documents = drawn([document.full_text for document in data.documents])
    rows, columns = quantised(queries, documents, "int8"), quantised(documents, documents, "int8")
    cosines = rows @ columns.T / np.linalg.norm(rows, axis=1)[:, None] / np.linalg.norm(columns, axis=1)
    assert found.evidence[0].arrays["ranking"].tolist() == np.argsort(-cosines, axis=1).tolist()


def quantised(vectors: np.ndarray, corpus: np.ndarray, kind: base.Precision) -> np.ndarray:
    """What sentence-transformers makes of vectors, as numbers."""
    if kind == "binary":
        return np.where(vectors > 0, 1.0, -1.0)
    return quantize_embeddings(vectors, kind, calibration_embeddings=corpus).astype(np.float64)
