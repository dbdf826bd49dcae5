"""Single records of a canonical file, by where their lines stand: the others are neither decoded nor verified."""

import json
import mmap
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np

from app.core.aggregation import Cell, Integers
from app.core.formats.canonical import FORMAT, VERSION, CorruptDataset
from app.core.formats.codecs import Record

_CHUNK: Final = 1 << 24
_NEWLINE: Final = 10
_DOCUMENT: Final = b'{"kind":"document","id":'
_AFTER_ID: Final = b'","title":'
"""No id can hold this: a quotation mark within one has a backslash before it."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Where the records of one cell stand.

    Attributes:
        options: what the cell's own record says besides its name.
        counts: records by kind, in their order.
        first: by kind the line of its first record.
    """

    options: Mapping[str, Any]
    counts: Mapping[str, int]
    first: Mapping[str, int]


class Picker:
    """Picks records of one canonical file. Safe for threads: each call opens the file anew.

    Finding the lines reads the file once, some 1 GB a second, and keeps 8 bytes a line.

    Args:
        path: of a file that `canonical.write` wrote.

    Raises:
        FileNotFoundError: it is gone.
        CorruptDataset: it is no such file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begins = _line_begins(path)
        with self._lines() as line:
            header = line(0)
            if (header["format"], header["version"]) != (FORMAT, VERSION):
                raise ValueError(f"its format is {header['format']} {header['version']}, not {FORMAT} {VERSION}")
            self.task_type = str(header["task_type"])
            self.cells: dict[Cell, Lines] = {}
            number = 1
            while (record := line(number))["kind"] == "cell":
                counts: dict[str, int] = record["counts"]
                firsts = accumulate(counts.values(), initial=number + 1)
                name = record["split"], record["subset"]
                self.cells[name] = Lines(record, counts, dict(zip(counts, firsts, strict=False)))
                number += 1 + sum(counts.values())

    def count(self, cell: Cell, kind: str) -> int:
        """How many records of a kind a cell has."""
        return self._cell(cell).counts.get(kind, 0)

    def pick(self, cell: Cell, kind: str, places: Iterable[int]) -> dict[int, Record]:
        """Some records of a kind, by their place among those of the cell, from 0; places that are none are left out.

        Raises:
            FileNotFoundError: the file is gone.
            CorruptDataset: there is no such cell, or a record is not where it should be.
        """
        count, first = self.count(cell, kind), self._cell(cell).first.get(kind, 0)
        with self._lines() as line:
            found = {place: line(first + place) for place in sorted(set(places)) if 0 <= place < count}
            if any(record["kind"] != kind for record in found.values()):
                raise ValueError(f"a {kind} is not where its cell announces it")
            return found

    def each(self, cell: Cell, kind: str) -> Iterator[Record]:
        """All records of a kind, in their order, one after the other."""
        count, first = self.count(cell, kind), self._cell(cell).first.get(kind, 0)
        with self._lines() as line:
            for number in range(first, first + count):
                yield line(number)

    def document_places(self, cell: Cell, ids: Collection[str]) -> dict[str, int]:
        """The places of documents by id; ids that no document has are left out. Only the ids are looked at."""
        wanted = {json.dumps(name, ensure_ascii=False).encode(): name for name in ids}
        count, first = self.count(cell, "document"), self._cell(cell).first.get("document", 0)
        places: dict[str, int] = {}
        begins = self._begins[first : first + count + 1].tolist()
        with self._mapped() as content:
            for place in range(count if wanted else 0):
                begin = begins[place] + len(_DOCUMENT)
                name = content[begin : content.find(_AFTER_ID, begin, begins[place + 1]) + 1]
                if name in wanted:
                    places[wanted[name]] = place
        return places

    def _cell(self, cell: Cell) -> Lines:
        if cell not in self.cells:
            raise CorruptDataset(f"{self._path.name} has no part {cell}")
        return self.cells[cell]

    @contextmanager
    def _mapped(self) -> Iterator[mmap.mmap]:
        with self._path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content

    @contextmanager
    def _lines(self) -> Iterator[Any]:
        """Reads lines by number.

        Raises:
            CorruptDataset: for any line that is no record.
        """
        try:
            with self._path.open("rb") as file:

                def line(number: int) -> Record:
                    file.seek(int(self._begins[number]))
                    record: Record = json.loads(file.readline())
                    return record

                yield line
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise CorruptDataset(f"{self._path.name} is not a dataset file: {error!r}") from error


def _line_begins(path: Path) -> Integers:
    """Shape (lines + 1,): where each line begins, and where the file ends."""
    begins, offset = [np.zeros(1, np.int64)], 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == _NEWLINE)
            begins.append(ends + offset + 1)
            offset += len(chunk)
    return np.concatenate(begins)
