"""Exact search: the best documents of every query, block by block, ties broken as trec_eval breaks them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from worker.encoders.base import FloatArray, IntArray, LexicalIndex, Similarity

_BLOCK_QUERIES = 1_024
_BLOCK_SCORES = 1 << 24
_LOW = np.int64(0xFFFFFFFF)
_SIGN_FREE = np.int32(0x7FFFFFFF)
_LEAST = np.iinfo(np.int64).min + 1  # below every key, and its negative is a number too

OnBlock = Callable[[int], None]
"""Called with the number of queries that are done."""


@dataclass(frozen=True, slots=True)
class Rankings:
    """The best documents of each query, best first; equal scores by falling document id.

    Attributes:
        documents: shape (queries, k), positions in the corpus; -1 where there are no more.
        scores: shape (queries, k), float32; -inf where there are no more.
    """

    documents: IntArray
    scores: FloatArray


def search(
    queries: FloatArray,
    documents: FloatArray,
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
        documents: shape (m, d), m at most 2^32.
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
    order = _by_falling_id(ids)
    found = []
    width = max(1, _BLOCK_SCORES // min(_BLOCK_QUERIES, max(1, len(queries))))
    for start in range(0, len(queries), _BLOCK_QUERIES):
        block = torch.from_numpy(queries[start : start + _BLOCK_QUERIES]).to(device)
        best = np.empty((len(block), 0), np.int64)
        for left in range(0, len(documents), width):
            part = torch.from_numpy(documents[order[left : left + width]]).to(device)
            best = _better(best, similarities(block, part, similarity), left, k)
        found.append(_decode(best, order))
        if on_block is not None:
            on_block(min(start + _BLOCK_QUERIES, len(queries)))
    return _joined(found)


def search_words(
    queries: Sequence[str], index: LexicalIndex, ids: Sequence[str], k: int, *, on_block: OnBlock | None = None
) -> Rankings:
    """The same by a lexical index; see `search`."""
    order = _by_falling_id(ids)
    found = []
    height = max(1, min(_BLOCK_QUERIES, _BLOCK_SCORES // max(1, len(ids))))
    for start in range(0, len(queries), height):
        scores = index.scores(queries[start : start + height])
        nothing = np.empty((len(scores), 0), np.int64)
        found.append(_decode(_better(nothing, torch.from_numpy(scores[:, order]), 0, k), order))
        if on_block is not None:
            on_block(min(start + height, len(queries)))
    return _joined(found)


def similarities(queries: Tensor, documents: Tensor, similarity: Similarity) -> Tensor:
    """Shape (n, m): every query against every document, as sentence-transformers computes it."""
    match similarity:
        case "cosine":
            return normalize(queries, dim=1) @ normalize(documents, dim=1).T
        case "dot":
            return queries @ documents.T
        case "euclidean":
            return -torch.cdist(queries, documents, p=2.0)
        case "manhattan":
            return -torch.cdist(queries, documents, p=1.0)


def kth_by_partition(scores: Tensor, k: int) -> Tensor:
    """Shape (n, 1): the k-th greatest score of each row. On processors several times quicker than torch."""
    return torch.from_numpy(np.partition(scores.numpy(), -k, axis=1)[:, [-k]])


def kth_by_topk(scores: Tensor, k: int) -> Tensor:
    """The same where the scores lie."""
    return torch.topk(scores, k, dim=1, sorted=False).values.amin(dim=1, keepdim=True)


def _by_falling_id(ids: Sequence[str]) -> IntArray:
    """The documents' positions, the greatest id first."""
    return np.array(sorted(range(len(ids)), key=ids.__getitem__, reverse=True), dtype=np.int64)


def _better(best: IntArray, scores: Tensor, first: int, k: int) -> IntArray:
    """The k greatest keys of each row, in no order: of those found so far and of a block that begins at `first`."""
    kth = kth_by_partition if scores.device.type == "cpu" else kth_by_topk
    floor = kth(scores, min(k, scores.shape[1]))
    rows_at, columns_at = (scores >= floor).nonzero(as_tuple=True)
    values = scores[rows_at, columns_at].cpu().numpy()
    rows, columns = rows_at.cpu().numpy(), columns_at.cpu().numpy()
    counts = np.bincount(rows, minlength=len(scores))
    keys = np.full((len(scores), counts.max()), _LEAST)
    keys[rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)] = _keys(values, columns + first)
    keys = np.concatenate([best, keys], axis=1)
    return np.partition(keys, -k, axis=1)[:, -k:] if keys.shape[1] > k else keys


def _keys(scores: FloatArray, places: IntArray) -> IntArray:
    """One whole number for score and place: greater for a greater score, then for an earlier place.

    A float's bits, read as an integer, order like the float once those of negative numbers are turned over.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # + 0 makes -0.0 equal to 0.0
    ordered = np.where(bits < 0, bits ^ _SIGN_FREE, bits).astype(np.int64)
    return (ordered << 32) | (_LOW - places)


def _decode(keys: IntArray, order: IntArray) -> Rankings:
    keys = -np.sort(-keys, axis=1)
    ordered = (keys >> 32).astype(np.int32)
    scores = np.where(ordered < 0, ordered ^ _SIGN_FREE, ordered).view(np.float32)
    return Rankings(order[_LOW - (keys & _LOW)], scores)


def _joined(parts: list[Rankings]) -> Rankings:
    if not parts:
        return Rankings(np.empty((0, 0), np.int64), np.empty((0, 0), np.float32))
    return Rankings(np.concatenate([part.documents for part in parts]), np.concatenate([part.scores for part in parts]))
