"""A board: what is read of it, what a look shows of it, and its downloads."""

import csv
import doctest
import io
import json
from dataclasses import dataclass
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import delete

from app.db.queries.boards import Board, RunMark, list_boards
from app.db.session import Database
from app.db.tables import JobState, Measurement
from app.errors import Invalid
from app.services import benchmarks, table_columns
from app.services.board_export import as_csv, as_dict, as_latex, as_markdown, board_dict, board_text
from app.services.board_look import BoardLinks, Look, parse_look
from app.services.board_view import BoardView, devices_of, task_columns, view_board
from app.services.boards import load_board
from tests.board_world import CPU, GPU, NOW, World, counted_statements


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def load(world: World, slug: str) -> Board:
    with world.database.reading() as session:
        return load_board(session, benchmarks.by_slug(session, slug))


def view(board: Board, query: str = "") -> BoardView:
    return view_board(board, parse_look(parse_qsl(query, keep_blank_values=True)))


@dataclass(frozen=True)
class Row:
    """What a view says of one model."""

    name: str
    rank: int | None
    points: float
    mean_task: float | None
    zero_shot: int | None
    complete: bool
    datasets: dict[str, float | None]
    runs: dict[str, int]
    marks: dict[str, RunMark]


def rows(board: Board, query: str = "") -> list[Row]:
    found = view(board, query)
    values = {column.key: column.values for column in found.columns}
    slugs = [column.slug for column in found.shown_columns]
    made = []
    for row in found.order:
        model = found.models[row]
        marks = {slug: board.marks.get((model, place)) for slug, place in zip(slugs, found.datasets, strict=True)}
        made.append(
            Row(
                " ".join((found.model(row).short_name, *found.model(row).chips)),
                values["rank"][row],  # type: ignore[arg-type]
                float(found.standings.points[row]),
                values["mean_task"][row],  # type: ignore[arg-type]
                values["zero_shot"][row],  # type: ignore[arg-type]
                found.complete(row),
                {column.key.removeprefix("task:"): column.values[row] for column in task_columns(found)},  # type: ignore[misc]
                {slug: int(board.run_ids[model, place]) for slug, place in zip(slugs, found.datasets, strict=True)},
                {slug: mark for slug, mark in marks.items() if mark},
            )
        )
    return made


def names(board: Board, query: str = "") -> list[str]:
    return [row.name for row in rows(board, query)]


class TestReadModel:
    pytestmark = pytest.mark.both_databases

    def test_scores_marks_and_facts(self, world: World) -> None:
        board = load(world, world.full())
        strong, weak, small = rows(board)
        assert (strong.rank, strong.points, strong.mean_task) == (1, 3.0, 0.825)
        assert (weak.rank, weak.points, weak.mean_task) == (2, 2.0, None)
        assert (small.rank, small.points, small.name) == (3, 0.0, "strong 128 d")
        assert [row.zero_shot for row in (strong, small, weak)] == [50, None, 100]
        mark = small.marks["articles"]
        assert mark.is_open and (mark.done, mark.total) == (30, 120)
        failed = weak.marks["articles"]
        assert not failed.is_open and failed.reason == "The model is broken."
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
        (row,) = rows(load(world, world.board("a")))
        assert (row.runs["a"], row.marks, row.mean_task) == (latest, {}, 0.2)

    def test_a_result_stays_while_its_pair_runs_again_or_fails(self, world: World) -> None:
        world.dataset("a")
        again, failed = world.model("acme/again"), world.model("acme/failed")
        for model, state in ((again, JobState.QUEUED), (failed, JobState.FAILED)):
            world.run(model, "a", 0.5)
            world.run(model, "a", state=state)
        found = rows(load(world, world.board("a")))
        assert [row.mean_task for row in found] == [0.5, 0.5]
        assert [row.marks["a"].state for row in found] == [JobState.QUEUED, JobState.FAILED]

    def test_only_the_newest_revision_of_a_dataset_counts(self, world: World) -> None:
        world.dataset("a")
        world.dataset("b")
        old, both = world.model("acme/old"), world.model("acme/both")
        world.run(old, "a", 0.9)
        world.run(both, "a", 0.9)
        world.run(both, "b", 0.9)
        world.revision("a", 7)
        board = load(world, world.board("a", "b"))
        (row,) = rows(board)
        assert (row.name, row.datasets) == ("both", {"a": None, "b": 0.9})
        assert board.columns[0].revision == f"{7:040x}"

    def test_a_model_that_only_failed_is_named_but_has_no_row(self, world: World) -> None:
        world.dataset("a")
        world.model("acme/idle")
        world.run(world.model("acme/broken"), "a", state=JobState.FAILED)
        world.run(world.model("acme/stopped"), "a", state=JobState.CANCELLED)
        world.run(world.model("acme/waiting"), "a", state=JobState.QUEUED)
        board = load(world, world.board("a"))
        assert [(row.name, row.rank) for row in rows(board)] == [("waiting", None)]
        assert [model.name for model in board.left_out] == ["acme/broken"]

    def test_cells_are_required_once_a_run_of_the_revision_has_them(self, world: World) -> None:
        world.dataset("a")
        cells = {("test", "en"): 0.9, ("test", "de"): 0.5}
        world.run(world.model("acme/whole"), "a", cells)
        world.run(world.model("acme/lacking"), "a", {("test", "en"): 0.6})
        whole, lacking = rows(load(world, world.board("a")))
        assert (whole.name, whole.mean_task, whole.rank) == ("whole", 0.7, 1)
        assert (lacking.mean_task, lacking.rank, lacking.complete) == (None, 2, False)

    def test_two_revisions_of_a_model_are_told_apart(self, world: World) -> None:
        world.dataset("a")
        for digit in "12":
            world.run(world.model("acme/m", revision=digit * 40), "a", 0.5)
        assert names(load(world, world.board("a"))) == ["m 1111111", "m 2222222"]

    def test_a_dataset_without_a_revision_is_an_empty_column(self, world: World) -> None:
        world.dataset("a", revisions=0)
        world.dataset("b")
        world.run(world.model("acme/m"), "b", 0.5)
        board = load(world, world.board("a", "b"))
        assert board.columns[0].revision is None
        (row,) = rows(board)
        assert row.datasets == {"a": None, "b": 0.5}
        assert not row.complete

    def test_the_number_of_queries_does_not_grow(self, world: World) -> None:
        slug = world.full()
        counts = []
        for round_ in range(2):
            with world.database.reading() as session, counted_statements(world.database) as statements:
                load_board(session, benchmarks.by_slug(session, slug))
            counts.append(len(statements))
            for number in range(5):
                world.run(world.model(f"acme/more-{round_}-{number}"), "pairs", 0.5)
        assert counts == [8, 8]

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
        for column in view(board).columns:
            for sort in (column.key, f"-{column.key}"):
                assert sorted(names(board, f"sort={sort}")) == ["strong", "strong 128 d", "weak"]

    def test_filters_hide_rows_and_keep_ranks(self, world: World) -> None:
        board = load(world, world.full())
        assert names(board, "complete=1") == ["strong"]
        assert names(board, "q=STRONG") == ["strong", "strong 128 d"]
        assert names(board, "q=128 d") == ["strong 128 d"]
        assert names(board, "q=nothing") == []
        (row,) = rows(board, "q=zeta")
        assert row.rank == 2

    @pytest.mark.parametrize(
        "query",
        [
            "sort=speed",
            "sort=task:nowhere",
            "sort=--rank",
            "sort=-",
            "colour=red",
            "complete=maybe",
            "max_parameters=many",
            "zero_shot=half",
            "min_tokens=-1",
            f"q={'x' * 201}",
        ],
    )
    def test_what_a_board_does_not_know_is_refused(self, world: World, query: str) -> None:
        board = load(world, world.full())
        with pytest.raises(Invalid):
            names(board, query)

    def test_links_keep_the_rest_of_the_look(self, world: World) -> None:
        found = view(load(world, world.full()), "sort=-mean_task&q=a%26b&complete=1")
        links = BoardLinks("/boards/x", found.look, found.falling)
        assert links.address == "/boards/x?sort=-mean_task&q=a%26b&complete=1"
        assert links.url("mean_task") == "/boards/x?sort=mean_task&q=a%26b&complete=1"
        assert links.url("task:pairs") == "/boards/x?sort=-task%3Apairs&q=a%26b&complete=1"
        assert links.url("dimensions") == "/boards/x?sort=dimensions&q=a%26b&complete=1"
        assert links.url("rank") == "/boards/x?q=a%26b&complete=1"
        assert links.without("q") == "/boards/x?sort=-mean_task&complete=1"
        assert links.without("q", "complete") == "/boards/x?sort=-mean_task"
        assert found.look.at("/boards/x.csv") == "/boards/x.csv?sort=-mean_task&q=a%26b&complete=1"
        assert BoardLinks("/", Look()).address == "/"


class TestFilters:
    """Each filter ranks anew what it leaves."""

    def test_datasets_by_type_name_and_language(self, world: World) -> None:
        board = load(world, world.full())
        for query in ("type=STS", "dataset=pairs"):
            weak, strong, small = rows(board, query)
            assert (weak.name, weak.rank, weak.mean_task, weak.datasets) == ("weak", 1, 0.95, {"pairs": 0.95})
            assert (strong.rank, small.rank, strong.zero_shot, weak.complete) == (2, 3, 0, True)
        assert len(view(board, "language=eng-Latn").datasets) == 2
        empty = view(board, "language=deu-Latn")
        assert (empty.datasets, [row.rank for row in rows(board, "language=deu-Latn")]) == ((), [None] * 3)

    @pytest.mark.parametrize(
        ("query", "left"),
        [
            ("complete=1", ["strong"]),
            ("complete=1&type=STS", ["weak", "strong", "strong 128 d"]),
            ("zero_shot=known", ["strong", "weak"]),
            ("zero_shot=full", ["weak"]),
            ("zero_shot=full&dataset=articles", ["strong", "weak"]),
            ("min_parameters=22M", ["strong"]),
            ("max_parameters=22M", []),
            ("max_memory_gb=0.1", ["strong"]),
            ("max_memory_gb=0.01", []),
            ("min_dimensions=200", ["strong"]),
            ("max_dimensions=200", ["strong 128 d"]),
            ("min_tokens=512", ["strong"]),
            ("min_tokens=513", []),
        ],
    )
    def test_models_by_what_they_are(self, world: World, query: str, left: list[str]) -> None:
        found = rows(load(world, world.full()), query)
        assert sorted(row.name for row in found) == sorted(left)
        if len(left) == 1:
            assert found[0].rank in {1, None}

    def test_kinds_and_open_weights(self, world: World) -> None:
        world.dataset("a")
        for name, facts in (
            ("open", {"open_weights": True, "kinds": ["dense"]}),
            ("closed", {"open_weights": False, "kinds": ["dense", "sparse"]}),
            ("unknown", {}),
        ):
            world.run(world.model(f"acme/{name}", **facts), "a", 0.5)
        board = load(world, world.board("a"))
        assert names(board, "open_weights=1") == ["open"]
        assert names(board, "kind=dense") == ["closed", "open"]
        assert names(board, "kind=sparse") == ["closed"]

    def test_commercial_use_and_unknown_licences(self, world: World) -> None:
        world.dataset("a")
        for name, licence in (("free", "apache-2.0"), ("closed", "cc-by-nc-4.0"), ("unknown", None)):
            world.run(world.model(f"acme/{name}", licence=licence), "a", 0.5)
        board = load(world, world.board("a"))
        assert names(board, "commercial=1") == ["free"]
        assert len(names(board, "commercial=0")) == 3


class TestColumns:
    def test_a_preset_or_any_choice_in_its_order(self, world: World) -> None:
        board = load(world, world.full())

        def keys(query: str) -> list[str]:
            return [column.key for column in view(board, query).shown]

        scores = ["task:pairs", "task:articles"]
        assert keys("")[:3] == ["rank", "model", "zero_shot"]
        assert keys("")[-4:] == ["mean_task", "mean_task_type", *scores]
        assert keys("show=quality") == ["rank", "model", "zero_shot", "mean_task", "mean_task_type", *scores]
        assert {"index_bytes", "licence", "open_weights", "release_date"} <= set(keys("show=cost"))
        assert not set(keys("show=cost")) & set(scores)
        assert set(keys("show=everything")) == {column.key for column in view(board).columns}
        assert keys("column=task:pairs&column=memory&column=task:pairs&column=nowhere") == [
            *("rank", "model", "task:pairs", "memory"),
        ]

    def test_a_mean_stands_beside_several_datasets_of_its_type_only(self, world: World) -> None:
        for slug, kind in (("one", "STS"), ("two", "STS"), ("alone", "Retrieval")):
            world.dataset(slug, kind)
        world.run(world.model("acme/m"), "one", 0.5)
        board = load(world, world.board("one", "two", "alone"))
        for query, types in (
            ("", ["type:STS"]),
            ("show=quality", ["type:STS"]),
            ("show=everything", ["type:STS", "type:Retrieval"]),
            ("dataset=one", []),
            ("column=type:Retrieval&column=task:alone", ["type:Retrieval"]),
        ):
            assert [column.key for column in view(board, query).shown if column.key.startswith("type:")] == types

    def test_a_summary_of_many_datasets_leaves_them_to_their_tab(self, world: World) -> None:
        slugs = [f"set-{number}" for number in range(16)]
        for slug in slugs:
            world.dataset(slug)
        world.run(world.model("acme/m"), "set-0", 0.5)
        found = view(load(world, world.board(*slugs)))
        assert not [column for column in found.shown if column.key.startswith("task:")]
        assert len(task_columns(found)) == 16

    def test_what_a_model_costs(self, world: World) -> None:
        world.dataset("a")
        for name, facts in (
            ("plain", {"dimensions": 384, "licence": "mit", "open_weights": True, "release_date": "2024-05-01"}),
            ("small", {"dimensions": 384, "precision": "int8", "open_weights": False, "active_parameters": 5}),
            ("unknown", {}),
        ):
            world.run(world.model(f"acme/{name}", **facts), "a", 0.5)
        found = view(load(world, world.board("a")), "sort=model")
        values = {column.key: [column.values[row] for row in found.order] for column in found.columns}
        assert values["index_bytes"] == [1536, 384, None]
        assert values["open_weights"] == ["open", "closed", None]
        assert values["licence"] == ["mit", None, None]
        assert values["release_date"] == ["2024-05-01", None, None]
        assert values["active_parameters"] == [None, 5, None]

    def test_how_open_a_model_is(self, world: World) -> None:
        world.dataset("a")
        open_ = {"training_code": "https://example.org/code", "training_data": "public", "citation": "@misc{m}"}
        for name, facts in (("closed", {}), ("open", open_)):
            world.run(world.model(f"acme/{name}", **facts), "a", 0.5)
        found = view(load(world, world.board("a")), "sort=model&show=everything")
        shown = {column.key: [column.values[row] for row in found.order] for column in found.shown}
        for key in open_:
            assert shown[key] == [None, "yes"]
        assert [row["citation"] for row in as_dict(found)["models"]] == [None, True]

    def test_buttons_move_a_column_one_place(self, world: World) -> None:
        board = load(world, world.full())

        def keys(query: str) -> list[str]:
            found = view(board, f"column=memory&column=task:pairs&column=licence&{query}")
            assert "left" not in found.look.at("") and "right" not in found.look.at("")
            return [column.key for column in found.shown[2:]]

        assert keys("left=licence") == ["memory", "licence", "task:pairs"]
        assert keys("right=memory") == ["task:pairs", "memory", "licence"]
        for nothing in ("left=memory", "right=licence", "left=nowhere", "left="):
            assert keys(nothing) == ["memory", "task:pairs", "licence"]
        assert view(board, "left=memory").look == Look()


class TestMeasured:
    KEYS = ("peak_memory", "query_p50", "query_p95", "documents_per_second")

    def shown(self, world: World, query: str = "") -> dict[str, list[object]]:
        found = view(load(world, world.measured()), f"sort=model&{query}")
        return {column.key: [column.values[row] for row in found.order] for column in found.columns}

    def test_the_device_of_the_most_models_is_shown_alone(self, world: World) -> None:
        found = self.shown(world)
        assert found["model"] == ["acme/fast", "acme/other", "acme/slow"]
        assert [found[key] for key in self.KEYS] == [
            [200.0, None, 8000.0],
            [0.5, None, 12.25],
            [1.0, None, 24.5],
            [9000.0, None, 80.0],
        ]

    def test_another_device_is_asked_for(self, world: World) -> None:
        found = self.shown(world, f"device={CPU}")
        assert [found[key] for key in self.KEYS] == [[None, None, value] for value in (9000.0, 480.0, 960.0, 1.5)]

    def test_equally_many_models_go_by_name(self, world: World) -> None:
        slug = world.measured()
        with world.database.session() as session:
            session.execute(delete(Measurement).where(Measurement.device == GPU, Measurement.query_p50_ms < 1))
        board = load(world, slug)
        assert devices_of(board) == (CPU, GPU)
        assert view(board).device == CPU

    def test_a_filter_changes_no_device(self, world: World) -> None:
        board = load(world, world.measured())
        assert view(board, "q=nothing").device == view(board, "max_parameters=1").device == GPU
        assert Look(device=GPU).filters == ()

    def test_the_help_names_the_device(self, world: World) -> None:
        found = {column.key: column for column in view(load(world, world.measured()), f"device={CPU}").columns}
        for key in self.KEYS:
            assert found[key].help.endswith(f"is better. Measured on {CPU}.")
            assert found[key].device == CPU
        assert [found[key].unit for key in self.KEYS] == ["MB", "ms", "ms", "a second"]
        assert found["documents_per_second"].falls_first and not found["query_p50"].falls_first

    def test_cost_and_everything_show_it_where_there_is_anything(self, world: World) -> None:
        board, bare = load(world, world.measured()), load(world, world.full())
        for preset in ("cost", "everything"):
            assert set(self.KEYS) <= {column.key for column in view(board, f"show={preset}").shown}
        assert not set(self.KEYS) & {column.key for column in view(board).shown}
        assert not set(self.KEYS) & {column.key for column in view(bare, "show=everything").columns}

    def test_a_device_that_measured_nothing_is_refused(self, world: World) -> None:
        board, bare = load(world, world.measured()), load(world, world.full())
        with pytest.raises(Invalid, match=rf"'abacus'\. There are: {GPU}; {CPU}\."):
            view(board, "device=abacus")
        with pytest.raises(Invalid, match="No model of this board has been measured yet"):
            view(bare, f"device={GPU}")

    def test_no_download_leaves_out_the_device(self, world: World) -> None:
        found = view(load(world, world.measured()), "column=peak_memory&column=query_p50&column=documents_per_second")
        heads = [f"Peak memory (MB, {GPU})", f"Query p50 (ms, {GPU})", f"Documents (a second, {GPU})"]
        head, *lines = list(csv.reader(io.StringIO(as_csv(found), newline="")))
        assert head[4:] == heads
        assert [line[4:] for line in lines] == [["8000.0", "12.25", "80.0"], ["", "", ""], ["200.0", "0.5", "9000.0"]]
        assert as_markdown(found).splitlines()[0] == f"| Rank | Model | {' | '.join(heads)} |"
        assert "| 8,000 | 12.2 | 80.0 |" in as_markdown(found)
        assert f"Query p50 (ms, {GPU}) &" in as_latex(found)
        slow, other, fast = as_dict(found)["models"]
        assert [one["device"] for one in slow["measured"]] == [CPU, GPU]
        assert other["measured"] == []
        assert fast["measured"] == [
            {
                "device": GPU,
                "peak_memory_mb": 200.0,
                "query_p50_ms": 0.5,
                "query_p95_ms": 1.0,
                "documents_per_second": 9000.0,
            }
        ]

    def test_downloads_hold_what_is_shown(self, world: World) -> None:
        found = view(load(world, world.full()), "column=task:pairs&column=type:STS&q=zeta")
        assert list(csv.reader(io.StringIO(as_csv(found), newline=""))) == [
            ["Rank (Borda)", "Model", "Variant", "Revision", "pairs", "Mean (STS)"],
            ["2", "zeta/weak", "", "", "0.95", "0.95"],
        ]


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
            lines = list(csv.DictReader(io.StringIO(board_text(session, slug, "csv"))))
        assert [(line["Rank (Borda)"], line["Model"], line["Variant"]) for line in lines] == [
            ("1", "acme/strong", ""),
            ("2", "zeta/weak", ""),
            ("3", "acme/strong", "128 d"),
        ]
        assert (lines[0]["pairs"], lines[0]["articles"], lines[0]["Mean (Task)"]) == ("0.9", "0.75", "0.825")
        assert (lines[0]["Mean (TaskType)"], lines[0]["Zero-shot"]) == ("0.825", "50")
        assert (lines[1]["articles"], lines[1]["Mean (Task)"], lines[1]["Memory (MB)"]) == ("", "", "")

    def test_csv_text_is_never_a_formula_and_numbers_stay_numbers(self, world: World) -> None:
        evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", 'quote " and, comma', "ok"]
        world.dataset("a", name="=HYPERLINK(1)")
        for text in evil:
            world.run(world.model("acme/m", variant=text), "a", -0.25)
        board = load(world, world.board("a"))
        lines = list(csv.reader(io.StringIO(as_csv(view(board)), newline="")))
        assert lines[0][-1] == "'=HYPERLINK(1)"
        assert {line[2] for line in lines[1:]} == {f"'{text}" for text in evil[:6]} | set(evil[6:])
        assert {line[-1] for line in lines[1:]} == {"-0.25"}

    def test_markdown_and_latex_are_what_people_read(self, world: World) -> None:
        found = view(load(world, world.full()), "dataset=pairs")
        lines = as_markdown(found).splitlines()
        assert lines[1].startswith("| ---: | --- | ---: |")
        assert lines[2].startswith("| 1 | zeta/weak | 100% | — |")
        assert lines[2].count("**95.00**") == 3 and "**" not in lines[3]
        latex = as_latex(found)
        assert latex.startswith("\\begin{tabular}{rlrrrrrrrr}\n\\toprule\nRank & Model & Zero-shot &")
        assert "\\textbf{95.00}" in latex and "100\\% & ---" in latex and latex.endswith("\\end{tabular}\n")

    def test_hostile_names_are_text_in_every_download(self, world: World) -> None:
        world.dataset("a", name="a_b|c & 50% \\end{tabular}")
        world.run(world.model("acme/<b>x</b>|[y](z)_$1$"), "a", 0.5)
        found = view(load(world, world.board("a")))
        head, _, row = as_markdown(found).splitlines()
        assert "a\\_b\\|c \\& 50% \\\\end{tabular}" in head
        assert "acme/\\<b\\>x\\</b\\>\\|\\[y\\](z)\\_$1$" in row
        latex = as_latex(found)
        assert "a\\_b\\textbar{}c \\& 50\\% \\textbackslash{}end\\{tabular\\}" in latex
        assert "\\_\\$1\\$" in latex


def test_the_examples() -> None:
    tested = doctest.testmod(table_columns)
    assert tested.attempted == 3 and not tested.failed
