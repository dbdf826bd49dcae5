"""One model on one dataset: texts to vectors to scores. The only orchestrator; it knows neither database nor queue."""

import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt
import torch

from app.core.example_values import interval_of, sampled_values
from app.core.records import Cell, Dataset
from app.core.significance import Interval
from app.core.task_types import task_type as find_task_type
from app.errors import RunFailure
from worker.encoders import load
from worker.encoders.base import Encoder, LexicalEncoder, ModelSpec
from worker.encoders.sources import DenseSource, LexicalSource
from worker.measure import Cost, PeakMemory
from worker.measure import measure as measure_model
from worker.scoring import task_for
from worker.scoring.base import CellScores, Part, Task


class Progress(Protocol):
    """Who wants to know how far a run is, and may end it."""

    def stage(self, name: str, total: int) -> None:
        """`load`, `encode`, `search`, `score` or `measure` begins, with `total` steps; 0 where they are not counted."""

    def advance(self, done: int) -> None:
        """So many steps of the stage are done, in all."""

    def check(self) -> None:
        """Called at least once a batch; raises what shall end the run."""


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one cell."""

    split: str
    subset: str
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Values an example of one cell, in the order of the dataset (`worker.scoring.base.CellScores`).

    `interval` is the 95% interval of the cell's main metric.
    """

    split: str
    subset: str
    kind: str
    arrays: dict[str, npt.NDArray[Any]]
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome of a run.

    Attributes:
        main_metric: of the task type.
        main_score: the mean of it over the cells.
        interval: 95%, of the main score; None where a cell is a single example.
        scores: every metric of every cell, finite.
        evidence: one a cell.
        provenance: what the scores depend on and what they cost, JSON-ready.
        measured: what the model costs, or why that could not be measured; None where nobody asked.
    """

    main_metric: str
    main_score: float
    interval: Interval | None
    scores: tuple[Score, ...]
    evidence: tuple[Evidence, ...]
    provenance: dict[str, Any]
    measured: Cost | RunFailure | None = None


def evaluate(
    dataset: Dataset,
    spec: ModelSpec,
    *,
    progress: Progress,
    encoder: Encoder | LexicalEncoder | None = None,
    store: Path | None = None,
    device: str = "auto",
    batch_tokens: int = 0,
    language: str | None = None,
    measure: bool = False,
) -> Evaluation:
    """Score a model on a dataset.

    Args:
        dataset: of any task type.
        spec: the model.
        progress: see `Progress`; what its `check` raises ends the run, and what was encoded stays in the store.
        encoder: instead of loading one.
        store: the folder of all vector stores; None to keep no vectors.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch_tokens: padded tokens a batch; 0 chooses for the device.
        language: of the dataset (ISO 639-3), if it is in exactly one; for BM25.
        measure: also measure what the model costs, if it is measurable, once the scores are there.

    Raises:
        RunFailure: any of its codes but `worker_lost` and `dataset_missing`.
    """
    stages = _Stages(progress)
    with _lost_device():
        stages.begin("load", 0)
        model = encoder or load(spec, device, batch_tokens, language, store)
        found = _evaluated(dataset, spec, model, stages, store)
    if not (measure and spec.measurable) or isinstance(model, LexicalEncoder):
        return found
    measured = _measured(model, stages)
    about = asdict(measured) if isinstance(measured, Cost) else {"failure": measured.message}
    provenance = {**found.provenance, "durations": stages.durations(), "measured": about}
    return replace(found, provenance=provenance, measured=measured)


def _evaluated(
    dataset: Dataset, spec: ModelSpec, model: Encoder | LexicalEncoder, stages: "_Stages", store: Path | None
) -> Evaluation:
    main_metric, task = find_task_type(dataset.task_type).main_metric, task_for(dataset.task_type)
    with ExitStack() as stack:
        root = store or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="touchstone-")))
        source = _source(model, spec, dataset.task_type, root, stages, durable=store is not None)
        parts = [task.parts(cell.data) for cell in dataset.cells]
        source.prepare(parts)
        found = []
        for cell, own in zip(dataset.cells, parts, strict=True):
            source.enter_cell(own)
            found.append((cell, _score(cell, task, source, stages)))
        stages.end()
    provenance = {
        "model": spec.name,
        **_facts(model, spec),
        "prompts": _prompts(source, parts[0]),
        **asdict(source.counts),
        "durations": stages.durations(),
        **stages.peaks(),
        "stores": source.store_keys,
    }
    values = [sampled_values(dataset.task_type, scores.arrays, scores.metrics[main_metric]) for _, scores in found]
    return Evaluation(
        main_metric,
        math.fsum(scores.metrics[main_metric] for _, scores in found) / len(found),
        interval_of(values),
        tuple(Score(c.split, c.subset, name, value) for c, scores in found for name, value in scores.metrics.items()),
        tuple(
            Evidence(cell.split, cell.subset, scores.kind, scores.arrays, interval_of([own]))
            for (cell, scores), own in zip(found, values, strict=True)
        ),
        provenance,
    )


def _measured(model: Encoder, stages: "_Stages") -> Cost | RunFailure:
    """What the model costs, or why nobody can tell. Only what shall end the run is raised: it has its scores."""
    stages.begin("measure", 0)
    try:
        with _lost_device():
            return measure_model(model, stages.check)
    except Exception as error:
        if stages.ended:
            raise
        if isinstance(error, RunFailure):
            return error
        failure = RunFailure(f"Measuring raised {type(error).__name__}.", code="internal", remedy="See the run's log.")
        failure.__cause__ = error
        return failure
    finally:
        stages.end()


@contextmanager
def _lost_device() -> Iterator[None]:
    """A device that failed takes no more work in this process, whatever is asked of it."""
    try:
        yield
    except torch.AcceleratorError as error:
        raise RunFailure(
            f"The device failed: {str(error).partition(chr(10))[0].rstrip('.')}.",
            code="device_lost",
            remedy="The worker ends and begins anew by itself; run it again. If that does not help, test the GPU.",
        ) from error


class _Stages:
    """Passes progress on, measures each stage's time, and the greatest memory seen.

    `ended` tells whether somebody ended the run, from other things that may be raised.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._stage, self._began = "", time.monotonic()
        self._memory = PeakMemory()
        self.ended = False

    def watch_device(self, device: str) -> None:
        """Measure the memory of a GPU from here on."""
        self._memory.watch(device)

    def begin(self, stage: str, total: int) -> None:
        """The stage before ends; the same one again goes on."""
        self.end()
        if stage != self._stage or total:
            self._progress.stage(stage, total)
        self._stage = stage
        self.check()

    def advance(self, done: int) -> None:
        """So many steps are done, in all."""
        self._progress.advance(done)
        self.check()

    def check(self) -> None:
        """Raise what shall end the run."""
        self._memory.look()
        try:
            self._progress.check()
        except BaseException:
            self.ended = True
            raise

    def end(self) -> None:
        """Add the time since the last call to the stage."""
        now = time.monotonic()
        if self._stage:
            self._seconds[self._stage] += now - self._began
        self._began = now

    def durations(self) -> dict[str, float]:
        """Seconds by stage."""
        return {stage: round(seconds, 3) for stage, seconds in self._seconds.items()}

    def peaks(self) -> dict[str, float]:
        """The greatest memory so far, in MB, of the process and of a GPU."""
        peaks = {"peak_memory_mb": self._memory.process_mb, "peak_gpu_memory_mb": self._memory.gpu_mb}
        return {name: megabytes for name, megabytes in peaks.items() if megabytes is not None}


def _source(
    model: Encoder | LexicalEncoder, spec: ModelSpec, task_type: str, root: Path, stages: _Stages, *, durable: bool
) -> DenseSource | LexicalSource:
    if isinstance(model, LexicalEncoder):
        return LexicalSource(model, stages)
    stages.watch_device(model.device)
    return DenseSource(model, spec, task_type, root, stages, durable=durable)


def _score(cell: Cell, task: Task[Any], source: DenseSource | LexicalSource, stages: _Stages) -> CellScores:
    stages.begin("score", 0)
    scores = task.score(cell.data, source, stages.check)
    _check_finite(scores, cell)
    return scores


def _facts(model: Encoder | LexicalEncoder, spec: ModelSpec) -> dict[str, Any]:
    """What the model is and how it runs."""
    if isinstance(model, LexicalEncoder):
        facts: dict[str, Any] = dict.fromkeys(("dtype", "precision", "batch_tokens", "max_tokens", "dimensions"))
        facts |= {"device": "cpu", "similarity": "bm25", "backend": "bm25s"}
    else:
        facts = {
            "dtype": model.dtype,
            "precision": spec.precision,
            "device": model.device,
            "batch_tokens": model.batch_tokens,
            "max_tokens": model.max_tokens,
            "dimensions": model.dimensions,
            "similarity": model.similarity,
            "backend": model.backend,
        }
    return {"revision": model.revision, **facts, "versions": model.versions}


def _prompts(source: DenseSource | LexicalSource, parts: tuple[Part, ...]) -> dict[str, str]:
    """The exact string that was encoded for one query and one document, or for one text."""
    shown: dict[str, str] = {}
    for part in parts:
        shown.setdefault(part.role or "text", source.prompt(part.role) + part.texts[0])
    return shown


def _check_finite(scores: CellScores, cell: Cell) -> None:
    bad = next((name for name, value in scores.metrics.items() if not math.isfinite(value)), None)
    if bad is not None:
        raise RunFailure(
            f"{bad} of {cell.split}/{cell.subset} is undefined: the model finds all examples equally alike "
            "(or all gold scores are the same).",
            code="bad_embeddings",
            remedy="Check prompt, dtype and precision; a model that gives every text the same vector cannot be scored.",
            details={"metric": bad, "split": cell.split, "subset": cell.subset},
        )
