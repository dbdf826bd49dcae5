"""Every fault that the readers of text tables and BEIR zips must refuse: status, code, row, column."""

from pathlib import Path

import pytest

from app.core.formats import InvalidFile, Problem, read_dataset
from tests.core.refused_files import GOOD_STS, STS_HEAD, TABLES_AND_RETRIEVAL, Case, zipped
from tests.core.refused_types import TASK_TYPES_AND_CHOICES

CASES = [*TABLES_AND_RETRIEVAL, *TASK_TYPES_AND_CHOICES]


def refuse(path: Path, case: Case) -> InvalidFile:
    path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    with pytest.raises(InvalidFile) as caught:
        read_dataset(path, case.filename, case.task_type, case.limits, choices=case.choices)
    return caught.value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused(tmp_path: Path, case: Case) -> None:
    error = refuse(tmp_path / "upload", case)
    first = error.problems[0]
    assert (error.status, first.code, first.row, first.column, error.total) == (
        case.status,
        case.code,
        case.row,
        case.column,
        case.total,
    )
    assert len(error.problems) == min(50, case.total)
    assert case.hint in first.message
    assert first.message.endswith(".")
    assert all(len(problem.excerpt) <= 80 for problem in error.problems)
    assert first.file == (case.file or first.file)
    assert first.file


FOREIGN = {
    "gzip": b"\x1f\x8b\x08\x00",
    "bzip2": b"BZh91AY&SY",
    "xz": b"\xfd7zXZ\x00",
    "Zstandard": b"\x28\xb5\x2f\xfd",
    "7z": b"7z\xbc\xaf\x27\x1c",
    "RAR": b"Rar!\x1a\x07\x00",
    "tar": b"a" * 257 + b"ustar\x0000",
    "pickle": b"\x80\x04\x95",
    "NumPy": b"\x93NUMPY\x01\x00",
    "Arrow": b"ARROW1\x00\x00",
    "encrypted Parquet": b"PARE",
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "SQLite": b"SQLite format 3\x00",
    "old Office": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "PDF": b"%PDF-1.7\n",
    "PNG": b"\x89PNG\r\n\x1a\n",
    "JPEG": b"\xff\xd8\xff\xe0",
    "GIF": b"GIF89a",
    "program": b"\x7fELF\x02",
    "Office document": zipped({"[Content_Types].xml": "<x/>", "xl/workbook.xml": "<x/>"}),
    "NumPy archive": zipped({"a.npy": b"\x93NUMPY"}),
    "saved model": zipped({"archive/data.pkl": b"\x80\x02"}),
}


@pytest.mark.parametrize("filename", ["data.csv", "data.jsonl", "data.zip", "data.parquet", "data"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_other_formats_are_known_by_their_first_bytes(tmp_path: Path, kind: str, filename: str) -> None:
    error = refuse(tmp_path / "upload", Case(kind, FOREIGN[kind], "", filename=filename))
    assert (error.status, error.problems[0].code) == (415, "unsupported_file")
    assert kind in error.problems[0].message
    assert ".csv" in error.problems[0].message
    assert ".parquet" in error.problems[0].message


@pytest.mark.parametrize("filename", ["data.zip", "data.parquet", "data.txt", "data.json", "data", "data.pkl"])
def test_a_name_that_tells_no_text_format(tmp_path: Path, filename: str) -> None:
    error = refuse(tmp_path / "upload", Case("", GOOD_STS, "", filename=filename))
    assert (error.status, error.problems[0].code) == (415, "unsupported_file")


def test_parquet_is_refused_where_nobody_can_read_it(tmp_path: Path) -> None:
    error = refuse(tmp_path / "upload", Case("", b"PAR1 and so on", "", filename="data.csv"))
    assert (error.status, error.problems[0].code) == (415, "unsupported_file")


def test_several_faults_come_together(tmp_path: Path) -> None:
    rows = "a,,x\n,b,1\na,b\na,b,inf\n"
    error = refuse(tmp_path / "upload", Case("", STS_HEAD + rows, ""))
    found = [(problem.row, problem.column, problem.code) for problem in error.problems]
    assert found == [
        (2, "sentence2", "blank_text"),
        (2, "score", "bad_number"),
        (3, "sentence1", "blank_text"),
        (4, "", "ragged_row"),
        (5, "score", "not_finite"),
    ]


def test_what_ends_the_reading_comes_first_and_keeps_the_rest(tmp_path: Path) -> None:
    content = STS_HEAD + "a,,1\n" * 60 + '"a,b,1\n'
    error = refuse(tmp_path / "upload", Case("", content, ""))
    assert [problem.code for problem in error.problems] == ["unclosed_quote"] + ["blank_text"] * 49
    assert error.total == 61


def test_an_excerpt_shows_control_characters_and_is_short(tmp_path: Path) -> None:
    content = STS_HEAD + f"a,b,\x1b\u202e{'9' * 100}\n"
    error = refuse(tmp_path / "upload", Case("", content, ""))
    assert error.problems[0].excerpt.startswith("\\x1b\\u202e999")
    assert len(error.problems[0].excerpt) == 80


def test_a_problem_is_json_ready() -> None:
    problem = Problem("bad_number", "Row 4: score is not a number.", "a.csv", 4, "score", "x")
    assert problem.as_dict() == {
        "code": "bad_number",
        "message": "Row 4: score is not a number.",
        "file": "a.csv",
        "row": 4,
        "column": "score",
        "excerpt": "x",
    }
