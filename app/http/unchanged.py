"""Pages that a browser has already: ETag and 304."""

import hashlib
import time

from starlette.requests import Request
from starlette.responses import Response

from app import __version__
from app.http.identity import known_identity

KEPT = {"Cache-Control": "private, no-cache"}
"""The browser may keep the page, but asks every time."""


def page_tag(request: Request, stamp: int) -> str:
    """The entity tag of a page that shows nothing but what a stamp covers; "" for one that is made anew every time.

    While runs are open their progress is shown, which no stamp covers.

    Args:
        request: by somebody who was identified.
        stamp: rises with every change of what the page shows.
    """
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
    return f'W/"{hashlib.blake2b(chr(0).join(parts).encode(), digest_size=12).hexdigest()}"'


def minute() -> int:
    """The minute that it is. So long a page may say "3 min ago" where it is 4 by now."""
    return int(time.time()) // 60


def not_modified(request: Request, tag: str) -> Response | None:
    """A 304, if the browser has this very page."""
    if not tag or tag not in [known.strip() for known in request.headers.get("if-none-match", "").split(",")]:
        return None
    response = Response(status_code=304, headers={**KEPT, "ETag": tag})
    response.headers.add_vary_header("HX-Request")
    return response
