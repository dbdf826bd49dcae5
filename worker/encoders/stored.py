"""Vectors of many texts, left in the store until they are read."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.storage.embeddings import EmbeddingStore
from worker.encoders.base import FloatArray, IntArray, Precision
from worker.encoders.precision import quantise


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """Vectors of texts that the store holds, truncated and quantised when they are read.

    Attributes:
        store: holds all of them.
        hashes: shape (n,), of the texts.
        dimensions: how many are kept.
        precision: what is made of the float32 numbers.
        limits: see `worker.encoders.precision.quantise`.
    """

    store: EmbeddingStore
    hashes: npt.NDArray[np.void]
    dimensions: int
    precision: Precision
    limits: FloatArray | None

    def blocks(self, rows: int) -> Iterator[tuple[IntArray, FloatArray]]:
        """All of them, at most `rows` at a time: positions in `hashes`, and vectors; see `EmbeddingStore.blocks`."""
        for positions, vectors in self.store.blocks(self.hashes, rows):
            yield positions, quantise(vectors[:, : self.dimensions], self.precision, self.limits)

    def at(self, positions: IntArray | slice) -> FloatArray:
        """Those at some positions in `hashes`, a copy in that order."""
        vectors = self.store.gather(self.hashes[positions])
        return quantise(np.ascontiguousarray(vectors[:, : self.dimensions]), self.precision, self.limits)
