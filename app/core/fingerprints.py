"""Content hashes: of texts, of files, and of the way a text was encoded."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

HASH_BYTES = 16
HASH_DTYPE = np.dtype(f"V{HASH_BYTES}")
"""The dtype of text hashes: numpy sorts, searches and compares it bytewise, and never strips a zero byte."""


def text_hash(text: str) -> bytes:
    """The 128-bit BLAKE2b of a text's UTF-8 bytes.

    Returns:
        16 bytes; equal exactly for equal texts (no normalisation).

    Raises:
        UnicodeEncodeError: for a lone surrogate; no reader lets one pass.

    Example:
        >>> text_hash("hello").hex()
        '46fb7408d4f285228f4af516ea25851b'
    """
    return hashlib.blake2b(text.encode(), digest_size=HASH_BYTES).digest()


def text_hashes(texts: Iterable[str]) -> npt.NDArray[np.void]:
    """The hashes of many texts, ready for `np.sort`, `np.searchsorted` and `np.unique`.

    Args:
        texts: n texts, in any order, repeated or not.

    Returns:
        Shape (n,), dtype `HASH_DTYPE`, in the order of `texts`; read-only.
    """
    digests = bytearray()
    for text in texts:
        digests += text_hash(text)
    hashes = np.frombuffer(digests, dtype=HASH_DTYPE)
    hashes.flags.writeable = False
    return hashes


def encode_key(**parts: str | int | float | bool | None) -> str:
    """One name for one way of encoding: texts encoded under equal keys have interchangeable vectors.

    Args:
        parts: everything that changes a vector: model name, revision, prompt, maximum length, dtype,
            backend ... Their order does not matter; a part that is None differs from one left out.

    Returns:
        40 hexadecimal digits.

    Raises:
        ValueError: for NaN or infinity.
    """
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:40]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, read in small pieces: 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
