"""The boards: the default one, all of them, the tabs and downloads of one, and the admins' forms."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy.orm import Session

from app.db.queries.boards import Board, BoardSummary, DatasetChoice, dataset_choices, list_boards, load_board
from app.db.tables import Benchmark
from app.errors import Conflict, Invalid
from app.http.access import Admin, Viewer
from app.http.dependencies import ReadSession, WriteSession
from app.services import benchmarks
from app.services.board_export import as_csv, as_dict
from app.services.board_look import BoardLinks, Look, parse_look
from app.services.board_view import BoardView, TableColumn, fixed_columns, view_board
from app.web.board_filter import Choice, FilterChoices, filter_chips, filter_choices
from app.web.board_table import BoardTable, summary_table, task_table
from app.web.flash import redirect
from app.web.forms import Form as ShownForm
from app.web.forms import rejected
from app.web.templating import page

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form()]
Texts = Annotated[list[str], Form()]

_PLACE = re.compile(r"[0-9]{1,6}")
_LAST = 10**6


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
    csv_url: str
    json_url: str

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


@dataclass(frozen=True, slots=True)
class BenchmarkPage:
    """The form of a benchmark; `slug` is None for a new one. `chosen` maps dataset slugs to places."""

    slug: str | None
    datasets: tuple[DatasetChoice, ...]
    chosen: dict[str, str]
    form: ShownForm = field(default_factory=ShownForm)
    is_default: bool = False


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


@router.get("/boards/new")
def new_board(request: Request, _admin: Admin, session: ReadSession) -> Response:
    """The form of a new board."""
    return page(request, "boards/form.html", BenchmarkPage(None, dataset_choices(session), {}))


@router.post("/boards/new")
def create_board(
    request: Request,
    person: Admin,
    session: WriteSession,
    *,
    name: Text = "",
    slug: Text = "",
    description: Text = "",
    default: Text = "",
    dataset: Texts = [],  # noqa: B006 - FastAPI copies it
    known: Texts = [],  # noqa: B006
    place: Texts = [],  # noqa: B006
) -> Response:
    """Add a board."""
    try:
        created = benchmarks.create(
            session,
            person,
            name=name,
            slug=slug,
            description=description,
            dataset_slugs=_in_order(dataset, known, place),
            default=bool(default),
        )
    except (Invalid, Conflict) as error:
        form = rejected(error, name=name, slug=slug, description=description, default=default)
        context = BenchmarkPage(None, dataset_choices(session), _chosen(dataset, known, place), form)
        return page(request, "boards/form.html", context, status=error.status)
    return redirect(_path(created.slug), f"The board “{created.name}” is there.")


@router.get("/boards/{slug}.csv")
def download_csv(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """The rows of a look at a board, in its order."""
    return _download(as_csv(_view(request, session, slug)), f"{slug}.csv", "text/csv")


@router.get("/boards/{slug}.json")
def download_json(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """The rows of a look at a board, in its order."""
    text = json.dumps(as_dict(_view(request, session, slug)), ensure_ascii=False, allow_nan=False, indent=2)
    return _download(text, f"{slug}.json", "application/json")


@router.get("/boards/{slug}")
def summary(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """A board with every column."""
    return _board_page(request, session, benchmarks.by_slug(session, slug), _path(slug))


@router.get("/boards/{slug}/tasks")
def tasks(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """A board's datasets, grouped by task type."""
    return _board_page(request, session, benchmarks.by_slug(session, slug), f"{_path(slug)}/tasks")


@router.get("/boards/{slug}/info")
def info(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """What a board is made of."""
    board = load_board(session, benchmarks.by_slug(session, slug))
    columns = fixed_columns(view_board(board, Look()))
    context = InfoPage(board, _tabs(slug, f"{_path(slug)}/info", Look()), columns)
    return page(request, "boards/info.html", context)


@router.get("/boards/{slug}/edit")
def edit_board(request: Request, _admin: Admin, session: ReadSession, slug: str) -> Response:
    """The form of a board."""
    board = load_board(session, benchmarks.by_slug(session, slug))
    chosen = {column.slug: str(place) for place, column in enumerate(board.columns, start=1)}
    form = ShownForm({"name": board.name, "slug": board.slug, "description": board.description})
    return page(request, "boards/form.html", _edit_page(session, board.slug, chosen, form, board.is_default))


@router.post("/boards/{slug}/edit")
def save_board(
    request: Request,
    person: Admin,
    session: WriteSession,
    slug: str,
    *,
    name: Text = "",
    new_slug: Annotated[str, Form(alias="slug")] = "",
    description: Text = "",
    default: Text = "",
    dataset: Texts = [],  # noqa: B006 - FastAPI copies it
    known: Texts = [],  # noqa: B006
    place: Texts = [],  # noqa: B006
) -> Response:
    """Change a board."""
    benchmark = benchmarks.by_slug(session, slug)
    was_default = benchmark.is_default
    try:
        benchmarks.edit(
            session,
            person,
            slug,
            name=name,
            new_slug=new_slug or slug,
            description=description,
            dataset_slugs=_in_order(dataset, known, place),
        )
    except (Invalid, Conflict) as error:
        form = rejected(error, name=name, slug=new_slug, description=description, default=default)
        context = _edit_page(session, slug, _chosen(dataset, known, place), form, was_default)
        return page(request, "boards/form.html", context, status=error.status)
    if default and not was_default:
        benchmarks.set_default(session, person, benchmark.slug)
    return redirect(_path(benchmark.slug), f"The board “{benchmark.name}” is saved.")


@router.post("/boards/{slug}/delete")
def delete_board(person: Admin, session: WriteSession, slug: str) -> Response:
    """Forget a board; its datasets and results stay."""
    name = benchmarks.by_slug(session, slug).name
    benchmarks.delete(session, person, slug)
    return redirect("/boards", f"The board “{name}” is deleted. Its datasets and results stay.")


def _board_page(request: Request, session: Session, benchmark: Benchmark, path: str) -> Response:
    look = parse_look(request.query_params.multi_items())
    view = view_board(load_board(session, benchmark), look)
    own = _path(benchmark.slug)
    table = task_table(view) if path == f"{own}/tasks" else summary_table(view)
    links = BoardLinks(path, look, view.falling)
    context = BoardPage(
        board=view.board,
        look=look,
        links=links,
        tabs=_tabs(benchmark.slug, own if path == "/" else path, look),
        table=table,
        choices=filter_choices(view.board),
        chips=filter_chips(view.board, links),
        csv_url=look.at(f"{own}.csv"),
        json_url=look.at(f"{own}.json"),
    )
    # A table whose columns changed meanwhile cannot take new rows: htmx then loads the page again.
    asked_by = request.headers.get("HX-Trigger", table.id)
    headers = {"HX-Refresh": "true"} if asked_by != table.id else {}
    return page(request, "boards/board.html", context, partial="boards/_fragment.html", headers=headers)


def _view(request: Request, session: Session, slug: str) -> BoardView:
    board = load_board(session, benchmarks.by_slug(session, slug))
    return view_board(board, parse_look(request.query_params.multi_items()))


def _tabs(slug: str, current: str, look: Look) -> tuple[Tab, ...]:
    own = _path(slug)
    paths = {"Summary": own, "Tasks": f"{own}/tasks", "Info": f"{own}/info"}
    return tuple(
        Tab(label, path if label == "Info" else look.at(path), path == current) for label, path in paths.items()
    )


def _path(slug: str) -> str:
    return f"/boards/{slug}"


def _edit_page(session: Session, slug: str, chosen: dict[str, str], form: ShownForm, is_default: bool) -> BenchmarkPage:
    """The form of a board, its own datasets first."""
    order = list(chosen)
    choices = sorted(
        dataset_choices(session),
        key=lambda choice: order.index(choice.slug) if choice.slug in chosen else len(order),
    )
    return BenchmarkPage(slug, tuple(choices), chosen, form, is_default)


def _chosen(dataset: Sequence[str], known: Sequence[str], place: Sequence[str]) -> dict[str, str]:
    """What was ticked, with the place that was typed beside it; `known` and `place` are as long as the form."""
    places = dict(zip(known, place, strict=False))
    return {slug: places.get(slug, "") for slug in dataset}


def _in_order(dataset: Sequence[str], known: Sequence[str], place: Sequence[str]) -> list[str]:
    """What was ticked, by place; those without one come last, as the form lists them."""
    chosen = _chosen(dataset, known, place)
    return sorted(chosen, key=lambda slug: int(chosen[slug]) if _PLACE.fullmatch(chosen[slug]) else _LAST)


def _download(text: str, name: str, media_type: str) -> Response:
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return Response(text, media_type=media_type, headers={"Content-Disposition": disposition})
