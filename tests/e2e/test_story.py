"""The whole story in a browser: sign in, upload, mend an error, add models, queue, watch, read the board."""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.house import House

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PASSWORD = "a lighthouse of wet paper"
DEMO = Path(__file__).resolve().parents[2] / "demo"
Check = Callable[[str], None]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "data", "--no-demo")
    try:
        yield house.wait_ready()
    finally:
        house.kill()


def test_the_whole_story(house: House, page: Page, accessible: Check, tmp_path: Path) -> None:
    _sign_in(house, page, accessible)
    _meet_empty_pages(house, page, accessible)
    _upload_and_mend(house, page, accessible, tmp_path)
    _add_models(house, page, accessible)
    _make_a_board(house, page, accessible)
    _queue_and_watch(house, page, accessible)
    _read_the_board(house, page, accessible)
    _narrow(house, page)


def _sign_in(house: House, page: Page, accessible: Check) -> None:
    page.goto(house.address)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    accessible("sign in")
    page.goto(house.sign_in_link())
    page.get_by_role("button", name="Sign in as admin").click()
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password again").fill(PASSWORD)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("status").first).to_be_visible()
    accessible("account")
    page.locator("summary", has_text="admin").click()
    page.get_by_role("button", name="Sign out").click()
    page.goto(house.address + "/sign-in")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill("not this one at all")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation").first).to_contain_text("Datasets")


def _meet_empty_pages(house: House, page: Page, accessible: Check) -> None:
    for path in ("/", "/boards", "/models", "/datasets", "/runs", "/runs/new", "/admin/workers", "/admin/storage"):
        page.goto(house.address + path)
        accessible(f"empty {path}")


def _upload_and_mend(house: House, page: Page, accessible: Check, tmp_path: Path) -> None:
    good = (DEMO / "similar-requests.csv").read_text(encoding="utf-8").splitlines()
    broken = tmp_path / "pairs.csv"
    broken.write_text("\n".join([*good[:6], '"No score here","at all",', *good[6:]]) + "\n", encoding="utf-8")
    mended = tmp_path / "pairs-mended.csv"
    mended.write_text("\n".join(good) + "\n", encoding="utf-8")

    page.goto(house.address + "/datasets")
    page.get_by_role("link", name="Upload", exact=False).first.click()
    page.get_by_label("Name", exact=True).fill("<b>Similar</b> requests")
    page.get_by_label("Task type").select_option("STS")
    page.get_by_label("Languages").fill("eng-Latn, deu-Latn, cmn-Hans")
    page.locator("input[type=file]").set_input_files(broken)
    accessible("upload form")
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_text("The file cannot be used as it is.")).to_be_visible(timeout=30_000)
    row = page.get_by_role("row").filter(has_text="pairs.csv")
    expect(row).to_contain_text("7")
    expect(row).to_contain_text("score")
    accessible("error report")

    page.get_by_role("link", name="Mend the file and upload it again").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("<b>Similar</b> requests")
    page.locator("input[type=file]").set_input_files(mended)
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_text("The file is well.")).to_be_visible(timeout=30_000)
    accessible("good report")
    page.get_by_role("button", name="Publish", exact=False).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("<b>Similar</b> requests")
    accessible("dataset")


def _add_models(house: House, page: Page, accessible: Check) -> None:
    for button in ("Add BM25", "Add random"):
        page.goto(house.address + "/models/new")
        accessible("new model")
        page.get_by_role("button", name=button, exact=False).click()
        expect(page.get_by_text("inspect", exact=False).first).to_be_visible()
    page.goto(house.address + "/models")
    expect(page.get_by_role("row")).to_have_count(3)
    accessible("models")


def _make_a_board(house: House, page: Page, accessible: Check) -> None:
    page.goto(house.address + "/boards/new")
    page.get_by_label("Name", exact=True).fill("Our texts")
    page.get_by_role("checkbox", name="<b>Similar</b> requests").check()
    accessible("new board")
    page.get_by_role("button", name="Make", exact=False).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Our texts")


def _queue_and_watch(house: House, page: Page, accessible: Check) -> None:
    def ready() -> bool:
        page.goto(house.address + "/runs/new")
        return page.locator("input[name=model]:enabled").count() == 2

    for _ in range(40):
        if ready():
            break
        page.wait_for_timeout(500)
    for box in page.locator("input[name=model]:enabled, input[name=dataset]:enabled").all():
        box.check()
    accessible("queue runs")
    page.get_by_role("button", name="Queue 2 runs").click()
    expect(page.get_by_text("Queued 2 runs", exact=False)).to_be_visible()
    done = page.get_by_role("row").filter(has_text="done")
    expect(done).to_have_count(2, timeout=60_000)  # the page updates itself
    accessible("the queue")
    page.goto(house.address + "/runs/1")
    expect(page.get_by_text("cosine_spearman").first).to_be_visible()
    accessible("a run")


def _read_the_board(house: House, page: Page, accessible: Check) -> None:
    page.goto(house.address)
    rows = page.locator("table.data tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("bm25")
    table = page.locator("table.data")
    box = table.bounding_box()
    assert box is not None and box["y"] < 200
    expect(table).not_to_contain_text("—" * 2)
    accessible("the board")
    page.locator("thead th.model a").click()
    expect(page).to_have_url(re.compile("sort=model"))
    expect(page.locator("th[aria-sort]")).to_have_text(re.compile("Model"))
    page.locator("thead th", has_text="(Task)").get_by_role("link").first.click()
    expect(page).to_have_url(re.compile("sort=-mean_task"))
    expect(rows.first).to_contain_text("bm25")
    with page.expect_download() as waiting:
        page.locator("summary", has_text="Export").click()
        page.get_by_role("link", name="CSV").click()
    lines = list(csv.DictReader(waiting.value.path().read_text(encoding="utf-8").splitlines()))
    assert len(lines) == 2
    assert {line["Model"] for line in lines} == {"baseline/bm25", "baseline/random-vectors"}


def _narrow(house: House, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/", "/models", "/datasets", "/datasets/new", "/runs", "/runs/1", "/account", "/admin/users"):
        page.goto(house.address + path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{path} is {width} px wide on a screen of 390"
