"""Which split of an upload is scored."""

from collections.abc import Collection
from typing import Final

from app.core.formats.problems import Problem, quoted
from app.core.formats.reading import Reading

TRAIN: Final = "train"
TEST: Final = "test"
STAND_INS: Final = ("validation", "dev")
"""The splits that are scored in place of a missing test, if there is just one of them."""


def scored_split(found: Collection[str], reading: Reading) -> str:
    """Test if it is there, else the only one of validation and dev, with a warning.

    Raises:
        InvalidFile: `no_test_rows`.
    """
    if TEST in found:
        return TEST
    stand_ins = [split for split in STAND_INS if split in found]
    if len(stand_ins) != 1:
        names = ", ".join(quoted(split) for split in sorted(found)[:10])
        message = f'Nothing belongs to the split "test". The splits found are: {names}.'
        reading.problems.fail(Problem("no_test_rows", message, reading.filename, column="split"))
    reading.warnings.add("scored_split", f"There is no test split, so {stand_ins[0]} is scored.")
    return stand_ins[0]


def warn_dropped(split: str, rows: int, reading: Reading) -> None:
    """Tell that `rows` rows of a split are not used."""
    reading.warnings.add("dropped_split", f"Rows of the split {quoted(split)} are not used.", rows)
