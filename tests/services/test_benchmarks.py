"""Benchmarks: made, changed, deleted, chosen."""

import pytest
from sqlalchemy import select

from app.db.queries.boards import Board, dataset_choices, list_boards
from app.db.session import Database
from app.db.tables import AuditEntry, Benchmark, BenchmarkDataset, Run
from app.errors import Conflict, Invalid, NotFound
from app.services import benchmarks
from app.services.boards import load_board
from tests.board_world import World


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def load(world: World, slug: str) -> Board:
    with world.database.reading() as session:
        return load_board(session, benchmarks.by_slug(session, slug))


class TestBenchmarks:
    pytestmark = pytest.mark.both_databases

    def test_datasets_keep_their_order_and_the_first_board_is_the_default(self, world: World) -> None:
        for slug in ("a", "b", "c"):
            world.dataset(slug)
        first = world.board("c", "a", "b", name="Héllo Wörld")
        world.board("a", name="Second")
        assert first == "héllo-wörld"
        assert [column.slug for column in load(world, first).columns] == ["c", "a", "b"]
        with world.database.reading() as session:
            assert [(b.slug, b.is_default, b.datasets) for b in list_boards(session)] == [
                (first, True, 3),
                ("second", False, 1),
            ]

    def test_edit_changes_what_is_given_and_nothing_else(self, world: World) -> None:
        world.dataset("a")
        world.dataset("b")
        slug = world.board("a", "b")
        with world.database.session() as session:
            benchmarks.edit(session, world.person, slug, new_slug="desk", dataset_slugs=["b"])
        board = load(world, "desk")
        assert (board.name, board.is_default, [c.slug for c in board.columns]) == ("Help desk", True, ["b"])
        with world.database.session() as session:
            benchmarks.edit(session, world.person, "desk", name=" Desk ", description=" New. ")
        board = load(world, "desk")
        assert (board.name, board.description, [c.slug for c in board.columns]) == ("Desk", "New.", ["b"])

    def test_there_is_one_default_as_long_as_there_is_a_board(self, world: World) -> None:
        for name in ("One", "Two", "Three"):
            world.board(name=name)

        def default() -> list[str]:
            with world.database.reading() as session:
                return list(session.scalars(select(Benchmark.slug).where(Benchmark.is_default)))

        with world.database.session() as session:
            benchmarks.set_default(session, world.person, "three")
        assert default() == ["three"]
        with world.database.session() as session:
            benchmarks.delete(session, world.person, "three")
        assert default() == ["one"]
        with world.database.session() as session:
            benchmarks.create(session, world.person, name="Four", dataset_slugs=[], default=True)
        assert default() == ["four"]
        with world.database.session() as session:
            for slug in ("one", "two", "four"):
                benchmarks.delete(session, world.person, slug)
            assert benchmarks.get_default(session) is None

    def test_deleting_a_board_keeps_its_datasets_and_runs(self, world: World) -> None:
        slug = world.full()
        with world.database.session() as session:
            benchmarks.delete(session, world.person, slug)
        with world.database.reading() as session:
            assert session.scalars(select(BenchmarkDataset)).all() == []
            assert len(session.scalars(select(Run)).all()) == 6
            assert len(dataset_choices(session)) == 2

    def test_every_change_leaves_an_audit_row(self, world: World) -> None:
        slug = world.board()
        with world.database.session() as session:
            benchmarks.edit(session, world.person, slug, name="Other")
            benchmarks.set_default(session, world.person, slug)
            benchmarks.delete(session, world.person, slug)
            actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
        assert actions == [f"benchmark.{what}" for what in ("create", "default", "edit", "default", "delete")]

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"name": "  "}, "name"),
            ({"name": "!?"}, "name"),
            ({"name": "x" * 121}, "name"),
            ({"name": "a\u202eb"}, "name"),
            ({"name": "New"}, "slug"),
            ({"name": "Fine", "slug": "Not Fine"}, "slug"),
            ({"name": "Fine", "slug": "a.csv"}, "slug"),
            ({"name": "Fine", "description": "x" * 4001}, "description"),
            ({"name": "Fine", "dataset_slugs": ["a", "nowhere"]}, "datasets"),
            ({"name": "Fine", "dataset_slugs": ["a", "a"]}, "datasets"),
        ],
    )
    def test_what_is_refused_is_named(self, world: World, values: dict[str, object], field: str) -> None:
        world.dataset("a")
        with world.database.session() as session, pytest.raises(Invalid) as error:
            benchmarks.create(session, world.person, **{"dataset_slugs": [], **values})  # type: ignore[arg-type]
        assert set(error.value.fields) == {field}

    def test_a_taken_address_is_a_conflict(self, world: World) -> None:
        world.board(name="One")
        world.board(name="Two")
        with world.database.session() as session, pytest.raises(Conflict):
            benchmarks.create(session, world.person, name="one", dataset_slugs=[])
        with world.database.session() as session, pytest.raises(Conflict):
            benchmarks.edit(session, world.person, "two", new_slug="one")

    def test_an_unknown_board_is_not_found(self, world: World) -> None:
        with world.database.session() as session, pytest.raises(NotFound):
            benchmarks.delete(session, world.person, "nowhere")
