"""Uploads: from the file to the dataset, step by step; what is refused, and that it leaves nothing behind."""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.core.task_types import TASK_TYPES, TaskType
from app.db.session import Database
from app.db.tables import Dataset, JobState, Role, Upload
from app.services import benchmarks, choices, demo
from app.settings import Settings
from tests.board_world import World, counted_statements
from tests.conftest import Browser
from tests.upload_flow import FIELDS, MORE_PAIRS, PAIRS, get, published, send, sent, squeezed, text_of, traces, validate

FRAGMENT = {"HX-Request": "true"}
BROKEN = PAIRS + b"only one field\nfirst,second,much\n"


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


class TestUpload:
    @pytest.mark.both_databases
    def test_from_the_file_to_the_dataset(
        self, as_admin: Browser, as_viewer: Browser, world: World, settings: Settings
    ) -> None:
        world.board(name="Desk")
        report = sent(as_admin)
        assert text_of(get(as_admin, "/datasets")).count("Help desk pairs STS pairs.csv") == 1
        waiting = get(as_admin, report)
        assert 'hx-trigger="load delay:1s"' in waiting
        assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in waiting

        assert validate(settings) == 1

        ready = get(as_admin, report)
        assert "hx-trigger" not in ready
        assert "http-equiv" not in ready
        assert "Publish 40 pairs" in ready
        assert '<option value="desk" selected>Desk</option>' in ready
        assert "first 4" in ready
        assert "ready to publish" in get(as_admin, "/datasets")

        answer = as_admin.post_form(f"{report}/publish", {"board": "desk"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/datasets/help-desk-pairs")
        page = get(as_viewer, "/datasets/help-desk-pairs")
        assert "Real ones." in page
        assert 'href="/boards/desk"' in page
        assert "cosine_spearman" in page
        assert "Waiting for you" not in get(as_admin, "/datasets")
        assert 'href="/datasets/help-desk-pairs"' in get(as_admin, report)

    def test_the_fragment_while_it_is_checked(self, as_member: Browser, database: Database) -> None:
        report = sent(as_member)
        with database.session() as session:
            upload = session.scalars(select(Upload)).one()
            upload.state, upload.done, upload.total = JobState.RUNNING, 500_000, 1_500_000
        with counted_statements(database) as statements:
            fragment = get(as_member, report, headers=FRAGMENT)
        assert len(statements) == 2  # who, the upload
        assert fragment.lstrip().startswith('<div id="upload"')
        assert f'hx-get="{report}"' in fragment
        assert "Checking: 500.0 kB of 1.5 MB" in fragment
        assert "<h1" not in fragment

    @pytest.mark.both_databases
    def test_a_refused_file_leaves_nothing_and_tells_every_place(
        self, as_member: Browser, database: Database, settings: Settings
    ) -> None:
        before = traces(database, settings)
        report = sent(as_member, BROKEN)
        assert validate(settings) == 1
        page = get(as_member, report)
        assert "2 errors" in page
        rows = [text_of(row) for row in re.findall(r"<tr>\s*<td>.*?</tr>", page, re.DOTALL)]
        assert rows[0].startswith("pairs.csv 42 ")
        assert rows[1].startswith("pairs.csv 43 score Row 43: score is not a number")
        assert rows[1].endswith("much bad_number")
        assert "Publish" not in page
        assert traces(database, settings) == before
        assert "2 errors" in get(as_member, "/datasets")
        refused = as_member.post_form(f"{report}/publish")
        assert refused.status_code == 422

    def test_a_refused_file_is_mended_without_typing_again(
        self, as_member: Browser, database: Database, settings: Settings
    ) -> None:
        report = sent(as_member, BROKEN)
        validate(settings)
        (again,) = re.findall(r'href="(/datasets/new\?upload=\d+)"', get(as_member, report))
        form = get(as_member, again)
        for value in ("Help desk pairs", "eng-Latn, deu-Latn"):
            assert f'value="{value}"' in form
        assert '<option value="STS" selected>' in form
        assert "Real ones.</textarea>" in form
        (number,) = re.findall(r'name="upload" value="(\d+)"', form)
        mended = sent(as_member, upload=number)
        validate(settings)
        assert "Publish 40 pairs" in get(as_member, mended)
        get(as_member, report, status=404)  # the mended one stands in for it
        with database.reading() as session:
            assert session.scalar(select(func.count()).select_from(Upload)) == 1

    @pytest.mark.parametrize("state", ["waiting", "ready"])
    def test_an_upload_that_is_well_is_never_replaced(self, as_member: Browser, settings: Settings, state: str) -> None:
        first = sent(as_member)
        if state == "ready":
            validate(settings)
        sent(as_member, MORE_PAIRS, name="Another", upload=first.rpartition("/")[2])
        get(as_member, first)

    def test_the_same_file_again_names_the_dataset(
        self, as_member: Browser, database: Database, settings: Settings
    ) -> None:
        published(as_member, settings)
        before = traces(database, settings)
        answer = send(as_member, name="Another name")
        assert answer.status_code == 409
        assert 'href="/datasets/help-desk-pairs"' in answer.text
        assert 'value="Another name"' in answer.text
        assert traces(database, settings) == before

    def test_a_new_revision_keeps_what_the_dataset_is(
        self, as_admin: Browser, database: Database, settings: Settings
    ) -> None:
        page = get(as_admin, published(as_admin, settings))
        assert 'href="/datasets/new?dataset=help-desk-pairs"' in page
        form = get(as_admin, "/datasets/new?dataset=help-desk-pairs")
        assert 'name="dataset" value="help-desk-pairs"' in form
        assert 'name="name"' not in form
        second = sent(as_admin, MORE_PAIRS, name="", languages="", task_type="", dataset="help-desk-pairs")
        validate(settings)
        assert 'name="board"' not in get(as_admin, second), "there is none to choose"
        answer = as_admin.post_form(f"{second}/publish")
        assert answer.headers["location"] == "/datasets/help-desk-pairs"
        revisions = text_of(get(as_admin, "/datasets/help-desk-pairs/revisions"))
        assert revisions.index("41 pairs 0 0 pairs.csv") < revisions.index("40 pairs 0 0 pairs.csv")
        with database.reading() as session:
            assert session.scalar(select(func.count()).select_from(Dataset)) == 1

    @pytest.mark.both_databases
    def test_discarding_leaves_nothing(self, as_member: Browser, database: Database, settings: Settings) -> None:
        before = traces(database, settings)
        report = sent(as_member)
        validate(settings)
        answer = as_member.post_form(f"{report}/discard")
        assert (answer.status_code, answer.headers["location"]) == (303, "/datasets")
        get(as_member, report, status=404)
        assert traces(database, settings) == before

    def test_a_check_that_failed_is_tried_again(
        self, as_member: Browser, database: Database, settings: Settings
    ) -> None:
        report = sent(as_member)
        with database.session() as session:
            upload = session.scalars(select(Upload)).one()
            upload.state, upload.failure_code = JobState.FAILED, "worker_lost"
            upload.failure = {"message": "The worker vanished.", "remedy": "Look into its log."}
        page = get(as_member, report)
        assert "The worker vanished." in page
        assert "Look into its log." in page
        assert as_member.post_form(f"{report}/again").headers["location"] == report
        assert validate(settings) == 1
        assert "Publish 40 pairs" in get(as_member, report)

    def test_a_fault_of_ours_is_not_called_the_file_s(self, as_member: Browser, database: Database) -> None:
        report = sent(as_member)
        problem = {"code": "disk_full", "message": "The disk is full.", "file": "", "row": None, "column": ""}
        with database.session() as session:
            upload = session.scalars(select(Upload)).one()
            upload.state = JobState.DONE
            upload.report = {
                "ok": False,
                "status": 507,
                "revision": "",
                "counts": {},
                "warnings": [],
                "problems": [{**problem, "excerpt": ""}],
                "total_problems": 1,
                "preview": [],
            }
        page = get(as_member, report)
        assert "The check could not be finished." in page
        assert "The disk is full." in page
        assert "Try again" in page

    def test_a_zip_of_queries_and_documents(self, as_member: Browser, settings: Settings) -> None:
        content = demo.file_bytes("help-centre.zip")
        report = sent(as_member, content, "help-centre.zip", task_type="Retrieval")
        validate(settings)
        page = text_of(get(as_member, report))
        for word in ("queries", "documents", "judgements", "Queries", "Documents", "relevance"):
            assert word in page

    def test_what_was_taken_meanwhile_is_said_on_the_report(
        self, as_member: Browser, world: World, settings: Settings
    ) -> None:
        report = sent(as_member)
        validate(settings)
        world.dataset("help-desk-pairs")
        answer = as_member.post_form(f"{report}/publish")
        assert (answer.status_code, answer.headers["location"]) == (303, report)
        assert "was published meanwhile" in get(as_member, report)


class TestForm:
    def test_it_explains_formats_and_offers_examples(self, as_member: Browser) -> None:
        page = get(as_member, "/datasets/new")
        for file_name in demo.DATASETS:
            assert f'href="/datasets/examples/{file_name}"' in page
        text = text_of(page)
        for word in ("corpus.jsonl", "sentence2", "a number; higher is more alike", "at most 2.1 GB"):
            assert word in text
        assert len(re.findall(r'<details name="formats" ?>', page)) == len(TASK_TYPES), "all of them closed"
        for kind in TASK_TYPES.values():
            assert f'<option value="{kind.name}"' in page
            assert f"<summary>{kind.title}</summary>" in page

    @pytest.mark.parametrize("kind", TASK_TYPES.values(), ids=lambda kind: kind.name)
    def test_a_chosen_type_opens_its_formats(self, as_member: Browser, kind: TaskType) -> None:
        fragment = get(as_member, f"/datasets/new?task_type={kind.name}", headers=FRAGMENT)
        assert fragment.lstrip().startswith('<aside id="formats"')
        (opened,) = re.findall(r'<details name="formats" open> <summary>(.*?)</summary>(.*?)</details>', fragment)
        assert opened[0] == kind.title
        for field in kind.fields:
            assert f"<code>{field.name}</code>" in opened[1]
        assert f'<option value="{kind.name}" selected' in get(as_member, f"/datasets/new?task_type={kind.name}")

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("Retrieval", "A zip of these files."),
            ("InstructionReranking", "A zip of these files."),
            ("Reranking", "or a zip in the BEIR layout."),
            ("STS", "or a zip of CSV, TSV or JSONL files."),
            ("Regression", "or a zip of train and test files."),
            ("Summarization", "a list is a JSON array"),
        ],
    )
    def test_the_formats_follow_from_the_fields(self, as_member: Browser, name: str, words: str) -> None:
        page = get(as_member, f"/datasets/new?task_type={name}")
        (opened,) = re.findall(r'<details name="formats" open>(.*?)</details>', page)
        assert words in text_of(opened)

    def test_a_type_that_does_not_exist_chooses_nothing(self, as_member: Browser) -> None:
        page = get(as_member, "/datasets/new?task_type=Sorting")
        assert re.search(r'<option value=""\s+selected>', page)
        assert 'name="formats" open' not in page

    @pytest.mark.parametrize(
        ("file_name", "content_type"),
        [
            ("help-centre.zip", "application/zip"),
            ("similar-requests.csv", "text/csv; charset=utf-8"),
            ("duplicate-requests.tsv", "text/tab-separated-values; charset=utf-8"),
            ("ticket-topics.parquet", "application/vnd.apache.parquet"),
            ("tickets.jsonl", "application/jsonl; charset=utf-8"),
        ],
    )
    def test_an_example_is_a_download(self, as_member: Browser, file_name: str, content_type: str) -> None:
        answer = as_member.get(f"/datasets/examples/{file_name}")
        assert answer.headers["Content-Type"] == content_type
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{file_name}"'
        assert answer.content == demo.file_bytes(file_name)

    def test_the_example_zip_holds_the_three_files(self, as_member: Browser) -> None:
        content = as_member.get("/datasets/examples/help-centre.zip").content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert sorted(archive.namelist()) == ["corpus.jsonl", "qrels/test.tsv", "queries.jsonl"]

    @pytest.mark.parametrize("file_name", ["corpus.jsonl", "README.md", "..%2fpyproject.toml", "x"])
    def test_nothing_else_is_an_example(self, as_member: Browser, file_name: str) -> None:
        get(as_member, f"/datasets/examples/{file_name}", status=404)

    def test_examples_that_are_not_installed(
        self, as_member: Browser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(demo, "FOLDER", tmp_path)
        assert "not installed" in get(as_member, "/datasets/examples/tickets.jsonl", status=404)

    def test_what_was_typed_comes_back_with_what_is_wrong(
        self, as_member: Browser, database: Database, settings: Settings
    ) -> None:
        before = traces(database, settings)
        answer = send(as_member, name="", languages="english")
        assert answer.status_code == 422
        page = squeezed(answer.text)
        text = text_of(page)
        assert "Give it a name that people will recognise" in text
        assert "'english' is no language code" in text
        assert 'value="english"' in page
        assert '<option value="STS" selected>' in page
        assert "Real ones.</textarea>" in page
        assert traces(database, settings) == before

    def test_a_task_type_that_does_not_exist(self, as_member: Browser, database: Database, settings: Settings) -> None:
        before = traces(database, settings)
        answer = send(as_member, task_type="Sorting")
        assert answer.status_code == 422
        assert "There is no task type &#39;Sorting&#39;. Choose one of: Retrieval, Reranking," in answer.text
        assert traces(database, settings) == before

    @pytest.mark.parametrize("files", [{"other": ("a.csv", PAIRS)}, [("file", ("a", b"1")), ("file", ("b", b"2"))]])
    def test_one_file_in_its_field(self, as_member: Browser, settings: Settings, files: Any) -> None:
        answer = as_member.post_form("/datasets/new", FIELDS, files=files)
        assert answer.status_code == 422
        assert "Send one file" in answer.text
        assert not list(settings.blobs_dir.rglob("incoming/*"))

    def test_no_file_chosen_as_browsers_say_it(self, as_member: Browser) -> None:
        answer = as_member.post_form("/datasets/new", FIELDS, files={"file": ("", b"")})
        assert answer.status_code == 422
        assert "Choose a file." in answer.text


class TestScoringOptions:
    CLUSTERS = b"text,label\n" + b"".join(b"text %d,topic %d\n" % (n, n % 3) for n in range(30))

    def test_they_are_folded_until_one_is_chosen(self, as_member: Browser) -> None:
        page = get(as_member, "/datasets/new")
        assert "<details > <summary>Scoring options</summary>" in page
        for name in choices.USUAL:
            assert f'name="{name}"' in page

    def test_they_go_with_the_file_and_stand_on_its_pages(
        self, as_member: Browser, as_viewer: Browser, settings: Settings
    ) -> None:
        report = sent(as_member, self.CLUSTERS, "topics.csv", task_type="Clustering", cluster_sets="3")
        assert "cluster sets: 3, each clustered as a whole" in text_of(get(as_member, report))
        validate(settings)
        address = as_member.post_form(f"{report}/publish").headers["location"]
        assert "Cluster sets 3, each clustered as a whole" in text_of(get(as_viewer, address))
        form = get(as_member, "/datasets/new?dataset=help-desk-pairs")
        assert "<details open> <summary>Scoring options</summary>" in form
        assert re.search(r'name="cluster_sets"\s+type="text"\s+value="3"', form)
        assert 'name="ignore_identical_ids"' not in form, "not for this task type"

    def test_a_wrong_one_comes_back_as_it_was_typed(
        self, as_member: Browser, database: Database, settings: Settings
    ) -> None:
        before = traces(database, settings)
        answer = send(as_member, splits="test, not a name", cluster_sets="3", ignore_identical_ids="1")
        assert answer.status_code == 422
        page = squeezed(answer.text)
        assert "<details open> <summary>Scoring options</summary>" in page
        assert 'value="test, not a name"' in page
        for words in ("is no name of a split", "leave it empty for STS", "leave it off for STS"):
            assert words in page
        assert re.search(r'name="ignore_identical_ids"\s+type="checkbox"\s+value="1"\s+checked', page)
        assert traces(database, settings) == before

    def test_a_refused_file_keeps_them_for_the_next_try(self, as_member: Browser, settings: Settings) -> None:
        report = sent(as_member, BROKEN, splits="test, dev")
        validate(settings)
        (again,) = re.findall(r'href="(/datasets/new\?upload=\d+)"', get(as_member, report))
        assert 'value="test, dev"' in get(as_member, again)


class TestWho:
    def test_viewers_upload_nothing(self, as_viewer: Browser, settings: Settings) -> None:
        get(as_viewer, "/datasets/new", status=403)
        get(as_viewer, "/datasets/examples/tickets.jsonl", status=403)
        assert send(as_viewer).status_code == 403
        assert not settings.blobs_dir.exists()

    def test_nobody_signed_in_is_sent_to_sign_in(self, client: Browser, settings: Settings) -> None:
        assert client.get("/datasets").headers["location"].startswith("/sign-in")
        assert send(client).status_code == 303
        assert not settings.blobs_dir.exists()

    def test_an_upload_is_its_owner_s_and_the_admins(
        self, as_member: Browser, as_admin: Browser, database: Database, sign_in: Callable[[Role], Browser]
    ) -> None:
        report = sent(as_admin)
        get(as_member, report, status=404)
        get(as_member, f"/datasets/new?upload={report.rpartition('/')[2]}", status=404)
        for action in ("publish", "discard", "again"):
            assert as_member.post_form(f"{report}/{action}").status_code == 404
        own = sent(as_member, MORE_PAIRS, name="Another")
        assert "Discard this upload" in get(as_admin, own)
        assert "Another" not in text_of(get(as_admin, "/datasets"))


def test_a_default_board_is_chosen_at_first(
    as_admin: Browser, world: World, database: Database, settings: Settings
) -> None:
    world.board(name="First")
    with database.session() as session:
        benchmarks.create(session, world.person, name="Second", dataset_slugs=[], default=True)
    report = sent(as_admin)
    validate(settings)
    page = get(as_admin, report)
    assert '<option value="second" selected>Second</option>' in page
    assert re.search(r'<option value="first"\s*>First</option>', page)
    answer = as_admin.post_form(f"{report}/publish", {"board": "gone"})
    assert answer.status_code == 404
    assert "There is no board &#39;gone&#39;." in answer.text


def test_a_member_publishes_without_a_board(
    as_member: Browser, world: World, database: Database, settings: Settings
) -> None:
    world.board(name="Desk")
    report = sent(as_member)
    validate(settings)
    assert 'name="board"' not in get(as_member, report)
    refused = as_member.post_form(f"{report}/publish", {"board": "desk"})
    assert (refused.status_code, "Only an admin adds a dataset to a board" in refused.text) == (403, True)
    assert as_member.post_form(f"{report}/publish").status_code == 303
