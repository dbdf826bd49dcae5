"""A run that is cut short resumes where it was; one that fails says why, and never publishes nonsense."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from app.errors import RunFailure
from app.storage.embeddings import EmbeddingStore
from tests.worker.engine_world import Cancelled, Recorder, sts_dataset
from tests.worker.run_world import Words, as_values, run
from worker.encoders import publisher


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

    def counted(store: EmbeddingStore, hashes: Any, vectors: Any, tokens: Any) -> None:
        published.append(len(hashes))
        append(store, hashes, vectors, tokens)

    monkeypatch.setattr(EmbeddingStore, "append", counted)
    monkeypatch.setattr(publisher, "SEGMENT_BYTES", 6 * 32 * 4)
    run(sts_dataset(), encoder=Words(), store=tmp_path / "by size")
    monkeypatch.setattr(publisher, "SEGMENT_SECONDS", 0.0)
    run(sts_dataset(), encoder=Words(), store=tmp_path / "by time")

    assert published == [6, 3, 3, 3, 3]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.worker.engine_world import Recorder, sts_dataset
from tests.worker.run_world import Words, run
from worker.encoders import publisher
publisher.SEGMENT_BYTES = 1

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
    assert len(encoder.encoded) in {3, 6}, "what was being written at that moment may be lost, what was before is not"
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
    assert caught.value.remedy
    assert caught.value.details == {"part": "sentence2", "index": 2}
    assert "sentence2 number 3" in caught.value.message
    healthy = Words()
    run(sts_dataset(), encoder=healthy, store=tmp_path)
    assert "two blue dog" in healthy.encoded, "the bad vector was not stored"


def test_a_poisoned_text_is_named_but_not_quoted(tmp_path: Path) -> None:
    with pytest.raises(RunFailure) as caught:
        run(sts_dataset(), encoder=Words(poison="two blue dog"), store=tmp_path)

    assert caught.value.code == "bad_text"
    assert caught.value.message == "The model cannot read sentence2 number 3: the model raised IndexError."
    assert caught.value.details == {"part": "sentence2", "index": 2, "error": "IndexError"}
    assert caught.value.remedy
    assert "blue" not in f"{caught.value.message} {caught.value.remedy} {caught.value.details}"


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


def test_a_lost_device_has_a_name_and_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def batches(*_: Any, **__: Any) -> Any:
        raise torch.AcceleratorError("CUDA error: an illegal memory access\nCompile with TORCH_USE_CUDA_DSA")

    encoder = Words()
    monkeypatch.setattr(encoder, "batches", batches)
    with pytest.raises(RunFailure) as caught:
        run(sts_dataset(), encoder=encoder)
    assert caught.value.code == "device_lost"
    assert caught.value.message == "The device failed: CUDA error: an illegal memory access."
    assert "begins anew" in caught.value.remedy
