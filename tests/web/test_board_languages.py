"""The tab Languages of a board: columns, order, filters, downloads, empty boards, hostile names, few queries."""

import csv
import io
import json
import re
from typing import Any

import pytest
from sqlalchemy import update

from app.db.session import Database
from app.db.tables import Dataset, JobState
from tests.board_world import World, counted_statements
from tests.conftest import Browser
from tests.result_files import card, packed
from tests.upload_flow import get, text_of


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def slug(world: World, database: Database) -> str:
    """English and Spanish talk, Spanish calls; the second model lacks the calls."""
    world.dataset("talk")
    world.dataset("calls", "Retrieval")
    with database.session() as session:
        session.execute(update(Dataset).where(Dataset.slug == "talk").values(languages=["eng-Latn", "spa-Latn"]))
        session.execute(update(Dataset).where(Dataset.slug == "calls").values(languages=["spa-Latn"]))
    first, second = world.model("acme/first"), world.model("zeta/second")
    world.run(first, "talk", {("test", "en"): 0.25, ("test", "es"): 0.75})
    world.run(first, "calls", 0.75)
    world.run(second, "talk", {("test", "en"): 0.75, ("test", "es"): 0.125})
    return world.board("talk", "calls")


def rows(html: str) -> list[list[str]]:
    """The text of each cell of the body, by row."""
    (body,) = re.findall(r"<tbody.*?</tbody>", html)
    return [
        [text_of(cell) for cell in re.findall(r"<(?:td|th)\b.*?</(?:td|th)>", row)]
        for row in re.findall(r"<tr\b.*?</tr>", body)
    ]


def test_a_column_a_language(as_viewer: Browser, slug: str) -> None:
    html = get(as_viewer, f"/boards/{slug}/languages")
    assert [cells[:1] + cells[2:] for cells in rows(html)] == [
        ["1", "62.50", "75.00", "25.00"],
        ["2", "partial: 1 of 2", "12.50", "75.00"],
    ]
    heads = re.findall(r'<a class="sort" href="([^"]+)"', html)
    assert heads[-2:] == [f"/boards/{slug}/languages?sort=-language%3A{code}-Latn" for code in ("spa", "eng")]
    assert 'aria-current="page">Languages</a>' in html
    assert "Mean over the 2 scores in this language, of 2 datasets" in text_of(html)


def test_a_head_sorts_and_filters_choose(as_viewer: Browser, slug: str) -> None:
    url = f"/boards/{slug}/languages"
    by_english = get(as_viewer, f"{url}?sort=-language:eng-Latn")
    assert [cells[-1] for cells in rows(by_english)] == ["75.00", "25.00"]
    assert re.search(r'<th[^>]*aria-sort="descending"[^>]*> <a class="sort"[^>]*>eng-Latn', by_english)
    assert [len(cells) for cells in rows(get(as_viewer, f"{url}?language=spa-Latn"))] == [4, 4]
    assert [cells[0] for cells in rows(get(as_viewer, f"{url}?q=zeta"))] == ["2"]
    partial = get(as_viewer, url)
    assert f'<a href="{url}?complete=1">hide them</a>' in partial
    complete = get(as_viewer, f"{url}?complete=1")
    assert len(rows(complete)) == 1 and "hide them" not in complete


def test_other_tabs_are_not_sorted_by_a_language(as_viewer: Browser, slug: str) -> None:
    html = get(as_viewer, f"/boards/{slug}/languages?sort=-language:eng-Latn&complete=1")
    assert f'href="/boards/{slug}?complete=1"' in html
    assert f'href="/boards/{slug}/tasks?complete=1"' in html
    tasks = get(as_viewer, f"/boards/{slug}/tasks?sort=-task:talk")
    assert f'href="/boards/{slug}/languages?sort=-task%3Atalk"' in tasks


def test_what_cannot_be_shown_is_told(as_viewer: Browser, slug: str) -> None:
    url = f"/boards/{slug}/languages"
    assert "no scores in the language &#39;tlh&#39;" in get(as_viewer, f"{url}?sort=language:tlh", 422)
    nothing = get(as_viewer, f"{url}?language=tlh")
    assert "No language to show" in nothing and f'href="{url}"' in nothing
    assert "There are: csv, json, md, tex" in text_of(get(as_viewer, f"{url}.xlsx", 404))
    get(as_viewer, "/boards/none/languages", 404)


def test_downloads_are_what_is_shown(as_viewer: Browser, slug: str) -> None:
    url = f"/boards/{slug}/languages"
    shown = get(as_viewer, f"{url}?language=eng-Latn&sort=-language:eng-Latn")
    assert f'href="{url}.csv?sort=-language%3Aeng-Latn&amp;language=eng-Latn" download' in shown
    answer = as_viewer.get(f"{url}.csv?language=eng-Latn&sort=-language:eng-Latn")
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{slug}-languages.csv"
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["Model"], row["eng-Latn"]) for row in table] == [("zeta/second", "0.75"), ("acme/first", "0.25")]
    found = json.loads(as_viewer.get(f"{url}.json").text)
    assert found["models"][0]["languages"] == {"spa-Latn": 0.75, "eng-Latn": 0.25}
    assert "| **75.00** | 25.00 |" in as_viewer.get(f"{url}.md").text
    assert r"\bottomrule" in as_viewer.get(f"{url}.tex").text


def test_of_many_languages_the_first_are_shown_and_any_can_be_chosen(
    as_viewer: Browser, database: Database, slug: str
) -> None:
    codes = [f"q{a}{b}" for a in "abcdefgh" for b in "abcdefghij"]
    with database.session() as session:
        session.execute(update(Dataset).where(Dataset.slug == "calls").values(languages=[*codes, "spa-Latn"]))
    url = f"/boards/{slug}/languages"
    html = get(as_viewer, url)
    assert "The 60 languages of the most datasets; 22 more can be chosen in Filter." in text_of(html)
    assert len(rows(html)[0]) == 63
    assert len(csv.DictReader(io.StringIO(as_viewer.get(f"{url}.csv").text)).fieldnames or ()) == 65
    chosen = get(as_viewer, f"{url}?language=qhj&language=qhi")
    assert len(rows(chosen)[0]) == 5 and "more can be chosen" not in chosen


def test_while_runs_are_open_the_rows_replace_themselves(as_viewer: Browser, world: World, slug: str) -> None:
    url = f"/boards/{slug}/languages"
    assert not re.search(r"<tbody[^>]*hx-get", get(as_viewer, url))
    world.run(world.model("acme/third"), "talk", state=JobState.QUEUED)
    html = get(as_viewer, url)
    (key,) = re.findall(rf'<tbody id="([^"]+)" hx-get="{url}"', html)
    fragment = as_viewer.get(url, headers={"HX-Request": "true", "HX-Trigger": key})
    assert fragment.text.lstrip().startswith("<tbody") and "HX-Refresh" not in fragment.headers
    stale = as_viewer.get(url, headers={"HX-Request": "true", "HX-Trigger": "rows-other"})
    assert stale.headers["HX-Refresh"] == "true"


def test_a_page_that_the_browser_has_is_not_sent_again(as_viewer: Browser, world: World, slug: str) -> None:
    url = f"/boards/{slug}/languages"
    tag = as_viewer.get(url).headers["etag"]
    assert as_viewer.get(url, headers={"If-None-Match": tag}).status_code == 304
    world.run(world.model("acme/third"), "talk", 0.5)
    assert as_viewer.get(url, headers={"If-None-Match": tag}).status_code == 200


def test_boards_without_languages_say_what_to_do(as_viewer: Browser, as_admin: Browser, world: World) -> None:
    empty = get(as_viewer, f"/boards/{world.board(name='Empty')}/languages")
    assert "No results yet" in empty and "/boards/empty/info" in empty
    bare = {"task_name": "Ours", "scores": {"test": [{"main_score": 0.5, "hf_subset": "default"}]}}
    files = {"org__m/abc/model_meta.json": card("org/m"), "org__m/abc/Ours.json": json.dumps(bare).encode()}
    upload: Any = {"file": ("results.zip", packed(files), "application/zip")}
    answer = as_admin.post_form("/boards/import", {"benchmark": "Public"}, files=upload)
    assert answer.status_code == 303, answer.text
    html = get(as_viewer, "/boards/public/languages")
    assert "No dataset says its languages" in html and "/boards/import" in html


def test_hostile_names_do_nothing_but_appear(as_viewer: Browser, world: World, database: Database, slug: str) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    world.run(world.model(f"acme/{hostile}", variant="\u202e=cmd()"), "talk", 0.5)
    with database.session() as session:
        session.execute(update(Dataset).where(Dataset.slug == "calls").values(languages=[hostile]))
    html = get(as_viewer, f"/boards/{slug}/languages")
    assert hostile not in html and "&lt;img src=x onerror=alert(1)&gt;" in html
    download = as_viewer.get(f"/boards/{slug}/languages.csv").text
    assert "\u202e=cmd()" in download
    assert as_viewer.get(f"/boards/{slug}/languages.json").json()["languages"][0]["language"]


def test_few_queries_whatever_the_size(as_viewer: Browser, world: World, database: Database, slug: str) -> None:
    def queries() -> int:
        with counted_statements(database) as statements:
            get(as_viewer, f"/boards/{slug}/languages")
        return len(statements)

    world.run(world.model("more/0"), "talk", 0.5)
    few = queries()
    for number in range(1, 6):
        world.run(world.model(f"more/{number}"), "talk", 0.5)
    assert queries() == few
    assert queries() < few  # board and scores are kept


def test_the_api_has_every_language(as_viewer: Browser, slug: str) -> None:
    url = f"/api/v1/boards/{slug}/languages"
    found = as_viewer.get(url).json()
    assert found["languages"] == [{"language": "spa-Latn", "scores": 2}, {"language": "eng-Latn", "scores": 1}]
    assert [(row["model"], row["rank"], row["languages"], row["scores"]) for row in found["models"]] == [
        ("acme/first", 1, {"spa-Latn": 0.75, "eng-Latn": 0.25}, {"spa-Latn": 2, "eng-Latn": 1}),
        ("zeta/second", 2, {"spa-Latn": 0.125, "eng-Latn": 0.75}, {"spa-Latn": 1, "eng-Latn": 1}),
    ]
    english = as_viewer.get(url, params={"language": ["eng-Latn"]}).json()
    assert [(row["model"], row["languages"]) for row in english["models"]] == [
        ("acme/first", {"eng-Latn": 0.25}),
        ("zeta/second", {"eng-Latn": 0.75}),
    ]
    assert [language["language"] for language in english["languages"]] == ["eng-Latn"]
    assert as_viewer.get(url, params={"language": "x" * 300}).status_code == 422
    assert as_viewer.get("/api/v1/boards/none/languages").status_code == 404
