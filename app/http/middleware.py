"""Around every request: an id, the sender's address, security headers, a body limit, a log line, the last catch."""

import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http import errors
from app.http.dependencies import BODY_LIMIT_KEY
from app.http.metrics import Metrics
from app.services.audit import request_address
from app.settings import Settings

log = structlog.get_logger(__name__)

ORDINARY_BODY = 4 * 1024**2
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": browsers would then send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_QUIET_HANDLERS = frozenset({"healthz", "readyz", "static"})
_LINK_PATH = "/sign-in/"


class AroundRequests:
    """The only middleware; pure ASGI, so that streaming and context variables stay as they are."""

    def __init__(self, app: ASGIApp, *, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._secure_cookies = settings.secure_cookies
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other kinds of traffic pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        request_address.set(scope["client"][0] if scope.get("client") else "unknown")
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            await self._app(scope, _limited(scope, receive), send_with_headers)
        except Exception:
            log.exception("request failed", method=scope["method"], path=_shown_path(scope))
            if status:
                raise  # half an answer is out; only closing the connection tells the reader
            await errors.unexpected(Request(scope))(scope, receive, send_with_headers)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _complete(self, headers: MutableHeaders, request_id: str) -> None:
        headers["X-Request-Id"] = request_id
        headers.update(SECURITY_HEADERS)
        headers.setdefault("Cache-Control", "no-store")
        if self._secure_cookies:
            cookies = headers.getlist("set-cookie")
            del headers["set-cookie"]
            for cookie in cookies:
                headers.append("set-cookie", cookie if "; secure" in cookie.lower() else f"{cookie}; Secure")

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        handler = _handler(scope)
        self._metrics.observe(scope["method"], handler, status, seconds)
        write = log.debug if handler in _QUIET_HANDLERS and status < 400 else log.info
        write("request", method=scope["method"], path=_shown_path(scope), status=status, seconds=round(seconds, 3))


def _handler(scope: Scope) -> str:
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return "none"
    module, name = getattr(endpoint, "__module__", ""), getattr(endpoint, "__name__", "static")
    family = module.rsplit(".", 1)[-1]
    return name if family in {"health", ""} or name == "static" else f"{family}.{name}"


def _shown_path(scope: Scope) -> str:
    """The path for the log: without the query, and without the secret of a sign-in link."""
    path: str = scope["path"]
    return f"{_LINK_PATH}…" if path.startswith(_LINK_PATH) else path


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Refuse a body beyond the limit, before it is read where its length is announced."""
    announced = Headers(scope=scope).get("content-length", "")
    read = 0

    async def receive_within_limit() -> Message:
        nonlocal read
        limit: int = scope.get(BODY_LIMIT_KEY, ORDINARY_BODY)
        if announced.isdigit() and int(announced) > limit:
            raise HTTPException(413)
        message = await receive()
        read += len(message.get("body", b""))
        if read > limit:
            raise HTTPException(413)
        return message

    return receive_within_limit
