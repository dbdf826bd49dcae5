"""Uploads are checked in a child with limits, Parquet in small batches; nothing a file does kills the parent."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.core.formats import Choices, Limits, Warned, canonical, read_dataset
from tests.worker.parquet_files import bomb, parquet_bytes, sts_table
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
    assert (verdict.status, verdict.problems[0].code) == (422, "missing_column")


def test_choices_reach_the_child(tmp_path: Path, out_dir: Path) -> None:
    topics = "text,label,split\n" + "".join(f"{n},{n % 2},{split}\n" for split in ("test", "dev") for n in range(4))
    choices = Choices(splits=("dev", "test"), cluster_sets=2)
    verdict = check(tmp_path / "upload", topics, out_dir, task_type="Clustering", choices=choices)
    assert verdict.canonical_path is not None
    cells = canonical.read(verdict.canonical_path).cells
    assert [(cell.split, [text.set for text in cell.data.texts]) for cell in cells] == [
        ("dev", [0, 0, 1, 1]),
        ("test", [0, 0, 1, 1]),
    ]
    verdict = check(tmp_path / "upload", CSV, out_dir, choices=Choices(ignore_identical_ids=True))
    assert (verdict.status, verdict.problems[0].code) == (422, "bad_choice")


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
