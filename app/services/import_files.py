"""Folders and zips of MTEB results, read file by file without trusting them, and written as zips."""

import io
import os
import pickle
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from itertools import groupby
from pathlib import Path
from typing import Protocol, Self

from app.core.formats.archive import Zip
from app.core.formats.problems import InvalidFile
from app.core.formats.reading import Limits
from app.core.formats.records import UNSAFE_IN_NAMES
from app.errors import Invalid, TooLarge
from app.mteb.results import UnreadableFile

MODEL_CARD = "model_meta.json"
MAX_FILE_BYTES = 16 * 1024**2
"""The longest result file; the largest public ones have 3 MB."""
LIMITS = Limits(max_entries=500_000, max_unpacked_bytes=16 * 1024**3)

_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError)
_EXPERIMENTS = "experiments"
_PIECE = 1024**2
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FAST = 1
"""How hard zips are packed: the usual 6 takes three times as long, to make them a sixth smaller."""


class Source(Protocol):
    """Files by name with `/`."""

    def names(self) -> Iterable[str]:
        """Every file, those of a folder together; without what an operating system or git left there."""

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            UnreadableFile: it is damaged or too large.
        """


@dataclass(frozen=True, slots=True)
class Layout:
    """Where results lie: at `top` + `<org__name>/<revision>/<Task>.json`; `files` counts everything there is."""

    top: str
    files: int


class FolderSource:
    """A folder on this machine; the command line's own. Links are not followed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> Iterator[str]:
        """See `Source`."""
        return _walk(str(self._root), "")

    def read(self, name: str) -> bytes:
        """See `Source`."""
        try:
            with FileIO(f"{self._root}/{name}") as file:
                _refuse_large(os.fstat(file.fileno()).st_size)
                return file.read()
        except OSError as error:
            raise UnreadableFile(f"it cannot be read ({error.strerror})") from None


class ZipSource:
    """A zip whose directory was checked, see `open_zip`; or one of our own."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = sorted(entry.filename for entry in archive.infolist() if not _is_litter(entry))

    def names(self) -> list[str]:
        """See `Source`."""
        return self._names

    def read(self, name: str) -> bytes:
        """See `Source`."""
        entry = self._archive.getinfo(name)
        _refuse_large(entry.file_size)
        try:
            return self._archive.read(entry)
        except (*_DAMAGE, OSError) as error:
            raise UnreadableFile(f"it is damaged in the zip ({error})") from None


@contextmanager
def open_zip(path: Path, file_name: str, limits: Limits = LIMITS) -> Iterator[ZipSource]:
    """A zip that passed every check which its directory allows: see `app.core.formats.archive`.

    Raises:
        Invalid: `bad_zip`, `encrypted`, `unsafe_name`, `doubled_name` and the like.
        TooLarge: `zip_bomb`, `too_many_entries`.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (*_DAMAGE, OSError) as error:
        message = f"{file_name or 'The file'} is no zip that can be read ({error}). Pack the folder again."
        raise Invalid(message, code="bad_zip") from None
    with archive:
        try:
            Zip(archive, file_name, limits)
        except InvalidFile as error:
            kind = TooLarge if error.status == TooLarge.status else Invalid
            raise kind(error.problems[0].message, code=error.problems[0].code) from None
        yield ZipSource(archive)


def find_layout(source: Source) -> Layout | None:
    """Where the results lie, found by the highest `model_meta.json`, else by the highest JSON file; None without any.

    So a folder of results may lie deeper, as in a copy of MTEB's whole repository; but all of it in one place.
    """
    best: tuple[bool, int, str] | None = None
    files = 0
    for name in source.names():
        files += 1
        parents = name.split("/")
        file = parents.pop()
        if len(parents) >= 2 and file.endswith(".json") and _EXPERIMENTS not in parents:
            found = (file != MODEL_CARD, len(parents), "/".join([*parents[:-2], ""]))
            best = min(best or found, found)
    return Layout(best[2], files) if best else None


def result_folders(source: Source, layout: Layout) -> Iterator[tuple[str, list[str]]]:
    """Each `<org__name>/<revision>` with the names of its JSON files, the model card first."""
    top = layout.top
    wanted = (name for name in source.names() if name.endswith(".json") and _is_at(name, top))
    for folder, names in groupby(wanted, key=lambda name: name[len(top) :].rpartition("/")[0]):
        yield folder, sorted(names, key=lambda name: (not name.endswith(f"/{MODEL_CARD}"), name))


def result_names(source: Source) -> dict[str, str]:
    """Name by `<org__name>/<revision>/<file>` of every JSON file that lies where results lie."""
    layout = find_layout(source)
    if layout is None:
        return {}
    return {name[len(layout.top) :]: name for _, names in result_folders(source, layout) for name in names}


class _Directory(list[zipfile.ZipInfo]):
    """The entries of a zip that is being written, kept in a temporary file: there may be hundreds of thousands."""

    def __init__(self) -> None:
        super().__init__()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 -- see `close`
        self._count = 0

    def close(self) -> None:
        """Forget them."""
        self._file.close()

    def append(self, entry: zipfile.ZipInfo) -> None:
        pickle.dump(entry, self._file)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[zipfile.ZipInfo]:
        self._file.seek(0)
        for _ in range(self._count):
            yield pickle.load(self._file)  # noqa: S301 -- our own, written above


class _NoIndex(dict[str, zipfile.ZipInfo]):
    """For a zip that nobody looks into while it is written, and whose names are given once each."""

    def __setitem__(self, name: str, entry: zipfile.ZipInfo) -> None:
        pass


class ZipStream:
    """A zip that is written from left to right: `add` files, `take` what is ready. The same files give the same bytes.

    With a sink, pieces of a megabyte or so go there by themselves, and memory does not grow with the number of files;
    without one, the zip's own directory, some 150 bytes a file, is ready all at once at the end.
    """

    def __init__(self, sink: Callable[[bytes], None] | None = None) -> None:
        self._sink = sink
        self._ready = io.BytesIO()
        self._zip = zipfile.ZipFile(self, "w", zipfile.ZIP_DEFLATED)
        self._directory = _Directory()
        self._zip.filelist, self._zip.NameToInfo = self._directory, _NoIndex()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._zip.fp = None  # what was not finished by now is not to be finished when it is forgotten
        self._directory.close()

    def add(self, name: str, content: bytes) -> None:
        """Put a file in."""
        entry = zipfile.ZipInfo(name, _EPOCH)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = 0o644 << 16
        self._zip.writestr(entry, content, compresslevel=_FAST)

    def close(self) -> None:
        """Write the directory; nothing can be added afterwards."""
        self._zip.close()
        if self._sink:
            self._sink(self.take())

    def take(self, at_least: int = 0) -> bytes:
        """What was written since the last time; nothing while it is less than `at_least`."""
        if self._ready.tell() < at_least:
            return b""
        piece = self._ready.getvalue()
        self._ready = io.BytesIO()
        return piece

    def write(self, data: bytes) -> int:
        """For zipfile."""
        self._ready.write(data)
        if self._sink and self._ready.tell() >= _PIECE:
            self._sink(self.take())
        return len(data)

    def flush(self) -> None:
        """For zipfile."""


def zip_pieces(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """A zip of these (name, content) pairs, in pieces of a megabyte or so."""
    with ZipStream() as stream:
        for name, content in files:
            stream.add(name, content)
            if piece := stream.take(_PIECE):
                yield piece
        stream.close()
        yield stream.take()


def check_name(name: str) -> None:
    """Refuse names that no other system could hold.

    Raises:
        UnreadableFile: control characters, half of a surrogate pair, a backslash.
    """
    if UNSAFE_IN_NAMES.search(name) or "\\" in name:
        raise UnreadableFile("its name has control characters or a backslash")


def _walk(folder: str, prefix: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise Invalid(f"The folder {folder} cannot be read ({error.strerror}).", code="unreadable_folder") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{prefix}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            yield f"{prefix}{entry.name}"


def _is_at(name: str, top: str) -> bool:
    return name.startswith(top) and name.count("/", len(top)) == 2


def _is_litter(entry: zipfile.ZipInfo) -> bool:
    parts = entry.filename.split("/")
    return entry.is_dir() or parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts)


def _refuse_large(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise UnreadableFile(f"it has {size:,} bytes, and a result has at most {MAX_FILE_BYTES:,}")
