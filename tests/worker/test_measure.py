"""What a model costs: timed on the same texts for every model, never at the price of a run's scores."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.errors import RunFailure
from app.storage.upkeep import survey
from tests.worker.encoder_world import load_dense
from tests.worker.engine_world import Cancelled, Recorder, sts_dataset, write_model, write_router_model
from tests.worker.run_world import Words, as_values, run
from worker import measure
from worker.encoders import base
from worker.encoders.base import Batch, ModelSpec
from worker.measure import Cost

MODEL = ModelSpec("acme/model")


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Timed(Words):
    """Encodes at a known speed; keeps how it was asked."""

    def __init__(self, clock: Clock, seconds: float, **flaws: Any) -> None:
        super().__init__(prompt="as ", **flaws)
        self._clock, self._seconds = clock, seconds
        self.asked: list[tuple[int, str, base.Role | None]] = []
        self.closed = 0

    def batches(
        self, texts: Sequence[str], prompt: str = "", role: base.Role | None = None
    ) -> Generator[Batch, None, None]:
        self.asked.append((len(texts), prompt, role))
        try:
            for batch in super().batches(texts, prompt, role):
                self._clock.now += self._seconds * len(batch.rows)
                yield batch
        finally:
            self.closed += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    return clock


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few texts are enough."""
    for name, value in (("QUERY_SECONDS", 0.0), ("LEAST_QUERIES", 3), ("PASSAGE_SECONDS", 0.001)):
        monkeypatch.setattr(measure, name, value)


def nothing() -> None:
    """Nobody ends the measuring."""


# The texts


def test_queries_are_short_and_passages_of_a_hundred_words_and_all_differ() -> None:
    assert len(set(measure.queries())) == measure.MOST_QUERIES
    assert {len(query.split()) for query in measure.queries()} <= set(range(5, 15))
    texts = measure.passages(2_000)
    assert len(set(texts)) == 2_000
    assert {len(text.split()) for text in texts} <= set(range(100, 151))
    assert texts[:50] == measure.passages(50), "the same for everybody"


# The clock


@pytest.mark.parametrize(
    ("seconds", "queries", "passages"),
    [(0.001, 100, 1_024), (0.01, 100, 128), (0.1, 50, 16), (1.0, 20, 16)],
)
def test_a_slow_model_is_timed_on_fewer_texts(clock: Clock, seconds: float, queries: int, passages: int) -> None:
    cost = measure.measure(Timed(clock, seconds), nothing)

    assert cost.query_p50_ms == cost.query_p95_ms == pytest.approx(1_000 * seconds)
    assert cost.documents_per_second == pytest.approx(1 / seconds)
    assert abs(cost.details.pop("queries") - queries) <= 1
    assert cost.details == {"workload": measure.WORKLOAD, "passages": passages, "memory": "process"}
    assert cost.device == base.device_kind("cpu")
    assert 10 < cost.peak_memory_mb < 10**6


def test_p95_tells_of_the_slow_ones(clock: Clock) -> None:
    class Uneven(Timed):
        def batches(self, texts: Sequence[str], *how: Any) -> Generator[Batch, None, None]:
            self._seconds = 0.1 if len(self.asked) % 10 == 0 else 0.01
            yield from super().batches(texts, *how)

    cost = measure.measure(Uneven(clock, 0.01), nothing)

    assert (cost.query_p50_ms, cost.query_p95_ms) == (pytest.approx(10), pytest.approx(100))


def test_what_is_timed_is_a_search(clock: Clock) -> None:
    encoder = Timed(clock, 0.1)

    measure.measure(encoder, nothing)

    assert encoder.loaded == 1
    assert set(encoder.asked) == {(1, "as query: ", None), (16, "as document: ", None)}
    encoder.asked, encoder.by_role = [], True  # type: ignore[misc]
    measure.measure(encoder, nothing)
    assert {role for *_, role in encoder.asked} == {"query", "document"}


def test_a_batch_budget_is_filled_twice(clock: Clock) -> None:
    encoder = Timed(clock, 0.01)
    encoder.batch_tokens = 65_536  # type: ignore[misc]

    assert measure.measure(encoder, nothing).details["passages"] == 1_024


def test_the_time_of_others_between_queries_does_not_count(clock: Clock) -> None:
    def heartbeat() -> None:
        clock.now += 0.001

    assert measure.measure(Timed(clock, 0.01), heartbeat).query_p50_ms == pytest.approx(10)


@pytest.mark.parametrize("calls", [1, 50, 110])
def test_it_is_ended_at_any_query_or_batch(clock: Clock, calls: int) -> None:
    left = iter(range(calls))
    encoder = Timed(clock, 0.01)

    def check() -> None:
        if next(left, None) is None:
            raise Cancelled

    with pytest.raises(Cancelled):
        measure.measure(encoder, check)

    assert encoder.closed == len(encoder.asked)
    assert len(encoder.asked) <= calls


def test_a_text_that_the_model_cannot_read_is_a_reason(clock: Clock) -> None:
    encoder = Timed(clock, 0.01, poison=measure.queries()[3])

    with pytest.raises(RunFailure, match="every model is measured with: the model raised IndexError") as caught:
        measure.measure(encoder, nothing)

    assert (caught.value.code, encoder.closed) == ("bad_text", len(encoder.asked))


def test_on_a_gpu_its_memory_counts(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    reset: list[tuple[str, int]] = []
    encoder = Timed(clock, 0.01)
    encoder.device = "cuda:1"  # type: ignore[misc]
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: reset.append((device, encoder.loaded)))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 2**30 if device == "cuda:1" else 0)
    monkeypatch.setattr(measure, "device_kind", lambda device: f"kind of {device}")

    cost = measure.measure(encoder, nothing)

    assert reset == [("cuda:1", 1)], "once the weights are there"
    assert (cost.peak_memory_mb, cost.details["memory"], cost.device) == (3_072.0, "gpu", "kind of cuda:1")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("write", [write_model, write_router_model])
def test_a_real_model_is_measured(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    cost = measure.measure(load_dense(write(tmp_path)), nothing)

    assert 0 < cost.query_p50_ms <= cost.query_p95_ms
    assert cost.documents_per_second > 1
    assert cost.details["queries"] >= 3


# The device


@pytest.mark.parametrize(
    ("about", "threads", "kind"),
    [
        ("processor\t: 0\nmodel name\t: AMD  EPYC 9454 \nmodel name\t: other\n", 2, "cpu: AMD EPYC 9454, 2 threads"),
        ("model name\t: x\n", 1, "cpu: x, 1 thread"),
        ("flags\t: none\n", 4, "cpu: aarch64, 4 threads"),
        (None, 4, "cpu: aarch64, 4 threads"),
        (f"model name\t: {'y' * 200}\n", 16, f"cpu: {'y' * 103}, 16 threads"),
    ],
)
def test_a_processor_is_named_with_its_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, about: str | None, threads: int, kind: str
) -> None:
    path = tmp_path / "cpuinfo"
    if about is not None:
        path.write_text(about)
    monkeypatch.setattr(base, "_CPUINFO", path)
    monkeypatch.setattr(base.platform, "processor", lambda: "")
    monkeypatch.setattr(base.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)

    assert base.device_kind("cpu") == kind
    assert len(kind) <= base.KIND_LENGTH


def test_a_gpu_is_named_without_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "choose_device", lambda _: "cuda:1")
    monkeypatch.setattr(torch.cuda, "get_device_name", {"cuda:1": "NVIDIA H200"}.__getitem__)

    assert base.device_kind("auto") == "cuda: NVIDIA H200"


def test_a_mac_tells_its_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    class Said:
        stdout = "Apple M2 Pro\n"

    monkeypatch.setattr(base, "choose_device", lambda _: "mps")
    monkeypatch.setattr(base.sys, "platform", "darwin")
    monkeypatch.setattr(base.subprocess, "run", lambda *_, **__: Said)

    assert base.device_kind("auto") == "mps: Apple M2 Pro"


# At the end of a run


@pytest.mark.usefixtures("quick")
def test_a_run_measures_last_and_only_when_asked(tmp_path: Path) -> None:
    progress, encoder = Recorder(), Words()
    plain = run(sts_dataset(), MODEL, encoder=Words(), store=tmp_path / "plain")

    found = run(sts_dataset(), MODEL, encoder=encoder, store=tmp_path / "measured", progress=progress, measure=True)

    assert isinstance(found.measured, Cost)
    assert found.provenance["measured"]["query_p50_ms"] == found.measured.query_p50_ms
    assert [name for name, _ in progress.stages][-2:] == ["score", "measure"]
    assert set(found.provenance["durations"]) == {*plain.provenance["durations"], "measure"}
    assert as_values(found) == as_values(plain)
    assert (plain.measured, "measured" in plain.provenance) == (None, False)
    counts = ("texts_total", "texts_encoded", "tokens")
    assert {name: found.provenance[name] for name in counts} == {name: plain.provenance[name] for name in counts}
    assert [store.texts for store in survey(tmp_path / "measured")] == [9], "nothing of it is stored"


@pytest.mark.usefixtures("quick")
def test_a_run_from_the_store_loads_the_weights_to_measure(tmp_path: Path) -> None:
    spec = ModelSpec("local/tiny", source="folder", path=str(write_model(tmp_path)))
    run(sts_dataset(), spec, store=tmp_path / "store")

    found = run(sts_dataset(), replace(spec, truncate_dim=4), store=tmp_path / "store", measure=True)

    assert found.provenance["texts_encoded"] == 0
    assert isinstance(found.measured, Cost)


@pytest.mark.parametrize("loader", ["bm25", "random"])
def test_a_baseline_is_not_measured(loader: str) -> None:
    progress = Recorder()

    found = run(
        sts_dataset(), ModelSpec("baseline/x", loader=loader, source="builtin"), progress=progress, measure=True
    )

    assert found.measured is None
    assert "measured" not in found.provenance and "measure" not in dict(progress.stages)


class Failing(Words):
    """Raises when it is measured."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def ready(self) -> None:
        if self.loaded:
            raise self._error
        super().ready()


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RunFailure("Not even one text fits.", code="gpu_oom"), "gpu_oom", "Not even one text fits."),
        (torch.AcceleratorError("CUDA error: gone\nmore"), "device_lost", "The device failed: CUDA error: gone."),
        (ZeroDivisionError("secret"), "internal", "Measuring raised ZeroDivisionError."),
        (MemoryError(), "internal", "Measuring raised MemoryError."),
    ],
)
def test_a_failure_to_measure_costs_no_score(error: Exception, code: str, words: str) -> None:
    found = run(sts_dataset(), MODEL, encoder=Failing(error), measure=True)

    assert as_values(found) == as_values(run(sts_dataset(), encoder=Words()))
    assert isinstance(found.measured, RunFailure)
    assert (found.measured.code, found.measured.message) == (code, words)
    assert found.provenance["measured"] == {"failure": words}
    assert "measure" in found.provenance["durations"]
    if code == "internal":
        assert found.measured.__cause__ is error, "for the log"


@pytest.mark.parametrize("kind", [Cancelled, RunFailure])
def test_whoever_ends_a_run_ends_its_measuring(kind: type[Exception]) -> None:
    class Ended(Recorder):
        def check(self) -> None:
            if self.stages[-1][0] == "measure" and len(encoder.encoded) > 20:
                raise Cancelled if kind is Cancelled else RunFailure("gone", code="worker_lost")

    encoder = Words()
    with pytest.raises(kind):
        run(sts_dataset(), MODEL, encoder=encoder, progress=Ended(), measure=True)

    assert len(encoder.encoded) == 21


@pytest.mark.usefixtures("quick")
def test_vectors_are_not_looked_at() -> None:
    """Whether they are finite is the run's matter; what they cost does not depend on it."""
    flawed = Words(flaws=dict.fromkeys(measure.queries(), np.nan))

    assert isinstance(run(sts_dataset(), MODEL, encoder=flawed, measure=True).measured, Cost)
