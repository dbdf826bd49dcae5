"""From an upload to a dataset: finds the format, reads it, checks it, counts it."""

import contextlib
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from app.core.formats import assemble, beir, delimited, jsonl
from app.core.formats.archive import Bundle, Folder, open_zip
from app.core.formats.counts import count
from app.core.formats.forms import FORMS
from app.core.formats.problems import InvalidFile, Problem, quoted
from app.core.formats.reading import (
    NO_CHOICES,
    Choices,
    Limits,
    ParquetReader,
    Progress,
    Reading,
    ReadResult,
    Row,
    Table,
)
from app.core.formats.sniff import Format, detect, text_format, unsupported
from app.core.formats.splits import STAND_INS, TEST, TRAIN, check_choices, check_folder
from app.core.formats.streams import Meter, counted_stream
from app.core.records import Dataset
from app.core.task_types import task_type as find_task_type
from app.errors import Invalid

_MEMBER: Final = re.compile(r"(?:([^/]+)/)?([a-z0-9_.-]+)\.(csv|tsv|jsonl|ndjson)", re.ASCII)
"""A file of a zip or folder: subset, split, format."""


def read_dataset(
    path: Path,
    filename: str,
    task_type: str,
    limits: Limits,
    *,
    read_parquet: ParquetReader | None = None,
    progress: Progress | None = None,
    choices: Choices = NO_CHOICES,
) -> ReadResult:
    """Read and check a whole upload.

    Args:
        path: the file; or a folder laid out like a zip's content.
        filename: the name that the file came under; shown in problems, its ending tells text formats apart.
        task_type: its name.
        limits: what to refuse as too large.
        read_parquet: rows of a Parquet file; without it Parquet is refused. It reports its own progress.
        progress: called with (bytes done, bytes in all) for every other format.
        choices: see `Choices`.

    Raises:
        InvalidFile: with status 413, 415 or 422 and at most 50 problems.
    """
    try:
        find_task_type(task_type)
    except Invalid as error:
        raise InvalidFile([Problem(error.code, error.message, filename)]) from error
    reading = Reading(filename, limits, progress, choices)
    learns = task_type in FORMS and FORMS[task_type].learns
    check_choices(task_type, reading, retrieval=task_type in beir.RULES, learns=learns)
    if path.is_dir():
        dataset = _read_bundle(Folder(path), task_type, reading)
    else:
        dataset = _read_file(path, task_type, reading, read_parquet)
    return ReadResult(dataset, reading.warnings.found(), count(dataset))


def _read_file(path: Path, task_type: str, reading: Reading, read_parquet: ParquetReader | None) -> Dataset:
    filename = reading.filename
    form = detect(path, filename)
    if form == "zip":
        with open_zip(path, filename, reading.limits) as bundle:
            return _read_bundle(bundle, task_type, reading)
    if task_type not in FORMS:
        message = f"{task_type} is read from a zip with {beir.needed_files(task_type)}, not from one table."
        raise InvalidFile([Problem("unsupported_file", message, filename)], status=415)
    if form == "parquet":
        if read_parquet is None:
            unsupported("Parquet cannot be read here.", filename)
        return assemble.read_tables([Table(filename, read_parquet(path, reading.limits))], task_type, reading)
    meter = Meter(reading.progress, path.stat().st_size)
    with counted_stream(path.open("rb"), meter.advance) as stream:
        required = assemble.required_columns(task_type, split_known=False)
        table = Table(filename, _text_rows(stream, filename, form, required, reading))
        return assemble.read_tables([table], task_type, reading)


def _read_bundle(bundle: Bundle, task_type: str, reading: Reading) -> Dataset:
    if task_type not in FORMS or (task_type in beir.RULES and beir.looks_like(bundle)):
        return beir.read(bundle, task_type, reading)
    with contextlib.closing(_tables(bundle, task_type, reading)) as tables:
        return assemble.read_tables(tables, task_type, reading)


def _tables(bundle: Bundle, task_type: str, reading: Reading) -> Generator[Table, None, None]:
    """A table a split, from files named after their split, such as train.csv and test.csv, in a folder a subset."""
    members = _members(bundle, task_type, reading)
    meter = Meter(reading.progress, sum(bundle.size(name) for name in members.values()))
    required = assemble.required_columns(task_type, split_known=True)
    for (subset, split), name in members.items():
        with bundle.open(name, meter.advance) as stream:
            form = text_format(name)
            yield Table(name, _text_rows(stream, name, form, required, reading), split, subset)


def _members(bundle: Bundle, task_type: str, reading: Reading) -> dict[tuple[str | None, str], str]:
    """(subset, split) -> the name of its file; no subset where the file is in no folder."""
    splits = {TRAIN, TEST, *STAND_INS, *reading.choices.splits}
    members: dict[tuple[str | None, str], str] = {}
    for name in bundle.names:
        match = _MEMBER.fullmatch(name)
        if match is None or match[2] not in splits:
            reading.warnings.add("ignored_file", f"The file {quoted(name)} is not used.")
            continue
        if match[1] is not None:
            check_folder(match[1], reading)
        first = members.setdefault((match[1], match[2]), name)
        if first != name:
            message = f"{first} and {name} hold the same split. Leave one out."
            reading.problems.fail(Problem("doubled_split", message, reading.filename))
    if not members:
        beside = " (and train.*)" if FORMS[task_type].learns else ""
        message = (
            f"There is no test.csv, test.tsv or test.jsonl{beside}. "
            "Name the files after their split, or send one table, such as a Parquet file, without a zip."
        )
        reading.problems.fail(Problem("missing_file", message, reading.filename))
    return members


def _text_rows(
    stream: BinaryIO, file: str, form: Format | None, required: delimited.Required, reading: Reading
) -> Iterator[Row]:
    if form == "jsonl":
        return jsonl.read_rows(stream, file, reading)
    delimiter = delimited.TAB if form == "tsv" else delimited.COMMA
    return delimited.read_rows(stream, file, delimiter, required, reading)
