"""The boards: the default one, all of them, the tabs and downloads of one."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from app.db.changes import board_stamp
from app.db.queries.boards import Board, BoardSummary, dataset_choices, list_boards
from app.db.tables import Benchmark, Role
from app.http.access import Viewer
from app.http.audience import fragment_wanted
from app.http.dependencies import ReadSession, boards_of
from app.http.identity import Identity, known_identity
from app.http.unchanged import kept, minute
from app.services import benchmarks
from app.services.board_certainty_view import board_sentence
from app.services.board_export import FORMATS
from app.services.board_look import BoardLinks, Look, parse_look
from app.services.board_view import BoardView, described_columns, view_board
from app.services.table_columns import PRESETS, TableColumn
from app.web.board_filter import (
    Choice,
    ColumnChoices,
    FilterChoices,
    certainty_switches,
    column_choices,
    compare_button,
    filter_chips,
    filter_choices,
    pin_chips,
)
from app.web.board_table import BoardTable, summary_table, task_table
from app.web.board_tabs import Tab, board_tabs
from app.web.rendered import framed, pieces_of
from app.web.templating import bare_page, page

router = APIRouter(include_in_schema=False)

_TABLES: Final[dict[str, Callable[[BoardView], BoardTable]]] = {"": summary_table, "/tasks": task_table}
"""By the tab's address behind that of the board."""


@dataclass(frozen=True, slots=True)
class BoardPage:
    """What the tabs Summary and Tasks show.

    `certainty` says in a sentence how far ranks are to be trusted, "" where nothing is known; `switches` belong to it.
    """

    board: Board
    look: Look
    links: BoardLinks
    tabs: tuple[Tab, ...]
    table: BoardTable
    choices: FilterChoices
    chips: tuple[Choice, ...]
    compare: Choice | None
    presets: tuple[Choice, ...]
    columns: ColumnChoices
    downloads: tuple[Choice, ...]
    certainty: str
    switches: tuple[Choice, ...]

    @property
    def other_density(self) -> str:
        """The link that makes rows lower, or as high as they are at first."""
        return self.look.with_(dense=not self.look.dense).at(self.links.path)

    @property
    def show_all(self) -> str:
        """The link that takes every filter away."""
        return self.links.without(*self.look.filters)


@dataclass(frozen=True, slots=True)
class _SameForAll:
    """All that a board shows of who looks at it; everybody of a role sees the same."""

    role: Role


@dataclass(frozen=True, slots=True)
class InfoPage:
    """What the tab Info shows: the datasets, and every column in words."""

    board: Board
    tabs: tuple[Tab, ...]
    columns: tuple[TableColumn, ...]


@dataclass(frozen=True, slots=True)
class BoardsPage:
    """What /boards shows."""

    boards: tuple[BoardSummary, ...]


@dataclass(frozen=True, slots=True)
class EmptyHousePage:
    """What / shows before there is any board."""

    has_datasets: bool


@router.get("/")
def home(request: Request, _viewer: Viewer, session: ReadSession) -> Response:
    """The default board, or what to do to get one."""
    if same := _kept_page(request, "/"):
        return same
    benchmark = benchmarks.get_default(session)
    if benchmark is None:
        return page(request, "boards/none.html", EmptyHousePage(bool(dataset_choices(session))))
    return _board_page(request, session, benchmark, "/")


@router.get("/boards")
def boards(request: Request, _viewer: Viewer, session: ReadSession) -> Response:
    """Every board."""
    return page(request, "boards/list.html", BoardsPage(list_boards(session)))


@router.get("/boards/{slug}.{name}")
def download(request: Request, _viewer: Viewer, session: ReadSession, slug: str, name: str) -> Response:
    """The rows of a look at a board, in its order."""
    chosen = next((one for one in FORMATS.values() if one.suffix == name), None)
    if chosen is None:
        return summary(request, _viewer, session, f"{slug}.{name}")
    benchmark = benchmarks.by_slug(session, slug)
    look = parse_look(request.query_params.multi_items())
    view = view_board(boards_of(request).board(session, benchmark), look)
    disposition = f"attachment; filename*=UTF-8''{quote(f'{slug}.{name}', safe='')}"
    return Response(chosen.write(view), media_type=chosen.media_type, headers={"Content-Disposition": disposition})


@router.get("/boards/{slug}")
def summary(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """A board with every column."""
    path = f"/boards/{slug}"
    return _kept_page(request, path) or _board_page(request, session, benchmarks.by_slug(session, slug), path)


@router.get("/boards/{slug}/tasks")
def tasks(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """A board's datasets, grouped by task type."""
    path, tab = f"/boards/{slug}/tasks", "/tasks"
    return _kept_page(request, path, tab) or _board_page(request, session, benchmarks.by_slug(session, slug), path, tab)


@router.get("/boards/{slug}/info")
def info(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """What a board is made of."""
    board = boards_of(request).board(session, benchmarks.by_slug(session, slug))
    return page(
        request, "boards/info.html", InfoPage(board, board_tabs(slug, "/info", Look()), described_columns(board))
    )


def _kept_page(request: Request, path: str, tab: str = "") -> Response | None:
    """The page, if somebody of the same role has seen it since anything changed: it asks the database nothing."""
    identity = known_identity(request)
    if identity is None or fragment_wanted(request):
        return None
    headers = kept(request, identity.board_stamp)
    look = parse_look(request.query_params.multi_items())
    piece = pieces_of(request).find(_key(identity, identity.board_stamp, path, tab, look)) if headers else None
    return framed(request, piece, headers) if piece else None


def _key(identity: Identity, stamp: int, path: str, tab: str, look: Look) -> Hashable:
    """All that the inside of a board's page depends on."""
    return stamp, path, tab, look, identity.person.role, minute()


def _board_page(request: Request, session: Session, benchmark: Benchmark, path: str, tab: str = "") -> Response:
    stamp = board_stamp(session)
    headers = kept(request, stamp)
    look = parse_look(request.query_params.multi_items())

    def context() -> BoardPage:
        return _context(boards_of(request).board(session, benchmark, stamp), look, path, tab)

    identity = known_identity(request)
    if headers and identity and not fragment_wanted(request):
        viewer = _SameForAll(identity.person.role)
        title = f"{benchmark.name}: {tab.strip('/')}" if tab else benchmark.name
        key = _key(identity, stamp, path, tab, look)
        main = pieces_of(request).piece(key, title, lambda: bare_page("boards/board.html", context(), viewer))
        return framed(request, main, headers)
    shown = context()
    # A table whose columns changed meanwhile cannot take new rows: htmx then loads the page again.
    if request.headers.get("HX-Trigger", shown.table.id) != shown.table.id:
        headers["HX-Refresh"] = "true"
    return page(request, "boards/board.html", shown, partial="boards/_fragment.html", headers=headers)


def _context(board: Board, look: Look, path: str, tab: str) -> BoardPage:
    view = view_board(board, look)
    links = BoardLinks(path, look, view.falling)
    return BoardPage(
        board=board,
        look=look,
        links=links,
        tabs=board_tabs(board.slug, tab, look),
        table=_TABLES[tab](view),
        choices=filter_choices(board),
        chips=(*filter_chips(board, links), *pin_chips(view, links)),
        compare=compare_button(view),
        presets=tuple((name, look.without("column").with_(show=name).at(path)) for name in PRESETS),
        columns=column_choices(view),
        downloads=tuple((one.label, look.at(f"/boards/{board.slug}.{one.suffix}")) for one in FORMATS.values()),
        certainty=board_sentence(view),
        switches=certainty_switches(view, links),
    )
