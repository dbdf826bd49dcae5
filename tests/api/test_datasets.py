"""/api/v1/datasets and /api/v1/uploads: the same use cases for scripts, with a bearer token."""

from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from app.db.session import Database
from app.db.tables import JobState, Role, Upload
from app.services import api_tokens
from app.services.api_tokens import Scope
from app.settings import Settings
from tests import factories
from tests.board_world import World
from tests.conftest import Browser
from tests.upload_flow import FIELDS, MORE_PAIRS, PAIRS, traces, validate

DATASETS = "/api/v1/datasets"


class Script:
    """A program with an API token."""

    def __init__(self, app: FastAPI, role: Role, scope: Scope, name: str = "") -> None:
        with app.state.database.session() as session:
            person = factories.person(session, name or f"{role}-{scope}", role)
            token = api_tokens.create(session, person, name="script", scope=scope, days=30)
        self._client = Browser(app)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def call(self, method: str, url: str, status: int, **options: Any) -> Any:
        answer = self._client.request(method, url, headers=self._headers, **options)
        assert answer.status_code == status, answer.text
        self.headers = answer.headers
        return answer.json() if answer.content else None

    def send(self, status: int, content: bytes = PAIRS, file_name: str = "pairs.csv", **fields: str) -> Any:
        files = {"file": (file_name, content)}
        return self.call("POST", DATASETS, status, data={**FIELDS, **fields}, files=files)


@pytest.fixture
def admin(app: FastAPI) -> Script:
    return Script(app, Role.ADMIN, Scope.ADMIN)


@pytest.fixture
def member(app: FastAPI) -> Script:
    return Script(app, Role.MEMBER, Scope.WRITE)


@pytest.fixture
def reader(app: FastAPI) -> Script:
    return Script(app, Role.VIEWER, Scope.READ)


def test_the_list_and_its_filters(reader: Script, database: Database) -> None:
    world = World(database)
    world.full()
    articles, pairs = reader.call("GET", DATASETS, 200)
    assert (articles["slug"], pairs["slug"]) == ("articles", "pairs")
    assert pairs["boards"] == [{"slug": "help-desk", "name": "Help desk"}]
    assert (pairs["owner"], pairs["results"], pairs["counts"]) == ("ada", 3, {"pairs": 1200})
    assert pairs["revision"] == "0" * 40
    assert [row["slug"] for row in reader.call("GET", f"{DATASETS}?type=Retrieval", 200)] == ["articles"]
    assert [row["slug"] for row in reader.call("GET", f"{DATASETS}?q=AIR", 200)] == ["pairs"]


def test_one_dataset_with_revisions_and_scores(reader: Script, database: Database) -> None:
    world = World(database)
    world.full()
    world.revision("articles", 1)
    pairs = reader.call("GET", f"{DATASETS}/pairs", 200)
    assert pairs["main_metric"] == "cosine_spearman"
    assert [(row["rank"], row["model"], row["variant"], row["score"]) for row in pairs["scores"]] == [
        (1, "zeta/weak", "", 0.95),
        (2, "acme/strong", "", 0.9),
        (3, "acme/strong", "128 d", 0.8),
    ]
    assert pairs["scores"][0]["cells"] == [{"split": "test", "subset": "default", "score": 0.95}]
    articles = reader.call("GET", f"{DATASETS}/articles", 200)
    assert [(row["revision"][-1], row["results"]) for row in articles["revisions"]] == [("1", 0), ("0", 1)]
    assert articles["scores"] == []  # of the newest revision
    assert reader.call("GET", f"{DATASETS}/gone", 404)["error"]["code"] == "not_found"


def test_scores_by_split_and_subset(reader: Script, database: Database) -> None:
    world = World(database)
    world.dataset("pairs")
    whole, part = world.model("acme/whole"), world.model("acme/part")
    world.run(whole, "pairs", {("test", "de"): 0.25, ("test", "en"): 0.75, ("dev", "en"): 0.5})
    world.run(part, "pairs", {("test", "en"): 1.0})
    found = {row["model"]: row for row in reader.call("GET", f"{DATASETS}/pairs", 200)["scores"]}
    assert (found["acme/whole"]["score"], found["acme/part"]["score"]) == (0.5, None)
    cells = [(cell["split"], cell["subset"], cell["score"]) for cell in found["acme/whole"]["cells"]]
    assert cells == [("test", "de", 0.25), ("dev", "en", 0.5), ("test", "en", 0.75)]
    assert found["acme/part"]["cells"] == [{"split": "test", "subset": "en", "score": 1.0}]


@pytest.mark.both_databases
def test_from_the_file_to_the_dataset(admin: Script, database: Database, settings: Settings) -> None:
    World(database).board(name="Desk")
    upload = admin.send(202)
    assert admin.headers["Location"] == upload["url"] == f"/api/v1/uploads/{upload['id']}"
    assert (upload["state"], upload["report"], upload["published"]) == ("queued", None, False)
    assert upload["languages"] == ["eng-Latn", "deu-Latn"]

    assert validate(settings) == 1

    checked = admin.call("GET", upload["url"], 200)
    report = checked["report"]
    assert (checked["state"], report["ok"], report["status"], report["counts"]) == ("done", True, 200, {"pairs": 40})
    assert report["preview"][0] == {"kind": "pair", "sentence1": "first 0", "sentence2": "second 0", "score": 0.0}
    assert "canonical_sha256" not in report

    dataset = admin.call("POST", f"{upload['url']}/publish", 201, json={"board": "desk"})
    assert admin.headers["Location"] == f"{DATASETS}/help-desk-pairs"
    assert (dataset["slug"], dataset["revision"]) == ("help-desk-pairs", report["revision"])
    assert [board["slug"] for board in dataset["boards"]] == ["desk"]
    again = admin.call("POST", f"{upload['url']}/publish", 409)
    assert again["error"]["code"] == "already_published"
    assert admin.call("DELETE", upload["url"], 409)["error"]["code"] == "already_published"
    assert admin.call("GET", upload["url"], 200)["published"] is True


def test_publishing_needs_no_body(member: Script, settings: Settings) -> None:
    upload = member.send(202)
    validate(settings)
    assert member.call("POST", f"{upload['url']}/publish", 201)["boards"] == []


def test_a_board_that_is_not_there(admin: Script, settings: Settings) -> None:
    upload = admin.send(202)
    validate(settings)
    error = admin.call("POST", f"{upload['url']}/publish", 404, json={"board": "gone"})["error"]
    assert error["message"] == "There is no board 'gone'."
    assert admin.call("GET", DATASETS, 200) == []
    admin.call("POST", f"{upload['url']}/publish", 422, json={"bord": "desk"})


def test_a_refused_file_tells_every_place_and_leaves_nothing(
    member: Script, database: Database, settings: Settings
) -> None:
    before = traces(database, settings)
    upload = member.send(202, PAIRS + b"first,second,much\n" * 60)
    validate(settings)
    report = member.call("GET", upload["url"], 200)["report"]
    assert (report["ok"], report["status"], report["total_problems"], len(report["problems"])) == (False, 422, 60, 50)
    first = report["problems"][0]
    assert (first["code"], first["file"], first["row"], first["column"], first["excerpt"]) == (
        "bad_number",
        "pairs.csv",
        42,
        "score",
        "much",
    )
    assert member.call("POST", f"{upload['url']}/publish", 422)["error"]["code"] == "not_valid"
    member.call("DELETE", upload["url"], 204)
    member.call("GET", upload["url"], 404)
    assert traces(database, settings) == before


def test_the_same_file_again(member: Script, database: Database, settings: Settings) -> None:
    upload = member.send(202)
    validate(settings)
    member.call("POST", f"{upload['url']}/publish", 201)
    before = traces(database, settings)
    error = member.send(409, name="Another")["error"]
    assert (error["code"], error["details"]) == ("same_file", {"dataset": "help-desk-pairs"})
    assert traces(database, settings) == before


def test_a_new_revision(member: Script, settings: Settings) -> None:
    first = member.send(202)
    validate(settings)
    member.call("POST", f"{first['url']}/publish", 201)
    files = {"file": ("more.csv", MORE_PAIRS)}
    second = member.call("POST", DATASETS, 202, data={"dataset": "help-desk-pairs"}, files=files)
    assert (second["name"], second["task_type"]) == ("Help desk pairs", "STS")
    validate(settings)
    dataset = member.call("POST", f"{second['url']}/publish", 201)
    assert dataset["counts"] == {"pairs": 41}
    assert len(member.call("GET", f"{DATASETS}/help-desk-pairs", 200)["revisions"]) == 2


def test_scoring_options_are_taken_shown_and_kept_by_the_next_revision(member: Script, settings: Settings) -> None:
    fields = {**FIELDS, "splits": "dev"}
    first = member.call("POST", DATASETS, 202, data=fields, files={"file": ("pairs.csv", _with_split(PAIRS, b"dev"))})
    assert first["choices"] == {"splits": ["dev"]}
    validate(settings)
    dataset = member.call("POST", f"{first['url']}/publish", 201)
    assert dataset["choices"] == {"splits": ["dev"]}
    files = {"file": ("more.csv", _with_split(MORE_PAIRS, b"dev"))}
    second = member.call("POST", DATASETS, 202, data={"dataset": dataset["slug"]}, files=files)
    assert second["choices"] == {"splits": ["dev"]}
    third = member.call("POST", DATASETS, 202, data={"dataset": dataset["slug"], "splits": ""}, files=files)
    assert third["choices"] == {}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"splits": "a b"}, "invalid"),
        ({"cluster_sets": "3"}, "invalid"),
        ({"task_type": "Sorting"}, "unknown_task_type"),
        ({"name": "a\u202eb"}, "invalid"),
        ({"languages": "english"}, "invalid"),
    ],
)
def test_a_form_to_mend(
    member: Script, database: Database, settings: Settings, fields: dict[str, str], code: str
) -> None:
    before = traces(database, settings)
    error = member.send(422, **fields)["error"]
    assert error["code"] == code
    assert error["request_id"]
    assert traces(database, settings) == before
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Upload)) == 0


def _with_split(table: bytes, split: bytes) -> bytes:
    """A CSV table with one more column."""
    head, *rows = table.splitlines()
    return b"".join(line + b"\n" for line in (head + b",split", *(row + b"," + split for row in rows)))


def test_what_is_no_form(member: Script) -> None:
    assert member.call("POST", DATASETS, 422, json=FIELDS)["error"]["code"] == "bad_multipart"
    assert member.call("POST", DATASETS, 422, data=FIELDS)["error"]["code"] == "bad_multipart"


def test_beyond_the_limit(member: Script, app: FastAPI, settings: Settings) -> None:
    app.state.settings = settings.model_copy(update={"upload_max_bytes": 1024})
    for size in (1025, 3_000_000):  # counted while it is read, and refused by its length
        assert member.send(413, b"x" * size)["error"]["code"] == "too_large"
    assert not list(settings.blobs_dir.rglob("incoming/*"))


def test_a_check_that_could_not_be_finished(member: Script, database: Database) -> None:
    upload = member.send(202)
    with database.session() as session:
        row = session.get_one(Upload, upload["id"])
        row.state, row.failure = JobState.FAILED, {"message": "The worker vanished."}
    shown = member.call("GET", upload["url"], 200)
    assert (shown["state"], shown["failure"]) == ("failed", {"message": "The worker vanished.", "remedy": ""})


class TestWho:
    def test_viewers_read_and_nothing_else(self, reader: Script, app: FastAPI, settings: Settings) -> None:
        assert reader.call("GET", DATASETS, 200) == []
        reader.send(403)
        writer = Script(app, Role.VIEWER, Scope.READ, "second")
        writer.call("GET", "/api/v1/uploads/1", 403)
        assert not settings.blobs_dir.exists()

    def test_a_member_s_token_that_only_reads(self, app: FastAPI) -> None:
        script = Script(app, Role.MEMBER, Scope.READ)
        assert script.send(403)["error"]["code"] == "read_only_token"

    def test_an_upload_is_its_owner_s_and_the_admins(self, member: Script, app: FastAPI) -> None:
        upload = member.send(202)
        other = Script(app, Role.MEMBER, Scope.WRITE, "other")
        for method, url in (("GET", ""), ("POST", "/publish"), ("DELETE", "")):
            other.call(method, upload["url"] + url, 404)
        admin = Script(app, Role.ADMIN, Scope.ADMIN)
        assert admin.call("GET", upload["url"], 200)["id"] == upload["id"]
        admin.call("DELETE", upload["url"], 204)

    def test_nobody(self, client: Browser) -> None:
        answer = client.get(DATASETS)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "sign_in_required")
