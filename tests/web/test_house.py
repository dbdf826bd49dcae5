"""The admin's pages about workers and storage."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.db.queries import house
from app.db.session import Database
from app.db.tables import JobState, Model, Role, Upload, Worker
from app.db.types import db_now
from app.settings import Settings
from app.web.pages.house import Size, measure
from tests.board_world import World, counted_statements
from tests.conftest import Browser

NASTY = '<img src=x onerror="alert(1)">'


def _workers(database: Database) -> None:
    with database.session() as session:
        session.add(Worker(name="encode@gpu1", queue="encode", device="NVIDIA H200", version="0.1.0"))
        session.add(Worker(name="light@host", queue="light", device="none", version="0.1.0"))
        session.add(Worker(name="light@old", queue="light", device="none", version="0.1.0", seen_at=db_now(-3600)))


def test_workers_are_shown_with_what_they_do(database: Database, as_admin: Browser) -> None:
    _workers(database)
    world = World(database)
    world.dataset("pairs", name=f"Pairs {NASTY}")
    model_id = world.model("acme/one")
    run_id = world.run(model_id, "pairs", state=JobState.RUNNING, worker="encode@gpu1")
    inspected = world.model("acme/two", state=JobState.RUNNING, worker="light@host")
    html = " ".join(as_admin.get("/admin/workers").text.split())
    assert f'<a href="/runs/{run_id}">acme/one → Pairs &lt;img' in html and NASTY not in html
    assert '<a href="/models/acme/two">inspects acme/two</a>' in html
    assert "NVIDIA H200" in html and "2 at work or ready" in html
    assert html.count("silent") == 1 and html.count(">waits<") == 1
    with database.reading() as session:
        assert session.get_one(Model, inspected).worker == "light@host"


def test_every_check_of_doctor_is_listed(database: Database, as_admin: Browser) -> None:
    html = as_admin.get("/admin/workers").text
    for name in ("database", "schema", "data folder", "broker", "light worker", "encode worker", "files", "runs"):
        assert f"<dt>{name}</dt>" in html
    assert "No worker was seen today" in html
    assert "none was seen in the last two minutes" in html
    assert "something needs attention" in html


@pytest.mark.both_databases
def test_what_a_worker_holds_is_found_on_both_databases(database: Database) -> None:
    _workers(database)
    world = World(database)
    with database.session() as session:
        session.add(
            Upload(
                owner_id=world.person.id,
                name="Texts",
                task_type="STS",
                languages=["eng-Latn"],
                file_name="a.csv",
                file_sha256="0" * 64,
                file_bytes=1,
                state=JobState.RUNNING,
                worker="light@host",
            )
        )
    with database.reading() as session:
        workers = {row.name: row for row in house.list_workers(session)}
        assert house.database_bytes(session) > 100_000
        assert house.count_alive(session, "light") == 1
    assert list(workers) == ["encode@gpu1", "light@host", "light@old"]
    assert [doing.text for doing in workers["light@host"].doing] == ["validates Texts"]
    assert [row.alive for row in workers.values()] == [True, True, False]


@pytest.mark.both_databases
def test_stores_belong_to_the_models_of_finished_runs(database: Database) -> None:
    world = World(database)
    world.dataset("pairs")
    model_id = world.model("acme/one")
    world.run(model_id, "pairs", 0.5, provenance={"stores": ["aa", "bb"]})
    world.run(model_id, "pairs", 0.5, provenance={"dtype": "float32"})
    world.run(model_id, "pairs", 0.5, provenance=None)
    world.run(model_id, "pairs", state=JobState.FAILED, provenance={"stores": ["cc"]})
    with database.reading() as session:
        assert house.models_by_store(session) == {"aa": "acme/one", "bb": "acme/one"}


def _fill(folder: Path, size: int) -> None:
    folder.mkdir(parents=True)
    (folder / "vectors.npy").write_bytes(b"x" * size)
    (folder / "meta.json").write_bytes(b"{}")


def test_storage_is_measured_by_model(database: Database, settings: Settings, as_admin: Browser) -> None:
    world = World(database)
    world.dataset("pairs")
    world.run(world.model("acme/one"), "pairs", 0.5, provenance={"stores": ["aa", "bb"]})
    _fill(settings.vectors_dir / "aa" / "1", 2_000_000)
    _fill(settings.vectors_dir / "bb" / "1", 500_000)
    _fill(settings.vectors_dir / "cc" / "1", 7_000)
    _fill(settings.blobs_dir / "00", 1000)
    html = " ".join(as_admin.get("/admin/storage").text.split())
    rows = re.findall(r'<th scope="row" class="model">(.*?)</th> <td class="num">(\d+)</td> (.*?)</tr>', html)
    assert ["acme/one" in rows[0][0], rows[0][1], "2.5 MB" in rows[0][2]] == [True, "2", True]
    assert ["of no finished run" in rows[1][0], rows[1][1], "7.0 kB" in rows[1][2]] == [True, "1", True]
    assert "1.0 kB" in html and "2 uploads, datasets and results" in html


def test_an_empty_house_has_storage_too(as_admin: Browser) -> None:
    answer = as_admin.get("/admin/storage")
    assert answer.status_code == 200
    assert "None yet." in answer.text


def test_measuring_counts_every_file_and_takes_a_missing_folder_for_empty(tmp_path: Path) -> None:
    _fill(tmp_path / "a" / "b", 10)
    assert measure(tmp_path) == Size(12, 2)
    assert measure(tmp_path / "none") == Size(0, 0)
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    assert measure(tmp_path) == Size(12, 2), "what vanished does not count"


def test_the_pages_need_few_queries(database: Database, as_admin: Browser) -> None:
    _workers(database)
    as_admin.get("/admin/workers")
    for path in ("/admin/workers", "/admin/storage"):
        with counted_statements(database) as statements:
            assert as_admin.get(path).status_code == 200
        assert len(statements) <= 6, statements


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
def test_the_house_is_for_admins(sign_in: Callable[[Role], Browser], role: Role) -> None:
    browser = sign_in(role)
    for path in ("/admin/workers", "/admin/storage"):
        assert browser.get(path).status_code == 403
