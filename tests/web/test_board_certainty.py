"""How sure a board is, as its pages and the API show it: in cells, by tier, on a tab of its own."""

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from sqlalchemy import select

from app.core.aggregation import DatasetMeans
from app.db.queries.boards import Board
from app.db.session import Database
from app.db.tables import JobState, Model
from tests.board_world import World
from tests.certain_board import certain, four, show
from tests.conftest import Browser
from tests.web.test_boards import FRAGMENT, get, rows, text_of

EVIL = '<script>alert("1")</script>'
RTL = "نموذج"


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def slug(world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """A board of four models whose certainty is known."""
    found = four(world)
    show(monkeypatch)
    return found


def line(html: str) -> str:
    (found,) = re.findall(r'<p id="board-certainty".*?</p>', html, re.DOTALL)
    return text_of(found)


def bands(html: str) -> list[str]:
    """Model names and the words between them, in their order."""
    (body,) = re.findall(r"<tbody.*?</tbody>", html, re.DOTALL)
    found = re.findall(r'<tr class="cut"><td colspan="\d+"><span>(.*?)</span>|aria-label="acme/(\w+)"', body)
    return [band or name for band, name in found]


def switch(html: str, label: str) -> str:
    (href,) = re.findall(rf'<a href="([^"]+)">{label}</a>', html)
    return unescape(href)


class TestTable:
    def test_a_quiet_second_line(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}?column=mean_task&column=task:pairs")
        assert rows(html)[1] == ["2 1–3", "acme/b", "70.00 ±0.8", "70.00 ±0.8"]
        assert 'title="69.20 to 70.80 (95%)">70.00<small>±0.8</small></td>' in html
        assert re.search(r'title="69\.20 to 70\.80 \(95%\), n = 420"><a href="/runs/\d+">70\.00</a><small>', html)
        assert '<small title="On 95 of 100 resamples: 1–3">1–3</small>' in html
        assert '<tbody id="rows-' in html and 'class="two-lines"' in html

    def test_a_rank_that_is_sure_stands_alone(
        self, as_viewer: Browser, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def sure(board: Board) -> Board:
            found = certain(board)
            assert found.certainty is not None
            ones = np.array([1, 2, 2, 4])
            return replace(found, certainty=replace(found.certainty, best=ones, worst=ones))

        slug = four(world)
        show(monkeypatch, sure)
        assert [row[0] for row in rows(get(as_viewer, f"/boards/{slug}"))] == ["1", "2", "3 2", "4"]

    @pytest.mark.parametrize("tab", ["", "/tasks", "/languages"])
    def test_a_switch_hides_it(self, as_viewer: Browser, slug: str, tab: str) -> None:
        html = get(as_viewer, f"/boards/{slug}{tab}?plain=1")
        assert "<small" not in html and "two-lines" not in html
        assert "<small" in get(as_viewer, f"/boards/{slug}{tab}")
        if tab != "/languages":
            assert switch(html, "Show intervals") == f"/boards/{slug}{tab}"
            shown = get(as_viewer, f"/boards/{slug}{tab}?sort=-mean_task")
            assert switch(shown, "Hide intervals") == f"/boards/{slug}{tab}?sort=-mean_task&plain=1"

    def test_a_score_keeps_its_interval_beside_a_newer_run(self, as_viewer: Browser, slug: str, world: World) -> None:
        with world.database.reading() as session:
            model = session.scalars(select(Model.id).where(Model.name == "acme/a")).one()
        world.run(model, "pairs", state=JobState.RUNNING, done=1, total=2)
        html = get(as_viewer, f"/boards/{slug}?q=acme/a")
        assert rows(html)[0][-2] == "90.00 running ±0.8"

    @pytest.mark.parametrize(
        ("query", "notes"), [("dataset=pairs", {"task"}), ("type=STS", {"task"}), ("q=acme/b", {"task", "rank"})]
    )
    def test_a_filter_leaves_out_what_holds_for_the_whole_board_only(
        self, as_viewer: Browser, slug: str, query: str, notes: set[str]
    ) -> None:
        html = get(as_viewer, f"/boards/{slug}?column=task:pairs&column=mean_task&{query}")
        rank, _, task, mean = rows(html)[0]
        assert "±" in task
        assert ("±" in mean, "–" in rank) == ("rank" in notes, "rank" in notes)
        assert ("known for the whole board only" in line(html)) == ("rank" not in notes)

    def test_without_certainty_the_page_is_as_it_was(
        self, as_viewer: Browser, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slug = four(world)
        show(monkeypatch, lambda board: replace(board, certainty_expected=False))
        html = get(as_viewer, f"/boards/{slug}")
        assert line(html) == "" and "<small" not in html and "two-lines" not in html


class TestTiers:
    def test_they_order_rows_between_bands(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}")
        assert bands(html) == ["a", "b", "c", "d"]
        assert switch(html, "By tier") == f"/boards/{slug}?sort=tier"
        html = get(as_viewer, f"/boards/{slug}?sort=tier")
        second = "Tier 2: no test separates the rows above"
        assert bands(html) == ["a", "Tier 1: the row above alone", "b", "c", second, "d"]
        assert switch(html, "By rank") == f"/boards/{slug}"
        assert '<tr class="cut"><td colspan="11">' in html

    def test_untested_models_stand_below_the_last_band(
        self, as_viewer: Browser, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slug = four(world)
        show(monkeypatch, lambda board: certain(board, (1, 0, 1, 0)))
        html = get(as_viewer, f"/boards/{slug}?sort=tier")
        assert bands(html) == ["a", "c", "Tier 1: no test separates the rows above", "b", "d"]

    def test_pinned_rows_stand_outside_of_them(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}?sort=tier")
        pin = re.findall(r'<a class="pin" href="([^"]+)" aria-label="Pin">', html)[3]
        html = get(as_viewer, f"/boards/{slug}{unescape(pin)}")
        second = "Tier 2: no test separates the rows above"
        assert bands(html) == ["d", "a", "Tier 1: the row above alone", "b", "c"] and second not in html

    def test_the_tier_is_a_column_to_choose(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}?column=tier")
        assert [row[2] for row in rows(html)] == ["1", "2", "2", "3"]
        assert '<input type="checkbox" name="column" value="tier" checked>' in html

    def test_a_fragment_brings_bands_and_the_sentence_along(self, as_viewer: Browser, slug: str) -> None:
        part = get(as_viewer, f"/boards/{slug}?sort=tier", headers=FRAGMENT)
        assert bands(part)[1] == "Tier 1: the row above alone" and 'hx-swap-oob="true">A test separates' in part
        assert "board-certainty" not in get(as_viewer, f"/boards/{slug}/languages", headers=FRAGMENT)


class TestSentence:
    @pytest.mark.parametrize("tab", ["", "/tasks"])
    def test_the_board_says_how_many_neighbours_are_separable(self, as_viewer: Browser, slug: str, tab: str) -> None:
        words = "A test separates 2 of 3 neighbouring pairs; ranks within a tier are not to be trusted."
        assert line(get(as_viewer, f"/boards/{slug}{tab}")) == f"{words} By tier Hide intervals"

    def test_while_it_is_computed(self, as_viewer: Browser, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        slug = four(world)
        show(monkeypatch, lambda board: replace(board, certainty=None, certainty_expected=True))
        assert line(get(as_viewer, f"/boards/{slug}")) == "Intervals are being computed."
        tab = get(as_viewer, f"/boards/{slug}/certainty")
        assert f'<div id="certainty" hx-get="/boards/{slug}/certainty" hx-trigger="load delay:3s"' in tab
        assert "Intervals are being computed" in text_of(tab)
        part = get(as_viewer, f"/boards/{slug}/certainty", headers=FRAGMENT)
        assert part.lstrip().startswith('<div id="certainty"') and "hx-get" in part and "<html" not in part


class TestTab:
    def test_it_stands_between_charts_and_public(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}?q=a")
        tabs = re.findall(r'<nav class="tabs".*?</nav>', html, re.DOTALL)[0]
        assert text_of(tabs) == "Summary Tasks Languages Charts Certainty Public Info"
        assert f'href="/boards/{slug}/certainty"' in tabs

    def test_models_with_ranges_and_tests(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}/certainty")
        assert "A test separates 2 of 3 neighbouring pairs" in text_of(html)
        found = re.findall(r"<tbody>.*?</tbody>", html, re.DOTALL)
        models, matrix, datasets = (
            [
                [text_of(cell) for cell in re.findall(r"<(?:td|th)\b.*?</(?:td|th)>", row, re.DOTALL)]
                for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
            ]
            for body in found
        )
        assert models[1] == ["2", "acme/b", "1–3", "2", "70.00", "69.20 to 70.80", "", "0.500"]
        assert [row[-1] for row in models] == ["0.001", "0.500", "0.001", "— no test"]
        assert matrix[0] == ["1", "acme/a", "the same model", "0.001", "0.001", "0.001"]
        assert matrix[1][3:] == ["the same model", "0.500", "0.001"]
        assert datasets == [["pairs", "STS", "420", "yes"], ["articles", "Retrieval", "421", "yes"]]
        assert re.search(r'<td class="num told"><a href="/compare\?board=help-desk&amp;models=\d', html)
        assert html.count('class="num told"') == 2 + 10
        assert "1,000 resamples, seed 7." in text_of(html) and f'href="/boards/{slug}/report"' in html
        assert "hx-get" not in re.findall(r"<main.*</main>", html, re.DOTALL)[0]

    def test_the_drawings_say_what_they_are(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}/certainty")
        assert re.search(r'<svg class="cd"[^>]*role="img" aria-labelledby="cd-title cd-desc"', html)
        assert html.count('<path class="joined"') == 1
        assert "<title>No test separates acme/c, acme/b</title>" in html
        assert html.count('<path class="span"') == 4 and "style=" not in html

    def test_tasks_instead_of_examples(self, as_viewer: Browser, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        slug = four(world)
        show(monkeypatch, lambda board: replace(certain(board, by_task=True), imported=True))
        board = get(as_viewer, f"/boards/{slug}?column=mean_task&column=task:pairs")
        assert rows(board)[0] == ["1 1–2", "acme/a", "85.00 ±0.8", "90.00"]
        assert "Intervals come from resampling its 2 tasks: imported scores have no examples." in line(board)
        text = text_of(get(as_viewer, f"/boards/{slug}/certainty"))
        assert "The scores of this board were imported: nothing is known of single examples." in text
        assert "Datasets that" not in text and "By the mean over the tasks" in text
        assert "tasks are resampled instead" in text_of(get(as_viewer, f"/boards/{slug}/info"))

    @pytest.mark.parametrize(
        ("imported", "words", "href"),
        [
            (False, "these runs have kept none. An admin can queue them again. See the board", "/boards/help-desk"),
            (True, "resampling tasks needs more tasks", "/boards/help-desk/info"),
        ],
    )
    def test_nothing_known_says_why_and_what_next(
        self, as_viewer: Browser, world: World, monkeypatch: pytest.MonkeyPatch, imported: bool, words: str, href: str
    ) -> None:
        slug = four(world)
        show(monkeypatch, lambda board: replace(board, certainty_expected=False, imported=imported))
        html = get(as_viewer, f"/boards/{slug}/certainty")
        assert words in text_of(html) and f'<a class="btn primary" href="{href}"' in html
        assert "hx-trigger" not in re.findall(r'<div id="certainty".*?>', html)[0] and "/report" not in html

    def test_an_admin_is_led_to_the_runs(
        self, as_admin: Browser, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slug = four(world)
        show(monkeypatch, lambda board: replace(board, certainty_expected=False))
        assert '<a class="btn primary" href="/runs/new"' in get(as_admin, f"/boards/{slug}/certainty")

    def test_a_board_without_results(self, as_viewer: Browser, world: World) -> None:
        html = get(as_viewer, f"/boards/{world.board()}/certainty")
        assert "How sure each rank is stands here as soon as models have scores" in text_of(html)

    def test_who_may_see_it(self, client: Browser, as_viewer: Browser, slug: str) -> None:
        assert client.get(f"/boards/{slug}/certainty").status_code == 303
        get(as_viewer, f"/boards/{slug}/certainty")
        get(as_viewer, "/boards/nowhere/certainty", status=404)

    def test_names_are_text_in_every_drawing(
        self, as_viewer: Browser, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.dataset("a", name=EVIL)
        for name, score in ((f"acme/{EVIL}", 0.5), (f"acme/{RTL}", 0.6), ('acme/"><b>x</b>', 0.4)):
            world.run(world.model(name), "a", score)
        slug = world.board("a", name="<i>Board</i>")
        show(monkeypatch, lambda board: certain(board, (1, 1, 1)))
        for query in ("/certainty", "?sort=tier", "/info"):
            assert not re.search(r"<script>|<i>|<b>x", get(as_viewer, f"/boards/{slug}{query}")), query
        html = get(as_viewer, f"/boards/{slug}/certainty")
        assert f"&#8296;acme/{RTL}&#8297;" in html and f"<title>acme/{RTL}</title>" in html
        assert "<title>acme/&lt;script&gt;" in html

    def test_a_public_board_of_333_models(
        self, as_viewer: Browser, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def many(board: Board) -> Board:
            scores = np.linspace(0.9, 0.2, 333)[:, None] * np.ones(2)
            large = replace(
                board,
                models=tuple(replace(board.models[0], key=f"m{row}", name=f"acme/m{row}") for row in range(333)),
                means=DatasetMeans(scores, scores),
                trained_on=np.zeros((333, 2), np.bool_),
                training_known=np.zeros(333, np.bool_),
                run_ids=np.zeros((333, 2), np.int64),
                imported=True,
            )
            return certain(large, [1 + row // 10 for row in range(333)], by_task=True)

        slug = four(world)
        show(monkeypatch, many)
        html = get(as_viewer, f"/boards/{slug}/certainty")
        assert html.count('<path class="span"') == 333 and html.count('<path class="stem"') == 30
        assert "The 30 best of the 333 models that were tested; the API has every pair." in text_of(html)
        assert "A test separates 33 of 332 neighbouring pairs" in text_of(html)
        by_tier = get(as_viewer, f"/boards/{slug}?sort=tier")
        assert by_tier.count('<tr class="cut">') == 33


class TestInfo:
    def test_every_new_thing_in_words(self, as_viewer: Browser, slug: str) -> None:
        text = text_of(get(as_viewer, f"/boards/{slug}/info"))
        for words in (
            "half of its 95% interval",
            "Tier Models that no test separates share a tier",
            "Its tab has every",
        ):
            assert words in text


class TestApi:
    def test_the_board_and_its_certainty(self, as_viewer: Browser, slug: str) -> None:
        first = as_viewer.get(f"/api/v1/boards/{slug}").json()["models"][0]
        assert (first["rank_low"], first["rank_high"], first["tier"]) == (1, 2, 1)
        assert (first["mean_task_low"], first["mean_task_high"]) == pytest.approx((0.842, 0.858))
        found = as_viewer.get(f"/api/v1/boards/{slug}/certainty").json()
        assert (found["state"], found["slug"], found["resamples"], found["seed"]) == ("known", slug, 1_000, 7)
        assert [model["tier"] for model in found["models"]] == [1, 2, 2, 3]
        assert found["models"][0]["tasks"]["pairs"] == pytest.approx({"low": 0.892, "high": 0.908})
        assert [dataset["tested"] for dataset in found["datasets"]] == [True, True]
        assert len(found["pairs"]) == 6

    def test_before_it_is_known(self, as_viewer: Browser, client: Browser, world: World) -> None:
        slug = four(world)
        found = as_viewer.get(f"/api/v1/boards/{slug}/certainty").json()
        assert (found["state"], found["models"], found["seed"]) == ("expected", [], None)
        assert client.get(f"/api/v1/boards/{slug}/certainty").status_code == 401
        assert as_viewer.get("/api/v1/boards/nowhere/certainty").status_code == 404

    def test_downloads_of_a_page(self, as_viewer: Browser, slug: str) -> None:
        head = as_viewer.get(f"/boards/{slug}.csv?column=mean_task").text.splitlines()[0]
        assert head.endswith("Mean (Task),rank_low,rank_high,mean_task_low,mean_task_high,tier")
