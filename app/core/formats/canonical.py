"""A dataset as one file of JSON lines, always the same bytes for the same dataset.

The first line is a header (format, version, task type). Each cell is a line with its name and counts and then
its records; the last line holds the SHA-256 of all lines before it. A dataset's revision is the first 40
hexadecimal digits of the SHA-256 of the whole file.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from app.core.formats.codecs import Record, codec
from app.core.records import Cell, Dataset

FORMAT: Final = "touchstone-dataset"
VERSION: Final = 1
REVISION_DIGITS: Final = 40
PREVIEW_CHARS: Final = 500
PREVIEW_ENTRIES: Final = 20

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class CorruptDataset(Exception):
    """A canonical file is not what was written."""


def write(dataset: Dataset, out: BinaryIO) -> str:
    """Write a dataset and tell its revision: 40 hexadecimal digits.

    Raises:
        ValueError: for a score that is not finite, or a text with a lone surrogate; readers let none pass.
    """
    digest = hashlib.sha256()
    for record in _records(dataset):
        line = (_encode(record) + "\n").encode()
        digest.update(line)
        out.write(line)
    end = _end(digest.hexdigest())
    digest.update(end)
    out.write(end)
    return digest.hexdigest()[:REVISION_DIGITS]


def read(path: Path) -> Dataset:
    """The dataset of a file that `write` wrote.

    Raises:
        CorruptDataset: when a byte differs from what was written, or the version is not `VERSION`.
    """
    try:
        with path.open("rb") as file:
            records = _verified(file)
            task_type = _header(next(records, {}))
            cells = []
            for record in records:
                expected = record["counts"]
                cells.append(_read_cell(record, task_type, records, sum(expected.values())))
            return Dataset(task_type, tuple(cells))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptDataset(f"{path.name} is not a whole dataset file: {error!r}") from error


def sample(path: Path, n: int = 5) -> list[Record]:
    """The first `n` records of each kind in the first cell, for a preview, without loading the rest.

    Returns:
        Records with `kind` ("query", "document", "pair", "train" ...) and their fields; texts cut to
        `PREVIEW_CHARS` characters, lists and a query's `relevance` to `PREVIEW_ENTRIES`.

    Raises:
        CorruptDataset: when these lines cannot be read; the file is not verified as a whole.
    """
    try:
        with path.open("rb") as file:
            _header(json.loads(next(file)))
            counts = json.loads(next(file))["counts"]
            wanted = Counter({kind: min(n, count) for kind, count in counts.items()})
            found = []
            while wanted.total():
                line = next(file)
                kind = line[len(b'{"kind":"') :].split(b'"', 1)[0].decode()
                if wanted[kind]:
                    wanted[kind] -= 1
                    found.append({name: _shortened(value) for name, value in json.loads(line).items()})
            return found
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise CorruptDataset(f"{path.name} is not a dataset file: {error!r}") from error


def _records(dataset: Dataset) -> Iterator[Record]:
    """Header, and per cell its name and records."""
    yield {"format": FORMAT, "version": VERSION, "task_type": dataset.task_type}
    form = codec(dataset.task_type)
    for cell in dataset.cells:
        yield {
            "kind": "cell",
            "split": cell.split,
            "subset": cell.subset,
            "counts": form.counts(cell.data),
            **form.options(cell.data),
        }
        yield from form.records(cell.data)


def _end(sha256: str) -> bytes:
    """The last line."""
    return f'{{"kind":"end","sha256":"{sha256}"}}\n'.encode()


def _verified(file: BinaryIO) -> Iterator[Record]:
    """Every record but the last line, which must hold the hash of those before it."""
    digest = hashlib.sha256()
    for line in file:
        record = json.loads(line.decode())
        if record.get("kind") == "end":
            if line != _end(digest.hexdigest()) or file.read(1):
                raise ValueError("the hash in its last line does not fit")
            return
        digest.update(line)
        yield record
    raise ValueError("it ends too early")


def _header(record: Record) -> str:
    """The task type; checks format and version."""
    if record["format"] != FORMAT or record["version"] != VERSION:
        raise ValueError(f"its format is {record['format']} {record['version']}, not {FORMAT} {VERSION}")
    return str(record["task_type"])


def _read_cell(cell: Record, task_type: str, records: Iterator[Record], expected: int) -> Cell:
    """One cell from the next `expected` records."""
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for _ in range(expected):
        record = next(records, None)
        if record is None or record.get("kind") not in cell["counts"]:
            raise ValueError(f"a record is not what its cell announces: {record!r:.80}")
        found[record.pop("kind")].append(record)
    return Cell(cell["split"], cell["subset"], codec(task_type).build(found, cell))


def _shortened(value: Any) -> Any:
    """A value that fits into a preview."""
    if isinstance(value, str) and len(value) > PREVIEW_CHARS:
        return value[: PREVIEW_CHARS - 1] + "…"
    if isinstance(value, dict):
        return dict(list(value.items())[:PREVIEW_ENTRIES])
    if isinstance(value, list):
        return [_shortened(entry) for entry in value[:PREVIEW_ENTRIES]]
    return value
