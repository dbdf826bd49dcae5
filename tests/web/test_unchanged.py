"""A board's page that the browser has already is not sent again; what is sent is small."""

import gzip

import pytest

from app.db.session import Database
from app.db.tables import JobState
from tests.board_world import World, counted_statements
from tests.conftest import Browser


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def url(world: World) -> str:
    world.dataset("a")
    world.run(world.model("acme/m"), "a", 0.5)
    return f"/boards/{world.board('a')}"


def test_an_unchanged_page_is_a_304_in_a_few_queries(as_viewer: Browser, world: World, url: str) -> None:
    first = as_viewer.get(url)
    assert first.headers["cache-control"] == "private, no-cache"
    with counted_statements(world.database) as statements:
        again = as_viewer.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert len(statements) <= 2


def test_a_page_that_somebody_saw_asks_for_nothing_but_the_person(as_viewer: Browser, world: World, url: str) -> None:
    for path in (url, f"{url}/tasks", "/"):
        first = as_viewer.get(path)
        with counted_statements(world.database) as statements:
            again = as_viewer.get(path)
        assert (again.status_code, again.text, len(statements)) == (200, first.text, 1)


def test_a_board_that_is_gone_is_not_kept(as_viewer: Browser, as_admin: Browser, url: str) -> None:
    assert as_viewer.get(url).status_code == 200
    assert as_admin.post_form(f"{url}/delete", {}).status_code == 303
    assert as_viewer.get(url).status_code == 404


def test_a_new_score_makes_a_new_page(as_viewer: Browser, world: World, url: str) -> None:
    tag = as_viewer.get(url).headers["etag"]
    world.run(world.model("acme/other"), "a", 0.75)
    answer = as_viewer.get(url, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert "75.00" in answer.text


@pytest.mark.parametrize("other", ["?sort=-mean_task", "/tasks", "?q=acme"])
def test_every_look_has_a_tag_of_its_own(as_viewer: Browser, url: str, other: str) -> None:
    tag = as_viewer.get(url).headers["etag"]
    assert as_viewer.get(url + other, headers={"If-None-Match": tag}).status_code == 200


def test_a_fragment_is_not_the_page(as_viewer: Browser, url: str) -> None:
    tag = as_viewer.get(url).headers["etag"]
    assert as_viewer.get(url, headers={"If-None-Match": tag, "HX-Request": "true"}).status_code == 200


def test_one_persons_page_is_not_anothers(as_viewer: Browser, as_admin: Browser, url: str) -> None:
    tag = as_viewer.get(url).headers["etag"]
    answer = as_admin.get(url, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert "/edit" in answer.text


def test_while_runs_are_open_every_answer_is_new(as_viewer: Browser, world: World, url: str) -> None:
    world.run(world.model("acme/runs"), "a", state=JobState.RUNNING)
    answer = as_viewer.get(url)
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


def test_pages_are_compressed(as_viewer: Browser, world: World, url: str) -> None:
    for number in range(40):
        world.run(world.model(f"acme/m{number}"), "a", 0.5)
    with as_viewer.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as answer:
        sent = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert len(sent) < len(gzip.decompress(sent)) / 5
