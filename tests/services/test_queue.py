"""Wake-ups go out after the commit that they speak of, and only then."""

import pytest
from kombu.exceptions import OperationalError
from sqlalchemy import text

from app import queue
from app.db.session import Database
from app.settings import Settings

real_wake = queue.wake


def test_a_wake_up_follows_the_commit_once(database: Database, woken: list[str]) -> None:
    with database.session() as session:
        queue.wake_after_commit(session, "light")
        queue.wake_after_commit(session, "light")
        with session.begin_nested():
            session.execute(text("SELECT 1"))
        assert woken == []
    assert woken == ["light"]


def test_a_rollback_wakes_nobody(database: Database, woken: list[str]) -> None:
    with pytest.raises(RuntimeError), database.session() as session:
        queue.wake_after_commit(session, "encode")
        raise RuntimeError
    assert woken == []


def test_a_broker_that_cannot_be_reached_loses_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def send_task(self, *_: object, **__: object) -> None:
            raise OperationalError("no route")

    monkeypatch.setattr(queue, "_producer", Broken)
    assert real_wake("light") is False


def test_a_message_lies_in_the_embedded_broker(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    celery = queue.make_celery(settings)
    monkeypatch.setattr(queue, "_producer", lambda: celery)
    assert real_wake("encode") is True
    (message,) = (settings.broker_dir / "messages").iterdir()
    assert queue.TASKS["encode"] in message.read_text()
