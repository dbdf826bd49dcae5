"""Benchmarks, the read model of a board, its views and its exports."""

import csv
import io
import json

import pytest
from sqlalchemy import select

from app.db.queries.boards import Board, dataset_choices, list_boards, load_board
from app.db.session import Database
from app.db.tables import AuditEntry, Benchmark, BenchmarkDataset, JobState, Run
from app.errors import Conflict, Invalid, NotFound
from app.services import benchmarks
from app.services.board_export import as_csv, board_csv, board_dict
from app.services.board_view import BoardView, parse_view, table_columns
from tests.board_world import NOW, World, counted_statements


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def load(world: World, slug: str) -> Board:
    with world.database.reading() as session:
        return load_board(session, benchmarks.by_slug(session, slug))


def names(board: Board, query: str = "") -> list[str]:
    parameters = [tuple(part.split("=", 1)) for part in query.split("&") if part]
    view = parse_view(parameters, board, "/boards/x")  # type: ignore[arg-type]
    return [" ".join((row.model.short_name, *row.model.chips)) for row in view.rows(board)]


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


class TestReadModel:
    pytestmark = pytest.mark.both_databases

    def test_scores_marks_and_facts(self, world: World) -> None:
        board = load(world, world.full())
        weak, strong, small = sorted(board.rows, key=lambda row: (row.model.organisation != "zeta", row.model.variant))
        assert (strong.standing.rank, strong.standing.points, strong.standing.mean_task) == (1, 3.0, 0.825)
        assert (weak.standing.rank, weak.standing.points, weak.standing.mean_task) == (2, 2.0, None)
        assert (small.standing.rank, small.standing.points, small.model.chips) == (3, 0.0, ("128 d",))
        assert [row.standing.zero_shot for row in (strong, small, weak)] == [50, None, 100]
        mark = small.cells["articles"].mark
        assert mark is not None and mark.is_open and (mark.done, mark.total) == (30, 120)
        failed = weak.cells["articles"].mark
        assert failed is not None and not failed.is_open and failed.reason == "The model is broken."
        assert board.open_runs == 1
        assert board.last_result == NOW
        assert board.task_types == ("STS", "Retrieval")

    def test_the_latest_result_counts_and_settles_an_earlier_failure(self, world: World) -> None:
        world.dataset("a")
        model = world.model("acme/m")
        world.run(model, "a", 0.1)
        world.run(model, "a", state=JobState.FAILED, failure={"message": "No."})
        latest = world.run(model, "a", 0.2)
        world.run(model, "a", state=JobState.CANCELLED)
        (row,) = load(world, world.board("a")).rows
        assert (row.cells["a"].run_id, row.cells["a"].mark, row.standing.mean_task) == (latest, None, 0.2)

    def test_a_result_stays_while_its_pair_runs_again_or_fails(self, world: World) -> None:
        world.dataset("a")
        again, failed = world.model("acme/again"), world.model("acme/failed")
        for model, state in ((again, JobState.QUEUED), (failed, JobState.FAILED)):
            world.run(model, "a", 0.5)
            world.run(model, "a", state=state)
        rows = load(world, world.board("a")).rows
        marks = [row.cells["a"].mark for row in rows]
        assert [row.standing.mean_task for row in rows] == [0.5, 0.5]
        assert [mark and mark.state for mark in marks] == [JobState.QUEUED, JobState.FAILED]

    def test_only_the_newest_revision_of_a_dataset_counts(self, world: World) -> None:
        world.dataset("a")
        world.dataset("b")
        old, both = world.model("acme/old"), world.model("acme/both")
        world.run(old, "a", 0.9)
        world.run(both, "a", 0.9)
        world.run(both, "b", 0.9)
        world.revision("a", 7)
        board = load(world, world.board("a", "b"))
        assert [row.model.name for row in board.rows] == ["acme/both"]
        assert board.rows[0].standing.datasets == {"a": None, "b": 0.9}
        assert board.columns[0].revision == f"{7:040x}"

    def test_a_model_that_only_failed_is_named_but_has_no_row(self, world: World) -> None:
        world.dataset("a")
        world.model("acme/idle")
        world.run(world.model("acme/broken"), "a", state=JobState.FAILED)
        world.run(world.model("acme/stopped"), "a", state=JobState.CANCELLED)
        world.run(world.model("acme/waiting"), "a", state=JobState.QUEUED)
        board = load(world, world.board("a"))
        assert [(row.model.name, row.standing.rank) for row in board.rows] == [("acme/waiting", None)]
        assert [model.name for model in board.left_out] == ["acme/broken"]

    def test_cells_are_required_once_a_run_of_the_revision_has_them(self, world: World) -> None:
        world.dataset("a")
        cells = {("test", "en"): 0.9, ("test", "de"): 0.5}
        world.run(world.model("acme/whole"), "a", cells)
        world.run(world.model("acme/lacking"), "a", {("test", "en"): 0.6})
        whole, lacking = load(world, world.board("a")).rows
        assert (whole.model.name, whole.standing.mean_task, whole.standing.rank) == ("acme/whole", 0.7, 1)
        assert (lacking.standing.mean_task, lacking.standing.rank, lacking.standing.complete) == (None, 2, False)

    def test_two_revisions_of_a_model_are_told_apart(self, world: World) -> None:
        world.dataset("a")
        for digit in "12":
            world.run(world.model("acme/m", revision=digit * 40), "a", 0.5)
        rows = load(world, world.board("a")).rows
        assert [row.model.chips for row in rows] == [("1111111",), ("2222222",)]

    def test_a_dataset_without_a_revision_is_an_empty_column(self, world: World) -> None:
        world.dataset("a", revisions=0)
        world.dataset("b")
        world.run(world.model("acme/m"), "b", 0.5)
        board = load(world, world.board("a", "b"))
        assert board.columns[0].revision is None
        assert board.rows[0].standing.datasets == {"a": None, "b": 0.5}
        assert not board.rows[0].standing.complete

    def test_the_number_of_queries_does_not_grow(self, world: World) -> None:
        slug = world.full()
        counts = []
        for round_ in range(2):
            with world.database.reading() as session, counted_statements(world.database) as statements:
                load_board(session, benchmarks.by_slug(session, slug))
            counts.append(len(statements))
            for number in range(5):
                world.run(world.model(f"acme/more-{round_}-{number}"), "pairs", 0.5)
        assert counts == [5, 5]

    def test_the_list_of_boards(self, world: World) -> None:
        world.full()
        world.board(name="Empty")
        with world.database.reading() as session:
            first, second = list_boards(session)
        assert (first.slug, first.datasets, first.models, first.last_result) == ("help-desk", 2, 3, NOW)
        assert (second.slug, second.datasets, second.models, second.last_result) == ("empty", 0, 0, None)


class TestView:
    def test_the_default_order_is_by_rank(self, world: World) -> None:
        board = load(world, world.full())
        assert names(board) == ["strong", "weak", "strong 128 d"]

    @pytest.mark.parametrize(
        ("sort", "order"),
        [
            ("rank", ["strong", "weak", "strong 128 d"]),
            ("-rank", ["strong 128 d", "weak", "strong"]),
            ("model", ["strong", "strong 128 d", "weak"]),
            ("-model", ["weak", "strong", "strong 128 d"]),
            ("task:pairs", ["strong 128 d", "strong", "weak"]),
            ("-task:pairs", ["weak", "strong", "strong 128 d"]),
            ("dimensions", ["strong 128 d", "strong", "weak"]),
            ("-dimensions", ["strong", "strong 128 d", "weak"]),
            ("mean_task", ["strong", "weak", "strong 128 d"]),
            ("-mean_task", ["strong", "weak", "strong 128 d"]),
            ("-type:Retrieval", ["strong", "weak", "strong 128 d"]),
            ("-zero_shot", ["weak", "strong", "strong 128 d"]),
        ],
    )
    def test_sorting_puts_missing_values_last_both_ways(self, world: World, sort: str, order: list[str]) -> None:
        assert names(load(world, world.full()), f"sort={sort}") == order

    def test_every_column_sorts_both_ways(self, world: World) -> None:
        board = load(world, world.full())
        for column in table_columns(board):
            for sort in (column.key, f"-{column.key}"):
                assert sorted(names(board, f"sort={sort}")) == ["strong", "strong 128 d", "weak"]

    def test_filters_hide_rows_and_keep_ranks(self, world: World) -> None:
        board = load(world, world.full())
        assert names(board, "complete=1") == ["strong"]
        assert names(board, "q=STRONG") == ["strong", "strong 128 d"]
        assert names(board, "q=128 d") == ["strong 128 d"]
        assert names(board, "q=nothing") == []
        (row,) = parse_view([("q", "zeta")], board, "/").rows(board)
        assert row.standing.rank == 2

    @pytest.mark.parametrize(
        "query", ["sort=speed", "sort=task:nowhere", "sort=--rank", "colour=red", "complete=yes", f"q={'x' * 201}"]
    )
    def test_what_a_board_does_not_know_is_refused(self, world: World, query: str) -> None:
        board = load(world, world.full())
        with pytest.raises(Invalid):
            names(board, query)

    def test_links_keep_the_rest_of_the_look(self, world: World) -> None:
        board = load(world, world.full())
        view = parse_view([("sort", "-mean_task"), ("q", "a&b"), ("complete", "1")], board, "/boards/x")
        assert view.address == "/boards/x?sort=-mean_task&q=a%26b&complete=1"
        assert view.url("mean_task") == "/boards/x?sort=mean_task&q=a%26b&complete=1"
        assert view.url("task:pairs") == "/boards/x?sort=-task%3Apairs&q=a%26b&complete=1"
        assert view.url("dimensions") == "/boards/x?sort=dimensions&q=a%26b&complete=1"
        assert view.url("rank") == "/boards/x?q=a%26b&complete=1"
        assert view.without("q") == "/boards/x?sort=-mean_task&complete=1"
        assert view.without("q", "complete") == "/boards/x?sort=-mean_task"
        assert view.at("/boards/x.csv") == "/boards/x.csv?sort=-mean_task&q=a%26b&complete=1"
        assert BoardView("/").address == "/"


class TestExport:
    def test_json_has_full_precision_and_none_for_what_is_missing(self, world: World) -> None:
        slug = world.full()
        with world.database.reading() as session:
            board = json.loads(json.dumps(board_dict(session, slug), allow_nan=False))
        assert board["benchmark"] == "Help desk"
        strong, weak, small = board["models"]
        assert strong["model"] == "acme/strong" and strong["variant"] == "" and small["variant"] == "128 d"
        assert [row["rank"] for row in board["models"]] == [1, 2, 3]
        assert strong["tasks"] == {"pairs": 0.9, "articles": 0.75}
        assert strong["task_types"] == {"STS": 0.9, "Retrieval": 0.75}
        assert weak["tasks"] == {"pairs": 0.95, "articles": None}
        assert (weak["mean_task"], weak["mean_task_type"], weak["complete"]) == (None, None, False)
        assert (strong["mean_task"], strong["points"], strong["zero_shot"]) == (0.825, 3.0, 50)

    def test_csv_has_a_line_a_row(self, world: World) -> None:
        slug = world.full()
        with world.database.reading() as session:
            lines = list(csv.DictReader(io.StringIO(board_csv(session, slug))))
        assert [(line["Rank (Borda)"], line["Model"], line["Variant"]) for line in lines] == [
            ("1", "acme/strong", ""),
            ("2", "zeta/weak", ""),
            ("3", "acme/strong", "128 d"),
        ]
        assert (lines[0]["pairs"], lines[0]["articles"], lines[0]["Mean (Task)"]) == ("0.9", "0.75", "0.825")
        assert (lines[0]["Mean (STS)"], lines[0]["Mean (TaskType)"], lines[0]["Zero-shot"]) == ("0.9", "0.825", "50")
        assert (lines[1]["articles"], lines[1]["Mean (Task)"], lines[1]["Memory (MB)"]) == ("", "", "")

    def test_csv_text_is_never_a_formula_and_numbers_stay_numbers(self, world: World) -> None:
        evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", 'quote " and, comma', "ok"]
        world.dataset("a", name="=HYPERLINK(1)")
        for text in evil:
            world.run(world.model("acme/m", variant=text), "a", -0.25)
        board = load(world, world.board("a"))
        lines = list(csv.reader(io.StringIO(as_csv(board, board.rows), newline="")))
        assert lines[0][-1] == "'=HYPERLINK(1)"
        assert {line[2] for line in lines[1:]} == {f"'{text}" for text in evil[:6]} | set(evil[6:])
        assert {line[-1] for line in lines[1:]} == {"-0.25"}
