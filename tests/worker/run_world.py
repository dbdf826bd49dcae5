"""What the tests of runs share: a model of random vectors with flaws to order."""

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from app.core.records import Dataset
from tests.worker.engine_world import Recorder
from worker.encoders import base
from worker.encoders.base import Batch, ModelSpec, PoisonedText
from worker.encoders.random import RandomEncoder
from worker.evaluate import Evaluation, evaluate

RANDOM = ModelSpec("baseline/random", loader="random", source="builtin")


class Words(RandomEncoder):
    """Random vectors with flaws to order; counts what it encodes, a few texts a batch."""

    max_tokens = 4

    def __init__(
        self,
        *,
        flaws: dict[str, float] | None = None,
        poison: str = "",
        constant: bool = False,
        prompt: str = "",
        spec: ModelSpec = RANDOM,
    ) -> None:
        super().__init__(spec)
        self.flaws, self.poison, self.constant, self.prompt = flaws or {}, poison, constant, prompt
        self.encoded: list[str] = []
        self.loaded = 0

    def prompt_for(self, task_type: str, role: base.Role | None) -> str:
        return f"{self.prompt}{role}: " if self.prompt and role else self.prompt

    def ready(self) -> None:
        self.loaded += 1

    def batches(
        self, texts: Sequence[str], prompt: str = "", role: base.Role | None = None
    ) -> Generator[Batch, None, None]:
        for start in range(0, len(texts), 3):
            part = texts[start : start + 3]
            if self.poison in part:
                raise PoisonedText(start + part.index(self.poison), "the model", IndexError(self.poison))
            vectors = drawn([prompt + text for text in part])
            if self.constant:
                vectors = np.ones_like(vectors)
            for row, text in enumerate(part):
                if text in self.flaws:
                    vectors[row] = self.flaws[text]
            self.encoded += part
            tokens = np.array([len((prompt + text).split()) for text in part], np.int64)
            yield Batch(np.arange(start, start + len(part)), vectors, tokens)


def drawn(texts: Sequence[str]) -> np.ndarray:
    """Random vectors around zero."""
    return next(RandomEncoder(RANDOM).batches(texts)).vectors - np.float32(0.5)


def run(dataset: Dataset, spec: ModelSpec = RANDOM, **kwargs: Any) -> Evaluation:
    return evaluate(dataset, spec, progress=kwargs.pop("progress", Recorder()), device="cpu", **kwargs)


def as_values(evaluation: Evaluation) -> dict[tuple[str, str, str], float]:
    return {(score.split, score.subset, score.metric): score.value for score in evaluation.scores}
