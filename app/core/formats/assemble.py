"""Tables to datasets: rows with optional `split` and `subset` columns become scored cells."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from app.core.formats.delimited import Required
from app.core.formats.forms import FORMS, Form, Layout, Values
from app.core.formats.parts import Key, Part, Place
from app.core.formats.problems import Problem
from app.core.formats.reading import Reading, Table, counted
from app.core.formats.records import Fields
from app.core.formats.splits import TEST, TRAIN, scored_splits, wanted_splits, warn_dropped, warn_missing
from app.core.records import Cell, Dataset
from app.core.task_types import DEFAULT_SUBSET

MAX_SUBSETS: Final = 500
SPLIT, SUBSET, LANGUAGE = "split", "subset", "language"

Parts = dict[Key, Part]


def required_columns(task_type: str, *, split_known: bool) -> Required:
    """Which columns a table of this task type must have, given the ones that it has."""
    form = FORMS[task_type]
    further = (SPLIT,) if form.learns and not split_known else ()
    return lambda columns: (*form.layout(columns).names, *further)


def read_tables(tables: Iterable[Table], task_type: str, reading: Reading) -> Dataset:
    """A cell for each scored split of each subset; where the task type learns, each with its subset's train rows.

    Raises:
        InvalidFile: whatever is wrong with the rows, and what keeps the data from being scored: see `checks`.
    """
    form = FORMS[task_type]
    parts, rows = _read_parts(tables, task_type, reading)
    splits = scored_splits(rows, reading)
    for split, count in rows.items():
        if split not in splits and not (form.learns and split == TRAIN):
            warn_dropped(split, count, reading)
    used = {*splits, TRAIN} if form.learns else {*splits}
    cells: list[Cell] = []
    for subset in sorted({subset for split, subset in parts if split in used}):
        cells += _cells(parts, task_type, subset, splits, reading)
    reading.problems.raise_if_any()
    if not cells:
        reading.problems.fail(Problem("no_rows", "No row is left that can be scored.", reading.filename))
    return Dataset(task_type, tuple(cells))


def _cells(parts: Parts, task_type: str, subset: str, splits: Sequence[str], reading: Reading) -> list[Cell]:
    """The cells of one subset, checked."""
    form = FORMS[task_type]
    found = [parts[split, subset] for split in splits if (split, subset) in parts]
    train = None
    if form.check_train is not None:
        train = parts.get((TRAIN, subset))
        for code, name, there in (("no_train_rows", "train", train), ("no_test_rows", "test", found)):
            if not there:
                where = (train or found[0]).where
                message = f"There are no {name} rows{where}. {task_type} needs train and test rows."
                reading.problems.add(Problem(code, message, reading.filename, column=SPLIT))
        if train is None or not found:
            return []
        form.check_train(train)
    for split in splits:
        if (split, subset) not in parts:
            warn_missing(split, subset, reading)
    cells = []
    for part in found:
        scored = replace(part, train=train)
        data = form.build(scored)
        if form.check is not None:
            form.check(scored, data)
        cells.append(Cell(part.split, subset, data))
    return cells


def _read_parts(tables: Iterable[Table], task_type: str, reading: Reading) -> tuple[Parts, Counter[str]]:
    """The records that may come to be used, by split and subset; and the rows of every split there is.

    Raises:
        InvalidFile: whatever is wrong with the rows.
    """
    form = FORMS[task_type]
    records: defaultdict[Key, list[Any]] = defaultdict(list)
    places: defaultdict[Key, dict[str, Place]] = defaultdict(dict)
    rows: Counter[str] = Counter()
    for table in tables:
        for place, key, record in _records(table, form, rows, reading):
            if key not in records and len({subset for _, subset in (*records, key)}) > MAX_SUBSETS:
                message = f"There are more than {MAX_SUBSETS} subsets. Each gets a score of its own; use fewer."
                reading.problems.fail(Problem("too_many_subsets", message, *place, SUBSET), status=413)
            records[key].append(record)
            for name in form.classes(record):
                places[key].setdefault(name, place)
    reading.problems.raise_if_any()
    return {key: Part(*key, tuple(records.pop(key)), reading, places[key]) for key in tuple(records)}, rows


def _records(table: Table, form: Form, rows: Counter[str], reading: Reading) -> Iterator[tuple[Place, Key, Any]]:
    """The records of those splits that may come to be used; `rows` counts the rows of all of them."""
    kept = {*wanted_splits(reading), TRAIN} if form.learns else {*wanted_splits(reading)}
    taker: _Taker | None = None
    for row, values in counted(table.rows, table.file, reading):
        taker = taker or _Taker.of(table, form, values.keys(), reading)
        if not taker.fields.complete(row, values):
            continue
        key = taker.key(row, values)
        if key is None:
            continue
        rows[key[0]] += 1
        record = taker.layout.record(taker.fields, row, values) if key[0] in kept else None
        if record is not None:
            yield (table.file, row), key, record


@dataclass(frozen=True, slots=True)
class _Taker:
    """How the rows of one table are taken apart; its first row decides, as a header does."""

    table: Table
    fields: Fields
    layout: Layout
    subset: str

    @classmethod
    def of(cls, table: Table, form: Form, columns: Iterable[str], reading: Reading) -> "_Taker":
        """For a table whose first row has these columns."""
        found = set(columns)
        layout = form.layout(found)
        subset = LANGUAGE if LANGUAGE in found and SUBSET not in found else SUBSET
        needs_split = form.learns and table.split is None
        fields = Fields(
            table.file,
            reading,
            required=(*layout.names, SPLIT) if needs_split else layout.names,
            optional=(
                *form.unused,
                *((SPLIT,) if table.split is None else ()),
                *((subset,) if table.subset is None else ()),
            ),
        )
        return cls(table, fields, layout, subset)

    def key(self, row: int, values: Values) -> Key | None:
        """A row's split and subset; None with a problem noted where one is no name."""
        split = self.table.split or self._split(row, values)
        subset = self.table.subset or self._subset(row, values)
        return None if split is None or subset is None else (split, subset)

    def _split(self, row: int, values: Values) -> str | None:
        """In lower case; test where the table has no such column."""
        if SPLIT not in values:
            return TEST
        name = self.fields.name(row, values, SPLIT)
        return name and name.strip().lower()

    def _subset(self, row: int, values: Values) -> str | None:
        """The default one where it is missing or blank."""
        value = values.get(self.subset)
        if value is None or (isinstance(value, str) and not value.strip()):
            return DEFAULT_SUBSET
        return self.fields.name(row, values, self.subset)
