"""Text tables: CSV and TSV with a header, quoted as in RFC 4180."""

import csv
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO

from app.core.formats.problems import Problem, excerpt, quoted
from app.core.formats.reading import Reading, Row
from app.core.formats.streams import Place, decoded_lines

COMMA, TAB = ",", "\t"
_DELIMITER_NAMES = {COMMA: "commas", TAB: "tabs", ";": "semicolons", "|": "vertical bars"}

Required = Callable[[Collection[str]], Collection[str]]
"""From the columns that a table has to those that it must have."""


def read_rows(stream: BinaryIO, file: str, delimiter: str, required: Required, reading: Reading) -> Iterator[Row]:
    """The rows below the header as (row, column -> text); empty lines are skipped.

    Ragged rows are noted and left out.

    Args:
        stream: UTF-8 bytes.
        file: the name to show in problems.
        delimiter: `COMMA` or `TAB`.
        required: which columns a header must have.
        reading: gathers the problems.

    Raises:
        InvalidFile: when the table cannot be read on: `empty_file`, `wrong_delimiter`, `missing_column`,
            `doubled_column`, `unclosed_quote`, `bad_quote`, `bad_encoding`, `field_too_long` (413).
    """
    csv.field_size_limit(reading.limits.max_field_chars)  # one setting a process; every reader sets it anew
    place = Place(file)
    records = _records(
        csv.reader(decoded_lines(stream, place, reading), delimiter=delimiter, strict=True), place, reading
    )
    header = next(records, [])
    if not any(header):
        reading.problems.fail(Problem("empty_file", "The file is empty. It needs a header and rows.", file))
    _check_header(header, delimiter, required, file, reading)
    width = len(header)
    for fields in records:
        if len(fields) == width:
            yield place.row, dict(zip(header, fields, strict=True))
        elif fields:
            message = (
                f"Row {place.row} has {len(fields)} fields, the header {width}. "
                f"A text with {_DELIMITER_NAMES[delimiter]} in it needs quotation marks around it."
            )
            shown = excerpt(delimiter.join(fields))
            reading.problems.add(Problem("ragged_row", message, file, place.row, excerpt=shown))


def _records(reader: Iterator[list[str]], place: Place, reading: Reading) -> Iterator[list[str]]:
    """The parsed records; `place.row` is the number of the one just given or being read."""
    try:
        for fields in reader:
            yield fields
            place.row += 1
    except csv.Error as error:
        problem, status = _syntax_problem(str(error), place, reading)
        reading.problems.fail(problem, status)


def _syntax_problem(error: str, place: Place, reading: Reading) -> tuple[Problem, int]:
    """What the csv module found, in our words, and its status."""
    if "field limit" in error:
        message = (
            f"A field in row {place.row} is longer than {reading.limits.max_field_chars:,} characters, "
            "or its quotation mark is never closed."
        )
        return Problem("field_too_long", message, place.file, place.row), 413
    if "unexpected end" in error:
        message = f"The quotation mark that opens a field in row {place.row} is never closed."
        return Problem("unclosed_quote", message, place.file, place.row), 422
    if "new-line" in error:
        message = f"Row {place.row} has a lone carriage return. End lines with LF or CRLF."
        return Problem("bad_line_end", message, place.file, place.row), 422
    message = (
        f"A quotation mark in row {place.row} is followed by more text. "
        'Write a quotation mark within a quoted field twice: "".'
    )
    return Problem("bad_quote", message, place.file, place.row), 422


def _check_header(header: list[str], delimiter: str, required: Required, file: str, reading: Reading) -> None:
    missing = [name for name in required(header) if name not in header]
    if missing:
        line = delimiter.join(header)
        for other, other_name in _DELIMITER_NAMES.items():
            cells = {cell.strip(' "\r\n') for cell in line.split(other)}
            if other != delimiter and cells.issuperset(required(cells)):
                message = (
                    f"The columns are separated by {other_name}; a file of this name needs "
                    f"{_DELIMITER_NAMES[delimiter]}. Save it again as CSV (commas) or TSV (tabs)."
                )
                reading.problems.fail(Problem("wrong_delimiter", message, file, 1, excerpt=excerpt(line)))
        names = ", ".join(quoted(name) for name in header[:20])
        for name in missing:
            message = f"The header has no column {quoted(name)}. It has: {names}."
            reading.problems.add(Problem("missing_column", message, file, 1, name))
    for name in sorted({name for name in header if header.count(name) > 1}):
        message = f"The header has the column {quoted(name)} {header.count(name)} times."
        reading.problems.add(Problem("doubled_column", message, file, 1, excerpt(name)))
    reading.problems.raise_if_any()
