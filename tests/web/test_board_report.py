"""The report of a board: a page, two files and the API, of what a look shows, for whoever may see the board."""

import re
from html import unescape

import pytest

from app.db.session import Database
from app.settings import Settings
from tests.certain_board import certain, four, show
from tests.conftest import Browser
from tests.services.test_report import HOSTILE, filled, load
from tests.verdict_world import VerdictWorld
from tests.web.test_boards import get, text_of


@pytest.fixture
def world(database: Database, settings: Settings) -> VerdictWorld:
    return VerdictWorld(database, settings)


@pytest.fixture
def slug(world: VerdictWorld) -> str:
    """Computed from what its runs kept."""
    made = filled(world, ("acme/best", "acme/good", "acme/same"))
    load(world, made)
    return made


def scores(html: str) -> list[list[str]]:
    """The text of each cell of the first table, by row."""
    body = re.findall(r"<tbody.*?</tbody>", html, re.DOTALL)[0]
    return [
        [text_of(cell) for cell in re.findall(r"<(?:td|th)\b.*?</(?:td|th)>", row, re.DOTALL)]
        for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]


def test_a_row_has_intervals_and_letters(as_viewer: Browser, slug: str) -> None:
    html = get(as_viewer, f"/boards/{slug}/report")
    first, *others = scores(html)
    assert first[:2] == ["a", "acme/best"]
    assert first[2].startswith("1 ") and first[3] == "1"
    assert re.fullmatch(r"\d\d\.\d\d b,c \d\d\.\d\d to \d\d\.\d\d", first[4])
    assert [row[0] for row in others] == ["b", "c"]
    assert "b,c" not in "".join(cell for row in others for cell in row)
    assert "Not everything is here" not in html
    assert "<h1>Help desk: report</h1>" in html


def test_methods_facts_and_references_stand_on_the_page(as_viewer: Browser, slug: str) -> None:
    words = text_of(get(as_viewer, f"/boards/{slug}/report"))
    assert "95% percentile bootstrap intervals over examples (10,000 resamples, seed 42; Efron" in words
    assert "Seed 42" in words and "rules of mteb 2.26.24" in words
    assert "Westfall and S. S. Young (1993)" in words
    assert "fewer than 30 examples" in words


@pytest.mark.parametrize(
    ("suffix", "media_type", "start"),
    [("md", "text/markdown", "# Help desk: report"), ("tex", "text/x-tex", "% In the preamble: ")],
)
def test_the_files(as_viewer: Browser, slug: str, suffix: str, media_type: str, start: str) -> None:
    answer = as_viewer.get(f"/boards/{slug}/report.{suffix}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{slug}-report.{suffix}"
    assert answer.text.startswith(start) and "acme/best" in answer.text


def test_a_look_goes_along(as_viewer: Browser, slug: str) -> None:
    html = get(as_viewer, f"/boards/{slug}/report?dataset=notes&sort=-task%3Anotes")
    assert len(scores(html)[0]) == 6
    links = [unescape(link) for link in re.findall(r'href="(/boards/[^"]*)"', html)]
    query = "?sort=-task%3Anotes&dataset=notes"
    assert [link for link in links if query in link] == [
        f"/boards/{slug}{query}",
        f"/boards/{slug}/report.md{query}",
        f"/boards/{slug}/report.tex{query}",
    ]
    assert "show all datasets to have them" in html
    assert "notes" in get(as_viewer, f"/boards/{slug}/report.md{query}")


def test_nobody_passes_the_filters(as_viewer: Browser, slug: str) -> None:
    assert "No model passes the filters" in get(as_viewer, f"/boards/{slug}/report?q=nobody")


def test_what_is_missing_is_said(as_viewer: Browser, world: VerdictWorld) -> None:
    made = four(world)
    html = get(as_viewer, f"/boards/{made}/report")
    assert "Not everything is here" in html
    assert scores(html)[0][:2] == ["a", "acme/a"]


def test_an_imported_board(as_viewer: Browser, world: VerdictWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    show(monkeypatch, lambda board: certain(board, by_task=True))
    html = get(as_viewer, f"/boards/{four(world)}/report")
    assert "no value of a single example is known" in text_of(html)
    assert scores(html)[0][4] == "85.00 b–d 84.20 to 85.80"


def test_hostile_names_stay_text(as_viewer: Browser, world: VerdictWorld) -> None:
    made = filled(world, (HOSTILE, "acme/good"), dataset="<script>1</script>")
    load(world, made)
    html = get(as_viewer, f"/boards/{made}/report")
    assert "<b>|x|" not in html and "<script>1" not in html
    assert "&lt;b&gt;|x|" in html and "&lt;script&gt;1" in html


@pytest.mark.parametrize(
    ("address", "status"), [("report.pdf", 404), ("report?nothing=1", 422), ("report?sort=task%3Anone", 422)]
)
def test_what_there_is_not(as_viewer: Browser, slug: str, address: str, status: int) -> None:
    get(as_viewer, f"/boards/{slug}/{address}", status)
    get(as_viewer, "/boards/none/report", 404)


def test_the_api_has_the_same(as_viewer: Browser, slug: str) -> None:
    found = as_viewer.get(f"/api/v1/boards/{slug}/report?q=acme").json()
    assert found["heads"][:2] == ["Mean (Task)", "Mean (TaskType)"]
    assert [row["letter"] for row in found["rows"]] == ["a", "b", "c"]
    assert found["rows"][0]["scores"][0]["beats"] == "b,c"
    assert found["facts"]["Seed"] == "42"
    assert found["missing"] == ""


def test_an_unchanged_report_is_not_sent_again(as_viewer: Browser, slug: str) -> None:
    first = as_viewer.get(f"/boards/{slug}/report")
    again = as_viewer.get(f"/boards/{slug}/report", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
