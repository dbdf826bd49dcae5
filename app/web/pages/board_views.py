"""The saved views of a board: a menu on it and a page of their own, both of the same."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy.orm import Session

from app.db.queries.saved_views import ViewRow, visible_views
from app.db.tables import Role
from app.errors import Conflict, Forbidden, Invalid
from app.http.access import Viewer
from app.http.dependencies import Boards, DatabaseOf, ReadSession, RowId, WriteSession
from app.services import benchmarks, saved_views
from app.services.accounts import Person
from app.services.saved_views import NAME_LENGTH, TABS, VIEW_EXISTS, Place, ViewForm, parse_address
from app.web.flash import redirect
from app.web.forms import Form as ShownForm
from app.web.forms import rejected
from app.web.templating import page

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form()]


@dataclass(frozen=True, slots=True)
class ShownView:
    """A view in the list."""

    view: ViewRow
    tab: str
    deletable: bool


@dataclass(frozen=True, slots=True)
class ViewsPage:
    """What there is to open, and the form that saves what was looked at: `address`, on the tab `tab`.

    With `exists` the name is taken by a view of the same person, which can be replaced.
    """

    board: str
    slug: str
    views: tuple[ShownView, ...]
    address: str
    tab: str
    may_share: bool
    form: ShownForm = field(default_factory=ShownForm)
    exists: bool = False
    name_length: int = NAME_LENGTH


@router.get("/boards/{slug}/views")
def views(request: Request, person: Viewer, session: ReadSession, slug: str, at: str = "") -> Response:
    """What is saved, and the form to save the look `at` which somebody comes from."""
    context = _context(session, person, slug, parse_address(slug, at or "/"))
    return page(request, "boards/views.html", context, partial="boards/_views.html")


@router.post("/boards/{slug}/views")
def save_view(
    request: Request,
    person: Viewer,
    database: DatabaseOf,
    boards: Boards,
    slug: str,
    *,
    at: Text = "",
    name: Text = "",
    shared: Text = "",
    replace: Text = "",
) -> Response:
    """Save a view and go back to it."""
    place = parse_address(slug, at or "/")
    try:
        saved_views.save(database, boards, person, slug, ViewForm(name, place, bool(shared), bool(replace)))
    except (Invalid, Conflict, Forbidden) as error:
        form = rejected(error, name=name, shared=shared)
        with database.reading() as session:
            context = _context(session, person, slug, place, form, exists=error.code == VIEW_EXISTS)
        return page(request, "boards/views.html", context, status=error.status)
    return redirect(place.address(slug), f"The view “{' '.join(name.split())}” is saved.")


@router.get("/boards/{slug}/views/{view_id}")
def open_view(person: Viewer, session: ReadSession, boards: Boards, slug: str, view_id: RowId) -> Response:
    """Go to a view; what the board has no more is left out of it, and named."""
    opened = saved_views.open_view(session, boards, person, slug, view_id)
    message = f"A part of the view “{opened.name}” is left out. {opened.missing}" if opened.missing else ""
    return redirect(opened.address, message, "warn")


@router.post("/boards/{slug}/views/{view_id}/delete")
def delete_view(person: Viewer, session: WriteSession, slug: str, view_id: RowId) -> Response:
    """Forget a view."""
    name = saved_views.delete(session, person, slug, view_id)
    return redirect(f"/boards/{slug}/views", f"The view “{name}” is deleted.")


def _context(
    session: Session, person: Person, slug: str, place: Place, form: ShownForm | None = None, *, exists: bool = False
) -> ViewsPage:
    benchmark = benchmarks.by_slug(session, slug)
    return ViewsPage(
        board=benchmark.name,
        slug=slug,
        views=tuple(
            ShownView(view, TABS.get(view.tab, view.tab), saved_views.may_delete(person, view))
            for view in visible_views(session, benchmark.id, person.id)
        ),
        address=place.address(slug),
        tab=TABS[place.tab],
        may_share=person.can(Role.MEMBER),
        form=form or ShownForm(),
        exists=exists,
    )
