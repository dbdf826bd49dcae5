"""Examples as rows of a list, of a page, an export or the API: what each is called, what it says, its two values."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np

from app.core.aggregation import Integers
from app.core.formats.codecs import Record
from app.services.examples import facts
from app.services.examples.columns import Column, Fact, Value, added_facts, columns_of, query_pairs
from app.services.examples.facts import KINDS
from app.services.examples.matchups import CellMatch, Examples, Matchup

_CHUNK: Final = 500
"""Rows of an export that are made at a time."""
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class ExampleRow:
    """One example in a list.

    Attributes:
        id: of a query or of a pair of queries; "" where examples have none.
        texts: what it says, one or two texts; None for those who may not see it.
        facts: by the keys of the columns.
    """

    number: int
    cell: CellMatch
    place: int
    id: str
    texts: tuple[str, ...] | None
    a: float
    b: float
    difference: float
    facts: dict[str, Fact]


def rows(matchup: Matchup, found: Examples, numbers: Sequence[int], *, may_see: bool) -> list[ExampleRow]:
    """Some of the examples, in the order of their numbers.

    Args:
        matchup: whose examples they are.
        found: all of them.
        numbers: which ones, up to some hundreds.
        may_see: whether their texts may be seen.

    Raises:
        NotFound: code `evidence_missing` or `dataset_missing`.
    """
    made: dict[int, ExampleRow] = {}
    wanted = np.asarray(numbers, np.int64)
    difference = found.difference
    for cell_number, cell in enumerate(matchup.cells):
        mine = wanted[found.cell[wanted] == cell_number]
        if not len(mine):
            continue
        places: list[int] = found.place[mine].tolist()
        records = facts.records(matchup.path, cell.cell, KINDS[matchup.dataset.task_type], places)
        told = _texts(matchup, cell, records) if may_see else {}
        added = added_facts(matchup, cell, places, records, may_see)
        for at, (number, place) in enumerate(zip(mine.tolist(), places, strict=True)):
            made[number] = ExampleRow(
                number,
                cell,
                place,
                str(records.get(place, {}).get("id", "")) if may_see else "",
                told.get(place, ()) if may_see else None,
                float(found.a[number]),
                float(found.b[number]),
                float(difference[number]),
                {key: values[at] for key, values in added.items()},
            )
    return [made[number] for number in wanted.tolist()]


def bare_rows(matchup: Matchup, found: Examples, numbers: Sequence[int]) -> list[ExampleRow]:
    """The same without anything that the dataset's file tells, for when it is gone."""
    difference = found.difference
    return [
        ExampleRow(
            number,
            matchup.cells[int(found.cell[number])],
            int(found.place[number]),
            "",
            None,
            float(found.a[number]),
            float(found.b[number]),
            float(difference[number]),
            {},
        )
        for number in map(int, numbers)
    ]


def as_dict(row: ExampleRow, columns: Sequence[Column]) -> dict[str, Any]:
    """JSON-ready; `facts` by the keys of the columns, a and b apart where each model has a value."""
    return {
        "split": row.cell.split,
        "subset": row.cell.subset,
        "place": row.place,
        "id": row.id,
        "texts": row.texts,
        "a": row.a,
        "b": row.b,
        "difference": row.difference,
        "facts": dict(_flat(row, columns)),
    }


def csv_parts(matchup: Matchup, found: Examples, numbers: Integers, *, may_see: bool) -> Iterator[str]:
    """These examples as CSV, some hundreds of lines at a time; text never begins like a formula.

    Raises:
        NotFound: code `dataset_missing` or `evidence_missing`, before anything is given.
    """
    parts = _csv_parts(matchup, found, numbers, may_see)
    return chain([next(parts), next(parts, "")], parts)


def _csv_parts(matchup: Matchup, found: Examples, numbers: Integers, may_see: bool) -> Iterator[str]:
    columns = columns_of(matchup, may_see)
    added = [key for column in columns for key in column.keys]
    texts = ["text", "second_text"] if may_see else []
    yield _lines([["split", "subset", "place", "id", *texts, "score_a", "score_b", "difference", *added]])
    for start in range(0, len(numbers), _CHUNK):
        lines: list[list[Value]] = []
        for row in rows(matchup, found, numbers[start : start + _CHUNK].tolist(), may_see=may_see):
            said = (*(row.texts or ()), "", "")[: len(texts)]
            flat = dict(_flat(row, columns))
            named = row.cell.split, row.cell.subset, row.place, row.id
            lines.append([*named, *said, row.a, row.b, row.difference, *(flat.get(key) for key in added)])
        yield _lines(lines)


def _flat(row: ExampleRow, columns: Sequence[Column]) -> Iterator[tuple[str, Value]]:
    for column in columns:
        fact = row.facts.get(column.key)
        values = fact if isinstance(fact, tuple) else (fact,) * len(column.keys)
        yield from zip(column.keys, values, strict=True)


def _lines(rows_of_values: Iterable[Sequence[Value]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([_safe(value) for value in values] for values in rows_of_values)
    return out.getvalue()


def _safe(value: Value) -> Value:
    """A spreadsheet runs text that begins like a formula; numbers are none."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def _texts(matchup: Matchup, cell: CellMatch, records: dict[int, Record]) -> dict[int, tuple[str, ...]]:
    """What examples say, by place."""
    if matchup.dataset.task_type == "InstructionReranking":
        pairs = query_pairs(matchup, cell, records)
        return {place: (facts.read_text(original.record),) for place, (original, _) in pairs.items()}
    return {place: texts_of(record) for place, record in records.items()}


def texts_of(record: Record) -> tuple[str, ...]:
    """One text, or the two of a pair."""
    if "sentence1" in record:
        return record["sentence1"], record["sentence2"]
    return (facts.read_text(record),)
