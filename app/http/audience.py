"""For whom an answer is: a person with a browser, htmx on a page, or a machine."""

from enum import Enum

from starlette.requests import Request

MACHINE_PATHS = ("/api/", "/healthz", "/readyz", "/metrics")


class Audience(Enum):
    """Decides the form of an error, never its status."""

    PAGE = "page"
    FRAGMENT = "fragment"
    MACHINE = "machine"


def audience_of(request: Request) -> Audience:
    """Machines have their own paths, or ask for JSON and not for HTML."""
    accepts = request.headers.get("accept", "")
    wants_json = "application/json" in accepts and "text/html" not in accepts
    if wants_json or request.url.path.startswith(MACHINE_PATHS):
        return Audience.MACHINE
    return Audience.FRAGMENT if "hx-request" in request.headers else Audience.PAGE


def fragment_wanted(request: Request) -> bool:
    """Whether htmx asks for a part of a page; restoring its history, it needs the whole one."""
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers
