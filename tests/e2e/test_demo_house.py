"""The demo from first start to full board; again with a worker killed in the middle; again on PostgreSQL and Redis."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app.db.session import Database
from app.db.tables import JobState, Role
from app.services import accounts, api_tokens
from app.settings import Settings
from tests.e2e.house import ROOT, House, sign_in, until

pytestmark = pytest.mark.slow

BOARD = "help-desk-demo"
DATASETS = 12
RUNS = 4 * DATASETS


def _settings(house: House) -> Settings:
    url = house.environment.get("TOUCHSTONE_DATABASE_URL", "")
    return Settings(data_dir=house.data_dir, database_url=url)


def _with_token(house: House) -> House:
    house.wait_ready()
    database = Database.from_settings(_settings(house))
    with database.session() as session:
        person = accounts.person_of(accounts.create_user(session, "script", Role.ADMIN))
        house.token = api_tokens.create(session, person, name="tests", scope="admin", days=7)
    database.dispose()
    return house


def _runs(house: House) -> list[dict[str, Any]]:
    return list(house.call("GET", "/runs?per_page=100")["items"])


def _all_done(house: House) -> bool:
    found = _runs(house)
    failed = [run for run in found if run["state"] == JobState.FAILED]
    assert failed == [], house.output
    return len(found) == RUNS and all(run["state"] == JobState.DONE for run in found)


def _board(house: House) -> dict[str, Any]:
    return dict(house.call("GET", f"/boards/{BOARD}"))


def _certain(house: House) -> bool:
    return bool(house.call("GET", f"/boards/{BOARD}/certainty")["state"] == "known")


def _scores(board: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {f"{model['model']} {model['variant']}": model["tasks"] for model in board["models"]}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("demo") / "data")
    try:
        _with_token(house)
        until(lambda: _all_done(house), seconds=300, what="the demo's runs")
        until(lambda: _certain(house), seconds=60, what="the board's certainty")
        yield house
    finally:
        house.kill()


def test_the_demo_board_fills_by_itself_without_a_dash(house: House) -> None:
    board = _board(house)
    assert len(board["models"]) == 4
    for model in board["models"]:
        assert model["complete"]
        assert len(model["tasks"]) == DATASETS
        assert None not in [*model["tasks"].values(), *model["task_types"].values(), model["mean_task"], model["rank"]]
    by_name = _scores(board)
    random = next(tasks for name, tasks in by_name.items() if "random" in name)
    minilm = by_name["sentence-transformers/all-MiniLM-L6-v2 "]
    assert all(minilm[task] > random[task] for task in minilm)


def test_the_command_line_prints_the_same_board(house: House) -> None:
    def export(output: str) -> str:
        command = [sys.executable, "-m", "app.cli", "export", "board", "Help desk demo", "--format", output]
        command += ["--data-dir", str(house.data_dir)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout

    printed = json.loads(export("json"))
    assert printed["benchmark"] == "Help desk demo"
    assert printed["models"] == _board(house)["models"]
    assert len(export("csv").splitlines()) == 5


@pytest.mark.browser
def test_two_models_the_query_where_they_differ_the_verdict_and_the_report(house: House, page: Page) -> None:
    """From the board to one query and back, as somebody does who must decide between two models."""
    settings, database = _settings(house), Database.from_settings(_settings(house))
    sign_in(page, house.address, settings, database, Role.MEMBER)
    page.goto(f"{house.address}/boards/{BOARD}")
    expect(page.get_by_text(re.compile(r"^A test separates \d of 3 neighbouring pairs"))).to_be_visible()
    page.get_by_role("link", name="Certainty", exact=True).click()
    expect(page.get_by_role("heading", name="Critical differences")).to_be_visible()
    row = page.locator("tr", has=page.get_by_role("rowheader", name="all-MiniLM-L6-v2", exact=False)).first
    row.get_by_role("link", name="< 0.001").click()
    expect(page.get_by_role("heading", name="Compare 2 models")).to_be_visible()
    verdict = page.get_by_text(re.compile(r"all-MiniLM-L6-v2 beats .* by \d+\.\d\d points \(95% CI .*, n = [\d,]+\)\."))
    expect(verdict.first).to_be_visible()
    page.get_by_role("link", name=re.compile("Every one of the queries of Help centre search")).click()
    page.get_by_role("link", name=re.compile(r"^Improved \d+")).click()
    page.locator("tbody tr").first.get_by_role("link").first.click()
    expect(page.get_by_text("relevant").first).to_be_visible()
    assert "/compare/help-centre-search/" in page.url
    page.goto(f"{house.address}/boards/{BOARD}/report")
    expect(page.get_by_role("heading", name="Methods")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Markdown").click()
    text = download.value.path().read_text(encoding="utf-8")
    assert "all-MiniLM-L6-v2" in text and "10,000" in text
    database.dispose()


def test_the_gate_says_by_its_exit_code_whether_a_candidate_is_good_enough(house: House) -> None:
    def gate(candidate: str, baseline: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "app.cli", "gate", "--board", BOARD, "--candidate", candidate]
        command += ["--baseline", baseline, "--min-delta", "-0.01", "--data-dir", str(house.data_dir)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr

    assert gate("sentence-transformers/all-MiniLM-L6-v2", "baseline/random-vectors")[0] == 0
    assert gate("baseline/random-vectors", "baseline/bm25")[0] == 1
    code, words = gate("nobody/nothing", "baseline/bm25")
    assert code == 64 and "nobody/nothing" in words


def test_doctor_finds_the_house_well(house: House) -> None:
    command = [sys.executable, "-m", "app.cli", "doctor", "--data-dir", str(house.data_dir)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Everything is well."), done.stdout


def test_a_second_start_does_not_load_the_demo_again(house: House) -> None:
    again = House(house.data_dir)
    try:
        again.wait_ready()
        again.token = house.token
        assert len(_runs(again)) == RUNS
        assert "demo pack" not in again.output
    finally:
        again.kill()


def test_a_worker_killed_in_the_middle_changes_no_score(house: House, tmp_path: Path) -> None:
    """kill -9 while texts are being encoded: the run ends once, by itself, with the same scores."""
    crashed = House(tmp_path / "data", environment={"TOUCHSTONE_BATCH_TOKENS": "256"})
    try:
        _with_token(crashed)

        def victim() -> dict[str, Any] | None:
            return next(
                (run for run in _runs(crashed) if run["stage"] == "encode" and 0 < run["done"] < run["total"]), None
            )

        run = until(victim, seconds=90, what="a run in the middle of encoding")
        os.kill(crashed.children()["encode"], signal.SIGKILL)
        until(lambda: _all_done(crashed), seconds=300, what="the runs after the kill")
        after = crashed.call("GET", f"/runs/{run['id']}")
        assert after["attempt"] == 2
        assert len(after["scores"]) == len({(s["split"], s["subset"], s["metric"]) for s in after["scores"]})
        assert _scores(_board(crashed)) == {
            name: {task: pytest.approx(value, abs=1e-6) for task, value in tasks.items()}
            for name, tasks in _scores(_board(house)).items()
        }
    finally:
        crashed.kill()


@pytest.mark.postgres
@pytest.mark.redis
def test_the_same_code_runs_on_postgresql_and_redis(
    house: House, tmp_path: Path, pg_database: str, redis_url: str
) -> None:
    environment = {"TOUCHSTONE_DATABASE_URL": pg_database, "TOUCHSTONE_BROKER_URL": redis_url}
    grown = House(tmp_path / "data", environment=environment)
    try:
        _with_token(grown)
        until(lambda: _all_done(grown), seconds=300, what="the demo's runs on PostgreSQL")
        assert _scores(_board(grown)) == {
            name: {task: pytest.approx(value, abs=1e-6) for task, value in tasks.items()}
            for name, tasks in _scores(_board(house)).items()
        }
        assert not (grown.data_dir / "touchstone.db").exists()
        assert not (grown.data_dir / "broker").exists()
    finally:
        grown.kill()


def test_queueing_works_while_redis_is_down(tmp_path: Path) -> None:
    """The row is the outbox: a submission is stored although no message can go out."""
    house = House(tmp_path / "data", "--no-demo", environment={"TOUCHSTONE_BROKER_URL": "redis://127.0.0.1:1/0"})
    try:
        _with_token(house)
        model = house.call("POST", "/models", {"loader": "bm25"})
        assert model["state"] == JobState.QUEUED
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(house.address + "/readyz", timeout=10)
        with error.value:  # holds the connection
            assert error.value.code == 503
    finally:
        house.kill()
