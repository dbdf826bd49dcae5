"""Who may import whom: the contracts of pyproject.toml hold, and they bite; what a process really loads."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ("torch", "transformers", "sentence_transformers", "sklearn", "scipy", "pandas", "pyarrow", "mteb")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--config", "pyproject.toml", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("app", "worker"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def loaded_by(statement: str, tmp_path: Path, **environment: str) -> set[str]:
    """The engine's libraries that a fresh process has loaded after the statement."""
    program = f"import json, sys\n{statement}\nprint(json.dumps([name for name in {ENGINE!r} if name in sys.modules]))"
    answer = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TOUCHSTONE_DATA_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_the_rooms_keep_their_contracts() -> None:
    answer = lint_imports(ROOT)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("app/core/planted.py", "import torch", "The web never loads the engine's libraries"),
        ("app/web/planted.py", "from worker import main", "The web never loads the engine's libraries"),
        ("app/core/planted.py", "from app.db import session", "The core, and what is known of MTEB, are pure"),
        ("app/services/planted.py", "from app.web import pages", "The rooms of the house"),
        ("worker/planted.py", "import fastapi", "Workers know nothing of pages"),
    ],
)
def test_a_planted_violation_is_found(copy: Path, file: str, line: str, broken: str) -> None:
    (copy / file).write_text(f"{line}\n")
    answer = lint_imports(copy)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert any(broken in shown and "BROKEN" in shown for shown in answer.stdout.splitlines()), answer.stdout
    assert Path(file).with_suffix("").as_posix().replace("/", ".") in answer.stdout


def test_the_web_loads_nothing_of_the_engine(tmp_path: Path) -> None:
    assert loaded_by("import app.main", tmp_path) == set()


def test_the_light_worker_loads_no_torch(tmp_path: Path) -> None:
    loaded = loaded_by("import worker.main", tmp_path, TOUCHSTONE_WORKER_QUEUE="light")
    assert not loaded & {"torch", "transformers", "sentence_transformers"}
