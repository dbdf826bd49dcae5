"""What every reader shares: limits, the result, and the state of one reading."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.core.formats.problems import Problem, Problems, Warned, Warnings
from app.core.records import Dataset


@dataclass(frozen=True)
class Limits:
    """How much a file may hold: rows a table, characters a field, unpacked bytes and entries an archive."""

    max_rows: int = 2_000_000
    max_field_chars: int = 1_000_000
    max_unpacked_bytes: int = 4 * 1024**3
    max_entries: int = 100

    @property
    def max_line_bytes(self) -> int:
        """The longest line that can hold fields within the limit, however they are escaped."""
        return 16 * self.max_field_chars


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person says about a file that the file cannot say itself.

    Attributes:
        splits: the splits to score; empty for test, or the only one of validation and dev.
        ignore_identical_ids: retrieval family: leave a document whose id is the query's out of its ranking.
        cluster_sets: Clustering: cut the rows, in their order, into so many sets, each clustered as a whole.
    """

    splits: tuple[str, ...] = ()
    ignore_identical_ids: bool = False
    cluster_sets: int | None = None


NO_CHOICES = Choices()


@dataclass(frozen=True)
class ReadResult:
    """A file that was read. `counts` are what a preview shows, by kind."""

    dataset: Dataset
    warnings: tuple[Warned, ...]
    counts: dict[str, int]


Row = tuple[int, dict[str, object]]
"""A row's number and its values by column."""

ParquetReader = Callable[[Path, Limits], Iterator[Row]]
Progress = Callable[[int, int], None]
"""Called with (done, total); bytes."""


@dataclass(slots=True)
class Reading:
    """One reading of one upload: its name and limits, whom to tell, and what was found so far."""

    filename: str
    limits: Limits
    progress: Progress | None = None
    choices: Choices = NO_CHOICES
    problems: Problems = field(default_factory=Problems)
    warnings: Warnings = field(default_factory=Warnings)


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file; `split` and `subset` where the file's name and folder say to which they belong."""

    file: str
    rows: Iterator[Row]
    split: str | None = None
    subset: str | None = None


def counted(rows: Iterator[Row], file: str, reading: Reading) -> Iterator[Row]:
    """The same rows, at least one and at most the limit.

    Raises:
        InvalidFile: `too_many_rows` (413), `no_rows`.
    """
    count = 0
    for count, row in enumerate(rows, start=1):
        if count > reading.limits.max_rows:
            message = f"There are more than {reading.limits.max_rows:,} rows. Split the file."
            reading.problems.fail(Problem("too_many_rows", message, file, row[0]), status=413)
        yield row
    if not count:
        reading.problems.raise_if_any()
        reading.problems.fail(Problem("no_rows", "The file has no rows of data.", file))
