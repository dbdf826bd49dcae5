"""/api/v1/imports and results.zip: result files in and out, for scripts."""

from pathlib import Path
from typing import Any

import pytest

from app.db.session import Database
from app.settings import Settings
from tests.board_world import World
from tests.conftest import Browser
from tests.result_files import card, packed, read_zip, result

FILES = {
    "org__one/abc/model_meta.json": card("org/one", "abc"),
    "org__one/abc/STS12.json": result(test=0.5),
    "org__one/abc/Ours.json": result("Ours", dev=0.25),
}


def send(browser: Browser, content: bytes = packed(FILES), **fields: str) -> Any:
    files = {"file": ("results.zip", content, "application/zip")}
    headers = {"X-CSRF-Token": browser.csrf_token}
    return browser.post("/api/v1/imports", data={"benchmark": "Public", **fields}, files=files, headers=headers)


def stored(settings: Settings) -> list[Path]:
    return [path for path in settings.blobs_dir.rglob("*") if path.is_file()]


@pytest.mark.both_databases
def test_a_zip_becomes_a_board_and_comes_out_again(as_admin: Browser, as_viewer: Browser) -> None:
    answer = send(as_admin)
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/v1/boards/public")
    assert answer.json() == {
        "slug": "public",
        "name": "Public",
        "new": True,
        "files": 3,
        "others": 0,
        "models": 1,
        "results": 2,
        "unused": 0,
        "scores": 2,
        "broken": 0,
        "problems": [],
    }
    zipped = as_viewer.get("/api/v1/boards/public/results.zip")
    assert (zipped.status_code, zipped.headers["content-type"]) == (200, "application/zip")
    assert "public-results.zip" in zipped.headers["content-disposition"]
    assert read_zip(zipped.content) == FILES


def test_the_options_of_the_command(as_admin: Browser) -> None:
    broken = packed({**FILES, "org__one/abc/Bad.json": b"{"})
    fields = {"definition": "MTEB(eng, v2)", "except_tasks": "STS13, STS14", "skip_broken": "true"}
    done = send(as_admin, broken, **fields).json()
    assert (done["results"], done["unused"], done["broken"]) == (1, 1, 1)
    assert done["problems"][0].startswith("org__one/abc/Bad.json: it is no JSON")
    again = send(as_admin, definition="MTEB(eng, v1)")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "other_definition")


@pytest.mark.parametrize(
    ("content", "fields", "status", "code"),
    [
        (packed({**FILES, "a__b/1/Bad.json": b"{"}), {}, 422, "broken_files"),
        (packed({"readme.md": b"x"}), {}, 422, "no_results"),
        (packed({"../org__one/abc/STS12.json": b"{}"}), {}, 422, "unsafe_name"),
        (packed({"org__one/abc/STS12.json": b" " * 20_000_000}), {}, 413, "zip_bomb"),
        (b"no zip", {}, 422, "bad_zip"),
        (b"", {}, 422, "invalid"),
        (packed(FILES), {"definition": "MTEB(xyz)"}, 422, "invalid"),
        (packed(FILES), {"benchmark": ""}, 422, "invalid"),
        (packed(FILES), {"benchmark": "Help desk"}, 409, "own_board"),
    ],
    ids=["broken", "nothing", "climbs", "bomb", "text", "empty", "definition", "no name", "own board"],
)
def test_what_is_refused_says_why_and_leaves_nothing(
    as_admin: Browser,
    database: Database,
    settings: Settings,
    content: bytes,
    fields: dict[str, str],
    status: int,
    code: str,
) -> None:
    World(database).board(name="Help desk")
    answer = send(as_admin, content, **fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert len(as_admin.get("/api/v1/boards").json()) == 1
    assert stored(settings) == []


def test_only_admins_import(as_member: Browser, settings: Settings) -> None:
    assert send(as_member).status_code == 403
    assert stored(settings) == []


def test_our_own_results_in_the_same_layout(as_viewer: Browser, database: Database) -> None:
    slug = World(database).full()
    files = read_zip(as_viewer.get(f"/api/v1/boards/{slug}/results.zip").content)
    assert sorted(name.rpartition("/")[2] for name in files) == [
        "articles.json",
        *["model_meta.json"] * 3,
        *["pairs.json"] * 3,
    ]


def test_there_is_nothing_to_take_out(as_viewer: Browser, database: Database) -> None:
    World(database).board(name="Empty")
    for slug in ("empty", "nowhere"):
        assert as_viewer.get(f"/api/v1/boards/{slug}/results.zip").status_code == 404
