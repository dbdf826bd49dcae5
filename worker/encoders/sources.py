"""What scorers ask of a model: vectors out of the store, filled first; or a lexical model's weighted words."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from app.core.fingerprints import encode_key, text_hashes
from app.core.records import RetrievalData
from app.errors import RunFailure
from app.storage.embeddings import EmbeddingStore
from worker.batching import distinct, slices
from worker.encoders.base import (
    Encoder,
    FloatArray,
    IntArray,
    LexicalEncoder,
    ModelSpec,
    Role,
    Similarity,
    first_bad_row,
)
from worker.scoring.base import Part
from worker.scoring.retrieval import judged_queries
from worker.search import Rankings, search, search_words

SEGMENT_TEXTS = 2_000
SEGMENT_SECONDS = 20.0
"""What was encoded is published after so many texts or seconds, whichever comes first; a killed run loses no more."""

_COUNTED_AT_ONCE = 8_192


class Reporter(Protocol):
    """Where a source tells how far it is; any call may raise to end the run."""

    def begin(self, stage: str, total: int) -> None:
        """A stage of `total` steps begins."""

    def advance(self, done: int) -> None:
        """So many steps are done, in all."""


@dataclass(slots=True)
class Counts:
    """What became of the distinct texts of a run."""

    texts_total: int = 0
    texts_encoded: int = 0
    texts_from_store: int = 0
    texts_truncated: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Stream:
    """The distinct texts that are encoded in one way."""

    prompt: str
    role: Role | None
    store: EmbeddingStore
    hashes: npt.NDArray[np.void]
    texts: list[str]


class DenseSource:
    """An encoder behind the vector store.

    Args:
        encoder: what fills the store.
        spec: the model, for the store's key.
        task_type: decides the prompts.
        root: the folder of all stores.
        reporter: see `Reporter`.
    """

    def __init__(self, encoder: Encoder, spec: ModelSpec, task_type: str, root: Path, reporter: Reporter) -> None:
        self._encoder, self._spec, self._task_type = encoder, spec, task_type
        self._root, self._reporter = root, reporter
        self._stores: dict[str, EmbeddingStore] = {}
        self.similarity = encoder.similarity
        self.counts = Counts()

    @property
    def store_keys(self) -> list[str]:
        """The stores that were used so far, by key."""
        return sorted(self._stores)

    def prompt(self, role: Role | None) -> str:
        """What is put before a text of that role."""
        return self._encoder.prompt_for(self._task_type, role)

    def prepare(self, cells: Sequence[tuple[Part, ...]]) -> None:
        """Encode whatever the store lacks of the cells' texts; stage `encode`, a step a text.

        Raises:
            RunFailure: `bad_embeddings`, `disk_full`, `gpu_oom`, `out_of_memory`.
        """
        streams = self._streams([part for parts in cells for part in parts])
        missing = [stream.store.missing(stream.hashes) for stream in streams]
        self._reporter.begin("encode", int(sum(mask.sum() for mask in missing)))
        for stream, mask in zip(streams, missing, strict=True):
            self.counts.texts_total += len(mask)
            self._count_stored(stream, np.flatnonzero(~mask))
            self._encode(stream, np.flatnonzero(mask), cells)

    def vectors(self, texts: Sequence[str], role: Role | None, fitted_on: Sequence[str]) -> FloatArray:  # noqa: ARG002
        """See `worker.scoring.base.Source`."""
        full = self._store(self.prompt(role), role).gather(text_hashes(texts))
        return np.ascontiguousarray(full[:, : self._encoder.dimensions])

    def rankings(self, data: RetrievalData, k: int) -> Rankings:
        """See `worker.scoring.base.Source`; stage `search`, a step a query, then `score`."""
        rows = judged_queries(data)
        self._reporter.begin("search", len(rows))
        found = search(
            self.vectors([data.queries[row].text for row in rows], "query", ()),
            self.vectors([document.full_text for document in data.documents], "document", ()),
            [document.id for document in data.documents],
            k,
            similarity=self.similarity,
            device=self._encoder.device,
            on_block=self._reporter.advance,
        )
        self._reporter.begin("score", 0)
        return found

    def _streams(self, parts: Sequence[Part]) -> list[_Stream]:
        grouped: defaultdict[tuple[str, Role | None], list[str]] = defaultdict(list)
        for part in parts:
            role = part.role if self._encoder.by_role else None
            grouped[self.prompt(part.role), role].extend(part.texts)
        return [
            _Stream(prompt, role, self._store(prompt, role), *distinct(text_hashes(texts), texts))
            for (prompt, role), texts in grouped.items()
        ]

    def _store(self, prompt: str, role: Role | None) -> EmbeddingStore:
        """The store of one way of encoding; full vectors, so that every number of dimensions is cut from the same."""
        encoder = self._encoder
        key = encode_key(
            model=self._spec.name,
            revision=encoder.revision,
            prompt=prompt,
            role=role if encoder.by_role else None,
            max_tokens=encoder.max_tokens,
            dtype=encoder.dtype,
            backend=encoder.backend,
        )
        return self._stores.setdefault(key, EmbeddingStore(self._root, key))

    def _count_stored(self, stream: _Stream, rows: IntArray) -> None:
        self.counts.texts_from_store += len(rows)
        limit = self._encoder.max_tokens
        for part in slices(rows, _COUNTED_AT_ONCE):
            tokens = self._encoder.token_counts([stream.texts[row] for row in part], stream.prompt)
            self.counts.texts_truncated += int((tokens > limit).sum()) if limit else 0
            self.counts.tokens += int((np.minimum(tokens, limit) if limit else tokens).sum())
            self._reporter.advance(self.counts.texts_encoded)

    def _encode(self, stream: _Stream, rows: IntArray, cells: Sequence[tuple[Part, ...]]) -> None:
        texts, hashes = [stream.texts[row] for row in rows], stream.hashes[rows]
        with _publisher(stream.store) as publish:
            for batch in self._encoder.batches(texts, stream.prompt, stream.role):
                bad = first_bad_row(batch.vectors)
                if bad is not None:
                    raise _bad_embedding(texts[batch.rows[bad[0]]], bad[1], cells)
                publish(hashes[batch.rows], batch.vectors)
                self.counts.texts_encoded += len(batch.rows)
                self.counts.texts_truncated += int(batch.truncated.sum())
                self.counts.tokens += int(batch.tokens.sum())
                self._reporter.advance(self.counts.texts_encoded)


class LexicalSource:
    """A lexical model. It learns from each cell's own texts, so nothing is stored."""

    similarity: Similarity = "cosine"

    def __init__(self, encoder: LexicalEncoder, reporter: Reporter) -> None:
        self._encoder, self._reporter = encoder, reporter
        self.counts = Counts()

    @property
    def store_keys(self) -> list[str]:
        """None: nothing is stored."""
        return []

    def prompt(self, role: Role | None) -> str:  # noqa: ARG002 -- the same for every role
        """None: prompts are for models that understand."""
        return ""

    def prepare(self, cells: Sequence[tuple[Part, ...]]) -> None:
        """Count the words of the cells' distinct texts; stage `encode`, a step a text."""
        texts = list({text: None for parts in cells for part in parts for text in part.texts})
        self._reporter.begin("encode", len(texts))
        self.counts.texts_total = len(texts)
        for part in slices(np.arange(len(texts)), _COUNTED_AT_ONCE):
            self.counts.tokens += int(self._encoder.word_counts([texts[row] for row in part]).sum())
            self.counts.texts_encoded += len(part)
            self._reporter.advance(self.counts.texts_encoded)

    def vectors(self, texts: Sequence[str], role: Role | None, fitted_on: Sequence[str]) -> Any:  # noqa: ARG002
        """See `worker.scoring.base.Source`."""
        return self._encoder.weigh(fitted_on, texts)

    def rankings(self, data: RetrievalData, k: int) -> Rankings:
        """See `worker.scoring.base.Source`; stage `search`, a step a query, then `score`."""
        rows = judged_queries(data)
        self._reporter.begin("search", len(rows))
        index = self._encoder.index([f"{document.title}\n{document.text}" for document in data.documents])
        found = search_words(
            [data.queries[row].text for row in rows],
            index,
            [document.id for document in data.documents],
            k,
            on_block=self._reporter.advance,
        )
        self._reporter.begin("score", 0)
        return found


@contextlib.contextmanager
def _publisher(store: EmbeddingStore) -> Iterator[Callable[[npt.NDArray[np.void], FloatArray], None]]:
    """A function that collects rows and publishes them in segments; the rest at the end, even of a run cut short."""
    kept: list[tuple[npt.NDArray[np.void], FloatArray]] = []
    began = time.monotonic()

    def flush() -> None:
        nonlocal began
        if kept:
            hashes, vectors = zip(*kept, strict=True)
            kept.clear()
            store.append(np.concatenate(hashes), np.concatenate(vectors))
        began = time.monotonic()

    def publish(hashes: npt.NDArray[np.void], vectors: FloatArray) -> None:
        kept.append((hashes, vectors))
        if sum(map(len, (part for part, _ in kept))) >= SEGMENT_TEXTS or time.monotonic() - began >= SEGMENT_SECONDS:
            flush()

    try:
        yield publish
    except BaseException:
        with contextlib.suppress(RunFailure, OSError):  # the first failure is the one to tell
            flush()
        raise
    flush()


def _bad_embedding(text: str, fault: str, cells: Sequence[tuple[Part, ...]]) -> RunFailure:
    """Names the first place where the text stands, but not the text: everybody may read a failure's message."""
    name, index = next((part.name, part.texts.index(text)) for parts in cells for part in parts if text in part.texts)
    return RunFailure(
        f"The model gave {fault} for {name} number {index + 1:,}.",
        code="bad_embeddings",
        remedy="Try float32 instead of half precision; if that does not help, the model's files are damaged.",
        details={"part": name, "index": index},
    )
