"""Pieces of pages that are the same for everybody, kept as they travel until they are asked for no more."""

import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final, cast

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.web.templating import page

_MOST_BYTES: Final = 24_000_000
_LEVEL: Final = 1
"""Pieces are large tables that everybody waits for: level 6 takes three times as long and makes a fifth less."""
_GZIP_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_PLACE: Final = Markup("<!--piece-->")
"""Where the piece goes in its frame; nothing that is escaped can look like it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What stands in a page's <main>: as bytes, and the same as deflate blocks that may stand between any others.

    `title` is that of the page.
    """

    title: str
    plain: bytes
    deflated: bytes

    @classmethod
    def of(cls, title: str, markup: Markup) -> "Piece":
        """A piece with that content."""
        plain = markup.encode()
        return cls(title, plain, _deflated(plain))

    def __len__(self) -> int:
        """How many bytes it takes."""
        return len(self.plain) + len(self.deflated)


class RenderedPieces:
    """Pieces by whatever they were made from. Safe for threads; one makes a piece while the others wait for it.

    Args:
        most_bytes: the pieces that were asked for longest ago go when all together are longer.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most, self._length = most_bytes, 0
        self._pieces: OrderedDict[Hashable, Piece] = OrderedDict()
        self._making: dict[Hashable, Lock] = {}
        self._lock = Lock()

    def piece(self, key: Hashable, title: str, make: Callable[[], Markup]) -> Piece:
        """The piece of that key, made if it is not here.

        Args:
            key: everything that the piece depends on.
            title: of its page.
            make: renders it.
        """
        if found := self.find(key):
            return found
        with self._lock:
            making = self._making.setdefault(key, Lock())
        with making:
            if found := self.find(key):  # made by another one meanwhile
                return found
            try:
                made = Piece.of(title, make())
                self._keep(key, made)
            finally:
                with self._lock:
                    self._making.pop(key, None)
        return made

    def find(self, key: Hashable) -> Piece | None:
        """The piece of that key, if it is here."""
        with self._lock:
            if found := self._pieces.get(key):
                self._pieces.move_to_end(key)
            return found

    def _keep(self, key: Hashable, made: Piece) -> None:
        with self._lock:
            self._pieces[key] = made
            self._length += len(made)
            while self._length > self._most:
                _, gone = self._pieces.popitem(last=False)
                self._length -= len(gone)


def pieces_of(request: Request) -> RenderedPieces:
    """The pieces that this process keeps."""
    return cast("RenderedPieces", request.app.state.pieces)


@dataclass(frozen=True, slots=True)
class Framed:
    """What a page shows whose inside was rendered before."""

    title: str
    main: Markup = _PLACE


def framed(request: Request, piece: Piece, headers: Mapping[str, str]) -> Response:
    """A page of a board around a piece, compressed where the browser takes that; only the frame is rendered."""
    response = page(request, "boards/kept.html", Framed(piece.title), headers=headers)
    head, _, tail = bytes(response.body).partition(_PLACE.encode())
    packed = "gzip" in request.headers.get("accept-encoding", "")
    body = _gzip(head, piece, tail) if packed else head + piece.plain + tail
    answer = HTMLResponse(body, headers={**headers, "Content-Encoding": "gzip"} if packed else dict(headers))
    answer.headers["Vary"] = f"{response.headers['vary']}, Accept-Encoding"
    return answer


def _deflated(plain: bytes) -> bytes:
    """Whole blocks, none of them the last, that refer to nothing before them."""
    packer = zlib.compressobj(_LEVEL, wbits=-zlib.MAX_WBITS)
    return packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH)


def _gzip(head: bytes, piece: Piece, tail: bytes) -> bytes:
    """One gzip member of all three (RFC 1952)."""
    packer = zlib.compressobj(_LEVEL, wbits=-zlib.MAX_WBITS)
    end = packer.compress(tail) + packer.flush(zlib.Z_FINISH)
    checksum = zlib.crc32(tail, zlib.crc32(piece.plain, zlib.crc32(head)))
    length = len(head) + len(piece.plain) + len(tail)
    return b"".join(
        (_GZIP_HEAD, _deflated(head), piece.deflated, end, struct.pack("<II", checksum, length & 0xFFFFFFFF))
    )
