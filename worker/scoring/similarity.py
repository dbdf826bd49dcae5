"""How alike the two texts of a pair are: the measures that MTEB compares, in its own operations, block by block."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import issparse
from sklearn.metrics.pairwise import (
    paired_cosine_distances,
    paired_euclidean_distances,
    paired_manhattan_distances,
)
from sklearn.preprocessing import normalize
from torch.nn.functional import normalize as torch_normalize

from worker.encoders.base import IntArray, Similarity
from worker.scoring.base import Matrix, Source, Tick
from worker.scoring.threads import side_by_side

Values = npt.NDArray[np.floating[Any]]
Measure = Callable[[Matrix, Matrix], Values]
"""Two matrices of shape (n, d) to n values, row against row; higher is more alike."""

_BLOCK_NUMBERS: Final = 1 << 20
_LEAST_PAIRS: Final = 256
"""A block of pairs has so many numbers a side, or so many pairs if that is more: few megabytes, in few calls."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of texts, where every different text has its vector once.

    Attributes:
        vectors: shape (different texts, d), in the order in which the texts first occur.
        first: shape (n,), the row of each pair's first text.
        second: shape (n,), that of its second one.
    """

    vectors: Matrix
    first: IntArray
    second: IntArray


def gather_pairs(source: Source, first: Sequence[str], second: Sequence[str]) -> Pairs:
    """Pairs of texts that are neither query nor document; lexical models learn from all of them.

    Args:
        source: the model.
        first: n texts.
        second: n texts.
    """
    vectors, rows = gather(source, (*first, *second))
    return Pairs(vectors, rows[: len(first)], rows[len(first) :])


def gather(source: Source, texts: Sequence[str]) -> tuple[Matrix, IntArray]:
    """The vectors of the different texts, shape (u, d), and for each text the row of its own."""
    once, rows = different(texts)
    return source.vectors(once, None, texts), rows


def different(texts: Sequence[str]) -> tuple[list[str], IntArray]:
    """Every text once, in the order in which they first occur, and the place of each among them.

    Example:
        >>> different(["b", "a", "b"])
        (['b', 'a'], array([0, 1, 0]))
    """
    places: dict[str, int] = {}
    rows = [places.setdefault(text, len(places)) for text in texts]
    return list(places), np.array(rows, np.int64)


def compare(pairs: Pairs, measures: Mapping[str, Measure], tick: Tick) -> dict[str, Values]:
    """Several measures of all pairs, block by block, so that there is never a vector for every pair.

    Args:
        pairs: n of them, at least one.
        measures: by name; what one finds for a pair does not depend on the pairs around it.
        tick: called once a block.

    Returns:
        By name, shape (n,).
    """
    size = max(_LEAST_PAIRS, _BLOCK_NUMBERS // max(1, pairs.vectors.shape[1]))

    def compare_block(start: int) -> list[Values]:
        first = pairs.vectors[pairs.first[start : start + size]]
        second = pairs.vectors[pairs.second[start : start + size]]
        return [measure(first, second) for measure in measures.values()]

    blocks = side_by_side(compare_block, range(0, len(pairs.first), size), tick)
    return {name: np.concatenate(parts) for name, parts in zip(measures, zip(*blocks, strict=True), strict=True)}


def cosine(first: Matrix, second: Matrix) -> Values:
    """1 - |x/|x| - y/|y||^2 / 2, in [-1, 1]: exactly 1 for equal vectors.

    A text without words (lexical models) has 0 with every other.

    Reference:
        scikit-learn, `paired_cosine_distances`; MTEB 2.26.24, `cosine_*` of STS and PairClassification.

    Example:
        >>> cosine(np.array([[3.0, 4.0]]), np.array([[6.0, 8.0]])).tolist()
        [1.0]
    """
    if issparse(first):
        return dot(normalize(first), normalize(second))
    values: Values = 1 - paired_cosine_distances(first, second)
    return values


def manhattan(first: Matrix, second: Matrix) -> Values:
    """Minus the sum of |x - y|; at most 0.

    Example:
        >>> manhattan(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]])).tolist()
        [-3.0]
    """
    values: Values = -np.reshape(paired_manhattan_distances(first, second), -1)
    return values


def euclidean(first: Matrix, second: Matrix) -> Values:
    """Minus the length of x - y; at most 0.

    Example:
        >>> euclidean(np.array([[3.0, 4.0]]), np.array([[0.0, 0.0]])).tolist()
        [-5.0]
    """
    values: Values = -paired_euclidean_distances(first, second)
    return values


def dot(first: Matrix, second: Matrix) -> Values:
    """The sum of x * y; each as `numpy.dot` finds it for one pair.

    Example:
        >>> dot(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])).tolist()
        [11.0]
    """
    values: Values = np.ravel(first.multiply(second).sum(axis=1)) if issparse(first) else np.vecdot(first, second)
    return values


def own(similarity: Similarity) -> Measure:
    """The model's own measure, as sentence-transformers computes it; the cosine for sparse vectors.

    Its cosine is a product of normalised vectors, so equal ones can have a little more or less than 1.

    Example:
        >>> own("manhattan")(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]])).tolist()
        [-3.0]
    """
    formula = _OWN[similarity]

    def measure(first: Matrix, second: Matrix) -> Values:
        if issparse(first):
            return cosine(first, second)
        values: Values = formula(torch.from_numpy(first), torch.from_numpy(second)).numpy()
        return values

    return measure


_OWN: Final[Mapping[Similarity, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]] = {
    "cosine": lambda a, b: (torch_normalize(a, dim=1) * torch_normalize(b, dim=1)).sum(dim=1),
    "dot": lambda a, b: (a * b).sum(dim=1),
    "euclidean": lambda a, b: -torch.linalg.vector_norm(a - b, dim=1),
    "manhattan": lambda a, b: -(a - b).abs().sum(dim=1),
}
