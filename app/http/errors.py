"""One way to answer errors: as page, fragment or JSON by audience, always with the true status and a request id."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from app.errors import AppError, SignInRequired, TooManyRequests
from app.http.audience import Audience, audience_of
from app.http.identity import identify

log = structlog.get_logger(__name__)

SIGN_IN = "/sign-in"
_MESSAGES = {
    404: "There is nothing at this address.",
    405: "This address does not take requests of this kind.",
    413: "The request is larger than this address accepts.",
    500: "Something went wrong on our side. It is in the log under the request id.",
}


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What an error answer says, whatever its form."""

    status: int
    code: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    request_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status in words, such as "Not Found"."""
        return HTTPStatus(self.status).phrase

    def as_json(self) -> dict[str, Any]:
        """The body for machines."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "details": dict(self.details),
                "request_id": self.request_id,
            }
        }


Renderer = Callable[[Request, ErrorAnswer, bool], Response]
"""Renders an error as a page, or as a fragment where the last argument is True."""


def install(app: FastAPI, render: Renderer) -> None:
    """Answer every error of `app` here; `render` draws those that people see."""
    app.state.render_error = render
    for kind in (AppError, HTTPException, RequestValidationError, DataError):
        app.add_exception_handler(kind, _handle)


def unexpected(request: Request) -> Response:
    """The answer to an error nobody expected: 500 without details."""
    return _answer(request, ErrorAnswer(500, "internal", _MESSAGES[500], request_id=_request_id(request)))


def _handle(request: Request, error: Exception) -> Response:
    if isinstance(error, SignInRequired):
        return _send_to_sign_in(request, error)
    answer = _describe(error, _request_id(request))
    if answer.status in {404, 405} and audience_of(request) is Audience.PAGE:
        identify(request)  # no route decided yet, and the page's header shows who is signed in
    return _answer(request, answer)


def _describe(error: Exception, request_id: str) -> ErrorAnswer:
    if isinstance(error, AppError):
        headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooManyRequests) else {}
        return ErrorAnswer(error.status, error.code, error.message, error.details, request_id, headers)
    if isinstance(error, RequestValidationError):
        fields = {".".join(str(part) for part in item["loc"][1:]): item["msg"] for item in error.errors()}
        message = "Some values cannot be used: " + "; ".join(f"{name}: {text}" for name, text in fields.items())
        return ErrorAnswer(422, "invalid_request", message, {"fields": fields}, request_id)
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        code = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(status, status.name.lower())
        message = _MESSAGES.get(status, str(error.detail))
        return ErrorAnswer(int(status), code, message, {}, request_id, error.headers or {})
    if isinstance(error, DataError):  # PostgreSQL takes no NUL in a text and no number beyond its column
        log.warning("a value cannot be stored", error=str(error.orig))
        return ErrorAnswer(
            422,
            "invalid_value",
            "A value cannot be stored: a NUL character or a number too large.",
            request_id=request_id,
        )
    raise error


def _send_to_sign_in(request: Request, error: SignInRequired) -> Response:
    audience = audience_of(request)
    if audience is Audience.PAGE:
        address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        back = address if request.method in {"GET", "HEAD"} else "/"
        return RedirectResponse(f"{SIGN_IN}?next={quote(back, safe='/')}", status_code=303)
    if audience is Audience.FRAGMENT:
        back = urlsplit(request.headers.get("hx-current-url", "")).path or "/"
        return Response(status_code=401, headers={"HX-Redirect": f"{SIGN_IN}?next={quote(back, safe='/')}"})
    challenge = {"WWW-Authenticate": "Bearer"}
    answer = ErrorAnswer(error.status, error.code, error.message, error.details, _request_id(request), challenge)
    return _answer(request, answer)


def _answer(request: Request, answer: ErrorAnswer) -> Response:
    audience = audience_of(request)
    if audience is Audience.MACHINE:
        return JSONResponse(answer.as_json(), answer.status, headers=dict(answer.headers))
    try:
        render: Renderer = request.app.state.render_error
        response = render(request, answer, audience is Audience.FRAGMENT)
    except Exception:  # a broken template must not hide the error it was to show
        log.exception("the error page cannot be rendered")
        response = PlainTextResponse(f"{answer.message}\nRequest {answer.request_id}\n", answer.status)
    response.headers.update(answer.headers)
    return response


def _request_id(request: Request) -> str:
    return str(getattr(request.state, "request_id", ""))
