"""What a worker does with a claimed row: whatever happens, the row says so, once."""

import errno
import io
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from celery.worker import state as celery_state
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

import worker.evaluate
from app.db.session import Database
from app.db.tables import Evidence, JobState, Model, Role, Run, Score, Upload, Worker
from app.db.types import db_now
from app.errors import RunFailure
from app.services import datasets, jobs, models, runs
from app.services.accounts import Person
from app.settings import Settings
from app.storage.blobs import Blob, BlobStore
from tests import factories
from tests.upload_flow import PAIRS
from worker.inspect import Inspection
from worker.lease import CancelRequested, Lease, LeaseLost
from worker.tasks import DeviceLost, Shop

Evaluate = Callable[..., Any]


@dataclass
class World:
    """A house with one dataset, one model and one queued run, and the worker that will do it."""

    database: Database
    shop: Shop
    admin: Person
    run_id: int

    def run(self) -> Run:
        with self.database.reading() as session:
            return session.get_one(Run, self.run_id)

    def count(self, table: Any) -> int:
        with self.database.reading() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0


def _upload(database: Database, settings: Settings, person: Person, content: bytes, **choices: str) -> int:
    form = datasets.UploadForm("Pairs", "STS", ("eng-Latn",), choices=choices)
    with database.session() as session:
        upload = datasets.receive(
            session,
            BlobStore(settings.blobs_dir),
            person,
            form,
            file=io.BytesIO(content),
            file_name="pairs.csv",
            max_bytes=10**6,
        )
        return upload.id


@pytest.fixture
def world(database: Database, settings: Settings) -> Iterator[World]:
    shop = Shop(settings, "encode@here-1")
    with database.session() as session:
        admin = factories.person(session, "ada", Role.ADMIN)
        model = models.register(session, admin, models.ModelForm(loader="bm25"))
    upload_id = _upload(database, settings, admin, PAIRS)
    assert shop.work_light() == 2
    with database.session() as session:
        dataset = datasets.publish(session, admin, upload_id)
        queued = runs.queue_product(session, admin, model_ids=[model.id], dataset_ids=[dataset.id])
    yield World(database, shop, admin, queued.run_ids[0])
    shop.database.dispose()


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> Callable[[Evaluate], None]:
    """Puts something in the place of the engine."""

    def put(evaluate: Evaluate) -> None:
        monkeypatch.setattr(worker.evaluate, "evaluate", evaluate)

    return put


def test_a_run_is_scored_and_published(world: World) -> None:
    assert world.shop.work_encode() == 1
    run = world.run()
    assert (run.state, run.attempt, run.worker, run.failure) == (JobState.DONE, 1, "encode@here-1", None)
    assert run.provenance is not None and run.provenance["main_metric"] == "cosine_spearman"
    assert "attempt 1 begins" in run.log
    with world.database.reading() as session:
        metrics = {row.metric: row.value for row in session.scalars(select(Score))}
        evidence = session.scalars(select(Evidence)).one()
    assert metrics["cosine_spearman"] == run.main_score
    with world.database.reading() as session:
        main = session.scalars(select(Score).where(Score.metric == "cosine_spearman")).one()
        others = session.scalars(select(Score.n).where(Score.metric != "cosine_spearman")).all()
    assert run.main_n == main.n and (run.main_low, run.main_high) == (main.low, main.high)
    assert set(others) == {None}
    assert world.shop.blobs.exists(evidence.blob_sha256)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_fresh_run_takes_nothing_from_the_store(
    world: World, instead: Callable[[Evaluate], None], fresh: bool
) -> None:
    given: list[Path | None] = []

    def evaluate(*_: Any, store: Path | None, **__: Any) -> Any:
        given.append(store)
        raise RunFailure("Enough.", code="internal", remedy="")

    instead(evaluate)
    with world.database.session() as session:
        session.get_one(Run, world.run_id).fresh = fresh
    world.shop.work_encode()
    assert given == [None if fresh else world.shop.settings.vectors_dir]


def test_the_body_called_twice_does_the_work_once(world: World) -> None:
    assert world.shop.work_encode() == 1
    before = world.count(Score)
    assert world.shop.work_encode() == 0
    assert world.count(Score) == before


def test_the_same_run_again_gives_the_same_scores(world: World) -> None:
    world.shop.work_encode()
    with world.database.session() as session:
        run = session.get_one(Run, world.run_id)
        revision = datasets.by_slug(session, "pairs")
        again = runs.queue_product(
            session, world.admin, model_ids=[run.model_id], dataset_ids=[revision.id], again=True
        )
    world.shop.work_encode()
    with world.database.reading() as session:
        by_run: dict[int, dict[str, float]] = {}
        for score in session.scalars(select(Score)):
            by_run.setdefault(score.run_id, {})[score.metric] = score.value
    assert by_run[world.run_id] == by_run[again.run_ids[0]]


def _cancel(database: Database, run_id: int) -> None:
    with database.session() as session:
        jobs.request_cancel(session, Run, run_id)


def test_a_cancelled_run_stops_at_the_next_check(world: World, instead: Callable[[Evaluate], None]) -> None:
    def evaluate(*_: Any, progress: Lease, **__: Any) -> Any:
        _cancel(world.database, world.run_id)
        progress._renew()
        with pytest.raises(CancelRequested):
            progress.check()
        progress.check()

    instead(evaluate)
    world.shop.work_encode()
    run = world.run()
    assert (run.state, run.failure, world.count(Score)) == (JobState.CANCELLED, None, 0)
    assert "cancelled" in run.log


def test_a_lost_lease_publishes_nothing(world: World, instead: Callable[[Evaluate], None]) -> None:
    real = worker.evaluate.evaluate

    def evaluate(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        with world.database.session() as session:  # frozen for too long: another worker has it now
            session.execute(update(Run).values(lease_expires=db_now(-1)))
            jobs.sweep(session, max_attempts=3)
            held = jobs.claim(session, Run, worker="another", lease_seconds=60)
            assert held is not None and held.attempt == 2
        return result

    instead(evaluate)
    world.shop.work_encode()
    run = world.run()
    assert (run.state, run.worker, world.count(Score)) == (JobState.RUNNING, "another", 0)


def test_a_worker_whose_device_is_lost_fails_the_run_and_ends(
    world: World, instead: Callable[[Evaluate], None]
) -> None:
    def evaluate(*_: Any, **__: Any) -> Any:
        raise RunFailure("The device failed: an illegal memory access.", code="device_lost", remedy="Run it again.")

    instead(evaluate)
    with pytest.raises(DeviceLost):
        world.shop.work_encode()
    run = world.run()
    assert (run.state, run.failure_code) == (JobState.FAILED, "device_lost")
    assert not world.shop.busy


def test_a_stopping_worker_gives_its_run_back(
    world: World, instead: Callable[[Evaluate], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(*_: Any, progress: Lease, **__: Any) -> Any:
        monkeypatch.setattr(celery_state, "should_stop", 0)
        progress.check()

    instead(evaluate)
    assert world.shop.work_encode() == 1
    run = world.run()
    assert (run.state, run.attempt, run.token) == (JobState.QUEUED, 0, None)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RunFailure("Row 3 is only zeros.", code="bad_embeddings", remedy="Look at it."), "bad_embeddings", "Row 3"),
        (MemoryError(), "out_of_memory", "memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full", "disk is full"),
        (ZeroDivisionError("secret text"), "internal", "ZeroDivisionError"),
    ],
)
def test_a_failure_has_a_code_a_reason_and_a_remedy(
    world: World, instead: Callable[[Evaluate], None], error: Exception, code: str, words: str
) -> None:
    def evaluate(*_: Any, **__: Any) -> Any:
        raise error

    instead(evaluate)
    world.shop.work_encode()
    run = world.run()
    assert (run.state, run.failure_code, world.count(Score)) == (JobState.FAILED, code, 0)
    assert run.failure is not None
    assert words in run.failure["message"] and "secret text" not in run.failure["message"]
    assert run.failure["remedy"]


def test_a_dataset_file_that_is_gone_is_named(world: World) -> None:
    with world.database.reading() as session:
        _, revision, _ = runs.inputs(session, world.run_id)
    world.shop.blobs.delete(revision.canonical_sha256)
    world.shop.work_encode()
    assert world.run().failure_code == "dataset_missing"


def test_a_dataset_file_that_is_damaged_is_named(world: World) -> None:
    with world.database.reading() as session:
        _, revision, _ = runs.inputs(session, world.run_id)
    path = world.shop.blobs.path(revision.canonical_sha256)
    path.write_bytes(path.read_bytes()[:-20])
    world.shop.work_encode()
    run = world.run()
    assert run.failure_code == "dataset_missing"
    assert run.failure is not None and "damaged" in run.failure["message"]


def test_a_database_that_goes_away_fails_no_run(world: World, instead: Callable[[Evaluate], None]) -> None:
    """The outcome of the last commit is unknown: the row stays as it is, and the sweep queues it again."""

    def evaluate(*_: Any, **__: Any) -> Any:
        raise OperationalError("COMMIT", {}, Exception("server closed the connection"))

    instead(evaluate)
    world.shop.work_encode()
    run = world.run()
    assert (run.state, run.attempt, run.failure) == (JobState.RUNNING, 1, None)
    with world.database.session() as session:
        session.execute(update(Run).values(lease_expires=db_now(-1)))
        assert jobs.sweep(session, max_attempts=3) == 1
    assert world.run().state == JobState.QUEUED


def test_a_model_that_is_deleted_while_it_is_inspected_troubles_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.database.session() as session:
        model_id = models.register(session, world.admin, models.ModelForm("org/name")).id

    def inspect(_spec: Any) -> Inspection:
        with world.database.session() as session:
            models.remove(session, world.admin, model_id)
        return Inspection(0, None, None, 0.0, None, "mit", (), "cosine", {}, "1" * 40, "numpy", ())

    monkeypatch.setattr("worker.inspect.inspect", inspect)
    assert (world.shop.work_light(), world.shop.work_light()) == (1, 0)
    with world.database.reading() as session:
        assert session.get(Model, model_id) is None


def test_the_texts_stay_when_an_equal_upload_is_discarded_at_that_moment(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(settings, "light@here-1")
    with database.session() as session:
        person = factories.person(session)
    upload_id = _upload(database, settings, person, PAIRS)
    put_file = shop.blobs.put_file

    def store_and_lose(path: Path) -> Blob:
        blob = put_file(path)
        monkeypatch.setattr(shop.blobs, "put_file", put_file)
        shop.blobs.delete(blob.sha256)  # as the discarding of an upload with the same content does
        return blob

    monkeypatch.setattr(shop.blobs, "put_file", store_and_lose)
    assert shop.work_light() == 1
    with database.reading() as session:
        report = session.get_one(Upload, upload_id).report
    assert report is not None and shop.blobs.exists(report["canonical_sha256"])
    shop.database.dispose()


def test_an_upload_that_is_discarded_while_it_is_checked_leaves_nothing(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(settings, "light@here-1")
    with database.session() as session:
        person = factories.person(session)
    upload_id = _upload(database, settings, person, PAIRS)
    put_file = shop.blobs.put_file

    def discard_and_store(path: Path) -> Blob:
        with database.session() as session:
            datasets.discard(session, shop.blobs, person, upload_id)
        return put_file(path)

    monkeypatch.setattr(shop.blobs, "put_file", discard_and_store)
    assert shop.work_light() == 1
    with database.reading() as session:
        assert session.get(Upload, upload_id) is None
    assert list(shop.blobs.stored()) == []
    shop.database.dispose()


def test_what_a_killed_worker_left_goes_after_a_day(database: Database, settings: Settings) -> None:
    work, yesterday = settings.data_dir / "work", time.time() - 25 * 3600
    for name in ("old", "new"):
        (work / name).mkdir(parents=True)
        (work / name / "half.part").touch()
    os.utime(work / "old", (yesterday, yesterday))
    shop = Shop(settings, "light@here-1")
    with database.session() as session:
        person = factories.person(session)
    _upload(database, settings, person, PAIRS)
    shop.work_light()
    assert [path.name for path in work.iterdir()] == ["new"]
    shop.database.dispose()


def test_a_refused_file_leaves_only_its_report(database: Database, settings: Settings) -> None:
    shop = Shop(settings, "light@here-1")
    with database.session() as session:
        person = factories.person(session)
    upload_id = _upload(database, settings, person, b"sentence1,sentence2,score\na,b,nan\n")
    assert shop.work_light() == 1
    with database.reading() as session:
        upload = session.get_one(Upload, upload_id)
    assert upload.state == JobState.DONE and upload.report is not None
    assert upload.report["ok"] is False and upload.report["problems"][0]["row"] == 2
    assert list(shop.blobs.stored()) == []
    shop.database.dispose()


@pytest.mark.parametrize(("chosen", "pairs"), [({}, 40), ({"splits": "dev"}, 3), ({"splits": "dev, test"}, 43)])
def test_the_check_knows_how_the_file_is_to_be_scored(
    database: Database, settings: Settings, chosen: dict[str, str], pairs: int
) -> None:
    head, *rows = PAIRS.splitlines()
    table = [head + b",split", *(row + b",test" for row in rows), *(row + b",dev" for row in rows[:3])]
    shop = Shop(settings, "light@here-1")
    with database.session() as session:
        person = factories.person(session)
    upload_id = _upload(database, settings, person, b"\n".join(table), **chosen)
    assert shop.work_light() == 1
    with database.reading() as session:
        report = session.get_one(Upload, upload_id).report
    assert report is not None and report["counts"] == {"pairs": pairs}
    shop.database.dispose()


def test_the_heartbeat_renews_and_tells_progress(world: World) -> None:
    settings = world.shop.settings.model_copy(update={"heartbeat_seconds": 0.1, "lease_seconds": 60.0})
    with world.database.session() as session:
        held = jobs.claim(session, Run, worker="w", lease_seconds=1)
    assert held is not None
    with Lease(world.database, held, settings) as lease:
        lease.stage("encode", 100)
        lease.advance(40)
        _until(lambda: world.run().done == 40)
    run = world.run()
    assert (run.stage, run.done, run.total) == ("encode", 40, 100)
    assert run.lease_expires is not None and run.progress_at is not None
    assert (run.lease_expires - run.progress_at).total_seconds() == pytest.approx(60, abs=1)


def test_a_lease_without_a_database_gives_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = world.shop.settings.model_copy(update={"heartbeat_seconds": 0.05, "lease_seconds": 0.6})
    with world.database.session() as session:
        held = jobs.claim(session, Run, worker="w", lease_seconds=1)
    assert held is not None

    def broken(*_: Any, **__: Any) -> None:
        raise OperationalError("UPDATE", {}, Exception("gone"))

    monkeypatch.setattr(jobs, "renew", broken)
    with Lease(world.database, held, settings) as lease:
        _until(lambda: lease._lost)
        with pytest.raises(LeaseLost):
            lease.check()


def test_the_keeper_frees_and_wakes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import worker.main as main

    sent: list[str] = []
    monkeypatch.setattr(main, "shop", lambda: world.shop)
    monkeypatch.setattr(main, "QUEUE", "encode")
    monkeypatch.setattr(main, "wake", sent.append)
    with world.database.session() as session:
        session.add(Worker(name=main.WORKER_NAME, queue="encode", seen_at=_long_ago(session)))
        assert jobs.claim(session, Run, worker="vanished", lease_seconds=-1) is not None
    main.Keeper("cpu").turn()
    assert (world.run().state, sent) == (JobState.QUEUED, ["encode"])
    with world.database.reading() as session:
        assert session.get_one(Worker, main.WORKER_NAME).seen_at > _long_ago(session)
    world.shop.busy = True
    main.Keeper("cpu").turn()
    assert sent == ["encode"], "a busy worker looks by itself when it is done"


def test_a_database_that_does_not_answer_is_no_crash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OperationalError("UPDATE", {}, Exception("gone"))

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "claim", broken)
        assert world.shop.work_encode() == 0
    assert world.shop.busy is False
    assert world.shop.work_encode() == 1, "the next wake-up finds the work"


def test_a_variant_says_what_the_engine_must_know(database: Database) -> None:
    from worker.tasks import spec_of

    with database.session() as session:
        person = factories.person(session, "ada", Role.ADMIN)
        form = models.ModelForm(
            "org/name", truncate_dim=128, precision="int8", max_tokens=64, dtype="bfloat16", query_prompt="q: "
        )
        spec = spec_of(models.register(session, person, form))
    assert (spec.name, spec.loader, spec.source) == ("org/name", "dense", "hub")
    assert (spec.truncate_dim, spec.precision, spec.max_tokens, spec.dtype) == (128, "int8", 64, "bfloat16")
    assert (spec.query_prompt, spec.document_prompt) == ("q: ", None)
    assert replace(spec) == spec


def _long_ago(session: Any) -> Any:
    return session.scalar(select(db_now(-3600)))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
