"""The house for admins: its people and its audit trail."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy.orm import Session

from app.db.queries import accounts as queries
from app.db.tables import Role
from app.errors import AppError, Conflict
from app.http.access import Admin
from app.http.dependencies import ReadSession, RowId, WriteSession, external_url
from app.http.pagination import Listing, Paging
from app.services import accounts
from app.web.flash import redirect
from app.web.forms import Form as ShownForm
from app.web.forms import rejected
from app.web.templating import page

router = APIRouter(prefix="/admin", include_in_schema=False)
Text = Annotated[str, Form()]


@dataclass(frozen=True, slots=True)
class NewLink:
    """A one-time link to hand over: the only time it is shown."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class UsersPage:
    """What /admin/users shows."""

    users: list[queries.UserRow]
    system_name: str = accounts.SYSTEM_NAME
    roles: Sequence[Role] = tuple(Role)
    link: NewLink | None = None
    form: ShownForm = field(default_factory=ShownForm)


@dataclass(frozen=True, slots=True)
class AuditPage:
    """What /admin/audit shows."""

    listing: Listing[queries.AuditRow]
    actor: str
    action: str
    actors: Sequence[str]
    actions: Sequence[str]

    @property
    def actor_options(self) -> list[tuple[str, str]]:
        """Whose rows can be chosen."""
        return [("", "everybody"), *((name, name) for name in self.actors)]

    @property
    def action_options(self) -> list[tuple[str, str]]:
        """Which actions can be chosen."""
        return [("", "everything"), *((name, name) for name in self.actions)]


@router.get("/users")
def users_page(request: Request, _admin: Admin, session: ReadSession) -> Response:
    """Everybody, and a form for one more."""
    return page(request, "admin/users.html", UsersPage(queries.users(session)))


@router.post("/users")
def create_user(
    request: Request, admin: Admin, session: WriteSession, *, name: Text = "", role: Text = Role.VIEWER
) -> Response:
    """Add a person and show their sign-in link, this once: the answer is the page itself and not a redirect."""
    try:
        user = accounts.create_user(session, name, _role(role), by=admin)
    except AppError as error:
        context = UsersPage(queries.users(session), form=rejected(error, name=name, role=role))
        return page(request, "admin/users.html", context, status=error.status)
    return _with_link(request, session, accounts.create_sign_in_link(session, user.id, by=admin), user.name)


@router.post("/users/{user_id}/link")
def create_link(request: Request, admin: Admin, session: WriteSession, user_id: RowId) -> Response:
    """A new sign-in link for somebody who cannot get in; shown this once."""
    token = accounts.create_sign_in_link(session, user_id, by=admin)
    return _with_link(request, session, token, accounts.link_owner(session, token))


@router.post("/users/{user_id}/role")
def set_role(admin: Admin, session: WriteSession, user_id: RowId, *, role: Text = "") -> Response:
    """Give a person another role."""
    try:
        user = accounts.set_role(session, user_id, _role(role), by=admin)
    except Conflict as error:
        return redirect("/admin/users", error.message, "fail")
    return redirect("/admin/users", f"{user.name} is {user.role} now and has to sign in again.")


@router.post("/users/{user_id}/active")
def set_active(admin: Admin, session: WriteSession, user_id: RowId, *, active: Text = "") -> Response:
    """Let a person in again ("yes"), or keep them out."""
    try:
        user = accounts.set_active(session, user_id, active == "yes", by=admin)
    except Conflict as error:
        return redirect("/admin/users", error.message, "fail")
    return redirect("/admin/users", f"{user.name} is {'active' if user.active else 'deactivated'} now.")


@router.get("/audit")
def audit_page(
    request: Request, _admin: Admin, session: ReadSession, paging: Paging, *, actor: str = "", action: str = ""
) -> Response:
    """Who did what, the newest first."""
    rows, total = queries.audit_page(session, actor=actor, action=action, limit=paging.size, offset=paging.offset)
    actors, actions = queries.audit_choices(session)
    context = AuditPage(Listing(rows, total, paging), actor, action, actors, actions)
    return page(request, "admin/audit.html", context, partial="admin/_audit.html")


def _with_link(request: Request, session: Session, token: str, name: str) -> Response:
    link = NewLink(name, external_url(request, f"/sign-in/{token}"))
    return page(request, "admin/users.html", UsersPage(queries.users(session), link=link), status=201)


def _role(value: str) -> Role:
    if value not in set(Role):
        raise Conflict(f"There is no role {value!r}.")
    return Role(value)
