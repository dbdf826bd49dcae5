"""What is vendored is what its README says, and our own scripts stay small."""

import hashlib
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / "static"
VENDOR = STATIC / "vendor"
COLUMNS = ("file", "package", "version", "path", "licence", "sha256")


def rows() -> list[dict[str, str]]:
    lines = (VENDOR / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells[2:]]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["file"])
def test_the_file_is_the_published_one(row: dict[str, str]) -> None:
    content = (VENDOR / row["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == row["sha256"]
    assert all(row.values()), "package, version, path and licence are all named"


def test_every_vendored_file_is_listed() -> None:
    files = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert files - {"README.md"} == {row["file"] for row in rows()}


def test_htmx_is_the_version_it_is_said_to_be() -> None:
    (htmx,) = (row for row in rows() if row["file"] == "htmx.min.js")
    assert f'version:"{htmx["version"]}"' in (VENDOR / "htmx.min.js").read_text(encoding="utf-8")


def test_our_own_scripts_stay_under_ten_kilobytes() -> None:
    sizes = {path.name: path.stat().st_size for path in (STATIC / "js").glob("*.js")}
    assert sizes
    assert sum(sizes.values()) <= 10_000, sizes
