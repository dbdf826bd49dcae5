"""Content-addressed files: written under a temporary name, synced, renamed; never seen half."""

import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from app.errors import AppError, TooLarge

_CHUNK = 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ABANDONED_SECONDS = 24 * 3600
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class StorageFull(AppError):
    """The disk under the data folder has no room for the file."""

    status = 507
    default_code = "disk_full"


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored file: its name (sha256 of its bytes) and its size in bytes."""

    sha256: str
    size: int


class Incoming:
    """A file on its way in: written piece by piece, in the store once it is kept."""

    def __init__(self, store: "BlobStore", path: Path, file: FileIO, max_bytes: int | None) -> None:
        self._store = store
        self._path = path
        self._file = file  # unbuffered: a full disk is noticed by the write itself
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The hash of what was written so far."""
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append `chunk`.

        Raises:
            TooLarge: more than `max_bytes` in all.
            StorageFull: the disk has no room.
        """
        self.size += len(chunk)
        if self._max_bytes is not None and self.size > self._max_bytes:
            raise TooLarge(
                f"The file is larger than {self._max_bytes:,} bytes, the most this server accepts. "
                "Split it, or ask an admin to raise TOUCHSTONE_UPLOAD_MAX_BYTES."
            )
        self._digest.update(chunk)
        rest = memoryview(chunk)
        with _room():
            while rest:
                rest = rest[self._file.write(rest) :]

    def keep(self) -> Blob:
        """Sync the file and give it its name in the store; nothing can be written afterwards."""
        with _room():
            self._file.flush()
            os.fsync(self._file.fileno())
        self._store.publish(self._path, self.sha256)
        return Blob(self.sha256, self.size)


class BlobStore:
    """Files under one folder, each named by the sha256 of its content. Storing the same bytes twice keeps one."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        """Where that blob lies, whether it exists or not.

        Raises:
            ValueError: not 64 lowercase hexadecimal digits.
        """
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is no sha256")
        return self.root / sha256[:2] / sha256

    def exists(self, sha256: str) -> bool:
        """Whether that blob is here."""
        return self.path(sha256).is_file()

    @contextmanager
    def incoming(self, *, max_bytes: int | None = None) -> Iterator[Incoming]:
        """A new file in quarantine; unless it is kept, nothing of it remains at the end."""
        folder = self.root / "incoming"
        folder.mkdir(parents=True, exist_ok=True)
        drop_abandoned(folder)
        descriptor, name = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                yield Incoming(self, Path(name), file, max_bytes)
        finally:
            Path(name).unlink(missing_ok=True)

    def put(self, source: BinaryIO, *, max_bytes: int | None = None) -> Blob:
        """Store everything `source` has left to read.

        Raises:
            TooLarge: more than `max_bytes`; nothing is kept.
            StorageFull: the disk has no room; nothing is kept.
        """
        with self.incoming(max_bytes=max_bytes) as incoming:
            while chunk := source.read(_CHUNK):
                incoming.write(chunk)
            return incoming.keep()

    def put_file(self, path: Path) -> Blob:
        """Store a copy of the file at `path`."""
        with path.open("rb") as source:
            return self.put(source)

    def publish(self, temporary: Path, sha256: str) -> None:
        """Move a synced file of this file system to its name."""
        target = self.path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(target)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def delete(self, sha256: str) -> None:
        """Remove that blob; does nothing when it is gone already."""
        self.path(sha256).unlink(missing_ok=True)

    def stored(self) -> Iterator[Blob]:
        """Every blob, in no particular order."""
        for folder in self.root.glob("??"):
            for path in folder.iterdir():
                yield Blob(path.name, path.stat().st_size)


@contextmanager
def _room() -> Iterator[None]:
    """Says in words that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise StorageFull("The server's disk is full, so nothing was stored. Tell an admin.") from error


def drop_abandoned(folder: Path) -> None:
    """Remove the files and folders that killed processes left a day ago; what is being written is younger."""
    oldest = time.time() - _ABANDONED_SECONDS
    for path in folder.iterdir():
        try:
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except FileNotFoundError:
            continue  # its own process was faster
