"""Binary streams: counted for the progress bar, decoded line by line with the place of every bad byte."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from app.core.formats.problems import Problem, excerpt
from app.core.formats.reading import Progress, Reading

_BUFFER = 1 << 20
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Readable(Protocol):
    """What a stream is made from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end."""

    def close(self) -> None:
        """Let go of it."""


class _Counted(io.RawIOBase):
    """Passes the number of bytes of every read on."""

    def __init__(self, raw: Readable, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._raw = raw
        self._advance = advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._raw.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self._advance(len(chunk))
        return len(chunk)

    def close(self) -> None:
        self._raw.close()
        super().close()


def counted_stream(raw: Readable, advance: Callable[[int], None]) -> BinaryIO:
    """A buffered view of `raw` that calls `advance(n)` after every read of n bytes, 0 at the end; owns `raw`."""
    return cast("BinaryIO", io.BufferedReader(_Counted(raw, advance), _BUFFER))


@dataclass(slots=True)
class Place:
    """Where a reader is: the file's name and the row it is reading now."""

    file: str
    row: int = 1


def decoded_lines(stream: BinaryIO, place: Place, reading: Reading) -> Iterator[str]:
    r"""The lines of a UTF-8 stream with their line ends (`\n` or `\r\n`); a byte order mark is dropped.

    Raises:
        InvalidFile: `bad_encoding` with the byte's offset; `field_too_long` (413) for an endless line.
    """
    limit = reading.limits.max_line_bytes
    offset = 0
    while raw := stream.readline(limit + 1):
        if len(raw) > limit:
            message = f"Row {place.row} is longer than {limit:,} bytes."
            reading.problems.fail(Problem("field_too_long", message, place.file, place.row), status=413)
        try:
            line = raw.decode()
        except UnicodeDecodeError as error:
            reading.problems.fail(_bad_encoding(raw, offset, error.start, place))
        yield line.removeprefix("\ufeff") if offset == 0 else line
        offset += len(raw)


def _bad_encoding(raw: bytes, offset: int, start: int, place: Place) -> Problem:
    shown = raw[max(0, start - 20) : start + 20].decode(errors="backslashreplace")
    if offset == 0 and raw.startswith(_UTF16_MARKS):
        message = "The file is UTF-16. Save it as UTF-8."
    else:
        message = (
            f"Byte {offset + start:,} (0x{raw[start]:02x}, in row {place.row}) is not UTF-8. "
            "The file may be in another encoding; save it as UTF-8."
        )
    return Problem("bad_encoding", message, place.file, place.row, excerpt=excerpt(shown))


class Meter:
    """Adds up what several streams have read, and tells `progress`."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def advance(self, count: int) -> None:
        """`count` bytes more."""
        self._done += count
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)
