"""/api/v1/boards: the same board for scripts; admins change boards."""

import json

import pytest

from app.db.session import Database
from tests.board_world import CPU, GPU, World
from tests.conftest import Browser

BOARDS = "/api/v1/boards"


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def slug(world: World) -> str:
    return world.full()


def send(browser: Browser, method: str, url: str, body: object) -> tuple[int, dict[str, object]]:
    headers = {"X-CSRF-Token": browser.csrf_token, "Content-Type": "application/json"}
    answer = browser.request(method, url, content=json.dumps(body), headers=headers)
    return answer.status_code, answer.json() if answer.content else {}


def test_the_list_of_boards(as_viewer: Browser, slug: str) -> None:
    (board,) = as_viewer.get(BOARDS).json()
    assert (board["slug"], board["name"], board["is_default"], board["datasets"], board["models"]) == (
        slug,
        "Help desk",
        True,
        2,
        3,
    )
    assert board["last_result"] == "2026-11-21T12:00:00Z"


def test_a_board_at_full_precision(as_viewer: Browser, slug: str) -> None:
    board = as_viewer.get(f"{BOARDS}/{slug}").json()
    assert board["benchmark"] == "Help desk"
    assert [dataset["slug"] for dataset in board["datasets"]] == ["pairs", "articles"]
    assert [(row["rank"], row["model"], row["variant"], row["complete"]) for row in board["models"]] == [
        (1, "acme/strong", "", True),
        (2, "zeta/weak", "", False),
        (3, "acme/strong", "128 d", False),
    ]
    assert board["models"][0]["tasks"] == {"pairs": 0.9, "articles": 0.75}
    assert board["models"][1]["task_types"] == {"STS": 0.95, "Retrieval": None}
    assert board["models"][1]["mean_task"] is None


def test_what_was_measured_names_its_device(as_viewer: Browser, world: World) -> None:
    slow, other, _ = as_viewer.get(f"{BOARDS}/{world.measured()}").json()["models"]
    assert [(one["device"], one["query_p50_ms"]) for one in slow["measured"]] == [(CPU, 480.0), (GPU, 12.25)]
    assert other["measured"] == []


def test_how_open_a_model_is(as_viewer: Browser, world: World) -> None:
    world.dataset("a")
    facts = {"licence": "mit", "open_weights": True, "training_data": "public", "release_date": "2024-05-01"}
    world.run(world.model("acme/m", dimensions=384, **facts), "a", 0.5)
    (row,) = as_viewer.get(f"{BOARDS}/{world.board('a')}").json()["models"]
    shown = facts | {"training_data": True, "training_code": None, "citation": None, "index_bytes": 1536}
    assert {key: row[key] for key in shown} == shown


def test_a_board_is_made_changed_and_deleted(as_admin: Browser, world: World) -> None:
    for name in ("a", "b"):
        world.dataset(name)
    status, made = send(as_admin, "POST", BOARDS, {"name": "Help desk", "datasets": ["b", "a"]})
    assert (status, made["slug"], made["is_default"]) == (201, "help-desk", True)
    status, changed = send(as_admin, "PATCH", f"{BOARDS}/help-desk", {"slug": "desk", "description": "Words."})
    assert (status, changed["slug"], changed["name"], changed["description"]) == (200, "desk", "Help desk", "Words.")
    board = as_admin.get(f"{BOARDS}/desk").json()
    assert [dataset["slug"] for dataset in board["datasets"]] == ["b", "a"]
    send(as_admin, "POST", BOARDS, {"name": "Second"})
    status, changed = send(as_admin, "PATCH", f"{BOARDS}/second", {"default": True})
    assert (status, changed["is_default"]) == (200, True)
    assert send(as_admin, "DELETE", f"{BOARDS}/desk", None)[0] == 204
    assert [board["slug"] for board in as_admin.get(BOARDS).json()] == ["second"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": ""}, 422, "invalid"),
        ({"name": "x", "datasets": ["nowhere"]}, 422, "invalid"),
        ({"name": "x", "datasets": ["\x00"]}, 422, "invalid"),
        ({"name": "x", "datasets": ["\ud800"]}, 422, "invalid"),
        ({"name": "x", "description": "\x00"}, 422, "invalid"),
        ({"name": "x", "colour": "red"}, 422, "invalid_request"),
        ({"name": "Help desk"}, 409, "slug_taken"),
    ],
)
def test_what_is_refused(as_admin: Browser, slug: str, body: dict[str, object], status: int, code: str) -> None:
    got, answer = send(as_admin, "POST", BOARDS, body)
    error = answer["error"]
    assert isinstance(error, dict)
    assert (got, error["code"]) == (status, code)
    assert error["message"]


def test_an_unknown_board_is_not_found(as_admin: Browser) -> None:
    assert as_admin.get(f"{BOARDS}/nowhere").json()["error"]["code"] == "not_found"
    assert send(as_admin, "PATCH", f"{BOARDS}/nowhere", {})[0] == 404
    assert send(as_admin, "DELETE", f"{BOARDS}/nowhere", None)[0] == 404


def test_reading_needs_a_viewer_and_changing_an_admin(client: Browser, as_member: Browser, slug: str) -> None:
    assert client.get(BOARDS).status_code == 401
    assert client.get(f"{BOARDS}/{slug}").status_code == 401
    assert as_member.get(f"{BOARDS}/{slug}").status_code == 200
    assert send(as_member, "POST", BOARDS, {"name": "x"})[0] == 403
    assert send(as_member, "PATCH", f"{BOARDS}/{slug}", {"name": "x"})[0] == 403
    assert send(as_member, "DELETE", f"{BOARDS}/{slug}", None)[0] == 403
