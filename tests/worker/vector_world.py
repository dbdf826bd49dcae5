"""Texts whose vectors are given: as a source for our scorers, and as a model for MTEB's evaluators."""

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from sentence_transformers import util

from worker.encoders.base import Role, Similarity

SIMILARITIES: tuple[Similarity, ...] = ("cosine", "dot", "euclidean", "manhattan")

_ALL_PAIRS = {
    "cosine": util.cos_sim,
    "dot": util.dot_score,
    "euclidean": util.euclidean_sim,
    "manhattan": util.manhattan_sim,
}
_PAIRWISE = {
    "cosine": util.pairwise_cos_sim,
    "dot": util.pairwise_dot_score,
    "euclidean": util.pairwise_euclidean_sim,
    "manhattan": util.pairwise_manhattan_sim,
}

METADATA: Any = SimpleNamespace(name="given", modalities=["text"], get_modalities=lambda _: ["text"])


class GivenSource:
    """What our scorers ask of a model; sparse vectors where `sparse` is set."""

    def __init__(self, vectors: Mapping[str, Any], similarity: Similarity = "cosine", *, sparse: bool = False) -> None:
        self._vectors, self._sparse = vectors, sparse
        self.similarity: Similarity = similarity
        self.fitted_on: list[str] = []

    def vectors(self, texts: Sequence[str], role: Role | None, fitted_on: Sequence[str]) -> Any:
        """Shape (n, d), of the given ones; asked for once, and each text once."""
        assert role is None
        assert len(set(texts)) == len(texts)
        assert not self.fitted_on
        self.fitted_on = list(fitted_on)
        rows = np.array([self._vectors[text] for text in texts], np.float32)
        return csr_array(rows) if self._sparse else rows

    def rankings(self, *_: Any) -> Any:
        """Not for these task types."""
        raise AssertionError("nothing is searched")


class GivenModel:
    """The same as a model for MTEB."""

    def __init__(self, vectors: Mapping[str, Any], similarity: Similarity = "cosine") -> None:
        self._vectors = vectors
        self._all, self._pairwise = _ALL_PAIRS[similarity], _PAIRWISE[similarity]

    def encode(self, batches: Iterable[Mapping[str, Sequence[str]]], **_: Any) -> np.ndarray[Any, Any]:
        """Shape (n, d)."""
        return np.array([self._vectors[text] for batch in batches for text in batch["text"]], np.float32)

    def similarity(self, first: Any, second: Any) -> torch.Tensor:
        """Shape (n, m)."""
        return self._all(first, second)

    def similarity_pairwise(self, first: Any, second: Any) -> torch.Tensor:
        """Shape (n,)."""
        return self._pairwise(first, second)
