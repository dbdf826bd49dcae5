"""Which task type a file or folder is of, told by its columns or by the names of its files."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from app.core.formats import Limits, Row, beir, delimited, jsonl
from app.core.formats.archive import Bundle, Folder, open_zip
from app.core.formats.beir_files import INSTRUCTION
from app.core.formats.forms import FORMS
from app.core.formats.reading import Reading, counted
from app.core.formats.sniff import Format, detect, text_format
from app.core.formats.splits import TEST, TRAIN
from app.core.formats.streams import counted_stream
from app.errors import Invalid

_SPLIT: Final = "split"


@dataclass(frozen=True, slots=True)
class Guess:
    """A task type, and what tells it, such as "columns sentence1, sentence2 and score"."""

    task_type: str
    told_by: str


def guess(path: Path) -> Guess:
    """The task type whose columns or files fit best; the one that uses most of them, if several fit.

    Raises:
        InvalidFile: the first rows cannot be read.
        Invalid: no task type has any of these columns.
    """
    reading = Reading(path.name, Limits())
    if path.is_dir():
        return _of_bundle(Folder(path), reading)
    form = detect(path, path.name)
    if form == "zip":
        with open_zip(path, path.name, reading.limits) as bundle:
            return _of_bundle(bundle, reading)
    if form == "parquet":
        from worker import parquet  # noqa: PLC0415 -- only for Parquet

        return _of_table(_first(parquet.read_rows(path, reading.limits, filename=path.name), path.name, reading))
    with counted_stream(path.open("rb"), lambda _: None) as stream:
        return _of_table(_first(_rows(stream, path.name, form, reading), path.name, reading))


def _of_bundle(bundle: Bundle, reading: Reading) -> Guess:
    if beir.looks_like(bundle):
        return _of_corpus(bundle, reading)
    splits = {PurePosixPath(name).stem: name for name in bundle.names if text_format(name)}
    if not splits:
        raise Invalid(f"There is no table in {reading.filename}. Name the files after their split, such as test.csv.")
    name = splits.get(TEST, next(iter(splits.values())))
    return _of_table(_first_in(bundle, name, reading), learns=TRAIN in splits)


def _of_corpus(bundle: Bundle, reading: Reading) -> Guess:
    """A task type of the retrieval family."""
    files = {PurePosixPath(name).name: name for name in bundle.names}
    if beir.CHANGES in files:
        return Guess("InstructionReranking", f"file {beir.CHANGES}")
    if beir.INSTRUCTIONS in files:
        return Guess("InstructionRetrieval", f"file {beir.INSTRUCTIONS}")
    if any(beir.CANDIDATES in PurePosixPath(name).parts for name in bundle.names):
        return Guess("Reranking", f"folder {beir.CANDIDATES}")
    if beir.QUERIES in files and INSTRUCTION in _first_in(bundle, files[beir.QUERIES], reading):
        return Guess("InstructionRetrieval", f"column {INSTRUCTION} of {beir.QUERIES}")
    return Guess("Retrieval", f"file {beir.CORPUS if beir.CORPUS in files else beir.QUERIES}")


def _of_table(row: dict[str, object], *, learns: bool = False) -> Guess:
    """A task type that is read from tables.

    Args:
        row: the first one.
        learns: whether a file of training rows is beside it.
    """
    columns = {*row, _SPLIT} if learns else set(row)

    def fit(task_type: str) -> tuple[int, int]:
        names = _needed(task_type, columns)
        return -len(names - columns), len(names & columns)

    fitting = (name for name in FORMS if not _contradicts(name, row))
    best = max(fitting, key=fit)
    used = [name for name in row if name in _needed(best, columns)]
    if not used:
        shown = ", ".join(list(row)[:10])
        raise Invalid(f"The columns {shown} belong to no task type. Name the task type, and the columns as it needs.")
    return Guess(best, f"column{'s' * (len(used) > 1)} {_listed(used)}")


def _needed(task_type: str, columns: Collection[str]) -> set[str]:
    """The columns that a table of that type needs, in the layout that fits it best."""
    form = FORMS[task_type]
    return {*form.layout(columns).names, *([_SPLIT] if form.learns else [])}


def _contradicts(task_type: str, row: dict[str, object]) -> bool:
    """Whether the values are of another kind: one class a text, or a list of them."""
    if "label" not in row:
        return False
    listed = isinstance(row["label"], list)
    return task_type == ("Classification" if listed else "MultilabelClassification")


def _first_in(bundle: Bundle, name: str, reading: Reading) -> dict[str, object]:
    with contextlib.closing(bundle.open(name, lambda _: None)) as stream:
        return _first(_rows(stream, name, text_format(name), reading), name, reading)


def _rows(stream: BinaryIO, file: str, form: Format | None, reading: Reading) -> Iterator[Row]:
    if form == "jsonl":
        return jsonl.read_rows(stream, file, reading)
    delimiter = delimited.TAB if form == "tsv" else delimited.COMMA
    return delimited.read_rows(stream, file, delimiter, lambda _: (), reading)


def _first(rows: Iterator[Row], file: str, reading: Reading) -> dict[str, object]:
    _, values = next(counted(rows, file, reading))
    return values


def _listed(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
