"""What scorers ask of a model: vectors out of the store, filled first; or a lexical model's weighted words."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from app.core.fingerprints import text_hashes
from app.core.records import RetrievalData
from app.errors import RunFailure
from app.storage.embeddings import EmbeddingStore
from app.storage.hash_index import unique
from worker.batching import slices
from worker.encoders import precision
from worker.encoders.base import (
    Encoder,
    FloatArray,
    IntArray,
    LexicalEncoder,
    ModelSpec,
    PoisonedText,
    Role,
    Similarity,
    first_bad_row,
)
from worker.encoders.publisher import Publisher
from worker.encoders.stored import StoredVectors
from worker.scoring.base import Part
from worker.scoring.retrieval import candidate_places, judged_queries
from worker.search import Rankings, rerank, search, search_words

_BLOCK_ROWS = 8_192
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
    """The distinct texts that are encoded in one way.

    Attributes:
        hashes: shape (n,), ascending.
        first: shape (n,), where each text stands first, when those of all parts stand one after another.
    """

    prompt: str
    role: Role | None
    store: EmbeddingStore
    parts: Sequence[Part]
    hashes: npt.NDArray[np.void]
    first: IntArray

    def texts(self, rows: IntArray) -> list[str]:
        """The texts of some hashes."""
        every = list(chain.from_iterable(part.texts for part in self.parts))
        return [every[place] for place in self.first[rows]]


class DenseSource:
    """An encoder behind the vector store.

    Args:
        encoder: what fills the store.
        spec: the model, for the store's key.
        task_type: decides the prompts.
        root: the folder of all stores.
        reporter: see `Reporter`.
        durable: False where that folder goes with this process.
    """

    def __init__(
        self, encoder: Encoder, spec: ModelSpec, task_type: str, root: Path, reporter: Reporter, *, durable: bool = True
    ) -> None:
        self._encoder, self._spec, self._task_type = encoder, spec, task_type
        self._root, self._reporter, self._durable = root, reporter, durable
        self._stores: dict[tuple[str, Role | None], EmbeddingStore] = {}
        self._hashes: dict[int, npt.NDArray[np.void]] = {}
        self._cell: dict[Role | None, npt.NDArray[np.void]] = {}
        self._limits: FloatArray | None = None
        self.similarity = encoder.similarity
        self.counts = Counts()

    @property
    def store_keys(self) -> list[str]:
        """The stores that were used so far, by key."""
        return sorted(store.key for store in self._stores.values())

    def prompt(self, role: Role | None) -> str:
        """What is put before a text of that role."""
        return self._encoder.prompt_for(self._task_type, role)

    def prepare(self, cells: Sequence[tuple[Part, ...]]) -> None:
        """Encode whatever the store lacks of the cells' texts; stage `encode`, a step a text.

        Raises:
            RunFailure: `bad_embeddings`, `bad_text`, `disk_full`, `gpu_oom`, `out_of_memory`, and those of loading.
        """
        streams = self._streams([part for parts in cells for part in parts])
        missing = [stream.store.missing(stream.hashes) for stream in streams]
        if any(mask.any() for mask in missing):
            self._encoder.ready()
        self._reporter.begin("encode", int(sum(mask.sum() for mask in missing)))
        for stream, mask in zip(streams, missing, strict=True):
            self.counts.texts_total += len(mask)
            self._count(stream.store.tokens(stream.hashes[~mask]))
            self.counts.texts_from_store += int((~mask).sum())
            if mask.any():
                self._encode(stream, np.flatnonzero(mask), cells)

    def enter_cell(self, parts: tuple[Part, ...]) -> None:
        """These texts of `prepare` come next: int8 and uint8 are calibrated on their documents, or on all."""
        self._cell = {part.role: self._hashes[id(part)] for part in parts}
        if self._spec.precision not in precision.CALIBRATED:
            return
        chosen = [part for part in parts if part.role == "document"] or parts
        floats = [replace(self._stored(self._hashes[id(part)], part.role), precision="float32") for part in chosen]
        self._limits = precision.ranges(vectors for part in floats for _, vectors in part.blocks(_BLOCK_ROWS))

    def vectors(self, texts: Sequence[str], role: Role | None, fitted_on: Sequence[str]) -> FloatArray:  # noqa: ARG002
        """See `worker.scoring.base.Source`."""
        return self._stored(text_hashes(texts), role).at(slice(None))

    def _stored(self, hashes: npt.NDArray[np.void], role: Role | None) -> StoredVectors:
        """Vectors of texts, as scorers want them but left where they are, for a corpus."""
        store = self._store(*self._way(role))
        return StoredVectors(store, hashes, self._encoder.dimensions, self._spec.precision, self._limits)

    def rankings(self, data: RetrievalData, k: int) -> Rankings:
        """See `worker.scoring.base.Source`, for the cell entered last; stage `search`, a step a query, then `score`."""
        rows = judged_queries(data)
        self._reporter.begin("search", len(rows))
        queries = self._stored(self._cell["query"], "query").at(slice(None))
        documents = self._stored(self._cell["document"], "document")
        ids = [document.id for document in data.documents]
        device, advance = self._encoder.device, self._reporter.advance
        how: Any = {"similarity": self.similarity, "device": device, "on_block": advance}
        if data.candidates is None:
            found = search(queries, documents.blocks, ids, k, **how)
        else:
            nothing = np.empty(0, np.int64)
            candidates = [nothing if places is None else places for places in candidate_places(data, rows)]
            found = rerank(queries, documents.at, candidates, ids, k, **how)
        self._reporter.begin("score", 0)
        return found

    def _way(self, role: Role | None) -> tuple[str, Role | None]:
        """How texts of a role are encoded: their prompt, and the role if it makes a difference."""
        return self.prompt(role), role if self._encoder.by_role else None

    def _streams(self, parts: Sequence[Part]) -> list[_Stream]:
        grouped: defaultdict[tuple[str, Role | None], list[Part]] = defaultdict(list)
        for part in parts:
            self._hashes[id(part)] = text_hashes(part.texts)
            grouped[self._way(part.role)].append(part)
        return [
            _Stream(*way, self._store(*way), own, *unique(np.concatenate([self._hashes[id(part)] for part in own])))
            for way, own in grouped.items()
        ]

    def _store(self, prompt: str, role: Role | None) -> EmbeddingStore:
        """The store of one way of encoding; full vectors, so that every number of dimensions is cut from the same."""
        if (prompt, role) not in self._stores:
            made_from = {
                "model": self._spec.name,
                "revision": self._encoder.revision,
                "prompt": prompt,
                "role": role,
                "max_tokens": self._encoder.max_tokens,
                "dtype": self._encoder.dtype,
                "backend": self._encoder.backend,
            }
            self._stores[prompt, role] = EmbeddingStore(self._root, made_from, durable=self._durable)
        return self._stores[prompt, role]

    def _encode(self, stream: _Stream, rows: IntArray, cells: Sequence[tuple[Part, ...]]) -> None:
        texts, hashes = stream.texts(rows), stream.hashes[rows]
        batches = self._encoder.batches(texts, stream.prompt, stream.role)
        with Publisher(stream.store) as publisher, closing(batches):
            try:
                for batch in batches:
                    bad = first_bad_row(batch.vectors)
                    if bad is not None:
                        raise _bad_embedding(texts[batch.rows[bad[0]]], bad[1], cells)
                    publisher.add(hashes[batch.rows], batch)
                    self._count(batch.tokens)
                    self.counts.texts_encoded += len(batch.rows)
                    self._reporter.advance(self.counts.texts_encoded)
            except PoisonedText as error:
                raise _bad_text(texts[error.row], error, cells) from error

    def _count(self, tokens: npt.NDArray[np.integer[Any]]) -> None:
        """Add the tokens that were read of texts with so many."""
        limit = self._encoder.max_tokens
        self.counts.texts_truncated += int((tokens > limit).sum()) if limit else 0
        self.counts.tokens += int((np.minimum(tokens, limit) if limit else tokens).sum(dtype=np.int64))


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

    def enter_cell(self, parts: tuple[Part, ...]) -> None:
        """See `DenseSource`; there is nothing to calibrate."""

    def vectors(self, texts: Sequence[str], role: Role | None, fitted_on: Sequence[str]) -> Any:  # noqa: ARG002
        """See `worker.scoring.base.Source`."""
        return self._encoder.weigh(fitted_on, texts)

    def rankings(self, data: RetrievalData, k: int) -> Rankings:
        """See `worker.scoring.base.Source`; stage `search`, a step a query, then `score`.

        As by MTEB's BM25, candidates count only where they are among the k best of the whole corpus; a query for
        which none are listed ranks the whole corpus.
        """
        rows = judged_queries(data)
        self._reporter.begin("search", len(rows))
        index = self._encoder.index([f"{document.title}\n{document.text}" for document in data.documents])
        found = search_words(
            [data.queries[row].full_text for row in rows],
            index,
            [document.id for document in data.documents],
            k,
            on_block=self._reporter.advance,
        )
        if data.candidates is not None:
            found = found.among(candidate_places(data, rows))
        self._reporter.begin("score", 0)
        return found


def _bad_embedding(text: str, fault: str, cells: Sequence[tuple[Part, ...]]) -> RunFailure:
    name, index = _place(text, cells)
    return RunFailure(
        f"The model gave {fault} for {name} number {index + 1:,}.",
        code="bad_embeddings",
        remedy="Try float32 instead of half precision; if that does not help, the model's files are damaged.",
        details={"part": name, "index": index},
    )


def _bad_text(text: str, error: PoisonedText, cells: Sequence[tuple[Part, ...]]) -> RunFailure:
    name, index = _place(text, cells)
    return RunFailure(
        f"The model cannot read {name} number {index + 1:,}: {error.where} raised {error.kind}.",
        code="bad_text",
        remedy="Look at this text in the dataset and upload a corrected file; other models may be able to read it.",
        details={"part": name, "index": index, "error": error.kind},
    )


def _place(text: str, cells: Sequence[tuple[Part, ...]]) -> tuple[str, int]:
    """Where the text stands first. Messages name the place and not the text: everybody may read them."""
    return next((part.name, part.texts.index(text)) for parts in cells for part in parts if text in part.texts)
