"""An encoder that costs nothing: it looks its vectors up by text. Ours; mteb's is `mteb_side.Instant`."""

from collections.abc import Generator, Sequence

import numpy as np

from worker.encoders.base import Batch, FloatArray, ModelSpec, Role, Similarity

SPEC = ModelSpec("bench/instant", source="builtin")
_BATCH = 50_000


class Vectors:
    """Vectors by text.

    Args:
        texts: n different texts.
        vectors: shape (n, dimensions), float32.
    """

    def __init__(self, texts: Sequence[str], vectors: FloatArray) -> None:
        self._rows = {text: row for row, text in enumerate(texts)}
        self._vectors = vectors

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return int(self._vectors.shape[1])

    def of(self, texts: Sequence[str]) -> FloatArray:
        """Shape (n, dimensions)."""
        return self._vectors[[self._rows[text] for text in texts]]


class Instant:
    """An `Encoder`."""

    revision = "0" * 40
    max_tokens = None
    dtype, device, backend = "float32", "cpu", "instant"
    batch_tokens = 0
    similarity: Similarity = "cosine"
    by_role = False

    def __init__(self, known: Vectors) -> None:
        self._known = known
        self.dimensions = known.dimensions
        self.versions: dict[str, str] = {}

    def prompt_for(self, task_type: str, role: Role | None) -> str:  # noqa: ARG002
        """See `Encoder`."""
        return ""

    def ready(self) -> None:
        """See `Encoder`; there is nothing to load."""

    def batches(self, texts: Sequence[str], prompt: str = "", role: Role | None = None) -> Generator[Batch, None, None]:  # noqa: ARG002
        """See `Encoder`."""
        for start in range(0, len(texts), _BATCH):
            part = texts[start : start + _BATCH]
            yield Batch(np.arange(start, start + len(part)), self._known.of(part), np.zeros(len(part), np.int64))
