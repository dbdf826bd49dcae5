"""What runs tell of their model's cost: once a model and kind of device, beside the scores, never instead of them."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import select

from app.db.session import Database
from app.db.tables import JobState, Measurement, Role, Run, Score
from app.errors import RunFailure
from app.services import datasets, jobs, models, runs
from app.services.accounts import Person
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests import factories
from tests.worker.engine_world import WORDS, write_model
from worker import measure
from worker.encoders.base import device_kind
from worker.tasks import DeviceLost, Shop

PAIRS = "sentence1,sentence2,score\n" + "".join(
    f"{WORDS[n]} {WORDS[n + 1]},{WORDS[n]} {WORDS[(n * 7) % 20]},{n % 6}\n" for n in range(19)
)


@dataclass
class World:
    """A house like the demo's, but smaller: a dense model, a variant of it, a baseline and a dataset."""

    database: Database
    shop: Shop
    admin: Person
    model_ids: dict[str, int]
    dataset_id: int

    def queue(self, *models: str) -> list[int]:
        """Runs of these models, again."""
        chosen = [self.model_ids[name] for name in models]
        with self.database.session() as session:
            queued = runs.queue_product(
                session, self.admin, model_ids=chosen, dataset_ids=[self.dataset_id], again=True
            )
        return list(queued.run_ids)

    def run(self, *models: str) -> Run:
        """The last of these models' runs, once all are done."""
        ids = self.queue(*models)
        assert self.shop.work_encode() == len(ids)
        return self.row(ids[-1])

    def row(self, run_id: int) -> Run:
        with self.database.reading() as session:
            return session.get_one(Run, run_id)

    def measured(self) -> dict[int, Measurement]:
        """By model id."""
        with self.database.reading() as session:
            rows = session.scalars(select(Measurement)).all()
        assert {row.device for row in rows} <= {device_kind("cpu")}
        return {row.model_id: row for row in rows}


@pytest.fixture
def world(database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in (("QUERY_SECONDS", 0.0), ("LEAST_QUERIES", 3), ("PASSAGE_SECONDS", 0.001)):
        monkeypatch.setattr(measure, name, value)
    shop = Shop(settings.model_copy(update={"device": "cpu"}), "encode@here-1")
    folder = str(write_model(tmp_path / "made"))
    with database.session() as session:
        admin = factories.person(session, "ada", Role.ADMIN)
        tiny = models.register(session, admin, models.ModelForm("acme/tiny", source="folder", path=folder)).id
        bm25 = models.register(session, admin, models.ModelForm(loader="bm25")).id
        upload_id = datasets.receive(
            session,
            BlobStore(settings.blobs_dir),
            admin,
            datasets.UploadForm("Pairs", "STS", ("eng-Latn",)),
            file=io.BytesIO(PAIRS.encode()),
            file_name="pairs.csv",
            max_bytes=10**6,
        ).id
    assert shop.work_light() == 3
    with database.session() as session:
        variant = models.add_variant(session, admin, tiny, models.ModelForm(truncate_dim=4)).id
        dataset_id = datasets.publish(session, admin, upload_id).id
    yield World(database, shop, admin, {"tiny": tiny, "variant": variant, "bm25": bm25}, dataset_id)
    shop.database.dispose()


def test_every_model_and_variant_is_measured_by_its_first_run(world: World) -> None:
    run = world.run("tiny", "variant", "bm25")
    assert run.state == JobState.DONE
    found = world.measured()
    assert set(found) == {world.model_ids["tiny"], world.model_ids["variant"]}, "a baseline costs nothing"
    row = found[world.model_ids["tiny"]]
    assert 0 < row.query_p50_ms <= row.query_p95_ms
    assert row.documents_per_second > 0 and row.peak_memory_mb > 10
    assert row.details["workload"] == measure.WORKLOAD
    assert row.run_id is not None
    told = (world.row(row.run_id).provenance or {})["measured"]
    assert (told["device"], told["query_p95_ms"]) == (row.device, row.query_p95_ms)
    assert "measure" in world.row(row.run_id).log

    again = world.run("tiny")

    assert again.provenance is not None and "measured" not in again.provenance
    assert world.measured()[row.model_id].run_id == row.run_id


def test_what_is_forgotten_or_of_another_device_is_measured_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = world.model_ids["tiny"]
    world.run("tiny", "variant")
    first = world.measured()[tiny].run_id
    with world.database.session() as session:
        models.forget_measurements(session, world.admin, tiny)
    assert set(world.measured()) == {world.model_ids["variant"]}
    second = world.run("tiny")
    assert world.measured()[tiny].run_id == second.id != first
    monkeypatch.setattr("worker.tasks.device_kind", lambda _: "cuda: NVIDIA H200")
    third = world.run("tiny")
    assert world.measured()[tiny].run_id == third.id


def _failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def failing(*_: Any) -> Any:
        raise error

    monkeypatch.setattr("worker.evaluate.measure_model", failing)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RunFailure("Not even one text fits.", code="gpu_oom", remedy="Use a larger GPU."), "gpu_oom: Not even one"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_a_run_whose_model_cannot_be_measured_has_its_scores_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    _failing(monkeypatch, error)
    run = world.run("tiny")
    assert (run.state, run.failure) == (JobState.DONE, None)
    assert run.main_score is not None
    assert "not measured" in run.log and words in run.log
    assert ("Traceback" in run.log) == isinstance(error, ZeroDivisionError)
    assert (run.provenance or {})["measured"]["failure"]
    assert world.measured() == {}
    monkeypatch.undo()
    world.run("tiny")
    assert len(world.measured()) == 1, "the next run tries again"


def test_a_device_that_is_lost_while_it_is_measured_ends_the_worker_after_the_scores(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _failing(monkeypatch, torch.AcceleratorError("CUDA error: gone"))
    (first, second) = world.queue("tiny", "variant")
    with pytest.raises(DeviceLost):
        world.shop.work_encode()
    assert [world.row(run_id).state for run_id in (first, second)] == [JobState.DONE, JobState.QUEUED]
    assert world.row(first).main_score is not None
    assert not world.shop.busy


@pytest.mark.parametrize("how", ["cancelled", "taken"])
def test_who_loses_a_run_while_it_is_measured_publishes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    (run_id,) = world.queue("tiny")

    def measured(_encoder: Any, check: Callable[[], None]) -> Any:
        with world.database.session() as session:
            if how == "cancelled":
                jobs.request_cancel(session, Run, run_id)
            else:
                jobs.free_worker(session, world.shop.worker, max_attempts=3)
                assert jobs.claim(session, Run, worker="another", lease_seconds=60) is not None
        check.__self__._progress._renew()  # type: ignore[attr-defined] # as the heartbeat does
        check()

    monkeypatch.setattr("worker.evaluate.measure_model", measured)
    world.shop.work_encode()
    assert world.row(run_id).state == {"cancelled": JobState.CANCELLED, "taken": JobState.RUNNING}[how]
    with world.database.reading() as session:
        assert session.scalars(select(Score)).all() == []
    assert world.measured() == {}
