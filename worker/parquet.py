"""Parquet uploads: flat columns and lists, read in small batches under a byte budget, whatever their metadata say."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.core.formats import InvalidFile, Limits, Problem, Row
from app.core.formats.problems import excerpt, quoted

BATCH_ROWS = 128
MAX_RATIO = 100
MAX_COLUMNS = 1000
_RATIO_MATTERS_FROM = 64 * 1024**2
_BUFFER_BYTES = 1 << 20
_MAX_FOOTER_STRING = 100 * 1024**2
_MAX_FOOTER_ITEMS = 1_000_000
_ENTRY_BYTES = 8
"""What an entry of a list takes at least once it is read, however small it was."""
_PLAIN_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_null,
)

_LIST_TYPES = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)

Progress = Callable[[int, int], None]


def read_rows(path: Path, limits: Limits, *, filename: str = "", progress: Progress | None = None) -> Iterator[Row]:
    """The records of a Parquet file, the first being row 1.

    Values are str, int, float, bool, None, or lists of these; dates, decimals and bytes come as text.

    Args:
        path: the file.
        limits: rows and unpacked bytes to accept.
        filename: the name to show in problems.
        progress: called with (rows done, rows in all).

    Raises:
        InvalidFile: 413 `too_many_rows`, `parquet_bomb`, `too_large`; 422 `bad_parquet`, `forged_counts`,
            `nested_column`, `doubled_column`, `unsupported_column`, `bad_encoding`.
    """
    try:
        with pq.ParquetFile(
            path,
            pre_buffer=False,
            buffer_size=_BUFFER_BYTES,
            memory_map=False,
            page_checksum_verification=True,
            thrift_string_size_limit=_MAX_FOOTER_STRING,
            thrift_container_size_limit=_MAX_FOOTER_ITEMS,
        ) as file:
            _check_schema(file.schema_arrow, filename)
            total = _check_counts(file.metadata, limits, filename)
            done = 0
            names = file.schema_arrow.names
            entries = dict.fromkeys(names, 0)
            budget = _Budget(path.stat().st_size, limits, filename)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
                columns = [_plain(batch.column(i), name, filename) for i, name in enumerate(names)]
                for name, column in zip(names, columns, strict=True):
                    count, stored = _entries(column)
                    budget.spend(column.nbytes + _ENTRY_BYTES * count)
                    entries[name] += stored
                values = [_values(column, name, done, filename) for column, name in zip(columns, names, strict=True)]
                for row in zip(*values, strict=True):
                    done += 1
                    yield done, dict(zip(names, row, strict=True))
                if progress is not None:
                    progress(done, total)
            _check_what_was_read(file.metadata, done, list(entries.values()), filename)
    except MemoryError as error:
        _refuse("too_large", "Reading the file takes more memory than is allowed.", filename, status=413, cause=error)
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"The Parquet file is truncated or damaged: {excerpt(str(error))}"
        _refuse("bad_parquet", message, filename, cause=error)


class _Budget:
    """Refuses a file once its decoded values are too many bytes, or far too many for its size."""

    def __init__(self, file_bytes: int, limits: Limits, filename: str) -> None:
        self._filename = filename
        self._most = min(limits.max_unpacked_bytes, max(_RATIO_MATTERS_FROM, MAX_RATIO * file_bytes))
        self._spent = 0

    def spend(self, count: int) -> None:
        self._spent += count
        if self._spent > self._most:
            message = f"The file unpacks to more than {self._most:,} bytes. Split it, or send it as CSV."
            _refuse("parquet_bomb", message, self._filename, status=413)


def _check_schema(schema: pa.Schema, filename: str) -> None:
    if len(schema.names) > MAX_COLUMNS:
        _refuse("too_many_columns", f"The file has more than {MAX_COLUMNS} columns.", filename, status=413)
    for field in schema:
        if schema.names.count(field.name) > 1:
            message = f"The file has the column {quoted(field.name)} more than once."
            _refuse("doubled_column", message, filename, column=field.name)
        if pa.types.is_nested(field.type.value_type if _is_list(field.type) else field.type):
            shown = excerpt(str(field.type))
            message = f"The column {quoted(field.name)} is nested ({shown}). Only flat columns and lists are read."
            _refuse("nested_column", message, filename, column=field.name)
        if _is_list(field.type) and pa.types.is_dictionary(field.type.value_type):  # pyarrow cannot read these
            message = f"The column {quoted(field.name)} has lists of categories. Store them as lists of strings."
            _refuse("unsupported_column", message, filename, column=field.name)


def _check_counts(metadata: pq.FileMetaData, limits: Limits, filename: str) -> int:
    """The number of rows that the metadata announce."""
    if metadata.num_rows > limits.max_rows:
        message = f"There are more than {limits.max_rows:,} rows. Split the file."
        _refuse("too_many_rows", message, filename, status=413)
    return int(metadata.num_rows)


def _check_what_was_read(metadata: pq.FileMetaData, done: int, entries: list[int], filename: str) -> None:
    """Every place that states a number of rows, or of a column's entries, must state the one that was read.

    Only after reading: pyarrow aborts the process when it is asked for a column's metadata that are damaged,
    but reading them raises.
    """
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    if (
        metadata.num_rows != done
        or sum(group.num_rows for group in groups) != done
        or any(sum(group.column(i).num_values for group in groups) != count for i, count in enumerate(entries))
    ):
        message = f"The file's metadata contradict each other or its content: {done:,} rows were read."
        _refuse("forged_counts", message, filename)


def _is_list(kind: pa.DataType) -> bool:
    return any(test(kind) for test in _LIST_TYPES)


def _is_plain(kind: pa.DataType) -> bool:
    return any(test(kind) for test in _PLAIN_TYPES)


def _plain(column: pa.Array, name: str, filename: str) -> pa.Array:
    """The same values without dictionary, and as text where they are neither text, number nor truth value."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_plain(column.type.value_type if _is_list(column.type) else column.type):
        return column
    try:
        return column.cast(pa.list_(pa.string()) if _is_list(column.type) else pa.string())
    except pa.ArrowException as error:
        message = f"The column {quoted(name)} ({column.type}) cannot be read as text. Store it as a string."
        _refuse("unsupported_column", message, filename, column=name, cause=error)


def _entries(column: pa.Array) -> tuple[int, int]:
    """How many entries a batch's lists have, and how many values Parquet stores for them: one for an empty list too."""
    if not _is_list(column.type):
        return 0, len(column)
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    return pc.sum(lengths).as_py() or 0, pc.sum(pc.max_element_wise(lengths, 1)).as_py() or 0


def _values(column: pa.Array, name: str, done: int, filename: str) -> list[Any]:
    """A batch's values of one column; `done` rows came before it."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        for row, value in enumerate(column, start=done + 1):
            _check_encoding(value, row, name, filename)
        raise
    return values


def _check_encoding(value: pa.Scalar, row: int, name: str, filename: str) -> None:
    try:
        value.as_py()
    except UnicodeDecodeError as error:
        message = f"Row {row}: byte {error.start:,} of {name} is not UTF-8."
        shown = excerpt(error.object[:80].decode(errors="backslashreplace"))
        _refuse("bad_encoding", message, filename, row=row, column=name, shown=shown, cause=error)


def _refuse(
    code: str,
    message: str,
    filename: str,
    *,
    status: int = 422,
    row: int | None = None,
    column: str = "",
    shown: str = "",
    cause: BaseException | None = None,
) -> NoReturn:
    raise InvalidFile([Problem(code, message, filename, row, excerpt(column), shown)], status=status) from cause
