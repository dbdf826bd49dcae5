"""Uploads are checked in a child with limits, Parquet in small batches; nothing a file does kills the parent."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.core.formats import InvalidFile, Limits, ReadResult, Warned, canonical, read_dataset
from app.core.records import Cell, Dataset, SentencePair, StsData
from worker import parquet
from worker.validation import Verdict, validate

ROOT = Path(__file__).resolve().parents[2]
CSV = "sentence1,sentence2,score,extra\n" + "".join(f"eins {i},zwei {i},{i},\n" for i in range(8))
SLOW_ROWS = 3_000_000
MEGABYTE = 1024**2


@pytest.fixture
def out_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def check(
    upload: Path, content: bytes | str | None, out_dir: Path, filename: str = "data.csv", **options: Any
) -> Verdict:
    if content is not None:
        upload.write_bytes(content if isinstance(content, bytes) else content.encode())
    options = {"task_type": "STS", "limits": Limits(), **options}
    return validate(upload, filename=filename, out_dir=out_dir, **options)


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


# Accepted


def test_an_accepted_upload_becomes_a_canonical_file_named_by_its_content(tmp_path: Path, out_dir: Path) -> None:
    seen: list[tuple[int, int]] = []
    verdict = check(tmp_path / "upload", CSV, out_dir, progress=lambda done, total: seen.append((done, total)))
    assert (verdict.ok, verdict.status, verdict.total_problems, verdict.problems) == (True, 200, 0, ())
    assert verdict.counts == {"pairs": 8}
    assert verdict.warnings == (Warned("unknown_column", 'The column "extra" is not used.', 8),)
    assert verdict.canonical_path == out_dir / f"{verdict.revision}.jsonl"
    assert list(out_dir.iterdir()) == [verdict.canonical_path]
    expected = read_dataset(tmp_path / "upload", "data.csv", "STS", Limits()).dataset
    assert canonical.read(verdict.canonical_path) == expected
    assert canonical.write(expected, io.BytesIO()) == verdict.revision
    assert verdict.preview[0] == {"kind": "pair", "sentence1": "eins 0", "sentence2": "zwei 0", "score": 0.0}
    assert len(verdict.preview) == 5
    assert seen
    assert json.loads(json.dumps(asdict(verdict), default=str))["revision"] == verdict.revision


def test_the_same_content_has_the_same_revision_in_every_format(tmp_path: Path, out_dir: Path) -> None:
    lines = [{"sentence1": f"a {i}", "sentence2": f"b {i}", "score": i} for i in range(3)]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("test.jsonl", "\n".join(map(json.dumps, lines)))
    forms = {
        "a.csv": "sentence1,sentence2,score\n" + "".join(f"a {i},b {i},{i}\n" for i in range(3)),
        "a.zip": out.getvalue(),
        "a.parquet": parquet_bytes(sts_table()),
    }
    verdicts = [check(tmp_path / name, content, out_dir, name) for name, content in forms.items()]
    assert len({verdict.revision for verdict in verdicts}) == 1
    assert [verdict.counts for verdict in verdicts] == [{"pairs": 3}] * 3
    assert len(list(out_dir.iterdir())) == 1


# Refused


@pytest.mark.parametrize(
    ("content", "filename", "status", "code", "row", "column"),
    [
        ("", "data.csv", 422, "empty_file", None, ""),
        (CSV + "x,y,nan,\n", "data.csv", 422, "not_finite", 10, "score"),
        (b"\x80\x04 pickle", "data.csv", 415, "unsupported_file", None, ""),
        (parquet_bytes(sts_table())[:-20], "data.parquet", 422, "bad_parquet", None, ""),
        (parquet_bytes(sts_table(score=[1.0, None, 2.0])), "data.parquet", 422, "bad_number", 2, "score"),
    ],
)
def test_a_refused_upload_leaves_nothing(
    tmp_path: Path, out_dir: Path, content: bytes, filename: str, status: int, code: str, row: int | None, column: str
) -> None:
    verdict = check(tmp_path / "upload", content, out_dir, filename)
    (problem,) = verdict.problems
    assert (verdict.ok, verdict.status, problem.code, problem.row, problem.column) == (False, status, code, row, column)
    assert (problem.file, verdict.total_problems) == (filename, 1)
    assert (verdict.revision, verdict.canonical_path, verdict.counts, verdict.preview) == ("", None, {}, ())
    assert list(out_dir.iterdir()) == []


def test_at_most_fifty_problems_and_their_total(tmp_path: Path, out_dir: Path) -> None:
    verdict = check(tmp_path / "upload", CSV + ",,x,\n" * 40, out_dir)
    assert (len(verdict.problems), verdict.total_problems) == (50, 120)


def test_limits_and_task_type_reach_the_child(tmp_path: Path, out_dir: Path) -> None:
    verdict = check(tmp_path / "upload", CSV, out_dir, limits=Limits(max_rows=7))
    assert (verdict.status, verdict.problems[0].code) == (413, "too_many_rows")
    verdict = check(tmp_path / "upload", CSV, out_dir, task_type="Clustering")
    assert (verdict.status, verdict.problems[0].code) == (422, "task_type_not_scored")


# A child beyond its limits


@pytest.fixture(scope="module")
def slow_upload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good file that takes some seconds and some hundred megabytes to read."""
    path = tmp_path_factory.mktemp("slow") / "upload"
    with path.open("w") as file:
        file.write("sentence1,sentence2,score\n")
        file.writelines(f"some text {i},some other text {i},{i}\n" for i in range(SLOW_ROWS))
    return path


LARGE = Limits(max_rows=SLOW_ROWS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"memory_bytes": 100 * MEGABYTE}, "more than 100 MB of memory"),
        ({"cpu_seconds": 1}, "more than 1 seconds of work"),
        ({"timeout": 0.3}, "took longer than"),
    ],
)
def test_a_child_beyond_its_limits_is_a_verdict(
    slow_upload: Path, out_dir: Path, options: dict[str, Any], words: str
) -> None:
    verdict = check(slow_upload, None, out_dir, limits=LARGE, **options)
    assert (verdict.ok, verdict.status, verdict.total_problems) == (False, 413, 1)
    assert verdict.problems[0].code == "too_large"
    assert words in verdict.problems[0].message
    assert list(out_dir.iterdir()) == []


def test_a_canonical_file_beyond_its_limit(tmp_path: Path, out_dir: Path) -> None:
    verdict = check(tmp_path / "upload", CSV, out_dir, file_bytes=200)
    assert (verdict.status, verdict.problems[0].code) == (413, "too_large")
    assert list(out_dir.iterdir()) == []


def only_child() -> psutil.Process:
    (child,) = [process for process in psutil.Process().children() if "worker.validation" in process.cmdline()]
    return child


def test_a_killed_child_is_a_verdict(slow_upload: Path, out_dir: Path) -> None:
    verdict = check(slow_upload, None, out_dir, limits=LARGE, progress=lambda done, total: only_child().kill())
    assert (verdict.status, verdict.problems[0].code) == (413, "too_large")
    assert "stopped" in verdict.problems[0].message


def test_who_raises_in_progress_ends_the_child(slow_upload: Path, out_dir: Path) -> None:
    children = []

    def cancel(done: int, total: int) -> None:
        children.append(only_child())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(slow_upload, None, out_dir, limits=LARGE, progress=cancel)
    assert not children[0].is_running()
    assert list(out_dir.iterdir()) == []


def test_the_child_ends_with_its_parent(slow_upload: Path, out_dir: Path) -> None:
    parent_code = (
        "import sys; from pathlib import Path;"
        "from app.core.formats import Limits; from worker.validation import validate;"
        f"validate(Path(sys.argv[1]), filename='a.csv', task_type='STS', out_dir=Path(sys.argv[2]),"
        f"limits=Limits(max_rows={SLOW_ROWS}), progress=lambda *_: print('reading', flush=True))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", parent_code, str(slow_upload), str(out_dir)], stdout=subprocess.PIPE, cwd=ROOT
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"reading\n"
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()
    gone, alive = psutil.wait_procs([child], timeout=10)
    assert (gone, alive) == ([child], [])


def test_a_fault_of_ours_is_told_as_such(tmp_path: Path, out_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    verdict = check(tmp_path / "not there", None, out_dir)
    assert (verdict.ok, verdict.status, verdict.problems[0].code) == (False, 500, "internal")
    assert "FileNotFoundError" in caplog.text


def test_the_child_has_no_secrets_and_its_own_session(
    slow_upload: Path, out_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOUCHSTONE_SECRET_KEY", "hidden")
    found: dict[str, Any] = {}

    def look(done: int, total: int) -> None:
        child = only_child()
        found.update(environment=child.environ(), session=os.getsid(child.pid))
        child.send_signal(signal.SIGTERM)

    check(slow_upload, None, out_dir, limits=LARGE, progress=look)
    assert not [name for name in found["environment"] if name.startswith("TOUCHSTONE")]
    assert found["session"] != os.getsid(0)


def test_the_child_loads_no_engine() -> None:
    code = (
        "import sys, worker.validation;"
        "print([m for m in ('torch', 'sqlalchemy', 'transformers', 'pyarrow', 'numpy', 'celery') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Parquet


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
DOUBLED = pa.table([pa.array(["a"])] * 2, names=["sentence1", "sentence1"])
SMALL = Limits(max_rows=5, max_field_chars=50)

REFUSED: dict[str, tuple[bytes, int, str, int | None, str]] = {
    "no rows": (parquet_bytes(sts_table(0)), 422, "no_rows", None, ""),
    "truncated": (GOOD[:-1], 422, "bad_parquet", None, ""),
    "truncated at once": (b"PAR1", 422, "bad_parquet", None, ""),
    "cut in the middle": (GOOD[:30] + GOOD[60:], 422, "bad_parquet", None, ""),
    "footer length too large": (GOOD[:-8] + b"\xff\xff\xff\x7fPAR1", 422, "bad_parquet", None, ""),
    "list column": (parquet_bytes(sts_table(x=[["a"], [], ["b"]])), 422, "nested_column", None, "x"),
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


def test_two_gigabytes_in_a_few_hundred_bytes_are_refused_in_little_memory(tmp_path: Path, out_dir: Path) -> None:
    content = bomb(1_000_000, "x" * 1000)
    assert len(content) < 800
    started = time.monotonic()
    verdict = check(tmp_path / "upload", content, out_dir, "data.parquet", memory_bytes=512 * MEGABYTE)
    assert (verdict.status, verdict.problems[0].code) == (413, "parquet_bomb")
    assert time.monotonic() - started < 10
    assert list(out_dir.iterdir()) == []


def test_a_page_larger_than_the_memory_is_a_verdict(tmp_path: Path, out_dir: Path) -> None:
    verdict = check(
        tmp_path / "upload", bomb(2, "x" * 150_000_000), out_dir, "data.parquet", memory_bytes=300 * MEGABYTE
    )
    assert (verdict.ok, verdict.status) == (False, 413)
    assert verdict.problems[0].code == "too_large"
