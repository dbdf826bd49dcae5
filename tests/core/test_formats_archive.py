"""Zips that lie, bomb, climb out or hide something are refused, and nothing is ever written."""

import io
import random
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.formats import InvalidFile, Limits, read_dataset

CORPUS = '{"_id":"d1","text":"one"}\n{"_id":"d2","text":"two"}\n'
QUERIES = '{"_id":"q1","text":"eins"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\n"
FILES = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/test.tsv": QRELS}


def packed(change: Callable[[zipfile.ZipFile], None] | None = None, **options) -> bytearray:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", options.get("method", zipfile.ZIP_DEFLATED)) as archive:
        for name, text in FILES.items():
            archive.writestr(name, text)
        if change is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # zipfile warns of doubled names
                change(archive)
    return bytearray(out.getvalue())


def with_entry(name: str, content: str | bytes = "x", mode: int | None = None) -> bytes:
    def add(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        if mode is not None:
            info.external_attr = mode << 16
        archive.writestr(info, content)

    return packed(add)


def with_nul_in_name() -> bytes:
    return bytes(with_entry("evil?txt")).replace(b"evil?txt", b"evil\0txt")


def directory_entry(data: bytes, name: str) -> int:
    """Where the central directory's entry of that name begins."""
    at = data.rindex(name.encode()) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    return at


def patched(name: str, offset: int, form: str, value: int) -> bytes:
    """A good zip with one number in its central directory changed."""
    data = packed()
    struct.pack_into(form, data, directory_entry(data, name) + offset, value)
    return bytes(data)


def encrypted() -> bytes:
    data = packed()
    at = directory_entry(data, "corpus.jsonl")
    struct.pack_into("<H", data, at + 8, 1)
    struct.pack_into("<H", data, 6, 1)
    return bytes(data)


def overlapping() -> bytes:
    """Two names for the same bytes, as the densest bombs have by the thousand."""
    data = packed()
    struct.pack_into("<I", data, directory_entry(data, "queries.jsonl") + 42, 0)
    return bytes(data)


def prefix_with_a_fitting_checksum() -> bytes:
    """The directory declares the first ten bytes only, with their right checksum."""
    data = packed()
    at = directory_entry(data, "corpus.jsonl")
    struct.pack_into("<I", data, at + 16, zlib.crc32(CORPUS[:26].encode()))
    struct.pack_into("<I", data, at + 24, 26)
    return bytes(data)


def damaged_data() -> bytes:
    data = packed(method=zipfile.ZIP_STORED)
    data[data.index(b'"one"') + 1] ^= 1
    return bytes(data)


LINK = stat.S_IFLNK | 0o777
DEVICE = stat.S_IFCHR | 0o666
ZEROS = b"\0" * 20_000_000
NESTED = with_entry("x.txt")

CASES: dict[str, tuple[bytes | bytearray, int, str]] = {
    "slip": (with_entry("../evil.txt"), 422, "unsafe_name"),
    "slip inside": (with_entry("a/../../evil.txt"), 422, "unsafe_name"),
    "absolute": (with_entry("/etc/evil"), 422, "unsafe_name"),
    "drive": (with_entry("C:/evil.txt"), 422, "unsafe_name"),
    "backslash": (with_entry("qrels\\test.tsv"), 422, "unsafe_name"),
    "NUL in a name": (with_nul_in_name(), 422, "unsafe_name"),
    "bidi in a name": (with_entry("a\u202etxt.exe"), 422, "unsafe_name"),
    "line break in a name": (with_entry("a\nb"), 422, "unsafe_name"),
    "empty part": (with_entry("a//b"), 422, "unsafe_name"),
    "link": (with_entry("link", "/etc/passwd", LINK), 422, "link"),
    "device": (with_entry("device", "", DEVICE), 422, "link"),
    "nested by name": (with_entry("more.zip", NESTED), 422, "nested_archive"),
    "nested tar": (with_entry("more.tar.gz"), 422, "nested_archive"),
    "encrypted": (encrypted(), 422, "encrypted"),
    "doubled name": (with_entry("corpus.jsonl", CORPUS), 422, "doubled_name"),
    "doubled but for case": (with_entry("Corpus.jsonl", CORPUS), 422, "doubled_name"),
    "too many entries": (
        packed(lambda archive: [archive.writestr(f"f{i}", "") for i in range(98)]),
        413,
        "too_many_entries",
    ),
    "bomb by ratio": (packed(lambda archive: archive.writestr("zeros.txt", ZEROS)), 413, "zip_bomb"),
    "bomb by size": (patched("corpus.jsonl", 24, "<I", 0xFFFF_FFFE), 413, "zip_bomb"),
    "lies, smaller": (patched("corpus.jsonl", 24, "<I", 10), 422, "lying_size"),
    "lies, larger": (patched("corpus.jsonl", 24, "<I", len(CORPUS) + 1), 422, "lying_size"),
    "lies, checksum and all": (prefix_with_a_fitting_checksum(), 422, "bad_zip"),
    "lies, packed size": (patched("corpus.jsonl", 20, "<I", 5), 422, "bad_zip"),
    "overlapping": (overlapping(), 422, "overlapping_entries"),
    "another checksum": (patched("corpus.jsonl", 16, "<I", 1), 422, "bad_zip"),
    "damaged data": (damaged_data(), 422, "bad_zip"),
    "truncated": (bytes(packed())[:-30], 422, "bad_zip"),
    "truncated early": (bytes(packed())[:40], 422, "bad_zip"),
    "LZMA": (packed(method=zipfile.ZIP_LZMA), 422, "unsupported_compression"),
}


def refuse(path: Path, content: bytes, limits: Limits | None = None) -> InvalidFile:
    path.write_bytes(content)
    with pytest.raises(InvalidFile) as caught:
        read_dataset(path, "set.zip", "Retrieval", limits or Limits())
    return caught.value


@pytest.mark.parametrize("name", CASES)
def test_refused_and_nothing_written(tmp_path: Path, name: str) -> None:
    content, status, code = CASES[name]
    error = refuse(tmp_path / "upload", bytes(content))
    assert (error.status, error.problems[0].code) == (status, code)
    assert [path.name for path in tmp_path.rglob("*")] == ["upload"]


def test_the_unpacked_size_limit(tmp_path: Path) -> None:
    error = refuse(tmp_path / "upload", packed(), Limits(max_unpacked_bytes=50))
    assert (error.status, error.problems[0].code) == (413, "zip_bomb")


def test_an_archive_under_a_table_name_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("corpus.jsonl", bytes(NESTED))
        archive.writestr("queries.jsonl", QUERIES)
        archive.writestr("qrels/test.tsv", QRELS)
    error = refuse(tmp_path / "upload", out.getvalue())
    assert error.problems[0].code == "nested_archive"


def test_a_pickle_under_a_table_name_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("corpus.jsonl", CORPUS)
        archive.writestr("queries.jsonl", b"\x80\x04\x95 and so on")
        archive.writestr("qrels/test.tsv", QRELS)
    error = refuse(tmp_path / "upload", out.getvalue())
    assert (error.status, error.problems[0].code) == (415, "unsupported_file")


def test_an_empty_zip(tmp_path: Path) -> None:
    out = io.BytesIO()
    zipfile.ZipFile(out, "w").close()
    error = refuse(tmp_path / "upload", out.getvalue())
    assert (error.status, error.problems[0].code) == (422, "missing_file")


def test_what_operating_systems_leave_is_ignored_without_a_word(tmp_path: Path) -> None:
    def litter(archive: zipfile.ZipFile) -> None:
        archive.writestr("__MACOSX/._corpus.jsonl", b"\0\5\x16\7")
        archive.writestr(".DS_Store", b"\0")

    (tmp_path / "upload").write_bytes(packed(litter))
    result = read_dataset(tmp_path / "upload", "set.zip", "Retrieval", Limits())
    assert result.warnings == ()


def test_random_damage_is_refused_or_harmless(tmp_path: Path) -> None:
    generator = random.Random(42)
    good = packed()
    refused = 0
    for _ in range(400):
        data = bytearray(good)
        for _ in range(generator.randint(1, 4)):
            data[generator.randrange(4, len(data))] = generator.randrange(256)
        (tmp_path / "upload").write_bytes(data)
        try:
            result = read_dataset(tmp_path / "upload", "set.zip", "Retrieval", Limits())
        except InvalidFile as error:
            refused += 1
            assert error.status in (413, 415, 422)
        else:
            assert result.counts == {"queries": 1, "documents": 2, "judgements": 1}
    assert refused > 200
