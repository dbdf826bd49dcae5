"""Who sends a request: a session cookie in a browser, or a bearer token in a script."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from app.errors import Forbidden, SignInRequired
from app.http.dependencies import database_of, settings_of
from app.services import accounts, api_tokens
from app.services.accounts import Person, Scope
from app.settings import Settings

TOKEN_PATHS = ("/api/", "/metrics")


@dataclass(frozen=True, slots=True)
class Identity:
    """A recognised sender: `session_token` for a browser, `scope` for a script, never both.

    `active_runs` counts what is queued or running, for the header of pages; `board_stamp` is that of the boards
    (`app.db.changes`) when the sender was looked up. Both are for browsers only.
    """

    person: Person
    session_token: str | None = None
    scope: Scope | None = None
    active_runs: int = 0
    board_stamp: int = 0


def identify(request: Request) -> Identity | None:
    """Who sends this request, None for nobody; looked up once a request. Reads the database.

    Raises:
        SignInRequired: A bearer token that is unknown, revoked or expired.
        Forbidden: A bearer token on a page: tokens open the API and the metrics only.
    """
    if not hasattr(request.state, "identity"):
        header = request.headers.get("authorization", "")
        scheme, _, token = header.partition(" ")
        request.state.identity = (
            _by_token(request, token.strip()) if scheme.lower() == "bearer" else _by_cookie(request)
        )
    identity: Identity | None = request.state.identity
    return identity


def known_identity(request: Request) -> Identity | None:
    """Who sends this request, as far as it was looked up already."""
    identity: Identity | None = getattr(request.state, "identity", None)
    return identity


def _by_cookie(request: Request) -> Identity | None:
    settings = settings_of(request)
    token = request.cookies.get(cookie_name(settings))
    if not token:
        return None
    with database_of(request).reading() as session:
        found = accounts.person_for_session(session, token, idle_hours=settings.session_idle_hours)
    if found is None:
        return None
    if found.stale:
        with database_of(request).session() as session:
            accounts.touch_session(session, token)
    return Identity(found.person, session_token=token, active_runs=found.active_runs, board_stamp=found.board_stamp)


def _by_token(request: Request, token: str) -> Identity:
    if not request.url.path.startswith(TOKEN_PATHS):
        raise Forbidden("An API token opens /api/v1 and /metrics. For pages, sign in.", code="token_on_page")
    with database_of(request).reading() as session:
        found = api_tokens.person_for_token(session, token)
    if found is None:
        raise SignInRequired("This API token is unknown, revoked or expired. Create one at /account.", code="bad_token")
    if found.stale:
        with database_of(request).session() as session:
            api_tokens.touch(session, token)
    return Identity(found.person, scope=found.scope)


def cookie_name(settings: Settings) -> str:
    """The session cookie; on HTTPS browsers bind the prefix to this host and to Secure."""
    return "__Host-touchstone" if settings.secure_cookies else "touchstone"


def set_session_cookie(response: Response, settings: Settings, token: str) -> None:
    """Hand a session's token to the browser."""
    response.set_cookie(
        cookie_name(settings),
        token,
        max_age=int(settings.session_days * 86400),
        path="/",
        secure=settings.secure_cookies,
        httponly=True,
        samesite="lax",
    )


def clear_session_cookie(response: Response, settings: Settings) -> None:
    """Take the session's token away from the browser."""
    response.delete_cookie(
        cookie_name(settings), path="/", secure=settings.secure_cookies, httponly=True, samesite="lax"
    )
