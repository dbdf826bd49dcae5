"""The pages of examples: every task type, who may read what, links, hostile texts, and what is missing."""

import csv
import re
from collections.abc import Callable
from html import unescape

import numpy as np
import pytest
from sqlalchemy import select

from app.core import records
from app.core.example_views import threshold_curve
from app.db.session import Database
from app.db.tables import Dataset, DatasetRevision, Role
from app.settings import Settings
from app.storage.blobs import BlobStore
from app.web.example_charts import MOST_POINTS, curves, scatter
from tests.board_world import counted_statements
from tests.conftest import Browser
from tests.example_world import KINDS, ONE, SECRET, ExampleWorld

MOST_STATEMENTS = 10
TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.DOTALL)


@pytest.fixture
def world(database: Database, settings: Settings) -> ExampleWorld:
    return ExampleWorld(database, BlobStore(settings.blobs_dir))


def get(browser: Browser, url: str, status: int = 200, *, headers: dict[str, str] | None = None) -> str:
    answer = browser.get(url, headers=headers)
    assert answer.status_code == status, answer.text
    return str(answer.text)


def text_of(html: str) -> str:
    """What a reader sees, in one line."""
    return re.sub(r"\s+", " ", unescape(TAGS.sub(" ", html)))


def links(html: str, start: str) -> list[str]:
    return [unescape(href) for href in re.findall(r'href="([^"]+)"', html) if href.startswith(start)]


def cell_of(kind: str) -> str:
    return "test:eng-deu" if kind == "BitextMining" else "test"


class TestWhoMayReadTexts:
    @pytest.mark.parametrize("kind", sorted(KINDS))
    @pytest.mark.parametrize("role", list(Role))
    def test_texts_and_labels_are_for_members(
        self, world: ExampleWorld, sign_in: Callable[[Role], Browser], kind: str, role: Role
    ) -> None:
        models, browser, sees = world.of_kind(kind), sign_in(role), role is not Role.VIEWER
        html = get(browser, f"/compare/house?{models}")
        assert (SECRET in html) is sees
        assert SECRET not in get(browser, f"/compare/house/slices?{models}") or sees
        file = get(browser, f"/compare/house.csv?{models}")
        assert (SECRET in file) is (sees and kind != "Clustering")
        if kind != "Clustering":
            assert ("are for members and admins" in text_of(html)) is not sees
            detail = get(browser, f"/compare/house/{cell_of(kind)}/0?{models}&show=100&whole=q0t0")
            assert (SECRET in detail) is sees
            assert ("are for members and admins" in text_of(detail)) is not sees

    def test_nobody_else_sees_anything(self, world: ExampleWorld, client: Browser) -> None:
        models = world.of_kind("STS")
        for address in ("/compare/house", "/compare/house.csv", "/compare/house/slices", "/compare/house/test/0"):
            answer = client.get(f"{address}?{models}")
            assert answer.status_code in {303, 401}
            assert SECRET not in answer.text


class TestTable:
    def test_the_largest_loss_first_with_a_link_to_each(self, world: ExampleWorld, as_member: Browser) -> None:
        models = world.of_kind("Retrieval")
        html = get(as_member, f"/compare/house?{models}")
        assert links(html, "/compare/house/test/") == [
            f"/compare/house/test/2?{models}",
            f"/compare/house/test/0?{models}",
        ]
        words = text_of(html)
        assert "2 examples that both have" in words
        assert re.search(r"q2 >100 → to 1 0\.00 75\.00 −75\.00", words)
        assert re.search(r"q0 1 → to 2 100\.00 50\.00 \+50\.00", words)

    def test_filters_are_links_with_counts(self, world: ExampleWorld, as_viewer: Browser) -> None:
        models = world.of_kind("Retrieval")
        html = get(as_viewer, f"/compare/house?{models}")
        assert "All 2 Improved 1 Worse 1 Unchanged 0 Failed by both 0" in text_of(html)
        improved = get(as_viewer, f"/compare/house?{models}&only=improved")
        assert links(improved, "/compare/house/test/") == [f"/compare/house/test/0?{models}&only=improved"]
        assert "There is no such example." in text_of(get(as_viewer, f"/compare/house?{models}&only=failed"))

    def test_parts_are_chosen_by_address(self, world: ExampleWorld, as_viewer: Browser) -> None:
        models = world.of_kind("BitextMining")
        html = get(as_viewer, f"/compare/house?{models}")
        assert "All parts 6 test eng-deu 3 test eng/<b>fra 3" in text_of(html)
        assert "<b>fra" not in html
        (chosen,) = [href for href in links(html, "/compare/house?") if href.endswith("cell=test%3Aeng%2F%3Cb%3Efra")]
        rows = links(get(as_viewer, chosen), "/compare/house/test")
        assert len(rows) == 3
        assert "eng/<b>fra" in text_of(get(as_viewer, rows[0]))

    def test_heads_sort_both_ways(self, world: ExampleWorld, as_viewer: Browser) -> None:
        models = world.of_kind("Retrieval")
        html = get(as_viewer, f"/compare/house?{models}")
        assert f"/compare/house?{models}&sort=-difference#examples" in links(html, "/compare/house?")
        falling = get(as_viewer, f"/compare/house?{models}&sort=-difference")
        assert links(falling, "/compare/house/test/")[0].startswith("/compare/house/test/0?")
        assert 'aria-sort="descending"' in falling
        assert f"/compare/house?{models}&sort=a#examples" in links(falling, "/compare/house?")

    def test_fifty_a_page(self, world: ExampleWorld, as_member: Browser) -> None:
        pairs = tuple(records.LabelledText(f"text {n}", "x") for n in range(120))
        world.publish("house", "Classification", {ONE: records.ClassificationData(pairs[:1], pairs)})
        for name, shift in (("acme/a", 0.0), ("acme/b", 0.5)):
            correct = (np.arange(120, dtype=np.float32) / 240 + shift).astype(np.float32)
            world.result(world.model(name), "house", {ONE: {"correct": correct}})
        html = get(as_member, "/compare/house?models=1,2&page=3")
        assert "101–120 of 120" in text_of(html)
        assert len(links(html, "/compare/house/test/")) == 20
        assert "This run kept only how often each text was right." not in text_of(html)

    def test_the_board_is_the_way_back(self, world: ExampleWorld, as_viewer: Browser) -> None:
        models = world.of_kind("STS")
        slug = world.board("house")
        html = get(as_viewer, f"/compare/house?board={slug}&{models}")
        assert f"/compare?board={slug}&{models}" in links(html, "/compare?")
        assert all(f"board={slug}" in href for href in links(html, "/compare/house"))


class TestCost:
    def test_a_page_asks_the_database_a_few_times_however_many_examples(
        self, world: ExampleWorld, as_member: Browser
    ) -> None:
        models = world.of_kind("BitextMining")
        get(as_member, f"/compare/house?{models}")
        with counted_statements(world.database) as statements:
            get(as_member, f"/compare/house?{models}")
        assert len(statements) <= MOST_STATEMENTS

    def test_a_page_that_a_browser_has_is_not_made_again(self, world: ExampleWorld, as_member: Browser) -> None:
        address = f"/compare/house/test/0?{world.of_kind('STS')}"
        tag = as_member.get(address).headers["etag"]
        assert as_member.get(address, headers={"If-None-Match": tag}).status_code == 304
        world.result(1, "house", KINDS["STS"].b)
        assert as_member.get(address, headers={"If-None-Match": tag}).status_code == 200


class TestOverview:
    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("PairClassification", "By threshold"),
            ("STS", "Similarity against gold"),
            ("Summarization", "Similarity against gold"),
            ("Regression", "Prediction against gold"),
            ("Classification", "Confusions"),
            ("Clustering", "Topics by cluster"),
        ],
    )
    def test_the_dataset_as_a_whole(self, world: ExampleWorld, as_member: Browser, kind: str, words: str) -> None:
        assert words in text_of(get(as_member, f"/compare/house?{world.of_kind(kind)}"))

    def test_what_an_old_run_does_not_tell(self, world: ExampleWorld, as_member: Browser) -> None:
        words = text_of(get(as_member, f"/compare/house?{world.of_kind('Clustering')}"))
        assert "This run kept only its scores. Run it again to see its clusters." in words
        assert "9 9 3 1 2" in words

    def test_values_that_are_no_scores_are_called_so(self, world: ExampleWorld, as_member: Browser) -> None:
        words = text_of(get(as_member, f"/compare/house?{world.of_kind('STS')}"))
        assert "A and B show what each one contributes to it" in words
        assert "No slices here. The metric is computed from all examples together" in words


class TestOneExample:
    def test_rankings_side_by_side(self, world: ExampleWorld, as_member: Browser) -> None:
        words = text_of(get(as_member, f"/compare/house/test/2?{world.of_kind('Retrieval')}"))
        assert "Relevant documents" in words
        assert "d3 title 3" in words
        assert "not ranked 1" in words
        assert "lower by ↓ 2" in words
        assert "higher by ↑ 2" in words
        assert words.count("only here") == 3

    def test_neighbours_in_the_order_of_the_look(self, world: ExampleWorld, as_viewer: Browser) -> None:
        models = world.of_kind("Retrieval")
        first = get(as_viewer, f"/compare/house/test/2?{models}")
        assert 'rel="prev"' not in first
        assert re.search(rf'href="/compare/house/test/0\?{models}" rel="next"', unescape(first))
        assert "1 of 2 in this order" in text_of(first)
        alone = get(as_viewer, f"/compare/house/test/2?{models}&only=worse")
        assert 'rel="next"' not in alone
        assert f"/compare/house?{models}&only=worse" in links(alone, "/compare/house?")

    def test_more_documents_on_request(self, world: ExampleWorld, as_member: Browser) -> None:
        queries, n = (records.Query("q", "query"),), 30
        documents = tuple(records.Document(f"d{place}", f"text {place}") for place in range(n))
        world.publish("house", "Retrieval", {ONE: records.RetrievalData(queries, documents, {"q": {"d29": 1}})})
        arrays = {
            "query": np.zeros(1, np.int32),
            "value": np.zeros(1),
            "ranking": np.arange(n, dtype=np.int32)[None],
            "ranking_scores": np.zeros((1, n), np.float32),
        }
        for name in ("acme/a", "acme/b"):
            world.result(world.model(name), "house", {ONE: arrays})
        few = get(as_member, "/compare/house/test/0?models=1,2")
        assert "text 10" not in few
        assert "text 29" in few
        more = "/compare/house/test/0?models=1,2&show=100"
        assert more in links(few, "/compare/house/test/0")
        whole = get(as_member, more)
        assert "text 28" in whole
        assert "Show 100" not in whole

    def test_long_and_hostile_texts_are_cut_and_shown_whole_on_request(
        self, world: ExampleWorld, as_member: Browser
    ) -> None:
        evil = "<img src=x onerror=alert(1)>\n\u202e" + "x" * 100_000
        pairs = (records.SentencePair(evil, "short", 1.0), records.SentencePair("a", "b", 2.0))
        world.publish("house", "STS", {ONE: records.StsData(pairs)})
        arrays = {"similarity": np.array([0.1, 0.2], np.float32), "gold": np.array([1.0, 2.0])}
        for name in ("acme/a", "acme/b"):
            world.result(world.model(name), "house", {ONE: arrays})
        html = get(as_member, "/compare/house/test/0?models=1,2")
        assert "<img" not in html
        assert len(html) < 30_000
        (more,) = [href for href in links(html, "/compare/house/test/0") if "whole=" in href]
        assert more == "/compare/house/test/0?models=1,2&whole=t0#t0"
        assert "Show all 100,030 characters" in html
        whole = get(as_member, more)
        assert "x" * 100_000 in whole
        assert "<img" not in whole
        assert "<img" not in get(as_member, "/compare/house?models=1,2")

    @pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"Clustering"}))
    def test_every_example_of_a_list_has_its_page(self, world: ExampleWorld, as_member: Browser, kind: str) -> None:
        models = world.of_kind(kind)
        for href in set(links(get(as_member, f"/compare/house?{models}"), "/compare/house/test")):
            assert "Example" in text_of(get(as_member, href))


class TestSlices:
    def test_alone_and_as_a_part(self, world: ExampleWorld, as_viewer: Browser) -> None:
        models = world.of_kind("Classification")
        page = get(as_viewer, f"/compare/house/slices?{models}")
        assert "<html" in page
        part = get(as_viewer, f"/compare/house/slices?{models}", headers={"HX-Request": "true"})
        assert "<html" not in part
        assert "Exploratory: slices are chosen by looking; treat as hints." in text_of(part)
        assert "Label label 1 2 50.00 50.00" not in text_of(part)
        assert re.search(r"label 1 2 \d", text_of(part))
        assert "too few" in text_of(part)

    def test_labels_have_names_for_members(self, world: ExampleWorld, as_member: Browser) -> None:
        part = get(as_member, f"/compare/house/slices?{world.of_kind('Classification')}")
        assert f"{SECRET} blue" in part

    def test_many_examples_are_sliced_after_the_page(
        self, world: ExampleWorld, as_viewer: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.web.pages.examples._SLICED_AT_ONCE", 1)
        models = world.of_kind("Classification")
        html = get(as_viewer, f"/compare/house?{models}")
        assert f'hx-get="/compare/house/slices?{models}"' in unescape(html)
        assert "Verdict" not in text_of(html)


class TestDownload:
    def test_a_dataset_of_any_script_has_a_file(
        self, world: ExampleWorld, as_member: Browser, database: Database
    ) -> None:
        query = world.of_kind("BitextMining")
        with database.session() as session:
            session.scalars(select(Dataset)).one().slug = "日本語"
        answer = as_member.get(f"/compare/日本語.csv?{query}")
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].endswith("''%E6%97%A5%E6%9C%AC%E8%AA%9E-examples.csv")
        page = as_member.get(f"/compare/日本語?{query}&only=worse&sort=a").text
        assert ".csv?" in page and "only=worse" in page.partition(".csv?")[2][:120]

    def test_a_file_that_went_meanwhile_is_said_before_anything_is_given(
        self, world: ExampleWorld, as_member: Browser, database: Database, settings: Settings
    ) -> None:
        query = world.of_kind("BitextMining")
        assert as_member.get(f"/compare/house?{query}").status_code == 200
        with database.reading() as session:
            sha256 = session.scalars(select(DatasetRevision.canonical_sha256)).one()
        BlobStore(settings.blobs_dir).delete(sha256)
        assert as_member.get(f"/compare/house.csv?{query}").status_code == 404

    def test_a_look_as_csv(self, world: ExampleWorld, as_member: Browser) -> None:
        answer = as_member.get(f"/compare/house.csv?{world.of_kind('BitextMining')}&only=worse")
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''house-examples.csv"
        rows = list(csv.DictReader(answer.text.splitlines()))
        assert [(row["subset"], row["place"], row["found_a"], row["found_b"]) for row in rows] == [
            ("eng-deu", "2", "1", "2"),
            ("eng/<b>fra", "2", "1", "2"),
        ]


class TestMissing:
    def test_the_texts_are_gone_and_the_numbers_stay(self, world: ExampleWorld, as_member: Browser) -> None:
        models = world.of_kind("Retrieval")
        world.drop_dataset_file()
        words = text_of(get(as_member, f"/compare/house?{models}"))
        assert "The texts cannot be shown." in words
        assert "Restore it from a backup." in words
        assert "−75.00" in words
        for address in ("/compare/house.csv", "/compare/house/test/0"):
            assert "texts of this dataset is missing" in text_of(get(as_member, f"{address}?{models}", 404))

    def test_the_evidence_is_gone(self, world: ExampleWorld, as_member: Browser) -> None:
        models = world.of_kind("Retrieval")
        world.drop_evidence()
        assert "queue the run again" in text_of(get(as_member, f"/compare/house?{models}", 404))

    @pytest.mark.parametrize(
        ("address", "status"),
        [
            ("/compare/nothing?models=1,2", 404),
            ("/compare/house?models=1", 422),
            ("/compare/house?models=1,9", 404),
            ("/compare/house?models=1,2&board=nothing", 404),
            ("/compare/house?models=1,2&only=best", 422),
            ("/compare/house?models=1,2&sort=size", 422),
            ("/compare/house?models=1,2&cell=dev", 404),
            ("/compare/house?models=1,2&page=0", 422),
            ("/compare/house/dev/0?models=1,2", 404),
            ("/compare/house/test/9?models=1,2", 404),
            ("/compare/house/test/-1?models=1,2", 422),
            ("/compare/house/test/99999999999?models=1,2", 422),
        ],
    )
    def test_addresses_that_lead_nowhere(
        self, world: ExampleWorld, as_viewer: Browser, address: str, status: int
    ) -> None:
        world.of_kind("STS")
        get(as_viewer, address, status)

    def test_runs_without_evidence(self, world: ExampleWorld, as_viewer: Browser) -> None:
        world.publish("house", "STS", KINDS["STS"].data)
        for name in ("acme/a", "acme/b"):
            world.run(world.model(name), "house", 0.5)
        assert "No examples to lay side by side" in text_of(get(as_viewer, "/compare/house?models=1,2"))


class TestCharts:
    def test_many_points_are_thinned(self) -> None:
        values = np.linspace(0, 1, 10_001)
        drawn = scatter(values, values)
        assert (drawn.drawn, drawn.total, drawn.dots.count("M")) == (MOST_POINTS, 10_001, MOST_POINTS)
        assert drawn.dots.startswith("M48 260h0")
        assert drawn.dots.endswith("M428 12h0")

    def test_one_value_only_still_has_a_place(self) -> None:
        assert scatter(np.ones(3), np.zeros(3), at=(1.0, 0.0)).marked is not None

    def test_curves_with_their_table(self) -> None:
        drawn = curves(threshold_curve([0.9, 0.5, 0.4, 0.1], [0, 1, 1, 0]), at=0.5)
        assert [name for name, _ in drawn.paths] == ["Precision", "Recall", "F1"]
        assert (drawn.rows[0].why, drawn.rows[0].threshold) == ("best F1", 0.4)
        assert [(row.why, row.threshold) for row in drawn.rows[1:]] == [
            ("recall 50%", 0.5),
            ("recall 75%", 0.4),
            ("recall 90%", 0.4),
            ("recall 100%", 0.4),
        ]
        assert drawn.marked is not None
