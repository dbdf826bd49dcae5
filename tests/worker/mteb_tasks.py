"""mteb's own tasks on rows in memory, and a model whose vectors are known, for mteb and for our scorers."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTask, AbsTaskRegression
from mteb.abstasks.task_metadata import TaskMetadata
from numpy.typing import NDArray
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from worker.encoders.base import Similarity

Vectors = Mapping[str, NDArray[np.float32]]
Columns = Mapping[str, Sequence[Any]]


class KnownVectors:
    """A source that looks vectors up; `asked` keeps the texts of every call."""

    similarity: Similarity = "cosine"

    def __init__(self, vectors: Vectors, *, sparse: bool = False) -> None:
        self._vectors, self._sparse = vectors, sparse
        self.asked: list[list[str]] = []
        self.fitted_on: list[list[str]] = []

    def vectors(self, texts: Sequence[str], role: object, fitted_on: Sequence[str]) -> Any:
        assert role is None
        self.asked.append(list(texts))
        self.fitted_on.append(list(fitted_on))
        found = np.array([self._vectors[text] for text in texts])
        return csr_array(found.astype(np.float64)) if self._sparse else found

    def rankings(self, *_: Any) -> Any:
        raise AssertionError("learners ask for vectors")


class _Model:
    """The same for mteb."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def encode(self, inputs: Any, **_: Any) -> NDArray[np.float32]:
        return np.array([self._vectors[text] for batch in inputs for text in batch["text"]])

    def similarity(self, *_: Any) -> Any:
        raise AssertionError

    similarity_pairwise = similarity
    mteb_model_meta = None


def mteb_scores(
    base: type[AbsTask], task_type: str, splits: Mapping[str, Columns], vectors: Vectors, **attributes: Any
) -> dict[str, float]:
    """Every scalar metric that mteb gives for the split `test`, undefined ones left out; `attributes` of the task."""
    metadata = TaskMetadata(
        name="InMemory",
        description="Rows in memory.",
        dataset={"path": "in/memory", "revision": "1"},
        type=task_type,
        category="t2t",
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="accuracy",
    )
    attributes |= {"metadata": metadata, "input_column_name": "text", "_add_main_score": lambda self, scores: None}
    task = type("InMemory", (base,), attributes)()
    task.dataset = DatasetDict({split: Dataset.from_dict(dict(columns)) for split, columns in splits.items()})
    task.data_loaded = True
    with warnings.catch_warnings(), threadpool_limits(None if issubclass(base, AbsTaskRegression) else 1):  # as we do
        warnings.simplefilter("ignore")
        found = task.evaluate(_Model(vectors), split="test", encode_kwargs={"batch_size": 1_000})["default"]
    metrics = {name: float(value) for name, value in found.items() if isinstance(value, int | float | np.floating)}
    return {name: value for name, value in metrics.items() if not math.isnan(value)}


def around_centres(codes: Sequence[int], seed: int = 0, spread: float = 1.0, dimensions: int = 20) -> dict[str, Any]:
    """A text for each number, `text 0` onwards, with a unit vector near the number's own centre."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((max(codes, default=0) + 1, dimensions))
    found = centres[list(codes)] + spread * rng.standard_normal((len(codes), dimensions))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return {f"text {row}": vector for row, vector in enumerate(found.astype(np.float32))}
