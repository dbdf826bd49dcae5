"""Tables to datasets: rows with optional `split` and `subset` columns become scored cells."""

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from app.core.formats.problems import Problem, quoted
from app.core.formats.reading import Reading, Table, counted
from app.core.formats.records import Fields
from app.core.formats.splits import STAND_INS, TEST, TRAIN, scored_split, warn_dropped
from app.core.records import Cell, ClassificationData, Dataset, LabelledText, SentencePair, StsData
from app.core.task_types import DEFAULT_SUBSET

MAX_SUBSETS: Final = 500
MIN_TRAIN_SAMPLES: Final = 2

STS_COLUMNS = ("sentence1", "sentence2", "score")
CLASSIFICATION_COLUMNS = ("text", "label")
SPLIT, SUBSET = "split", "subset"

Key = tuple[str, str]
"""(split, subset)"""


@dataclass(frozen=True, slots=True)
class _KeptRow:
    file: str
    row: int
    values: dict[str, object]
    fields: Fields
    key: Key


def required_columns(task_type: str, *, split_known: bool) -> tuple[str, ...]:
    """The columns that a table of this task type must have."""
    if task_type == "STS":
        return STS_COLUMNS
    return CLASSIFICATION_COLUMNS if split_known else (*CLASSIFICATION_COLUMNS, SPLIT)


def sts(tables: Iterable[Table], reading: Reading) -> Dataset:
    """Scored pairs, a cell a subset of the scored split.

    Raises:
        InvalidFile: whatever is wrong with the rows; `no_test_rows`, `constant_scores`.
    """
    found: defaultdict[Key, list[SentencePair]] = defaultdict(list)
    splits: Counter[str] = Counter()
    for kept in _kept_rows(tables, "STS", (TEST, *STAND_INS), splits, reading):
        fields, row, values = kept.fields, kept.row, kept.values
        first, second = fields.text(row, values, "sentence1"), fields.text(row, values, "sentence2")
        score = fields.number(row, values, "score")
        if first is not None and second is not None and score is not None:
            found[kept.key].append(SentencePair(first, second, score))
    reading.problems.raise_if_any()
    split = _choose_split(splits, (), reading)
    cells = []
    for subset in sorted(subset for found_split, subset in found if found_split == split):
        pairs = tuple(found.pop((split, subset)))
        _check_scores(pairs, subset, reading)
        cells.append(Cell(split, subset, StsData(pairs)))
    reading.problems.raise_if_any()
    return Dataset("STS", tuple(cells))


def classification(tables: Iterable[Table], reading: Reading) -> Dataset:
    """Labelled texts, a cell a subset: its train rows to learn from, its scored split to test on.

    Raises:
        InvalidFile: whatever is wrong with the rows; `no_test_rows`, `no_train_rows`, `one_class`, `too_few_samples`.
    """
    found: defaultdict[Key, list[LabelledText]] = defaultdict(list)
    first_rows: dict[tuple[Key, str], tuple[str, int]] = {}
    splits: Counter[str] = Counter()
    for kept in _kept_rows(tables, "Classification", (TRAIN, TEST, *STAND_INS), splits, reading):
        fields, row, values = kept.fields, kept.row, kept.values
        text, label = fields.text(row, values, "text"), fields.name(row, values, "label")
        if text is not None and label is not None:
            found[kept.key].append(LabelledText(text, sys.intern(label)))
            first_rows.setdefault((kept.key, label), (kept.file, row))
    reading.problems.raise_if_any()
    split = _choose_split(splits, (TRAIN,), reading)
    cells = []
    for subset in sorted({subset for found_split, subset in found if found_split in (TRAIN, split)}):
        train, test = tuple(found.pop((TRAIN, subset), ())), tuple(found.pop((split, subset), ()))
        places = {label: place for (key, label), place in first_rows.items() if key == (TRAIN, subset)}
        _check_classes(train, test, places, subset, reading)
        cells.append(Cell(split, subset, ClassificationData(train, test)))
    reading.problems.raise_if_any()
    return Dataset("Classification", tuple(cells))


def _kept_rows(
    tables: Iterable[Table], task_type: str, kept: Sequence[str], splits: Counter[str], reading: Reading
) -> Iterator[_KeptRow]:
    """The complete rows whose split is one of `kept`; `splits` counts the rows of every split."""
    subsets: set[str] = set()
    for table in tables:
        optional = (SUBSET,) if table.split else (SPLIT, SUBSET)
        required = required_columns(task_type, split_known=table.split is not None)
        fields = Fields(table.file, reading, required=required, optional=optional)
        for row, values in counted(table.rows, table.file, reading):
            if not fields.complete(row, values):
                continue
            split = table.split or _split(fields, row, values)
            subset = _subset(fields, row, values)
            if split is None or subset is None:
                continue
            splits[split] += 1
            if split not in kept:
                continue
            subsets.add(subset)
            if len(subsets) > MAX_SUBSETS:
                message = f"There are more than {MAX_SUBSETS} subsets. Each gets a score of its own; use fewer."
                reading.problems.fail(Problem("too_many_subsets", message, table.file, row, SUBSET), status=413)
            yield _KeptRow(table.file, row, values, fields, (split, subset))


def _split(fields: Fields, row: int, values: dict[str, object]) -> str | None:
    """A row's split in lower case; test where the table has no such column."""
    if SPLIT not in values:
        return TEST
    name = fields.name(row, values, SPLIT)
    return name and name.strip().lower()


def _subset(fields: Fields, row: int, values: dict[str, object]) -> str | None:
    """A row's subset; the default one where it is missing or blank."""
    value = values.get(SUBSET)
    if value is None or (isinstance(value, str) and not value.strip()):
        return DEFAULT_SUBSET
    return fields.name(row, values, SUBSET)


def _choose_split(splits: Counter[str], also_used: Sequence[str], reading: Reading) -> str:
    """The scored split; every other one that is not used is a warning."""
    chosen = scored_split(splits, reading)
    for split, rows in splits.items():
        if split != chosen and split not in also_used:
            warn_dropped(split, rows, reading)
    return chosen


def _in_subset(subset: str) -> str:
    """Words for a message."""
    return "" if subset == DEFAULT_SUBSET else f" of the subset {quoted(subset)}"


def _check_scores(pairs: Sequence[SentencePair], subset: str, reading: Reading) -> None:
    low, high = min(pair.score for pair in pairs), max(pair.score for pair in pairs)
    if math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-12):
        message = f"All scores{_in_subset(subset)} are equal, so no correlation exists. At least two must differ."
        reading.problems.add(Problem("constant_scores", message, reading.filename, column="score"))


def _check_classes(
    train: Sequence[LabelledText],
    test: Sequence[LabelledText],
    places: dict[str, tuple[str, int]],
    subset: str,
    reading: Reading,
) -> None:
    """Note what keeps a classifier from learning or from being tested; `places` has each train label's first row."""
    where = _in_subset(subset)
    for code, rows, name in (("no_train_rows", train, "train"), ("no_test_rows", test, "test")):
        if not rows:
            message = f"There are no {name} rows{where}. Classification needs train and test rows."
            reading.problems.add(Problem(code, message, reading.filename, column=SPLIT))
    if not train or not test:
        return
    counts = Counter(example.label for example in train)
    if len(counts) == 1:
        message = f"The train rows{where} have one label only. At least two are needed."
        reading.problems.add(Problem("one_class", message, reading.filename, column="label"))
    for label, count in counts.items():
        if count < MIN_TRAIN_SAMPLES:
            file, row = places[label]
            message = (
                f"The label {quoted(label)}{where} has {count} train row. At least {MIN_TRAIN_SAMPLES} are needed."
            )
            reading.problems.add(Problem("too_few_samples", message, file, row, "label", quoted(label)))
    strange = sum(example.label not in counts for example in test)
    if strange:
        message = f"Test rows{where} whose label no train row has can never be predicted."
        reading.warnings.add("label_not_in_train", message, strange)
