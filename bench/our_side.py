"""Our engine as worker and command line call it, in this process."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.core.records import Dataset
from bench.common import Scores, Timed
from worker.encoders import dense
from worker.encoders.base import Encoder, ModelSpec
from worker.evaluate import Evaluation
from worker.evaluate import evaluate as run_one
from worker.scoring import task_for

_FACTS = ("texts_encoded", "texts_from_store", "tokens")


class Silence:
    """A `worker.evaluate.Progress` for nobody."""

    def stage(self, name: str, total: int) -> None:
        """See `worker.evaluate.Progress`."""

    def advance(self, done: int) -> None:
        """See `worker.evaluate.Progress`."""

    def check(self) -> None:
        """See `worker.evaluate.Progress`."""


def load_dense(spec: ModelSpec, device: str = "cpu", remembered: Path | None = None) -> Encoder:
    """A dense model as `worker.encoders.load` gives it: with its weights, unless its facts are remembered."""
    return dense.load(spec, device=device, remembered=remembered)


def run(datasets: Iterable[Dataset], spec: ModelSpec, store: Path, *, encoder: Encoder | None = None) -> Timed:
    """Score datasets of one cell each, one after the other, with one store.

    Args:
        datasets: their content.
        spec: the model.
        store: the folder of all vectors.
        encoder: instead of loading one, which takes its time too.

    Returns:
        The scores of each; the seconds of each stage over all; as facts how many texts were encoded, how many came
        from the store, and how many tokens were read.
    """
    datasets = list(datasets)
    _import({dataset.task_type for dataset in datasets}, weights=encoder is None)
    scores: list[Scores] = []
    stages: defaultdict[str, float] = defaultdict(float)
    facts: Counter[str] = Counter()
    began = time.perf_counter()
    model = encoder or load_dense(spec, remembered=store)
    stages["load"] = time.perf_counter() - began
    for dataset in datasets:
        found = evaluation(dataset, spec, store=store, encoder=model)
        scores.append({score.metric: score.value for score in found.scores})
        for stage, seconds in found.provenance["durations"].items():
            stages[stage] += seconds
        facts.update({fact: found.provenance[fact] for fact in _FACTS})
    return Timed(time.perf_counter() - began, scores, dict(stages), dict(facts))


def _import(task_types: set[str], *, weights: bool) -> None:
    """Import what a run will want, so that no clock runs meanwhile."""
    for task_type in task_types:
        task_for(task_type)
    if weights:
        import worker.encoders.network  # noqa: F401, PLC0415 -- sentence-transformers takes many seconds


def evaluate(dataset: Dataset, spec: ModelSpec, **how: Any) -> Scores:
    """Every metric of a dataset's only cell."""
    return {score.metric: score.value for score in evaluation(dataset, spec, **how).scores}


def evaluation(dataset: Dataset, spec: ModelSpec, **how: Any) -> Evaluation:
    """All that `worker.evaluate.evaluate` tells."""
    return run_one(dataset, spec, progress=Silence(), **how)
