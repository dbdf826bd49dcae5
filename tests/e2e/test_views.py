"""Every view of a board, its models and datasets in a browser: both themes, both widths, under hostile names."""

from collections.abc import Callable
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from app.db.session import Database
from tests.board_world import CPU, GPU, World

pytestmark = pytest.mark.browser

MARKUP, RIGHT_TO_LEFT, FORMULA = "acme/<img src=x onerror=alert(1)>", "acme/نموذج\u202eabc", "acme/=1+1"
VIEWS: Final = {
    "summary": "/boards/{board}",
    "quality": "/boards/{board}?show=quality",
    "cost": "/boards/{board}?show=cost",
    "everything": "/boards/{board}?show=everything&dense=1",
    "filtered": "/boards/{board}?type=STS&max_parameters=1B&q=acme&pin={first}",
    "nothing left": "/boards/{board}?max_parameters=1",
    "tasks": "/boards/{board}/tasks",
    "languages": "/boards/{board}/languages",
    "charts": "/boards/{board}/charts",
    "public": "/boards/{board}/public?with={other}",
    "info": "/boards/{board}/info",
    "views": "/boards/{board}/views",
    "compare": "/compare?board={board}&models={first},{second},{third}",
    "boards": "/boards",
    "models": "/models",
    "model": "/models/acme/strong",
    "dataset": "/datasets/pairs",
}


@pytest.fixture
def house(database: Database) -> dict[str, str]:
    """Two boards with hostile names on them: four models, five datasets of three types, costs on two devices."""
    world = World(database)
    kinds = {
        "pairs": "STS",
        "more-pairs": "STS",
        "articles": "Retrieval",
        "labels": "Classification",
        "x": "Clustering",
    }
    for slug, kind in kinds.items():
        world.dataset(slug, kind, name=f"<u>{slug}</u> \u202e{kind}")
    facts = {"memory_mb": 100.0, "dimensions": 384, "release_date": "2024-01-01", "licence": "<s>mit</s>"}
    models = []
    for place, name in enumerate(("acme/strong", MARKUP, RIGHT_TO_LEFT, FORMULA), 1):
        models.append(world.model(name, parameters=10 ** (place + 5), **facts))
        for number, slug in enumerate(kinds):
            score = 0.9 - place / 50 + number / 100
            world.run(models[-1], slug, {("test", "eng"): score, ("test", "<i>"): score / 2})
        for device in (GPU, CPU):
            world.measure(models[-1], device, p50=float(place))
    board = world.board(*kinds, name="<b>Ours</b> =1+1")
    other = world.board("pairs", name="Theirs")
    first, second, third, _ = map(str, models)
    return {"board": board, "other": other, "first": first, "second": second, "third": third}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_accessible_and_fits_and_shows_names_as_text(
    signed_in: Page, address: str, house: dict[str, str], accessible: Callable[[str], None], view: str
) -> None:
    page = signed_in
    page.goto(address + VIEWS[view].format_map(house))
    expect(page.locator("h1")).to_be_visible()
    accessible(view)
    assert page.locator("main :is(img, u, s, i, b)").count() == 0
    page.set_viewport_size({"width": 390, "height": 844})
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, f"{view} is {width} px wide on a screen of 390"


def test_a_board_is_walked_by_keyboard(signed_in: Page, address: str, house: dict[str, str]) -> None:
    page = signed_in
    page.goto(f"{address}/boards/{house['board']}")
    page.keyboard.press("Tab")
    expect(page.locator("a.skip")).to_be_focused()
    head = page.locator("thead a.sort", has_text="Mean (Task)")
    head.focus()
    expect(page.get_by_role("tooltip").filter(has_text="Mean over all datasets shown")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Mean (Task)")
    page.locator("tbody tr").first.locator("a.model-name").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("tbody tr").nth(1).locator("a.model-name")).to_be_focused()


def test_models_are_pinned_and_compared(signed_in: Page, address: str, house: dict[str, str]) -> None:
    page = signed_in
    page.goto(f"{address}/boards/{house['board']}")
    for place in (1, 2):
        row = page.locator("tbody tr").nth(place)
        row.hover()
        row.locator("a.pin").click()
        expect(page.locator("tbody tr.pinned")).to_have_count(place)
    page.get_by_role("link", name="Compare 2 models").click()
    expect(page).to_have_url(f"{address}/compare?board={house['board']}&models={house['second']},{house['third']}")
    expect(page.locator("main")).to_contain_text(MARKUP.partition("/")[2])


def test_a_print_shows_the_whole_table_and_no_controls(signed_in: Page, address: str, house: dict[str, str]) -> None:
    page = signed_in
    page.goto(f"{address}/boards/{house['board']}")
    page.emulate_media(media="print")
    expect(page.locator("header.site")).to_be_hidden()
    expect(page.locator(".actions")).to_be_hidden()
    expect(page.locator("table.data")).to_be_visible()
    assert page.locator(".table-wrap").evaluate("wrap => getComputedStyle(wrap).overflow") == "visible"
