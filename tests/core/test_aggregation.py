"""Aggregation: by hand, by its properties, and against the board that MTEB makes of public results."""

import doctest
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import aggregation
from app.core.aggregation import Cell, borda, dataset_means, standings, zero_shot_percents

ORACLE = Path(__file__).resolve().parents[2] / "../shared/data/mteb"
ONE: Cell = ("test", "default")


@dataclass(frozen=True)
class Column:
    """A dataset of a board and the cells that it requires."""

    key: str
    task_type: str
    cells: frozenset[Cell]


@dataclass(frozen=True)
class Entry:
    """A model's main metric by dataset and cell."""

    key: str
    scores: Mapping[str, Mapping[Cell, float]]
    trained_on: frozenset[str] | None = None


@dataclass(frozen=True)
class Standing:
    """One model's place, free of arrays; None where nothing is known."""

    key: str
    datasets: dict[str, float | None]
    types: dict[str, float | None]
    mean_task: float | None
    mean_task_type: float | None
    points: float
    rank: int | None
    complete: bool
    zero_shot: int | None


def aggregate(columns: Sequence[Column], entries: Sequence[Entry]) -> tuple[Standing, ...]:
    """The board of these models on these datasets, told model by model."""
    cells = [
        (row, place, value)
        for row, entry in enumerate(entries)
        for place, column in enumerate(columns)
        for cell, value in entry.scores.get(column.key, {}).items()
        if cell in column.cells
    ]
    rows, places, values = ([cell[part] for cell in cells] for part in range(3))
    shape = len(entries), len(columns)
    means = dataset_means(rows, places, values, shape, [len(column.cells) for column in columns])
    board = standings(means, [column.task_type for column in columns])
    trained = [[column.key in (entry.trained_on or ()) for column in columns] for entry in entries]
    zero_shot = zero_shot_percents(
        np.array(trained, np.bool_).reshape(shape), np.array([entry.trained_on is not None for entry in entries])
    )

    def known(value: float) -> float | None:
        return None if np.isnan(value) else round(float(value), 14)

    return tuple(
        Standing(
            entry.key,
            {column.key: known(means.complete[row, place]) for place, column in enumerate(columns)},
            {name: known(of_type[row]) for name, of_type in board.types.items()},
            known(board.mean_task[row]),
            known(board.mean_task_type[row]),
            float(board.points[row]),
            int(board.ranks[row]) or None,
            0 < len(columns) == board.scored[row],
            None if zero_shot[row] < 0 else int(zero_shot[row]),
        )
        for row, entry in enumerate(entries)
    )


def column(key: str, task_type: str = "STS", *cells: Cell) -> Column:
    return Column(key, task_type, frozenset(cells or (ONE,)))


def entry(key: str, trained_on: frozenset[str] | None = None, **scores: float) -> Entry:
    return Entry(key, {dataset: {ONE: score} for dataset, score in scores.items()}, trained_on)


def by_key(standings: tuple[Standing, ...]) -> dict[str, Standing]:
    return {standing.key: standing for standing in standings}


class TestMeans:
    def test_a_dataset_is_the_plain_mean_of_its_cells(self) -> None:
        languages = column("sts", "STS", ("test", "en"), ("test", "de"), ("dev", "en"))
        model = Entry("a", {"sts": {("test", "en"): 0.9, ("test", "de"): 0.6, ("dev", "en"): 0.3}})
        (standing,) = aggregate([languages], [model])
        assert standing.datasets == {"sts": pytest.approx(0.6, abs=1e-15)}

    def test_cells_the_board_does_not_ask_for_are_left_out(self) -> None:
        model = Entry("a", {"sts": {ONE: 0.4, ("test", "extra"): 1.0}, "elsewhere": {ONE: 1.0}})
        (standing,) = aggregate([column("sts")], [model])
        assert standing.datasets == {"sts": 0.4}
        assert standing.mean_task == 0.4

    def test_types_weigh_the_same_however_many_datasets_they_have(self) -> None:
        columns = [column("a"), column("b"), column("c", "Retrieval")]
        (standing,) = aggregate(columns, [entry("m", a=0.2, b=0.4, c=0.9)])
        assert standing.mean_task == pytest.approx(0.5, abs=1e-15)
        assert standing.types == {"STS": pytest.approx(0.3, abs=1e-15), "Retrieval": 0.9}
        assert standing.mean_task_type == pytest.approx(0.6, abs=1e-15)
        assert standing.complete

    def test_a_missing_dataset_empties_every_mean_over_it_and_no_other(self) -> None:
        columns = [column("a"), column("b"), column("c", "Retrieval")]
        (standing,) = aggregate(columns, [entry("m", a=0.2, c=0.9)])
        assert standing.datasets == {"a": 0.2, "b": None, "c": 0.9}
        assert standing.types == {"STS": None, "Retrieval": 0.9}
        assert standing.mean_task is None
        assert standing.mean_task_type is None
        assert not standing.complete

    def test_a_missing_cell_leaves_the_dataset_without_a_score(self) -> None:
        languages = column("sts", "STS", ("test", "en"), ("test", "de"))
        (standing,) = aggregate([languages], [Entry("a", {"sts": {("test", "en"): 0.8}})])
        assert standing.datasets == {"sts": None}
        assert not standing.complete

    def test_a_score_of_zero_is_a_score(self) -> None:
        (standing,) = aggregate([column("a")], [entry("m", a=0.0)])
        assert standing.mean_task == 0.0
        assert standing.complete

    def test_a_board_without_datasets_or_models_is_empty(self) -> None:
        assert aggregate([column("a")], []) == ()
        (standing,) = aggregate([], [entry("m", a=0.5)])
        assert (standing.rank, standing.mean_task, standing.mean_task_type) == (None, None, None)
        assert not standing.complete

    def test_a_column_nobody_ran_has_no_score(self) -> None:
        (standing,) = aggregate([Column("a", "STS", frozenset())], [entry("m")])
        assert standing.datasets == {"a": None}
        assert not standing.complete


class TestBorda:
    def test_by_hand(self) -> None:
        # a: x 1st (2 points), y 2nd (1), z 3rd (0); b: z 1st (2), x and y share 2nd and 3rd (0.5 each)
        standings = by_key(
            aggregate(
                [column("a"), column("b")],
                [entry("x", a=0.9, b=0.5), entry("y", a=0.8, b=0.5), entry("z", a=0.7, b=0.6)],
            )
        )
        assert {key: row.points for key, row in standings.items()} == {"x": 2.5, "y": 1.5, "z": 2.0}
        assert {key: row.rank for key, row in standings.items()} == {"x": 1, "z": 2, "y": 3}

    def test_equal_points_share_the_smaller_rank(self) -> None:
        scores = np.array([[0.9, 0.1], [0.1, 0.9], [0.05, 0.05]])
        points, ranks = borda(scores, 3)
        assert points.tolist() == [3.0, 3.0, 0.0]
        assert ranks.tolist() == [1, 1, 3]

    def test_a_missing_dataset_gives_no_points(self) -> None:
        standings = by_key(
            aggregate([column("a"), column("b")], [entry("x", a=0.9), entry("y", a=0.1, b=0.1), entry("z", b=0.2)])
        )
        assert {key: row.points for key, row in standings.items()} == {"x": 2.0, "y": 2.0, "z": 2.0}
        assert {row.rank for row in standings.values()} == {1}

    def test_scores_equal_to_ten_digits_tie(self) -> None:
        points, ranks = borda(np.array([[0.1 + 0.2], [0.3], [0.3 + 1e-9]]), 3)
        assert points.tolist() == [0.5, 0.5, 2.0]
        assert ranks.tolist() == [2, 2, 1]

    def test_a_partial_dataset_mean_earns_points(self) -> None:
        two = column("a", "STS", ("test", "en"), ("test", "de"))
        whole = Entry("whole", {"a": {("test", "en"): 0.5, ("test", "de"): 0.5}, "b": {ONE: 0.5}})
        partial = Entry("partial", {"a": {("test", "en"): 0.9}, "b": {ONE: 0.4}})
        standings = by_key(aggregate([two, column("b")], [whole, partial]))
        assert standings["partial"].datasets["a"] is None
        assert (standings["whole"].points, standings["partial"].points) == (1.0, 1.0)

    def test_only_models_with_a_complete_dataset_count(self) -> None:
        two = column("a", "STS", ("test", "en"), ("test", "de"))
        whole = Entry("whole", {"a": {("test", "en"): 0.5, ("test", "de"): 0.5}})
        partial = Entry("partial", {"a": {("test", "en"): 0.4}})
        standings = by_key(aggregate([two], [whole, partial]))
        assert (standings["whole"].points, standings["partial"].points) == (0.0, -1.0)

    def test_a_model_without_any_score_has_no_rank(self) -> None:
        standings = by_key(aggregate([column("a")], [entry("x", a=0.5), entry("queued")]))
        assert (standings["queued"].rank, standings["queued"].points) == (None, 0.0)
        assert (standings["x"].rank, standings["x"].points) == (1, 0.0)


class TestZeroShot:
    @pytest.mark.parametrize(
        ("trained_on", "board", "percent"),
        [
            (None, ["a"], None),
            (frozenset(), ["a", "b"], 100),
            (frozenset({"a"}), ["a", "b"], 50),
            (frozenset({"a"}), ["a", "b", "c"], 66),
            (frozenset({"a", "b", "c", "other"}), ["a", "b", "c"], 0),
            (frozenset({"a"}), [], None),
        ],
    )
    def test_by_hand(self, trained_on: frozenset[str] | None, board: list[str], percent: int | None) -> None:
        (standing,) = aggregate([column(key) for key in board], [entry("m", trained_on)])
        assert standing.zero_shot == percent


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(aggregation).failed == 0


def test_some_models_on_some_datasets_are_a_board_of_their_own() -> None:
    means = dataset_means([0, 0, 1, 1, 2], [0, 1, 0, 1, 0], [0.9, 0.1, 0.8, 0.2, 0.7], (3, 2), [1, 1])
    board = standings(means.of(np.array([1, 2]), np.array([True, False])), ["STS"])
    assert board.ranks.tolist() == [1, 2]
    assert board.points.tolist() == [1.0, 0.0]


SCORES = st.one_of(st.none(), st.sampled_from([0.1, 0.25, 0.5, 0.5 + 1e-12, 0.9]), st.floats(-1, 1))
TYPES = ("STS", "Retrieval", "STS", "Classification")


@st.composite
def boards(draw: st.DrawFn) -> tuple[list[Column], list[Entry]]:
    columns = [column(f"d{i}", TYPES[i]) for i in range(draw(st.integers(1, 4)))]
    row = st.lists(SCORES, min_size=len(columns), max_size=len(columns))
    rows = draw(st.lists(row, min_size=1, max_size=6))
    entries = [
        entry(f"m{i}", **{c.key: s for c, s in zip(columns, row, strict=True) if s is not None})
        for i, row in enumerate(rows)
    ]
    return columns, entries


class TestProperties:
    @given(boards(), st.randoms(use_true_random=False))
    def test_the_order_of_models_and_datasets_changes_nothing(
        self, board: tuple[list[Column], list[Entry]], random: Any
    ) -> None:
        columns, entries = board
        before = by_key(aggregate(columns, entries))
        random.shuffle(columns)
        random.shuffle(entries)
        assert by_key(aggregate(columns, entries)) == before

    @given(boards())
    def test_a_worse_model_changes_no_rank_and_comes_last(self, board: tuple[list[Column], list[Entry]]) -> None:
        columns, entries = board
        complete = [e for e in entries if len(e.scores) == len(columns)]
        before = by_key(aggregate(columns, complete))
        worst = entry("worst", **{c.key: -2.0 for c in columns})
        after = by_key(aggregate(columns, [*complete, worst]))
        assert after["worst"].rank == len(complete) + 1
        assert {key: row.rank for key, row in after.items() if key != "worst"} == {k: r.rank for k, r in before.items()}
        assert all(after[key].points == row.points + len(columns) for key, row in before.items())

    @given(boards())
    def test_ranks_are_those_of_a_slow_and_obvious_count(self, board: tuple[list[Column], list[Entry]]) -> None:
        columns, entries = board
        standings = aggregate(columns, entries)
        n = sum(bool(e.scores) for e in entries)
        for row, own in zip(standings, entries, strict=True):
            points = 0.0
            for dataset, cells in own.scores.items():
                others = [round(e.scores[dataset][ONE], 10) for e in entries if dataset in e.scores]
                mine = round(cells[ONE], 10)
                points += n - (1 + sum(o > mine for o in others) + (others.count(mine) - 1) / 2)
            assert row.points == points
            ranked = [s for s, e in zip(standings, entries, strict=True) if e.scores]
            assert row.rank == (1 + sum(s.points > points for s in ranked) if own.scores else None)


@pytest.fixture(scope="module")
def oracle() -> tuple[list[Column], dict[str, Entry]]:
    """The columns of MTEB(eng, v2) and the 333 models of the long table."""
    if not ORACLE.is_dir():
        pytest.skip("the public MTEB results (shared/data/mteb) are not beside this checkout")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow reads the long table; install the worker extra")
    rows = parquet.read_table(ORACLE / "eng_v2_scores.parquet").to_pylist()
    types = json.loads((ORACLE / "eng_v2_task_types.json").read_text())
    scores: dict[str, dict[str, dict[Cell, float]]] = {}
    cells: dict[str, set[Cell]] = {}
    trained_on: dict[str, set[str]] = {}
    for row in rows:
        if row["score"] is None:
            continue
        cell = (row["split"], row["subset"])
        cells.setdefault(row["task_name"], set()).add(cell)
        scores.setdefault(row["model_name"], {}).setdefault(row["task_name"], {})[cell] = row["score"]
        if row["trained_on"]:
            trained_on.setdefault(row["model_name"], set()).add(row["task_name"])
    columns = [Column(task, types[task], frozenset(found)) for task, found in cells.items()]
    return columns, {key: Entry(key, found, frozenset(trained_on.get(key, ()))) for key, found in scores.items()}


@pytest.mark.parametrize("expected_file", ["eng_v2_expected.json", "results_expected.json"])
def test_the_board_is_the_one_mteb_makes(oracle: tuple[list[Column], dict[str, Entry]], expected_file: str) -> None:
    columns, entries = oracle
    expected = json.loads((ORACLE / expected_file).read_text())
    assert len(columns) == expected["n_tasks"]
    standings = aggregate(columns, [entries[key] for key in expected["models"]])
    assert len(standings) == expected["n_models_ranked"]
    for row in standings:
        wanted = expected["models"][row.key]
        assert (row.key, row.rank, row.points) == (row.key, wanted["rank"], wanted["borda_points"])
        assert row.mean_task == pytest.approx(wanted["mean_task"], abs=1e-9)
        assert row.mean_task_type == pytest.approx(wanted["mean_task_type"], abs=1e-9)
        assert row.types == {name: pytest.approx(mean, abs=1e-9) for name, mean in wanted["types"].items()}
        assert sum(score is not None for score in row.datasets.values()) == wanted["n_tasks_scored"]
        assert row.complete == (wanted["n_tasks_scored"] == expected["n_tasks"])


def test_zero_shot_is_the_one_mteb_shows(oracle: tuple[list[Column], dict[str, Entry]]) -> None:
    columns, entries = oracle
    table = {row["Model"]: row["Zero-shot"] for row in json.loads((ORACLE / "eng_v2_mteb_table.json").read_text())}
    compared = 0
    for row in aggregate(columns, list(entries.values())):
        shown = table[row.key]
        if shown is not None and shown >= 0 and row.complete:
            assert (row.key, row.zero_shot) == (row.key, shown)
            compared += 1
    assert compared > 100
