"""Against requests that another site makes a browser send.

An unsafe request needs both: it comes from our own pages (Sec-Fetch-Site, or else Origin or Referer), and
it carries the token of its session. The token is read from

1. the header `X-CSRF-Token` (htmx sends it, from `hx-headers` on the body),
2. the field `csrf_token` of a URL-encoded form,
3. the query `?csrf=` of a multipart form.

A multipart body is an upload: it is streamed to disk, so nothing in it can be looked at before the decision.
The query is safe here because no log of ours holds queries, Referrer-Policy keeps addresses inside this
site, the answer redirects, and the token alone, without the right origin, opens nothing.
Requests with a bearer token need neither: no browser adds one by itself.
"""

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.requests import Request

from app.errors import Forbidden
from app.http.dependencies import settings_of
from app.http.identity import Identity

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HEADER = "x-csrf-token"
FIELD = "csrf_token"
QUERY = "csrf"


def token_for(session_token: str) -> str:
    """The token of a session's forms; the session's own token cannot be computed from it."""
    return hashlib.sha256(f"csrf:{session_token}".encode()).hexdigest()


async def protect(request: Request, identity: Identity | None) -> None:
    """Let safe requests, bearer tokens and our own pages' requests through.

    Raises:
        Forbidden: Code `cross_site` or `csrf_token`.
    """
    if request.method in SAFE_METHODS or (identity is not None and identity.session_token is None):
        return
    _check_origin(request)
    if identity is not None and identity.session_token is not None:
        given = await _given_token(request)
        if not hmac.compare_digest(given.encode(), token_for(identity.session_token).encode()):
            raise Forbidden(
                "This form belongs to an earlier sign-in, or the page was open for too long. "
                "Reload the page and try again.",
                code="csrf_token",
            )


def _check_origin(request: Request) -> None:
    own = settings_of(request).public_url or str(request.base_url).rstrip("/")
    fetch_site = request.headers.get("sec-fetch-site")
    if fetch_site is not None:
        allowed = fetch_site in {"same-origin", "none"}
    else:
        source = _origin(request.headers.get("origin") or request.headers.get("referer", ""))
        allowed = source is not None and source == _origin(own)
    if not allowed:
        raise Forbidden(f"This request came from another site. Open {own} and try again there.", code="cross_site")


def _origin(address: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)


async def _given_token(request: Request) -> str:
    if token := request.headers.get(HEADER):
        return token
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "application/x-www-form-urlencoded":
        value = (await request.form()).get(FIELD, "")
        return value if isinstance(value, str) else ""
    if content_type == "multipart/form-data":
        return request.query_params.get(QUERY, "")
    return ""
