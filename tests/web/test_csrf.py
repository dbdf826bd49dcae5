"""Requests that another site makes a browser send change nothing."""

from collections.abc import Iterator

import pytest
from fastapi import Depends, FastAPI
from starlette.requests import Request

from app.http.access import Viewer
from app.http.dependencies import accept_upload
from tests.conftest import Browser


@pytest.fixture
def browser(app: FastAPI, as_viewer: Browser) -> Iterator[Browser]:
    """A signed-in browser that says nothing about where its requests come from."""

    @app.post("/planted")
    def planted(_person: Viewer) -> str:
        return "changed"

    @app.post("/planted-upload", dependencies=[Depends(accept_upload)])
    async def upload(request: Request, _person: Viewer) -> int:
        return sum([len(chunk) async for chunk in request.stream()])

    del as_viewer.headers["sec-fetch-site"]
    yield as_viewer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, 403),
        ({"Origin": "http://testserver"}, 200),
        ({"Origin": "http://testserver:80"}, 200),
        ({"Origin": "https://testserver"}, 403),
        ({"Origin": "http://testserver:8080"}, 403),
        ({"Origin": "http://testserver.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[broken"}, 403),
        ({"Referer": "http://testserver/account?x=1"}, 200),
        ({"Referer": "http://evil.example/http://testserver/"}, 403),
        ({"Origin": "http://evil.example", "Referer": "http://testserver/"}, 403),
        ({}, 403),
    ],
)
def test_the_request_must_come_from_our_own_pages(browser: Browser, headers: dict[str, str], status: int) -> None:
    answer = browser.post_form("/planted", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert "another site" in answer.text


def test_behind_a_proxy_the_public_address_counts(app: FastAPI, browser: Browser) -> None:
    app.state.settings.public_url = "https://board.example"
    browser.cookies.set("__Host-touchstone", browser.cookies["touchstone"])
    assert browser.post_form("/planted", headers={"Origin": "https://board.example"}).status_code == 200
    assert browser.post_form("/planted", headers={"Origin": "http://testserver"}).status_code == 403


class TestToken:
    @pytest.fixture
    def browser(self, browser: Browser) -> Browser:
        browser.headers["sec-fetch-site"] = "same-origin"
        return browser

    def test_a_form_field_or_the_header_is_accepted(self, browser: Browser) -> None:
        assert browser.post("/planted", data={"csrf_token": browser.csrf_token}).status_code == 200
        assert browser.post("/planted", headers={"X-CSRF-Token": browser.csrf_token}).status_code == 200
        assert browser.post("/planted", json={}, headers={"X-CSRF-Token": browser.csrf_token}).status_code == 200

    @pytest.mark.parametrize("token", ["", "0" * 64, "ünglaublich"])
    def test_a_missing_or_wrong_one_is_refused(self, browser: Browser, token: str) -> None:
        answer = browser.post("/planted", data={"csrf_token": token})
        assert answer.status_code == 403
        assert "Reload the page" in answer.text

    def test_the_query_counts_for_multipart_only(self, browser: Browser) -> None:
        address = f"/planted?csrf={browser.csrf_token}"
        assert browser.post(address, files={"file": b"x"}).status_code == 200
        assert browser.post(address, data={"x": "1"}).status_code == 403
        assert browser.post(address, json={}).status_code == 403

    def test_a_multipart_body_is_not_looked_at(self, browser: Browser) -> None:
        fields = {"csrf_token": (None, browser.csrf_token)}
        assert browser.post("/planted", files=fields).status_code == 403

    def test_another_sessions_token_is_refused(self, browser: Browser, as_admin: Browser) -> None:
        assert browser.post("/planted", data={"csrf_token": as_admin.csrf_token}).status_code == 403

    def test_an_upload_is_decided_before_its_body_is_read(self, browser: Browser) -> None:
        sent: list[int] = []

        def body() -> Iterator[bytes]:
            for _ in range(8):
                sent.append(1)
                yield b"x" * 1_000_000

        headers = {"Content-Type": "multipart/form-data; boundary=b", "X-CSRF-Token": browser.csrf_token}
        answer = browser.post("/planted-upload", content=body(), headers=headers)
        assert (answer.status_code, answer.json()) == (200, 8_000_000)
        refused = browser.post("/planted-upload", files={"file": b"x" * 1000})
        assert refused.status_code == 403
        assert len(sent) == 8
