"""Signing in and out, and one's own account: password, sessions, API tokens."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from sqlalchemy.orm import Session

from app.db.queries import accounts as queries
from app.errors import AppError, Invalid, TooManyRequests
from app.http.access import Viewer, public
from app.http.dependencies import AppSettings, DatabaseOf, ReadSession, RowId, WriteSession
from app.http.identity import clear_session_cookie, identify, set_session_cookie
from app.http.limits import SignInLimits
from app.services import accounts, api_tokens
from app.services.accounts import Person
from app.services.audit import request_address
from app.services.passwords import MIN_LENGTH, Passwords
from app.web.flash import redirect
from app.web.forms import Form as ShownForm
from app.web.forms import rejected
from app.web.templating import page

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form()]


@dataclass(frozen=True, slots=True)
class SignInPage:
    """What /sign-in shows."""

    next: str
    form: ShownForm = field(default_factory=ShownForm)


@dataclass(frozen=True, slots=True)
class LinkPage:
    """What a one-time link shows before it is used."""

    name: str
    action: str


@dataclass(frozen=True, slots=True)
class AccountPage:
    """What /account shows; `new_token` only in the answer that created it."""

    person: Person
    has_password: bool
    sessions: list[queries.SessionRow]
    current_session: str
    tokens: list[queries.TokenRow]
    scopes: list[accounts.Scope]
    min_length: int = MIN_LENGTH
    new_token: str = ""
    password_form: ShownForm = field(default_factory=ShownForm)
    token_form: ShownForm = field(default_factory=ShownForm)

    @property
    def day_options(self) -> list[tuple[str, str]]:
        """How long a token may live, as choices."""
        return [(str(days), f"{days} days") for days in api_tokens.DAYS]


@router.get("/sign-in", dependencies=[Depends(public)])
def sign_in_page(request: Request, next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """Ask for name and password."""
    return page(request, "accounts/sign_in.html", SignInPage(local_path(next)))


@router.post("/sign-in", dependencies=[Depends(public)])
def sign_in(
    request: Request,
    *,
    database: DatabaseOf,
    settings: AppSettings,
    name: Text = "",
    password: Text = "",
    next: Text = "/",  # noqa: A002 - the name in the form
) -> Response:
    """Open a session for the right name and password."""
    limiter: SignInLimits = request.app.state.limiter
    passwords: Passwords = request.app.state.passwords
    try:
        limiter.attempt(name, request_address.get())
        person = accounts.authenticate(database, name, password, passwords)
    except (Invalid, TooManyRequests) as error:
        context = SignInPage(local_path(next), rejected(error, name=name))
        headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooManyRequests) else None
        return page(request, "accounts/sign_in.html", context, status=error.status, headers=headers)
    limiter.forgive(name)
    with database.session() as session:
        token = accounts.open_session(session, person.id, days=settings.session_days, agent=_agent(request))
    response = redirect(local_path(next))
    set_session_cookie(response, settings, token)
    return response


@router.get("/sign-in/{token}", dependencies=[Depends(public)])
def link_page(request: Request, session: ReadSession, token: str) -> Response:
    """Ask before a one-time link is used: programs that look at links in messages must not use it up."""
    name = accounts.link_owner(session, token)
    return page(request, "accounts/link.html", LinkPage(name, f"/sign-in/{token}"))


@router.post("/sign-in/{token}", dependencies=[Depends(public)])
def use_link(request: Request, session: WriteSession, settings: AppSettings, token: str) -> Response:
    """Sign in by a one-time link and go on to choose a password."""
    person = accounts.use_sign_in_link(session, token)
    opened = accounts.open_session(session, person.id, days=settings.session_days, agent=_agent(request))
    response = redirect("/account", f"Welcome, {person.name}. Choose a password for the next time.")
    set_session_cookie(response, settings, opened)
    return response


@router.post("/sign-out")
def sign_out(request: Request, person: Viewer, session: WriteSession, settings: AppSettings) -> Response:
    """End this browser's session."""
    accounts.close_session(session, person, _session_token(request))
    response = redirect("/sign-in", "You are signed out.")
    clear_session_cookie(response, settings)
    return response


@router.get("/account")
def account_page(request: Request, person: Viewer, session: ReadSession) -> Response:
    """Password, sessions and API tokens of the person signed in."""
    return page(request, "accounts/account.html", _account(request, session, person))


@router.post("/account/password")
def change_password(
    request: Request,
    person: Viewer,
    *,
    database: DatabaseOf,
    settings: AppSettings,
    current: Text = "",
    password: Text = "",
    repeated: Text = "",
) -> Response:
    """Set a new password; every session ends and this browser gets a new one."""
    limiter: SignInLimits = request.app.state.limiter
    passwords: Passwords = request.app.state.passwords
    try:
        limiter.attempt(person.name, request_address.get())
        accounts.change_password(
            database, person, current=current, password=password, repeated=repeated, passwords=passwords
        )
    except (Invalid, TooManyRequests) as error:
        with database.reading() as session:
            context = _account(request, session, person, password_form=rejected(error))
        return page(request, "accounts/account.html", context, status=error.status)
    limiter.forgive(person.name)
    with database.session() as session:
        token = accounts.open_session(session, person.id, days=settings.session_days, agent=_agent(request))
    # A newcomer with a first password goes on to the board.
    response = redirect("/account" if current else "/", "The password is set. Every other session has ended.")
    set_session_cookie(response, settings, token)
    return response


@router.post("/account/sessions/end")
def end_session(request: Request, person: Viewer, session: WriteSession, session_id: Text = "") -> Response:
    """End one session, or every one but this when none is named."""
    token = _session_token(request)
    ended = accounts.end_own_sessions(session, person, keep=token, only=session_id or None)
    return redirect("/account", f"Ended {ended} session{'' if ended == 1 else 's'}.")


@router.post("/account/tokens")
def create_token(
    request: Request, person: Viewer, session: WriteSession, *, name: Text = "", scope: Text = "", days: Text = ""
) -> Response:
    """Create an API token and show it, this once: the answer is the page itself and not a redirect."""
    try:
        token = api_tokens.create(session, person, name=name, scope=scope, days=int(days) if days.isdecimal() else 0)
    except AppError as error:
        form = rejected(error, name=name, scope=scope, days=days)
        context = _account(request, session, person, token_form=form)
        return page(request, "accounts/account.html", context, status=error.status)
    return page(request, "accounts/account.html", _account(request, session, person, new_token=token), status=201)


@router.post("/account/tokens/{token_id}/revoke")
def revoke_token(person: Viewer, session: WriteSession, token_id: RowId) -> Response:
    """End one of one's own API tokens."""
    name = api_tokens.revoke(session, person, token_id)
    return redirect("/account", f"The token “{name}” is revoked.")


def local_path(address: str) -> str:
    """`address` if it leads into this site, "/" otherwise: nobody is sent elsewhere after signing in."""
    inside = address.startswith("/") and not address.startswith(("//", "/\\", "/sign-in", "/sign-out"))
    return address if inside and address.isprintable() else "/"


def _account(
    request: Request,
    session: Session,
    person: Person,
    *,
    new_token: str = "",
    password_form: ShownForm | None = None,
    token_form: ShownForm | None = None,
) -> AccountPage:
    return AccountPage(
        person=person,
        has_password=queries.has_password(session, person.id),
        sessions=queries.sessions_of(session, person.id),
        current_session=accounts.digest(_session_token(request))[: queries.SESSION_ID_LENGTH],
        tokens=queries.tokens_of(session, person.id),
        scopes=api_tokens.scopes_for(person),
        new_token=new_token,
        password_form=password_form or ShownForm(),
        token_form=token_form or ShownForm(),
    )


def _session_token(request: Request) -> str:
    """The token of the session that an account page was opened with: API tokens open none of them."""
    identity = identify(request)
    return (identity.session_token if identity else None) or ""


def _agent(request: Request) -> str:
    return request.headers.get("user-agent", "")
