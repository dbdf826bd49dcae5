"""What is wrong with a file: problems with their place, collected and thrown together."""

from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

MAX_PROBLEMS = 50
MAX_WARNINGS = 30
EXCERPT_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault.

    `row` counts from 1 with the header as row 1; in JSON Lines it is the line, in Parquet (no header) the
    record. A record of several lines is one row. `column` is a field name or ""; one that the file chose is
    an excerpt.
    """

    code: str
    message: str
    file: str = ""
    row: int | None = None
    column: str = ""
    excerpt: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Warned:
    """Something odd that was accepted; `count` says how often."""

    code: str
    message: str
    count: int = 1

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


class InvalidFile(Exception):
    """The file cannot be read as a dataset. `status` is 413, 415 or 422; `problems` at most 50 of `total`."""

    def __init__(self, problems: list[Problem], *, total: int | None = None, status: int = 422) -> None:
        super().__init__(problems[0].message if problems else "invalid file")
        self.problems = problems[:MAX_PROBLEMS]
        self.total = len(problems) if total is None else total
        self.status = status


@dataclass(slots=True)
class Problems:
    """Collects problems up to the limit and counts the rest."""

    found: list[Problem] = field(default_factory=list)
    total: int = 0

    def add(self, problem: Problem) -> None:
        """Note one more."""
        self.total += 1
        if len(self.found) < MAX_PROBLEMS:
            self.found.append(problem)

    def raise_if_any(self, status: int = 422) -> None:
        """Raise InvalidFile when something was noted."""
        if self.total:
            raise InvalidFile(self.found, total=self.total, status=status)

    def fail(self, problem: Problem, status: int = 422) -> NoReturn:
        """Raise InvalidFile now, with this problem first: nothing after it can be read."""
        raise InvalidFile([problem, *self.found], total=self.total + 1, status=status)


@dataclass(slots=True)
class Warnings:
    """Counts what was odd; beyond `MAX_WARNINGS` kinds the rest is counted together."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, code: str, message: str, count: int = 1) -> None:
        """Note `count` more of a kind; the message is the same for all of them."""
        kind = (code, message)
        if kind not in self.counts and len(self.counts) >= MAX_WARNINGS:
            kind = ("more_warnings", "There are more warnings of other kinds.")
        self.counts[kind] = self.counts.get(kind, 0) + count

    def found(self) -> tuple[Warned, ...]:
        """All of them, in the order in which they first came up."""
        return tuple(Warned(code, message, count) for (code, message), count in self.counts.items())


def excerpt(text: str) -> str:
    """At most 80 characters of `text`, control characters made visible."""
    shown = "".join(ch if ch.isprintable() else repr(ch)[1:-1] for ch in text[: EXCERPT_LENGTH + 1])
    return shown if len(shown) <= EXCERPT_LENGTH else shown[: EXCERPT_LENGTH - 1] + "…"


def quoted(text: str) -> str:
    """An excerpt in quotation marks, for a message."""
    return f'"{excerpt(text)}"'
