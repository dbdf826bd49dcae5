"""A tab of a board: how sure its ranks are, and what that rests on."""

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response

from app.db.changes import board_stamp
from app.db.queries.boards import Board
from app.http.access import Viewer
from app.http.dependencies import ReadSession, boards_of
from app.http.unchanged import kept
from app.services import benchmarks
from app.services.board_certainty_view import CertaintyView, view_certainty
from app.services.board_look import Look
from app.services.compare import compare_address
from app.services.table_columns import Ends
from app.web.board_tabs import Tab, board_tabs
from app.web.critical_difference import CriticalDifference, Scale, critical_difference, scale
from app.web.templating import page

router = APIRouter(include_in_schema=False)

FOREST_WIDTH: Final = 240
_EDGE: Final = 20
"""Room for half a number of the scale."""


@dataclass(frozen=True, slots=True)
class CertaintyPage:
    """What the tab Certainty shows.

    Attributes:
        found: None while nothing is known of this board.
        forest: the scale on which means and their intervals are drawn, None without any interval.
        diagram: the critical differences, None without any test.
    """

    board: Board
    tabs: tuple[Tab, ...]
    found: CertaintyView | None
    forest: Scale | None = None
    diagram: CriticalDifference | None = None
    forest_width: int = FOREST_WIDTH

    @property
    def address(self) -> str:
        """Of this page."""
        return f"/boards/{self.board.slug}/certainty"

    def comparison(self, one: str, other: str) -> str:
        """Leads to two models side by side."""
        return compare_address(self.board.slug, [one, other])


@router.get("/boards/{slug}/certainty")
def certainty(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """Rank ranges, tiers and tests of the whole board; the page asks again while they are being computed."""
    benchmark, stamp = benchmarks.by_slug(session, slug), board_stamp(session)
    context = _context(boards_of(request).board(session, benchmark, stamp))
    headers = kept(request, stamp) if context.found else {}
    return page(request, "boards/certainty.html", context, partial="boards/_certainty.html", headers=headers)


def _context(board: Board) -> CertaintyPage:
    found, tabs = view_certainty(board), board_tabs(board.slug, "/certainty", Look())
    if found is None:
        return CertaintyPage(board, tabs, None)
    pairs = found.pairs
    return CertaintyPage(
        board,
        tabs,
        found,
        forest=_forest([one.ends for one in found.models]),
        diagram=critical_difference(pairs.names, pairs.means, pairs.p) if pairs else None,
    )


def _forest(intervals: list[Ends | None]) -> Scale | None:
    ends = [end for interval in intervals if interval for end in interval]
    return scale(ends, _EDGE, FOREST_WIDTH - _EDGE, most=4) if ends else None
