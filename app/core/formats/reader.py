"""From an upload to a dataset: finds the format, reads it, checks it, counts it."""

import contextlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from app.core.formats import assemble, beir, delimited, jsonl
from app.core.formats.archive import Bundle, Folder, open_zip
from app.core.formats.problems import InvalidFile, Problem, quoted
from app.core.formats.reading import Limits, ParquetReader, Progress, Reading, ReadResult, Row, Table
from app.core.formats.sniff import Format, detect, text_format, unsupported
from app.core.formats.streams import Meter, counted_stream
from app.core.records import ClassificationData, Dataset, RetrievalData, StsData
from app.core.task_types import scored_task_type
from app.errors import Invalid

_ASSEMBLERS: dict[str, Callable[[Iterable[Table], Reading], Dataset]] = {
    "STS": assemble.sts,
    "Classification": assemble.classification,
}
_MEMBER = re.compile(r"(train|test|validation|dev)\.(csv|tsv|jsonl|ndjson)")


def read_dataset(
    path: Path,
    filename: str,
    task_type: str,
    limits: Limits,
    *,
    read_parquet: ParquetReader | None = None,
    progress: Progress | None = None,
) -> ReadResult:
    """Read and check a whole upload.

    Args:
        path: the file; or a folder laid out like a zip's content.
        filename: the name that the file came under; shown in problems, its ending tells text formats apart.
        task_type: the name of a scored task type.
        limits: what to refuse as too large.
        read_parquet: rows of a Parquet file; without it Parquet is refused. It reports its own progress.
        progress: called with (bytes done, bytes in all) for every other format.

    Raises:
        InvalidFile: with status 413, 415 or 422 and at most 50 problems.
    """
    try:
        scored_task_type(task_type)
    except Invalid as error:
        raise InvalidFile([Problem(error.code, error.message, filename)]) from error
    reading = Reading(filename, limits, progress)
    if path.is_dir():
        dataset = _read_bundle(Folder(path), task_type, reading)
    else:
        dataset = _read_file(path, task_type, reading, read_parquet)
    return ReadResult(dataset, reading.warnings.found(), count(dataset))


def count(dataset: Dataset) -> dict[str, int]:
    """What a preview shows: queries, documents and judgements; pairs; or train, test and labels; over all cells."""
    counts: dict[str, int] = {}
    labels: set[str] = set()
    for cell in dataset.cells:
        match cell.data:
            case RetrievalData(queries, documents, qrels):
                found = {"queries": len(queries), "documents": len(documents)}
                found["judgements"] = sum(len(judgements) for judgements in qrels.values())
            case StsData(pairs):
                found = {"pairs": len(pairs)}
            case ClassificationData(train, test):
                labels.update(example.label for examples in (train, test) for example in examples)
                found = {"train": len(train), "test": len(test)}
        for name, number in found.items():
            counts[name] = counts.get(name, 0) + number
    return {**counts, "labels": len(labels)} if labels else counts


def _read_file(path: Path, task_type: str, reading: Reading, read_parquet: ParquetReader | None) -> Dataset:
    filename = reading.filename
    form = detect(path, filename)
    if form == "zip":
        with open_zip(path, filename, reading.limits) as bundle:
            return _read_bundle(bundle, task_type, reading)
    if task_type == "Retrieval":
        message = (
            f"Retrieval is read from a zip with {beir.CORPUS}, {beir.QUERIES} and qrels/test.tsv, not from one table."
        )
        raise InvalidFile([Problem("unsupported_file", message, filename)], status=415)
    assembler = _ASSEMBLERS[task_type]
    if form == "parquet":
        if read_parquet is None:
            unsupported("Parquet cannot be read here.", filename)
        return assembler([Table(filename, read_parquet(path, reading.limits))], reading)
    meter = Meter(reading.progress, path.stat().st_size)
    with counted_stream(path.open("rb"), meter.advance) as stream:
        required = assemble.required_columns(task_type, split_known=False)
        table = Table(filename, _text_rows(stream, filename, form, required, reading))
        return assembler([table], reading)


def _read_bundle(bundle: Bundle, task_type: str, reading: Reading) -> Dataset:
    if task_type == "Retrieval":
        return beir.read(bundle, reading)
    with contextlib.closing(_tables(bundle, task_type, reading)) as tables:
        return _ASSEMBLERS[task_type](tables, reading)


def _tables(bundle: Bundle, task_type: str, reading: Reading) -> Generator[Table, None, None]:
    """A table a split, from files named after their split, such as train.csv and test.csv."""
    members = _members(bundle, reading)
    meter = Meter(reading.progress, sum(bundle.size(name) for name in members.values()))
    required = assemble.required_columns(task_type, split_known=True)
    for split, name in members.items():
        with bundle.open(name, meter.advance) as stream:
            form = text_format(name)
            yield Table(name, _text_rows(stream, name, form, required, reading), split)


def _members(bundle: Bundle, reading: Reading) -> dict[str, str]:
    """Split -> the name of its file."""
    members: dict[str, str] = {}
    for name in bundle.names:
        if not _MEMBER.fullmatch(name):
            reading.warnings.add("ignored_file", f"The file {quoted(name)} is not used.")
            continue
        first = members.setdefault(PurePosixPath(name).stem, name)
        if first != name:
            message = f"{first} and {name} hold the same split. Leave one out."
            reading.problems.fail(Problem("doubled_split", message, reading.filename))
    if not members:
        message = (
            "There is no test.csv, test.tsv or test.jsonl (and train.* for Classification). "
            "Name the files after their split, or send one table, such as a Parquet file, without a zip."
        )
        reading.problems.fail(Problem("missing_file", message, reading.filename))
    return members


def _text_rows(
    stream: BinaryIO, file: str, form: Format | None, required: tuple[str, ...], reading: Reading
) -> Iterator[Row]:
    if form == "jsonl":
        return jsonl.read_rows(stream, file, reading)
    delimiter = delimited.TAB if form == "tsv" else delimited.COMMA
    return delimited.read_rows(stream, file, delimiter, required, reading)
