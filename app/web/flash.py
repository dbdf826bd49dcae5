"""One message for the next page, in a short-lived cookie that only the server reads."""

import base64
import binascii
import json

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

COOKIE = "touchstone_flash"
KINDS = frozenset({"ok", "warn", "fail"})
_SECONDS = 60
_MAX_TEXT = 500


def redirect(url: str, flash: str = "", kind: str = "ok") -> Response:
    """A 303 to `url`, where `flash` is shown once; `kind` is ok, warn or fail."""
    response = RedirectResponse(url, status_code=303)
    if flash:
        value = base64.urlsafe_b64encode(json.dumps([kind, flash[:_MAX_TEXT]]).encode()).decode()
        response.set_cookie(COOKIE, value, max_age=_SECONDS, httponly=True, samesite="lax")
    return response


def read(request: Request) -> list[tuple[str, str]]:
    """The message for this page as [(kind, text)]; nothing when there is none or it is not ours."""
    value = request.cookies.get(COOKIE)
    if not value:
        return []
    try:
        kind, text = json.loads(base64.urlsafe_b64decode(value.encode()))
    except (ValueError, TypeError, binascii.Error):
        return []  # anybody can write a cookie; an unreadable one says nothing
    return [(kind, text)] if kind in KINDS and isinstance(text, str) else []


def clear(response: Response) -> None:
    """Forget the message once it was shown."""
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
