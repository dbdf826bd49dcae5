"""Parquet files for tests: good ones, and small ones that unpack to far too much."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def parquet_bytes(table: pa.Table | dict[str, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), out, **options)
    return out.getvalue()


def sts_table(rows: int = 3, **columns: Any) -> dict[str, Any]:
    table: dict[str, Any] = {
        "sentence1": [f"a {i}" for i in range(rows)],
        "sentence2": [f"b {i}" for i in range(rows)],
        "score": [float(i) for i in range(rows)],
    }
    return {**table, **columns}


def bomb(rows: int, text: str) -> bytes:
    """One text in a dictionary and `rows` references to it in one run-length encoded page."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])
    table = pa.table({"sentence1": column, "sentence2": column, "score": pa.array([0] * rows, pa.int8())})
    return parquet_bytes(
        table,
        compression="zstd",
        row_group_size=rows,
        max_rows_per_page=rows,
        store_schema=False,
        write_statistics=False,
    )


def list_bomb(entries: int, kind: pa.DataType, rows: int = 1) -> bytes:
    """Rows whose list repeats one value, or nothing, so often that run lengths are all that is stored."""
    value = pa.scalar(None) if kind == pa.null() else pa.scalar(0).cast(kind)
    offsets = range(0, entries * rows + 1, entries)
    column = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.repeat(value, entries * rows))
    table = pa.table({**sts_table(rows), "x": column})
    return parquet_bytes(table, compression="zstd", write_statistics=False, max_rows_per_page=entries)
