"""The page that lays models side by side, the pins that lead to it, its radar, and the same numbers for scripts."""

import re
from html import unescape

import numpy as np
import pytest
from sqlalchemy import select

from app.db.session import Database
from app.db.tables import Model
from app.http import unchanged
from app.services import benchmarks, imports
from app.services.import_scope import ImportForm
from app.services.verdicts import VerdictKeeper
from app.settings import Settings
from app.storage.blobs import BlobStore
from app.web.radar import radar
from tests.board_world import World, counted_statements
from tests.conftest import Browser
from tests.result_files import result, write
from tests.verdict_world import VerdictWorld

EVIL = '<script>alert("1")</script>'
UNSEEN = re.compile(r"<title\b.*?</title>|<desc\b.*?</desc>|<[^>]+>", re.DOTALL)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def slug(world: World) -> str:
    return world.full()


def keys(world: World) -> dict[str, str]:
    """The keys of the models of a board of our own runs, by name and variant."""
    with world.database.reading() as session:
        return {f"{row.name} {row.variant}".strip(): str(row.id) for row in session.scalars(select(Model))}


def get(browser: Browser, url: str, status: int = 200) -> str:
    answer = browser.get(url)
    assert answer.status_code == status, answer.text
    return str(answer.text)


def text_of(html: str) -> str:
    """What a reader sees, in one line."""
    words = re.sub(r"\s+", " ", unescape(UNSEEN.sub(" ", html)))
    return re.sub(r" ?/ ?", "/", words.strip())


def row_of(html: str, head: str, table: int = 0) -> list[str]:
    """The cells of the row with this head, in one of the page's tables."""
    found = re.findall(r"<table.*?</table>", html, re.DOTALL)[table]
    rows = [re.findall(r"<t[dh]\b.*?</t[dh]>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", found, re.DOTALL)]
    (cells,) = [cells for cells in rows if text_of(cells[0]) == head]
    return [text_of(cell) for cell in cells[1:]]


class TestPage:
    def test_two_models_with_the_sign_of_their_difference(self, as_viewer: Browser, world: World, slug: str) -> None:
        key = keys(world)
        html = get(as_viewer, f"/compare?board={slug}&models={key['acme/strong']},{key['zeta/weak']}")
        assert row_of(html, "On Help desk") == ["A acme/strong", "B zeta/weak", "Difference A − B"]
        none = "— no value"
        assert row_of(html, "Rank (Borda)") == ["1", "2", ""]
        assert row_of(html, "Mean (Task)") == ["82.50", none, "— a score is missing"]
        assert row_of(html, "Semantic textual similarity")[:2] == ["90.00", "95.00"]
        assert row_of(html, "Parameters") == ["22.7M", "— unknown", ""]
        assert row_of(html, "Memory, MB") == ["87 float32", "— unknown", ""]
        assert row_of(html, "Zero-shot") == ["50%", "100%", ""]
        assert row_of(html, "pairs", table=1) == ["90.00", "95.00", "−5.00"]
        assert row_of(html, "articles", table=1) == ["75.00", none, "— a score is missing"]
        assert "On 1 of 2 datasets every one of them has a score." in text_of(html)
        assert re.search(
            r"A acme/strong : 0 wins None\. B zeta/weak : 1 win pairs A score is missing: 1", text_of(html)
        )

    def test_three_models_with_their_distance_to_the_best(self, as_viewer: Browser, world: World, slug: str) -> None:
        key = keys(world)
        models = "&".join(f"models={key[name]}" for name in ("acme/strong", "zeta/weak", "acme/strong 128 d"))
        html = get(as_viewer, f"/compare?board={slug}&{models}")
        assert row_of(html, "Dataset", table=1) == ["A acme/strong", "B zeta/weak", "C acme/strong 128 d"]
        assert row_of(html, "pairs", table=1) == ["90.00 −5.00", "95.00", "80.00 −15.00"]
        widths = re.findall(r'<rect width="([\d.]+)"', html)
        assert widths == ["90.0", "95.0", "80.0", "75.0"]
        links = [unescape(link) for link in re.findall(r'<a class="chip removable"\s+href="([^"]+)"', html)]
        strong, weak, small = (key[name] for name in ("acme/strong", "zeta/weak", "acme/strong 128 d"))
        pairs = [f"{weak},{small}", f"{strong},{small}", f"{strong},{weak}"]
        assert links == [f"/compare?board={slug}&models={pair}" for pair in pairs]
        pinned = re.search(r'href="([^"]+)">Choose on the board', html)
        assert pinned
        assert get(as_viewer, unescape(pinned[1])).count('<tr class="pinned">') == 3

    def test_the_default_board_counts_when_none_is_named(self, as_viewer: Browser, world: World, slug: str) -> None:
        key = keys(world)
        html = get(as_viewer, f"/compare?board=&models={key['zeta/weak']},{key['acme/strong']}")
        assert row_of(html, "On Help desk")[:2] == ["A zeta/weak", "B acme/strong"]
        assert row_of(html, "pairs", table=1)[2] == "+5.00"

    def test_nothing_needs_a_style_attribute_or_a_script(self, as_viewer: Browser, world: World, slug: str) -> None:
        html = get(as_viewer, f"/compare?board={slug}&models={','.join(list(keys(world).values())[:2])}")
        body = html[html.index("<main") :]
        assert " style=" not in body and "<script" not in body

    @pytest.mark.parametrize(
        ("query", "status", "words"),
        [
            ("board=help-desk", 422, "2 to 6 models can be compared, and none was given."),
            ("board=help-desk&models=1", 422, "and 1 was given."),
            ("board=help-desk&models=1,2,3,4,5,6,7", 422, "and 7 were given."),
            ("board=help-desk&models=1,%3Cb%3Eno", 422, "The board “Help desk” has no row for '<b>no'."),
            ("board=nowhere&models=1,2", 404, "There is no board 'nowhere'."),
        ],
    )
    def test_what_cannot_be_compared_is_said(
        self, as_viewer: Browser, slug: str, query: str, status: int, words: str
    ) -> None:
        html = get(as_viewer, f"/compare?{query}", status)
        assert words in text_of(html)
        assert "<b>no" not in html

    def test_a_house_without_a_board(self, as_viewer: Browser) -> None:
        assert "There is no board yet." in get(as_viewer, "/compare?models=1,2", 404)

    def test_names_are_text_and_never_markup(self, as_viewer: Browser, world: World) -> None:
        world.dataset("a", name=EVIL)
        world.dataset("b", name="=1+1")
        found = [world.model(f"acme/{EVIL}"), world.model("acme/مثال", variant="<img src=x>")]
        for place, model in enumerate(found):
            world.run(model, "a", 0.5 + place / 10)
        board = world.board("a", "b", name="<i>Board</i>")
        html = get(as_viewer, f"/compare?board={board}&models={found[0]},{found[1]}")
        pins = get(as_viewer, f"/boards/{board}?pin={found[0]}&pin={found[1]}&pin=%3Cb%3E")
        for page in (html, pins):
            assert not re.search(r"<script>|<img|<i>|<b>", page)
        assert "&lt;script&gt;alert(" in html
        assert "=1+1" in html

    def test_the_page_takes_as_many_queries_for_many_models_as_for_few(
        self, as_viewer: Browser, world: World, slug: str
    ) -> None:
        counts = []
        for number in range(2):
            url = f"/compare?board={slug}&models={','.join(list(keys(world).values())[: 2 + number * 3])}"
            with counted_statements(world.database) as statements:
                get(as_viewer, url)
            counts.append(len(statements))
            for more in range(4):
                world.run(world.model(f"acme/more-{number}-{more}"), "pairs", 0.5)
        assert counts[0] == counts[1]

    def test_an_unchanged_page_is_not_sent_again(
        self, as_viewer: Browser, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(unchanged, "minute", lambda: 1)
        world.dataset("a")
        found = [world.model("acme/x"), world.model("acme/y")]
        for model in found:
            world.run(model, "a", 0.5)
        url = f"/compare?board={world.board('a')}&models={found[0]},{found[1]}"
        get(as_viewer, f"{url}&verdicts=now")
        tag = as_viewer.get(url).headers["etag"]
        assert as_viewer.get(url, headers={"If-None-Match": tag}).status_code == 304
        world.run(found[0], "a", 0.75)
        assert as_viewer.get(url, headers={"If-None-Match": tag}).status_code == 200

    def test_nobody_sees_it_without_signing_in(self, client: Browser, slug: str) -> None:
        assert client.get(f"/compare?board={slug}&models=1,2").status_code == 303


class TestRadar:
    def test_it_is_drawn_for_three_types_and_more(self, as_viewer: Browser, world: World) -> None:
        kinds = ("STS", "Retrieval", "Clustering")
        found = [world.model("acme/x"), world.model("acme/y")]
        for place, kind in enumerate(kinds):
            world.dataset(f"d{place}", kind)
            world.run(found[0], f"d{place}", 0.5 + place / 10)
            if place:
                world.run(found[1], f"d{place}", 0.6)
        models = f"models={found[0]},{found[1]}"
        html = get(as_viewer, f"/compare?board={world.board('d0', 'd1', 'd2', name='Three')}&{models}")
        (drawing,) = re.findall(r'<svg class="radar".*?</svg>', html, re.DOTALL)
        assert "<title" in drawing and "45.00 at the centre, 70.00 at the rim" in drawing
        assert re.findall(r'<text class="axis"[^>]*>([^<]+)', drawing) == ["STS", "Retr.", "Clust."]
        whole, broken = re.findall(r'<path class="line" d="([^"]+)"', drawing)
        assert whole.endswith("Z") and whole.count("L") == 2
        assert "Z" not in broken and broken.count("M") == 1
        two = get(as_viewer, f"/compare?board={world.board('d1', 'd2', name='Two')}&{models}")
        assert 'class="radar"' not in two

    def test_the_scale_holds_every_value(self) -> None:
        drawn = radar(["a", "b", "c", "a very long label"], [[0.5, 0.62, None, 0.7], [None, None, None, None]])
        assert drawn is not None
        assert (drawn.low, drawn.high, drawn.lines[0].dots[0]) == (0.45, 0.7, (200.0, 135.2))
        assert [axis.label for axis in drawn.axes] == ["a", "b", "c", "a very long…"]
        assert [axis.anchor for axis in drawn.axes] == ["middle", "start", "middle", "end"]
        assert (drawn.lines[1].path, drawn.lines[1].dots) == ("", ())

    @pytest.mark.parametrize(
        ("values", "low", "high"),
        [([0.0] * 3, 0.0, 0.05), ([1.0] * 3, 0.95, 1.0), ([-0.3, 0.1, 0.9], -0.5, 1.0), ([0.02, 0.5, 0.98], 0.0, 1.0)],
    )
    def test_scales_end_at_round_values(self, values: list[float], low: float, high: float) -> None:
        drawn = radar("abc", [values])
        assert drawn is not None
        assert (drawn.low, drawn.high) == (low, high)

    def test_without_three_axes_or_any_value_there_is_none(self) -> None:
        assert radar("ab", [[0.1, 0.2]]) is None
        assert radar("abc", [[None, None, None]]) is None


class TestPins:
    def models(self, html: str) -> list[str]:
        return [text_of(cell) for cell in re.findall(r'<th scope="row" class="model">.*?</th>', html, re.DOTALL)]

    def test_a_row_has_one_short_link_that_pins_it(self, as_viewer: Browser, world: World, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}?sort=-mean_task")
        links = re.findall(r'<a class="pin" href="([^"]+)" aria-label="Pin"></a>', html)
        weak = keys(world)["zeta/weak"]
        assert len(links) == 3
        assert f"?sort=-mean_task&pin={weak}" in [unescape(link) for link in links]
        assert '<tr class="pinned">' not in html and "/compare" not in html

    def test_pinned_rows_stand_first_and_chips_unpin(self, as_viewer: Browser, world: World, slug: str) -> None:
        key = keys(world)
        weak, small = key["zeta/weak"], key["acme/strong 128 d"]
        html = get(as_viewer, f"/boards/{slug}?pin={small}")
        assert self.models(html) == ["acme/strong 128 d", "acme/strong", "zeta/weak"]
        assert re.search(r'<tr class="pinned">.*?href="\?" aria-label="Unpin"', html, re.DOTALL)
        assert "/compare" not in html
        html = get(as_viewer, f"/boards/{slug}?q=strong&pin={small}&pin={weak}")
        assert self.models(html) == ["zeta/weak", "acme/strong 128 d", "acme/strong"]
        assert f'href="/boards/{slug}?q=strong&amp;pin={small}"' in html
        assert "Remove: pinned: zeta/weak" in text_of(html)
        button = re.search(r'href="(/compare[^"]+)">Compare 2 models', html)
        assert button
        assert "Compare 2 models" in get(as_viewer, unescape(button[1]))

    def test_chips_say_why_a_pinned_model_is_not_there(self, as_viewer: Browser, world: World, slug: str) -> None:
        weak = keys(world)["zeta/weak"]
        shown = text_of(get(as_viewer, f"/boards/{slug}?complete=1&pin={weak}&pin=nobody"))
        assert "pinned, but a filter excludes it: zeta/weak" in shown
        assert "pinned, but not on this board: nobody" in shown

    def test_pins_outlive_filters_tabs_and_the_filter_form(self, as_viewer: Browser, world: World, slug: str) -> None:
        weak = keys(world)["zeta/weak"]
        html = get(as_viewer, f"/boards/{slug}?complete=1&pin={weak}")
        assert f'<input type="hidden" name="pin" value="{weak}">' in html
        assert f'href="/boards/{slug}?pin={weak}">Show all</a>' in html
        assert f'href="/boards/{slug}/tasks?complete=1&amp;pin={weak}"' in html

    def test_more_than_six_are_too_many_to_compare(self, as_viewer: Browser, world: World) -> None:
        world.dataset("a")
        found = [world.model(f"acme/m{number}") for number in range(7)]
        for model in found:
            world.run(model, "a", 0.5)
        html = get(as_viewer, f"/boards/{world.board('a')}?{'&'.join(f'pin={model}' for model in found)}")
        assert re.search(r'aria-disabled="true">Compare at most 6 models', html)
        assert 'href="/compare' not in html


class TestApi:
    def test_the_same_numbers_for_scripts(self, as_viewer: Browser, world: World, slug: str) -> None:
        key = keys(world)
        strong, weak = key["acme/strong"], key["zeta/weak"]
        answer = as_viewer.get(f"/api/v1/boards/{slug}/compare?models={strong},{weak}")
        assert answer.status_code == 200
        found = answer.json()
        assert [(one["key"], one["rank"], one["wins"]) for one in found["models"]] == [(strong, 1, 0), (weak, 2, 1)]
        assert found["means"][0]["scores"] == [0.825, None]
        assert (found["datasets"][0]["scores"], found["datasets"][0]["winner"]) == ([0.9, 0.95], weak)
        assert as_viewer.get(f"/api/v1/boards/{slug}/compare?models={strong}&models={weak}").json() == found

    @pytest.mark.parametrize(("query", "code"), [("models=1", "compare_count"), ("models=1,x", "unknown_model")])
    def test_errors_have_their_code(self, as_viewer: Browser, slug: str, query: str, code: str) -> None:
        answer = as_viewer.get(f"/api/v1/boards/{slug}/compare?{query}", headers={"Accept": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)


class TestVerdicts:
    @pytest.fixture
    def tested(self, database: Database, settings: Settings) -> VerdictWorld:
        return VerdictWorld(database, settings)

    def asked(self, browser: Browser, slug: str, models: str = "1,2") -> str:
        """The part that htmx asks for."""
        url = f"/compare?board={slug}&models={models}&verdicts=now"
        answer = browser.get(url, headers={"HX-Request": "true"})
        assert answer.status_code == 200, answer.text
        return str(answer.text)

    def test_first_a_placeholder_then_the_verdicts_in_the_page(self, as_viewer: Browser, tested: VerdictWorld) -> None:
        slug = tested.two(0.1)
        url = f"/compare?board={slug}&models=1,2"
        first = as_viewer.get(url)
        assert "Testing 1 dataset…" in first.text
        assert "etag" not in first.headers
        asked = re.search(r'hx-get="([^"]+)" hx-trigger="load"', first.text)
        link = re.search(r'<a href="([^"]+)">Show the verdicts</a>', first.text)
        assert asked and link and unescape(asked[1]) == unescape(link[1]) == f"{url}&verdicts=now"
        part = self.asked(as_viewer, slug)
        assert part.lstrip().startswith('<section id="verdicts"') and "<html" not in part
        assert "hx-get" not in part
        assert text_of(part).startswith("acme/new beats acme/old by ")
        then = as_viewer.get(url)
        assert text_of(part) in text_of(then.text)
        assert then.headers["etag"]

    def test_without_scripts_the_link_leads_to_the_whole_page(self, as_viewer: Browser, tested: VerdictWorld) -> None:
        html = get(as_viewer, f"/compare?board={tested.two(0.1)}&models=1,2&verdicts=now")
        assert "<html" in html and "acme/new beats acme/old by " in text_of(html)

    def test_while_others_are_tested_it_asks_again(
        self, as_viewer: Browser, tested: VerdictWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slug = tested.two(0.1)
        monkeypatch.setattr(VerdictKeeper, "of", lambda *_, wait: pytest.fail("waits") if wait else None)
        part = self.asked(as_viewer, slug)
        assert "Waiting for other tests…" in part
        assert 'hx-trigger="load delay:1s"' in part

    def test_what_a_row_says(self, as_viewer: Browser, tested: VerdictWorld) -> None:
        part = self.asked(as_viewer, tested.two(0.1))
        verdict, difference, _, p, p_t, outcomes, n, settles, margin, link = row_of(part, "Articles")
        assert (verdict, p, p_t, n, settles, margin, link) == (
            "A better",
            "< 0.001",
            "< 0.001",
            "200",
            "— no question",
            "±1.00",
            "Every query",
        )
        assert re.fullmatch(r"\+\d+% \+\d+\.\d\d \+\d+\.\d\d to \+\d+\.\d\d", difference)
        assert sum(int(count) for count in outcomes.split("/")) == 200
        assert '<a href="/compare/articles?board=help-desk&amp;models=1,2"' in part
        assert part.count("<circle") == 1 and part.count('class="spread"') == 1

    @pytest.mark.parametrize(
        ("difference", "n", "words", "row"),
        [
            (-0.1, 200, "acme/old beats acme/new by", "B better"),
            (0.0, 200, "No evidence of a difference between acme/new and acme/old", "no evidence"),
            (0.0, 20, "No verdict: 20 examples are too few, at least 30 are needed.", "too few"),
            (0.2, 40, "Indicative only: acme/new beats acme/old by", "A better indicative"),
        ],
    )
    def test_verdicts_in_words(
        self, as_viewer: Browser, tested: VerdictWorld, difference: float, n: int, words: str, row: str
    ) -> None:
        part = self.asked(as_viewer, tested.two(difference, n=n))
        assert text_of(part).startswith(words)
        assert row_of(part, "Articles")[0] == row

    def test_a_margin_is_changed_where_the_page_links_to(
        self, as_viewer: Browser, as_member: Browser, as_admin: Browser, tested: VerdictWorld
    ) -> None:
        slug = tested.two(0.0, noise=0.05)
        for browser, linked in ((as_viewer, False), (as_member, False), (as_admin, True)):
            assert ('href="/datasets/articles/edit#f-margin"' in self.asked(browser, slug)) == linked
        url = f"/compare?board={slug}&models=1,2"
        before = as_viewer.get(url)
        assert "are practically equal" in text_of(before.text)
        sent = {"languages": "eng-Latn", "margin": "0,1"}
        assert as_admin.post_form("/datasets/articles/edit", sent).status_code == 303
        after = as_viewer.get(url, headers={"If-None-Match": before.headers["etag"]})
        assert after.status_code == 200
        assert "No evidence of a difference" in text_of(after.text)
        assert row_of(after.text, "Articles")[8] == "±0.10"

    def test_a_baseline_beside_two_with_all_pairs(self, as_viewer: Browser, tested: VerdictWorld) -> None:
        slug = tested.two(0.2)
        third = tested.model("acme/third")
        tested.queries(third, "articles", np.random.default_rng(0).random(200))  # as acme/old
        part = self.asked(as_viewer, slug, "1,2,3")
        words = text_of(part)
        assert words.count("adjusted") >= 4 and "A is the baseline; p is adjusted by Holm." in words
        assert "A and B acme/old : 1 for A" in words
        assert "p by Tukey's randomised test" in unescape(part)
        assert part.count('class="cd"') == 1
        assert "/compare/articles?board=help-desk&amp;models=1,3" in part

    def test_clustering_and_what_only_one_has(self, as_viewer: Browser, tested: VerdictWorld) -> None:
        slug = tested.two(0.1)
        tested.dataset("topics", "Clustering")
        tested.dataset("rest", "Retrieval")
        for model in (1, 2):
            tested.draws(model, "topics", [0.4, 0.6], [0, 0])
        tested.queries(1, "rest", np.ones(40))
        with tested.database.session() as session:
            benchmarks.edit(session, tested.person, slug, dataset_slugs=["articles", "topics", "rest"])
        part = self.asked(as_viewer, slug)
        assert row_of(part, "topics")[1].endswith("With the spread over the draws: 50.00 ± 10.00 and 50.00 ± 10.00.")
        assert row_of(part, "rest") == ["not tested", "acme/old has no result here."]
        assert "Tests over the examples of 1 of 3 datasets" in text_of(part)

    def test_a_lost_file_is_said_and_the_page_is_made_anew(self, as_viewer: Browser, tested: VerdictWorld) -> None:
        slug = tested.two(0.1)
        tested.lose(1)
        html = as_viewer.get(f"/compare?board={slug}&models=1,2&verdicts=now")
        assert "missing from this server's data folder" in html.text.replace("&#39;", "'")
        assert "No verdict: nothing could be tested on this board." in text_of(html.text)
        assert "etag" not in html.headers

    def test_nothing_to_test(self, as_viewer: Browser, world: World, slug: str) -> None:
        key = keys(world)
        weak, small = key["zeta/weak"], key["acme/strong 128 d"]
        world.dataset("empty")
        board = world.board("empty", "articles", name="Apart")
        world.run(int(weak), "empty", 0.5)
        world.run(int(small), "articles", 0.5)
        html = get(as_viewer, f"/compare?board={board}&models={weak},{small}")
        assert "No verdicts yet." in html and "hx-trigger" not in html

    def test_an_imported_board(self, as_viewer: Browser, database: Database, settings: Settings) -> None:
        files = {f"org__{name}/abc/{task}.json": result(task, test=0.5) for name in "ab" for task in ("STS12", "STS13")}
        folder = write(settings.data_dir / "results", files)
        done = imports.import_folder(database, BlobStore(settings.blobs_dir), ImportForm("Public"), folder)
        html = get(as_viewer, f"/compare?board={done.slug}&models=org/a,org/b")
        assert "Imported scores come without values of each example" in html
        assert "hx-trigger" not in html

    def test_names_are_text_and_never_markup(self, as_viewer: Browser, tested: VerdictWorld) -> None:
        tested.dataset("a", "Retrieval", name=EVIL)
        for number, name in enumerate((f"acme/{EVIL}", "acme/מודל", "acme/{a} {0} %s")):
            tested.queries(tested.model(name), "a", np.random.default_rng(number).random(60))
        part = self.asked(as_viewer, tested.board("a", name="<i>Board</i>"), "1,2,3")
        assert not re.search(r"<script|<i>|on\w+=", part)
        assert "acme/{a} {0} %s" in part and "<bdi>acme/מודל</bdi>" in part
        assert " style=" not in part

    def test_a_kept_page_is_quick_and_asks_little(self, as_viewer: Browser, tested: VerdictWorld) -> None:
        slug = tested.two(0.1)
        self.asked(as_viewer, slug)
        with counted_statements(tested.database) as statements:
            get(as_viewer, f"/compare?board={slug}&models=1,2")
        assert not any("evidence" in statement for statement in statements)
