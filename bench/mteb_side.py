"""mteb's runner as everybody calls it: `mteb.evaluate`, in this process, with neither cache nor network."""

import contextlib
import logging
import math
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import datasets
import mteb
import numpy as np
import torch
from mteb.abstasks import AbsTask
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta, ScoringFunction
from sentence_transformers import SentenceTransformer

from bench.common import Scores, Timed
from bench.instant import Vectors
from worker.encoders import folders
from worker.encoders.base import FloatArray, ModelSpec

BATCH_SIZE = 32
"""What `mteb.evaluate` takes if nobody says otherwise."""


def sentence_transformer(spec: ModelSpec, device: str = "cpu") -> SentenceTransformer:
    """The same files as our engine loads, in float32."""
    folder = folders.locate(spec).path
    return SentenceTransformer(str(folder), device=device, local_files_only=True, model_kwargs={"dtype": torch.float32})


def bm25() -> Any:
    """The BM25 of mteb, on bm25s."""
    return mteb.get_model("mteb/baseline-bm25s")


class Instant(AbsEncoder):
    """A model of mteb's that costs nothing: it looks its vectors up by text.

    Args:
        known: the vectors.
        by_batch: read the texts out of the data loader batch by batch, as mteb's own wrapper of sentence-transformers
            does; else take the table's whole column at once, the quickest way there is.
    """

    def __init__(self, known: Vectors, *, by_batch: bool = False) -> None:
        self._known, self._by_batch = known, by_batch
        about = {"name": "bench/instant", "revision": "1", "similarity_fn_name": ScoringFunction.COSINE}
        self.mteb_model_meta = ModelMeta.create_empty(about)

    def encode(self, inputs: Any, **_: Any) -> FloatArray:
        """Shape (texts, dimensions)."""
        if self._by_batch:
            return self._known.of([text for batch in inputs for text in batch["text"]])
        return self._known.of(inputs.dataset[:]["text"])


def run(model: Any, tasks: Sequence[AbsTask], batch_size: int = BATCH_SIZE) -> Timed:
    """`mteb.evaluate` on tasks with one split and one subset each.

    Args:
        model: one of mteb's; or a spec, and loading it takes its time too.
        tasks: filled.
        batch_size: texts a batch.

    Returns:
        The scores of each task, and the seconds of mteb's own phases over all tasks.
    """
    stages: defaultdict[str, float] = defaultdict(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.perf_counter()
        loaded = sentence_transformer(model) if isinstance(model, ModelSpec) else model
        stages["load"] = time.perf_counter() - began
        found = mteb.evaluate(
            loaded,
            tasks,
            cache=None,
            overwrite_strategy="always",
            co2_tracker=False,
            show_progress_bar=False,
            encode_kwargs={"batch_size": batch_size, "show_progress_bar": False},
        )
        seconds = time.perf_counter() - began
    for result in found.task_results:
        for phase in result.evaluation_phases or ():
            if not phase["name"].startswith("Running experiment"):  # part of "Scoring"
                stages[phase["name"]] += phase["end"] - phase["start"]
    return Timed(seconds, [_metrics(next(iter(task.scores.values()))[0]) for task in found.task_results], dict(stages))


def evaluate(model: Any, task: AbsTask, batch_size: int = BATCH_SIZE) -> Scores:
    """Every metric of a task's only split and subset."""
    return run(model, [task], batch_size).scores[0]


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """So many threads for torch while the block runs; None for as many as there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def quiet() -> None:
    """Neither log lines nor progress bars from mteb and its libraries."""
    logging.disable(logging.WARNING)
    datasets.disable_progress_bars()


def _metrics(scores: Mapping[str, Any], prefix: str = "") -> Scores:
    """The metrics that are numbers, and defined; those of a nested dictionary with its name before theirs."""
    found: Scores = {}
    for name, value in scores.items():
        if isinstance(value, Mapping):
            found |= _metrics(value, f"{prefix}{name}_")
        elif isinstance(value, int | float | np.floating) and name != "main_score" and not math.isnan(value):
            found[prefix + name] = float(value)
    return found
