"""The rows of a table sorted by split and subset, before they become cells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.formats.problems import Problem, quoted
from app.core.formats.reading import Reading
from app.core.task_types import DEFAULT_SUBSET

Key = tuple[str, str]
"""(split, subset)"""

Place = tuple[str, int]
"""(file, row)"""


@dataclass(frozen=True, slots=True)
class Part:
    """The records of one split of one subset.

    Attributes:
        split: its name.
        subset: its name.
        records: in the order of their rows.
        reading: what takes problems and warnings.
        places: where each class stands first; for train rows of task types that need it.
        train: what is learnt from; None where nothing is, and in a train part itself.
    """

    split: str
    subset: str
    records: tuple[Any, ...]
    reading: Reading
    places: Mapping[str, Place] = field(default_factory=dict)
    train: "Part | None" = None

    @property
    def where(self) -> str:
        """Words for a message: which of several subsets and splits this is."""
        words = "" if self.subset == DEFAULT_SUBSET else f" of the subset {quoted(self.subset)}"
        several = len(self.reading.choices.splits) > 1
        return f"{words} in the split {quoted(self.split)}" if several else words

    def note(self, code: str, message: str, column: str) -> None:
        """Note a problem of the part as a whole."""
        self.reading.problems.add(Problem(code, message, self.reading.filename, column=column))

    def warn(self, code: str, message: str, count: int) -> None:
        """Note something odd that was accepted."""
        self.reading.warnings.add(code, message, count)
