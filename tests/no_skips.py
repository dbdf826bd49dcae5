"""In CI a skipped test is an error: `pytest -p tests.no_skips`, as `make test` runs it when CI=true.

Allowed is only what compares with `../shared/data` where that folder is absent; such a reason names it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

ORACLES = Path(__file__).resolve().parents[2] / "shared" / "data"


class NoSkips:
    """Collects skips and fails the session when one is not allowed."""

    def __init__(self, *, oracles_present: bool) -> None:
        self._oracles_present = oracles_present
        self.refused: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test, or its set-up, has ended."""
        if not hasattr(report, "wasxfail"):
            self._look(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module or class was collected."""
        self._look(report)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Turn a session that passed into a failed one."""
        if self.refused and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        yield

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what was skipped."""
        if self.refused:
            terminalreporter.section("skipped, which CI does not allow", red=True)
            for name, reason in self.refused.items():
                terminalreporter.line(f"{name}: {reason}")

    def _look(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped:
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if self._oracles_present or "shared/data" not in reason:
            self.refused[report.nodeid] = reason.removeprefix("Skipped: ")


def pytest_configure(config: pytest.Config) -> None:
    """Watch this session."""
    config.pluginmanager.register(NoSkips(oracles_present=ORACLES.is_dir()), "touchstone-no-skips")
