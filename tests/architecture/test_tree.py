"""The tree itself: sizes that a reader can hold, and no developer's paths."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES_A_FILE = 500
MOST_LINES_A_FUNCTION = 60
MACHINE_PATHS = re.compile(r"(?<![\w./}])/([w]ork|[f]arm|[h]ome|[r]oot)/[\w.]")  # in brackets, not to match itself


def sources() -> list[Path]:
    return sorted(path for room in ("app", "worker") for path in (ROOT / room).rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def tracked() -> list[Path]:
    """Every file that is tracked, or would be by the next `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stderr
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_is_too_long_to_read() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert lengths
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_A_FILE} == {}


def test_no_function_is_too_long_to_read() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in sources()
        for node in functions(path)
    }
    assert lengths
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_A_FUNCTION} == {}


def test_no_file_names_a_path_of_a_developers_machine() -> None:
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in MACHINE_PATHS.finditer(text)]
    assert found == []


@pytest.mark.parametrize("folder", ["work", "home", "root"])
@pytest.mark.parametrize("line", ["cd /{}/main/app", 'open("/{}/.cache")', "PATH=/{}/bin"])
def test_the_search_for_machine_paths_finds_them(line: str, folder: str) -> None:
    assert MACHINE_PATHS.search(line.format(folder))


@pytest.mark.parametrize("path", ["/srv/touchstone/app", "https://example.org/home/x", "data/work/x"])
def test_the_search_for_machine_paths_leaves_others_alone(path: str) -> None:
    assert MACHINE_PATHS.search(path) is None
