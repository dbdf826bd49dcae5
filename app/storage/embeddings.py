"""The vector store: immutable segments of vectors by text hash, for every way of encoding one folder.

```
<root>/<encode key>/<time>-<random>/vectors.npy   (rows, dimensions) float32
                                    hashes.npy    (rows,) sorted 128-bit text hashes
                                    meta.json     rows, dimensions, and each file's size and sha256
```

A segment is written under a name with a leading dot, synced and renamed, so that it is whole or absent. Whoever
is killed loses only what was not yet published; writers on several machines may hold the same text twice, and
the segment published first then counts. A segment whose files do not match their checksums is renamed
`*.damaged`, and its texts are missing again.
"""

import contextlib
import errno
import json
import logging
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.core.fingerprints import HASH_DTYPE, file_sha256
from app.errors import RunFailure

log = logging.getLogger(__name__)

Hashes = npt.NDArray[np.void]
Vectors = npt.NDArray[np.float32]

_FORMAT = 1
_VECTORS, _HASHES, _META = "vectors.npy", "hashes.npy", "meta.json"
_DAMAGED = ".damaged"
_TEMPORARY = "."
_ABANDONED_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class _Segment:
    """A published and verified segment."""

    folder: Path
    hashes: Hashes
    dimensions: int

    def vectors(self) -> Vectors:
        """The rows, memory-mapped for as long as the array lives."""
        mapped: Vectors = np.load(self.folder / _VECTORS, mmap_mode="r", allow_pickle=False)
        return mapped


class _Damaged(Exception):
    """The files of a segment are not what its meta.json says."""


class EmbeddingStore:
    """The vectors of one way of encoding.

    Args:
        root: the folder of all stores.
        key: the encode key (`app.core.fingerprints.encode_key`).
    """

    def __init__(self, root: Path, key: str) -> None:
        self.folder = root / key
        self._segments: dict[str, _Segment] = {}
        self._index: tuple[Hashes, npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None

    def missing(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Which texts no segment holds; looks for segments that others published meanwhile.

        Args:
            hashes: shape (n,), in any order.

        Returns:
            Shape (n,), in the order of `hashes`.
        """
        self._refresh()
        return self._find(hashes) < 0

    def append(self, hashes: Hashes, vectors: Vectors) -> None:
        """Publish one more segment.

        Args:
            hashes: shape (n,), in any order; of a repeated text the first row is kept. None: nothing happens.
            vectors: shape (n, dimensions).

        Raises:
            RunFailure: `disk_full`.
        """
        if len(hashes) != len(vectors):
            raise ValueError(f"{len(hashes)} hashes for {len(vectors)} vectors")
        if not len(hashes):
            return
        ordered, rows = np.unique(hashes, return_index=True)
        content = {_VECTORS: np.ascontiguousarray(vectors[rows], dtype=np.float32), _HASHES: ordered}
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        temporary = self.folder / (_TEMPORARY + name)
        try:
            _write_segment(temporary, content)
            temporary.rename(self.folder / name)
            _sync_folder(self.folder)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if _is_disk_full(error, self.folder, sum(array.nbytes for array in content.values())):
                raise RunFailure(
                    "The disk that holds the vector store is full.",
                    code="disk_full",
                    remedy="Free some space in the data folder and start the run again: it resumes where it stopped.",
                ) from error
            raise
        self._segments[name] = _Segment(self.folder / name, ordered, vectors.shape[1])
        self._index = None

    def gather(self, hashes: Hashes) -> Vectors:
        """The vectors of texts that are all here.

        Args:
            hashes: shape (n,), in any order, repeated or not.

        Returns:
            Shape (n, dimensions), a copy in the order of `hashes`; (0, 0) for none.

        Raises:
            LookupError: a text is not here.
        """
        position = self._find(hashes)
        if (position < 0).any():
            self._refresh()
            position = self._find(hashes)
        if (position < 0).any():
            raise LookupError(f"{int((position < 0).sum())} of {len(hashes)} texts have no vector in {self.folder}")
        if not len(hashes):
            return np.empty((0, 0), np.float32)
        _, owners, rows = self._lookup()
        segments = list(self._segments.values())
        gathered = np.empty((len(hashes), segments[0].dimensions), np.float32)
        owner = owners[position]
        for number in np.unique(owner):
            wanted = np.flatnonzero(owner == number)
            gathered[wanted] = segments[number].vectors()[rows[position[wanted]]]
        return gathered

    def _find(self, hashes: Hashes) -> npt.NDArray[np.int64]:
        """The position of each hash in the index, or -1."""
        known, _, _ = self._lookup()
        if not len(known):
            return np.full(len(hashes), -1, np.int64)
        position = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
        return np.where(known[position] == hashes, position, -1)

    def _lookup(self) -> tuple[Hashes, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Every hash once, sorted, with the number of its segment and its row there."""
        if self._index is None:
            parts = [segment.hashes for segment in self._segments.values()]
            if not parts:
                nothing = np.empty(0, np.int64)
                return np.empty(0, HASH_DTYPE), nothing, nothing
            known, first = np.unique(np.concatenate(parts), return_index=True)
            owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
            rows = np.concatenate([np.arange(len(part)) for part in parts])
            self._index = known, owners[first], rows[first]
        return self._index

    def _refresh(self) -> None:
        """Take in what was published since, oldest first; set damage aside."""
        names = sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []
        segments: dict[str, _Segment] = {}
        for name in names:
            if name.startswith(_TEMPORARY):
                self._remove_if_abandoned(self.folder / name)
            elif not name.endswith(_DAMAGED):
                lengths = {segment.dimensions for segment in segments.values()}
                segment = self._segments.get(name) or self._open(self.folder / name, lengths)
                if segment is not None:
                    segments[name] = segment
        self._segments = segments
        self._index = None

    def _open(self, folder: Path, lengths: set[int]) -> _Segment | None:
        """The segment, verified; None when it is damaged (then set aside) or just removed by somebody else."""
        try:
            return _read_segment(folder, lengths)
        except (_Damaged, FileNotFoundError, ValueError, KeyError, TypeError) as error:
            log.warning("damaged vectors set aside: %s: %s", folder, error)
            with contextlib.suppress(OSError):  # another worker was quicker
                folder.rename(folder.with_name(folder.name + _DAMAGED))
            return None

    def _remove_if_abandoned(self, folder: Path) -> None:
        """Remove what a killed writer left, once no living one can be writing it."""
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _write_segment(folder: Path, content: dict[str, npt.NDArray[Any]]) -> None:
    folder.mkdir()
    files = {}
    for name, array in content.items():
        path = folder / name
        with path.open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        files[name] = {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
    rows, dimensions = content[_VECTORS].shape
    meta = {"format": _FORMAT, "rows": rows, "dimensions": dimensions, "dtype": "float32", "files": files}
    with (folder / _META).open("w", encoding="utf-8") as file:
        json.dump(meta, file)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(folder)


def _read_segment(folder: Path, lengths: set[int]) -> _Segment:
    """A segment whose checksums hold and whose vectors are as long as those of the others, if `lengths` has any."""
    meta = json.loads((folder / _META).read_text(encoding="utf-8"))
    for name in (_VECTORS, _HASHES):
        expected, path = meta["files"][name], folder / name
        if path.stat().st_size != expected["bytes"] or file_sha256(path) != expected["sha256"]:
            raise _Damaged(f"{name} does not match its checksum")
    hashes = np.load(folder / _HASHES, allow_pickle=False)
    segment = _Segment(folder, hashes, meta["dimensions"])
    if segment.vectors().shape != (len(hashes), segment.dimensions) or lengths - {segment.dimensions}:
        raise _Damaged("vectors of another shape")
    return segment


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_disk_full(error: OSError, folder: Path, wanted_bytes: int) -> bool:
    """Whether there is no room; numpy's own error carries no errno, so the free space is looked at as well."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return error.errno is None and shutil.disk_usage(folder).free < wanted_bytes
