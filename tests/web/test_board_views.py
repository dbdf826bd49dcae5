"""The menu of saved views on a board, and their page: to save, open, replace and delete one, without scripts."""

import re
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import delete

from app.db.queries.saved_views import visible_views
from app.db.session import Database
from app.db.tables import BenchmarkDataset
from app.services import benchmarks
from tests.board_world import World
from tests.conftest import Browser
from tests.upload_flow import get, text_of

NASTY = '<script>alert(1)</script> "\u0634\u0645\u0627" =1+1'


@pytest.fixture
def slug(database: Database) -> str:
    return World(database).full()


def save(browser: Browser, slug: str, name: str, at: str = "", **fields: str) -> Any:
    return browser.post_form(f"/boards/{slug}/views", {"name": name, "at": at or f"/boards/{slug}", **fields})


def listed(html: str) -> list[tuple[str, str]]:
    """Address and name of each view."""
    return re.findall(r'<a href="(/boards/[^"/]+/views/\d+)"><bdi>(.*?)</bdi>', html)


def at(address: str) -> str:
    return f"?at={quote(address, safe='')}"


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ("?q=acme&sort=-mean_task", "?sort=-mean_task&q=acme"),
        ("/tasks?type=STS", "/tasks?type=STS"),
        ("/languages", "/languages"),
        ("/charts?score=type%3ASTS", "/charts?sort=-type%3ASTS"),
        ("/charts/memory", "/charts/memory"),
        ("?plain=1&sort=tier", "?sort=tier&plain=1"),
    ],
)
def test_every_tab_has_a_menu_that_leads_to_the_page(as_viewer: Browser, slug: str, page: str, address: str) -> None:
    html = get(as_viewer, f"/boards/{slug}{page}")
    (loaded,) = re.findall(r'<details class="panel" name="panels" hx-get="([^"]+)" hx-trigger="toggle once"', html)
    assert f'<a href="{loaded}">Saved views of this board</a>' in html
    assert as_viewer.csrf_token not in re.findall(r"<main.*</main>", html)[0]
    views = unescape(get(as_viewer, unescape(loaded)))
    assert f'<input type="hidden" name="at" value="/boards/{slug}{address}">' in views


def test_the_menu_of_the_default_board_saves_that_board(as_viewer: Browser, slug: str) -> None:
    (loaded,) = re.findall(r'hx-get="([^"]+views[^"]+)"', get(as_viewer, "/?q=a"))
    assert f'value="/boards/{slug}?q=a"' in get(as_viewer, unescape(loaded))


def test_the_menu_is_given_the_part_alone(as_viewer: Browser, slug: str) -> None:
    answer = as_viewer.get(f"/boards/{slug}/views", headers={"HX-Request": "true"})
    assert answer.status_code == 200 and "HX-Request" in answer.headers["vary"]
    assert "<html" not in answer.text
    assert "No view is saved yet." in answer.text
    assert as_viewer.csrf_token in answer.text


def test_saved_found_opened_and_deleted(as_viewer: Browser, slug: str) -> None:
    address = f"/boards/{slug}/tasks?type=STS"
    answer = save(as_viewer, slug, " Only   STS ", f"{address}&q=")
    assert (answer.status_code, answer.headers["location"]) == (303, address)
    assert "The view “Only STS” is saved." in text_of(get(as_viewer, address))
    html = get(as_viewer, f"/boards/{slug}/views")
    ((link, name),) = listed(html)
    assert name == "Only STS"
    assert "Only STS Tasks · yours · just now Delete" in text_of(html)
    opened = as_viewer.get(link)
    assert (opened.status_code, opened.headers["location"]) == (303, address)
    assert "touchstone_flash" not in opened.headers.get("set-cookie", "")
    gone = as_viewer.post_form(f"{link}/delete")
    assert (gone.status_code, gone.headers["location"]) == (303, f"/boards/{slug}/views")
    assert "The view “Only STS” is deleted. " in text_of(get(as_viewer, f"/boards/{slug}/views"))
    assert as_viewer.get(link).status_code == 404


def test_a_name_that_is_taken_can_be_replaced(as_viewer: Browser, slug: str, database: Database) -> None:
    save(as_viewer, slug, "Mine")
    html = get(as_viewer, f"/boards/{slug}/views{at(f'/boards/{slug}?q=a')}")
    assert 'name="replace"' not in html
    refused = save(as_viewer, slug, "mine", f"/boards/{slug}?q=a")
    assert refused.status_code == 409
    assert "You have a view 'Mine' of this board." in text_of(refused.text)
    assert 'value="mine"' in refused.text and 'name="replace"' in refused.text
    assert f'name="at" value="/boards/{slug}?q=a"' in refused.text
    assert save(as_viewer, slug, "mine", f"/boards/{slug}?q=a", replace="1").status_code == 303
    with database.reading() as session:
        board = benchmarks.by_slug(session, slug)
        assert as_viewer.person
        assert [view.query for view in visible_views(session, board.id, as_viewer.person.id)] == ["q=a"]


def test_what_is_wrong_with_a_name_stands_beside_it(as_viewer: Browser, slug: str) -> None:
    refused = save(as_viewer, slug, "x" * 81)
    assert refused.status_code == 422
    assert '<a href="#f-name">Give it a name of 1 to 80 characters' in refused.text


@pytest.mark.parametrize("address", ["javascript:alert(1)", "https://elsewhere.example/x", "/models", "/boards/other"])
def test_nothing_but_a_look_at_this_board_is_saved_or_linked(as_viewer: Browser, slug: str, address: str) -> None:
    assert as_viewer.get(f"/boards/{slug}/views{at(address)}").status_code == 422
    assert save(as_viewer, slug, "Mine", address).status_code == 422
    assert listed(get(as_viewer, f"/boards/{slug}/views")) == []


def test_unknown_parameters_are_refused(as_viewer: Browser, slug: str) -> None:
    refused = save(as_viewer, slug, "Mine", f"/boards/{slug}?colour=red")
    assert refused.status_code == 422
    assert "A board has no filter 'colour'." in text_of(refused.text)
    refused = save(as_viewer, slug, "Mine", f"/boards/{slug}?sort=colour")
    assert "This board cannot be sorted by 'colour'." in text_of(refused.text)


def test_members_share_and_admins_tidy_up(as_admin: Browser, as_member: Browser, as_viewer: Browser, slug: str) -> None:
    assert 'name="shared"' in get(as_member, f"/boards/{slug}/views")
    assert 'name="shared"' not in get(as_viewer, f"/boards/{slug}/views")
    assert save(as_viewer, slug, "Mine", shared="1").status_code == 403
    save(as_member, slug, "Ours", shared="1")
    save(as_member, slug, "Secret")
    assert "Ours Summary · yours, shared · just now" in text_of(get(as_member, f"/boards/{slug}/views"))
    html = get(as_viewer, f"/boards/{slug}/views")
    ((link, name),) = listed(html)
    assert name == "Ours" and "Ours Summary · member · just now" in text_of(html) and "Delete" not in html
    assert as_viewer.get(link).status_code == 303
    assert as_viewer.post_form(f"{link}/delete").status_code == 403
    assert as_admin.post_form(f"{link}/delete").status_code == 303
    assert listed(get(as_viewer, f"/boards/{slug}/views")) == []


def test_what_the_board_has_no_more_is_named(as_viewer: Browser, slug: str, database: Database) -> None:
    save(as_viewer, slug, "Sorted", f"/boards/{slug}?sort=task%3Aarticles&dataset=articles")
    ((link, _),) = listed(get(as_viewer, f"/boards/{slug}/views"))
    with database.session() as session:
        session.execute(delete(BenchmarkDataset))
    opened = as_viewer.get(link)
    assert opened.headers["location"] == f"/boards/{slug}?dataset=articles"
    html = text_of(get(as_viewer, opened.headers["location"]))
    assert "A part of the view “Sorted” is left out. This board cannot be sorted by 'task:articles'." in html


def test_any_name_does_nothing_but_appear(as_member: Browser, slug: str) -> None:
    assert save(as_member, slug, NASTY, shared="1").status_code == 303
    html = get(as_member, f"/boards/{slug}/views")
    assert [unescape(name) for _, name in listed(html)] == [NASTY]
    assert "<script>alert" not in html


def test_a_form_needs_its_token(as_viewer: Browser, slug: str) -> None:
    assert as_viewer.post(f"/boards/{slug}/views", data={"name": "Mine"}).status_code == 403
    assert listed(get(as_viewer, f"/boards/{slug}/views")) == []


def test_a_board_that_is_not_there(as_viewer: Browser) -> None:
    assert as_viewer.get("/boards/nowhere/views").status_code == 404
    assert save(as_viewer, "nowhere", "Mine").status_code == 404
