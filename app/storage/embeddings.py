"""The vector store: immutable segments of vectors by text hash, for every way of encoding one folder.

```
<root>/<key>/store.json                    what the key was made from; its time of change is that of the last use
<root>/<key>/<time>-<random>/vectors.npy   (rows, dimensions) float32
                             hashes.npy    (rows,) ascending 128-bit text hashes
                             tokens.npy    (rows,) int32, tokens of each text beyond any limit
                             meta.json     rows, dimensions, and each file's size and sha256
```

A segment is written under a name with a leading dot, synced and renamed, so that it is whole or absent. Whoever
is killed loses only what was not yet published; writers on several machines may hold the same text twice, and
the segment published first then counts. A segment is checked by its checksums once a process; one that does not
match is renamed `*.damaged`, and its texts are missing again.
"""

import contextlib
import errno
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.core.fingerprints import HASH_DTYPE, encode_key
from app.errors import RunFailure
from app.storage import segments
from app.storage.hash_index import Hashes, HashIndex, Positions
from app.storage.segments import Counts, Damaged, Segment, Vectors

log = logging.getLogger(__name__)

FORMAT = 2
"""Part of every key, so that what another version wrote is not looked at."""

ABOUT = "store.json"

_GATHERED_AT_ONCE = 4_096
_ABANDONED_SECONDS = 24 * 3600.0
_TOUCH_SECONDS = 60.0
_CHECKERS = 4


class EmbeddingStore:
    """The vectors of one way of encoding.

    Args:
        root: the folder of all stores.
        made_from: everything that changes a vector (`app.core.fingerprints.encode_key`).
        durable: False where the folder goes with this process: nothing is synced or checked then.
    """

    def __init__(self, root: Path, made_from: Mapping[str, str | int | None], *, durable: bool = True) -> None:
        self.made_from = {"format": FORMAT, **made_from}
        self.key = encode_key(**self.made_from)
        self.folder = root / self.key
        self._durable = durable
        self._segments: dict[str, Segment] = {}
        self._touched = -_TOUCH_SECONDS

    def missing(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Which texts no segment holds; looks for segments that others published meanwhile.

        Args:
            hashes: shape (n,), in any order.

        Returns:
            Shape (n,), in the order of `hashes`.
        """
        self._refresh()
        return self._index.find(hashes) < 0

    def append(self, hashes: Hashes, vectors: Vectors, tokens: npt.ArrayLike) -> None:
        """Publish one more segment.

        Args:
            hashes: shape (n,), in any order; of a repeated text the first row is kept. None: nothing happens.
            vectors: shape (n, dimensions).
            tokens: shape (n,), of each text, beyond any limit of the model.

        Raises:
            RunFailure: `disk_full`.
        """
        vectors, counts = np.asarray(vectors, np.float32), np.asarray(tokens, np.int32)
        if not len(hashes) == len(vectors) == len(counts):
            raise ValueError(f"{len(hashes)} hashes for {len(vectors)} vectors and {len(counts)} token counts")
        if not len(hashes):
            return
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        temporary = self.folder / (segments.TEMPORARY + name)
        try:
            self._begin()
            written = segments.write(temporary, hashes, counts, vectors, durable=self._durable)
            temporary.rename(self.folder / name)
            if self._durable:
                segments.sync_folder(self.folder)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise RunFailure(
                "The disk that holds the vector store is full.",
                code="disk_full",
                remedy="Free some space in the data folder and start the run again: it resumes where it stopped.",
            ) from error
        self._take({**self._segments, name: replace(written, folder=self.folder / name)})

    def gather(self, hashes: Hashes) -> Vectors:
        """The vectors of texts that are all here; for many of them see `blocks`.

        Args:
            hashes: shape (n,), in any order, repeated or not.

        Returns:
            Shape (n, dimensions), a copy in the order of `hashes`; (0, 0) for none.

        Raises:
            LookupError: a text is not here.
        """
        gathered = np.empty((0, 0), np.float32)
        for positions, vectors in self.blocks(hashes, _GATHERED_AT_ONCE):
            if not gathered.size:
                gathered = np.empty((len(hashes), vectors.shape[1]), np.float32)
            gathered[positions] = vectors
        return gathered

    def blocks(self, hashes: Hashes, rows: int) -> Iterator[tuple[Positions, Vectors]]:
        """The vectors of texts that are all here, a few at a time, in the order in which they lie on the disk.

        Args:
            hashes: shape (n,), in any order, repeated or not.
            rows: vectors a block, at least 1.

        Yields:
            Positions in `hashes`, each once in all, and their vectors, shape (at most `rows`, dimensions): a part
            of the memory map where they lie together, else a copy.

        Raises:
            LookupError: a text is not here.
        """
        places = self._places(hashes)
        order = np.argsort(places, kind="stable")
        for start in range(0, len(order), rows):
            positions = order[start : start + rows]
            self._touch()
            yield positions, self._read(places[positions])

    def tokens(self, hashes: Hashes) -> Counts:
        """The tokens of texts that are all here, beyond any limit of the model.

        Args:
            hashes: shape (n,), in any order, repeated or not.

        Returns:
            Shape (n,), in the order of `hashes`.

        Raises:
            LookupError: a text is not here.
        """
        places = self._places(hashes)
        known = [segment.tokens for segment in self._segments.values()]
        counts: Counts = np.concatenate([np.empty(0, np.int32), *known])[places]
        return counts

    def _places(self, hashes: Hashes) -> Positions:
        """Where each text stands when all segments lie one after another."""
        places = self._index.find(hashes)
        if (places < 0).any():
            self._refresh()
            places = self._index.find(hashes)
        lacking = int((places < 0).sum())
        if lacking:
            raise LookupError(f"{lacking} of {len(hashes)} texts have no vector in {self.folder}")
        return places

    def _read(self, places: Positions) -> Vectors:
        """The vectors at ascending places."""
        own, ends = list(self._segments.values()), self._ends
        first, last = np.searchsorted(ends, places[[0, -1]], side="right")
        begin = places[0] - (ends[first] - len(own[first].hashes))
        if first == last and (np.diff(places) == 1).all():
            lying_together: Vectors = own[first].vectors()[begin : begin + len(places)]
            return lying_together
        found = np.empty((len(places), own[first].dimensions), np.float32)
        for number in range(first, last + 1):
            start = ends[number] - len(own[number].hashes)
            left, right = np.searchsorted(places, (start, ends[number]))
            np.take(own[number].vectors(), places[left:right] - start, axis=0, out=found[left:right], mode="clip")
        return found

    @cached_property
    def _index(self) -> HashIndex:
        """The hashes of all segments, one after another."""
        return HashIndex(np.concatenate([np.empty(0, HASH_DTYPE), *(s.hashes for s in self._segments.values())]))

    @cached_property
    def _ends(self) -> Positions:
        """The place after the last of each segment."""
        return np.cumsum([len(segment.hashes) for segment in self._segments.values()], dtype=np.int64)

    def _take(self, found: dict[str, Segment]) -> None:
        """These are the segments from here on."""
        if found.keys() != self._segments.keys():
            self.__dict__.pop("_index", None)
            self.__dict__.pop("_ends", None)
        self._segments = found

    def _refresh(self) -> None:
        """Take in what was published since, oldest first; set damage aside."""
        self._touch()
        names = sorted(path.name for path in self.folder.iterdir() if path.is_dir()) if self.folder.is_dir() else []
        for name in names:
            if name.startswith(segments.TEMPORARY):
                _remove_if_abandoned(self.folder / name)
        published = [name for name in names if is_segment(name)]
        new = [name for name in published if name not in self._segments]
        with ThreadPoolExecutor(_CHECKERS) as checkers:
            opened = dict(zip(new, checkers.map(open_or_set_aside, (self.folder / name for name in new)), strict=True))
        known: dict[str, Segment] = {}
        for name in published:
            segment = self._segments.get(name) or opened[name]
            if segment is not None and known and segment.dimensions != next(iter(known.values())).dimensions:
                set_aside(segment.folder, f"{segment.dimensions} dimensions where others have more or fewer")
            elif segment is not None:
                known[name] = segment
        self._take(known)

    def _begin(self) -> None:
        """Make the folder, and say in it what it is for."""
        if (self.folder / ABOUT).is_file():
            self._touch()
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        segments.write_json(self.folder / ABOUT, self.made_from)

    def _touch(self) -> None:
        """Remember that the store is in use."""
        now = time.monotonic()
        if now - self._touched >= _TOUCH_SECONDS:
            with contextlib.suppress(FileNotFoundError):  # nothing was stored yet
                os.utime(self.folder / ABOUT)
                self._touched = now


def is_segment(name: str) -> bool:
    """Whether a folder in a store is a published segment that was not set aside."""
    return not name.startswith(segments.TEMPORARY) and not name.endswith(segments.DAMAGED)


def open_or_set_aside(folder: Path, *, again: bool = False) -> Segment | None:
    """The segment, checked; None when it is damaged, and then set aside, or just removed by somebody else.

    Args:
        folder: of a published segment.
        again: also read what was checked before in this process.
    """
    try:
        return segments.read(folder, again=again)
    except Damaged as error:
        set_aside(folder, str(error))
        return None


def set_aside(folder: Path, fault: str) -> None:
    """Take a segment out of its store."""
    log.warning("damaged vectors set aside: %s: %s", folder, fault)
    with contextlib.suppress(FileNotFoundError, FileExistsError):  # another worker was quicker
        folder.rename(folder.with_name(folder.name + segments.DAMAGED))


def _remove_if_abandoned(folder: Path) -> None:
    """Remove what a killed writer left, once no living one can be writing it."""
    with contextlib.suppress(FileNotFoundError):
        if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
