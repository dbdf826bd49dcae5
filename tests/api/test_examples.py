"""/api/v1/compare/{dataset}/examples: the same examples for scripts, texts for members only."""

from collections.abc import Callable

import pytest

from app.db.session import Database
from app.db.tables import Role
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests.conftest import Browser
from tests.example_world import KINDS, SECRET, ExampleWorld

ADDRESS = "/api/v1/compare/house/examples"


@pytest.fixture
def world(database: Database, settings: Settings) -> ExampleWorld:
    return ExampleWorld(database, BlobStore(settings.blobs_dir))


def test_examples_with_what_their_type_adds(world: ExampleWorld, as_member: Browser) -> None:
    found = as_member.get(f"{ADDRESS}?{world.of_kind('Retrieval')}").json()
    assert (found["dataset"], found["metric"], found["is_mean"]) == ("house", "ndcg_at_10", True)
    assert found["models"] == [
        {"key": "1", "model": "acme/a", "run_id": 1, "score": 0.5},
        {"key": "2", "model": "acme/b", "run_id": 2, "score": 0.25},
    ]
    assert found["counts"] == {"all": 2, "improved": 1, "worse": 1, "unchanged": 0, "failed": 0}
    assert found["items"][0] == {
        "split": "test",
        "subset": "default",
        "place": 2,
        "id": "q2",
        "texts": [f"{SECRET} query 2"],
        "a": 0.0,
        "b": 0.75,
        "difference": -0.75,
        "facts": {"first_relevant_a": None, "first_relevant_b": 1},
    }
    assert (found["total"], found["next"]) == (2, None)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("role", list(Role))
def test_texts_and_labels_are_for_members(
    world: ExampleWorld, sign_in: Callable[[Role], Browser], kind: str, role: Role
) -> None:
    answer = sign_in(role).get(f"{ADDRESS}?{world.of_kind(kind)}")
    assert answer.status_code == 200
    assert (SECRET in answer.text) is (role is not Role.VIEWER and kind != "Clustering")
    if role is Role.VIEWER:
        assert all(item["texts"] is None for item in answer.json()["items"])


def test_pages_lead_to_one_another(world: ExampleWorld, as_viewer: Browser) -> None:
    models = world.of_kind("BitextMining")
    first = as_viewer.get(f"{ADDRESS}?{models}&per_page=4&sort=place").json()
    assert (len(first["items"]), first["total"]) == (4, 6)
    second = as_viewer.get(first["next"]).json()
    assert [(item["subset"], item["place"]) for item in second["items"]] == [("eng/<b>fra", 1), ("eng/<b>fra", 2)]
    assert second["next"] is None


def test_a_part_and_an_outcome(world: ExampleWorld, as_viewer: Browser) -> None:
    models = world.of_kind("BitextMining")
    found = as_viewer.get(f"{ADDRESS}?{models}&cell=test:eng-deu&only=improved").json()
    assert [(item["subset"], item["place"]) for item in found["items"]] == [("eng-deu", 1)]
    assert found["counts"]["all"] == 3


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("models=1,9", 404, "unknown_model"),
        ("models=1", 422, "compare_count"),
        ("models=1,2&only=best", 422, "bad_choice"),
        ("models=1,2&sort=size", 422, "bad_sort"),
        ("models=1,2&cell=dev", 404, "not_found"),
        ("models=1,2&board=nothing", 404, "not_found"),
    ],
)
def test_what_is_wrong_is_told(world: ExampleWorld, as_viewer: Browser, query: str, status: int, code: str) -> None:
    world.of_kind("STS")
    answer = as_viewer.get(f"{ADDRESS}?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_lost_files_are_told(world: ExampleWorld, as_member: Browser) -> None:
    models = world.of_kind("STS")
    world.drop_dataset_file()
    answer = as_member.get(f"{ADDRESS}?{models}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "dataset_missing")


def test_only_for_people_who_are_signed_in(world: ExampleWorld, client: Browser) -> None:
    assert client.get(f"{ADDRESS}?{world.of_kind('STS')}").status_code == 401
