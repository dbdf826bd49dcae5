"""Zips of results that a process of its own reads: what comes back, and every limit that it can meet."""

import io
import json
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest

from app.core.formats.reading import Limits
from app.errors import AppError, Conflict, Invalid, TooLarge
from app.services import import_child
from app.services.import_child import ChildLimits, one_at_a_time, read_in_child
from app.services.import_files import open_zip
from app.services.import_reading import Reading, read_results
from app.services.import_scope import parse_scope
from app.storage.blobs import StorageFull
from tests.result_files import card, packed, result

FILES = {
    "org__one/abc/model_meta.json": card("org/one", "abc", n_parameters=5),
    "org__one/abc/STS12.json": result(test=0.5, train=0.1),
    "org__one/abc/Öurs.json": result("Öurs", dev=0.25, test__de_en=0.75),
    "org__one/abc/Bad.json": b"{",
    "README.md": b"Hello",
}


class Child:
    """Reads zips, and keeps the spool of the last one."""

    def __init__(self, folder: Path, spool: IO[str]) -> None:
        self._folder, self.spool = folder, spool

    def zip(self, files: dict[str, bytes] = FILES) -> Path:
        path = self._folder / "results.zip"
        path.write_bytes(packed(files))
        return path

    def read(self, files: dict[str, bytes] = FILES, **limits: Any) -> Reading:
        given = replace(ChildLimits(), **limits)
        return read_in_child(
            self.zip(files), "mine.zip", parse_scope("", []), self.spool, skip_broken=True, limits=given
        )

    @property
    def lines(self) -> list[Any]:
        self.spool.seek(0)
        return [json.loads(line) for line in self.spool]


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as spool:
        yield Child(tmp_path, spool)


@pytest.mark.parametrize(("definition", "excluded"), [("", []), ("", ["Öurs"]), ("MTEB(eng, v2)", ["STS13"])])
def test_it_finds_what_this_process_would(child: Child, definition: str, excluded: list[str]) -> None:
    scope, there = parse_scope(definition, excluded), io.StringIO()
    with open_zip(child.zip(), "mine.zip") as source:
        expected = read_results(source, scope, there, skip_broken=True)
    assert read_in_child(child.zip(), "mine.zip", scope, child.spool, skip_broken=True) == expected
    assert child.lines == [json.loads(line) for line in there.getvalue().splitlines()]
    assert expected.broken == 1 and child.lines[0][0] == "model"


def test_a_refusal_comes_back_as_it_was(child: Child) -> None:
    with pytest.raises(Invalid, match=r"1 of 4 files cannot be read") as refused:
        read_in_child(child.zip(), "mine.zip", parse_scope("", []), child.spool, skip_broken=False)
    assert refused.value.code == "broken_files"
    assert refused.value.details["problems"][0].startswith("org__one/abc/Bad.json: it is no JSON")


def many(count: int) -> dict[str, bytes]:
    """As many results with scores."""
    return {f"org__{n}/1/T{n}.json": result(f"T{n}", **{f"s{k}": 0.5 for k in range(200)}) for n in range(count)}


@pytest.mark.parametrize(
    ("files", "limits", "message"),
    [
        ({"a__b/1/T.json": b"[" + b"[]," * 5_000_000 + b"0]"}, {"memory_bytes": 300 * 1024**2}, "memory"),
        (FILES, {"seconds": 0.01}, "took longer than 0 seconds"),
        (many(40), {"spool_bytes": 100_000}, "holds more than 0 MB of scores"),
        (FILES, {"zip": Limits(max_entries=4)}, "has 5 entries; at most 4"),
        (FILES, {"zip": Limits(max_unpacked_bytes=100, max_entries=9)}, "at most 100 are read"),
    ],
    ids=["memory", "time", "room", "entries", "bytes"],
)
def test_what_takes_too_much_is_stopped(
    child: Child, files: dict[str, bytes], limits: dict[str, Any], message: str
) -> None:
    with pytest.raises(TooLarge, match=message):
        child.read(files, **limits)
    assert child.read().results == 2  # and the next one is read


@pytest.mark.slow
def test_too_much_work_is_stopped(child: Child) -> None:
    filler = random.Random(0).randbytes(15_000).hex()
    # The filler packs badly, as a result does, and no bomb is suspected.
    busy = {f"a__b/1/T{n}.json": b"[" + b"[]," * 1_000_000 + f'"{filler}"]'.encode() for n in range(40)}
    with pytest.raises(TooLarge, match="more than 1 seconds of work"):
        child.read(busy, cpu_seconds=1)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (-9, TooLarge, "too much memory, time or room, so nothing was imported. Send fewer files"),
        (import_child._EXIT_DISK, StorageFull, "disk is full"),
        (1, AppError, "a fault of ours"),
    ],
)
def test_a_child_that_ends_without_an_answer(
    child: Child, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[AppError], message: str
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], code))
    with pytest.raises(kind, match=message):
        child.read()


def test_more_than_an_answer_is_not_read(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_child, "_ANSWER_BYTES", 10)
    with pytest.raises(TooLarge, match="too many tasks and languages"):
        child.read()


def test_one_at_a_time() -> None:
    with one_at_a_time():
        with pytest.raises(Conflict) as refused, one_at_a_time():
            pass
        assert refused.value.code == "import_running"
    with one_at_a_time():
        pass


def test_it_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_SECRET", "x")
    assert set(import_child._environment()) <= {*import_child._PASSED_ON, "PYTHONPATH", "PYTHONUTF8"}
    assert "TOUCHSTONE_SECRET" in os.environ
