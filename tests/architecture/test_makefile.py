"""`make` and its helpers, with stand-ins for Python and pip: what is installed when, and what a refusal says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = "install --constraint constraints.txt --editable"
FROM_AN_OUTER_MAKE = {"ARGS", "CI", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "PYTHON"}


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    return tmp_path


@pytest.fixture
def environment(clone: Path) -> Path:
    """A virtual environment of stand-ins that print what they were asked to do."""
    script(clone / ".venv/bin/pip", "exit 0")
    script(clone / ".venv/bin/python", 'echo "python $*"')
    script(clone / ".venv/bin/touchstone", 'echo "touchstone $*"')
    return clone


def make(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in FROM_AN_OUTER_MAKE}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, env=kept | variables, capture_output=True, text=True, check=False)


def test_make_alone_lists_the_commands(clone: Path) -> None:
    listed = [line.split()[1] for line in make(clone).stdout.splitlines()]
    assert listed == [
        "help",
        "up",
        "test",
        "lint",
        "parity",
        "bench",
        "calibration",
        "registry",
        "constraints",
        "clean",
    ]


def test_the_first_start_installs_pinned_packages_and_the_second_nothing(environment: Path) -> None:
    first = make(environment, "up", "ARGS=--port 9000")
    assert f"{INSTALLED} .[worker,demo]\n" in first.stdout
    assert first.stdout.splitlines()[-1] == "touchstone up --port 9000"
    assert make(environment, "up").stdout == "touchstone up\n"


def test_a_changed_pin_is_installed(environment: Path) -> None:
    make(environment, "up")
    newer = (environment / ".venv/up.installed").stat().st_mtime + 1
    os.utime(environment / "constraints.txt", (newer, newer))
    assert INSTALLED in make(environment, "up").stdout


def test_a_failed_installation_starts_nothing_and_is_tried_again(environment: Path) -> None:
    script(environment / ".venv/bin/python", "exit 1")
    answer = make(environment, "up")
    assert answer.returncode != 0
    assert "touchstone up" not in answer.stdout
    assert not (environment / ".venv/up.installed").exists()


def test_in_ci_a_skip_is_an_error_and_elsewhere_not(environment: Path) -> None:
    assert "-p tests.no_skips" in make(environment, "test", CI="true").stdout
    outside = make(environment, "test", "ARGS=tests/core").stdout
    assert " tests/core" in outside
    assert "no_skips" not in outside


@pytest.mark.parametrize(
    ("target", "module"),
    [("parity", "bench.parity --all"), ("bench", "bench --all"), ("calibration", "bench.calibration --all")],
)
def test_measurements_install_what_tests_need(target: str, module: str, environment: Path) -> None:
    lines = make(environment, target, "ARGS=--all").stdout.splitlines()
    assert f"{INSTALLED} .[worker,demo,test]" in lines[-2]
    assert lines[-1] == f"python -m {module}"


def test_a_python_that_is_too_old_is_refused_in_one_line(clone: Path) -> None:
    old = script(clone / "old", 'test "$1" = --version && echo "Python 3.9.2" && exit 0; exit 1')
    lines = make(clone, "up", f"PYTHON={old}").stderr.splitlines()
    assert lines[0].startswith(f"Touchstone needs Python 3.11 or newer, but {old} is Python 3.9.2.")
    assert "make up PYTHON=" in lines[0]
    assert len(lines) == 2, "ours and make's own"
    assert not (clone / ".venv").exists()


def test_a_missing_python_is_refused_in_one_line(clone: Path) -> None:
    lines = make(clone, "up", "PYTHON=no-such-python").stderr.splitlines()
    assert "no-such-python is missing" in lines[0]
    assert len(lines) == 2


def test_a_python_without_venv_says_what_to_install(clone: Path) -> None:
    bare = script(clone / "bare", f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    lines = make(clone, "up", f"PYTHON={bare}").stderr.splitlines()
    assert lines[0] == f"{bare} cannot create virtual environments. On Debian or Ubuntu: apt install python3-venv"
    assert not (clone / ".venv").exists()


def test_where_nothing_can_be_installed_the_skipped_tests_are_named(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    script(tools / "id", "echo 1000")
    for name in ("sh", "grep", "ls"):
        (tools / name).symlink_to(shutil.which(name) or name)
    answer = subprocess.run(
        ["sh", str(ROOT / ".ci/system-packages")],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0
    assert "chromium is not installed: the browser tests (marker browser) will be skipped." in answer.stderr
    assert "redis-server is not installed: the tests on Redis (marker redis) will be skipped." in answer.stderr
    assert "To run them too, install: chromium redis-server" in answer.stderr
    assert answer.stdout == ""


def test_pins_leave_out_builds_and_cuda(tmp_path: Path) -> None:
    frozen = "torch==2.13.0+cpu\nnvidia-cublas==13.1\ntriton==3.7.0\ncuda-bindings==13.0\n-e /x\nnumpy==2.4.6\n"
    answer = subprocess.run(
        ["sh", str(ROOT / ".ci/pin-versions")], input=frozen, capture_output=True, text=True, check=False
    )
    header, *pins = answer.stdout.splitlines()
    assert header.startswith("# Exact versions")
    assert pins == ["torch==2.13.0", "numpy==2.4.6"]


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(line.startswith("#") or "==" in line for line in lines)
    assert "torch==2.13.0" in lines
