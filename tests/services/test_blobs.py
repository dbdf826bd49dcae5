"""The blob store: one file a content, nothing half, nothing left behind."""

import errno
import hashlib
import io
import os
import time
from pathlib import Path
from typing import Any

import pytest

from app.errors import TooLarge
from app.storage.blobs import Blob, BlobStore, Incoming, StorageFull


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def _files(blobs: BlobStore) -> list[Path]:
    return [path for path in blobs.root.rglob("*") if path.is_file()]


def test_the_same_bytes_are_stored_once_under_their_hash(blobs: BlobStore) -> None:
    content = b"a,b\n1,2\n"
    first, second = blobs.put(io.BytesIO(content)), blobs.put(io.BytesIO(content))
    assert first == second == Blob(hashlib.sha256(content).hexdigest(), len(content))
    assert blobs.path(first.sha256).read_bytes() == content
    assert list(blobs.stored()) == [first]
    assert _files(blobs) == [blobs.path(first.sha256)]


def test_a_file_larger_than_a_buffer_comes_through_whole(blobs: BlobStore, tmp_path: Path) -> None:
    content = os.urandom(3 * 1024**2 + 7)
    (tmp_path / "big").write_bytes(content)
    blob = blobs.put_file(tmp_path / "big")
    assert blob.size == len(content)
    assert hashlib.sha256(blobs.path(blob.sha256).read_bytes()).hexdigest() == blob.sha256


@pytest.mark.parametrize(("size", "kept"), [(9, True), (10, True), (11, False)])
def test_the_limit_counts_bytes_and_leaves_nothing(blobs: BlobStore, size: int, kept: bool) -> None:
    if kept:
        assert blobs.put(io.BytesIO(b"x" * size), max_bytes=10).size == size
    else:
        with pytest.raises(TooLarge, match="larger than 10 bytes"):
            blobs.put(io.BytesIO(b"x" * size), max_bytes=10)
    assert len(_files(blobs)) == int(kept)


def test_what_is_not_kept_is_gone(blobs: BlobStore) -> None:
    with blobs.incoming() as incoming:
        incoming.write(b"one ")
        incoming.write(b"two")
        assert incoming.size == 7
        assert incoming.sha256 == hashlib.sha256(b"one two").hexdigest()
        assert len(_files(blobs)) == 1
    assert _files(blobs) == []
    assert list(blobs.stored()) == []


def test_what_is_kept_appears_only_then(blobs: BlobStore) -> None:
    with blobs.incoming() as incoming:
        incoming.write(b"text")
        assert not blobs.exists(incoming.sha256)
        blob = incoming.keep()
        assert blobs.exists(blob.sha256)
    assert _files(blobs) == [blobs.path(blob.sha256)]


def test_a_killed_process_leaves_nothing_for_ever(blobs: BlobStore) -> None:
    folder = blobs.root / "incoming"
    folder.mkdir(parents=True)
    old, fresh = folder / "old", folder / "fresh"
    for path, age in ((old, 25 * 3600), (fresh, 3600)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    blobs.put(io.BytesIO(b"x"))
    assert (old.exists(), fresh.exists()) == (False, True)
    assert [blob.size for blob in blobs.stored()] == [1]


class _FailingFile(io.FileIO):
    """Takes 5 bytes in short writes and then fails."""

    def __init__(self, path: Path, number: int) -> None:
        super().__init__(path, "w")
        self._room = 5
        self._number = number

    def write(self, data: Any) -> int:
        if not self._room:
            raise OSError(self._number, os.strerror(self._number))
        piece = bytes(data)[: self._room]
        self._room -= len(piece)
        return super().write(piece) or 0


def test_a_full_disk_is_said_in_words(blobs: BlobStore, tmp_path: Path) -> None:
    path = tmp_path / "quarantine"
    with _FailingFile(path, errno.ENOSPC) as file:
        incoming = Incoming(blobs, path, file, None)
        incoming.write(b"abc")
        with pytest.raises(StorageFull, match="disk is full") as caught:
            incoming.write(b"defgh")
    assert caught.value.status == 507
    assert path.read_bytes() == b"abcde"


def test_other_errors_of_the_disk_stay_what_they_are(blobs: BlobStore, tmp_path: Path) -> None:
    path = tmp_path / "quarantine"
    with _FailingFile(path, errno.EIO) as file, pytest.raises(OSError, match="Input/output error"):
        Incoming(blobs, path, file, None).write(b"abcdefgh")


def test_deleting_twice_is_no_error(blobs: BlobStore) -> None:
    blob = blobs.put(io.BytesIO(b"x"))
    blobs.delete(blob.sha256)
    blobs.delete(blob.sha256)
    assert not blobs.exists(blob.sha256)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65])
def test_only_a_hash_is_a_name(blobs: BlobStore, name: str) -> None:
    with pytest.raises(ValueError, match="is no sha256"):
        blobs.path(name)
