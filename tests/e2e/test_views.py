"""Every view of a board, its models and datasets in a browser: both themes, both widths, under hostile names."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from app.db.session import Database
from app.services import imports
from app.services.import_scope import ImportForm
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests.board_world import CPU, GPU
from tests.e2e.house import served
from tests.result_files import card, result, write
from tests.verdict_world import VerdictWorld
from worker.tasks import Shop

pytestmark = pytest.mark.browser

MARKUP, RIGHT_TO_LEFT, FORMULA = "acme/<img src=x onerror=alert(1)>", "acme/نموذج\u202eabc", "acme/=1+1"
BOARD: Final = {
    "summary": "",
    "cost": "?show=cost",
    "everything": "?show=everything&dense=1",
    "filtered": "?type=STS&max_parameters=1B&q=acme&pin={first}",
    "nothing left": "?max_parameters=1",
    "tasks": "/tasks",
    "languages": "/languages?sort=-language:deu-Latn",
    "charts": "/charts",
    "by tier": "?sort=tier",
    "certainty": "/certainty",
    "report": "/report",
    "info": "/info",
    "views": "/views",
}
"""Views of a board by what stands behind its address."""
VIEWS: Final = {
    **{name: f"/boards/{{board}}{rest}" for name, rest in BOARD.items()},
    **{
        f"imported {name}": f"/boards/{{public}}{BOARD[name]}"
        for name in ("summary", "everything", "languages", "certainty", "report", "info")
    },
    "latency": "/boards/{board}/charts/query_p50",
    "public": "/boards/{board}/public?with={public}",
    "compare": "/compare?board={board}&models={first},{second},{third}",
    "compare imported": "/compare?board={public}&models=acme/strong,org/other",
    "verdicts": "/compare?board={board}&models={first},{second}&verdicts=now",
    "verdicts of three": "/compare?board={board}&models={first},{second},{third}&verdicts=now",
    "queries": "/compare/articles?board={board}&models={first},{second}",
    "pairs": "/compare/pairs?board={board}&models={first},{second}",
    "clusters": "/compare/x?board={board}&models={first},{second}",
    "boards": "/boards",
    "models": "/models",
    "model": "/models/acme/strong",
    "dataset": "/datasets/pairs",
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Settings:
    """One house for all tests of this file: its web process takes longer to start than most of them."""
    data_dir = tmp_path_factory.mktemp("views") / "data"
    data_dir.mkdir()
    shutil.copy(sqlite_template, data_dir / "touchstone.db")
    return Settings(data_dir=data_dir, database_url="", broker_url="", public_url="", demo=False)


@pytest.fixture(scope="module")
def database(settings: Settings) -> Iterator[Database]:
    made = Database.from_settings(settings)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def address(settings: Settings, house: dict[str, str]) -> Iterator[str]:
    """The web on the finished house."""
    assert house
    with served(settings) as found:
        yield found


@pytest.fixture(scope="module")
def house(database: Database, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two boards under hostile names, one of own runs, with costs on two devices and one imported."""
    world = VerdictWorld(database, settings)
    kinds = {
        "pairs": "STS",
        "more-pairs": "STS",
        "articles": "Retrieval",
        "labels": "Classification",
        "x": "Clustering",
    }
    for slug, kind in kinds.items():
        world.dataset(slug, kind, name=f"<u>{slug}</u> \u202e{kind}", languages=("eng-Latn", "deu-Latn"))
    facts = {"memory_mb": 100.0, "dimensions": 384, "release_date": "2024-01-01", "licence": "<s>mit</s>"}
    models = []
    for place, name in enumerate(("acme/strong", MARKUP, RIGHT_TO_LEFT, FORMULA), 1):
        models.append(world.model(name, parameters=10 ** (place + 5), **facts))
        for number, slug in enumerate(kinds):
            score = 0.9 - place / 50 + number / 100
            cells = {("test", "eng"): score, ("test", "deu"): 1 - score, ("test", "<i>"): score / 2}
            world.kept(models[-1], slug, {cell: (value, kept(kinds[slug], place)) for cell, value in cells.items()})
        for device in (GPU, CPU):
            world.measure(models[-1], device, p50=float(place))
    folder = write(tmp_path_factory.mktemp("results"), public_results())
    public = imports.import_folder(database, BlobStore(settings.blobs_dir), ImportForm("<i>Public</i> =2"), folder)
    first, second, third, _ = map(str, models)
    board = world.board(*kinds, name="<b>Ours</b> =1+1")
    shop = Shop(settings, "light@here")
    shop.work_light()
    shop.database.dispose()
    return {"board": board, "public": public.slug, "first": first, "second": second, "third": third}


def kept(kind: str, seed: int) -> dict[str, np.ndarray]:
    """What a run of that model keeps of a cell."""
    generator = np.random.default_rng(seed)
    values = generator.random(40)
    arrays = {
        "STS": {"similarity": values, "gold": np.linspace(0, 5, 40)},
        "Retrieval": {"query": np.arange(40), "value": values},
        "Classification": {"correct": values},
        "Clustering": {"v_measure": values, "level": np.zeros(40)},
    }
    return arrays[kind]


def public_results() -> dict[str, bytes]:
    """Results of four models, three of them on our own board too, on a task of MTEB's and an unknown one."""
    files = {}
    for place, name in enumerate(("acme/strong", MARKUP, FORMULA, "org/other")):
        score, card_of = 0.8 - place / 10, card(name, n_parameters=10**8, license="<s>mit</s>")
        files[f"m__{place}/abc/model_meta.json"] = card_of
        files[f"m__{place}/abc/STS17.json"] = result("STS17", test__en_en=score, test__en_de=1 - score)
        files[f"m__{place}/abc/Own.json"] = result("<u>Own</u>", dev=score / 2)
    return files


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_accessible_and_fits_and_shows_names_as_text(
    signed_in: Page, address: str, house: dict[str, str], accessible: Callable[[str], None], view: str
) -> None:
    page = signed_in
    answer = page.goto(address + VIEWS[view].format_map(house))
    assert answer and answer.ok
    expect(page.locator("main")).to_contain_text(re.compile("<[busi]"))
    accessible(view)
    assert page.locator("main :is(img, u, s, i, b)").count() == 0
    page.set_viewport_size({"width": 390, "height": 844})
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, f"{view} is {width} px wide on a screen of 390"


def test_panels_are_accessible(
    signed_in: Page, address: str, house: dict[str, str], accessible: Callable[[str], None]
) -> None:
    page = signed_in
    page.goto(f"{address}/boards/{house['board']}?show=everything")
    page.set_viewport_size({"width": 390, "height": 844})
    for name, inside in (("Columns", "Show these"), ("Filter", "Show"), ("Export", "CSV"), ("Views", "Save view")):
        page.locator("summary", has_text=name).click()
        expect(page.locator("details[open]").get_by_text(inside, exact=True).first).to_be_visible()
        accessible(name)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{name} is {width} px wide on a screen of 390"


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


def test_a_column_is_moved_by_keyboard(signed_in: Page, address: str, house: dict[str, str]) -> None:
    page = signed_in
    heads = page.locator("thead a.sort")
    page.goto(f"{address}/boards/{house['board']}?column=memory&column=parameters&column=mean_task")
    expect(heads).to_contain_text(["Rank", "Model", "Memory", "Parameters", "Mean (Task)"])
    page.locator("summary", has_text="Columns").focus()
    page.keyboard.press("Enter")
    for _ in range(2):
        page.get_by_role("button", name="Move Mean (Task) to the left").focus()
        page.keyboard.press("Enter")
        # The address ends with the row of the moved column, so that the panel is open there again.
        expect(page.get_by_role("group", name="Shown, from left to right")).to_be_visible()
    expect(heads).to_contain_text(["Rank", "Model", "Mean (Task)", "Memory", "Parameters"])
    expect(page.get_by_role("button", name="Move Mean (Task) to the left")).to_have_count(0)


def test_a_view_is_saved_and_found_again(signed_in: Page, address: str, house: dict[str, str]) -> None:
    page = signed_in
    looked_at = f"{address}/boards/{house['board']}?sort=-mean_task&show=cost"
    page.goto(looked_at)
    page.locator("summary", has_text="Views").click()
    page.get_by_label("Save this view as").fill("<b>Mine</b>")
    page.get_by_role("button", name="Save view").click()
    expect(page).to_have_url(looked_at)
    expect(page.get_by_role("status").first).to_contain_text("The view “<b>Mine</b>” is saved.")
    page.goto(f"{address}/boards/{house['board']}/languages")
    page.locator("summary", has_text="Views").click()
    page.get_by_role("link", name="<b>Mine</b>").click()
    expect(page).to_have_url(looked_at)
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Mean (Task)")


def test_languages_are_sorted_by(signed_in: Page, address: str, house: dict[str, str]) -> None:
    page = signed_in
    page.goto(f"{address}/boards/{house['board']}/languages")
    models = page.locator("tbody a.model-name")
    expect(models).to_contain_text(["strong", "<img", "نموذج", "=1+1"])
    page.locator("thead a.sort", has_text="deu-Latn").click()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("deu-Latn")
    expect(models).to_contain_text(["=1+1", "نموذج", "<img", "strong"])


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
