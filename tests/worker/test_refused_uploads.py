"""A refused file, from the form to the report: status, code, row and column stand there, and nothing else is left."""

import dataclasses

import pytest

from app.core.formats import NO_CHOICES, Limits
from app.db.session import Database
from app.db.tables import Upload
from app.services import datasets
from app.services.accounts import Person
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests import factories
from tests.core.refused_files import Case
from tests.core.test_formats_refused import CASES
from tests.upload_flow import traces, validate

BEFORE_STORING = {"unknown_task_type"}
"""What the form refuses, so that no file is stored at all."""


def _one_for_each_code() -> list[Case]:
    """Cases without choices, under limits that settings can express; the others are tested with the reader."""
    chosen: dict[str, Case] = {}
    for case in CASES:
        other = Limits(max_rows=case.limits.max_rows, max_field_chars=case.limits.max_field_chars)
        if (
            case.content
            and case.code not in BEFORE_STORING
            and case.choices == NO_CHOICES
            and dataclasses.asdict(case.limits) == dataclasses.asdict(other)
        ):
            chosen.setdefault(case.code, case)
    return list(chosen.values())


def _send(database: Database, settings: Settings, person: Person, case: Case) -> int:
    content = case.content.encode() if isinstance(case.content, str) else case.content
    form = datasets.UploadForm("Refused", case.task_type, ("eng-Latn",))
    blobs = BlobStore(settings.blobs_dir)
    with database.session() as session, blobs.incoming(max_bytes=settings.upload_max_bytes) as incoming:
        incoming.write(content)
        return datasets.accept(session, person, form, incoming, file_name=case.filename).id


@pytest.mark.parametrize("case", _one_for_each_code(), ids=lambda case: case.code)
def test_a_refused_file_leaves_only_its_report(case: Case, database: Database, settings: Settings) -> None:
    limits = {"upload_max_rows": case.limits.max_rows, "upload_max_field_chars": case.limits.max_field_chars}
    settings = settings.model_copy(update=limits)
    with database.session() as session:
        person = factories.person(session)
    before = traces(database, settings)
    upload_id = _send(database, settings, person, case)
    assert validate(settings) == 1
    with database.reading() as session:
        report = session.get_one(Upload, upload_id).report
    assert report is not None and report["ok"] is False
    first = report["problems"][0]
    assert (report["status"], first["code"], first["row"], first["column"]) == (
        case.status,
        case.code,
        case.row,
        case.column,
    )
    assert traces(database, settings) == before


def test_most_codes_are_among_them() -> None:
    codes = {case.code for case in CASES}
    tried = {case.code for case in _one_for_each_code()}
    assert len(tried) >= 0.8 * len(codes), codes - tried
