"""Queueing, cancelling and trying again; a pair is never queued twice."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db.session import Database
from app.db.tables import AuditEntry, JobState, Measurement, Model, Role, Run, Score
from app.errors import Conflict, Invalid, NotFound
from app.services import jobs, runs
from app.services.accounts import Person
from tests import factories

pytestmark = pytest.mark.both_databases


class House:
    """Two models, two datasets, an admin."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.session() as session:
            self.admin = factories.person(session, "ada", Role.ADMIN)
            self.models = [factories.model(session, self.admin, name).id for name in ("acme/one", "acme/two")]
            revisions = [factories.revision(session, self.admin, slug) for slug in ("first", "second")]
            self.datasets = [revision.dataset_id for revision in revisions]
            self.revisions = [revision.id for revision in revisions]

    def queue(self, **options: Any) -> runs.Queued:
        chosen = {"model_ids": self.models, "dataset_ids": self.datasets, **options}
        with self.database.session() as session:
            return runs.queue_product(session, self.admin, **chosen)

    def end(self, run_id: int, state: JobState) -> None:
        with self.database.session() as session:
            session.get_one(Run, run_id).state = state

    def state(self, run_id: int) -> str:
        with self.database.reading() as session:
            return session.get_one(Run, run_id).state


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


def test_the_whole_product_is_queued_once(house: House, woken: list[str]) -> None:
    queued = house.queue()
    assert (len(queued.run_ids), queued.already_done, queued.already_open) == (4, 0, 0)
    assert woken == ["encode"]
    with house.database.reading() as session:
        pairs = session.execute(select(Run.model_id, Run.dataset_revision_id, Run.state).order_by(Run.id)).all()
        assert pairs == [(m, r, JobState.QUEUED) for m in house.models for r in house.revisions]
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "run.queue")).one()
        assert (entry.subject, entry.detail["runs"]) == ("4 runs", 4)
    again = house.queue(again=True)
    assert (again.run_ids, again.already_open) == ((), 4)
    assert woken == ["encode"], "nothing new, nobody woken"


def test_what_is_done_is_run_again_only_when_asked(house: House) -> None:
    first, *_ = house.queue().run_ids
    house.end(first, JobState.DONE)
    assert house.queue() == runs.Queued((), already_done=1, already_open=3)
    again = house.queue(again=True)
    assert (len(again.run_ids), again.already_done, again.already_open) == (1, 0, 3)
    assert house.queue() == runs.Queued((), already_done=0, already_open=4), "one that is open is not called done"


def test_what_failed_or_was_cancelled_is_queued_again(house: House) -> None:
    first, second, *_ = house.queue().run_ids
    house.end(first, JobState.FAILED)
    house.end(second, JobState.CANCELLED)
    assert len(house.queue().run_ids) == 2


def test_only_the_newest_revision_is_run(house: House) -> None:
    with house.database.session() as session:
        old = session.get_one(runs.DatasetRevision, house.revisions[0])
        newer = runs.DatasetRevision(
            dataset_id=old.dataset_id,
            revision="9" * 40,
            canonical_sha256=old.canonical_sha256,
            canonical_bytes=1,
            file_name="b.csv",
            file_sha256="8" * 64,
            counts={},
            created_by=house.admin.id,
        )
        session.add(newer)
        session.flush()
        newer_id = newer.id
    (run_id,) = house.queue(model_ids=house.models[:1], dataset_ids=house.datasets[:1]).run_ids
    with house.database.reading() as session:
        assert session.get_one(Run, run_id).dataset_revision_id == newer_id


@pytest.mark.parametrize("threads", [6])
def test_people_who_queue_the_same_at_once_queue_it_once(house: House, threads: int) -> None:
    barrier = threading.Barrier(threads)
    answers: list[runs.Queued] = []

    def work() -> None:
        barrier.wait()
        answers.append(house.queue())

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(answers) == threads, "nobody met an error"
    assert sum(len(answer.run_ids) for answer in answers) == 4
    assert sum(answer.already_open for answer in answers) == 4 * (threads - 1)
    with house.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Run)) == 4


def test_nothing_chosen_unknown_or_not_ready_is_refused(house: House) -> None:
    with pytest.raises(Invalid, match="at least one model"):
        house.queue(model_ids=[])
    with pytest.raises(Invalid, match="at least one dataset"):
        house.queue(dataset_ids=[])
    with pytest.raises(NotFound):
        house.queue(model_ids=[*house.models, 10**6])
    with pytest.raises(NotFound):
        house.queue(dataset_ids=[10**6])
    with house.database.session() as session:
        session.get_one(Model, house.models[0]).state = JobState.FAILED
    with pytest.raises(Invalid, match="acme/one is not ready"):
        house.queue()
    with house.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Run)) == 0


def test_a_waiting_run_is_cancelled_at_once_and_a_running_one_is_asked_to_stop(house: House) -> None:
    first, second, *_ = house.queue().run_ids
    with house.database.session() as session:
        held = jobs.claim(session, Run, worker="w", lease_seconds=60)
        assert held is not None and held.id == first
        assert runs.cancel(session, house.admin, first) == JobState.RUNNING
        assert runs.cancel(session, house.admin, second) == JobState.QUEUED
    assert (house.state(first), house.state(second)) == (JobState.RUNNING, JobState.CANCELLED)
    with house.database.session() as session:
        assert jobs.renew(session, held, lease_seconds=60) is True
        with pytest.raises(Conflict, match="cancelled already"):
            runs.cancel(session, house.admin, second)


def test_a_failed_run_is_tried_again_as_a_run_of_its_own_and_once(house: House, woken: list[str]) -> None:
    first, *_ = house.queue().run_ids
    house.end(first, JobState.FAILED)
    woken.clear()
    with house.database.session() as session:
        second = runs.retry(session, house.admin, first)
    assert woken == ["encode"]
    with house.database.reading() as session:
        old, new = session.get_one(Run, first), session.get_one(Run, second)
        assert (old.state, new.state) == (JobState.FAILED, JobState.QUEUED)
        assert (old.model_id, old.dataset_revision_id) == (new.model_id, new.dataset_revision_id)
    with pytest.raises(Conflict, match="waits or works already"), house.database.session() as session:
        runs.retry(session, house.admin, first)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.DONE])
def test_what_has_not_failed_is_not_tried_again(house: House, state: JobState) -> None:
    first, *_ = house.queue().run_ids
    house.end(first, state)
    with pytest.raises(Conflict, match="only failed and cancelled"), house.database.session() as session:
        runs.retry(session, house.admin, first)


@pytest.mark.parametrize("slug", ["gone", "a\0b", "\ud800", ""])
def test_a_dataset_nobody_knows_is_named(house: House, slug: str) -> None:
    with house.database.reading() as session:
        assert runs.ids_of_slugs(session, ["first", "second"]) == house.datasets
        with pytest.raises(NotFound) as error:
            runs.ids_of_slugs(session, ["first", slug])
    assert repr(slug) in error.value.message


def test_a_run_nobody_knows_is_not_found(house: House) -> None:
    with house.database.session() as session, pytest.raises(NotFound):
        runs.cancel(session, Person(1, "ada", Role.ADMIN), 10**6)


COST = runs.ModelCost("cpu: AMD EPYC 9454, 2 threads", 650.5, 19.5, 25.25, 21.75, {"queries": 100})
SCORES = (runs.CellScore("test", "default", "cosine_spearman", 0.5),)


def _complete(house: House, held: jobs.Claim | None, cost: runs.ModelCost) -> bool:
    assert held is not None
    with house.database.session() as session:
        return runs.complete(
            session, held, main_score=0.5, scores=SCORES, evidence=(), provenance={}, log="", measurement=cost
        )


def _claim(house: House, seconds: float = 60) -> jobs.Claim | None:
    with house.database.session() as session:
        return jobs.claim(session, Run, worker="w", lease_seconds=seconds)


def _measured(house: House) -> list[tuple[Any, ...]]:
    columns = (Measurement.model_id, Measurement.device, Measurement.run_id, Measurement.query_p95_ms)
    with house.database.reading() as session:
        return [tuple(row) for row in session.execute(select(*columns).order_by(Measurement.device))]


def test_what_a_model_costs_is_published_with_the_result_and_the_last_figures_stand(house: House) -> None:
    first, second, *_ = house.queue(model_ids=house.models[:1], dataset_ids=house.datasets).run_ids
    model = house.models[0]
    assert _complete(house, _claim(house), COST)
    assert _measured(house) == [(model, COST.device, first, 25.25)]
    with house.database.reading() as session:
        row = session.get_one(Measurement, (model, COST.device))
        assert (row.peak_memory_mb, row.query_p50_ms, row.documents_per_second) == (650.5, 19.5, 21.75)
        assert (row.details, row.measured_at is not None) == ({"queries": 100}, True)
        assert runs.is_measured(session, model, COST.device)
        assert not runs.is_measured(session, model, "cuda: NVIDIA H200")
        assert not runs.is_measured(session, house.models[1], COST.device)
    before = row.measured_at
    assert _complete(house, _claim(house), replace(COST, query_p95_ms=30.0, details={}))
    assert _measured(house) == [(model, COST.device, second, 30.0)]
    with house.database.reading() as session:
        row = session.get_one(Measurement, (model, COST.device))
        assert (row.details, row.measured_at >= before) == ({}, True)


def test_devices_are_kept_apart(house: House) -> None:
    first, second = house.queue(model_ids=house.models[:1], dataset_ids=house.datasets).run_ids
    assert _complete(house, _claim(house), COST)
    assert _complete(house, _claim(house), replace(COST, device="cuda: NVIDIA H200"))
    assert [run_id for *_, run_id, _ in _measured(house)] == [first, second]


def test_workers_that_measure_the_same_at_once_meet_no_error(house: House) -> None:
    house.queue(model_ids=house.models[:1], dataset_ids=house.datasets)
    held = [_claim(house), _claim(house)]
    barrier, answers = threading.Barrier(2), list[bool]()

    def work(claim: jobs.Claim | None) -> None:
        barrier.wait()
        answers.append(_complete(house, claim, COST))

    workers = [threading.Thread(target=work, args=(claim,)) for claim in held]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert answers == [True, True]
    assert [(row[0], row[3]) for row in _measured(house)] == [(house.models[0], 25.25)]


def test_a_lost_run_tells_no_cost(house: House) -> None:
    house.queue(model_ids=house.models[:1], dataset_ids=house.datasets[:1])
    held = _claim(house, -1)
    with house.database.session() as session:
        jobs.sweep(session, max_attempts=3)
    assert not _complete(house, held, COST)
    with house.database.reading() as session:
        assert session.scalars(select(Score)).all() == []
    assert _measured(house) == []
