"""The board in a browser: how long until people see all of it, and until a sort has changed it."""

import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from bench import board_house
from bench.board import PATH, PORT, Viewer, serving
from bench.common import Result, Target

_SIZE: Final = ViewportSize(width=1400, height=900)
_ROWS: Final = 333
_SORTS: Final = ("Mean (Task)", "Parameters", "Retr.", "Zero-shot")
"""Heads that are clicked in turn."""

_FIRST_VISIBLE: Final = """
window.shownAfter = new Promise((done, fail) => addEventListener("DOMContentLoaded", () => {
  const rows = document.querySelectorAll("table.data tbody tr").length;
  if (rows !== ROWS) fail(new Error(`the table has ${rows} rows`));
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
}));
"""
"""Promises when a frame with every row has been drawn, in milliseconds since the browser began to navigate."""

_CLICK: Final = """
head => {
  const link = [...document.querySelectorAll("thead th a")].find(a => a.textContent.includes(head));
  sessionStorage.clicked = performance.timeOrigin + performance.now();
  setTimeout(() => link.click());
}
"""
_SORTED: Final = "window.shownAfter.then(shown => performance.timeOrigin + shown - Number(sessionStorage.clicked))"
"""Milliseconds from the click until a frame with every row of the new page has been drawn."""

_ABOVE_THE_FOLD: Final = """
[...document.querySelectorAll("table.data tbody tr")].filter(
  row => row.getBoundingClientRect().bottom <= innerHeight).length
"""


def measure(name: str, *, quick: bool = False) -> Result:
    """The public board of 333 models and 41 datasets in Chromium, on a warm server."""
    rounds = 3 if quick else 15
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as folder:
        token = board_house.fill(Path(folder), list(board_house.public_cells()))
        with serving(Path(folder)), Viewer(token) as viewer, _chromium() as browser:
            viewer.page(PATH)
            shown = [_first_visible(browser, token) for _ in range(rounds)]
            with _signed_in(browser, token) as page:
                page.goto(f"http://127.0.0.1:{PORT}{PATH}")
                rows = int(page.evaluate(_ABOVE_THE_FOLD))
                sorts = [_sorted(page, head) for _ in range(rounds // 3 + 1) for head in _SORTS]
    visible, sort = statistics.median(shown), statistics.median(sorts)
    return Result(
        name,
        "The board in a browser",
        "Chromium at 1400 x 900 on the same machine, the board of 333 models and 41 datasets. First visible: from the "
        "start of the navigation, with an empty cache, until a frame with every row has been drawn. A sort: from the "
        "click on a head until a frame with every row in its new order has been drawn. Medians.",
        ("all rows first visible", "slowest", "a sort", "slowest", "rows above the fold"),
        ((f"{visible:,.0f} ms", f"{max(shown):,.0f} ms", f"{sort:,.0f} ms", f"{max(sorts):,.0f} ms", str(rows)),),
        (
            Target("all rows first visible", 500, visible, "ms", "less"),
            Target("a sort", 150, sort, "ms", "less"),
            Target("rows above the fold", 18, rows, "rows"),
        ),
        raw={"first visible": shown, "sorts": sorts},
    )


@contextmanager
def _chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def _signed_in(browser: Browser, token: str) -> Iterator[Page]:
    """A page of its own context: nothing is in its cache."""
    with browser.new_context(viewport=_SIZE) as context:
        context.add_init_script(_FIRST_VISIBLE.replace("ROWS", str(_ROWS)))
        context.add_cookies([{"name": "touchstone", "value": token, "url": f"http://127.0.0.1:{PORT}"}])
        yield context.new_page()


def _first_visible(browser: Browser, token: str) -> float:
    """Milliseconds."""
    with _signed_in(browser, token) as page:
        page.goto(f"http://127.0.0.1:{PORT}{PATH}")
        return float(page.evaluate("window.shownAfter"))


def _sorted(page: Page, head: str) -> float:
    """Milliseconds."""
    with page.expect_navigation(wait_until="commit"):
        page.evaluate(_CLICK, head)
    return float(page.evaluate(_SORTED))
