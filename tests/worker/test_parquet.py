"""Parquet: values of every kind, in small batches; nested types, bombs, forged counts and damage are refused."""

import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.core.formats import InvalidFile, Limits, ReadResult, read_dataset
from app.core.records import Cell, Dataset, SentencePair, StsData
from tests.core.examples import EXAMPLES
from tests.worker.parquet_files import bomb, list_bomb, parquet_bytes, sts_table
from worker import parquet


def read(path: Path, content: bytes, limits: Limits | None = None, task_type: str = "STS") -> ReadResult:
    path.write_bytes(content)
    reader: Callable[[Path, Limits], Iterator[Any]] = partial(parquet.read_rows, filename="data.parquet")
    return read_dataset(path, "data.parquet", task_type, limits or Limits(), read_parquet=reader)


EXPECTED = Dataset(
    "STS", (Cell("test", "default", StsData(tuple(SentencePair(f"a {i}", f"b {i}", float(i)) for i in range(3)))),)
)
TEXTS = ["a 0", "a 1", "a 2"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS, pa.string_view()),
        pa.array(TEXTS).dictionary_encode(),
        pa.array([text.encode() for text in TEXTS], pa.binary()),
    ],
    ids=lambda column: str(column.type),
)
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_parquet_texts_of_every_kind(tmp_path: Path, column: pa.Array, compression: str) -> None:
    content = parquet_bytes(sts_table(sentence1=column), compression=compression)
    assert read(tmp_path / "upload", content) == ReadResult(EXPECTED, (), {"pairs": 3})


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float32(), pa.float16(), pa.decimal128(5, 1)], ids=str)
def test_parquet_numbers_of_every_kind(tmp_path: Path, kind: pa.DataType) -> None:
    score = pa.array([0, 1, 2], pa.int64()).cast(pa.float32()).cast(kind)
    assert read(tmp_path / "upload", parquet_bytes(sts_table(score=score))).dataset == EXPECTED


def test_unused_parquet_columns_are_a_warning(tmp_path: Path) -> None:
    when = pa.array([0, 1, 2], pa.timestamp("ns"))
    result = read(tmp_path / "upload", parquet_bytes(sts_table(when=when, nothing=pa.nulls(3))))
    assert result.dataset == EXPECTED
    assert [warned.count for warned in result.warnings] == [3, 3]


def test_many_row_groups_keep_their_order(tmp_path: Path) -> None:
    result = read(tmp_path / "upload", parquet_bytes(sts_table(1000), row_group_size=7))
    assert [pair.score for pair in result.dataset.cells[0].data.pairs] == list(range(1000))


def test_parquet_progress_counts_rows(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    (tmp_path / "upload").write_bytes(parquet_bytes(sts_table(300)))
    rows = list(
        parquet.read_rows(tmp_path / "upload", Limits(), progress=lambda done, total: seen.append((done, total)))
    )
    assert [row for row, _ in rows] == list(range(1, 301))
    assert seen == [(128, 300), (256, 300), (300, 300)]


def forged(content: bytes, rows: int, claimed: int) -> bytes:
    """Every count in the footer that pyarrow shows raised from `rows` to `claimed`; both below 64."""

    def counts(data: bytes) -> tuple[int, int, list[int]]:
        metadata = pq.read_metadata(io.BytesIO(data))
        group = metadata.row_group(0)
        return metadata.num_rows, group.num_rows, [group.column(i).num_values for i in range(group.num_columns)]

    data = bytearray(content)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for position in [at for at in range(footer, len(data) - 8) if data[at] == 2 * rows]:
        before = counts(bytes(data))
        data[position] = 2 * claimed
        try:
            changed = counts(bytes(data)) != before
        except (pa.ArrowException, OSError):
            changed = False
        if not changed:
            data[position] = 2 * rows
    assert counts(bytes(data)) == (claimed, claimed, [claimed] * 3)
    return bytes(data)


def forged_once(content: bytes, rows: int, claimed: int) -> bytes:
    """Only the file's own row count is raised."""
    data = bytearray(content)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for position in [at for at in range(footer, len(data) - 8) if data[at] == 2 * rows]:
        data[position] = 2 * claimed
        try:
            metadata = pq.read_metadata(io.BytesIO(bytes(data)))
            if metadata.num_rows == claimed:
                return bytes(data)
        except (pa.ArrowException, OSError):
            continue
        finally:
            data[position] = 2 * rows
    raise AssertionError("no row count found")


GOOD = parquet_bytes(sts_table())
GOOD_53 = parquet_bytes(sts_table(53))
BAD_UTF8 = pa.Array.from_buffers(
    pa.string(), 3, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffc")]
)
BAD_UTF8_LISTS = pa.ListArray.from_arrays([0, 1, 3, 3], pa.concat_arrays([BAD_UTF8]))
DOUBLED = pa.table([pa.array(["a"])] * 2, names=["sentence1", "sentence1"])
SMALL = Limits(max_rows=5, max_field_chars=50)

REFUSED: dict[str, tuple[bytes, int, str, int | None, str]] = {
    "no rows": (parquet_bytes(sts_table(0)), 422, "no_rows", None, ""),
    "truncated": (GOOD[:-1], 422, "bad_parquet", None, ""),
    "truncated at once": (b"PAR1", 422, "bad_parquet", None, ""),
    "cut in the middle": (GOOD[:30] + GOOD[60:], 422, "bad_parquet", None, ""),
    "footer length too large": (GOOD[:-8] + b"\xff\xff\xff\x7fPAR1", 422, "bad_parquet", None, ""),
    "list of lists": (parquet_bytes(sts_table(x=[[["a"]], [], [[]]])), 422, "nested_column", None, "x"),
    "list of structs": (parquet_bytes(sts_table(x=[[{"a": 1}], [], []])), 422, "nested_column", None, "x"),
    "list of bytes": (parquet_bytes(sts_table(x=[[b"\xff"], [], []])), 422, "unsupported_column", None, "x"),
    "list of categories": (
        parquet_bytes(sts_table(x=pa.array([["a"], [], []], pa.list_(pa.dictionary(pa.int8(), pa.string()))))),
        422,
        "unsupported_column",
        None,
        "x",
    ),
    "list for a text": (parquet_bytes(sts_table(sentence1=[["a"], ["b"], []])), 422, "wrong_type", 1, "sentence1"),
    "bad UTF-8 in a list": (parquet_bytes(sts_table(x=BAD_UTF8_LISTS)), 422, "bad_encoding", 2, "x"),
    "struct column": (parquet_bytes(sts_table(x=[{"a": 1}] * 3)), 422, "nested_column", None, "x"),
    "map column": (
        parquet_bytes(sts_table(x=pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int8())))),
        422,
        "nested_column",
        None,
        "x",
    ),
    "doubled column": (parquet_bytes(DOUBLED), 422, "doubled_column", None, "sentence1"),
    "missing column": (parquet_bytes({"sentence1": ["a"], "score": [1]}), 422, "missing_column", 1, "sentence2"),
    "bytes that are no text": (
        parquet_bytes(sts_table(sentence1=[b"a", b"\xff", b"c"])),
        422,
        "unsupported_column",
        None,
        "sentence1",
    ),
    "bad UTF-8": (parquet_bytes(sts_table(sentence1=BAD_UTF8)), 422, "bad_encoding", 2, "sentence1"),
    "null text": (parquet_bytes(sts_table(sentence1=["a", None, "c"])), 422, "blank_text", 2, "sentence1"),
    "NUL in a text": (parquet_bytes(sts_table(sentence1=["a", "b", "\0"])), 422, "bad_character", 3, "sentence1"),
    "a number for a text": (parquet_bytes(sts_table(sentence1=[1, 2, 3])), 422, "wrong_type", 1, "sentence1"),
    "NaN": (parquet_bytes(sts_table(score=[0.0, 1.0, float("nan")])), 422, "not_finite", 3, "score"),
    "too many rows": (parquet_bytes(sts_table(6)), 413, "too_many_rows", None, ""),
    "too long a text": (
        parquet_bytes(sts_table(sentence1=["a", "b" * 51, "c"])),
        413,
        "field_too_long",
        2,
        "sentence1",
    ),
    "bomb by rows": (bomb(200_000, "x" * 1000), 413, "parquet_bomb", None, ""),
    "bomb by one text": (bomb(2, "x" * 40_000_000), 413, "parquet_bomb", None, ""),
    "bomb by a long list": (list_bomb(9_000_000, pa.int8()), 413, "parquet_bomb", None, ""),
    "bomb by long lists": (list_bomb(50_000, pa.string(), 200), 413, "parquet_bomb", None, ""),
    "bomb by truth values": (list_bomb(9_000_000, pa.bool_()), 413, "parquet_bomb", None, ""),
    "bomb by nothing at all": (list_bomb(9_000_000, pa.null()), 413, "parquet_bomb", None, ""),
    "one forged count": (forged_once(GOOD_53, 53, 60), 422, "forged_counts", None, ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_parquet(tmp_path: Path, name: str) -> None:
    content, status, code, row, column = REFUSED[name]
    limits = SMALL if code in ("too_many_rows", "field_too_long") else None
    with pytest.raises(InvalidFile) as caught:
        read(tmp_path / "upload", content, limits)
    first = caught.value.problems[0]
    assert (caught.value.status, first.code, first.row, first.column) == (status, code, row, column)
    assert first.file == "data.parquet"


@pytest.mark.parametrize("claimed", [2, 52, 54, 63])
def test_counts_forged_everywhere(tmp_path: Path, claimed: int) -> None:
    """More rows than there are is refused; fewer, said in accord everywhere, is a shorter file and harmless."""
    content = forged(GOOD_53, 53, claimed)
    try:
        result = read(tmp_path / "upload", content)
    except InvalidFile as error:
        assert error.status == 422
        assert error.problems[0].code in ("bad_parquet", "forged_counts")
    else:
        assert claimed < 53
        assert result.counts == {"pairs": claimed}


@pytest.mark.parametrize("task_type", EXAMPLES)
def test_each_task_type(tmp_path: Path, task_type: str) -> None:
    rows, data, counts, _ = EXAMPLES[task_type]
    result = read(tmp_path / "upload", parquet_bytes(pa.Table.from_pylist(rows)), task_type=task_type)
    assert result == ReadResult(Dataset(task_type, (Cell("test", "default", data),)), (), counts)


LISTS = [["a", "b"], [], None, [None, "c"]]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(LISTS, pa.list_(pa.string())),
        pa.array(LISTS, pa.large_list(pa.large_string())),
        pa.array(LISTS, pa.list_(pa.string_view())),
    ],
    ids=lambda column: str(column.type),
)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_lists_of_texts(tmp_path: Path, column: pa.Array, version: str) -> None:
    content = parquet_bytes({"x": column}, data_page_version=version, row_group_size=3)
    assert values(tmp_path, content) == LISTS


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float32(), pa.float64(), pa.float16()], ids=str)
def test_lists_of_numbers(tmp_path: Path, kind: pa.DataType) -> None:
    lists = [[0, 1], [2], []]
    column = pa.array(lists, pa.list_(pa.float32())).cast(pa.list_(kind))
    assert values(tmp_path, parquet_bytes({"x": column})) == lists
    fixed = pa.array([[0.0, 1.0], None, [2.0, 3.0]], pa.list_(pa.float32(), 2))
    assert values(tmp_path, parquet_bytes({"x": fixed})) == [[0.0, 1.0], None, [2.0, 3.0]]


def values(tmp_path: Path, content: bytes) -> list[Any]:
    (tmp_path / "upload").write_bytes(content)
    return [row["x"] for _, row in parquet.read_rows(tmp_path / "upload", Limits())]
