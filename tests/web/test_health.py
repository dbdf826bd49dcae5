"""What machines that watch are told."""

import shutil
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.db.session import Database
from app.db.tables import JobState
from app.settings import Settings
from tests import factories
from tests.conftest import Browser


def test_alive_needs_no_database(app: FastAPI, as_admin: Browser, settings: Settings, tmp_path: Path) -> None:
    app.state.database = Database.from_settings(Settings(data_dir=tmp_path / "gone"))
    answer = as_admin.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


@pytest.mark.both_databases
def test_ready_when_everything_is_there(client: Browser) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "checks": {"database": True, "schema": True, "data folder": True, "broker": True},
    }


def test_not_ready_behind_the_schema(client: Browser, database: Database) -> None:
    with database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": True, "schema": False, "data folder": True, "broker": True}


def test_not_ready_without_the_data_folder(client: Browser, database: Database, settings: Settings) -> None:
    database.dispose()
    shutil.rmtree(settings.data_dir)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "failed"
    assert not answer.json()["checks"]["data folder"]
    assert str(settings.data_dir) not in answer.text


def test_metrics_count_requests_and_open_runs(as_admin: Browser, database: Database) -> None:
    assert as_admin.person
    with database.session() as session:
        for state in (JobState.QUEUED, JobState.RUNNING, JobState.DONE):
            factories.run(session, as_admin.person, state=state, name=f"org/{state}")
    as_admin.get("/account")
    answer = as_admin.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "touchstone_active_runs 2.0" in answer.text
    counted = 'touchstone_http_requests_total{handler="accounts.account_page",method="GET",status="200"} 1.0'
    assert counted in answer.text


def test_the_header_counts_open_runs(as_viewer: Browser, database: Database) -> None:
    assert as_viewer.person
    with database.session() as session:
        factories.run(session, as_viewer.person)
    assert '<span class="live">1' in as_viewer.get("/account").text
