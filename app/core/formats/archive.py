"""Several files as one upload: a zip, read without trusting it and without extracting it, or a folder."""

import contextlib
import copy
import re
import stat
import struct
import sys
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NoReturn, Protocol, TypeVar

from app.core.formats.problems import InvalidFile, Problem, quoted
from app.core.formats.reading import Limits
from app.core.formats.records import UNSAFE_IN_NAMES
from app.core.formats.sniff import HEAD_BYTES, foreign_kind, is_zip, unsupported
from app.core.formats.streams import counted_stream

MAX_RATIO = 200
_RATIO_MATTERS_FROM = 16 * 1024**2
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_UTF8_NAME = 0x800
_LOCAL_HEADER_BYTES = 30
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OFFICE = {
    "[Content_Types].xml": "an Office document",
    "META-INF/MANIFEST.MF": "a Java archive",
    "mimetype": "a document",
}
_BINARY_MEMBERS = {".npy": "a NumPy archive", ".pkl": "a saved model"}
_ARCHIVES = {".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".tar", ".7z", ".rar", ".jar"}
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)

Advance = Callable[[int], None]
Entry = TypeVar("Entry")


class Bundle(Protocol):
    """Files that belong together, by name with `/`; one top folder around all of them is left out."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every file that is not an operating system's own, sorted."""

    def size(self, name: str) -> int:
        """Its size in bytes, unpacked."""

    def open(self, name: str, advance: Advance) -> BinaryIO:
        """Its bytes; `advance` is told of every piece read."""


class Folder:
    """A folder on this machine; for the command line, where the files are the caller's own."""

    def __init__(self, root: Path) -> None:
        found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        self._paths = _without_top(found)

    @property
    def names(self) -> tuple[str, ...]:
        """See `Bundle`."""
        return tuple(sorted(self._paths))

    def size(self, name: str) -> int:
        """See `Bundle`."""
        return self._paths[name].stat().st_size

    def open(self, name: str, advance: Advance) -> BinaryIO:
        """See `Bundle`."""
        return counted_stream(self._paths[name].open("rb"), advance)


class Zip:
    """A zip that passed every check which its directory allows; the rest is checked while reading."""

    def __init__(self, archive: zipfile.ZipFile, filename: str, limits: Limits) -> None:
        self._archive = archive
        self._filename = filename
        entries = archive.infolist()
        _check_kind(entries, filename)
        if len(entries) > limits.max_entries:
            message = f"The zip has {len(entries):,} entries; at most {limits.max_entries} are read."
            _refuse("too_many_entries", message, filename, status=413)
        for entry in entries:
            _check_entry(entry, filename)
        _check_names(entries, filename)
        _check_layout(entries, archive.start_dir, filename)
        _check_sizes(entries, limits, filename)
        self._entries = _without_top({entry.filename: entry for entry in entries if not entry.is_dir()})

    @property
    def names(self) -> tuple[str, ...]:
        """See `Bundle`."""
        return tuple(sorted(self._entries))

    def size(self, name: str) -> int:
        """See `Bundle`."""
        return self._entries[name].file_size

    def open(self, name: str, advance: Advance) -> BinaryIO:
        """See `Bundle`.

        Raises:
            InvalidFile: here or while reading: `bad_zip`, `lying_size`, `nested_archive`, `unsupported_file` (415).
        """
        entry = self._entries[name]
        unbounded = copy.copy(entry)
        unbounded.file_size = sys.maxsize  # so that zipfile reads to the real end, and _Member sees a lie
        with _damage_refused(self._filename), self._archive.open(unbounded) as member:
            head = member.read(HEAD_BYTES)
        if is_zip(head):
            _refuse("nested_archive", f"{quoted(name)} is itself an archive. Pack the files directly.", self._filename)
        kind = foreign_kind(head)
        if kind is not None:
            unsupported(f"{quoted(name)} in the zip is {kind}.", self._filename)
        with _damage_refused(self._filename):
            raw = self._archive.open(unbounded)
        return counted_stream(_Member(raw, entry.file_size, name, self._filename), advance)


class _Member:
    """The bytes of a zip's member; refuses damage, and any other size than the declared one."""

    def __init__(self, raw: IO[bytes], declared: int, name: str, filename: str) -> None:
        self._raw, self._left, self._name, self._filename = raw, declared, name, filename

    def read(self, size: int) -> bytes:
        with _damage_refused(self._filename):
            chunk = self._raw.read(size)
        self._left -= len(chunk)
        if self._left < 0 or (not chunk and self._left):
            message = f"{quoted(self._name)} has another size than the zip's directory says. Pack the zip again."
            _refuse("lying_size", message, self._filename)
        return chunk

    def close(self) -> None:
        self._raw.close()


@contextlib.contextmanager
def open_zip(path: Path, filename: str, limits: Limits) -> Iterator[Zip]:
    """A checked zip, open for the length of a `with`.

    Raises:
        InvalidFile: 413 `too_many_entries`, `zip_bomb`; 415 for an Office document and the like; 422 `bad_zip`,
            `encrypted`, `link`, `unsafe_name`, `doubled_name`, `nested_archive`, `overlapping_entries`.
    """
    with contextlib.ExitStack() as stack:
        with _damage_refused(filename):
            archive = stack.enter_context(zipfile.ZipFile(path))
        yield Zip(archive, filename, limits)


@contextlib.contextmanager
def _damage_refused(filename: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        message = f"The zip is damaged: {error}. Pack it again." if str(error) else "The zip is damaged. Pack it again."
        raise InvalidFile([Problem("bad_zip", message, filename)]) from error


def _refuse(code: str, message: str, filename: str, status: int = 422) -> NoReturn:
    raise InvalidFile([Problem(code, message, filename)], status=status)


def _check_kind(entries: list[zipfile.ZipInfo], filename: str) -> None:
    """Refuse other formats that are zips inside."""
    for entry in entries:
        kind = _OFFICE.get(entry.filename) or _BINARY_MEMBERS.get(PurePosixPath(entry.filename).suffix.lower())
        if kind is not None:
            unsupported(f"This is {kind}.", filename)


def _check_entry(entry: zipfile.ZipInfo, filename: str) -> None:
    name = entry.orig_filename
    parts = name.removesuffix("/").split("/")
    if (
        not all(parts)
        or {".", ".."} & set(parts)
        or "\\" in name
        or re.match(r"[A-Za-z]:", name)
        or UNSAFE_IN_NAMES.search(name)
    ):
        message = f"The zip has an entry named {quoted(name)}. Names must be plain relative paths with /."
        _refuse("unsafe_name", message, filename)
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        _refuse("link", f"{quoted(name)} in the zip is a link or a device. Pack the file itself.", filename)
    if entry.flag_bits & _ENCRYPTED:
        _refuse("encrypted", f"{quoted(name)} in the zip is encrypted. Pack the zip without a password.", filename)
    if entry.compress_type not in _METHODS:
        _refuse(
            "unsupported_compression", f"{quoted(name)} in the zip is packed by a method other than Deflate.", filename
        )
    if PurePosixPath(name).suffix.lower() in _ARCHIVES and not _is_litter(name):
        _refuse("nested_archive", f"{quoted(name)} is itself an archive. Pack the files directly.", filename)


def _check_names(entries: list[zipfile.ZipInfo], filename: str) -> None:
    seen: set[str] = set()
    for entry in entries:
        key = unicodedata.normalize("NFC", entry.filename).casefold()
        if key in seen:
            message = f"The zip has {quoted(entry.filename)} twice (or names that differ only in case)."
            _refuse("doubled_name", message, filename)
        seen.add(key)


def _check_layout(entries: list[zipfile.ZipInfo], end: int, filename: str) -> None:
    """Refuse entries that share bytes: the trick of the densest bombs."""
    for entry in sorted(entries, key=lambda entry: entry.header_offset, reverse=True):
        name_bytes = len(entry.orig_filename.encode() if entry.flag_bits & _UTF8_NAME else entry.orig_filename)
        if entry.header_offset + _LOCAL_HEADER_BYTES + name_bytes + entry.compress_size > end:
            _refuse("overlapping_entries", "Entries of the zip overlap. Pack it again.", filename)
        end = entry.header_offset


def _check_sizes(entries: list[zipfile.ZipInfo], limits: Limits, filename: str) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if unpacked > limits.max_unpacked_bytes:
        message = f"Unpacked, the zip holds {unpacked:,} bytes; at most {limits.max_unpacked_bytes:,} are read."
        _refuse("zip_bomb", message, filename, status=413)
    if unpacked > _RATIO_MATTERS_FROM and unpacked > MAX_RATIO * max(packed, 1):
        message = f"The zip unpacks to more than {MAX_RATIO} times its size. Split it, or send the files one by one."
        _refuse("zip_bomb", message, filename, status=413)


def _is_litter(name: str) -> bool:
    """Whether an operating system left this file there."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith(".")


def _without_top(files: dict[str, Entry]) -> dict[str, Entry]:
    """The files without litter, and without the one top folder that holds them all, if there is one."""
    wanted = {name: entry for name, entry in files.items() if not _is_litter(name)}
    tops = {name.split("/", 1)[0] for name in wanted if "/" in name}
    if len(tops) == 1 and all("/" in name for name in wanted):
        return {name.split("/", 1)[1]: entry for name, entry in wanted.items()}
    return wanted
