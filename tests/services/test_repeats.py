"""A run that is repeated encodes anew, and says whether its score came out the same."""

from typing import Any

import pytest
from sqlalchemy import select

from app.db.session import Database
from app.db.tables import AuditEntry, JobState, Run
from app.errors import Conflict
from app.services import runs
from app.services.repeats import Change, Repeat, repeat_of
from tests.board_world import World

HERE: dict[str, Any] = {
    "revision": "a" * 40,
    "device": "cuda: NVIDIA H200",
    "dtype": "bfloat16",
    "prompts": {"query": "query: how to"},
    "versions": {"torch": "2.12.0", "transformers": "5.1"},
}
THERE: dict[str, Any] = {
    **HERE,
    "device": "cpu: AMD EPYC 9454, 2 threads",
    "dtype": "float32",
    "prompts": {"query": "how to"},
    "versions": {"torch": "2.13.0", "transformers": "5.1", "scipy": "1.17"},
}


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.dataset("pairs")
    return made


def beside(world: World, run_id: int) -> Repeat | None:
    with world.database.reading() as session:
        return repeat_of(session, run_id)


@pytest.mark.both_databases
def test_a_repeated_run_takes_no_stored_vector(world: World, woken: list[str]) -> None:
    first = world.run(world.model("acme/one"), "pairs", 0.5)
    with world.database.session() as session:
        again = runs.repeat(session, world.person, first)
    with world.database.reading() as session:
        run, old = session.get_one(Run, again), session.get_one(Run, first)
        assert run.fresh and run.state == JobState.QUEUED and not old.fresh
        assert (run.model_id, run.dataset_revision_id) == (old.model_id, old.dataset_revision_id)
        assert session.scalars(select(AuditEntry.action)).all()[-1] == "run.repeat"
    assert woken == ["encode"]


def test_only_what_is_finished_and_not_open_can_be_repeated(world: World) -> None:
    model = world.model("acme/one")
    failed = world.run(model, "pairs", state=JobState.FAILED)
    with world.database.session() as session, pytest.raises(Conflict, match="only finished runs can be repeated"):
        runs.repeat(session, world.person, failed)
    done = world.run(model, "pairs", 0.5)
    world.run(model, "pairs", state=JobState.QUEUED)
    with world.database.session() as session, pytest.raises(Conflict, match="waits or works already"):
        runs.repeat(session, world.person, done)


def test_a_repeat_that_failed_is_tried_again_as_one(world: World) -> None:
    failed = world.run(world.model("acme/one"), "pairs", state=JobState.FAILED, fresh=True)
    with world.database.session() as session:
        again = runs.retry(session, world.person, failed)
        assert session.get_one(Run, again).fresh


def test_the_first_run_has_nothing_beside_it(world: World) -> None:
    model = world.model("acme/one")
    world.run(world.model("acme/other"), "pairs", 0.9)
    world.run(model, "pairs", state=JobState.FAILED)
    only = world.run(model, "pairs", 0.5)
    open_one = world.run(model, "pairs", state=JobState.RUNNING)
    assert beside(world, only) is None and beside(world, open_one) is None and beside(world, 999) is None


@pytest.mark.parametrize(
    ("after", "differs"), [(0.5, False), (0.501, False), (0.499, False), (0.5011, True), (0.4, True)]
)
def test_a_thousandth_is_the_limit(world: World, after: float, differs: bool) -> None:
    model = world.model("acme/one")
    first, second = world.run(model, "pairs", 0.5), world.run(model, "pairs", after, fresh=True)
    found = beside(world, second)
    assert found is not None
    assert (found.run_id, found.differs, found.fresh, found.changes) == (first, differs, True, ())
    assert found.difference == pytest.approx(after - 0.5)


def test_what_changed_is_named_and_prompts_are_not_told(world: World) -> None:
    """Prompts hold texts of the dataset, which viewers may not see."""
    model = world.model("acme/one")
    world.run(model, "pairs", 0.5, provenance=HERE)
    found = beside(world, world.run(model, "pairs", 0.6, provenance=THERE))
    assert found is not None
    assert found.changes == (
        Change("device", "cuda: NVIDIA H200", "cpu: AMD EPYC 9454, 2 threads"),
        Change("computed in", "bfloat16", "float32"),
        Change("prompts", "", ""),
        Change("scipy", "none", "1.17"),
        Change("torch", "2.12.0", "2.13.0"),
    )


def test_the_last_one_before_counts(world: World) -> None:
    model = world.model("acme/one")
    world.run(model, "pairs", 0.1)
    second = world.run(model, "pairs", 0.5)
    third = world.run(model, "pairs", 0.5)
    found = beside(world, third)
    assert found is not None and found.run_id == second
