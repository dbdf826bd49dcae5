"""One segment of the vector store on disk: written whole or not at all, and checked before it is believed."""

import hashlib
import io
import json
import math
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app.core.fingerprints import file_sha256
from app.storage.hash_index import Hashes, Positions, unique

Vectors = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int32]

VECTORS: Final = "vectors.npy"
HASHES: Final = "hashes.npy"
TOKENS: Final = "tokens.npy"
META: Final = "meta.json"
DAMAGED: Final = ".damaged"
"""Ends the name of a segment that was set aside."""

TEMPORARY: Final = "."
"""Begins the name of what is still being written or about to be removed."""

_PIECE_BYTES = 1 << 20

_verified: set[tuple[str, int, int, int]] = set()
"""Files whose checksum held in this process, as (path, inode, bytes, time of change)."""


class Damaged(Exception):
    """The files of a segment are not what its meta.json says."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A published segment.

    Attributes:
        folder: where it lies.
        hashes: shape (n,), ascending.
        tokens: shape (n,), of each text, beyond any limit of the model.
        dimensions: of a vector.
    """

    folder: Path
    hashes: Hashes
    tokens: Counts
    dimensions: int

    def vectors(self) -> Vectors:
        """Shape (n, dimensions), memory-mapped for as long as the array lives; what is written to it stays here."""
        mapped = np.load(self.folder / VECTORS, mmap_mode="c", allow_pickle=False)
        plain: Vectors = mapped.view(np.ndarray)
        return plain


def write(folder: Path, hashes: Hashes, tokens: Counts, vectors: Vectors, *, durable: bool) -> Segment:
    """Write a segment's files into a new folder.

    Args:
        folder: does not exist yet.
        hashes: shape (n,), in any order; of a repeated one the first row is kept.
        tokens: shape (n,).
        vectors: shape (n, dimensions).
        durable: synced to the disk, and with checksums for `read`; False for what only this process reads.

    Returns:
        The segment, in that folder.
    """
    folder.mkdir()
    kept, rows = unique(hashes)
    counts = tokens[rows]
    files = {
        VECTORS: _write_array(folder / VECTORS, vectors, rows, durable=durable),
        HASHES: _write_array(folder / HASHES, hashes, rows, durable=durable),
        TOKENS: _write_array(folder / TOKENS, tokens, rows, durable=durable),
    }
    if durable:
        write_json(folder / META, {"rows": len(kept), "dimensions": vectors.shape[1], "files": files})
        sync_folder(folder)
    return Segment(folder, kept, counts, vectors.shape[1])


def read(folder: Path, *, again: bool = False) -> Segment:
    """A segment whose checksums hold.

    Args:
        folder: of a published segment.
        again: read every byte, even of files whose checksum held before in this process.

    Raises:
        Damaged: a file is missing, or not what it was.
    """
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        for name in (VECTORS, HASHES, TOKENS):
            _check(folder / name, meta["files"][name], again=again)
        segment = Segment(
            folder,
            np.load(folder / HASHES, allow_pickle=False),
            np.load(folder / TOKENS, allow_pickle=False),
            meta["dimensions"],
        )
        if (
            not segment.vectors().shape
            == (*segment.hashes.shape, segment.dimensions)
            == (*segment.tokens.shape, segment.dimensions)
        ):
            raise Damaged("its arrays do not fit together")
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error
    return segment


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a small JSON file, whole or not at all, and synced to the disk."""
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_array(path: Path, array: npt.NDArray[Any], rows: Positions, *, durable: bool) -> dict[str, Any]:
    """Write some rows as .npy; the file's size and checksum. Unlike `np.save` it says when the disk is full."""
    header = io.BytesIO()
    shape = (len(rows), *array.shape[1:])
    descr = np.lib.format.dtype_to_descr(array.dtype)
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    step = max(1, _PIECE_BYTES // (array.itemsize * math.prod(shape[1:])))
    pieces = (array[rows[start : start + step]].tobytes() for start in range(0, len(rows), step))
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in chain([header.getvalue()], pieces):
            file.write(piece)
            if durable:
                digest.update(piece)
        file.flush()
        if durable:
            os.fsync(file.fileno())
        return {"bytes": file.tell(), "sha256": digest.hexdigest()}


def _check(path: Path, expected: dict[str, Any], *, again: bool) -> None:
    found = path.stat()
    version = (str(path), found.st_ino, found.st_size, found.st_mtime_ns)
    if version in _verified and not again:
        return
    if found.st_size != expected["bytes"] or file_sha256(path) != expected["sha256"]:
        raise Damaged(f"{path.name} does not match its checksum")
    _verified.add(version)
