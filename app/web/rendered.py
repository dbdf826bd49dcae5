"""Pieces of pages that are the same for everybody, kept until they are asked for no more."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Final, cast

from markupsafe import Markup
from starlette.requests import Request

_MOST_CHARACTERS: Final = 24_000_000


class RenderedPieces:
    """Markup by whatever it was made from. Safe for threads; two may make the same piece at once, which harms nobody.

    Args:
        most_characters: the pieces that were asked for longest ago go when all together are longer.
    """

    def __init__(self, most_characters: int = _MOST_CHARACTERS) -> None:
        self._most, self._length = most_characters, 0
        self._pieces: OrderedDict[Hashable, Markup] = OrderedDict()
        self._lock = Lock()

    def piece(self, key: Hashable, make: Callable[[], Markup]) -> Markup:
        """The piece of that key, made if it is not here.

        Args:
            key: everything that the piece depends on.
            make: renders it.
        """
        with self._lock:
            if key in self._pieces:
                self._pieces.move_to_end(key)
                return self._pieces[key]
        made = make()
        with self._lock:
            if key not in self._pieces:
                self._pieces[key] = made
                self._length += len(made)
            while self._length > self._most:
                _, gone = self._pieces.popitem(last=False)
                self._length -= len(gone)
        return made


def pieces_of(request: Request) -> RenderedPieces:
    """The pieces that this process keeps."""
    return cast("RenderedPieces", request.app.state.pieces)
