"""`touchstone up` from outside: start, second start, deaths, the end, and clear refusals."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.house import ROOT, House, alive, until

pytestmark = pytest.mark.slow


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "data", "--no-demo")
    yield house
    house.kill()


def _all_children(house: House) -> dict[str, int]:
    children: dict[str, int] = until(
        lambda: c if set(c := house.children()) == {"web", "light", "encode"} else None,
        seconds=30,
        what="three children",
    )
    return children


def test_the_first_start_prints_a_sign_in_link_and_ctrl_c_ends_every_child(house: House) -> None:
    house.wait_ready()
    children = _all_children(house)
    assert house.sign_in_link().startswith(house.address)
    until(lambda: house.output.count("worker ready") == 2, seconds=40, what="both workers")
    assert house.stop() < 10
    assert [name for name, pid in children.items() if alive(pid)] == []
    assert "Traceback" not in house.output


def test_the_second_start_answers_within_eight_seconds(house: House) -> None:
    house.wait_ready().stop()
    started = time.monotonic()
    again = House(house.data_dir, "--no-demo")
    try:
        again.wait_ready()
        assert time.monotonic() - started < 8
    finally:
        again.kill()


@pytest.mark.parametrize("name", ["web", "light", "encode"])
def test_a_dead_child_is_started_again(house: House, name: str) -> None:
    house.wait_ready()
    before = _all_children(house)
    os.kill(before[name], signal.SIGKILL)
    after = until(
        lambda: c if (c := house.children()).get(name) not in {None, before[name]} else None,
        seconds=20,
        what=f"another {name}",
    )
    assert {key: pid for key, pid in after.items() if key != name} == {
        key: pid for key, pid in before.items() if key != name
    }


def test_children_do_not_outlive_a_killed_supervisor(house: House) -> None:
    house.wait_ready()
    children = _all_children(house)
    house.stop(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in children.values()), seconds=15, what="the children's end")


def _refused(*arguments: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        message = _refused("up", "--data-dir", str(tmp_path), "--port", port)
    assert f"port {port} on 127.0.0.1 is taken" in message


def test_an_unwritable_data_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    message = _refused("up", "--data-dir", str(tmp_path / "file"))
    assert "cannot be written" in message and "--data-dir" in message


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TOUCHSTONE_PORT", "many", "port"),
        ("TOUCHSTONE_DATABASE_URL", "sqlite:////nowhere/at/all.db", "database cannot be used"),
        ("TOUCHSTONE_DATABASE_URL", "postgres://u:hush@h/db", "must begin with postgresql://"),
        ("TOUCHSTONE_DATABASE_URL", "postgresql://u:hu/sh@h/db", "write / as %2F"),
        ("TOUCHSTONE_DATABASE_URL", "postgresql://u:hush@127.0.0.1:1/db", "database cannot be used"),
        ("TOUCHSTONE_BROKER_URL", "amqp://u:hush@h/", "must begin with redis:// or rediss://"),
        ("TOUCHSTONE_HEARTBEAT_SECONDS", "60", "at most a third of TOUCHSTONE_LEASE_SECONDS"),
        ("TOUCHSTONE_DATABASE_URL_FILE", "/nowhere/secret", "TOUCHSTONE_DATABASE_URL_FILE"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(tmp_path: Path, name: str, value: str, words: str) -> None:
    message = _refused("up", "--data-dir", str(tmp_path), environment={name: value})
    assert words in message
    assert "hu" not in message.replace("touchstone", ""), "no part of a password"


def test_doctor_speaks_json_and_names_what_is_missing(house: House) -> None:
    house.wait_ready()
    until(lambda: house.output.count("worker ready") == 2, seconds=40, what="both workers")

    def doctor() -> tuple[int, dict[str, bool]]:
        command = [sys.executable, "-m", "app.cli", "doctor", "--json", "--data-dir", str(house.data_dir)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        checks = json.loads(done.stdout)["checks"]
        return done.returncode, {check["name"]: check["ok"] for check in checks}

    code, checks = doctor()
    assert (code, [name for name, ok in checks.items() if not ok]) == (0, [])
    house.stop()
    code, checks = doctor()
    assert (code, [name for name, ok in checks.items() if not ok]) == (1, ["light worker", "encode worker"])


def test_health_and_readiness_answer(house: House) -> None:
    house.wait_ready()
    for path in ("/healthz", "/readyz"):
        with urllib.request.urlopen(house.address + path, timeout=10) as answer:
            assert answer.status == 200
