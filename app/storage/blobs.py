"""Content-addressed files: written under a temporary name, synced, renamed; never seen half."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.errors import TooLarge

_CHUNK = 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored file: its name (sha256 of its bytes) and its size in bytes."""

    sha256: str
    size: int


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

    def put(self, source: BinaryIO, *, max_bytes: int | None = None) -> Blob:
        """Store everything `source` has left to read.

        Raises:
            TooLarge: more than `max_bytes`; nothing is kept.
        """
        incoming = self.root / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=incoming)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                blob = _copy(source, out, max_bytes)
                out.flush()
                os.fsync(out.fileno())
            self._publish(temporary, blob.sha256)
        finally:
            temporary.unlink(missing_ok=True)
        return blob

    def put_file(self, path: Path) -> Blob:
        """Store a copy of the file at `path`."""
        with path.open("rb") as source:
            return self.put(source)

    def delete(self, sha256: str) -> None:
        """Remove that blob; does nothing when it is gone already."""
        self.path(sha256).unlink(missing_ok=True)

    def stored(self) -> Iterator[Blob]:
        """Every blob, in no particular order."""
        for folder in self.root.glob("??"):
            for path in folder.iterdir():
                yield Blob(path.name, path.stat().st_size)

    def _publish(self, temporary: Path, sha256: str) -> None:
        target = self.path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(target)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _copy(source: BinaryIO, out: BinaryIO, max_bytes: int | None) -> Blob:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        if max_bytes is not None and size > max_bytes:
            raise TooLarge(
                f"The file is larger than {max_bytes:,} bytes, the most this server accepts. "
                "Split it, or ask an admin to raise TOUCHSTONE_UPLOAD_MAX_BYTES."
            )
        digest.update(chunk)
        out.write(chunk)
    return Blob(digest.hexdigest(), size)
