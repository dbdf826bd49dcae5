"""Chromium, watched: every page is free of CSP violations, script errors and requests to elsewhere."""

import os
import shutil
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from app.db.session import Database
from app.db.tables import Role
from app.settings import Settings
from tests.e2e.house import served, sign_in

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    program = shutil.which("chromium")
    if program is None:
        reason = "Chromium is not installed; on Debian: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        yield browser
        browser.close()


class Watch:
    """What went wrong on the pages a browser visited."""

    def __init__(self, page: Page) -> None:
        self.faults: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        # A 422 answer is part of the story; Chromium notes it as an error of the network.
        if message.type == "error" and "status of 422" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and parts.hostname != "127.0.0.1":
            self.faults.append(f"request to {request.url}")


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of its own context, 1400 x 900; the test fails at its end if the watch noted a fault."""
    context = chromium.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True, color_scheme="light")
    context.set_default_timeout(15_000)
    opened = context.new_page()
    watch = Watch(opened)
    yield opened
    context.close()
    assert watch.faults == []


@pytest.fixture
def accessible(page: Page) -> Callable[[str], None]:
    """Asserts that axe finds nothing on the page as it is now, in both themes."""

    def check(where: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            results = Axe().run(page)
            assert results.violations_count == 0, f"{where}, {scheme}: {results.generate_report()}"
        page.emulate_media(color_scheme="light")

    return check


@pytest.fixture
def address(settings: Settings) -> Iterator[str]:
    """The web alone, on the test's house."""
    with served(settings) as found:
        yield found


@pytest.fixture
def signed_in(page: Page, address: str, settings: Settings, database: Database) -> Page:
    """A page on which a viewer is signed in."""
    return sign_in(page, address, settings, database, Role.VIEWER)
