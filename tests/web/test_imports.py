"""The form that imports MTEB results: who sees it, what it does, what it refuses, and that it holds up nobody."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import pytest

from app.db.session import Database
from app.services import benchmarks
from app.services.import_child import ChildLimits
from app.settings import Settings
from tests.board_world import World
from tests.conftest import Browser
from tests.result_files import packed, result
from tests.upload_flow import get, squeezed, text_of

FILES = {"org__one/abc/STS12.json": result(test=0.5), "org__one/abc/Ours.json": result("Ours", dev=0.25)}
PACKED = packed(FILES)
ADDRESS = "/boards/import"


def send(browser: Browser, files: dict[str, bytes] | None = FILES, **fields: str) -> Any:
    content = b"" if files is None else packed(files)
    sent = {"file": ("results.zip" if content else "", content, "application/zip")}
    return browser.post_form(ADDRESS, {"benchmark": "Public", **fields}, files=sent)


def test_the_form_offers_every_definition(as_admin: Browser) -> None:
    html = get(as_admin, ADDRESS)
    assert "<h1>Import MTEB results</h1>" in html
    assert '<option value="" selected>Every task found</option>' in html
    assert '<option value="MTEB(eng, v2)" >MTEB(eng, v2)</option>' in html
    assert 'type="file"' in html


def test_only_for_admins(as_member: Browser) -> None:
    assert as_member.get(ADDRESS).status_code == 403
    assert send(as_member).status_code == 403


@pytest.mark.both_databases
def test_a_zip_becomes_a_board(as_admin: Browser, database: Database) -> None:
    answer = send(as_admin)
    assert (answer.status_code, answer.headers["location"]) == (303, "/boards/public")
    assert "Imported 2 results, 1 model." in text_of(get(as_admin, "/boards"))
    with database.reading() as session:
        assert benchmarks.by_slug(session, "public").kind == "imported"
    assert "imported · 1 model · 2 datasets · last result just now" in text_of(get(as_admin, "/boards/public"))
    assert "imported" in text_of(get(as_admin, "/boards"))


def test_no_file_is_read_in_the_web_process(as_admin: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> None:
        raise AssertionError("a user's file is read by the web")

    monkeypatch.setattr("zipfile.ZipFile.__init__", read)
    monkeypatch.setattr("app.mteb.results.json_object", read)
    monkeypatch.setattr("app.services.import_reading.read_result", read)
    answer = as_admin.post_form(ADDRESS, {"benchmark": "Public"}, files={"file": ("a.zip", PACKED, "application/zip")})
    assert answer.status_code == 303


def test_others_are_answered_while_a_zip_is_read(as_admin: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on, really = Event(), Event(), subprocess.run

    def slow(*arguments: Any, **options: Any) -> Any:
        asked.set()
        assert go_on.wait(30)
        return really(*arguments, **options)

    monkeypatch.setattr(subprocess, "run", slow)
    with as_admin, ThreadPoolExecutor(1) as beside:  # entered, the application has one event loop, as in earnest
        first = beside.submit(send, as_admin)
        assert asked.wait(30)
        assert as_admin.get("/healthz").status_code == 200
        second = send(as_admin)
        assert second.status_code == 409
        assert "Another import is under way." in text_of(second.text)
        go_on.set()
        assert first.result(30).status_code == 303


def test_what_takes_too_much_is_refused_with_a_way_out(
    as_admin: Browser, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.import_child.ChildLimits", partial(ChildLimits, seconds=0.01))
    answer = send(as_admin)
    assert answer.status_code == 413
    assert "so nothing was imported. Send fewer files at once, or use `touchstone import mteb`" in text_of(answer.text)
    assert 'value="Public"' in answer.text
    assert [path for path in settings.blobs_dir.rglob("*") if path.is_file()] == []


def test_broken_files_are_named_as_text_and_can_be_skipped(as_admin: Browser, settings: Settings) -> None:
    broken = {f"a__b/1/<b>{n:02}.json": b"{" for n in range(22)}
    answer = send(as_admin, {**FILES, **broken}, definition="MTEB(eng, v2)")
    html = squeezed(answer.text)
    assert answer.status_code == 422
    assert "22 of 24 files cannot be read, so nothing was imported." in html
    assert "a__b/1/&lt;b&gt;00.json: it is no JSON" in html
    assert "<b>00" not in html
    assert "and 2 more" in html
    assert 'value="Public"' in html
    assert '<option value="MTEB(eng, v2)" selected>' in html
    assert [path for path in settings.blobs_dir.rglob("*") if path.is_file()] == []
    answer = send(as_admin, {**FILES, **broken}, skip_broken="1")
    assert answer.status_code == 303
    assert "22 files cannot be read and were skipped." in text_of(get(as_admin, "/boards"))


@pytest.mark.parametrize(
    ("files", "fields", "status", "message"),
    [
        (None, {}, 422, "Choose a file."),
        (FILES, {"benchmark": "import"}, 422, "is taken by a page"),
        (FILES, {"definition": "MTEB(xyz)"}, 422, "MTEB has no benchmark"),
        (FILES, {"definition": "MTEB(eng, v2)", "except_tasks": "STS99"}, 422, "has no task"),
        (FILES, {"benchmark": "Help desk"}, 409, "own runs"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    as_admin: Browser,
    database: Database,
    files: dict[str, bytes] | None,
    fields: dict[str, str],
    status: int,
    message: str,
) -> None:
    World(database).board(name="Help desk")
    answer = send(as_admin, files, **fields)
    assert answer.status_code == status
    assert message in text_of(answer.text)
