"""What the tests of encoders share: models as encoders, and as sentence-transformers itself uses them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from tests.worker.engine_world import WORDS
from worker.encoders import base, dense, network
from worker.encoders.base import Encoder, ModelSpec

TEXTS = [" ".join(WORDS[start : start + length]) for start in range(6) for length in (1, 3, 9, 14)]


def spec_of(folder: Path, **choices: Any) -> ModelSpec:
    return ModelSpec("local/tiny", source="folder", path=str(folder), **choices)


def load_dense(folder: Path, *, batch_tokens: int = 0, **choices: Any) -> dense.DenseEncoder:
    return dense.load(spec_of(folder, **choices), device="cpu", batch_tokens=batch_tokens)


def encode(encoder: Encoder, texts: Sequence[str], prompt: str = "", role: base.Role | None = None) -> np.ndarray:
    """The vectors in the order of the texts."""
    vectors = np.empty((len(texts), encoder.dimensions), np.float32)
    for batch in encoder.batches(texts, prompt, role):
        vectors[batch.rows] = batch.vectors[:, : encoder.dimensions]
    return vectors


def reference(folder: Path, **kwargs: Any) -> SentenceTransformer:
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True, **kwargs)


def loaded(encoder: dense.DenseEncoder) -> network.Network:
    """The model in memory that the encoder uses."""
    return network.seat.take(encoder._spec, encoder._folder, encoder.device)
