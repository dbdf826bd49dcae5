"""Pieces that are kept: made once, and never more of them than there is room for."""

from markupsafe import Markup

from app.web.rendered import RenderedPieces


def test_a_piece_is_made_once() -> None:
    pieces, made = RenderedPieces(), list[str]()

    def make() -> Markup:
        made.append("made")
        return Markup("<b>1</b>")

    assert [pieces.piece(("board", 1), make) for _ in range(3)] == ["<b>1</b>"] * 3
    assert made == ["made"]
    pieces.piece(("board", 2), make)
    assert made == ["made"] * 2


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    pieces, made = RenderedPieces(most_characters=25), list[int]()

    def ask(number: int) -> None:
        def make() -> Markup:
            made.append(number)
            return Markup("x" * 10)

        assert len(pieces.piece(number, make)) == 10

    for number in (1, 2, 1, 3, 1, 2):
        ask(number)
    assert made == [1, 2, 3, 2]


def test_a_piece_without_room_is_still_given() -> None:
    pieces = RenderedPieces(most_characters=5)
    assert pieces.piece("long", lambda: Markup("x" * 10)) == "x" * 10
    assert pieces.piece("short", lambda: Markup("y")) == "y"
