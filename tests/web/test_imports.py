"""The form that import re
imports MTEB results: who sees it, what it does, and what it says of files that cannot be read."""

from typing import Any

import pytest

from app.db.session import Database
from app.services import benchmarks
from app.settings import Settings
from tests.board_world import World
from tests.conftest import Browser
from tests.result_files import packed, result
from tests.upload_flow import get, squeezed, text_of

FILES = {"org__one/abc/STS12.json": result(test=0.5), "org__one/abc/Ours.json": result("Ours", dev=0.25)}
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
