"""The demo pack is brought in step by step, and never keeps a house from starting."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import parquet
from sqlalchemy import select

from app.cli import _advance_demo
from app.core.formats import Limits, read_dataset
from app.core.task_types import TASK_TYPES
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
            upload.report = {**REPORT, "revision": f"{number:x}" * 40, "canonical_sha256": f"{number:x}" * 64}
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
        assert len(session.scalars(select(Run.id)).all()) == 4 * len(demo.DATASETS)
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


SAID = {
    "help-centre.zip": ("queries", "documents"),
    "saved-replies.jsonl": ("queries",),
    "field-notes.zip": ("queries", "documents"),
    "case-notes.zip": ("documents", "changes"),
    "similar-requests.csv": ("pairs",),
    "call-summaries.jsonl": ("texts",),
    "duplicate-requests.tsv": ("pairs",),
    "tickets.jsonl": ("tickets", "labels"),
    "ticket-tags.zip": ("labels", "train", "test"),
    "urgency.csv": ("train", "test"),
    "ticket-topics.parquet": ("texts", "labels"),
    "translations.csv": ("pairs",),
}
"""Which counts a description names, in this order."""


def test_the_board_has_one_dataset_for_each_task_type() -> None:
    assert [form.task_type for form in demo.DATASETS.values()] == list(TASK_TYPES)
    assert list(demo.DATASETS) == list(SAID)
    assert len({form.name for form in demo.DATASETS.values()}) == len(SAID)


@pytest.mark.parametrize("file_name", SAID)
def test_a_description_counts_right(file_name: str, tmp_path: Path) -> None:
    def parquet_rows(path: Path, _: Limits) -> Iterator[tuple[int, dict[str, object]]]:
        return enumerate(parquet.read_table(path).to_pylist(), start=1)

    form, path = demo.DATASETS[file_name], tmp_path / file_name
    path.write_bytes(demo.file_bytes(file_name))
    counts = read_dataset(path, file_name, form.task_type, Limits(), read_parquet=parquet_rows).counts
    counts["tickets"] = counts.get("train", 0) + counts.get("test", 0)
    assert [int(number) for number in re.findall(r"\d+", form.description)] == [
        counts[kind] for kind in SAID[file_name]
    ]
