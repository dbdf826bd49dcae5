"""The best of many scored documents, chosen by whole numbers: keys.

A score and its document are one number, greater for a greater score and, among equal scores, for a greater document
id. So the k best are the k greatest keys, whatever the order in which documents come.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor

LOW: Final = 0xFFFFFFFF
"""The bits of a key that tell the document."""
_SIGN_FREE: Final = 0x7FFFFFFF
LEAST: Final = 1 - (1 << 63)
"""Below the key of every score; its negative is a number too."""
_UNSETTLED: Final = 1.5
"""With so many times k documents for a query, the best are chosen anew and the floor rises."""


class Best:
    """The k best documents of each query so far, as keys.

    What is found is written behind the k best. Now and then the k greatest of all move to the front, and the least
    score of them becomes the floor: whatever is less is no longer looked at.

    Args:
        queries: how many.
        k: how many documents to keep, at most as many as will be taken.
        width: how many documents will be taken at once, at most.
        device: where the scores are.
    """

    def __init__(self, queries: int, k: int, width: int, device: torch.device) -> None:
        self._k, self._settled = k, False
        self._keys = torch.full((queries, k + max(k, width)), LEAST, device=device)
        self._filled = torch.zeros(queries, dtype=torch.int64, device=device)
        self._floor = torch.full((queries, 1), -torch.inf, device=device)

    def take(self, scores: Tensor, ranks: Tensor) -> None:
        """Take in more documents.

        Args:
            scores: shape (queries, m), contiguous.
            ranks: shape (m,), the documents' places by falling id.
        """
        width = scores.shape[1]
        floor = self._floor if self._settled else _kth(scores, min(self._k, width))
        hits = _nonzero(scores >= floor)
        rows = hits // width
        keys = keys_of(scores.view(-1).index_select(0, hits), ranks.index_select(0, hits - rows * width))
        counts = torch.bincount(rows, minlength=len(scores))
        room = self._keys.shape[1]
        if int((self._filled + counts).max()) > room:
            self._settle()
        first = torch.arange(0, len(scores) * room, room, device=rows.device) + self._filled
        first -= counts.cumsum(0) - counts
        places = torch.arange(len(rows), device=rows.device) + first.index_select(0, rows)
        self._keys.view(-1).scatter_(0, places, keys)
        self._filled += counts
        if not self._settled or int(self._filled.max()) > _UNSETTLED * self._k:
            self._settle()

    def keys(self) -> Tensor:
        """Shape (queries, k), the greatest first."""
        self._settle()
        return falling(self._keys[:, : self._k])

    def _settle(self) -> None:
        """Move the k best to the front."""
        most = int(self._filled.max())
        if most > self._k:
            self._keys[:, : self._k] = _greatest(self._keys[:, :most], self._k)
            self._keys[:, self._k : most] = LEAST
        self._filled.fill_(self._k)
        least = self._keys[:, : self._k].amin(dim=1, keepdim=True)
        self._floor = torch.where(least > LEAST, scores_of(least), -torch.inf)
        self._settled = True


def keys_of(scores: Tensor, ranks: Tensor) -> Tensor:
    """One whole number for score and document: greater for a greater score, then for an earlier rank.

    A float's bits, read as an integer, order like the float once those of negative numbers are turned over.
    """
    bits = (scores + 0.0).view(torch.int32)  # + 0 makes -0.0 equal to 0.0
    ordered = torch.where(bits < 0, bits ^ _SIGN_FREE, bits).to(torch.int64)
    return (ordered << 32) | (LOW - ranks)


def scores_of(keys: Tensor) -> Tensor:
    """The scores of keys."""
    ordered = (keys >> 32).to(torch.int32)
    return torch.where(ordered < 0, ordered ^ _SIGN_FREE, ordered).view(torch.float32)


_NUMPY = ("cpu",)
"""Kinds of devices where numpy is at hand, and several times quicker than torch at these three things."""


def _nonzero(mask: Tensor) -> Tensor:
    """Shape (hits,): where a matrix is true, counted row by row."""
    if mask.device.type in _NUMPY:
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.view(-1).nonzero().view(-1)


def _greatest(values: Tensor, k: int) -> Tensor:
    """Shape (n, k): the k greatest of each row, in no order."""
    if values.device.type in _NUMPY:
        return torch.from_numpy(np.partition(values.numpy(), -k, axis=1)[:, -k:])
    return torch.topk(values, k, dim=1, sorted=False).values


def falling(values: Tensor) -> Tensor:
    """Each row sorted, the greatest first."""
    if values.device.type in _NUMPY:
        return torch.from_numpy(-np.sort(-values.numpy(), axis=1))
    return torch.sort(values, dim=1, descending=True).values


def _kth(values: Tensor, k: int) -> Tensor:
    """Shape (n, 1): the k-th greatest of each row."""
    return _greatest(values, k).amin(dim=1, keepdim=True)
