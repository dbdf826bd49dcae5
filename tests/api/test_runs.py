"""/api/v1/runs: the queue for scripts."""

from collections.abc import Callable
from typing import Any

import pytest

from app.db.session import Database
from app.db.tables import JobState, Role
from tests.board_world import World
from tests.conftest import Browser

PROVENANCE = {"dtype": "float32", "prompts": {"query": "query: where is my parcel"}}


@pytest.fixture
def world(database: Database) -> World:
    """Two datasets."""
    made = World(database)
    made.dataset("pairs")
    made.dataset("articles", "Retrieval")
    return made


@pytest.fixture
def one(world: World) -> int:
    return world.model("acme/one")


def _call(browser: Browser, method: str, path: str, body: Any = None) -> Any:
    return browser.request(method, f"/api/v1/runs{path}", json=body, headers={"X-CSRF-Token": browser.csrf_token})


def test_runs_are_read_page_by_page_and_filtered(world: World, one: int, as_viewer: Browser) -> None:
    other = world.model("acme/two")
    done = world.run(one, "pairs", 0.5, main_score=0.5)
    failure = {"message": "Full.", "details": {"excerpt": "a text of the dataset"}}
    failed = world.run(other, "pairs", state=JobState.FAILED, failure=failure, failure_code="disk_full")
    waiting = world.run(one, "articles", state=JobState.QUEUED)

    def ids(query: str) -> list[int]:
        return [item["id"] for item in _call(as_viewer, "GET", query).json()["items"]]

    assert ids("") == [waiting, failed, done], "the newest first"
    assert ids("?state=failed") == [failed]
    assert ids(f"?model={one}") == [waiting, done]
    assert ids(f"?model={one}&dataset=articles") == [waiting]
    page = _call(as_viewer, "GET", "?per_page=2").json()
    assert (len(page["items"]), page["total"], page["next"]) == (2, 3, "/api/v1/runs?per_page=2&page=2")
    assert page["items"][0]["position"] == 1
    assert page["items"][1]["failure"] == {"message": "Full.", "remedy": ""}, "no text for viewers"
    assert _call(as_viewer, "GET", "?state=nonsense").status_code == 422


def test_one_run_has_its_scores_and_provenance(world: World, one: int, as_member: Browser) -> None:
    run_id = world.run(one, "pairs", 0.7142, main_score=0.7142, provenance=PROVENANCE, log="attempt 1 begins")
    answer = _call(as_member, "GET", f"/{run_id}").json()
    assert (answer["state"], answer["main_metric"], answer["main_score"]) == ("done", "cosine_spearman", 0.7142)
    assert answer["scores"][0] == {
        "split": "test",
        "subset": "default",
        "metric": "cosine_spearman",
        "value": 0.7142,
        "low": None,
        "high": None,
        "n": None,
    }
    assert (answer["provenance"], answer["log"]) == (PROVENANCE, "attempt 1 begins")
    assert answer["dataset_revision"] == "0" * 40


def test_texts_and_log_are_not_for_viewers(world: World, one: int, as_viewer: Browser) -> None:
    run_id = world.run(one, "pairs", 0.5, main_score=0.5, provenance=PROVENANCE, log="attempt 1 begins")
    answer = _call(as_viewer, "GET", f"/{run_id}").json()
    assert (answer["provenance"], answer["log"]) == ({"dtype": "float32"}, None)


def test_an_admin_queues_a_product(world: World, one: int, as_admin: Browser, woken: list[str]) -> None:
    world.run(one, "pairs", 0.5, main_score=0.5)
    answer = _call(as_admin, "POST", "", {"models": [one], "datasets": ["pairs", "articles"]})
    assert answer.status_code == 202
    assert (len(answer.json()["runs"]), answer.json()["already_done"], answer.json()["already_open"]) == (1, 1, 0)
    again = _call(as_admin, "POST", "", {"models": [one], "datasets": ["pairs", "articles"], "again": True}).json()
    assert (len(again["runs"]), again["already_open"]) == (1, 1)
    assert woken == ["encode", "encode"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"models": [], "datasets": ["pairs"]}, 422),
        ({"models": [4711], "datasets": ["pairs"]}, 404),
        ({"models": [1], "datasets": ["none"]}, 404),
        ({"models": [0], "datasets": ["pairs"]}, 422),
        ({"models": [2**40], "datasets": ["pairs"]}, 422),
        ({"datasets": ["pairs"]}, 422),
        ({"models": [1], "datasets": ["pairs"], "now": True}, 422),
    ],
)
def test_what_cannot_be_queued_is_refused(
    world: World, one: int, as_admin: Browser, body: dict[str, Any], status: int
) -> None:
    answer = _call(as_admin, "POST", "", body)
    assert (answer.status_code, bool(answer.json()["error"]["message"])) == (status, True)
    assert _call(as_admin, "GET", "").json()["total"] == 0


def test_an_admin_cancels_and_tries_again(world: World, one: int, as_admin: Browser) -> None:
    run_id = world.run(one, "pairs", state=JobState.QUEUED)
    cancelled = _call(as_admin, "POST", f"/{run_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    assert _call(as_admin, "POST", f"/{run_id}/cancel").json()["error"]["code"] == "run_ended"
    again = _call(as_admin, "POST", f"/{run_id}/retry")
    assert (again.status_code, again.json()["state"], again.json()["id"] != run_id) == (202, "queued", True)
    assert _call(as_admin, "GET", f"/{run_id}").json()["newer_id"] == again.json()["id"]
    assert _call(as_admin, "POST", f"/{run_id}/retry").json()["error"]["code"] == "run_open"


def test_the_main_score_has_its_interval(world: World, one: int, as_viewer: Browser) -> None:
    known = _call(
        as_viewer, "GET", f"/{world.run(one, 'pairs', 0.5, main_low=0.42, main_high=0.57, main_n=1200)}"
    ).json()
    assert (known["main_low"], known["main_high"], known["main_n"]) == (0.42, 0.57, 1200)
    assert [score["n"] for score in known["scores"]] == [None, None]


def test_an_admin_repeats_what_is_finished(world: World, one: int, as_admin: Browser) -> None:
    first = world.run(one, "pairs", 0.5, provenance={"device": "cpu"})
    answer = _call(as_admin, "POST", f"/{first}/repeat")
    assert answer.status_code == 202 and answer.json()["state"] == "queued" and answer.json()["repeat"] is None
    second = world.run(one, "pairs", 0.48, provenance={"device": "cuda"})
    repeat = _call(as_admin, "GET", f"/{second}").json()["repeat"]
    assert repeat["run_id"] == first and repeat["differs"] and not repeat["fresh"]
    assert repeat["difference"] == pytest.approx(-0.02)
    assert repeat["changes"] == [{"name": "device", "before": "cpu", "after": "cuda"}]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
def test_only_admins_change_the_queue(world: World, one: int, sign_in: Callable[[Role], Browser], role: Role) -> None:
    run_id = world.run(one, "pairs", state=JobState.QUEUED)
    browser = sign_in(role)
    for path, body in (
        ("", {"models": [one], "datasets": ["articles"]}),
        (f"/{run_id}/cancel", None),
        (f"/{run_id}/retry", None),
    ):
        answer = _call(browser, "POST", path, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert [item["state"] for item in _call(browser, "GET", "").json()["items"]] == ["queued"]


def test_nobody_reads_without_signing_in(client: Browser) -> None:
    for path in ("", "/1"):
        assert client.get(f"/api/v1/runs{path}").status_code == 401
