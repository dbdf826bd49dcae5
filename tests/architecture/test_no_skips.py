"""The pytest plugin that makes a skip an error in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import no_skips

ROOT = Path(__file__).resolve().parents[2]
PASSES = "def test_passes():\n    assert True\n"
XFAILS = "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_x():\n    assert False\n"
SKIPS = "import pytest\ndef test_skips():\n    pytest.skip('no Redis here')\n"
MARKED = "import pytest\n@pytest.mark.skipif(True, reason='no Chromium here')\ndef test_skips():\n    assert True\n"
MODULE = "import pytest\npytest.importorskip('no_such_module_at_all')\n"


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "tests.no_skips", "-c", str(ROOT / "pyproject.toml")]
    command += [f"--rootdir={folder}", "-p", "no:cacheprovider", str(folder)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("text", [PASSES, XFAILS], ids=["passes", "xfails"])
def test_what_ran_passes(tmp_path: Path, text: str) -> None:
    answer = run(tmp_path, text)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    ("text", "reason"),
    [(SKIPS, "no Redis here"), (MARKED, "no Chromium here"), (MODULE, "no_such_module_at_all")],
    ids=["in the test", "by a mark", "a module"],
)
def test_a_skip_fails_the_session_and_is_named(tmp_path: Path, text: str, reason: str) -> None:
    answer = run(tmp_path, PASSES + text)
    assert answer.returncode == pytest.ExitCode.TESTS_FAILED, answer.stdout
    assert "skipped, which CI does not allow" in answer.stdout
    assert reason in answer.stdout.partition("skipped, which CI does not allow")[2]


@pytest.mark.parametrize(
    ("present", "reason", "refused"),
    [
        (False, "the oracle (shared/data/mteb) is not beside this checkout", False),
        (True, "the oracle (shared/data/mteb) is not beside this checkout", True),
        (False, "no Redis here", True),
    ],
)
def test_only_an_absent_oracle_excuses_a_skip(present: bool, reason: str, refused: bool) -> None:
    plugin = no_skips.NoSkips(oracles_present=present)
    report = pytest.TestReport(
        "test_it.py::test_it", ("test_it.py", 1, "test_it"), {}, "skipped", ("test_it.py", 1, reason), "call"
    )
    plugin.pytest_runtest_logreport(report)
    assert plugin.refused == ({"test_it.py::test_it": reason} if refused else {})
