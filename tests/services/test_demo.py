"""The demo pack is brought in step by step, and never keeps a house from starting."""

import pytest
from sqlalchemy import select

from app.cli import _advance_demo
from app.db.session import Database
from app.db.tables import AuditEntry, Benchmark, DatasetRevision, JobState, Model, Run, Upload
from app.services import benchmarks, demo
from app.services.accounts import system_person
from app.settings import Settings
from app.storage.blobs import BlobStore

REPORT = {"ok": True, "canonical_bytes": 1, "counts": {"pairs": 1}, "warnings": []}


@pytest.fixture
def begun(database: Database, settings: Settings) -> Database:
    """A house in which the workers have validated and inspected the demo."""
    with database.session() as session:
        assert demo.begin(session, settings, BlobStore(settings.blobs_dir)) is True
    with database.session() as session:
        for number, upload in enumerate(session.scalars(select(Upload))):
            upload.state = JobState.DONE
            upload.report = {**REPORT, "revision": str(number) * 40, "canonical_sha256": str(number) * 64}
        for model in session.scalars(select(Model)):
            model.state = JobState.DONE
    return database


def _done_with(database: Database) -> list[dict[str, str]]:
    with database.reading() as session:
        return list(session.scalars(select(AuditEntry.detail).where(AuditEntry.action == "demo.ready")))


def test_every_model_is_queued_on_every_dataset_once(begun: Database, settings: Settings) -> None:
    assert [_advance_demo(begun), _advance_demo(begun)] == [True, True]
    assert _done_with(begun) == [{}]
    with begun.session() as session:
        assert len(session.scalars(select(Run.id)).all()) == 12
        assert demo.begin(session, settings, BlobStore(settings.blobs_dir)) is False


def test_a_board_that_was_renamed_meanwhile_stops_the_demo_and_not_the_house(
    begun: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with begun.session() as session:
        slug = session.scalars(select(Benchmark.slug)).one()
        benchmarks.edit(session, system_person(session), slug, new_slug="ours")
    assert _advance_demo(begun) is True
    assert "the demo pack stays unfinished: There is no board 'help-desk-demo'" in capsys.readouterr().err
    assert _advance_demo(begun) is True, "and not at the next start either"
    assert capsys.readouterr().err == ""
    assert _done_with(begun) == [{"unfinished": "There is no board 'help-desk-demo'."}]
    with begun.reading() as session:
        assert session.scalars(select(DatasetRevision.id)).all() == []
