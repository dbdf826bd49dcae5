"""Boards that are kept: they are read again after every change that they may show, and only then."""

from collections.abc import Callable

import pytest
from sqlalchemy import delete, update

from app.db.changes import NO_CHANGE, board_stamp
from app.db.session import Database
from app.db.tables import JobState, Model, Run, Stamp, User
from app.services import accounts, benchmarks, datasets, jobs
from app.services.boards import BoardCache
from tests.board_world import World, counted_statements

pytestmark = pytest.mark.both_databases


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def stamp(world: World) -> int:
    with world.database.reading() as session:
        return board_stamp(session)


def _finish(world: World) -> None:
    with world.database.session() as session:
        held = jobs.claim(session, Run, worker="w", lease_seconds=60)
        assert held and jobs.finish(session, held, JobState.DONE)


def _edit(world: World) -> None:
    with world.database.session() as session:
        benchmarks.edit(session, world.person, "help-desk", name="Other")


def _delete(world: World) -> None:
    with world.database.session() as session:
        benchmarks.delete(session, world.person, "help-desk")


def _describe(world: World) -> None:
    with world.database.session() as session:
        datasets.describe(session, world.person, "pairs", languages=("deu-Latn",), description="Other.", margin=0.02)


CHANGES: dict[str, Callable[[World], object]] = {
    "a dataset": lambda world: world.dataset("more"),
    "a revision": lambda world: world.revision("pairs", 9),
    "a model": lambda world: world.model("acme/new"),
    "a run with its scores": lambda world: world.run(world.model("acme/new"), "pairs", 0.5),
    "a run that ends": _finish,
    "a dataset's languages": _describe,
    "a board's name": _edit,
    "a board that goes": _delete,
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_counts(world: World, change: str) -> None:
    world.full()
    world.run(world.model("acme/waits"), "pairs", state=JobState.QUEUED)
    before = stamp(world)
    CHANGES[change](world)
    assert stamp(world) > before


def test_what_no_board_shows_does_not_count(world: World) -> None:
    world.full()
    world.run(world.model("acme/waits"), "pairs", state=JobState.QUEUED)
    with world.database.session() as session:
        held = jobs.claim(session, Run, worker="w", lease_seconds=60)
    assert held is not None
    before = stamp(world)
    with world.database.session() as session:
        assert jobs.renew(session, held, lease_seconds=60, done=5, total=9) is False
    with world.database.session() as session:
        accounts.create_user(session, "bob", world.person.role, by=world.person)
        session.execute(update(User).values(active=True))
        session.execute(update(Model).values(attempt=0).execution_options(**NO_CHANGE))
    assert stamp(world) == before


def test_a_change_that_is_rolled_back_does_not_count(world: World) -> None:
    before = stamp(world)
    with pytest.raises(ZeroDivisionError), world.database.session() as session:
        session.add(Model(name="acme/m", loader="dense", source="hub", created_by=world.person.id))
        session.flush()
        _ = 1 / 0
    assert stamp(world) == before


def test_a_board_is_read_once_until_something_changes(world: World) -> None:
    slug, cache = world.full(), BoardCache()

    def read() -> int:
        with world.database.reading() as session, counted_statements(world.database) as statements:
            board = cache.board(session, benchmarks.by_slug(session, slug))
            assert board.slug == slug
        return len(statements)

    first, second = read(), read()
    assert (first, second) == (10, 3)  # the board's row, the stamp and the progress of its running run stay
    world.run(world.model("acme/new"), "pairs", 0.5)
    assert (read(), read()) == (first, second)


def test_progress_is_never_old(world: World) -> None:
    slug, cache = world.full(), BoardCache()

    def done() -> list[int]:
        with world.database.reading() as session:
            board = cache.board(session, benchmarks.by_slug(session, slug))
            return [mark.done for mark in board.marks.values() if mark.state == JobState.RUNNING]

    assert done() == [30]
    with world.database.session() as session:
        renewed = update(Run).where(Run.state == JobState.RUNNING).values(done=77)
        session.execute(renewed.execution_options(**NO_CHANGE))
    assert done() == [77]


def test_many_boards_are_kept_within_bounds(world: World) -> None:
    cache = BoardCache()
    slugs = [world.board(name=f"Board {number}") for number in range(12)]
    with world.database.reading() as session:
        for slug in [*slugs, *slugs]:
            assert cache.board(session, benchmarks.by_slug(session, slug)).slug == slug


def test_the_first_change_of_a_house_counts(world: World) -> None:
    with world.database.session() as session:
        session.execute(delete(Stamp))
    assert stamp(world) == 0
    world.dataset("a")
    assert stamp(world) > 0
