"""A run from texts to scores: it tells how far it is, resumes where it was cut off, and never publishes nonsense."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.formats import canonical
from app.core.records import Cell, Dataset, SentencePair, StsData
from app.core.task_types import SCORED
from app.errors import RunFailure
from app.storage.embeddings import EmbeddingStore
from tests.worker.engine_world import (
    DIMENSIONS,
    Cancelled,
    Recorder,
    classification_dataset,
    retrieval_dataset,
    sts_dataset,
    write_model,
    write_router_model,
)
from worker.encoders import base, sources
from worker.encoders.base import Batch, Encoder, ModelSpec
from worker.encoders.random import RandomEncoder
from worker.evaluate import Evaluation, evaluate
from worker.scoring import TASKS

DATASETS = {"STS": sts_dataset, "Classification": classification_dataset, "Retrieval": retrieval_dataset}
RANDOM = ModelSpec("baseline/random", loader="random", source="builtin")
BM25 = ModelSpec("baseline/bm25", loader="bm25", source="builtin")


class Words(RandomEncoder):
    """Random vectors with flaws to order; counts what it encodes, a few texts a batch."""

    def __init__(self, *, flaws: dict[str, float] | None = None, constant: bool = False, prompt: str = "") -> None:
        super().__init__(RANDOM)
        self.flaws, self.constant, self.prompt = flaws or {}, constant, prompt
        self.encoded: list[str] = []

    def prompt_for(self, task_type: str, role: base.Role | None) -> str:
        return f"{self.prompt}{role}: " if self.prompt and role else self.prompt

    def token_counts(self, texts: Sequence[str], prompt: str = "") -> base.IntArray:
        return np.array([len((prompt + text).split()) for text in texts], np.int64)

    def batches(self, texts: Sequence[str], prompt: str = "", role: base.Role | None = None) -> Iterator[Batch]:
        for start in range(0, len(texts), 3):
            part = texts[start : start + 3]
            vectors = RandomEncoder(RANDOM).encode([prompt + text for text in part])
            if self.constant:
                vectors = np.ones_like(vectors)
            for row, text in enumerate(part):
                if text in self.flaws:
                    vectors[row] = self.flaws[text]
            self.encoded += part
            tokens = self.token_counts(part, prompt)
            yield Batch(np.arange(start, start + len(part)), vectors, tokens, tokens > 4)


def run(dataset: Dataset, spec: ModelSpec = RANDOM, **kwargs: Any) -> Evaluation:
    return evaluate(dataset, spec, progress=kwargs.pop("progress", Recorder()), device="cpu", **kwargs)


def as_values(evaluation: Evaluation) -> dict[tuple[str, str, str], float]:
    return {(score.split, score.subset, score.metric): score.value for score in evaluation.scores}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = write_model(tmp_path_factory.mktemp("model"), prompts={"query": "query ", "document": "document "})
    return ModelSpec("local/tiny", source="folder", path=str(folder))


def test_every_scored_task_type_has_a_task() -> None:
    assert set(TASKS) == {task_type.name for task_type in SCORED}


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
        "device": "cpu",
        "batch_tokens": 2048,
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

    assert encoder.encoded == []
    assert ("encode", 0) in progress.stages
    assert as_values(second) == as_values(first)
    counts = {name: second.provenance[name] for name in ("texts_total", "texts_encoded", "texts_from_store", "tokens")}
    assert counts == {
        "texts_total": 9,
        "texts_encoded": 0,
        "texts_from_store": 9,
        "tokens": first.provenance["tokens"],
    }


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
    assert len(list(tmp_path.iterdir())) == 2


def test_a_model_with_routes_keeps_queries_and_documents_apart(tmp_path: Path) -> None:
    spec = ModelSpec("local/router", source="folder", path=str(write_router_model(tmp_path / "model")))

    found = run(retrieval_dataset(), spec, store=tmp_path / "store")

    assert found.provenance["texts_encoded"] == 7
    assert len(list((tmp_path / "store").iterdir())) == 2
    assert run(retrieval_dataset(), spec, store=tmp_path / "store").provenance["texts_from_store"] == 7


def test_baselines_of_words_store_nothing(tmp_path: Path) -> None:
    found = run(retrieval_dataset(), BM25, store=tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert found.provenance["similarity"] == "bm25"
    assert found.provenance["tokens"] > 7


def test_a_run_cut_short_resumes_with_the_same_scores(tmp_path: Path) -> None:
    undisturbed = run(sts_dataset(), encoder=Words())
    with pytest.raises(Cancelled):
        run(sts_dataset(), encoder=Words(), store=tmp_path, progress=Recorder(stop_after=3))
    encoder = Words()

    resumed = run(sts_dataset(), encoder=encoder, store=tmp_path)

    assert len(encoder.encoded) == 6
    assert resumed.provenance["texts_from_store"] == 3
    assert as_values(resumed) == as_values(undisturbed)


def test_segments_are_published_while_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[int] = []
    append = EmbeddingStore.append

    def counted(store: EmbeddingStore, hashes: Any, vectors: Any) -> None:
        published.append(len(hashes))
        append(store, hashes, vectors)

    monkeypatch.setattr(EmbeddingStore, "append", counted)
    monkeypatch.setattr(sources, "SEGMENT_TEXTS", 6)
    run(sts_dataset(), encoder=Words(), store=tmp_path / "by count")
    monkeypatch.setattr(sources, "SEGMENT_SECONDS", 0.0)
    run(sts_dataset(), encoder=Words(), store=tmp_path / "by time")

    assert published == [6, 3, 3, 3, 3]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.worker.engine_world import Recorder, sts_dataset
from tests.worker.test_evaluate import Words, run
from worker.encoders import sources
sources.SEGMENT_TEXTS = 3

class Fatal(Recorder):
    def advance(self, done):
        super().advance(done)
        if self.stages[-1][0] == "encode" and done >= 6:
            os.kill(os.getpid(), signal.SIGKILL)

run(sts_dataset(), encoder=Words(), store=Path(sys.argv[1]), progress=Fatal())
"""


def test_a_killed_run_resumes_with_the_same_scores(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, check=False)
    encoder = Words()

    resumed = run(sts_dataset(), encoder=encoder, store=tmp_path)

    assert killed.returncode == -9
    assert len(encoder.encoded) == 3
    assert as_values(resumed) == as_values(run(sts_dataset(), encoder=Words()))


def test_stops_when_told_to(tmp_path: Path) -> None:
    encoder = Words()

    with pytest.raises(Cancelled):
        run(sts_dataset(), encoder=encoder, store=tmp_path, progress=Recorder(stop_after=3))

    assert len(encoder.encoded) == 3


def test_asks_at_least_once_a_batch() -> None:
    progress = Recorder()

    run(sts_dataset(), encoder=Words(), progress=progress)

    assert progress.done["encode"] == [3, 6, 9]
    assert progress.checks >= 3


@pytest.mark.parametrize(("value", "word"), [(math.nan, "NaN"), (math.inf, "infinite"), (0.0, "only zeros")])
def test_bad_vectors_name_the_text(value: float, word: str, tmp_path: Path) -> None:
    encoder = Words(flaws={"two blue dog": value})

    with pytest.raises(RunFailure, match=word) as caught:
        run(sts_dataset(), encoder=encoder, store=tmp_path)

    assert caught.value.code == "bad_embeddings"
    assert caught.value.details == {"part": "sentence2", "index": 2}
    assert "sentence2 number 3" in caught.value.message
    healthy = Words()
    run(sts_dataset(), encoder=healthy, store=tmp_path)
    assert "two blue dog" in healthy.encoded, "the bad vector was not stored"


def test_a_model_that_finds_all_alike_has_no_score() -> None:
    with pytest.raises(RunFailure, match="undefined") as caught:
        run(sts_dataset(), encoder=Words(constant=True))

    assert caught.value.code == "bad_embeddings"
    assert caught.value.details["split"] == "test"


def test_a_full_disk_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RunFailure("full", code="disk_full")

    monkeypatch.setattr(EmbeddingStore, "append", full)

    with pytest.raises(RunFailure) as caught:
        run(sts_dataset(), encoder=Words(), store=tmp_path)

    assert caught.value.code == "disk_full"


def test_a_task_type_that_is_not_scored_yet() -> None:
    with pytest.raises(RunFailure, match="cannot be scored") as caught:
        run(Dataset("Clustering", sts_dataset().cells))

    assert caught.value.code == "unsupported"


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


def test_the_encoders_here_are_encoders() -> None:
    encoder: Encoder = Words()

    assert encoder.encode(["a"]).shape == (1, 32)
