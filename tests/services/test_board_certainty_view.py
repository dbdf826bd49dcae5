"""What a board's certainty says: intervals of what is shown, tiers, the sentence, pairs, and all of it in downloads."""

import csv
import io
import json
from dataclasses import replace
from urllib.parse import parse_qsl

import numpy as np
import pytest

from app.db.queries.boards import Board
from app.db.session import Database
from app.services import benchmarks
from app.services.board_certainty_view import MOST_PAIRED, as_dict, board_sentence, view_certainty
from app.services.board_export import as_csv, as_json, as_latex, as_markdown
from app.services.board_look import Look, parse_look
from app.services.board_view import BoardView, described_columns, view_board
from app.services.boards import load_board
from app.services.table_columns import half_width, rank_range
from tests.board_world import World
from tests.certain_board import certain, four


@pytest.fixture
def board(world: World) -> Board:
    """Nothing is known of it, nor to come."""
    return replace(load(world, four(world)), certainty_expected=False)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def load(world: World, slug: str) -> Board:
    with world.database.reading() as session:
        return load_board(session, benchmarks.by_slug(session, slug))


def view(board: Board, query: str = "") -> BoardView:
    return view_board(board, parse_look(parse_qsl(query, keep_blank_values=True)))


def names(found: BoardView) -> str:
    return "".join(found.model(row).short_name for row in found.order)


def with_ends(found: BoardView) -> set[str]:
    return {column.key for column in found.columns if column.ends}


@pytest.mark.parametrize(
    ("ends", "text"), [((0.5, 0.516), "±0.8"), ((0.5, 0.5), "±0.00"), ((0.1, 0.11), "±0.5"), ((0.2, 0.2014), "±0.07")]
)
def test_half_a_width_is_that_of_what_is_shown(ends: tuple[float, float], text: str) -> None:
    assert half_width(ends) == text


def test_a_rank_range_of_one_rank_is_that_rank() -> None:
    assert (rank_range((2, 5)), rank_range((3, 3))) == ("2–5", "3")


class TestColumns:
    def test_everything_that_is_known_has_its_ends(self, board: Board) -> None:
        found = view(certain(board))
        assert with_ends(found) == {
            *("rank", "mean_task", "mean_task_type", "type:STS", "type:Retrieval", "task:pairs", "task:articles")
        }
        columns = {column.key: column for column in found.columns}
        assert columns["rank"].ends == ((1, 2), (1, 3), (2, 4), (3, 4))
        assert columns["task:pairs"].ends[0] == pytest.approx((0.892, 0.908))
        assert (columns["task:pairs"].n, columns["task:articles"].n, columns["mean_task"].n) == (420, 421, 0)
        assert columns["tier"].values == (1, 2, 2, 3)

    def test_a_filter_leaves_what_it_does_not_touch(self, board: Board) -> None:
        sure = certain(board)
        tasks = {"task:pairs", "task:articles"}
        assert with_ends(view(sure, "dataset=pairs")) == {"task:pairs"}
        models = tuple(replace(one, open_weights=one.name != "acme/b") for one in sure.models)
        found = view(replace(sure, models=models), "open_weights=1")
        assert with_ends(found) == {"mean_task", "mean_task_type", "type:STS", "type:Retrieval", *tasks}
        assert "tier" not in {column.key for column in found.columns} and not found.whole
        columns = {column.key: column for column in found.columns}
        assert columns["mean_task"].ends[1] == pytest.approx((0.592, 0.608))

    def test_a_name_filters_nothing(self, board: Board) -> None:
        found = view(certain(board), "q=acme/b")
        assert found.whole and "rank" in with_ends(found) and names(found) == "b"

    def test_without_certainty_there_is_nothing_of_it(self, board: Board) -> None:
        found = view(board)
        assert with_ends(found) == set()
        assert "tier" not in {column.key for column in (*found.columns, *described_columns(board))}
        assert "tier" in {column.key for column in described_columns(certain(board))}

    def test_what_is_not_known_of_a_model_is_none(self, board: Board) -> None:
        sure = certain(board)
        assert sure.certainty is not None
        low, best = sure.certainty.low.copy(), sure.certainty.best.copy()
        low[1], best[2] = np.nan, 0
        found = view(replace(sure, certainty=replace(sure.certainty, low=low, best=best)))
        columns = {column.key: column for column in found.columns}
        assert columns["task:pairs"].ends[1] is None and columns["task:pairs"].ends[0]
        assert columns["rank"].ends[2] is None


class TestTiers:
    def test_they_order_rows_and_the_untested_come_last(self, board: Board) -> None:
        sure = certain(board, (2, 1, 0, 1))
        assert names(view(sure, "sort=tier")) == "bdac"
        assert names(view(sure, "sort=-tier")) == "abdc"
        assert names(view(sure)) == "abcd"

    @pytest.mark.parametrize("query", ["", "&type=STS"])
    def test_without_them_rows_stay_by_rank(self, board: Board, query: str) -> None:
        assert names(view(board, f"sort=tier{query}")) == "abcd"
        assert names(view(certain(board), f"sort=tier{query}")) == "abcd"


class TestSentence:
    @pytest.mark.parametrize(
        ("tiers", "sentence"),
        [
            ((1, 2, 2, 3), "A test separates 2 of 3 neighbouring pairs; ranks within a tier are not to be trusted."),
            (
                (1, 1, 1, 1),
                "No test separates any of the 3 neighbouring pairs; ranks within a tier are not to be trusted.",
            ),
            ((1, 2, 3, 4), "A test separates all 3 neighbouring pairs."),
            ((1, 0, 2, 2), "A test separates 1 of 2 neighbouring pairs; ranks within a tier are not to be trusted."),
            ((1, 0, 0, 2), "A test separates the two tested models."),
            ((1, 0, 0, 1), "No test separates the two tested models; their order is not to be trusted."),
            ((0, 0, 0, 0), ""),
        ],
    )
    def test_how_many_neighbours_are_separable(self, board: Board, tiers: tuple[int, ...], sentence: str) -> None:
        assert board_sentence(view(certain(board, tiers))) == sentence
        assert board_sentence(view(certain(board, tiers), "q=acme/b")) == sentence

    def test_a_filter_says_what_is_left_out(self, board: Board) -> None:
        sure = certain(board)
        assert board_sentence(view(sure, "dataset=pairs")) == (
            "Ranks are those of what is shown; rank ranges, tiers and intervals of means are known for the whole board "
            "only."
        )
        assert board_sentence(view(sure, "open_weights=1")).startswith(
            "Ranks are those of what is shown; rank ranges and tiers are known"
        )

    def test_tasks_instead_of_examples(self, board: Board) -> None:
        words = "Intervals come from resampling its 2 tasks: imported scores have no examples."
        assert board_sentence(view(certain(board, by_task=True))).endswith(f"to be trusted. {words}")
        assert board_sentence(view(certain(board, (0, 0, 0, 0), by_task=True))) == words

    def test_before_it_is_known(self, board: Board) -> None:
        assert board_sentence(view(board)) == ""
        assert board_sentence(view(replace(board, certainty_expected=True))) == "Intervals are being computed."


class TestWhole:
    def test_models_by_rank_with_the_test_against_the_next(self, board: Board) -> None:
        found = view_certainty(certain(board, (1, 0, 2, 2)))
        assert found is not None
        assert [(one.model.short_name, one.rank, one.range, one.tier) for one in found.models] == [
            *(("a", 1, "1–2", 1), ("b", 2, "1–3", None), ("c", 3, "2–4", 2), ("d", 4, "3–4", 2))
        ]
        keys = {one.model.short_name: one.model.key for one in found.models}
        assert [(one.next_p, one.next_key) for one in found.models] == [
            *((0.001, keys["c"]), (None, ""), (0.5, keys["d"]), (None, ""))
        ]

    def test_pairs_are_those_of_the_best(self, world: World) -> None:
        world.dataset("pairs", "STS")
        for number in range(MOST_PAIRED + 3):
            world.run(world.model(f"acme/m{number:02}"), "pairs", 0.3 + number / 100)
        found = view_certainty(certain(load(world, world.board("pairs")), (1,) * (MOST_PAIRED + 3)))
        assert found is not None and found.pairs is not None
        assert (len(found.pairs.models), found.pairs.of, len(found.pairs.p)) == (
            MOST_PAIRED,
            MOST_PAIRED + 3,
            MOST_PAIRED,
        )
        assert found.pairs.names[:2] == ("acme/m32", "acme/m31")
        assert found.pairs.means[0] == pytest.approx(0.62)

    def test_why_a_dataset_is_left_out(self, world: World) -> None:
        for slug, kind in (("groups", "Clustering"), ("pairs", "STS"), ("old", "STS")):
            world.dataset(slug, kind)
        for name in ("a", "b"):
            model = world.model(f"acme/{name}")
            for slug in ("groups", "pairs", "old"):
                world.run(model, slug, 0.5)
        sure = certain(load(world, world.board("groups", "pairs", "old")), (1, 1))
        assert sure.certainty is not None
        tested = np.array([False, True, False])
        counted = np.array([10, 400, 0])
        found = view_certainty(replace(sure, certainty=replace(sure.certainty, tested=tested, n=counted)))
        assert found is not None
        groups, pairs, old = (one.left_out for one in found.datasets)
        assert "only the spread over its draws is known" in groups
        assert pairs == "" and old == "Its runs have kept no values an example."
        untested = certain(sure, (0, 0))
        found = view_certainty(untested)
        assert found is not None and found.pairs is None
        assert found.datasets[1].left_out == "Fewer than two models have values of every dataset."

    def test_what_tells_nothing_is_as_if_it_were_not_there(self, board: Board) -> None:
        sure = certain(board, (0, 0, 0, 0), by_task=True)
        assert sure.certainty is not None
        nothing = np.zeros(4, np.int64)
        empty = replace(sure, certainty=replace(sure.certainty, by_task=False, best=nothing, worst=nothing, means={}))
        assert view_certainty(empty) is None and as_dict(empty)["state"] == "none"
        assert board_sentence(view(empty)) == board_sentence(view(empty, "dataset=pairs")) == ""

    def test_nothing_known_is_nothing_shown(self, board: Board) -> None:
        assert view_certainty(board) is None
        assert (as_dict(board)["state"], as_dict(board)["models"]) == ("none", [])
        assert as_dict(replace(board, certainty_expected=True))["state"] == "expected"

    def test_for_scripts(self, board: Board) -> None:
        found = json.loads(json.dumps(as_dict(certain(board)), allow_nan=False))
        assert (found["state"], found["seed"], found["resamples"], found["by_task"]) == ("known", 7, 1_000, False)
        first = found["datasets"][0]
        assert (first["slug"], first["n"], first["tested"], first["left_out"]) == ("pairs", 420, True, None)
        first = found["models"][0]
        assert (first["model"], first["rank_low"], first["rank_high"], first["tier"]) == ("acme/a", 1, 2, 1)
        assert first["means"]["type:STS"] == pytest.approx({"low": 0.842, "high": 0.858})
        assert first["tasks"]["articles"] == pytest.approx({"low": 0.792, "high": 0.808})
        assert len(found["pairs"]) == 6 and {pair["p"] for pair in found["pairs"]} == {0.001, 0.5}
        by_task = as_dict(certain(board, by_task=True))
        assert by_task["models"][0]["tasks"] == {"pairs": None, "articles": None}


class TestDownloads:
    def test_csv_ends_with_what_is_known(self, board: Board) -> None:
        look = "column=mean_task&column=task:pairs"
        head, first, *_ = csv.reader(io.StringIO(as_csv(view(certain(board), look)), newline=""))
        plain = next(csv.reader(io.StringIO(as_csv(view(board, look)), newline="")))
        assert head == [*plain, "rank_low", "rank_high", "mean_task_low", "mean_task_high", "tier"]
        assert [*first[len(plain) : -3], first[-1]] == ["1", "2", "1"]
        assert [float(end) for end in first[-3:-1]] == pytest.approx([0.842, 0.858])
        shown = next(csv.reader(io.StringIO(as_csv(view(certain(board), "column=tier")), newline="")))
        assert shown.count("Tier") == 1 and "tier" not in shown

    def test_json_holds_ranges_and_tiers(self, board: Board) -> None:
        first = json.loads(as_json(view(certain(board))))["models"][0]
        assert (first["rank"], first["rank_low"], first["rank_high"], first["tier"]) == (1, 1, 2, 1)
        assert (first["mean_task_low"], first["mean_task_high"]) == pytest.approx((0.842, 0.858))
        unsure = json.loads(as_json(view(board)))["models"][0]
        keys = ("rank_low", "rank_high", "tier", "mean_task_low", "mean_task_high")
        assert [unsure[key] for key in keys] == [None] * 5

    def test_people_read_half_widths_unless_they_hide_them(self, board: Board) -> None:
        look = "column=mean_task&column=task:pairs"
        latex, markdown = (write(view(certain(board), look)) for write in (as_latex, as_markdown))
        assert r"1 {\scriptsize (1--2)} & acme/a & \textbf{85.00} {\scriptsize $\pm$0.8} &" in latex
        assert "| 1 (1–2) | acme/a | **85.00** ±0.8 | **90.00** ±0.8 |" in markdown
        for write in (as_latex, as_markdown):
            assert write(view(certain(board), f"{look}&plain=1")) == write(view(board, look))


def test_hiding_intervals_is_no_filter() -> None:
    assert Look(plain=True).filters == () and parse_look([("plain", "1")]).at("/x") == "/x?plain=1"
