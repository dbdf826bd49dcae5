"""Which splits of an upload are scored, and whether the choices fit its task type."""

import re
from collections.abc import Collection
from typing import Final

from app.core.formats.problems import Problem, quoted
from app.core.formats.reading import Reading
from app.core.formats.records import MAX_NAME_CHARS, UNSAFE_IN_NAMES

TRAIN: Final = "train"
TEST: Final = "test"
STAND_INS: Final = ("validation", "dev")
"""The splits that are scored in place of a missing test, if there is just one of them."""

_NAME = re.compile(r"[a-z0-9_.-]+", re.ASCII)


def check_choices(task_type: str, reading: Reading, *, retrieval: bool, learns: bool) -> None:
    """Refuse choices that mean nothing for a task type.

    Raises:
        InvalidFile: `bad_choice`, the column being the choice's name.
    """
    choices = reading.choices
    for split in choices.splits:
        if not _NAME.fullmatch(split):
            message = f"{quoted(split)} is no name of a split. Use small letters, digits, dots, dashes and underscores."
            reading.problems.add(Problem("bad_choice", message, reading.filename, column="splits"))
    if learns and TRAIN in choices.splits:
        message = f"{task_type} learns from train, so train cannot be scored. Choose other splits."
        reading.problems.add(Problem("bad_choice", message, reading.filename, column="splits"))
    if choices.ignore_identical_ids and not retrieval:
        message = f"{task_type} has no documents, so identical ids cannot be ignored. Leave this choice out."
        reading.problems.add(Problem("bad_choice", message, reading.filename, column="ignore_identical_ids"))
    if choices.cluster_sets is not None and (task_type != "Clustering" or choices.cluster_sets < 1):
        message = "The number of cluster sets is at least 1, and only Clustering has them. Leave this choice out."
        reading.problems.add(Problem("bad_choice", message, reading.filename, column="cluster_sets"))
    reading.problems.raise_if_any()


def wanted_splits(reading: Reading) -> tuple[str, ...]:
    """The splits that may come to be scored."""
    return reading.choices.splits or (TEST, *STAND_INS)


def scored_splits(found: Collection[str], reading: Reading) -> tuple[str, ...]:
    """The chosen splits; without a choice test, else the only one of validation and dev, with a warning.

    Raises:
        InvalidFile: `unknown_split`, `no_test_rows`; both name the splits that there are.
    """
    names = ", ".join(quoted(split) for split in sorted(found)[:10])
    for split in reading.choices.splits:
        if split not in found:
            message = f"There is no split {quoted(split)}. The splits found are: {names}."
            reading.problems.add(Problem("unknown_split", message, reading.filename, column="split"))
    reading.problems.raise_if_any()
    if reading.choices.splits:
        return tuple(sorted(set(reading.choices.splits)))
    if TEST in found:
        return (TEST,)
    stand_ins = [split for split in STAND_INS if split in found]
    if len(stand_ins) != 1:
        message = f'Nothing belongs to the split "test". The splits found are: {names}.'
        reading.problems.fail(Problem("no_test_rows", message, reading.filename, column="split"))
    reading.warnings.add("scored_split", f"There is no test split, so {stand_ins[0]} is scored.")
    return (stand_ins[0],)


def warn_dropped(split: str, rows: int, reading: Reading) -> None:
    """Tell that `rows` rows of a split are not used."""
    reading.warnings.add("dropped_split", f"Rows of the split {quoted(split)} are not used.", rows)


def warn_missing(split: str, subset: str, reading: Reading) -> None:
    """Tell that a subset has no rows of a split that others have."""
    message = f"The subset {quoted(subset)} has no split {quoted(split)}, so it gets no score for that."
    reading.warnings.add("missing_split", message)


def check_folder(folder: str, reading: Reading) -> None:
    """Refuse a folder whose name is no name for a subset.

    Raises:
        InvalidFile: `unsafe_name`.
    """
    if not folder.strip() or len(folder) > MAX_NAME_CHARS or UNSAFE_IN_NAMES.search(folder):
        message = f"The folder {quoted(folder)} names a subset. Its name must be short, without control characters."
        reading.problems.fail(Problem("unsafe_name", message, reading.filename, column="subset"))
