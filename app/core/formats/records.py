"""Checked values out of rows: the rules for texts, names, numbers and lists of them, the same in every format."""

import json
import math
import re
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, TypeVar

from app.core.formats.problems import Problem, excerpt, quoted
from app.core.formats.reading import Reading

MAX_NAME_CHARS: Final = 1000
MAX_SCORE: Final = 1e9
MAX_RELEVANCE: Final = 1_000_000

UNSAFE_IN_NAMES: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, bidirectional marks, line separators and lone surrogates."""

Value = TypeVar("Value")

_MAX_NUMBER_CHARS = 100
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_TRUTHS = {"0": 0, "1": 1, "false": 0, "true": 1}
_RELEVANCE = re.compile(r"(\d{1,9})(\.0+)?", re.ASCII)


class Fault(Exception):
    """What is wrong with a value: a code, words that follow the column's name, and that name if need be."""

    def __init__(self, code: str, words: str, column: str = "") -> None:
        super().__init__(words)
        self.code = code
        self.column = column


class LeftOut(Exception):
    """A row that is not used: the code and the message of a warning."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Fields:
    """Takes the columns of one table out of its rows; notes a problem and gives None where a value is bad."""

    def __init__(
        self, file: str, reading: Reading, *, required: Collection[str], optional: Collection[str] = ()
    ) -> None:
        self._file = file
        self._reading = reading
        self._required = frozenset(required)
        self._known = self._required | frozenset(optional)
        self._first = True

    def complete(self, row: int, values: dict[str, object]) -> bool:
        """Whether a row has every required column; unknown ones are counted as warnings.

        Raises:
            InvalidFile: `missing_column`, when the first row lacks one already.
        """
        columns = values.keys()
        if not columns <= self._known:
            for name in columns - self._known:
                self._reading.warnings.add("unknown_column", f"The column {quoted(name)} is not used.")
        missing = sorted(self._required - columns)
        for name in missing:
            message = (
                f"Row {row} has no {quoted(name)}. It has: {', '.join(map(quoted, list(columns)[:20])) or 'nothing'}."
            )
            self._reading.problems.add(Problem("missing_column", message, self._file, row, name))
        if self._first and missing:
            self._reading.problems.raise_if_any()
        self._first = False
        return not missing

    def text(self, row: int, values: dict[str, object], column: str, *, blank: bool = False) -> str | None:
        """A text, unchanged: any characters but NUL and lone surrogates; `blank` allows an empty one."""
        return self._checked(_text_or_blank if blank else _text, row, values, column)

    def name(self, row: int, values: dict[str, object], column: str) -> str | None:
        """An id, label or other name: a short text without control and bidirectional characters, or a whole number."""
        return self._checked(_name, row, values, column, max_chars=MAX_NAME_CHARS)

    def number(self, row: int, values: dict[str, object], column: str) -> float | None:
        """A finite number between -`MAX_SCORE` and `MAX_SCORE`, in figures with a decimal point."""
        return self._checked(_number, row, values, column)

    def relevance(self, row: int, values: dict[str, object], column: str) -> int | None:
        """A whole number from 0 (irrelevant) to `MAX_RELEVANCE`."""
        return self._checked(_relevance, row, values, column)

    def truth(self, row: int, values: dict[str, object], column: str) -> int | None:
        """1 or 0, also written as true or false."""
        return self._checked(_truth, row, values, column)

    def texts(self, row: int, values: dict[str, object], column: str, *, empty: bool = False) -> tuple[str, ...] | None:
        """A list of texts, or the JSON of one as text; `empty` allows one without entries."""
        return self._entries(_text, row, values, column, empty=empty)

    def numbers(self, row: int, values: dict[str, object], column: str) -> tuple[float, ...] | None:
        """A list of numbers, at least one."""
        return self._entries(_number, row, values, column)

    def names(
        self,
        row: int,
        values: dict[str, object],
        column: str,
        *,
        empty: bool = False,
        single: bool = False,
        unique: bool = False,
    ) -> tuple[str, ...] | None:
        """A list of names; `single` also takes a name that is no list, `unique` each name once, with a warning."""
        if single and not _is_list(values.get(column)):
            name = self.name(row, values, column)
            return None if name is None else (sys.intern(name),)
        names = self._entries(_name, row, values, column, empty=empty, max_chars=MAX_NAME_CHARS)
        if names is None:
            return None
        found = tuple(map(sys.intern, dict.fromkeys(names) if unique else names))
        if len(found) < len(names):
            message = f"Names that stand twice in a list of {column} count once."
            self._reading.warnings.add("doubled_label", message, len(names) - len(found))
        return found

    def made(self, row: int, make: Callable[..., Any], taken: Iterable[Any]) -> Any:
        """What `make` makes of a row's values; None where it finds a fault among them or leaves the row out."""
        try:
            return make(*taken)
        except Fault as fault:
            message = f"Row {row}: {fault.column} {fault}."
            self._reading.problems.add(Problem(fault.code, message, self._file, row, fault.column))
        except LeftOut as left_out:
            self._reading.warnings.add(left_out.code, str(left_out))
        return None

    def _entries(
        self,
        parse: Callable[[object], Value],
        row: int,
        values: dict[str, object],
        column: str,
        *,
        empty: bool = False,
        max_chars: int | None = None,
    ) -> tuple[Value, ...] | None:
        """The entries of a list, all of them parsed; None with every bad one noted."""
        entries = self._checked(_list, row, values, column)
        if entries is None:
            return None
        if not entries and not empty:
            message = f"Row {row}: {column} is an empty list. It needs at least one entry."
            self._reading.problems.add(Problem("empty_list", message, self._file, row, column))
            return None
        taken = [
            self._parsed(parse, row, column, entry, which=f"entry {number} ", max_chars=max_chars)
            for number, entry in enumerate(entries, start=1)
        ]
        found = tuple(entry for entry in taken if entry is not None)
        return found if len(found) == len(taken) else None

    def _checked(
        self,
        parse: Callable[[object], Value],
        row: int,
        values: dict[str, object],
        column: str,
        *,
        max_chars: int | None = None,
    ) -> Value | None:
        """A column's value parsed, or None with a problem noted."""
        return self._parsed(parse, row, column, values.get(column), max_chars=max_chars)

    def _parsed(
        self,
        parse: Callable[[object], Value],
        row: int,
        column: str,
        value: object,
        *,
        max_chars: int | None,
        which: str = "",
    ) -> Value | None:
        """A value parsed, or None with a problem noted; `which` says which entry of a list it is.

        Raises:
            InvalidFile: `field_too_long` (413).
        """
        limit = max_chars or self._reading.limits.max_field_chars
        if isinstance(value, str) and len(value) > limit:
            message = f"Row {row}: {column} {which}has {len(value):,} characters; at most {limit:,} are allowed."
            problem = Problem("field_too_long", message, self._file, row, column, excerpt(value))
            self._reading.problems.fail(problem, status=413)
        try:
            return parse(value)
        except Fault as fault:
            shown = excerpt(value if isinstance(value, str) else repr(value)[:200])
            message = f"Row {row}: {column} {which}{fault}."
            self._reading.problems.add(Problem(fault.code, message, self._file, row, column, shown))
            return None


def _text_or_blank(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Fault("wrong_type", "is not a text. Put it in quotation marks")
    if "\0" in value:
        raise Fault("bad_character", "holds a NUL character")
    if not value.isascii() and _SURROGATE.search(value):
        raise Fault("bad_character", "holds half of a surrogate pair")
    return value


def _text(value: object) -> str:
    text = _text_or_blank(value)
    if not text or text.isspace():
        raise Fault("blank_text", "is empty where a text is needed")
    return text


def _name(value: object) -> str:
    name = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if name is None or name == "" or (isinstance(name, str) and name.isspace()):
        raise Fault("blank_name", "is empty")
    if not isinstance(name, str):
        raise Fault("wrong_type", "is neither a text nor a whole number")
    if UNSAFE_IN_NAMES.search(name):
        raise Fault("bad_character", "holds a control or text direction character")
    return name


def _number(value: object) -> float:
    if isinstance(value, str):
        text = value.strip()
        if _NOT_FINITE.fullmatch(text):
            raise Fault("not_finite", "is not a finite number")
        if len(text) > _MAX_NUMBER_CHARS or not _NUMBER.fullmatch(text):
            raise Fault("bad_number", "is not a number. Write it like 3.5, with a point")
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Fault("bad_number", "is not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise Fault("not_finite", "is not a finite number")
    if abs(value) > MAX_SCORE:
        raise Fault("out_of_range", f"is beyond ±{MAX_SCORE:,.0f}")
    return float(value)


def _relevance(value: object) -> int:
    match = _RELEVANCE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or int(match[1]) > MAX_RELEVANCE:
        raise Fault("bad_relevance", f"is not a whole number from 0 (irrelevant) to {MAX_RELEVANCE:,}")
    return int(match[1])


def _truth(value: object) -> int:
    known = _TRUTHS.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(known, int | float) or known not in (0, 1):
        raise Fault("bad_label", "is neither 0 nor 1. Write 1 for sentences that match, 0 for others")
    return int(known)


def _list(value: object) -> list[object]:
    entries = _json_list(value) if isinstance(value, str) else value
    if not isinstance(entries, list):
        raise Fault("not_a_list", 'is not a list. Write it as a JSON array, such as ["one", "two"], or [] for none')
    return entries


def _is_list(value: object) -> bool:
    """Whether a value is a list, or the JSON of one."""
    return isinstance(value, list) or (isinstance(value, str) and _json_list(value) is not None)


def _json_list(text: str) -> list[object] | None:
    """The list that a text is the JSON of; None where it is something else."""
    if not text.lstrip().startswith("["):
        return None
    try:
        entries: list[object] = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entries


class Ids:
    """The ids of one table: unique, and distinct beyond Unicode form, case and outer white space."""

    def __init__(self, file: str, column: str, reading: Reading) -> None:
        self.file = file
        self._column = column
        self._reading = reading
        self._rows: dict[str, int] = {}
        self._ids: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return name in self._ids

    def row(self, name: str) -> int:
        """Where an id that was taken in stands."""
        return self._rows[_folded(name)]

    def add(self, row: int, name: str) -> bool:
        """Take an id in; False, with a problem noted that names both rows, when there is one like it."""
        first = self._rows.setdefault(_folded(name), row)
        if first != row:
            fault = "stands" if name in self._ids else "stands (but for case, spaces or Unicode form)"
            message = f"The {self._column} {quoted(name)} {fault} in rows {first} and {row}."
            problem = Problem("duplicate_id", message, self.file, row, self._column, excerpt(name))
            self._reading.problems.add(problem)
            return False
        self._ids.add(name)
        return True


def _folded(name: str) -> str:
    """What two ids must not share; the very same object where nothing changes."""
    if name.isascii():
        folded = name.strip().lower()
    else:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())
    return name if folded == name else folded
