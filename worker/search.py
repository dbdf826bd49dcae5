"""Exact search: the best documents of every query, block by block, ties broken as trec_eval breaks them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from worker.encoders.base import FloatArray, IntArray, LexicalIndex, Similarity
from worker.topk import LEAST, LOW, Best, falling, keys_of, scores_of

_CANDIDATES = 8_192
"""So many vectors of candidates are held at once, or those of one query."""
_LEXICAL_SCORES: Final = 1 << 24
"""So many scores of a lexical index are held at once, or those of one query."""

OnBlock = Callable[[int], None]
"""Called with the number of queries that are done; in part, where documents come in blocks."""

Blocks = Callable[[int], Iterable[tuple[IntArray, FloatArray]]]
"""All documents, each once, at most so many at a time, in any order: their positions and their vectors."""

Gather = Callable[[IntArray], FloatArray]
"""The vectors of the documents at some positions."""


@dataclass(frozen=True, slots=True)
class Tile:
    """So many queries and documents are compared at once, and for so many queries at once the best are chosen."""

    queries: int
    documents: int
    chosen: int


TILES = {"cpu": Tile(1_024, 4_096, 128), "cuda": Tile(8_192, 16_384, 8_192)}
"""By kind of device. On any other, only similarities are computed, and the rest where it is well supported."""


@dataclass(frozen=True, slots=True)
class Rankings:
    """The best documents of each query, best first; equal scores by falling document id.

    Attributes:
        documents: shape (queries, k), positions in the corpus; -1 where there are no more.
        scores: shape (queries, k), float32; -inf where there are no more.
    """

    documents: IntArray
    scores: FloatArray

    def without(self, dropped: npt.NDArray[np.bool_]) -> "Rankings":
        """The same less some entries; those behind them move up.

        Args:
            dropped: shape (queries, k).

        Example:
            >>> rankings = Rankings(np.array([[4, 2, 7]]), np.array([[0.9, 0.5, 0.1]], dtype="f4"))
            >>> rankings.without(np.array([[True, False, False]])).documents.tolist()
            [[2, 7, -1]]
        """
        order = np.argsort(dropped, axis=1, kind="stable")
        gone = np.take_along_axis(dropped, order, axis=1)
        return Rankings(
            np.where(gone, -1, np.take_along_axis(self.documents, order, axis=1)),
            np.where(gone, np.float32(-np.inf), np.take_along_axis(self.scores, order, axis=1)),
        )

    def among(self, candidates: Sequence[IntArray | None]) -> "Rankings":
        """The same less what is not among the candidates of its query; None leaves a query as it is."""
        dropped = np.zeros(self.documents.shape, np.bool_)
        for row, places in enumerate(candidates):
            if places is not None:
                dropped[row] = ~np.isin(self.documents[row], places)
        return self.without(dropped)


def search(
    queries: FloatArray,
    documents: FloatArray | Blocks,
    ids: Sequence[str],
    k: int,
    *,
    similarity: Similarity = "cosine",
    device: str = "cpu",
    on_block: OnBlock | None = None,
) -> Rankings:
    """The k nearest documents of every query.

    Args:
        queries: shape (n, d).
        documents: shape (m, d), m less than 2^32; or the same in blocks, which are asked for once for every
            `Tile.queries` queries and never held together.
        ids: m document ids; among equal scores the greater one (by code points) goes first.
        k: at most so many; fewer where there are fewer documents.
        similarity: the greater the nearer; distances count negatively.
        device: where to compute.
        on_block: see `OnBlock`.

    Example:
        >>> found = search(np.eye(2, dtype="f4"), np.ones((3, 2), dtype="f4"), ["a", "c", "b"], 2)
        >>> found.documents.tolist()
        [[1, 2], [1, 2]]
    """
    order, ranks = _by_falling_id(ids)
    chosen = _chooser(device)
    tile = TILES[chosen.type]
    blocks = documents if callable(documents) else _sliced(documents)
    found = []
    for start in range(0, len(queries), tile.queries):
        some = _prepared(_tensor(queries[start : start + tile.queries], device), similarity)
        bests, seen = [Best(len(own), min(k, len(ids)), tile.documents, chosen) for own in some.split(tile.chosen)], 0
        for positions, vectors in blocks(tile.documents):
            part = _prepared(_tensor(vectors, device), similarity)
            scores = _compared(some, part, similarity).to(chosen).split(tile.chosen)
            places = _tensor(ranks[positions], chosen)
            for best, own in zip(bests, scores, strict=True):
                best.take(own, places)
            seen += len(positions)
            if on_block is not None:
                on_block(start + len(some) * seen // len(ids))
        found += [_decoded(best.keys(), order) for best in bests]
    return _joined(found)


def search_words(
    queries: Sequence[str], index: LexicalIndex, ids: Sequence[str], k: int, *, on_block: OnBlock | None = None
) -> Rankings:
    """The same by a lexical index; see `search`."""
    order, ranks = _by_falling_id(ids)
    tile, found = TILES["cpu"], []
    height = max(1, min(tile.queries, _LEXICAL_SCORES // max(1, len(ids))))
    for start in range(0, len(queries), height):
        scores = torch.from_numpy(index.scores(queries[start : start + height]))
        best = Best(len(scores), min(k, len(ids)), tile.documents, torch.device("cpu"))
        for left in range(0, len(ids), tile.documents):
            columns = slice(left, left + tile.documents)
            best.take(scores[:, columns].contiguous(), torch.from_numpy(ranks[columns]))
        found.append(_decoded(best.keys(), order))
        if on_block is not None:
            on_block(min(start + height, len(queries)))
    return _joined(found)


def rerank(
    queries: FloatArray,
    gather: Gather,
    candidates: Sequence[IntArray],
    ids: Sequence[str],
    k: int,
    *,
    similarity: Similarity = "cosine",
    device: str = "cpu",
    on_block: OnBlock | None = None,
) -> Rankings:
    """The k nearest of each query's own candidates.

    Each query is compared by itself, as MTEB does, so that even the last bits of the scores are the same.

    Args:
        queries: shape (n, d).
        gather: see `Gather`; asked for the candidates of a few queries at a time.
        candidates: for each query positions in the corpus, each once; where there are none, nothing is ranked.
        ids: see `search`.
        k: see `search`.
        similarity: see `search`.
        device: where to compute.
        on_block: see `OnBlock`.

    Example:
        >>> vectors = np.eye(3, dtype="f4")
        >>> rerank(vectors[:1], vectors.__getitem__, [np.array([1, 0])], ["a", "b", "c"], 9).documents.tolist()
        [[0, 1]]
    """
    order, ranks = _by_falling_id(ids)
    width = min(k, max(map(len, candidates), default=0))
    found = Rankings(np.full((len(queries), width), -1, np.int64), np.full((len(queries), width), -np.inf, np.float32))
    for rows in _portions([len(places) for places in candidates], _CANDIDATES):
        some = candidates[rows.start : rows.stop]
        places = np.concatenate(some)
        if len(places):
            asked, vectors = _tensor(queries[rows.start : rows.stop], device), _tensor(gather(places), device)
            sizes = [len(own) for own in some]
            keys = _own_keys(asked, vectors, sizes, _tensor(ranks[places], _chooser(device)), similarity)
            best = _decoded(falling(keys)[:, :k], order)
            found.documents[rows.start : rows.stop, : best.documents.shape[1]] = best.documents
            found.scores[rows.start : rows.stop, : best.scores.shape[1]] = best.scores
        if on_block is not None:
            on_block(rows.stop)
    return found


def _own_keys(queries: Tensor, vectors: Tensor, sizes: Sequence[int], ranks: Tensor, similarity: Similarity) -> Tensor:
    """Shape (n, greatest size): the keys of each query's own documents, which lie one after another."""
    queries, vectors = _prepared(queries, similarity), _prepared(vectors, similarity)
    parts = zip(range(len(queries)), vectors.split(list(sizes)), strict=True)
    scores = [_compared(queries[[row]], part, similarity)[0] for row, part in parts if len(part)]
    keys = torch.full((len(queries), max(sizes)), LEAST, device=ranks.device)
    there = torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]
    keys[there.to(ranks.device)] = keys_of(torch.cat(scores).to(ranks.device), ranks)
    return keys


def similarities(queries: Tensor, documents: Tensor, similarity: Similarity) -> Tensor:
    """Shape (n, m): every query against every document, as sentence-transformers computes it."""
    return _compared(_prepared(queries, similarity), _prepared(documents, similarity), similarity)


def _prepared(vectors: Tensor, similarity: Similarity) -> Tensor:
    """What can be done before vectors meet others."""
    return normalize(vectors, dim=1) if similarity == "cosine" else vectors


def _compared(queries: Tensor, documents: Tensor, similarity: Similarity) -> Tensor:
    match similarity:
        case "cosine" | "dot":
            return queries @ documents.T
        case "euclidean":
            return -torch.cdist(queries, documents, p=2.0)
        case "manhattan":
            return -torch.cdist(queries, documents, p=1.0)


def _by_falling_id(ids: Sequence[str]) -> tuple[IntArray, IntArray]:
    """The documents' positions, the greatest id first; and each document's place in that order."""
    order = np.array(sorted(range(len(ids)), key=ids.__getitem__, reverse=True), dtype=np.int64)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    return order, ranks


def _sliced(documents: FloatArray) -> Blocks:
    """Documents that are all here, as blocks."""

    def blocks(rows: int) -> Iterator[tuple[IntArray, FloatArray]]:
        for start in range(0, len(documents), rows):
            part = documents[start : start + rows]
            yield np.arange(start, start + len(part)), part

    return blocks


def _portions(sizes: Sequence[int], most: int) -> Iterator[range]:
    """Neighbours, as many together as have no more than `most` in all, at least one."""
    start, total = 0, 0
    for row, size in enumerate(sizes):
        if row > start and total + size > most:
            yield range(start, row)
            start, total = row, 0
        total += size
    if start < len(sizes):
        yield range(start, len(sizes))


def _chooser(device: str) -> torch.device:
    """Where the best are chosen: where similarities are computed, if there is a tile for it."""
    computing = torch.device(device)
    return computing if computing.type in TILES else torch.device("cpu")


def _tensor(array: npt.NDArray[np.generic], device: str | torch.device) -> Tensor:
    """An array where it is computed on; a copy of one that may not be written to."""
    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(device)


def _decoded(keys: Tensor, order: IntArray) -> Rankings:
    """The rankings of sorted keys."""
    there = (keys > LEAST).cpu().numpy()
    ranks = (LOW - (keys & LOW)).cpu().numpy()
    scores = scores_of(keys).cpu().numpy()
    return Rankings(np.where(there, order[np.where(there, ranks, 0)], -1), np.where(there, scores, np.float32(-np.inf)))


def _joined(parts: list[Rankings]) -> Rankings:
    if not parts:
        return Rankings(np.empty((0, 0), np.int64), np.empty((0, 0), np.float32))
    return Rankings(np.concatenate([part.documents for part in parts]), np.concatenate([part.scores for part in parts]))
