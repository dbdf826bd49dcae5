"""Datasets as use cases: what is accepted, what leaves no trace, who may do what, and which files stay."""

import hashlib
import io
import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from app import queue
from app.core.task_types import TASK_TYPES
from app.db.session import Database
from app.db.tables import (
    AuditEntry,
    BenchmarkDataset,
    Dataset,
    DatasetRevision,
    JobState,
    Role,
    Upload,
)
from app.errors import AppError, Conflict, Forbidden, Invalid, NotFound, TooLarge
from app.services import benchmarks, datasets
from app.services.accounts import Person
from app.services.datasets import UploadForm
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests import factories

on_both_databases = pytest.mark.both_databases

FORM = UploadForm("Help desk pairs", "STS", ("eng-Latn", "deu-Latn"), " Pairs.\r\nTwo lines. ")
FILE = b"sentence1,sentence2,score\na,b,1\n"


class House:
    """People, files and the database, with one transaction a call."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self.database = database
        self.blobs = blobs
        with database.session() as session:
            self.owner = factories.person(session, "anna", Role.MEMBER)
            self.other = factories.person(session, "bob", Role.MEMBER)
            self.admin = factories.person(session, "chris", Role.ADMIN)

    def receive(
        self, content: bytes = FILE, form: UploadForm = FORM, *, by: Person | None = None, **options: Any
    ) -> int:
        arguments = {"file_name": "pairs.csv", "max_bytes": 1000, **options}
        with self.database.session() as session:
            person = by or self.owner
            return datasets.receive(session, self.blobs, person, form, file=io.BytesIO(content), **arguments).id

    def validated(
        self, content: bytes = FILE, form: UploadForm = FORM, *, canonical: bytes = b"", **options: Any
    ) -> int:
        """An upload whose validation found no fault; the canonical form is the content again unless given."""
        upload_id = self.receive(content, form, **options)
        blob = self.blobs.put(io.BytesIO(canonical or b"canonical " + content))
        self.report(
            upload_id,
            ok=True,
            revision=blob.sha256[:40],
            canonical_sha256=blob.sha256,
            canonical_bytes=blob.size,
            counts={"pairs": 1},
            warnings=[],
        )
        return upload_id

    def report(self, upload_id: int, **report: Any) -> None:
        with self.database.session() as session:
            upload = session.get_one(Upload, upload_id)
            upload.state, upload.report = JobState.DONE, report

    def publish(self, upload_id: int, *, by: Person | None = None, board: str | None = None) -> str:
        with self.database.session() as session:
            return datasets.publish(session, by or self.owner, upload_id, benchmark_slug=board).slug

    def discard(self, upload_id: int, *, by: Person | None = None) -> None:
        with self.database.session() as session:
            datasets.discard(session, self.blobs, by or self.owner, upload_id)

    def upload(self, upload_id: int) -> Upload:
        with self.database.reading() as session:
            return session.get_one(Upload, upload_id)

    def traces(self) -> tuple[int, ...]:
        """How many rows and files there are."""
        with self.database.reading() as session:
            tables = (Dataset, DatasetRevision, Upload, AuditEntry)
            rows = [session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]
        return (*rows, sum(path.is_file() for path in self.blobs.root.rglob("*")))


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queues that were woken."""
    queues: list[str] = []
    monkeypatch.setattr(queue, "wake", queues.append)
    return queues


@pytest.fixture
def house(database: Database, settings: Settings, woken: list[str]) -> House:
    return House(database, BlobStore(settings.blobs_dir))


@on_both_databases
class TestAccept:
    def test_a_file_becomes_an_upload_that_waits(self, house: House, woken: list[str]) -> None:
        upload = house.upload(house.receive(file_name="../etc/pa\u202eirs.csv"))
        assert (upload.name, upload.task_type, upload.languages) == ("Help desk pairs", "STS", ["eng-Latn", "deu-Latn"])
        assert upload.description == "Pairs.\nTwo lines."
        assert (upload.state, upload.file_name, upload.file_bytes) == (JobState.QUEUED, "pairs.csv", len(FILE))
        assert upload.file_sha256 == hashlib.sha256(FILE).hexdigest()
        assert house.blobs.path(upload.file_sha256).read_bytes() == FILE
        assert woken == ["light"]

    @pytest.mark.parametrize(
        ("change", "field", "message"),
        [
            ({"name": "  "}, "name", "Give it a name"),
            ({"name": "!?"}, "name", "Give it a name"),
            ({"name": "x" * 121}, "name", "At most 120"),
            ({"name": "pairs\u202e"}, "name", "direction marks"),
            ({"name": "pa\x07irs"}, "name", "control"),
            ({"name": "pa\u2028irs"}, "name", "control"),
            ({"name": "New"}, "name", "page of this site"),
            ({"name": "Taken!"}, "name", "exists"),
            ({"languages": ()}, "languages", "at least one"),
            ({"languages": ("eng-Latn", "english")}, "languages", "'english' is no language code"),
            ({"languages": tuple(f"a{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(51))}, "languages", "50"),
            ({"description": "x" * 4001}, "description", "4,000"),
            ({"description": "nul\0"}, "description", "no text"),
            ({"description": "half \ud800"}, "description", "no text"),
            ({"choices": {"splits": "not a name"}}, "splits", "no name of a split"),
            ({"choices": {"ignore_identical_ids": "1"}}, "ignore_identical_ids", "leave it off for STS"),
            ({"choices": {"cluster_sets": "3"}}, "cluster_sets", "leave it empty for STS"),
            ({"task_type": "Clustering", "choices": {"cluster_sets": "none"}}, "cluster_sets", "whole number"),
        ],
    )
    def test_a_form_to_mend_leaves_nothing(
        self, house: House, change: dict[str, Any], field: str, message: str
    ) -> None:
        with house.database.session() as session:
            factories.revision(session, house.other, "taken")
        before = house.traces()
        values = {"name": "Pairs", "task_type": "STS", "languages": ("eng-Latn",), "description": "", **change}
        with pytest.raises(Invalid) as caught:
            house.receive(form=UploadForm(**values))
        assert message in caught.value.fields[field]
        assert list(caught.value.fields) == [field]
        assert house.traces() == before

    def test_every_field_to_mend_is_named_at_once(self, house: House) -> None:
        with pytest.raises(Invalid) as caught:
            house.receive(b"", UploadForm("", "STS", (), choices={"cluster_sets": "3"}))
        assert list(caught.value.fields) == ["languages", "name", "cluster_sets", "file"]

    def test_an_unknown_task_type_names_the_known_ones(self, house: House) -> None:
        with pytest.raises(Invalid, match="Choose one of: Retrieval, Reranking, InstructionRetrieval") as caught:
            house.receive(form=UploadForm("Pairs", "Sorting", ("eng-Latn",)))
        assert caught.value.code == "unknown_task_type"

    def test_without_a_file_there_is_no_upload(self, house: House) -> None:
        with house.database.session() as session, pytest.raises(Invalid) as caught:
            datasets.accept(session, house.owner, FORM, None, file_name="")
        assert caught.value.fields == {"file": "Choose a file."}

    def test_too_many_bytes_leave_nothing(self, house: House) -> None:
        before = house.traces()
        with pytest.raises(TooLarge):
            house.receive(b"x" * 1001)
        assert house.traces() == before

    def test_the_same_file_again_names_its_dataset(self, house: House) -> None:
        house.publish(house.validated())
        before = house.traces()
        with pytest.raises(Conflict, match="Help desk pairs") as caught:
            house.receive(form=UploadForm("Another", "STS", ("eng-Latn",)), by=house.other)
        assert (caught.value.code, caught.value.details) == ("same_file", {"dataset": "help-desk-pairs"})
        assert house.traces() == before

    def test_a_revision_takes_its_dataset_s_description(self, house: House) -> None:
        house.publish(house.validated())
        form = UploadForm("ignored", "Retrieval", (), "ignored", dataset_slug="help-desk-pairs")
        upload = house.upload(house.receive(b"other", form, by=house.admin))
        assert (upload.name, upload.task_type, upload.languages) == ("Help desk pairs", "STS", ["eng-Latn", "deu-Latn"])
        assert upload.dataset_id is not None

    @pytest.mark.parametrize("name", TASK_TYPES)
    def test_every_task_type_is_taken(self, house: House, name: str) -> None:
        assert house.upload(house.receive(form=replace(FORM, task_type=name))).task_type == name

    def test_a_revision_is_scored_as_the_one_before_unless_it_says_otherwise(self, house: House) -> None:
        form = replace(FORM, task_type="Clustering", choices={"cluster_sets": "5", "splits": "dev"})
        slug = house.publish(house.validated(form=form))

        def revised(content: bytes, **typed: str) -> dict[str, Any]:
            upload_id = house.validated(content, UploadForm("", "", (), dataset_slug=slug, choices=typed))
            chosen = house.upload(upload_id).choices
            house.publish(upload_id)
            return chosen

        assert revised(b"second") == {"cluster_sets": 5, "splits": ["dev"]}
        assert revised(b"third", splits="") == {"cluster_sets": 5}
        assert revised(b"fourth", cluster_sets="6") == {"cluster_sets": 6}
        with pytest.raises(Invalid) as caught:
            revised(b"fifth", ignore_identical_ids="true")
        assert list(caught.value.fields) == ["ignore_identical_ids"]

    def test_the_same_file_scored_otherwise_is_something_else(self, house: House) -> None:
        slug = house.publish(house.validated())
        form = UploadForm("", "", (), dataset_slug=slug, choices={"splits": "dev"})
        house.publish(house.validated(FILE, form, canonical=b"of dev"))
        for typed in ({"splits": "dev"}, {"splits": ""}):
            with pytest.raises(Conflict) as caught:
                house.receive(form=UploadForm("", "", (), dataset_slug=slug, choices=typed))
            assert caught.value.code == "same_file"

    def test_a_revision_is_for_the_owner_and_for_admins(self, house: House) -> None:
        house.publish(house.validated())
        form = UploadForm("", "", (), dataset_slug="help-desk-pairs")
        with pytest.raises(Forbidden):
            house.receive(b"other", form, by=house.other)
        with pytest.raises(NotFound):
            house.receive(b"other", UploadForm("", "", (), dataset_slug="unknown"))
        demoted = Person(house.owner.id, house.owner.name, Role.VIEWER)
        assert not datasets.may_change(demoted, house.owner.id)


@on_both_databases
class TestPublish:
    def test_it_becomes_a_dataset_with_a_revision_and_a_column(self, house: House) -> None:
        with house.database.session() as session:
            factories.revision(session, house.other, "first")
            benchmarks.create(session, house.admin, name="Desk", dataset_slugs=["first"])
        upload_id = house.validated()
        slug = house.publish(upload_id, by=house.admin, board="desk")
        with house.database.reading() as session:
            entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "dataset.publish")).one()
            assert entry.detail["board"] == "desk"
            dataset = session.scalars(select(Dataset).where(Dataset.slug == slug)).one()
            revision = session.scalars(select(DatasetRevision).where(DatasetRevision.dataset_id == dataset.id)).one()
            columns = session.execute(
                select(BenchmarkDataset.dataset_id, BenchmarkDataset.position).order_by(BenchmarkDataset.position)
            ).all()
        assert (slug, dataset.owner_id, revision.created_by) == ("help-desk-pairs", house.owner.id, house.admin.id)
        assert (revision.counts, revision.file_name, len(revision.revision)) == ({"pairs": 1}, "pairs.csv", 40)
        assert [position for _, position in columns] == [0, 1]
        assert columns[1].dataset_id == dataset.id
        assert house.upload(upload_id).published_revision_id == revision.id

    def test_a_revision_stays_in_its_column(self, house: House) -> None:
        with house.database.session() as session:
            benchmarks.create(session, house.admin, name="Desk", dataset_slugs=[])
        house.publish(house.validated(), by=house.admin, board="desk")
        form = UploadForm("", "", (), dataset_slug="help-desk-pairs")
        house.publish(house.validated(b"second", form), by=house.admin, board="desk")
        with house.database.reading() as session:
            assert session.scalar(select(func.count()).select_from(BenchmarkDataset)) == 1
            assert session.scalar(select(func.count()).select_from(DatasetRevision)) == 2

    def test_only_what_was_found_valid(self, house: House) -> None:
        waiting = house.receive()
        refused = house.receive(b"refused")
        house.report(refused, ok=False, problems=[{"code": "no_rows"}], total_problems=1)
        for upload_id in (waiting, refused):
            with pytest.raises(Invalid) as caught:
                house.publish(upload_id)
            assert caught.value.code == "not_valid"

    def test_only_once(self, house: House) -> None:
        upload_id = house.validated()
        house.publish(upload_id)
        with pytest.raises(Conflict) as caught:
            house.publish(upload_id)
        assert caught.value.code == "already_published"

    def test_only_by_its_owner_or_an_admin(self, house: House) -> None:
        upload_id = house.validated()
        with pytest.raises(NotFound):
            house.publish(upload_id, by=house.other)

    def test_a_board_that_is_not_there_leaves_nothing(self, house: House) -> None:
        upload_id = house.validated()
        before = house.traces()
        with pytest.raises(NotFound, match="no board 'gone'"):
            house.publish(upload_id, by=house.admin, board="gone")
        assert house.traces() == before

    def test_a_name_that_was_taken_meanwhile(self, house: House) -> None:
        first, second = house.validated(), house.validated(b"other", by=house.other)
        house.publish(first)
        with house.database.session() as session:  # the caller may go on after the refusal
            with pytest.raises(Conflict, match="published meanwhile"):
                datasets.publish(session, house.other, second)
            assert session.scalar(select(func.count()).select_from(Dataset)) == 1

    def test_the_same_content_in_another_file(self, house: House) -> None:
        house.publish(house.validated(canonical=b"same"))
        form = UploadForm("", "", (), dataset_slug="help-desk-pairs")
        again = house.validated(b"other bytes", form, canonical=b"same")
        with pytest.raises(Conflict, match="exactly this content"):
            house.publish(again)

    def test_two_at_once_publish_it_once(self, house: House) -> None:
        upload_id = house.validated()
        outcomes: list[object] = []

        def publish() -> None:
            try:
                outcomes.append(house.publish(upload_id))
            except AppError as error:
                outcomes.append(error.code)

        threads = [threading.Thread(target=publish) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, outcomes)) == ["already_published", "help-desk-pairs"]


@on_both_databases
class TestFiles:
    def test_discarding_takes_both_files_along(self, house: House) -> None:
        before = house.traces()
        upload_id = house.validated()
        house.discard(upload_id)
        after = house.traces()
        assert (after[:3], after[4]) == (before[:3], before[4])
        with pytest.raises(NotFound):
            house.discard(upload_id)

    def test_a_published_upload_stays(self, house: House) -> None:
        upload_id = house.validated()
        house.publish(upload_id)
        with pytest.raises(Conflict):
            house.discard(upload_id)

    def test_nobody_discards_another_s_upload_but_admins(self, house: House) -> None:
        upload_id = house.receive()
        with pytest.raises(NotFound):
            house.discard(upload_id, by=house.other)
        house.discard(upload_id, by=house.admin)
        assert house.traces()[4] == 0

    def test_a_file_that_another_upload_has_stays(self, house: House) -> None:
        mine, theirs = house.receive(), house.receive(by=house.other)
        house.discard(mine)
        assert house.blobs.exists(house.upload(theirs).file_sha256)
        house.discard(theirs, by=house.other)
        assert house.traces()[4] == 0

    def test_a_canonical_form_that_another_upload_has_stays(self, house: House) -> None:
        mine = house.validated(b"one", canonical=b"same texts")
        theirs = house.validated(b"two", canonical=b"same texts", by=house.other)
        house.discard(mine)
        report = house.upload(theirs).report or {}
        assert house.blobs.exists(report["canonical_sha256"])
        house.publish(theirs, by=house.other)

    def test_a_canonical_form_that_a_revision_has_stays(self, house: House) -> None:
        slug = house.publish(house.validated(b"one", canonical=b"same texts"))
        again = house.validated(b"two", UploadForm("", "", (), dataset_slug=slug), canonical=b"same texts")
        house.discard(again)
        assert house.blobs.exists(hashlib.sha256(b"same texts").hexdigest())

    def test_a_refused_upload_keeps_no_file_alive(self, house: House) -> None:
        first, second = house.receive(), house.receive()
        sha256 = house.upload(first).file_sha256
        house.report(first, ok=False, problems=[])
        with house.database.session() as session:
            assert datasets.blob_in_use(session, sha256)
            assert not datasets.blob_in_use(session, sha256, except_upload=second)
            datasets.drop_file(session, house.blobs, sha256, except_upload=second)
        assert not house.blobs.exists(sha256)


@on_both_databases
class TestValidateAgain:
    def test_a_failed_one_waits_again(self, house: House, woken: list[str]) -> None:
        upload_id = house.receive()
        with house.database.session() as session:
            upload = session.get_one(Upload, upload_id)
            upload.state, upload.attempt, upload.failure_code, upload.failure = (
                JobState.FAILED,
                3,
                "x",
                {"message": "x"},
            )
        with house.database.session() as session:
            datasets.validate_again(session, house.owner, upload_id)
        upload = house.upload(upload_id)
        assert (upload.state, upload.attempt, upload.failure_code, upload.failure) == (JobState.QUEUED, 0, None, None)
        assert woken == ["light", "light"]

    @pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.DONE])
    def test_no_other(self, house: House, state: JobState) -> None:
        upload_id = house.receive()
        with house.database.session() as session:
            session.get_one(Upload, upload_id).state = state
        with house.database.session() as session, pytest.raises(Conflict):
            datasets.validate_again(session, house.owner, upload_id)


@on_both_databases
class TestDescribe:
    @pytest.mark.parametrize("who", ["owner", "admin"])
    def test_owner_and_admins_change_it(self, house: House, who: str) -> None:
        slug = house.publish(house.validated())
        with house.database.session() as session:
            person: Person = getattr(house, who)
            dataset = datasets.describe(
                session, person, slug, languages=("cmn-Hans",), description=" New. ", margin=0.02
            )
            assert (dataset.languages, dataset.description, dataset.margin) == (["cmn-Hans"], "New.", 0.02)

    def test_nobody_else(self, house: House) -> None:
        slug = house.publish(house.validated())
        with house.database.session() as session, pytest.raises(Forbidden):
            datasets.describe(session, house.other, slug, languages=("cmn-Hans",), description="", margin=None)

    def test_what_cannot_be_a_language(self, house: House) -> None:
        slug = house.publish(house.validated())
        with house.database.session() as session, pytest.raises(Invalid) as caught:
            datasets.describe(session, house.owner, slug, languages=("en",), description="x" * 4001, margin=None)
        assert list(caught.value.fields) == ["languages", "description"]


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        ("", ()),
        (" , ", ()),
        ("eng-Latn", ("eng-Latn",)),
        ("eng-Latn, deu-Latn;cmn-Hans\neng-Latn ", ("eng-Latn", "deu-Latn", "cmn-Hans")),
    ],
)
def test_languages_are_typed_with_commas_or_spaces(text: str, languages: tuple[str, ...]) -> None:
    assert datasets.parse_languages(text) == languages


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Help desk, v3", "help-desk-v3"), ("Grüße ÀÉ", "grüsse-àé"), ("日本語", "日本語"), ("_a_", "a"), ("…", "")],
)
def test_a_name_becomes_an_address(name: str, slug: str) -> None:
    assert datasets.slugify(name) == slug
