"""Pages from templates: what every template sees, and how it writes numbers and times."""

import hashlib
import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.core.task_types import OWN_SCALE
from app.http import csrf
from app.http.audience import fragment_wanted
from app.http.errors import ErrorAnswer
from app.http.identity import known_identity
from app.web import flash

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
STATIC = ROOT / "static"
NOTHING = "—"
_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[-_/])(?=\w)")


def page(
    request: Request,
    template: str,
    context: object,
    *,
    partial: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Render a page, or only its `partial` when htmx asks for a part.

    The template sees `page` (the context), `viewer` (Person or None), `csrf_token`, `flashes` as
    (kind, text) and `active_runs`. A message is shown, and forgotten, on whole pages only.
    """
    fragment = partial is not None and fragment_wanted(request)
    flashes = [] if fragment else flash.read(request)
    identity = known_identity(request)
    token = identity.session_token if identity else None
    html = (
        environment()
        .get_template(partial if fragment and partial else template)
        .render(
            page=context,
            viewer=identity.person if identity else None,
            csrf_token=csrf.token_for(token) if token else "",
            flashes=flashes,
            active_runs=identity.active_runs if identity else 0,
            bare=False,
        )
    )
    response = HTMLResponse(html, status, dict(headers or {}))
    response.headers.add_vary_header("HX-Request")
    if flashes:
        flash.clear(response)
    return response


def bare_page(template: str, context: object, viewer: object) -> Markup:
    """What stands in a page's <main>, to be kept; it sees `page` and `viewer`, no message, token or count of runs."""
    seen = {"page": context, "viewer": viewer, "csrf_token": "", "flashes": [], "active_runs": 0, "bare": True}
    return Markup(environment().get_template(template).render(seen))  # noqa: S704 -- a template escapes


def error_page(request: Request, answer: ErrorAnswer, fragment: bool) -> Response:
    """An error as people see it; the renderer that `app.http.errors` is given."""
    return page(request, "_error.html" if fragment else "error.html", answer, status=answer.status)


class _Templates(FileSystemLoader):
    """Looks for a change of a file once a second, not with every page."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """See `FileSystemLoader`."""
        source, path, is_fresh = super().get_source(environment, template)

        @lru_cache(maxsize=1)
        def is_fresh_in(_second: int) -> bool:
            return is_fresh()

        return source, path, lambda: is_fresh_in(_second())


@lru_cache
def environment() -> Environment:
    """The templates: escaping always, and an unknown name is an error."""
    made = Environment(
        loader=_Templates(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["static"] = static_url
    made.filters.update(number=number, percent=percent, bytes=byte_size, ago=ago, duration=duration, score=score)
    made.filters["breakable"] = breakable
    return made


def static_url(name: str) -> str:
    """The address of a file in static/, with a hash of its content, so that browsers may keep it for ever."""
    return f"/static/{name}?v={static_version(name)}"


def static_version(name: str) -> str:
    """12 digits of the sha256 of a file in static/.

    Raises:
        FileNotFoundError: A template names a file that does not exist.
    """
    return _static_version(name, _second())


@lru_cache(maxsize=256)
def _static_version(name: str, _second: int) -> str:
    return _content_hash(STATIC / name, (STATIC / name).stat().st_mtime_ns)


def _second() -> int:
    """Files are looked at once a second: every look lets other threads go first."""
    return int(time.monotonic())


@lru_cache(maxsize=256)
def _content_hash(path: Path, _mtime_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def number(value: float | None, digits: int = 0) -> str:
    """12400 -> "12,400"; None -> "—"."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def percent(share: float | None, digits: int = 0) -> str:
    """0.864 -> "86%"; None -> "—"."""
    return NOTHING if share is None else f"{share * 100:.{digits}f}%"


def score(value: float | None, metric: str = "") -> str:
    """0.7142 -> "71.42"; a metric of `OWN_SCALE` as it is, 1.5 -> "1.5000"; None -> "—"."""
    if value is None:
        return NOTHING
    if metric in OWN_SCALE:
        return f"{value:,.4f}" if abs(value) < 100 else f"{value:,.2f}"
    return f"{value * 100:.2f}"


def breakable(text: str) -> Markup:
    """A name that may end a line between its words: "ArXivClustering" -> "Ar<wbr>Xiv<wbr>Clustering"."""
    return Markup("<wbr>").join(_WORD_ENDS.split(text))


def byte_size(value: float | None) -> str:
    """1240000 -> "1.2 MB"; None -> "—"."""
    if value is None:
        return NOTHING
    if value < 1000:
        return f"{value:.0f} B"
    power = min(int(math.log10(value) // 3), 4)
    return f"{value / 1000**power:.1f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def duration(value: float | timedelta | None) -> str:
    """Seconds in the two largest units: 63 -> "1 min 3 s", 0.42 -> "0.4 s"; None -> "—"."""
    if value is None:
        return NOTHING
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    first = next(index for index, (_, size) in enumerate(units) if whole >= size)
    parts = []
    for name, size in units[first : first + 2]:
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts)


def ago(moment: datetime | None, now: datetime | None = None) -> Markup:
    """A <time> element: "3 min ago" or "in 2 h", with the exact moment on hover; None -> "—"."""
    if moment is None:
        return escape(NOTHING)
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if abs(seconds) < 10:
        words = "just now"
    else:
        words = f"{_distance(seconds)} ago" if seconds > 0 else f"in {_distance(-seconds)}"
    exact = moment.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.isoformat(timespec="seconds"), exact.strftime("%Y-%m-%d %H:%M:%S UTC"), words
    )


def _distance(seconds: float) -> str:
    for size, name in ((86400, "day"), (3600, "h"), (60, "min")):
        if seconds >= 0.99 * size:
            count = round(seconds / size)
            return f"{count} {name}{'s' if name == 'day' and count > 1 else ''}"
    return f"{round(seconds)} s"
