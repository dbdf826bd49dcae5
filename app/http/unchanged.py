"""Pages that a browser has already: ETag and 304."""

import hashlib
import time
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__
from app.http.identity import identify, known_identity

_OURS: Final = 'W/"page-'


class UnchangedPages:
    """Answers that a page is as it was before anything else is done: one query, whatever the page.

    A tag tells all that its page depends on, the address and the person among them. So a browser that sends the
    tag which this very request has now was given this very page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A 304, or whatever the application answers."""
        if scope["type"] == "http" and scope["method"] == "GET":
            request = Request(scope)
            if _OURS in request.headers.get("if-none-match", ""):
                same = await run_in_threadpool(_same, request)
                if same is not None:
                    await same(scope, receive, send)
                    return
        await self._app(scope, receive, send)


def _same(request: Request) -> Response | None:
    identity = None if "authorization" in request.headers else identify(request)
    if identity is None:
        return None
    headers = kept(request, identity.board_stamp)
    known = [tag.strip() for tag in request.headers["if-none-match"].split(",")]
    if headers.get("ETag") not in known:
        return None
    request.scope["endpoint"] = _same  # what the log and the metrics name
    response = Response(status_code=304, headers=headers)
    response.headers.add_vary_header("HX-Request")
    return response


def kept(request: Request, stamp: int) -> dict[str, str]:
    """Headers of a page that the browser may keep until the stamp rises; none for one that is made anew every time.

    While runs are open their progress is shown, which no stamp covers.

    Args:
        request: by somebody who was identified.
        stamp: rises with every change of what the page shows.
    """
    tag = _tag(request, stamp)
    return {"Cache-Control": "private, no-cache", "ETag": tag} if tag else {}


def _tag(request: Request, stamp: int) -> str:
    identity = known_identity(request)
    if identity is None or identity.active_runs or "touchstone_flash" in request.cookies:
        return ""
    person = identity.person
    parts = (
        __version__,
        str(stamp),
        str(request.url),
        request.headers.get("hx-request", ""),
        request.headers.get("hx-trigger", ""),
        identity.session_token or "",
        person.name,
        str(person.role),
        str(minute()),
    )
    return f'{_OURS}{hashlib.blake2b(chr(0).join(parts).encode(), digest_size=12).hexdigest()}"'


def minute() -> int:
    """The minute that it is. So long a page may say "3 min ago" where it is 4 by now."""
    return int(time.time()) // 60
