"""Kept pieces: made once, never more of them than there is room for, and whole in whatever form they travel."""

import gzip
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from markupsafe import Markup
from starlette.requests import Request

from app.web.rendered import Piece, RenderedPieces, framed


def test_a_piece_is_made_once() -> None:
    pieces, made = RenderedPieces(), list[str]()

    def make() -> Markup:
        made.append("made")
        return Markup("<b>1</b>")

    assert [pieces.piece(("board", 1), "A board", make).plain for _ in range(3)] == [b"<b>1</b>"] * 3
    assert made == ["made"]
    pieces.piece(("board", 2), "A board", make)
    assert made == ["made"] * 2


def test_many_who_ask_at_once_wait_for_the_first() -> None:
    pieces, made, go = RenderedPieces(), list[str](), Event()

    def make() -> Markup:
        made.append("made")
        assert go.wait(10)
        return Markup("x")

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(pieces.piece, "key", "A board", make) for _ in range(8)]
        go.set()
        assert {one.result(10).plain for one in asked} == {b"x"}
    assert made == ["made"]


def test_a_piece_that_cannot_be_made_is_asked_for_again() -> None:
    pieces = RenderedPieces()

    def broken() -> Markup:
        raise ValueError("no such board")

    with pytest.raises(ValueError, match="no such board"):
        pieces.piece("key", "A board", broken)
    assert pieces.piece("key", "A board", lambda: Markup("well")).plain == b"well"


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    size = len(Piece.of("A <title>", Markup("x" * 10)))
    pieces, made = RenderedPieces(most_bytes=2 * size), list[int]()

    def ask(number: int) -> None:
        def make() -> Markup:
            made.append(number)
            return Markup("x" * 10)

        assert len(pieces.piece(number, "A <title>", make)) == size

    for number in (1, 2, 1, 3, 1, 2):
        ask(number)
    assert made == [1, 2, 3, 2]


def test_a_piece_without_room_is_still_given() -> None:
    pieces = RenderedPieces(most_bytes=5)
    assert pieces.piece("long", "A board", lambda: Markup("x" * 10)).plain == b"x" * 10
    assert pieces.piece("short", "A board", lambda: Markup("y")).plain == b"y"


@pytest.mark.parametrize("inside", ["", "<p>é &lt; ١٢</p>", "<td>0.5</td>" * 50_000])
def test_a_framed_piece_reads_alike_compressed_and_not(inside: str) -> None:
    piece = Piece.of("A <title>", Markup(inside))
    plain = framed(_asked(""), piece, {"ETag": "x"})
    packed = framed(_asked("gzip, br"), piece, {"ETag": "x"})
    whole = bytes(plain.body)
    assert gzip.decompress(bytes(packed.body)) == whole
    assert whole.count(inside.encode() or b"</main>") == 1
    assert b"A &lt;title&gt;" in whole
    assert b"<!--piece-->" not in whole
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    for answer in (plain, packed):
        assert answer.headers["etag"] == "x"
        assert answer.headers["vary"] == "HX-Request, Accept-Encoding"


def _asked(encodings: str) -> Request:
    headers = [(b"accept-encoding", encodings.encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers})
