"""/api/v1/models: the registry for scripts."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from app.db.session import Database
from app.db.tables import AuditEntry, JobState, Measurement, Role
from tests.board_world import World
from tests.conftest import Browser

FOUND = {"dimensions": 384, "max_tokens": 256, "licence": "apache-2.0", "prompts": {"query": "query: "}}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def _call(browser: Browser, method: str, path: str, body: Any = None) -> Any:
    return browser.request(method, f"/api/v1/models{path}", json=body, headers={"X-CSRF-Token": browser.csrf_token})


def test_the_registry_is_read_page_by_page(world: World, as_viewer: Browser) -> None:
    for number in range(3):
        world.model(f"acme/m{number}", licence="mit", languages=["eng-Latn"])
    first = _call(as_viewer, "GET", "?per_page=2&q=acme").json()
    assert [item["name"] for item in first["items"]] == ["acme/m0", "acme/m1"]
    assert (first["total"], first["next"]) == (3, "/api/v1/models?per_page=2&q=acme&page=2")
    assert first["items"][0]["languages"] == ["eng-Latn"]
    second = as_viewer.get(first["next"]).json()
    assert ([item["name"] for item in second["items"]], second["next"]) == (["acme/m2"], None)
    assert _call(as_viewer, "GET", "?per_page=0").status_code == 422


def test_one_model_tells_everything(world: World, as_viewer: Browser) -> None:
    model_id = world.model("acme/one", found=FOUND, corrected={"licence": "mit"}, licence="mit", path="secret/folder")
    answer = _call(as_viewer, "GET", f"/{model_id}").json()
    assert (answer["id"], answer["licence"], answer["corrected"]) == (model_id, "mit", {"licence": "mit"})
    assert (answer["found"], answer["added_by"], answer["runs"]) == (FOUND, "ada", 0)
    assert "path" not in answer, "where it lies on the worker's disk is nobody's business"
    missing = _call(as_viewer, "GET", "/4711")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


def test_an_admin_registers_corrects_varies_and_deletes(
    as_admin: Browser, database: Database, woken: list[str], world: World
) -> None:
    created = _call(as_admin, "POST", "", {"name": "acme/one", "query_prompt": "", "truncate_dim": 8})
    assert created.status_code == 201
    assert (created.json()["state"], created.json()["variant"]) == ("queued", "8 d · no prompt")
    assert woken == ["light"]
    ready = world.model("acme/ready", found=FOUND, **FOUND)
    patched = _call(as_admin, "PATCH", f"/{ready}", {"licence": "mit", "training_datasets": []}).json()
    assert (patched["licence"], patched["training_datasets"], patched["dimensions"]) == ("mit", [], 384)
    again = _call(as_admin, "PATCH", f"/{ready}", {"licence": None}).json()
    assert (again["licence"], again["training_datasets"]) == ("apache-2.0", []), "what is left out stays"
    variant = _call(as_admin, "POST", f"/{ready}/variants", {"truncate_dim": 128}).json()
    assert (variant["variant"], variant["dimensions"], variant["state"]) == ("128 d", 128, "done")
    small = _call(as_admin, "POST", f"/{ready}/variants", {"truncate_dim": 100, "precision": "binary"}).json()
    assert (small["variant"], small["precision"], small["vector_bytes"]) == ("100 d · binary", "binary", 13)
    assert (patched["precision"], patched["vector_bytes"]) == ("float32", 1536)
    inspected = _call(as_admin, "POST", f"/{ready}/inspect")
    assert (inspected.status_code, inspected.json()["state"]) == (202, "queued")
    assert _call(as_admin, "DELETE", f"/{variant['id']}").status_code == 204
    assert _call(as_admin, "GET", f"/{variant['id']}").status_code == 404


def test_what_mteb_knows_is_told_with_its_source_and_corrected(as_admin: Browser) -> None:
    created = _call(as_admin, "POST", "", {"name": "sentence-transformers/all-MiniLM-L6-v2"}).json()
    assert (created["release_date"], created["open_weights"], created["kinds"]) == ("2021-08-30", True, ["dense"])
    assert (created["active_parameters"], created["training_code"]) == (10_992_768, None)
    assert created["sources"]["release_date"] == "registry" and "training_code" not in created["sources"]
    said = {
        "release_date": "2024-01-31",
        "open_weights": False,
        "active_parameters": 7,
        "training_code": "https://example.org/code",
        "training_data": "public",
        "citation": "@misc{a}",
        "kinds": ["dense", "sparse"],
        "reference": "https://example.org",
    }
    patched = _call(as_admin, "PATCH", f"/{created['id']}", said).json()
    assert {name: patched[name] for name in said} == said
    assert {patched["sources"][name] for name in said} == {"corrected"}
    again = _call(as_admin, "PATCH", f"/{created['id']}", {"release_date": None}).json()
    assert (again["release_date"], again["sources"]["release_date"]) == ("2021-08-30", "registry")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "nameless"}, 422, "name"),
        ({"name": "a/b", "dtype": "int3"}, 422, "dtype"),
        ({"name": "a/b", "precision": "int4"}, 422, "precision"),
        ({"name": "a/b", "truncate_dim": "many"}, 422, "truncate_dim"),
        ({"name": "a/b", "colour": "blue"}, 422, "colour"),
        ({"name": "acme/one"}, 409, None),
    ],
)
def test_what_cannot_be_registered_is_refused_by_field(
    world: World, as_admin: Browser, body: dict[str, Any], status: int, field: str | None
) -> None:
    world.model("acme/one")
    answer = _call(as_admin, "POST", "", body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["message"]
    if field:
        assert list(error["details"]["fields"]) == [field]
    else:
        assert (error["code"], error["details"]) == ("model_exists", {"model": "acme/one"})
    assert _call(as_admin, "GET", "").json()["total"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"parameters": -1},
        {"dimensions": 2**31},
        {"colour": "blue"},
        {"languages": ["x" * 201]},
        {"licence": 1},
        {"release_date": "yesterday"},
        {"training_code": "http://example.org"},
        {"kinds": ["magic"]},
        {"open_weights": "perhaps"},
    ],
)
def test_a_correction_out_of_range_is_refused(world: World, as_admin: Browser, body: dict[str, Any]) -> None:
    model_id = world.model("acme/one")
    assert _call(as_admin, "PATCH", f"/{model_id}", body).status_code == 422
    assert _call(as_admin, "GET", f"/{model_id}").json()["corrected"] == {}


def test_a_model_with_runs_is_not_deleted(world: World, as_admin: Browser) -> None:
    world.dataset("pairs")
    model_id = world.model("acme/one")
    world.run(model_id, "pairs", state=JobState.FAILED)
    answer = _call(as_admin, "DELETE", f"/{model_id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "model_has_runs")


def test_what_a_model_costs_is_told_by_device_until_it_is_forgotten(
    world: World, database: Database, as_admin: Browser
) -> None:
    one, two = world.model("acme/one"), world.model("acme/two")
    costs = {"peak_memory_mb": 650.5, "query_p50_ms": 19.5, "query_p95_ms": 25.25, "documents_per_second": 21.75}
    with database.session() as session:
        for model_id, device in ((one, "cuda: NVIDIA H200"), (one, "cpu: <b>x</b>"), (two, "cpu: <b>x</b>")):
            session.add(Measurement(model_id=model_id, device=device, **costs))
    measured = _call(as_admin, "GET", f"/{one}").json()["measured"]
    assert [row.pop("device") for row in measured] == ["cpu: <b>x</b>", "cuda: NVIDIA H200"]
    assert all(row.pop("measured_at").endswith("Z") for row in measured)
    assert measured == [costs, costs]
    assert _call(as_admin, "DELETE", f"/{one}/measurements").status_code == 204
    assert _call(as_admin, "GET", f"/{one}").json()["measured"] == []
    assert len(_call(as_admin, "GET", f"/{two}").json()["measured"]) == 1
    with database.reading() as session:
        assert session.scalars(select(AuditEntry.subject).where(AuditEntry.action == "model.remeasure")).all() == [
            "acme/one"
        ]
    assert _call(as_admin, "DELETE", "/4711/measurements").status_code == 404


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
def test_only_admins_change_the_registry(world: World, sign_in: Callable[[Role], Browser], role: Role) -> None:
    model_id = world.model("acme/one")
    browser = sign_in(role)
    for method, path, body in (
        ("POST", "", {"name": "a/b"}),
        ("PATCH", f"/{model_id}", {"licence": "mit"}),
        ("POST", f"/{model_id}/variants", {"truncate_dim": 8}),
        ("POST", f"/{model_id}/inspect", None),
        ("DELETE", f"/{model_id}/measurements", None),
        ("DELETE", f"/{model_id}", None),
    ):
        answer = _call(browser, method, path, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


def test_nobody_reads_without_signing_in(client: Browser) -> None:
    for path in ("", "/1"):
        assert client.get(f"/api/v1/models{path}").status_code == 401
