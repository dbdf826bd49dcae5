"""The dataset pages: the list and its filters, the tabs, the form; what each role sees; names are only text."""

import re
from collections.abc import Callable
from html import escape, unescape

import pytest
from sqlalchemy import func, select

from app.db.queries.datasets import counts_text
from app.db.session import Database
from app.db.tables import DatasetRevision, JobState, Role, Run, Score
from app.settings import Settings
from app.web.record_tables import record_tables
from tests.board_world import World, counted_statements
from tests.conftest import Browser
from tests.upload_flow import PAIRS, get, published, send, sent, text_of, validate

FRAGMENT = {"HX-Request": "true"}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


class TestList:
    def test_a_house_without_datasets_says_what_to_do(self, as_member: Browser, as_viewer: Browser) -> None:
        page = get(as_member, "/datasets")
        assert 'href="/datasets/new"' in page
        assert "No dataset yet" in page
        assert "Waiting for you" not in page
        assert 'href="/datasets/new"' not in get(as_viewer, "/datasets")

    def test_a_row_a_dataset(self, as_viewer: Browser, world: World) -> None:
        world.full()
        text = text_of(get(as_viewer, "/datasets"))
        assert "2 datasets, the newest just now" in text
        assert f"articles Retrieval eng-Latn 1,200 pairs Help desk 1 {'0' * 40} ada" in text
        assert f"pairs STS eng-Latn 1,200 pairs Help desk 3 {'0' * 40} ada" in text

    @pytest.mark.both_databases
    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("", ["a 100% case", "articles", "Größe"]),
            ("?type=STS", ["a 100% case", "Größe"]),
            ("?q=ART", ["articles"]),
            ("?q=GRÖSSE", ["Größe"]),
            ("?q=100%25", ["a 100% case"]),
            ("?type=STS&q=art", []),
            ("?type=Unknown", []),
        ],
    )
    def test_filters_stand_in_the_address(self, as_viewer: Browser, world: World, query: str, names: list[str]) -> None:
        world.dataset("articles", "Retrieval")
        world.dataset("a-100-case", name="a 100% case")
        world.dataset("grösse", name="Größe")
        page = get(as_viewer, f"/datasets{query}")
        assert re.findall(r'class="model"><a [^>]*><bdi>(.*?)</bdi>', page) == names
        assert ("No dataset matches" in page) == (not names)
        assert (f"{len(names)} of 3 datasets" in page) == bool(names)

    def test_a_chip_takes_its_filter_away(self, as_viewer: Browser, world: World) -> None:
        world.dataset("pairs")
        page = unescape(get(as_viewer, "/datasets?type=STS&q=pa"))
        assert 'href="/datasets?q=pa"' in page
        assert 'href="/datasets?type=STS"' in page

    def test_the_fragment_is_the_table(self, as_viewer: Browser, world: World) -> None:
        world.dataset("pairs")
        answer = as_viewer.get("/datasets?type=STS", headers=FRAGMENT)
        assert answer.text.lstrip().startswith('<div id="datasets"')
        assert "<h1" not in answer.text
        assert "HX-Request" in answer.headers["Vary"]

    @pytest.mark.parametrize("headers", [{}, FRAGMENT])
    def test_more_datasets_are_no_more_queries(
        self, as_viewer: Browser, world: World, database: Database, headers: dict[str, str]
    ) -> None:
        world.full()
        with counted_statements(database) as few:
            get(as_viewer, "/datasets", headers=headers)
        for number in range(20):
            world.dataset(f"more-{number}", revisions=2)
        with counted_statements(database) as many:
            get(as_viewer, "/datasets", headers=headers)
        assert len(few) == len(many) == 4  # who, totals, datasets, boards


class TestTabs:
    @pytest.mark.both_databases
    def test_scores_are_ranked_and_linked(self, as_viewer: Browser, world: World) -> None:
        world.full()
        page = get(as_viewer, "/datasets/pairs")
        rows = [text_of(row) for row in re.findall(r"<tr>\s*<td.*?</tr>", page, re.DOTALL)]
        assert [row.partition(" run ")[0] for row in rows] == [
            "1 zeta/weak 95.00",
            "2 acme/strong 90.00",
            "3 acme/strong 128 d 80.00",
        ]
        assert 'class="num best h9"><a href="/runs/5">95.00</a>' in page
        assert 'class="num h0"><a href="/runs/3">80.00</a>' in page

    def test_a_score_has_its_interval_where_it_is_known(
        self, as_viewer: Browser, world: World, database: Database
    ) -> None:
        world.dataset("tickets", "Classification")
        cells = {("test", "deu"): 0.5, ("test", "eng"): 0.7}
        world.run(world.model("acme/one"), "tickets", cells, main_low=0.55, main_high=0.65, main_n=1500)
        world.run(world.model("acme/older"), "tickets", cells)
        with database.session() as session:
            score = session.scalars(select(Score).where(Score.subset == "deu", Score.metric == "accuracy")).first()
            assert score is not None
            score.low, score.high, score.n = 0.46, 0.54, 700
        page = get(as_viewer, "/datasets/tickets")
        assert 'title="55.00 to 65.00 (95%, n = 1,500)"' in page and '<span class="second">±5.0</span>' in page
        assert 'title="46.00 to 54.00 (95%, n = 700)"' in page and page.count("(95%") == 2

    def test_what_has_no_score_yet_comes_last(self, as_viewer: Browser, world: World) -> None:
        world.full()
        page = get(as_viewer, "/datasets/articles")
        rows = [text_of(row) for row in re.findall(r"<tr>\s*<td.*?</tr>", page, re.DOTALL)]
        assert rows[0].startswith("1 acme/strong 75.00")
        assert [row.split()[0] for row in rows[1:]] == ["—", "—"]
        assert 'title="The model is broken."' in page

    def test_a_part_without_a_score_is_a_dash_as_on_the_board(self, as_viewer: Browser, world: World) -> None:
        world.dataset("pairs")
        whole, half = world.model("acme/whole"), world.model("acme/half")
        world.run(whole, "pairs", {("test", "en"): 0.6, ("test", "de"): 0.4})
        world.run(half, "pairs", {("test", "en"): 0.9})
        text = text_of(get(as_viewer, "/datasets/pairs"))
        assert "acme/whole 50.00" in text
        assert "acme/half — no value" in text

    def test_each_split_and_subset_has_a_column(self, as_viewer: Browser, world: World) -> None:
        world.dataset("talk")
        whole, half = world.model("acme/whole"), world.model("acme/half")
        world.run(whole, "talk", {("dev", "en"): 0.2, ("test", "de"): 0.4, ("test", "en"): 0.6})
        run = world.run(half, "talk", {("test", "en"): 0.9})
        html = get(as_viewer, "/datasets/talk")
        heads = re.findall(r'<span class="sort"[^>]*>(.*?)</span> ?<span class="tip"', html)
        assert [text_of(head) for head in heads] == ["Score cosine_spearman", "en dev", "de test", "en test"]
        cells = {
            name: re.findall(r"<td.*?</td>", row)
            for row in re.findall(r"<tr> <td.*?</tr>", html)
            for name in re.findall(r'aria-label="([^"]+)"', row)
        }
        assert [text_of(cell) for cell in cells["acme/whole"][1:5]] == ["40.00", "20.00", "40.00", "60.00"]
        assert [text_of(cell) for cell in cells["acme/half"][1:5]] == ["— no value"] * 3 + ["90.00"]
        assert cells["acme/half"][4] == f'<td class="num best h9"><a href="/runs/{run}">90.00</a></td>'
        assert cells["acme/whole"][1].startswith('<td class="num"><a'), "one value alone is neither best nor tinted"

    def test_splits_alone_are_named_by_the_split(self, as_viewer: Browser, world: World) -> None:
        world.dataset("talk")
        world.run(world.model("acme/m"), "talk", {("dev", "default"): 0.2, ("test", "default"): 0.4})
        heads = re.findall(r'<span class="sort"[^>]*>(.*?)</span> ?<span class="tip"', get(as_viewer, "/datasets/talk"))
        assert [text_of(head) for head in heads] == ["Score cosine_spearman", "dev", "test"]

    @pytest.mark.both_databases
    def test_results_on_older_revisions_stand_apart(self, as_viewer: Browser, world: World) -> None:
        world.dataset("talk")
        both, old, older = (world.model(f"acme/{name}") for name in ("both", "old", "older"))
        world.run(older, "talk", 0.9)
        world.revision("talk", 1)
        world.run(both, "talk", 0.5)
        world.run(old, "talk", 0.1)
        last = world.run(old, "talk", 0.3)
        world.revision("talk", 2)
        assert "No result yet" in get(as_viewer, "/datasets/talk")
        world.run(both, "talk", 0.6)
        html = get(as_viewer, "/datasets/talk")
        above, apart = html.split('<section aria-labelledby="older">')
        assert f'Scores on revision <code class="hash" title="{2:040x}">' in above
        assert "acme/both" in above and "acme/old" not in above
        rows = [text_of(row) for row in re.findall(r"<tr> <th.*?</tr>", apart)[1:]]
        assert [row.partition(" run ")[0] for row in rows] == [f"acme/older 90.00 {0:040x}", f"acme/old 30.00 {1:040x}"]
        assert f'<a href="/runs/{last}">30.00</a>' in apart

    def test_two_revisions_of_a_model_are_told_apart(self, as_viewer: Browser, world: World) -> None:
        world.dataset("talk")
        for digit in "ab":
            world.run(world.model("acme/m", revision=digit * 40), "talk", 0.5)
        html = get(as_viewer, "/datasets/talk")
        assert re.findall(r'class="chip">(\w+)<', html) == ["aaaaaaa", "bbbbbbb"]
        assert len(set(re.findall(r'href="/models/acme/m\?id=(\d+)"', html))) == 2

    def test_hostile_names_do_nothing_but_appear(self, as_viewer: Browser, world: World) -> None:
        hostile = "<img src=x onerror=alert(1)>\u202e"
        world.dataset("talk", name=hostile)
        world.run(world.model("acme/m", variant=hostile), "talk", {("test", hostile): 0.5, ("test", "en"): 0.7})
        html = get(as_viewer, "/datasets/talk")
        assert "<img src=x" not in html
        assert html.count("&lt;img src=x onerror=alert(1)&gt;\u202e") >= 4

    def test_a_newer_failure_keeps_the_older_score(self, as_viewer: Browser, world: World, database: Database) -> None:
        world.dataset("pairs")
        model = world.model("acme/strong")
        first = world.run(model, "pairs", 0.5)
        world.run(model, "pairs", state=JobState.FAILED, failure={"message": "It broke."})
        page = get(as_viewer, "/datasets/pairs")
        assert f'<a href="/runs/{first}">50.00</a>' in page
        assert text_of(page).count("Failed") == 1
        with database.reading() as session:
            assert session.scalar(select(func.count()).select_from(Run)) == 2

    @pytest.mark.parametrize(
        ("role", "text"), [(Role.VIEWER, "An admin queues the runs"), (Role.ADMIN, "/runs/new?dataset=pairs")]
    )
    def test_without_a_run_there_is_a_next_step(
        self, sign_in: Callable[[Role], Browser], world: World, role: Role, text: str
    ) -> None:
        world.dataset("pairs")
        assert text in get(sign_in(role), "/datasets/pairs")

    def test_more_models_are_no_more_queries(self, as_viewer: Browser, world: World, database: Database) -> None:
        world.full()
        with counted_statements(database) as few:
            get(as_viewer, "/datasets/pairs")
        for number in range(20):
            world.run(world.model(f"more/model-{number}"), "pairs", number / 100)
        with counted_statements(database) as many:
            get(as_viewer, "/datasets/pairs")
        assert len(few) == len(many) == 6  # who, dataset, boards, scores, runs, older results

    def test_viewers_get_no_raw_texts(self, as_member: Browser, as_viewer: Browser, settings: Settings) -> None:
        url = published(as_member, settings)
        assert "first 17" in get(as_member, f"{url}/rows")
        get(as_viewer, f"{url}/rows", status=403)
        for tab in ("", "/revisions", "/report"):
            page = get(as_viewer, url + tab)
            assert f"{url}/rows" not in page
            assert "first 17" not in page
            assert "first 1" not in page
            assert "/edit" not in page

    @pytest.mark.parametrize("damage", ["gone", "damaged"])
    def test_rows_whose_file_is_lost(
        self, as_member: Browser, settings: Settings, database: Database, damage: str
    ) -> None:
        url = published(as_member, settings)
        with database.reading() as session:
            sha256 = session.scalars(select(DatasetRevision.canonical_sha256)).one()
        path = settings.blobs_dir / sha256[:2] / sha256
        path.unlink() if damage == "gone" else path.write_bytes(b"{}\n")
        page = get(as_member, f"{url}/rows")
        assert "The rows cannot be shown." in page
        assert "Restore it from a backup" in page

    def test_warnings_stay_with_the_revision(self, as_member: Browser, as_viewer: Browser, settings: Settings) -> None:
        content = b"sentence1,sentence2,score,=cmd\n" + b"".join(b"a %d,b,%d,x\n" % (n, n % 6) for n in range(30))
        report = sent(as_member, content)
        validate(settings)
        assert "1 warning" in get(as_member, report)
        as_member.post_form(f"{report}/publish")
        assert "unknown_column" in get(as_viewer, "/datasets/help-desk-pairs/report")

    def test_no_such_dataset(self, as_member: Browser) -> None:
        for tab in ("", "/rows", "/revisions", "/report", "/edit"):
            get(as_member, f"/datasets/gone{tab}", status=404)


class TestRecords:
    """What `canonical.sample` gives, as tables."""

    def test_records_need_not_all_have_the_same_fields(self) -> None:
        (table,) = record_tables(
            [
                {
                    "kind": "query",
                    "id": "q1",
                    "text": "one",
                    "relevance": {"d1": 2, "d2": 0},
                    "candidates": ["d1", "d2"],
                },
                {"kind": "query", "id": "q2", "text": "two", "instruction": "Only new ones.", "relevance": {}},
            ]
        )
        assert (table.title, table.columns) == ("Queries", ("id", "text", "relevance", "candidates", "instruction"))
        assert table.rows == (
            ("q1", "one", "d1: 2, d2: 0", "d1, d2", ""),
            ("q2", "two", "", "", "Only new ones."),
        )

    def test_lists_of_texts_stand_one_below_the_other(self) -> None:
        long = "A summary that is longer than a label would be."
        (table,) = record_tables(
            [{"kind": "text", "text": "t", "machine_summaries": [long, "Short."], "relevance": [4.5, 1.0]}]
        )
        assert table.rows == (("t", (long, "Short."), "4.5, 1"),)

    def test_nothing_and_naught_are_not_the_same(self) -> None:
        texts = [{"kind": "text", "text": "t", "labels": [], "value": 0.0, "title": "", "set": 0}]
        (table,) = record_tables(texts)
        assert table.columns == ("text", "value")
        (table,) = record_tables([*texts, {**texts[0], "set": 1, "labels": ["a", "b"]}])
        assert table.columns == ("text", "labels", "value", "set")
        assert [row[1] for row in table.rows] == ["", "a, b"]

    @pytest.mark.parametrize(
        ("counts", "words"),
        [
            ({"queries": 1, "documents": 1, "judgements": 1200}, "1 query, 1 document, 1,200 judgements"),
            ({"queries": 2, "candidates": 1, "changes": 1}, "2 queries, 1 candidate, 1 change"),
            ({"train": 1, "test": 2, "labels": 1, "summaries": 1}, "1 train, 2 test, 1 label, 1 summary"),
        ],
    )
    def test_counts_in_words(self, counts: dict[str, int], words: str) -> None:
        assert counts_text(counts) == words


class TestEdit:
    def test_the_owner_changes_languages_and_description(self, as_member: Browser, settings: Settings) -> None:
        url = published(as_member, settings)
        assert 'value="eng-Latn, deu-Latn"' in get(as_member, f"{url}/edit")
        wrong = as_member.post_form(f"{url}/edit", {"languages": "en", "description": "Kept."})
        assert wrong.status_code == 422
        assert "Kept.</textarea>" in wrong.text
        answer = as_member.post_form(f"{url}/edit", {"languages": "cmn-Hans", "description": "New\n\nwords."})
        assert (answer.status_code, answer.headers["location"]) == (303, url)
        page = get(as_member, url)
        assert "cmn-Hans" in page
        assert "<p><bdi>words.</bdi></p>" in page

    @pytest.mark.parametrize(
        ("typed", "shown"), [("1.5", "1.5"), ("2,25", "2.25"), ("0", "0"), ("100", "100"), (" ", ""), ("", "")]
    )
    def test_a_margin_in_points(self, as_member: Browser, settings: Settings, typed: str, shown: str) -> None:
        url = published(as_member, settings)
        sent = {"languages": "eng-Latn", "margin": "7"}
        assert as_member.post_form(f"{url}/edit", sent).status_code == 303
        assert as_member.post_form(f"{url}/edit", sent | {"margin": typed}).status_code == 303
        field = re.search(r'name="margin"[^>]*value="([^"]*)"', get(as_member, f"{url}/edit"))
        assert field and field[1] == shown

    @pytest.mark.parametrize("typed", ["-1", "100.5", "one", "nan", "inf", "1e999", "<b>"])
    def test_what_is_no_margin(self, as_member: Browser, settings: Settings, typed: str) -> None:
        url = published(as_member, settings)
        answer = as_member.post_form(f"{url}/edit", {"languages": "eng-Latn", "margin": typed})
        assert answer.status_code == 422
        assert answer.text.count("Give 0 to 100 points, such as 1.5; nothing for the usual margin.") == 2
        assert "<b>" not in answer.text and f'value="{escape(typed)}"' in answer.text

    def test_others_do_not(self, as_member: Browser, as_viewer: Browser, world: World) -> None:
        world.dataset("pairs")  # ada's
        for browser in (as_member, as_viewer):
            get(browser, "/datasets/pairs/edit", status=403)
            answer = browser.post_form("/datasets/pairs/edit", {"languages": "cmn-Hans"})
            assert answer.status_code == 403
        get(as_member, "/datasets/new?dataset=pairs", status=403)


class TestHostileNames:
    NAMES = ("<script>alert(1)</script>", '=HYPERLINK("http://x")', "אבג שלום", "' OR 1=1 --")

    @pytest.mark.parametrize("name", NAMES)
    def test_a_name_is_text_everywhere(self, as_member: Browser, settings: Settings, name: str) -> None:
        report = sent(as_member, PAIRS, f"{name}.csv", name=name, description=name)
        for url in (report, "/datasets"):
            page = get(as_member, url)
            assert "<script>alert" not in page
            assert name in unescape(page)
        validate(settings)
        assert name in unescape(get(as_member, report))
        address = as_member.post_form(f"{report}/publish").headers["location"]
        for tab in ("", "/rows", "/revisions", "/report", "/edit"):
            page = get(as_member, address + tab)
            assert "<script>alert" not in page
            assert f"<bdi>{name}</bdi>" in unescape(page)
        assert f"<bdi>{name}</bdi>" in unescape(get(as_member, "/datasets"))

    @pytest.mark.parametrize("name", ["a\u202eb", "a\u2066b", "a\x00b", "a\x1bb", "a\u2028b"])
    def test_a_name_that_tricks_the_eye_is_refused(self, as_member: Browser, name: str) -> None:
        answer = send(as_member, name=name)
        assert answer.status_code == 422
        assert "no control or direction marks" in answer.text

    def test_texts_of_the_file_are_text(self, as_member: Browser, settings: Settings) -> None:
        head, _, rest = PAIRS.partition(b"\n")
        content = head + b"\n<img src=x onerror=alert(1)>,=1+1,1\n" + rest
        report = sent(as_member, content)
        validate(settings)
        page = get(as_member, report)
        assert "<img" not in page
        assert "&lt;img src=x onerror=alert(1)&gt;" in page

    def test_excerpts_of_errors_are_text(self, as_member: Browser, settings: Settings) -> None:
        report = sent(as_member, PAIRS + b"a,b,<b>1</b>\n")
        validate(settings)
        page = get(as_member, report)
        assert "&lt;b&gt;1&lt;/b&gt;" in page
        assert "<b>1" not in page
