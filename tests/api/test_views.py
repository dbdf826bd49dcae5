"""/api/v1/boards/{slug}/views: saved views for scripts."""

from typing import Any

import pytest

from app.db.session import Database
from tests.board_world import World
from tests.conftest import Browser


@pytest.fixture
def slug(database: Database) -> str:
    return World(database).full()


def save(browser: Browser, slug: str, **body: Any) -> Any:
    headers = {"X-CSRF-Token": browser.csrf_token}
    return browser.post(f"/api/v1/boards/{slug}/views", json=body, headers=headers)


def names(browser: Browser, slug: str) -> list[str]:
    return [view["name"] for view in browser.get(f"/api/v1/boards/{slug}/views").json()]


def delete(browser: Browser, slug: str, view_id: int) -> Any:
    return browser.delete(f"/api/v1/boards/{slug}/views/{view_id}", headers={"X-CSRF-Token": browser.csrf_token})


@pytest.mark.both_databases
def test_saved_listed_replaced_and_deleted(as_member: Browser, as_viewer: Browser, slug: str) -> None:
    answer = save(as_member, slug, name="STS", address=f"/boards/{slug}/charts/memory?type=STS&score=", shared=True)
    assert answer.status_code == 201
    made = answer.json()
    saved_at = made.pop("saved_at")
    assert made == {
        "id": made["id"],
        "name": "STS",
        "owner": "member",
        "mine": True,
        "shared": True,
        "tab": "Charts",
        "address": f"/boards/{slug}/charts/memory?type=STS",
    }
    assert as_viewer.get(f"/api/v1/boards/{slug}/views").json() == [{**made, "mine": False, "saved_at": saved_at}]
    assert as_viewer.get(made["address"]).status_code == 200
    again = save(as_member, slug, name="sts", address=f"/boards/{slug}")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "view_exists")
    replaced = save(as_member, slug, name="sts", address=f"/boards/{slug}", replace=True).json()
    assert (replaced["id"], replaced["address"], replaced["shared"]) == (made["id"], f"/boards/{slug}", False)
    assert names(as_viewer, slug) == []
    assert delete(as_viewer, slug, made["id"]).status_code == 404
    assert delete(as_member, slug, made["id"]).status_code == 204
    assert delete(as_member, slug, made["id"]).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "", "address": "/"}, 422, "invalid"),
        ({"name": "a", "address": "/models"}, 422, "no_view"),
        ({"name": "a", "address": "/?colour=red"}, 422, "unknown_filter"),
        ({"name": "a", "address": "/?sort=colour"}, 422, "unknown_sort"),
        ({"name": "a", "address": "/", "shared": True}, 403, "cannot_share"),
        ({"name": "a", "address": "/", "tab": "tasks"}, 422, "invalid_request"),
    ],
    ids=["no name", "no board", "no filter", "no column", "viewer", "no field"],
)
def test_what_is_refused_says_why(as_viewer: Browser, slug: str, body: dict[str, Any], status: int, code: str) -> None:
    answer = save(as_viewer, slug, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert names(as_viewer, slug) == []


def test_a_shared_view_is_not_everybodys(as_admin: Browser, as_member: Browser, as_viewer: Browser, slug: str) -> None:
    made = save(as_member, slug, name="Ours", address="/", shared=True).json()
    assert delete(as_viewer, slug, made["id"]).status_code == 403
    assert delete(as_admin, slug, made["id"]).status_code == 204
    assert names(as_member, slug) == []


def test_a_board_that_is_not_there(as_viewer: Browser) -> None:
    assert as_viewer.get("/api/v1/boards/nowhere/views").status_code == 404
    assert save(as_viewer, "nowhere", name="a", address="/").status_code == 404
