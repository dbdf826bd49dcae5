"""A whole Touchstone as real processes, for tests from outside."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from app.db.session import Database
from app.db.tables import Role
from app.http.identity import cookie_name
from app.services import accounts
from app.settings import Settings
from tests import factories

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A loopback port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """The first true answer of `condition`, asked ten times a second; AssertionError when time runs out."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """The web alone on a house, while the block runs; its address."""
    port = free_port()
    environment = {**os.environ, "TOUCHSTONE_DATA_DIR": str(settings.data_dir), "TOUCHSTONE_DEMO": "0"}
    log = settings.data_dir.with_name("web.log")
    with log.open("wb") as output:
        web = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        )

    def answers() -> bool:
        assert web.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
                return True
        except urllib.error.URLError:
            return False

    try:
        until(answers, seconds=60, what="the web to answer")
        yield f"http://127.0.0.1:{port}"
    finally:
        web.terminate()
        web.wait(timeout=20)


def sign_in(page: Page, address: str, settings: Settings, database: Database, role: Role) -> Page:
    """The page, on which a new person of that role is signed in."""
    with database.session() as session:
        person = factories.person(session, f"{role.value}-{secrets.token_hex(4)}", role)
        token = accounts.open_session(session, person.id, days=1)
    page.context.add_cookies([{"name": cookie_name(settings), "value": token, "url": address}])
    return page


class House:
    """`touchstone up` on a free port, its output in a file beside the data folder."""

    def __init__(self, data_dir: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.log_path = data_dir.with_name(f"{data_dir.name}-{self.port}.log")
        self.token = ""
        self.environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "PYTHONUNBUFFERED": "1",
            "TOUCHSTONE_HEARTBEAT_SECONDS": "1",
            "TOUCHSTONE_SWEEP_SECONDS": "1",
            **(environment or {}),
        }
        command = [sys.executable, "-m", "app.cli", "up", "--data-dir", str(data_dir), "--port", str(self.port)]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *arguments], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return self.log_path.read_text()

    def wait_ready(self, seconds: float = 60) -> "House":
        until(lambda: "Ctrl-C stops it" in self.output or self._died(), seconds=seconds, what="the web to answer")
        return self

    def sign_in_link(self) -> str:
        """The first admin's one-time link, as printed."""
        match = re.search(r"http://\S+/sign-in/\S+", self.output)
        assert match, self.output
        return match.group()

    def children(self) -> dict[str, int]:
        """Process id by child: web, light, encode."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(") ")[2].split()
                command = path.with_name("cmdline").read_bytes().decode().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == self.process.pid and fields[0] != "Z":
                name = (
                    "web" if "serve" in command else command[command.index("-Q") + 1] if "-Q" in command else "starting"
                )
                found[name] = int(path.parent.name)
        return found

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """An API call with the bearer token; the JSON answer."""
        request = urllib.request.Request(
            f"{self.address}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error
        return json.loads(text) if text else None

    def stop(self, number: int = signal.SIGINT) -> float:
        """End it as Ctrl-C does; how many seconds that took."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=20)
        return time.monotonic() - started

    def kill(self) -> None:
        """End whatever is left, for the end of a test."""
        if self.process.poll() is None:
            self.stop(signal.SIGTERM)

    def _died(self) -> bool:
        assert self.process.poll() is None, self.output
        return False


def alive(pid: int) -> bool:
    """Whether that process still runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False
