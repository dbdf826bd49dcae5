"""Errors are answered in one way: page, fragment or JSON, with the true status and a request id."""

import re

import pytest
from fastapi import Depends, FastAPI
from sqlalchemy.exc import DataError
from starlette.requests import Request
from structlog.testing import capture_logs

from app.errors import Conflict, TooManyRequests
from app.http.access import Viewer
from app.http.dependencies import RowId, accept_upload
from app.http.middleware import ORDINARY_BODY
from tests.conftest import Browser

JSON = {"Accept": "application/json"}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def browser(app: FastAPI, as_viewer: Browser) -> Browser:
    @app.get("/planted/{kind}")
    def planted(kind: str, _person: Viewer) -> None:
        if kind == "conflict":
            raise Conflict("The <name> is taken.", code="name_taken", details={"name": "x"})
        if kind == "busy":
            raise TooManyRequests("Later, please.", retry_after=17)
        if kind == "data":
            raise DataError("SELECT 1", {}, ValueError("the secret text"))
        raise RuntimeError("a secret detail")

    @app.get("/planted-number/{number}")
    def number(number: RowId, size: int, _person: Viewer) -> None: ...

    @app.post("/planted-json")
    def body(body: dict[str, int], _person: Viewer) -> None: ...

    @app.post("/planted-upload", dependencies=[Depends(accept_upload)])
    async def upload(request: Request, _person: Viewer) -> int:
        return sum([len(chunk) async for chunk in request.stream()])

    return as_viewer


def test_a_page_for_people(browser: Browser) -> None:
    answer = browser.get("/planted/conflict")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "The &lt;name&gt; is taken." in answer.text
    assert answer.headers["x-request-id"] in answer.text
    assert "<header" in answer.text


def test_a_fragment_for_htmx(browser: Browser) -> None:
    answer = browser.get("/planted/conflict", headers=HTMX)
    assert answer.status_code == 409
    assert "The &lt;name&gt; is taken." in answer.text
    assert "<html" not in answer.text


@pytest.mark.parametrize("path", ["/planted/conflict", "/api/v1/nothing", "/healthz/nothing"])
def test_json_for_machines(browser: Browser, path: str) -> None:
    answer = browser.get(path, headers=JSON if path.startswith("/planted") else None)
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    if path.startswith("/planted"):
        assert (answer.status_code, error["code"], error["details"]) == (409, "name_taken", {"name": "x"})
    else:
        assert (answer.status_code, error["code"]) == (404, "not_found")


def test_an_unknown_address_is_a_page_that_knows_who_is_there(browser: Browser, client: Browser) -> None:
    answer = browser.get("/nothing-here")
    assert answer.status_code == 404
    assert "There is nothing at this address." in answer.text
    assert 'action="/sign-out"' in answer.text
    assert 'action="/sign-out"' not in client.get("/nothing-here").text


def test_a_wrong_method_names_the_right_ones(browser: Browser) -> None:
    answer = browser.put("/account", headers=JSON)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_values_of_the_wrong_kind_are_named(browser: Browser) -> None:
    answer = browser.get("/planted-number/99999999999?size=many", headers=JSON)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid_request")
    assert set(error["details"]["fields"]) == {"number", "size"}
    assert "many" not in answer.text


def test_broken_json_is_a_422(browser: Browser) -> None:
    headers = {**JSON, "Content-Type": "application/json", "X-CSRF-Token": browser.csrf_token}
    answer = browser.post("/planted-json", content=b'{"a": ', headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")


def test_too_many_requests_say_when_to_come_back(browser: Browser) -> None:
    answer = browser.get("/planted/busy")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "17")


def test_a_value_the_database_refuses_is_a_422_without_the_value(browser: Browser) -> None:
    answer = browser.get("/planted/data", headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_value")
    assert "secret" not in answer.text


@pytest.mark.parametrize("headers", [{}, JSON, HTMX])
def test_an_unexpected_error_is_logged_and_not_shown(browser: Browser, headers: dict[str, str]) -> None:
    with capture_logs() as logs:
        answer = browser.get("/planted/broken", headers=headers)
    assert answer.status_code == 500
    assert "secret" not in answer.text and "RuntimeError" not in answer.text
    assert answer.headers["x-request-id"] in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert [entry["event"] for entry in logs] == ["request failed", "request"]
    assert logs[0]["exc_info"]
    assert logs[1]["status"] == 500


def test_a_broken_error_page_still_answers(app: FastAPI, browser: Browser) -> None:
    def broken(*_: object) -> None:
        raise LookupError("no template")

    app.state.render_error = broken
    answer = browser.get("/planted/conflict")
    assert answer.status_code == 409
    assert answer.text.startswith("The <name> is taken.\nRequest ")
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_request_id_is_ours_and_new_each_time(client: Browser) -> None:
    answers = [client.get("/healthz", headers={"X-Request-Id": "theirs"}) for _ in range(2)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{16}", request_id) for request_id in ids)


class TestBodyLimit:
    def test_an_announced_body_is_refused_before_it_is_read(self, browser: Browser) -> None:
        headers = {**JSON, "Content-Type": "application/json", "X-CSRF-Token": browser.csrf_token}
        answer = browser.post("/planted-json", content=b" " * (ORDINARY_BODY + 1), headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
        assert answer.headers["x-content-type-options"] == "nosniff"

    def test_a_body_without_a_length_is_counted(self, browser: Browser) -> None:
        headers = {**JSON, "Content-Type": "application/json", "X-CSRF-Token": browser.csrf_token}
        chunks = (b" " * 1024**2 for _ in range(5))
        assert browser.post("/planted-json", content=chunks, headers=headers).status_code == 413

    def test_an_upload_may_be_as_large_as_the_settings_say(self, app: FastAPI, browser: Browser) -> None:
        app.state.settings.upload_max_bytes = ORDINARY_BODY + 1
        headers = {**JSON, "X-CSRF-Token": browser.csrf_token}
        fits, larger = b"x" * (ORDINARY_BODY + 1), b"x" * (ORDINARY_BODY + 1024**2 + 2)
        assert browser.post("/planted-upload", content=fits, headers=headers).json() == ORDINARY_BODY + 1
        assert browser.post("/planted-upload", content=larger, headers=headers).status_code == 413
