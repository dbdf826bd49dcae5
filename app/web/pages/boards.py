"""The boards: the default one, all of them, the tabs and downloads of one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from app.db.changes import board_stamp
from app.db.queries.boards import Board, BoardSummary, dataset_choices, list_boards
from app.db.tables import Benchmark
from app.http.access import Viewer
from app.http.dependencies import ReadSession, boards_of
from app.http.unchanged import KEPT, not_modified, page_tag
from app.services import benchmarks
from app.services.board_export import FORMATS
from app.services.board_look import BoardLinks, Look, parse_look
from app.services.board_view import FIXED_COLUMNS, BoardView, TableColumn, view_board
from app.web.board_filter import Choice, FilterChoices, filter_chips, filter_choices
from app.web.board_table import BoardTable, summary_table, task_table
from app.web.templating import page

router = APIRouter(include_in_schema=False)

_TABLES: Final[dict[str, Callable[[BoardView], BoardTable]]] = {"": summary_table, "/tasks": task_table}
"""By the tab's address behind that of the board."""


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab of a board."""

    label: str
    href: str
    current: bool

    @property
    def as_item(self) -> tuple[str, str, bool]:
        """What the macro `tabs` takes."""
        return self.label, self.href, self.current


@dataclass(frozen=True, slots=True)
class BoardPage:
    """What the tabs Summary and Tasks show."""

    board: Board
    look: Look
    links: BoardLinks
    tabs: tuple[Tab, ...]
    table: BoardTable
    choices: FilterChoices
    chips: tuple[Choice, ...]
    downloads: tuple[Choice, ...]

    @property
    def show_all(self) -> str:
        """The link that takes every filter away."""
        return self.links.without(*self.look.filters)


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
    return _board_page(request, session, benchmarks.by_slug(session, slug), f"/boards/{slug}")


@router.get("/boards/{slug}/tasks")
def tasks(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """A board's datasets, grouped by task type."""
    return _board_page(request, session, benchmarks.by_slug(session, slug), f"/boards/{slug}/tasks", "/tasks")


@router.get("/boards/{slug}/info")
def info(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """What a board is made of."""
    board = boards_of(request).board(session, benchmarks.by_slug(session, slug))
    return page(request, "boards/info.html", InfoPage(board, _tabs(slug, "/info", Look()), FIXED_COLUMNS))


def _board_page(request: Request, session: Session, benchmark: Benchmark, path: str, tab: str = "") -> Response:
    stamp = board_stamp(session)
    tag = page_tag(request, stamp)
    if same := not_modified(request, tag):
        return same
    look = parse_look(request.query_params.multi_items())
    view = view_board(boards_of(request).board(session, benchmark, stamp), look)
    table = _TABLES[tab](view)
    links = BoardLinks(path, look, view.falling)
    context = BoardPage(
        board=view.board,
        look=look,
        links=links,
        tabs=_tabs(benchmark.slug, tab, look),
        table=table,
        choices=filter_choices(view.board),
        chips=filter_chips(view.board, links),
        downloads=tuple((one.label, look.at(f"/boards/{benchmark.slug}.{one.suffix}")) for one in FORMATS.values()),
    )
    headers = {**KEPT, "ETag": tag} if tag else {}
    # A table whose columns changed meanwhile cannot take new rows: htmx then loads the page again.
    if request.headers.get("HX-Trigger", table.id) != table.id:
        headers["HX-Refresh"] = "true"
    return page(request, "boards/board.html", context, partial="boards/_fragment.html", headers=headers)


def _tabs(slug: str, current: str, look: Look) -> tuple[Tab, ...]:
    labels = {"": "Summary", "/tasks": "Tasks", "/info": "Info"}
    return tuple(
        Tab(label, f"/boards/{slug}{tab}" if tab == "/info" else look.at(f"/boards/{slug}{tab}"), tab == current)
        for tab, label in labels.items()
    )
