"""A tab of a board: what its models score in each language."""

from dataclasses import dataclass
from typing import cast
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from app.db.changes import board_stamp
from app.db.queries.boards import Board
from app.db.tables import Benchmark
from app.errors import NotFound
from app.http.access import Viewer
from app.http.dependencies import ReadSession, boards_of
from app.http.unchanged import kept
from app.services import benchmarks
from app.services.board_export import FORMATS
from app.services.board_languages import LanguageCache, LanguageView, as_text, view_languages
from app.services.board_look import BoardLinks, Look, parse_look
from app.web.board_filter import Choice, FilterChoices, compare_button, filter_chips, filter_choices, pin_chips
from app.web.board_table import BoardTable, summary_table
from app.web.board_tabs import Tab, board_tabs
from app.web.templating import page

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class LanguagesPage:
    """What the tab Languages shows."""

    board: Board
    view: LanguageView
    look: Look
    links: BoardLinks
    tabs: tuple[Tab, ...]
    table: BoardTable
    choices: FilterChoices
    chips: tuple[Choice, ...]
    compare: Choice | None
    downloads: tuple[Choice, ...]

    @property
    def show_all(self) -> str:
        """The link that takes every filter away."""
        return self.links.without(*self.look.filters)

    @property
    def only_complete(self) -> str:
        """The link that hides partial models."""
        return self.look.with_(complete=True).at(self.links.path)


@router.get("/boards/{slug}/languages")
def languages(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """A column a language."""
    benchmark, stamp = benchmarks.by_slug(session, slug), board_stamp(session)
    context = _context(_view(request, session, benchmark, stamp), f"/boards/{slug}/languages")
    headers = kept(request, stamp)
    # A table whose columns changed meanwhile cannot take new rows: htmx then loads the page again.
    if request.headers.get("HX-Trigger", context.table.id) != context.table.id:
        headers["HX-Refresh"] = "true"
    return page(request, "boards/languages.html", context, partial="boards/_fragment.html", headers=headers)


@router.get("/boards/{slug}/languages.{name}")
def download(request: Request, _viewer: Viewer, session: ReadSession, slug: str, name: str) -> Response:
    """The table that a look shows, in its order."""
    key = next((key for key, one in FORMATS.items() if one.suffix == name), None)
    if key is None:
        suffixes = ", ".join(one.suffix for one in FORMATS.values())
        raise NotFound(f"There is no download {name[:80]!r} of a board. There are: {suffixes}.")
    benchmark = benchmarks.by_slug(session, slug)
    text = as_text(_view(request, session, benchmark, board_stamp(session)), key)
    disposition = f"attachment; filename*=UTF-8''{quote(f'{slug}-languages.{name}', safe='')}"
    return Response(text, media_type=FORMATS[key].media_type, headers={"Content-Disposition": disposition})


def _view(request: Request, session: Session, benchmark: Benchmark, stamp: int) -> LanguageView:
    look = parse_look(request.query_params.multi_items())
    board = boards_of(request).board(session, benchmark, stamp)
    cache = cast("LanguageCache", request.app.state.languages)
    return view_languages(board, cache.scores(session, benchmark, board, stamp), look)


def _context(view: LanguageView, path: str) -> LanguagesPage:
    board, look = view.board, view.look
    links = BoardLinks(path, look, view.falling)
    return LanguagesPage(
        board=board,
        view=view,
        look=look,
        links=links,
        tabs=board_tabs(board.slug, "/languages", look),
        table=summary_table(view),
        choices=filter_choices(board),
        chips=(*filter_chips(board, links), *pin_chips(view, links)),
        compare=compare_button(view),
        downloads=tuple((one.label, look.at(f"{path}.{one.suffix}")) for one in FORMATS.values()),
    )
