"""What every answer carries: the content security policy and its companions, caching, safe cookies."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from app.db.session import Database
from app.main import create_app
from app.services import accounts
from app.settings import Settings
from app.web.templating import STATIC, static_url
from tests import factories
from tests.conftest import Browser

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)


@pytest.mark.parametrize("path", ["/account", "/sign-in", "/healthz", "/metrics", "/nothing", "/static/app.css"])
def test_every_answer_carries_the_policy(as_viewer: Browser, path: str) -> None:
    headers = as_viewer.get(path).headers
    assert headers["content-security-policy"] == CSP
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]


@pytest.mark.parametrize("path", ["/sign-in", "/account", "/admin/users", "/admin/audit", "/nothing"])
def test_pages_obey_their_own_policy(as_admin: Browser, path: str) -> None:
    html = as_admin.get(path).text
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", html)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", html)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', html)


class TestCaching:
    def test_pages_are_never_stored(self, as_viewer: Browser) -> None:
        answer = as_viewer.get("/account")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["vary"] == "HX-Request, Accept-Encoding"

    def test_static_files_with_their_hash_are_kept_for_a_year(self, client: Browser) -> None:
        address = static_url("app.css")
        assert re.fullmatch(r"/static/app\.css\?v=[0-9a-f]{12}", address)
        assert client.get(address).headers["cache-control"] == "public, max-age=31536000, immutable"
        assert client.get("/static/app.css").headers["cache-control"] == "no-cache"
        assert client.get("/static/app.css?v=old").headers["cache-control"] == "no-cache"

    def test_static_serves_nothing_else(self, client: Browser) -> None:
        assert (Path(STATIC).parent / "pyproject.toml").exists()
        for path in ("/static/../pyproject.toml", "/static/%2e%2e/pyproject.toml", "/static/", "/static/none.js?v=1"):
            assert client.get(path).status_code == 404


class TestCookies:
    def sign_in(self, app: FastAPI, database: Database) -> list[str]:
        with database.session() as session:
            person = factories.person(session)
            token = accounts.create_sign_in_link(session, person.id)
        return Browser(app).post(f"/sign-in/{token}").headers.get_list("set-cookie")

    def test_on_plain_http(self, app: FastAPI, database: Database) -> None:
        cookies = self.sign_in(app, database)
        assert {cookie.partition("=")[0] for cookie in cookies} == {"touchstone", "touchstone_flash"}
        for cookie in cookies:
            assert "; HttpOnly" in cookie and "; SameSite=lax" in cookie and "; Path=/" in cookie
            assert "Secure" not in cookie and "Domain" not in cookie

    def test_on_https(self, settings: Settings, database: Database) -> None:
        app = create_app(settings.model_copy(update={"public_url": "https://board.example"}))
        app.state.database.dispose()
        app.state.database = database
        cookies = self.sign_in(app, database)
        assert {cookie.partition("=")[0] for cookie in cookies} == {"__Host-touchstone", "touchstone_flash"}
        for cookie in cookies:
            assert "; HttpOnly" in cookie and "; Secure" in cookie and "; Path=/" in cookie
            assert "Domain" not in cookie


class TestLog:
    def test_a_request_is_one_line_without_its_query(self, as_viewer: Browser) -> None:
        with capture_logs() as logs:
            as_viewer.get("/account?token=secret")
        assert [(line["method"], line["path"], line["status"]) for line in logs] == [("GET", "/account", 200)]

    def test_the_secret_of_a_sign_in_link_is_not_logged(self, client: Browser) -> None:
        with capture_logs() as logs:
            client.get("/sign-in/very-secret")
        assert "very-secret" not in str(logs)
        assert logs[-1]["path"] == "/sign-in/…"
