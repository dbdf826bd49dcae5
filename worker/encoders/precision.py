"""Vectors of fewer bits, by the codes of sentence-transformers' `quantize_embeddings`, as float32 numbers."""

from collections.abc import Iterable

import numpy as np

from worker.encoders.base import FloatArray, Precision

CALIBRATED: frozenset[Precision] = frozenset({"int8", "uint8"})
"""Precisions that need `ranges`."""

_STEPS = 255


def ranges(blocks: Iterable[FloatArray]) -> FloatArray | None:
    """The least and the greatest value of every dimension.

    Args:
        blocks: vectors, shape (any, d) each.

    Returns:
        Shape (2, d); None without any vector.

    Example:
        >>> ranges([np.array([[1, 5]], np.float32), np.array([[3, 2]], np.float32)]).tolist()
        [[1.0, 2.0], [3.0, 5.0]]
    """
    found: FloatArray | None = None
    for block in blocks:
        if not len(block):
            continue
        ends = np.stack([block.min(axis=0), block.max(axis=0)])
        if found is not None:
            ends = np.stack([np.minimum(found[0], ends[0]), np.maximum(found[1], ends[1])])
        found = ends
    return found


def quantise(vectors: FloatArray, precision: Precision, limits: FloatArray | None = None) -> FloatArray:
    """The codes of vectors, ready to be compared.

    Args:
        vectors: shape (n, d).
        precision: int8 gives whole numbers from -128 to 127, uint8 from 0 to 255: the step of 255 between the
            limits of the dimension that the value lies in; what lies beyond a limit counts as the limit, and a
            dimension without extent has steps of 1. binary gives 1 above zero and -1 elsewhere.
        limits: shape (2, d), from `ranges`; for the precisions of `CALIBRATED`.

    Returns:
        Shape (n, d); the very array for float32.

    Example:
        >>> quantise(np.array([[0.25, 2.0]], np.float32), "uint8", np.array([[0, 0], [1, 1]], np.float32)).tolist()
        [[63.0, 255.0]]
    """
    if precision == "float32":
        return vectors
    if precision == "binary":
        return np.where(vectors > 0, np.float32(1), np.float32(-1))
    if limits is None:
        raise ValueError(f"{precision} needs the limits of every dimension")
    steps = (limits[1] - limits[0]) / _STEPS
    with np.errstate(over="ignore"):  # beyond limits that hardly differ; it counts as the limit
        places = np.floor((vectors - limits[0]) / np.where(steps == 0, 1, steps))
    codes: FloatArray = np.clip(places, 0, _STEPS)
    return codes - 128 if precision == "int8" else codes
