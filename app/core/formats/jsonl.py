"""JSON Lines: one object a line."""

import json
from collections.abc import Iterator
from typing import BinaryIO

from app.core.formats.problems import Problem, excerpt, quoted
from app.core.formats.reading import Reading, Row
from app.core.formats.streams import Place, decoded_lines

MAX_DEPTH = 32


class _DoubledKey(Exception):
    """An object has a key twice."""


def read_rows(stream: BinaryIO, file: str, reading: Reading) -> Iterator[Row]:
    """The objects as (line, key -> value); empty lines are skipped, bad ones noted and left out.

    Problems noted: `bad_line`, `json_too_deep`, `doubled_key`.

    Raises:
        InvalidFile: `bad_encoding`, `field_too_long` (413).
    """
    place = Place(file)
    decoder = json.JSONDecoder(object_pairs_hook=_object)
    for line in decoded_lines(stream, place, reading):
        if not line.isspace():
            values = _parse(decoder, line, place, reading)
            if values is not None:
                yield place.row, values
        place.row += 1


def _parse(decoder: json.JSONDecoder, line: str, place: Place, reading: Reading) -> dict[str, object] | None:
    """The object of one line, or None after noting what is wrong with it."""
    try:
        values = decoder.decode(line)
        if not isinstance(values, dict):
            code, message = "bad_line", "is not an object. Write one object { ... } a line"
        elif _too_deep(values):
            code, message = "json_too_deep", f"is nested deeper than {MAX_DEPTH} levels"
        else:
            return values
    except RecursionError:
        code, message = "json_too_deep", f"is nested deeper than {MAX_DEPTH} levels"
    except _DoubledKey as error:
        code, message = "doubled_key", f"has the key {quoted(str(error))} twice"
    except json.JSONDecodeError as error:
        code, message = "bad_line", f"is not JSON: {error.msg} at character {error.colno}"
    except ValueError:  # a whole number of thousands of digits
        code, message = "bad_line", "holds a number that is too long"
    problem = Problem(code, f"Line {place.row} {message}.", place.file, place.row, excerpt=excerpt(line))
    reading.problems.add(problem)
    return None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys are unique."""
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DoubledKey(key)
            seen.add(key)
    return values


def _too_deep(values: dict[str, object]) -> bool:
    """Whether a value lies below `MAX_DEPTH` levels; the object itself is level 1."""
    level: list[object] = [value for value in values.values() if isinstance(value, dict | list)]
    depth = 1
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            return True
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(inner, dict | list)
        ]
    return False
