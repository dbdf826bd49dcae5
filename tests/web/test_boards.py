"""The boards' pages: what they show and in which order, as page and as fragment, for whom, in how many queries."""

import csv
import io
import json
import re
from html import unescape
from typing import Any

import pytest
from sqlalchemy import delete

from app.core.task_types import TASK_TYPES
from app.db.session import Database
from app.db.tables import JobState, Measurement
from app.services import benchmarks
from app.services.boards import load_board
from tests.board_world import CPU, GPU, World, counted_statements
from tests.conftest import Browser
from tests.result_files import card, packed, result

FRAGMENT = {"HX-Request": "true"}
OPENNESS = ("training_code", "training_data", "citation")


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def slug(world: World) -> str:
    return world.full()


def text_of(html: str) -> str:
    """What a reader sees, in one line; a slash without the room that markup makes around it."""
    words = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html))).strip()
    return re.sub(r" ?/ ?", "/", words)


def get(browser: Browser, url: str, status: int = 200, **options: Any) -> str:
    answer = browser.get(url, **options)
    assert answer.status_code == status, answer.text
    return str(answer.text)


def rows(html: str) -> list[list[str]]:
    """The text of each cell of the body, by row."""
    (body,) = re.findall(r"<tbody.*?</tbody>", html, re.DOTALL)
    return [
        [text_of(cell) for cell in re.findall(r"<(?:td|th)\b.*?</(?:td|th)>", row, re.DOTALL)]
        for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]


def models(html: str) -> list[str]:
    return [row[1] for row in rows(html)]


def cell(html: str, model: int, column: int) -> str:
    """The markup of one cell."""
    (body,) = re.findall(r"<tbody.*?</tbody>", html, re.DOTALL)
    row = re.findall(r"<tr>.*?</tr>", body, re.DOTALL)[model]
    return str(re.findall(r"<(?:td|th)\b.*?</(?:td|th)>", row, re.DOTALL)[column])


class TestTable:
    def test_every_column_of_every_row(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}")
        heads = re.findall(r'<a class="sort".*?</a>', html, re.DOTALL)
        assert [text_of(head) for head in heads] == [
            "Rank Borda",
            "Model",
            "Zero-shot",
            "Memory MB",
            "Parameters",
            "Dimensions",
            "Max tokens",
            "Mean (Task)",
            "Mean (TaskType)",
            "pairs",
            "articles",
        ]
        none = "— no value"
        strong, weak, small = rows(html)
        assert strong == [
            *("1", "acme/strong", "50%", "87 float32", "22.7M", "384", "512"),
            *("82.50", "82.50", "90.00", "75.00"),
        ]
        assert weak == [
            *("2", "zeta/weak", "100%", none, none, none, none),
            *("partial: 1 of 2", none, "95.00", "failed : The model is broken."),
        ]
        assert small == [
            *("3", "acme/strong 128 d", "NA", none, none, "128", none),
            *("partial: 1 of 2", none, "80.00", ""),
        ]

    def test_the_heading_says_how_much_and_how_fresh(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}")
        assert "<h1>Help desk</h1>" in html
        assert re.search(r"3 models · 2 datasets · last result .* · 1 run open", text_of(html))

    def test_marks_of_open_and_failed_runs_lead_to_the_run(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}")
        running, failed = cell(html, 2, 10), cell(html, 1, 10)
        assert '<progress value="30" max="120" aria-label="Running">' in running
        assert re.search(r'href="/runs/\d+"', running)
        assert 'title="The model is broken."' in failed
        assert re.search(r'href="/runs/\d+"', failed)

    def test_a_score_stays_beside_the_mark_of_a_newer_run(self, as_viewer: Browser, world: World) -> None:
        world.dataset("a")
        model = world.model("acme/m")
        done = world.run(model, "a", 0.5)
        queued = world.run(model, "a", state=JobState.QUEUED)
        html = get(as_viewer, f"/boards/{world.board('a')}")
        assert rows(html)[0][-1] == "50.00 queued"
        assert f'href="/runs/{done}"' in html
        assert f'href="/runs/{queued}"' in html

    def test_links_to_model_dataset_and_run(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}")
        assert 'href="/models/acme/strong"' in html
        assert 'href="/datasets/pairs"' in html
        assert re.search(r'href="/runs/\d+">90.00</a>', cell(html, 0, 9))

    def test_the_best_of_a_column_is_bold_and_the_worst_is_not(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}")
        best = [(model, column) for model in range(3) for column in range(11) if " best " in cell(html, model, column)]
        assert best == [(1, 9)]
        assert "h9" in cell(html, 1, 9)
        assert "h0" in cell(html, 2, 9)

    @pytest.mark.parametrize(("query", "heads"), [("", 11), ("?show=everything", 21), ("?show=cost", 12)])
    def test_every_head_explains_itself_on_hover_and_focus(
        self, as_viewer: Browser, slug: str, query: str, heads: int
    ) -> None:
        html = get(as_viewer, f"/boards/{slug}{query}")
        described = re.findall(r'<a class="sort"[^>]*aria-describedby="([^"]+)"', html)
        tips = re.findall(r'role="tooltip" id="([^"]+)">([^<]{10,})</span>', html)
        assert len(described) == heads
        assert described == [key for key, _ in tips]
        for key, words in tips:
            is_text = key.removeprefix("tip-") in {"model", "licence", "open_weights", "release_date", *OPENNESS}
            assert is_text or re.search("better|faster|higher says", words), key

    def test_twelve_task_types_have_short_heads_that_say_what_they_are(self, as_viewer: Browser, world: World) -> None:
        for number, name in enumerate(TASK_TYPES):
            world.dataset(f"set-{number}", name)
            world.run(world.model(f"acme/m{number}"), f"set-{number}", 0.5)
        slug = world.board(*(f"set-{number}" for number in range(len(TASK_TYPES))))
        html = get(as_viewer, f"/boards/{slug}?show=everything")
        heads = [text_of(head) for head in re.findall(r'<a class="sort".*?</a>', html, re.DOTALL)]
        assert heads[17:29] == [f"{kind.abbreviation} mean" for kind in TASK_TYPES.values()]
        tips = re.findall(r'role="tooltip" id="(?:tip-task:set|tip-type)[^>]*>([^<]+)</span>', html)
        for kind in TASK_TYPES.values():
            assert (
                f"{kind.title}: mean over the 1 dataset of this type, times 100, higher is better; none when one is "
                "missing."
            ) in unescape(" ".join(tips))
            assert f"{kind.title}: {kind.main_metric}, times 100; higher is better." in tips
        groups = re.findall(r'class="group"[^>]*>([^<]+)</th>', get(as_viewer, f"/boards/{slug}/tasks"))
        assert groups == [kind.title for kind in TASK_TYPES.values()]

    def test_names_are_text_and_never_markup(self, as_viewer: Browser, world: World) -> None:
        evil = '<script>alert("1")</script>'
        world.dataset("a", name=evil)
        world.dataset("b", name="مجموعة بيانات")
        world.run(
            world.model("acme/m", variant="<img src=x>"), "a", state=JobState.FAILED, failure={"message": '"><b>x</b>'}
        )
        world.run(world.model("acme/m", variant="<img src=x>2"), "a", 0.5)
        board = world.board("a", "b", name="<i>Board</i>")
        for url in (f"/boards/{board}", f"/boards/{board}/tasks", f"/boards/{board}/info", "/boards", "/", "/?q=<b>"):
            html = get(as_viewer, url)
            assert not re.search(r"<script>|<img|<i>|<b>", html), url
        html = get(as_viewer, f"/boards/{board}")
        assert "&lt;script&gt;alert(" in html
        assert "<bdi>مجموعة بيانات</bdi>" in html

    def test_a_model_that_only_failed_is_named_below(self, as_viewer: Browser, world: World) -> None:
        world.dataset("a")
        world.run(world.model("acme/fine"), "a", 0.5)
        world.run(world.model("acme/broken"), "a", state=JobState.FAILED)
        html = get(as_viewer, f"/boards/{world.board('a')}")
        assert models(html) == ["acme/fine"]
        assert "Without a row, because every run failed: acme/broken ." in text_of(html)


class TestLook:
    @pytest.mark.parametrize("path", ["/", "/boards/help-desk", "/boards/help-desk/tasks"])
    def test_sorting_by_the_links_of_the_heads(self, as_viewer: Browser, slug: str, path: str) -> None:
        html = get(as_viewer, path)
        strong, weak, small = models(html)
        link = re.search(r'href="([^"]+)" aria-describedby="tip-task:pairs"', html)
        assert link and link[1].startswith(path)
        falling = get(as_viewer, unescape(link[1]))
        assert models(falling) == [weak, strong, small]
        assert 'aria-sort="descending"' in falling
        link = re.search(r'href="([^"]+)" aria-describedby="tip-task:pairs"', falling)
        assert link
        rising = get(as_viewer, unescape(link[1]))
        assert models(rising) == [small, strong, weak]
        assert 'aria-sort="ascending"' in rising

    def test_missing_values_come_last_both_ways(self, as_viewer: Browser, slug: str) -> None:
        for sort in ("mean_task", "-mean_task", "task:articles", "-parameters"):
            assert models(get(as_viewer, f"/boards/{slug}?sort={sort}"))[0] == "acme/strong"

    def test_filters_keep_ranks_and_can_be_taken_away(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}?q=ZETA&sort=-mean_task")
        assert [row[:2] for row in rows(html)] == [["2", "zeta/weak"]]
        assert f'href="/boards/{slug}?sort=-mean_task"' in html
        html = get(as_viewer, f"/boards/{slug}?complete=1")
        assert models(html) == ["acme/strong"]
        assert "complete only" in text_of(html)

    def test_a_filter_that_hides_all_says_so(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}?q=nothing")
        assert "No model of this board matches the filter. Show all 3" in text_of(html)

    @pytest.mark.parametrize("query", ["sort=speed", "sort=-", "order=up", "complete=maybe"])
    @pytest.mark.parametrize("path", ["", "/tasks", ".csv", ".json"])
    def test_an_unknown_sort_or_filter_is_refused_with_the_ones_there_are(
        self, as_viewer: Browser, slug: str, path: str, query: str
    ) -> None:
        html = get(as_viewer, f"/boards/{slug}{path}?{query}", status=422)
        assert "sort" in text_of(html) or "complete" in text_of(html)

    def test_tasks_are_grouped_by_type(self, as_viewer: Browser, world: World) -> None:
        for name, kind in (("s1", "STS"), ("r1", "Retrieval"), ("s2", "STS")):
            world.dataset(name, kind)
        model = world.model("acme/m")
        for name, score in (("s1", 0.2), ("r1", 0.5), ("s2", 0.4)):
            world.run(model, name, score)
        html = get(as_viewer, f"/boards/{world.board('s1', 'r1', 's2')}/tasks")
        groups = re.findall(r'<th class="group" scope="colgroup" colspan="(\d)">([^<]+)', html)
        assert groups == [("3", "Semantic textual similarity"), ("1", "Retrieval")]
        assert rows(html) == [["1", "acme/m", "36.67", "30.00", "20.00", "40.00", "50.00"]]

    def test_tabs_and_downloads_keep_the_look(self, as_viewer: Browser, slug: str) -> None:
        html = unescape(get(as_viewer, f"/boards/{slug}?sort=-mean_task&q=strong"))
        for path in ("/tasks", ".csv", ".json"):
            assert f'href="/boards/{slug}{path}?sort=-mean_task&q=strong"' in html
        assert f'href="/boards/{slug}/info"' in html


class TestColumns:
    def test_columns_are_chosen_by_preset_or_one_by_one(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}?sort=-mean_task&show=cost")
        heads = [text_of(head) for head in re.findall(r'<a class="sort".*?</a>', html, re.DOTALL)]
        assert heads[:3] == ["Rank Borda", "Model", "Mean (Task)"] and "Licence" in heads
        assert f'href="/boards/{slug}?sort=-mean_task&amp;show=everything"' in html
        assert '<input type="hidden" name="sort" value="-mean_task">' in html
        html = get(as_viewer, f"/boards/{slug}?column=task:articles&column=memory")
        assert rows(html)[0] == ["1", "acme/strong", "75.00", "87 float32"]
        assert '<input type="checkbox" name="column" value="memory" checked>' in html

    def test_columns_are_ordered_by_the_buttons_of_a_form(self, as_viewer: Browser, slug: str) -> None:
        url = f"/boards/{slug}?sort=-mean_task&column=task:articles&column=memory&column=licence"
        form = re.search(r"<form(?:(?!<form).)*Shown, from left to right.*?</form>", get(as_viewer, url), re.DOTALL)
        assert form and 'name="sort" value="-mean_task"' in form[0]
        assert re.findall(r'value="([^"]+)" checked', form[0]) == ["task:articles", "memory", "licence"]
        buttons = re.findall(r'name="(left|right)" value="([^"]+)" formaction="([^"]+)" aria-label="([^"]+)"', form[0])
        assert [button[:2] for button in buttons] == [
            ("right", "task:articles"),
            ("left", "memory"),
            ("right", "memory"),
            ("left", "licence"),
        ]
        assert buttons[1][2:] == (f"/boards/{slug}#column-1", "Move Memory (MB) to the left")
        assert 'id="column-1"' in form[0]
        html = get(as_viewer, f"{url}&left=memory")
        assert rows(html)[0] == ["1", "acme/strong", "87 float32", "75.00", "— not known"]
        assert "left=" not in html and "column=memory&amp;column=task%3Aarticles&amp;column=licence" in html

    def test_a_long_text_is_whole_on_hover(self, as_viewer: Browser, world: World) -> None:
        world.dataset("a")
        licence = 'https://example.org/"><b>terms'
        world.run(world.model("acme/m", licence=licence), "a", 0.5)
        world.run(world.model("acme/n", licence="mit"), "a", 0.4)
        html = get(as_viewer, f"/boards/{world.board('a')}?column=licence")
        safe = "https://example.org/&#34;&gt;&lt;b&gt;terms"
        assert cell(html, 0, 2) == f'<td class="text" title="{safe}">{safe}</td>'
        assert cell(html, 1, 2) == '<td class="text">mit</td>'


class TestMeasured:
    def test_one_device_at_a_time_and_it_is_named(self, as_viewer: Browser, world: World) -> None:
        slug = world.measured()
        url = f"/boards/{slug}?column=peak_memory&column=query_p50&column=query_p95&column=documents_per_second"
        none = "— not measured"
        html = get(as_viewer, url)
        assert [row[2:] for row in rows(html)] == [
            ["8,000", "12.2", "24.5", "80.0"],
            [none] * 4,
            ["200", "0.500", "1.00", "9,000"],
        ]
        assert f"Peak memory, Query p50, Query p95, Documents: measured on {GPU} ." in text_of(html)
        assert html.count(f"is better. Measured on {GPU}.") == 4
        html = get(as_viewer, f"{url}&device={CPU}")
        assert [row[2:] for row in rows(html)] == [["9,000", "480", "960", "1.50"], [none] * 4, [none] * 4]
        assert GPU not in html.replace(f'<option value="{GPU}" >{GPU}</option>', "")
        assert re.search(rf'href="/boards/{slug}/charts[^"]*device=cpu', html)

    def test_several_devices_are_to_choose_from_and_one_is_named(self, as_viewer: Browser, world: World) -> None:
        slug = world.measured()
        html = get(as_viewer, f"/boards/{slug}?show=cost&q=a")
        form = re.search(r'<form class="device.*?</form>', html, re.DOTALL)
        assert form and re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', form[0]) == [
            ("q", "a"),
            ("show", "cost"),
        ]
        assert re.findall(r'<option value="([^"]+)" (selected)?>', form[0]) == [(GPU, "selected"), (CPU, "")]
        with world.database.session() as session:
            session.execute(delete(Measurement).where(Measurement.device == CPU))
        html = get(as_viewer, f"/boards/{slug}?show=cost")
        assert 'class="device' not in html and f"Measured on <bdi>{GPU}</bdi>." in html

    def test_a_board_without_measurements_says_nothing_of_them(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}?show=everything")
        assert "easured on" not in html and "Query p50" not in html

    @pytest.mark.parametrize("path", ["", "/tasks", "/charts", ".csv", ".json"])
    def test_an_unknown_device_is_refused_with_those_there_are(
        self, as_viewer: Browser, world: World, path: str
    ) -> None:
        html = get(as_viewer, f"/boards/{world.measured()}{path}?device=abacus", status=422)
        assert f"Nothing was measured on a device 'abacus'. There are: {GPU}; {CPU}." in text_of(unescape(html))

    def test_a_device_is_text(self, as_viewer: Browser, world: World) -> None:
        world.dataset("a")
        model = world.model("acme/m")
        world.run(model, "a", 0.5)
        world.measure(model, "<b>cpu</b>")
        world.measure(model, '"><i>gpu')
        slug = world.board("a")
        for path in (f"/boards/{slug}?show=cost", f"/boards/{slug}/charts/query_p50", f"/boards/{slug}/info"):
            assert not re.search("<b>|<i>", get(as_viewer, path))

    def test_a_filter_keeps_the_columns(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}?show=quality&pin=1")
        (form,) = re.findall(
            r'<form class="form" action="/boards/help-desk" method="get">.*?q.*?</form>', html, re.DOTALL
        )[1:] or [html]
        assert 'name="show" value="quality"' in form and 'name="pin" value="1"' in form

    @pytest.mark.parametrize("query", ["show=all", "column=" + "x" * 201])
    def test_what_is_no_choice_is_refused(self, as_viewer: Browser, slug: str, query: str) -> None:
        assert "show" in get(as_viewer, f"/boards/{slug}?{query}", status=422) or "column" in query


def test_an_imported_card_says_how_open_its_model_is(as_admin: Browser) -> None:
    facts = {"public_training_code": "https://example.org/code", "public_training_data": False, "citation": ""}
    files = {
        "org__unheard-of/1/STS12.json": result(test=0.5),
        "org__unheard-of/1/model_meta.json": card("org/unheard-of", "1", **facts),
    }
    sent = {"file": ("results.zip", packed(files), "application/zip")}
    answer = as_admin.post_form("/boards/import", {"benchmark": "Public"}, files=sent)
    assert answer.status_code == 303, answer.text
    html = get(as_admin, "/boards/public?column=training_code&column=training_data&column=citation")
    assert rows(html) == [["1", "org/unheard-of", "yes", "no", "— not known"]]


class TestInfo:
    def test_datasets_and_columns_in_words(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}/info")
        first, second = rows(html)
        assert first[:5] == ["pairs", "STS", "cosine_spearman", "eng-Latn", "1,200 pairs"]
        assert second[:3] == ["articles", "Retrieval", "ndcg_at_10"]
        assert "Borda: on every dataset a model earns a point" in text_of(html)
        assert "Query p50" not in html

    def test_what_is_measured_and_on_what(self, as_viewer: Browser, world: World) -> None:
        text = text_of(get(as_viewer, f"/boards/{world.measured()}/info"))
        assert "Query p50 (ms)" in text
        assert f"lower is better. Measured on one device at a time: {GPU}; {CPU}." in text
        world.dataset("b")
        model = world.model("acme/once")
        world.run(model, "b", 0.5)
        world.measure(model, CPU)
        assert f"higher is better. Measured on {CPU}." in text_of(
            get(as_viewer, f"/boards/{world.board('b', name='Once')}/info")
        )


class TestDownloads:
    def test_csv_is_the_look_in_its_order(self, as_viewer: Browser, slug: str) -> None:
        answer = as_viewer.get(f"/boards/{slug}.csv?sort=-task:pairs&q=a")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''help-desk.csv"
        lines = list(csv.DictReader(io.StringIO(answer.text)))
        assert [(line["Rank (Borda)"], line["Model"], line["Variant"], line["pairs"]) for line in lines] == [
            ("2", "zeta/weak", "", "0.95"),
            ("1", "acme/strong", "", "0.9"),
            ("3", "acme/strong", "128 d", "0.8"),
        ]

    def test_json_is_the_look_in_its_order(self, as_viewer: Browser, slug: str) -> None:
        answer = as_viewer.get(f"/boards/{slug}.json?complete=1")
        assert answer.headers["content-type"] == "application/json"
        board = json.loads(answer.text)
        assert board["benchmark"] == "Help desk"
        assert [(row["model"], row["mean_task"]) for row in board["models"]] == [("acme/strong", 0.825)]


class TestFragment:
    def test_rows_replace_themselves_while_runs_are_open(self, as_viewer: Browser, slug: str) -> None:
        url = f"/boards/{slug}?sort=-mean_task"
        whole, part = get(as_viewer, url), get(as_viewer, url, headers=FRAGMENT)
        assert "<html" in whole and "<html" not in part
        body = re.search(r"<tbody.*?</tbody>", whole, re.DOTALL)
        assert body and body[0] in part
        assert f'hx-get="{url}" hx-trigger="load delay:3s" hx-swap="outerHTML"' in body[0]
        assert 'id="board-status" hx-swap-oob="true"' in part
        assert as_viewer.get(url).headers["vary"] == "HX-Request, Accept-Encoding"

    def test_restoring_history_gets_the_whole_page(self, as_viewer: Browser, slug: str) -> None:
        headers = {**FRAGMENT, "HX-History-Restore-Request": "true"}
        assert "<html" in get(as_viewer, f"/boards/{slug}", headers=headers)

    def test_nothing_refreshes_when_nothing_is_open(self, as_viewer: Browser, world: World) -> None:
        world.dataset("a")
        world.run(world.model("acme/m"), "a", 0.5)
        assert "load delay" not in get(as_viewer, f"/boards/{world.board('a')}")

    def test_a_table_whose_columns_changed_is_loaded_again(self, as_viewer: Browser, world: World, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}")
        found = re.search(r'<tbody id="([^"]+)"', html)
        assert found
        headers = {**FRAGMENT, "HX-Trigger": found[1]}
        assert "hx-refresh" not in as_viewer.get(f"/boards/{slug}", headers=headers).headers
        with world.database.session() as session:
            benchmarks.edit(session, world.person, slug, dataset_slugs=["pairs"])
        assert as_viewer.get(f"/boards/{slug}", headers=headers).headers["hx-refresh"] == "true"

    def test_a_page_takes_as_many_queries_for_many_models_as_for_few(
        self, as_viewer: Browser, world: World, slug: str
    ) -> None:
        counts = []
        for number in range(2):
            with counted_statements(world.database) as statements:
                get(as_viewer, f"/boards/{slug}")
            counts.append(len(statements))
            world.dataset(f"extra-{number}")
            for count in range(6):
                world.run(world.model(f"acme/m{number}-{count}"), f"extra-{number}", 0.5)
            with world.database.session() as session:
                benchmarks.edit(session, world.person, slug, dataset_slugs=["pairs", "articles", f"extra-{number}"])
        with world.database.reading() as session, counted_statements(world.database) as own:
            load_board(session, benchmarks.by_slug(session, slug))
        assert len(own) == 8
        assert counts[0] == counts[1] <= len(own) + 4


class TestEmptyStates:
    def test_an_empty_house_says_what_to_do_next(self, as_admin: Browser, as_viewer: Browser) -> None:
        html = get(as_admin, "/")
        assert 'href="/datasets/new"' in html and "touchstone import demo" in html
        html = get(as_viewer, "/")
        assert "Nothing here yet" in html and "/datasets/new" not in html

    def test_datasets_without_a_board(self, as_admin: Browser, as_viewer: Browser, world: World) -> None:
        world.dataset("a")
        assert 'href="/boards/new"' in get(as_admin, "/")
        assert 'href="/boards/new"' not in get(as_viewer, "/")

    def test_a_board_without_datasets_or_results(self, as_admin: Browser, as_viewer: Browser, world: World) -> None:
        world.dataset("a")
        bare, waiting = world.board(name="Bare"), world.board("a", name="Waiting")
        assert 'href="/boards/bare/edit">Choose datasets' in get(as_admin, f"/boards/{bare}")
        assert 'href="/runs/new">Queue runs' in get(as_admin, f"/boards/{waiting}")
        for board in (bare, waiting):
            html = get(as_viewer, f"/boards/{board}")
            assert "/runs/new" not in html and "/edit" not in html
            get(as_viewer, f"/boards/{board}.csv")
            get(as_viewer, f"/boards/{board}/tasks")
            get(as_viewer, f"/boards/{board}/info")

    @pytest.mark.parametrize("tail", ["", "/tasks", "/info", ".csv", ".json"])
    def test_an_unknown_board_is_not_found(self, as_viewer: Browser, tail: str) -> None:
        for name in ("nowhere", "%00", "a%E2%80%AEb"):
            get(as_viewer, f"/boards/{name}{tail}", status=404)


class TestAdministration:
    def test_a_board_is_made_edited_and_deleted(self, as_admin: Browser, world: World) -> None:
        for name in ("a", "b", "c"):
            world.dataset(name)
        form = {"name": "Help desk", "dataset": ["a", "b", "c"], "known": ["a", "b", "c"], "place": ["2", "", "1"]}
        answer = as_admin.post_form("/boards/new", form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/boards/help-desk")
        html = get(as_admin, "/boards/help-desk/edit")
        assert re.findall(r'name="dataset" value="(\w)" checked', html) == ["c", "a", "b"]
        assert re.findall(r'name="place"[^>]* value="(\d)"', html) == ["1", "2", "3"]
        form = {
            "name": "Desk",
            "slug": "desk",
            "description": "Words.",
            "dataset": ["b"],
            "known": ["b"],
            "place": [""],
        }
        answer = as_admin.post_form("/boards/help-desk/edit", form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/boards/desk")
        assert [row[0] for row in rows(get(as_admin, "/boards/desk/info"))] == ["b"]
        answer = as_admin.post_form("/boards/desk/delete")
        assert (answer.status_code, answer.headers["location"]) == (303, "/boards")
        assert "The board “Desk” is deleted." in get(as_admin, "/boards")
        get(as_admin, "/boards/desk", status=404)

    def test_a_mistake_shows_the_form_again_with_what_was_typed(self, as_admin: Browser, world: World) -> None:
        world.dataset("a")
        world.board(name="Taken")
        form = {"name": " ", "description": "Kept words.", "dataset": "a", "known": "a", "place": "7"}
        answer = as_admin.post_form("/boards/new", form)
        assert answer.status_code == 422
        assert "Give it a name" in answer.text and "Kept words." in answer.text
        assert re.search(r'value="a" checked', answer.text) and 'value="7"' in answer.text
        answer = as_admin.post_form("/boards/new", {"name": "taken"})
        assert answer.status_code == 409 and "exists" in answer.text
        answer = as_admin.post_form("/boards/taken/edit", {"name": "", "slug": "other"})
        assert answer.status_code == 422 and "Edit board" in answer.text
        get(as_admin, "/boards/taken")

    def test_the_default_board_is_chosen_by_a_tick(self, as_admin: Browser, world: World) -> None:
        world.board(name="First")
        world.board(name="Second")
        assert "<h1>First</h1>" in get(as_admin, "/")
        as_admin.post_form("/boards/second/edit", {"name": "Second", "default": "1"})
        assert "<h1>Second</h1>" in get(as_admin, "/")
        assert re.search(r"Second</bdi></a>\s*<span[^>]*>default", get(as_admin, "/boards"))

    def test_only_admins_change_boards(self, as_member: Browser, slug: str) -> None:
        for url in ("/boards/new", f"/boards/{slug}/edit"):
            get(as_member, url, status=403)
        for url in ("/boards/new", f"/boards/{slug}/edit", f"/boards/{slug}/delete"):
            assert as_member.post_form(url, {"name": "x"}).status_code == 403
        assert "/edit" not in get(as_member, f"/boards/{slug}")

    def test_nobody_sees_a_board_without_signing_in(self, client: Browser, slug: str) -> None:
        for url in ("/", "/boards", f"/boards/{slug}", f"/boards/{slug}.csv"):
            answer = client.get(url)
            assert (answer.status_code, answer.headers["location"][:9]) == (303, "/sign-in?")
