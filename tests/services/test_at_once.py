"""Two people, or two workers, at the same moment: nothing is lost, and nobody meets an unforeseen error."""

import io
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from app.db.session import Database
from app.db.tables import Benchmark, BenchmarkDataset, JobState, Model, Role, Run
from app.errors import AppError
from app.services import accounts, benchmarks, datasets, models, runs
from app.services.accounts import Person
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests import factories

pytestmark = pytest.mark.both_databases

SLUGS = ["one", "two"]
ROUNDS = 8
Act = Callable[[], object]


@pytest.fixture
def admin(database: Database) -> Person:
    """An admin, two datasets, and two boards with both."""
    with database.session() as session:
        person = factories.person(session, "ada", Role.ADMIN)
        for slug in SLUGS:
            factories.revision(session, person, slug)
        for name in ("a", "b"):
            benchmarks.create(session, person, name=name, dataset_slugs=SLUGS)
    return person


def at_once(*acts: Act) -> list[str]:
    """Do everything at the same moment; the codes of the refusals. Any other error fails the test."""
    barrier = threading.Barrier(len(acts))
    refused: list[str] = []
    unforeseen: list[BaseException] = []

    def work(act: Act) -> None:
        barrier.wait()
        try:
            act()
        except AppError as error:
            refused.append(error.code)
        except Exception as error:
            unforeseen.append(error)

    threads = [threading.Thread(target=work, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unforeseen == []
    return refused


def test_a_board_that_is_saved_twice_is_saved(database: Database, admin: Person) -> None:
    def save() -> None:
        with database.session() as session:
            benchmarks.edit(session, admin, "a", dataset_slugs=SLUGS[::-1])

    for _ in range(ROUNDS):
        assert at_once(save, save, save) == []
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(BenchmarkDataset)) == 4


def test_one_board_is_the_default(database: Database, admin: Person) -> None:
    def choose(slug: str) -> Act:
        def act() -> None:
            with database.session() as session:
                benchmarks.set_default(session, admin, slug)

        return act

    for _ in range(ROUNDS):
        assert at_once(choose("a"), choose("b")) == []
        with database.reading() as session:
            defaults = select(func.count()).select_from(Benchmark).where(Benchmark.is_default)
            assert session.scalar(defaults) == 1


def test_of_two_of_the_same_name_one_is_refused(database: Database, admin: Person) -> None:
    def board() -> None:
        with database.session() as session:
            benchmarks.create(session, admin, name="same", dataset_slugs=[])

    def user() -> None:
        with database.session() as session:
            accounts.create_user(session, "bea", Role.VIEWER)

    assert at_once(board, board, board) == ["slug_taken", "slug_taken"]
    assert at_once(user, user, user) == ["bad_name", "bad_name"]


def test_corrections_of_different_facts_all_stay(database: Database, admin: Person) -> None:
    names = ("licence", "memory_dtype", "similarity")
    with database.session() as session:
        model_id = factories.model(session, admin).id

    def correct(name: str, value: str) -> Act:
        def act() -> None:
            with database.session() as session:
                models.correct(session, admin, model_id, {name: value})

        return act

    for number in range(ROUNDS):
        assert at_once(*(correct(name, str(number)) for name in names)) == []
        with database.reading() as session:
            assert session.get_one(Model, model_id).corrected == dict.fromkeys(names, str(number))


def test_a_model_is_deleted_or_queued_but_not_both(database: Database, admin: Person) -> None:
    with database.session() as session:
        dataset_ids = [factories.revision(session, admin, f"d{number}").dataset_id for number in range(5)]
    for number in range(ROUNDS):
        with database.session() as session:
            model_ids = [factories.model(session, admin, f"acme/{number}-{other}").id for other in range(5)]

        def queue(chosen: list[int] = model_ids) -> None:
            with database.session() as session:
                runs.queue_product(session, admin, model_ids=chosen, dataset_ids=dataset_ids)

        def remove(model_id: int = model_ids[-1]) -> None:
            with database.session() as session:
                models.remove(session, admin, model_id)

        (code,) = at_once(queue, remove)
        with database.reading() as session:
            queued = select(func.count()).select_from(Run).where(Run.model_id == model_ids[-1])
            assert session.scalar(queued) == {"not_found": 0, "model_has_runs": 5}[code]


def test_a_revision_that_is_published_twice_is_there_once(
    database: Database, admin: Person, settings: Settings
) -> None:
    blobs, form = BlobStore(settings.blobs_dir), datasets.UploadForm("", "STS", (), dataset_slug="one")

    def validated(content: bytes, revision: str) -> int:
        with database.session() as session:
            upload = datasets.receive(
                session, blobs, admin, form, file=io.BytesIO(content), file_name="x.csv", max_bytes=10
            )
            upload.state = JobState.DONE
            upload.report = {"ok": True, "revision": revision * 40, "canonical_sha256": revision * 64}
            upload.report |= {"canonical_bytes": 1, "counts": {"pairs": 1}, "warnings": []}
            return upload.id

    def publish(upload_id: int) -> Act:
        def act() -> None:
            with database.session() as session:
                datasets.publish(session, admin, upload_id)

        return act

    for number in range(ROUNDS):
        revision = "89abcdef"[number]
        equal = [validated(f"{name}{number}".encode(), revision) for name in ("first", "other")]
        assert at_once(*map(publish, equal)) == ["same_revision"]


def test_a_reader_sees_one_moment(database: Database, admin: Person) -> None:
    count = select(func.count()).select_from(Benchmark)
    with database.reading() as reading:
        before = reading.scalar(count)
        with database.session() as session:
            benchmarks.create(session, admin, name="meanwhile", dataset_slugs=[])
        assert reading.scalar(count) == before
    with database.reading() as reading:
        assert reading.scalar(count) == 3
