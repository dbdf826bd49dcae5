"""The charts in a browser: drawn under the CSP in both themes, saved as an image, beside a table, without a fault."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from app.db.session import Database
from tests.board_world import World

pytestmark = pytest.mark.browser

EVIL = "acme/</script><b>&amp; نموذج"


@pytest.fixture
def boards(database: Database) -> tuple[str, str]:
    """Two boards with five models each, four of them common; one has a hostile name."""
    world = World(database)
    world.dataset("pairs")
    world.dataset("articles", "Retrieval")
    facts = {"memory_mb": 100.0, "dimensions": 384, "release_date": "2024-01-01"}
    for place, name in enumerate(("acme/one", "acme/two", "acme/three", EVIL), 1):
        model = world.model(name, parameters=10 ** (place + 5), open_weights=(None, True, False)[place % 3], **facts)
        world.run(model, "pairs", 0.5 + place / 100)
        world.run(model, "articles", 0.9 - place / 100)
    for slug in ("pairs", "articles"):
        world.run(world.model(f"acme/only-{slug}"), slug, 0.2)
    return world.board("pairs", name="Ours"), world.board("articles", name="<i>Theirs</i>")


def colours(page: Page, selector: str, name: str) -> set[str]:
    """What the first theme-dependent things of the chart are painted in."""
    found = page.locator(selector).evaluate_all(f"all => all.map((one) => getComputedStyle(one).{name})")
    return set(map(str, found))


def test_charts_are_drawn_in_both_themes_beside_their_table(
    signed_in: Page, address: str, boards: tuple[str, str], accessible: Callable[[str], None]
) -> None:
    page = signed_in
    points = page.locator(".chart .points path")
    for axis in ("", "/memory", "/dimensions", "/released"):
        page.goto(f"{address}/boards/{boards[0]}/charts{axis}")
        expect(page.locator(".chart .legend")).to_contain_text("Pareto frontier")
        expect(points.first).to_be_visible()
        expect(page.locator(".chart-split tbody tr")).to_have_count(4)
    page.goto(f"{address}/boards/{boards[0]}/charts")
    expect(page.locator(".chart .textpoint").last).to_be_visible()
    light = colours(page, ".chart .points path", "fill")
    accessible("charts")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "before => !before.includes(getComputedStyle(document.querySelector('.chart .points path')).fill)",
        arg=sorted(light),
    )
    assert colours(page, ".chart .points path", "fill").isdisjoint(light)
    page.get_by_role("button", name="Switch between light and dark").click()
    page.wait_for_function(
        "after => after.includes(getComputedStyle(document.querySelector('.chart .points path')).fill)",
        arg=sorted(light),
    )


def test_a_hostile_name_is_text_and_the_image_is_saved(signed_in: Page, address: str, boards: tuple[str, str]) -> None:
    page = signed_in
    page.goto(f"{address}/boards/{boards[0]}/charts?q=script")
    point = page.locator(".chart .points path")
    expect(point).to_have_count(1)
    point.hover(force=True)
    expect(page.locator(".chart .hovertext")).to_contain_text(EVIL)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download plot as a PNG").click()
    assert waiting.value.suggested_filename == f"{boards[0]}-by-parameters.png"
    assert waiting.value.path().read_bytes().startswith(b"\x89PNG")


def test_two_boards_are_compared(
    signed_in: Page, address: str, boards: tuple[str, str], accessible: Callable[[str], None]
) -> None:
    page = signed_in
    page.goto(f"{address}/boards/{boards[0]}/public?with={boards[1]}")
    expect(page.locator(".chart .legend")).to_contain_text("higher here")
    expect(page.locator(".chart .xtitle")).to_have_text("Rank on <i>Theirs</i>")
    expect(page.locator("tbody tr")).to_have_count(4)
    accessible("public")
    page.set_viewport_size({"width": 390, "height": 844})
    for tab in ("public", "charts"):
        page.goto(f"{address}/boards/{boards[0]}/{tab}")
        expect(page.locator(".chart .main-svg").first).to_be_visible()
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{tab} is {width} px wide on a screen of 390"
