"""Looks at a board that people save under a name: each has their own, and members share some with everybody."""

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.formats.records import UNSAFE_IN_NAMES
from app.db.queries.boards import Board
from app.db.queries.saved_views import ViewRow, visible_view
from app.db.session import Database, lock_name
from app.db.tables import Benchmark, Role, SavedView
from app.db.types import db_now
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.services import audit, benchmarks
from app.services.accounts import Person
from app.services.board_languages import LANGUAGE, load_language_scores, view_languages
from app.services.board_look import Look, parse_look
from app.services.board_points import find_axis, parse_chart_look
from app.services.board_view import view_board
from app.services.boards import BoardCache

NAME_LENGTH: Final = 80
MOST_VIEWS: Final = 100
"""Of one person on one board."""
QUERY_LENGTH: Final = 20_000
"""Most characters of what a view chooses, as an address."""
TABS: Final = {"": "Summary", "/tasks": "Tasks", "/languages": "Languages", "/charts": "Charts"}
"""The tabs that can be saved, by their address behind that of the board."""
VIEW_EXISTS: Final = "view_exists"

_CHARTS: Final = "/charts"
_AXIS: Final = "axis"
"""The parameter by which the axis of a chart is stored; in the address it is a part of the path."""
_PATH: Final = re.compile(r"/(?:boards/(?P<slug>[^/]+)(?P<tab>/[^/]+)?(?:/(?P<axis>[^/]+))?)?")


@dataclass(frozen=True, slots=True)
class Place:
    """A tab of a board and how it is looked at; `axis` is that of a chart, "" for the first."""

    tab: str
    look: Look
    axis: str = ""

    def address(self, slug: str) -> str:
        """Where that is, on the board of this slug."""
        axis = f"/{quote(self.axis, safe='')}" if self.axis else ""
        return self.look.at(f"/boards/{slug}{self.tab}{axis}")

    @property
    def query(self) -> str:
        """What it chooses, as it is stored: in one order, without what is as it is at first."""
        axis = ((_AXIS, self.axis),) if self.axis else ()
        return urlencode((*axis, *self.look.pairs()))


@dataclass(frozen=True, slots=True)
class ViewForm:
    """What somebody wants to save.

    Attributes:
        name: 1 to 80 characters, one view of a person and board whatever its letter case.
        place: what the view shows.
        shared: whether everybody sees it; members and admins only.
        replace: whether it may take the place of their view of that name.
    """

    name: str
    place: Place
    shared: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True)
class OpenedView:
    """Where a view leads; `missing` says what the board has no more, "" when it shows all that was saved."""

    name: str
    address: str
    missing: str


def parse_address(slug: str, address: str) -> Place:
    """What an address of a board shows, as a browser has it: `/boards/help-desk/tasks?type=STS`, or all of a URL.

    Args:
        slug: the board's; `/` is the default board, whichever it is.
        address: of one of `TABS`.

    Raises:
        Invalid: it is none, it is one of another board, or it has a parameter or a value that does not exist.
    """
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        raise _no_address() from None
    match = _PATH.fullmatch(parts.path)
    tab = (match["tab"] or "") if match else None
    if match is None or tab not in TABS or (match["axis"] and tab != _CHARTS):
        raise _no_address()
    if match["slug"] and unquote(match["slug"]) != slug:
        raise Invalid(f"That is an address of another board than {slug!r}.", code="other_board")
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    return Place(tab, parse_chart_look(pairs) if tab == _CHARTS else parse_look(pairs), unquote(match["axis"] or ""))


def address_of(slug: str, view: ViewRow) -> str:
    """Where a saved view leads, as it was saved."""
    pairs = parse_qsl(view.query)
    axis = "".join(f"/{quote(value, safe='')}" for name, value in pairs if name == _AXIS)
    query = urlencode([pair for pair in pairs if pair[0] != _AXIS])
    return f"/boards/{slug}{view.tab}{axis}" + (f"?{query}" if query else "")


def save(database: Database, boards: BoardCache, person: Person, slug: str, form: ViewForm) -> int:
    """Save a view of a board, or put it in the place of the person's own of that name. Returns its id.

    Raises:
        NotFound: there is no such board, or it has not that chart.
        Invalid: the name is none, or the board cannot show this; with a message.
        Forbidden: viewers share nothing.
        Conflict: `view_exists`, `too_many_views`.
    """
    name = _clean_name(form.name)
    if form.shared and not person.can(Role.MEMBER):
        raise Forbidden("Members and admins share views. Save it for yourself.", code="cannot_share")
    if len(form.place.query) > QUERY_LENGTH:
        raise Invalid(f"This view chooses too much: at most {QUERY_LENGTH:,} characters of an address are kept.")
    with database.reading() as session:
        benchmark = benchmarks.by_slug(session, slug)
        _check(session, benchmark, boards.board(session, benchmark), form.place)
    with database.session() as session:
        lock_name(session, f"saved views of {person.id}")
        board_id = benchmarks.by_slug(session, slug).id
        view, is_new = _row(session, person, board_id, name, may_replace=form.replace)
        view.name, view.shared, view.created_at = name, form.shared, db_now(0)
        view.tab, view.query = form.place.tab, form.place.query
        session.flush()
        detail = {"view": name, "tab": TABS[view.tab], "shared": form.shared, "replaced": not is_new}
        audit.record(session, person, "view.save", slug, detail)
        return view.id


def delete(session: Session, person: Person, slug: str, view_id: int) -> str:
    """Forget a view: one's own, or as an admin one that is shared. Returns its name.

    Raises:
        NotFound: there is none that this person sees.
        Forbidden: it is somebody else's.
    """
    view = _visible(session, person, benchmarks.by_slug(session, slug), view_id)
    if not may_delete(person, view):
        raise Forbidden(f"Only {view.owner} and admins delete this view.")
    session.delete(session.get_one(SavedView, view_id))
    audit.record(session, person, "view.delete", slug, {"view": view.name, "owner": view.owner})
    return view.name


def may_delete(person: Person, view: ViewRow) -> bool:
    """Whether this person deletes a view that they see."""
    return view.mine or person.can(Role.ADMIN)


def open_view(session: Session, boards: BoardCache, person: Person, slug: str, view_id: int) -> OpenedView:
    """Where a view leads today: without the order, the device or the chart that the board has no more.

    Datasets and models that are gone need nothing: a filter for them finds none.

    Raises:
        NotFound: there is none that this person sees.
    """
    benchmark = benchmarks.by_slug(session, slug)
    view = _visible(session, person, benchmark, view_id)
    saved = parse_address(slug, address_of(slug, view))
    board, missing = boards.board(session, benchmark), ""
    least = saved.look.without("sort", "device")
    for place in (saved, replace(saved, look=saved.look.without("sort")), replace(saved, look=least)):
        try:
            _check(session, benchmark, board, place)
        except (Invalid, NotFound) as error:
            missing = missing or error.message
        else:
            return OpenedView(view.name, place.address(slug), missing)
    return OpenedView(view.name, Place(saved.tab, least).address(slug), missing)


def _check(session: Session, benchmark: Benchmark, board: Board, place: Place) -> None:
    """Refuse what the board cannot show, with the message that its page would give."""
    if place.tab == "/languages" and place.look.key.startswith(LANGUAGE):
        view_languages(board, load_language_scores(session, benchmark, board), place.look)
        return
    view = view_board(board, place.look)
    if place.axis:
        find_axis(view, place.axis)


def _row(
    session: Session, person: Person, benchmark_id: int, name: str, *, may_replace: bool
) -> tuple[SavedView, bool]:
    """The row to write, and whether it is a new one."""
    own = session.scalars(
        select(SavedView).where(SavedView.benchmark_id == benchmark_id, SavedView.owner_id == person.id)
    ).all()
    same = next((view for view in own if view.name.casefold() == name.casefold()), None)
    if same and not may_replace:
        raise Conflict(
            f"You have a view {same.name!r} of this board. Replace it, or choose another name.", code=VIEW_EXISTS
        )
    if same:
        return same, False
    if len(own) >= MOST_VIEWS:
        raise Conflict(
            f"You have {len(own)} views of this board, and {MOST_VIEWS} is the most. Delete one, or replace one.",
            code="too_many_views",
        )
    made = SavedView(benchmark_id=benchmark_id, owner_id=person.id, name=name)
    session.add(made)
    return made, True


def _visible(session: Session, person: Person, benchmark: Benchmark, view_id: int) -> ViewRow:
    view = visible_view(session, benchmark.id, person.id, view_id)
    if view is None:
        raise NotFound(f"{benchmark.name} has no such view, or it is not shared with you.")
    return view


def _clean_name(name: str) -> str:
    """As stored: NFC, one space between words."""
    cleaned = unicodedata.normalize("NFC", " ".join(name.split()))
    seen = any(map(str.isprintable, cleaned))
    if not seen or len(cleaned) > NAME_LENGTH or UNSAFE_IN_NAMES.search(cleaned):
        message = f"Give it a name of 1 to {NAME_LENGTH} characters, without control or direction marks."
        raise Invalid("The view was not saved.", details={"fields": {"name": message}})
    return cleaned


def _no_address() -> Invalid:
    *most, last = TABS.values()
    return Invalid(
        f"Views of {', '.join(most)} and {last} can be saved. Give the address of one, "
        "such as /boards/help-desk/tasks?type=STS.",
        code="no_view",
    )
