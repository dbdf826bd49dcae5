"""The keeper of a worker: from the start, whatever the database or the device does, to the end."""

import importlib
from collections.abc import Iterator
from types import ModuleType

import pytest
from celery.exceptions import WorkerShutdown
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.db.session import Database
from app.db.tables import Worker
from app.errors import RunFailure
from app.settings import Settings, get_settings

pytestmark = pytest.mark.both_databases


def _no_device(device: str) -> str:
    raise RunFailure(f"There is no device {device!r} here.", code="unsupported")


@pytest.fixture
def main(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """`worker.main` of an encode worker on the test's database."""
    for name, value in (("DATA_DIR", settings.data_dir), ("DATABASE_URL", settings.database_url)):
        monkeypatch.setenv(f"TOUCHSTONE_{name}", str(value))
    monkeypatch.setenv("TOUCHSTONE_WORKER_QUEUE", "encode")
    get_settings.cache_clear()
    module = importlib.reload(importlib.import_module("worker.main"))
    yield module
    module.shop().database.dispose()
    get_settings.cache_clear()


def _names(database: Database) -> list[tuple[str, str, str]]:
    with database.reading() as session:
        return [(row.name, row.queue, row.device) for row in session.scalars(select(Worker))]


def test_a_worker_stands_in_the_list_from_its_first_turn_to_its_end(main: ModuleType, database: Database) -> None:
    keeper = main.Keeper("cpu")
    keeper.turn()
    keeper.turn()
    assert _names(database) == [(main.WORKER_NAME, "encode", "cpu")]
    keeper.start()
    keeper.end()
    assert _names(database) == []
    assert not keeper.is_alive()


def test_a_database_that_does_not_answer_at_the_start_is_met_again(
    main: ModuleType, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = []

    def turn(self: object) -> None:
        turns.append(1)
        if len(turns) == 1:
            raise OperationalError("SELECT 1", {}, Exception("the database system is starting up"))
        original(self)
        self._ended.set()  # type: ignore[attr-defined]

    original = main.Keeper.turn
    monkeypatch.setattr(main.Keeper, "turn", turn)
    monkeypatch.setattr(main.get_settings(), "sweep_seconds", 0.01)
    keeper = main.Keeper("cpu")
    keeper.run()
    assert len(turns) == 2
    assert _names(database) == [(main.WORKER_NAME, "encode", "cpu")]


def test_a_device_that_is_not_here_keeps_no_worker_from_sweeping(
    main: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.encoders.base.describe_device", _no_device)
    assert main.keeper().device == "none"


def test_without_its_device_the_worker_ends(main: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def work_encode(_: object) -> int:
        raise main.DeviceLost

    monkeypatch.setattr(main.Shop, "work_encode", work_encode)
    with pytest.raises(WorkerShutdown):
        main.work_encode()
