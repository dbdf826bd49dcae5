"""Models side by side, and pins: what stands first, who is behind by how much, who wins where."""

import json
from urllib.parse import parse_qsl

import numpy as np
import pytest

from app.db.queries.boards import Board
from app.db.session import Database
from app.db.tables import Role
from app.errors import Invalid
from app.services import benchmarks
from app.services.accounts import Person
from app.services.board_look import BoardLinks, Look, parse_look
from app.services.board_view import BoardView, full_name, view_board
from app.services.boards import load_board
from app.services.compare import (
    Comparison,
    as_dict,
    compare,
    compare_address,
    editable,
    examples_address,
    split_keys,
)
from tests import factories
from tests.board_world import World


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def load(world: World, slug: str) -> Board:
    with world.database.reading() as session:
        return load_board(session, benchmarks.by_slug(session, slug))


def view(board: Board, query: str = "") -> BoardView:
    return view_board(board, parse_look(parse_qsl(query)))


def keys(board: Board) -> dict[str, str]:
    """The keys of a board's models, by full name."""
    return {full_name(model): model.key for model in board.models}


def scored(world: World, scores: dict[str, tuple[float | None, ...]], *types: str) -> Board:
    """A board of the models with these scores, on a dataset for each type."""
    for place, kind in enumerate(types):
        world.dataset(f"set-{place}", kind)
    for name, values in scores.items():
        model = world.model(name)
        for place, value in enumerate(values):
            if value is not None:
                world.run(model, f"set-{place}", value)
    return load(world, world.board(*(f"set-{place}" for place in range(len(types)))))


def side_by_side(board: Board, *names: str) -> Comparison:
    return compare(view(board), [keys(board)[name] for name in names])


class TestCompare:
    def test_two_models_with_their_difference(self, world: World) -> None:
        board = scored(world, {"a/x": (0.5, 0.75), "a/y": (0.625, 0.25), "a/z": (0.9, 0.9)}, "STS", "Retrieval")
        found = side_by_side(board, "a/x", "a/y")
        assert [(one.name, one.rank, one.points) for one in found.models] == [("a/x", 2, 1.0), ("a/y", 2, 1.0)]
        first, second = found.datasets
        assert (first.key, first.scores, first.difference, first.is_best) == (
            "set-0",
            (0.5, 0.625),
            -0.125,
            (False, True),
        )
        assert (second.scores, second.difference, second.to_best) == ((0.75, 0.25), 0.5, (0.0, -0.5))
        assert [row.scores for row in found.means] == [(0.625, 0.4375), (0.625, 0.4375)]
        assert [(row.key, row.difference) for row in found.types] == [("STS", -0.125), ("Retrieval", 0.5)]
        assert [[row.key for row in rows] for rows in found.won] == [["set-1"], ["set-0"]]

    def test_wins_ties_and_missing_scores_of_three(self, world: World) -> None:
        board = scored(
            world,
            {"a/x": (0.9, 0.5, 0.5, 0.1), "a/y": (0.5, 0.5, 0.5 + 1e-12, 0.2), "a/z": (0.4, 0.4, 0.5, None)},
            *("STS", "STS", "STS", "Retrieval"),
        )
        found = side_by_side(board, "a/x", "a/y", "a/z")
        assert [[row.key for row in rows] for rows in found.won] == [["set-0"], [], []]
        assert [row.key for row in found.tied] == ["set-1", "set-2"]
        assert [row.key for row in found.lacking] == ["set-3"]
        assert found.contested == 3
        assert found.tied[1].is_best == (True, True, True)
        assert found.lacking[0].is_best == (False, True, False)
        assert found.lacking[0].winner is None and not found.lacking[0].is_tie
        assert found.lacking[0].to_best[2] is None
        assert found.means[0].scores[2] is None

    def test_datasets_stand_type_by_type(self, world: World) -> None:
        board = scored(world, {"a/x": (0.1, 0.2, 0.3), "a/y": (0.1, 0.2, 0.3)}, "STS", "Retrieval", "STS")
        found = side_by_side(board, "a/x", "a/y")
        assert [(row.task_type, row.key) for row in found.datasets] == [
            ("STS", "set-0"),
            ("STS", "set-2"),
            ("Retrieval", "set-1"),
        ]

    def test_the_order_is_the_one_asked_for_and_a_double_counts_once(self, world: World) -> None:
        board = scored(world, {"a/x": (0.1,), "a/y": (0.2,)}, "STS")
        found = side_by_side(board, "a/y", "a/x", "a/y")
        assert [one.name for one in found.models] == ["a/y", "a/x"]

    def test_numbers_are_those_of_the_board(self, world: World) -> None:
        board = load(world, world.full())
        whole = view(board)
        found = side_by_side(board, "acme/strong", "zeta/weak", "acme/strong 128 d")
        values = {column.key: column.values for column in whole.columns}
        rows = [[whole.model(row).key for row in range(len(whole.models))].index(key) for key in found.keys]
        assert [one.rank for one in found.models] == [values["rank"][row] for row in rows]
        assert [one.zero_shot for one in found.models] == [values["zero_shot"][row] for row in rows] == [50, 100, None]
        assert list(found.means[0].scores) == [values["mean_task"][row] for row in rows]
        for row in (*found.types, *found.datasets):
            key = f"task:{row.key}" if row.task_type else f"type:{row.key}"
            assert list(row.scores) == [values[key][place] for place in rows]

    def test_as_json(self, world: World) -> None:
        board = load(world, world.full())
        found = json.loads(json.dumps(as_dict(side_by_side(board, "acme/strong", "zeta/weak")), allow_nan=False))
        strong, weak = found["models"]
        assert (strong["model"], strong["parameters"], strong["wins"], weak["wins"]) == (
            "acme/strong",
            22_700_000,
            0,
            1,
        )
        pairs, articles = found["datasets"]
        assert (pairs["scores"], pairs["winner"], articles["scores"]) == ([0.9, 0.95], weak["key"], [0.75, None])
        assert np.allclose(pairs["to_best"], [-0.05, 0.0])
        assert (found["contested"], found["ties"]) == (1, 0)

    @pytest.mark.parametrize("count", [0, 1, 7])
    def test_too_few_or_too_many(self, world: World, count: int) -> None:
        board = scored(world, {f"a/{number}": (0.5,) for number in range(7)}, "STS")
        with pytest.raises(Invalid, match="2 to 6 models can be compared") as caught:
            compare(view(board), [model.key for model in board.models][:count])
        assert caught.value.code == "compare_count"

    def test_keys_that_the_board_has_not_are_named(self, world: World) -> None:
        board = scored(world, {"a/x": (0.1,), "a/y": (0.2,)}, "STS")
        world.dataset("other")
        foreign = str(world.model("a/elsewhere"))
        world.run(int(foreign), "other", 0.5)
        world.board("other", name="Other")
        with pytest.raises(Invalid, match=f"“Help desk” has no row for '{foreign}', '<b>no'") as caught:
            compare(view(board), [board.models[0].key, foreign, "<b>no"])
        assert (caught.value.code, caught.value.details) == ("unknown_model", {"keys": [foreign, "<b>no"]})

    def test_addresses_and_keys(self) -> None:
        assert compare_address("help-desk", ["a/b", "c d&e"]) == "/compare?board=help-desk&models=a/b,c%20d%26e"
        assert split_keys(["a/b,c d&e", "", "x", "a/b,"]) == ("a/b", "c d&e", "x")


class TestVerdictsNeed:
    def test_the_places_of_the_models_on_the_board(self, world: World) -> None:
        board = load(world, world.full())
        found = side_by_side(board, "zeta/weak", "acme/strong")
        assert [board.models[place].name for place in found.places] == ["zeta/weak", "acme/strong"]

    def test_the_address_of_every_example(self) -> None:
        assert examples_address("help desk", "מסמכים", ("org/a b", "2")) == (
            "/compare/%D7%9E%D7%A1%D7%9E%D7%9B%D7%99%D7%9D?board=help+desk&models=org/a%20b,2"
        )

    def test_whose_margins_may_be_changed(self, world: World) -> None:
        board = load(world, world.full())
        with world.database.session() as session:
            member, viewer = factories.person(session, "mia"), factories.person(session, "vic", Role.VIEWER)
            owner = Person(world.person.id, "ada", Role.MEMBER)
            found = [editable(session, person, board) for person in (world.person, owner, member, viewer)]
        both = {"pairs", "articles"}
        assert found == [both, both, set(), set()]


class TestPins:
    def names(self, found: BoardView) -> list[str]:
        return [full_name(found.model(row)) for row in found.order]

    def test_pinned_models_stand_first_in_the_order_of_the_table_with_their_ranks(self, world: World) -> None:
        board = load(world, world.full())
        small, weak = keys(board)["acme/strong 128 d"], keys(board)["zeta/weak"]
        found = view(board, f"pin={small}&pin={weak}")
        assert self.names(found) == ["zeta/weak", "acme/strong 128 d", "acme/strong"]
        assert [full_name(found.model(row)) for row in found.pinned] == ["zeta/weak", "acme/strong 128 d"]
        assert found.standings.ranks[list(found.order)].tolist() == [2, 3, 1]
        assert self.names(view(board, f"pin={small}&pin={weak}&sort=-rank"))[:2] == ["acme/strong 128 d", "zeta/weak"]
        assert view(board).pinned == ()

    def test_a_name_search_keeps_them_and_a_filter_does_not(self, world: World) -> None:
        board = load(world, world.full())
        weak = keys(board)["zeta/weak"]
        assert self.names(view(board, f"pin={weak}&q=128")) == ["zeta/weak", "acme/strong 128 d"]
        filtered = view(board, f"pin={weak}&complete=1")
        assert (self.names(filtered), filtered.pinned) == (["acme/strong"], ())
        assert len(self.names(view(board, "pin=nobody"))) == 3

    def test_pins_are_no_filter(self) -> None:
        look = Look(pin=("a",), q="x")
        assert look.filters == ("q",)
        assert BoardLinks("/b", look).without(*look.filters) == "/b?pin=a"

    def test_links_pin_and_unpin(self) -> None:
        links = BoardLinks("/boards/b", Look(pin=("a/b", "2")))
        assert links.pin("x y&z") == "/boards/b?pin=a%2Fb&pin=2&pin=x%20y%26z"
        assert links.pin("a/b") == "/boards/b?pin=2"
        assert BoardLinks("", Look()).pin("org/name") == "?pin=org/name"
        assert BoardLinks("", Look(pin=("2",))).pin("2") == "?"
        for key in ("org/name", "=1+1", "a&b=c#d", "مثال/x"):
            (pair,) = parse_qsl(BoardLinks("", Look()).pin(key)[1:])
            assert parse_look([pair]).pin == (key,)
