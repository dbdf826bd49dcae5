"""The random baseline: what a board's scores are worth without any understanding of the texts."""

import hashlib
from collections.abc import Generator, Sequence

import numpy as np

from worker.encoders import base
from worker.encoders.base import Batch, FloatArray, ModelSpec, Role, Similarity

DIMENSIONS = 32
REVISION = hashlib.sha256(b"random: seeded by the text, 32 dimensions, version 2").hexdigest()[:40]

_BATCH_TEXTS = 1_000


class RandomEncoder:
    """An `Encoder` that draws a vector in [0, 1)^32 for each text, seeded by the text's SHA-256.

    The same vectors as MTEB's `mteb/baseline-random-encoder`, revision 2. Prompts change nothing.
    """

    revision = REVISION
    max_tokens: int | None = None
    dtype = "float32"
    device = "cpu"
    batch_tokens = 0
    similarity: Similarity = "cosine"
    backend = "numpy"
    by_role = False

    def __init__(self, spec: ModelSpec) -> None:
        self.dimensions = min(spec.truncate_dim or DIMENSIONS, DIMENSIONS)

    @property
    def versions(self) -> dict[str, str]:
        """See `Encoder`."""
        return base.library_versions()

    def prompt_for(self, task_type: str, role: Role | None) -> str:  # noqa: ARG002 -- see Encoder
        """See `Encoder`."""
        return ""

    def ready(self) -> None:
        """See `Encoder`; there is nothing to load."""

    def batches(self, texts: Sequence[str], prompt: str = "", role: Role | None = None) -> Generator[Batch, None, None]:  # noqa: ARG002
        """See `Encoder`."""
        for start in range(0, len(texts), _BATCH_TEXTS):
            part = texts[start : start + _BATCH_TEXTS]
            rows = np.arange(start, start + len(part))
            vectors = np.stack([_vector(text) for text in part])
            yield Batch(rows, vectors, np.zeros(len(part), np.int64))


def _vector(text: str) -> FloatArray:
    seed = int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2**32
    return np.random.default_rng(seed).random(DIMENSIONS, dtype=np.float32)
