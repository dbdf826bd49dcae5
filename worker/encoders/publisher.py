"""Vectors into the store while a run goes on, so that a killed one loses little."""

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from app.errors import RunFailure
from app.storage.embeddings import EmbeddingStore
from worker.encoders.base import Batch

SEGMENT_BYTES = 64 * 1024**2
SEGMENT_SECONDS = 20.0
"""What was encoded is published after so many bytes or seconds, whichever comes first; a killed run loses no more."""


class Publisher:
    """Publishes batches in segments, beside the encoding; the rest at the end, even of a run cut short."""

    def __init__(self, store: EmbeddingStore) -> None:
        self._store = store
        self._batches: list[tuple[npt.NDArray[np.void], Batch]] = []
        self._bytes, self._began = 0, time.monotonic()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="publisher")
        self._writing: Future[None] | None = None

    def __enter__(self) -> "Publisher":
        return self

    def add(self, hashes: npt.NDArray[np.void], batch: Batch) -> None:
        """Take a batch; raises what went wrong when the segment before was published."""
        self._batches.append((hashes, batch))
        self._bytes += batch.vectors.nbytes
        if self._bytes >= SEGMENT_BYTES or time.monotonic() - self._began >= SEGMENT_SECONDS:
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Of two failures the first is the one to tell.
        with self._writer, contextlib.suppress(*(() if error is None else (RunFailure, OSError))):
            self._flush()
            self._wait()

    def _flush(self) -> None:
        self._wait()
        if self._batches:
            self._writing = self._writer.submit(_append, self._store, self._batches)
        self._batches, self._bytes, self._began = [], 0, time.monotonic()

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def _append(store: EmbeddingStore, batches: Sequence[tuple[npt.NDArray[np.void], Batch]]) -> None:
    hashes = _joined([hashes for hashes, _ in batches])
    vectors = _joined([batch.vectors for _, batch in batches])
    store.append(hashes, vectors, _joined([batch.tokens for _, batch in batches]))


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """One after another; without a copy where there is only one."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
