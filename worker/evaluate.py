"""One model on one dataset: texts to vectors to scores. The only orchestrator; it knows neither database nor queue."""

import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt
import psutil
import torch

from app.core.records import Cell, Dataset
from app.core.task_types import task_type as find_task_type
from app.errors import RunFailure
from worker.encoders import load
from worker.encoders.base import Encoder, LexicalEncoder, ModelSpec
from worker.encoders.sources import DenseSource, LexicalSource
from worker.scoring import task_for
from worker.scoring.base import CellScores, Part, Task

_MEGABYTE = 1024**2


class Progress(Protocol):
    """Who wants to know how far a run is, and may end it."""

    def stage(self, name: str, total: int) -> None:
        """`load`, `encode`, `search` or `score` begins, with `total` steps; 0 where steps are not counted."""

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
    """Values an example of one cell, in the order of the dataset (`worker.scoring.base.CellScores`)."""

    split: str
    subset: str
    kind: str
    arrays: dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome of a run.

    Attributes:
        main_metric: of the task type.
        main_score: the mean of it over the cells.
        scores: every metric of every cell, finite.
        evidence: one a cell.
        provenance: what the scores depend on and what they cost, JSON-ready.
    """

    main_metric: str
    main_score: float
    scores: tuple[Score, ...]
    evidence: tuple[Evidence, ...]
    provenance: dict[str, Any]


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

    Raises:
        RunFailure: any of its codes but `worker_lost` and `dataset_missing`.
    """
    main_metric, task = find_task_type(dataset.task_type).main_metric, task_for(dataset.task_type)
    stages = _Stages(progress)
    with ExitStack() as stack, _lost_device():
        stages.begin("load", 0)
        model = encoder or load(spec, device, batch_tokens, language, store)
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
        **stages.costs(),
        "stores": source.store_keys,
    }
    return Evaluation(
        main_metric,
        math.fsum(scores.metrics[main_metric] for _, scores in found) / len(found),
        tuple(Score(c.split, c.subset, name, value) for c, scores in found for name, value in scores.metrics.items()),
        tuple(Evidence(cell.split, cell.subset, scores.kind, scores.arrays) for cell, scores in found),
        provenance,
    )


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
    """Passes progress on, measures each stage's time, and the greatest memory seen."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._stage, self._began = "", time.monotonic()
        self._process, self._peak_bytes, self._gpu = psutil.Process(), 0, ""

    def watch_device(self, device: str) -> None:
        """Measure the memory of a GPU from here on."""
        if device.startswith("cuda"):
            self._gpu = device
            torch.cuda.reset_peak_memory_stats(device)

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
        self._peak_bytes = max(self._peak_bytes, self._process.memory_info().rss)
        self._progress.check()

    def end(self) -> None:
        """Add the time since the last call to the stage."""
        now = time.monotonic()
        if self._stage:
            self._seconds[self._stage] += now - self._began
        self._began = now

    def costs(self) -> dict[str, Any]:
        """Seconds by stage and the peaks of memory."""
        costs: dict[str, Any] = {
            "durations": {stage: round(seconds, 3) for stage, seconds in self._seconds.items()},
            "peak_memory_mb": round(self._peak_bytes / _MEGABYTE, 1),
        }
        if self._gpu:
            costs["peak_gpu_memory_mb"] = round(torch.cuda.max_memory_allocated(self._gpu) / _MEGABYTE, 1)
        return costs


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
