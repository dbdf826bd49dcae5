"""A report says what the board says: the same scores, intervals, ranks and tests; and its files hold hostile names."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from app.core.all_pairs import tukey
from app.core.resampling import Stratum, units_of
from app.db.queries.boards import Board
from app.db.session import Database
from app.services import benchmarks, certainty, dataset_pairs
from app.services.board_look import Look
from app.services.board_view import view_board
from app.services.boards import load_board
from app.services.evidence import EvidenceReader
from app.services.report import Report, board_report, ends_text, in_short, letter, ranks_text
from app.services.report_files import as_latex, as_markdown
from app.settings import Settings
from tests.certain_board import certain, four
from tests.verdict_world import VerdictWorld

HOSTILE = "acme/<b>|x|</b> \\input{a} $%&#_^~{} *[a](b)*\n`\u202eevil\x00"
VERSIONS = {"python": "3.11.7", "torch": "2.13.0"}


@pytest.fixture
def world(database: Database, settings: Settings) -> VerdictWorld:
    return VerdictWorld(database, settings)


@pytest.fixture
def slug(world: VerdictWorld) -> str:
    """Three models, the second hardly better than the third; two searches, a small one and a clustering."""
    return filled(world, ("acme/best", "acme/good", "acme/same"))


def filled(world: VerdictWorld, names: tuple[str, ...], *, dataset: str = "Articles") -> str:
    for key, kind in (
        ("articles", "Retrieval"),
        ("notes", "Retrieval"),
        ("few", "Retrieval"),
        ("topics", "Clustering"),
    ):
        world.dataset(key, kind, name=dataset if key == "articles" else key)
    for number, name in enumerate(names):
        model = world.model(name)
        world.queries(model, "articles", values(number, 200))
        world.queries(model, "notes", values(number, 80))
        world.queries(model, "few", values(number, 20))
        world.draws(model, "topics", [0.5 - 0.1 * number, 0.6, 0.4], [0, 0, 0])
    return world.board("articles", "notes", "few", "topics")


def values(model: int, n: int) -> np.ndarray:
    """The first model is clearly better than the others."""
    shared = np.random.default_rng(n).random(n) * 0.5
    return shared + np.random.default_rng((n, model)).normal(0.3 if model == 0 else 0.1 - model / 1_000, 0.05, n)


def load(world: VerdictWorld, slug: str, *, computed: bool = True) -> Board:
    """The board; with what a worker computes for it."""
    with world.database.session() as session:
        benchmark = benchmarks.by_slug(session, slug)
        board = load_board(session, benchmark)
        if computed:
            found = certainty.compute(session, board, EvidenceReader(world.blobs))
            assert found is not None
            certainty.store(session, benchmark.id, certainty.inputs_of(board), found)
            session.flush()
            board = load_board(session, benchmark)
        return board


def report(world: VerdictWorld, board: Board, look: Look | None = None) -> Report:
    with world.database.reading() as session:
        return board_report(session, EvidenceReader(world.blobs), board, look or Look())


def column(found: Report, head: str) -> list[str]:
    """The letters of one column."""
    place = found.heads.index(head)
    return [row.scores[place].beats for row in found.rows]


class TestNumbers:
    def test_scores_intervals_and_ranks_are_those_of_the_board(self, world: VerdictWorld, slug: str) -> None:
        board = load(world, slug)
        found, view = report(world, board), view_board(board, Look())
        columns = {one.label: one for one in view.columns}
        assert found.heads == ("Mean (Task)", "Mean (TaskType)", "Articles", "notes", "few", "topics")
        for row, place in zip(found.rows, view.order, strict=True):
            assert row.rank == columns["Rank"].values[place] and row.ranks == columns["Rank"].ends[place]
            assert row.tier == columns["Tier"].values[place]
            for head, score in zip(found.heads, row.scores, strict=True):
                assert (score.value, score.ends) == (columns[head].values[place], columns[head].ends[place])
                assert score.ends is not None and score.ends[0] < (score.value or 0) < score.ends[1]
        assert [one.n for one in found.datasets] == [200, 80, 20, 3]
        assert [one.margin for one in found.datasets] == [0.01] * 4
        assert not found.missing

    def test_letters_are_the_tests_over_all_models(self, world: VerdictWorld, slug: str) -> None:
        board = load(world, slug)
        found = report(world, board)
        assert [row.letter for row in found.rows] == ["a", "b", "c"]
        assert found.rows[0].model == "acme/best"
        p = tukey([Stratum(units_of(np.column_stack([values(model, 80) for model in range(3)])), 1.0)])
        assert (p[0, 1:] < 0.05).all() and p[1, 2] > 0.05
        assert column(found, "notes") == column(found, "Articles") == ["b,c", "", ""]
        assert board.certainty is not None
        assert (board.certainty.p[0, 1:] < 0.05).all() and board.certainty.p[1, 2] > 0.05
        assert column(found, "Mean (Task)") == ["b,c", "", ""]
        assert column(found, "Mean (TaskType)") == ["", "", ""]

    def test_what_is_not_tested_says_why(self, world: VerdictWorld, slug: str) -> None:
        found = report(world, load(world, slug))
        why = {one.name: one.untested for one in found.datasets}
        assert why["Articles"] == why["notes"] == ""
        assert why["few"] == "fewer than 30 examples"
        assert "no examples by themselves" in why["topics"]
        assert column(found, "few") == column(found, "topics") == ["", "", ""]

    def test_a_test_is_made_once(self, world: VerdictWorld, slug: str, monkeypatch: pytest.MonkeyPatch) -> None:
        board = load(world, slug)
        first = report(world, board)

        def again(*_: object) -> None:
            raise AssertionError("the test is made again")

        monkeypatch.setattr(dataset_pairs, "tukey", again)
        assert report(world, board) == first

    def test_a_large_board_has_only_the_test_of_the_mean(
        self, world: VerdictWorld, slug: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.services.report.MOST_TESTED", 2)
        found = report(world, load(world, slug))
        assert column(found, "Articles") == ["", "", ""]
        assert found.datasets[0].untested == "the board has more than 2 models"
        assert column(found, "Mean (Task)") == ["b,c", "", ""]

    def test_models_without_values_are_not_tested(self, world: VerdictWorld) -> None:
        world.dataset("articles", "Retrieval")
        world.queries(world.model("acme/one"), "articles", values(0, 60))
        world.run(world.model("acme/two"), "articles", 0.1)
        found = report(world, load(world, world.board("articles")))
        assert found.datasets[0].untested == "fewer than two models have values of the same examples"
        assert column(found, "articles") == ["", ""]


class TestParts:
    def test_a_look_chooses_models_datasets_and_order(self, world: VerdictWorld, slug: str) -> None:
        board = load(world, slug)
        found = report(world, board, Look(dataset=("notes",), sort="task:notes", q="a"))
        assert found.heads == ("Mean (Task)", "notes")
        assert [row.model for row in found.rows][-1] == "acme/best"
        assert column(found, "notes") == ["", "", "a,b"]
        assert "show all datasets" in found.missing
        assert all(row.scores[0].ends is None and not row.scores[0].beats for row in found.rows)
        assert (found.facts["Models"], found.facts["Datasets"]) == ("3", "1 of 4")

    def test_letters_name_only_who_is_shown(self, world: VerdictWorld, slug: str) -> None:
        found = report(world, load(world, slug), Look(q="acme/best"))
        assert [row.letter for row in found.rows] == ["a"]
        assert column(found, "notes") == [""]

    @pytest.mark.parametrize(("expected", "words"), [(True, "being computed"), (False, "nothing that they could be")])
    def test_without_certainty_it_says_what_is_missing(self, world: VerdictWorld, expected: bool, words: str) -> None:
        board = replace(load(world, four(world), computed=False), certainty_expected=expected)
        found = report(world, board)
        assert words in found.missing
        assert [row.scores[0].value for row in found.rows] == pytest.approx([0.85, 0.7, 0.6, 0.4])
        assert not any(score.ends or score.beats for row in found.rows for score in row.scores)
        assert "Seed" not in found.facts and len(found.methods) == 1

    def test_an_imported_board_speaks_of_tasks(self, world: VerdictWorld) -> None:
        board = replace(certain(load(world, four(world), computed=False), by_task=True), imported=True)
        found = report(world, board)
        assert column(found, "Mean (Task)") == ["b–d", "d", "d", ""]
        assert {one.untested for one in found.datasets} == {"no values an example are kept"}
        assert "over the board's 2 tasks (1,000 resamples, seed 7;" in found.methods[1]
        assert "within each task" in found.methods[2] and found.methods[2].endswith("The test is of Mean (Task).")


class TestWords:
    def test_facts_are_enough_to_repeat_it(self, world: VerdictWorld, slug: str) -> None:
        found = report(world, load(world, slug))
        assert (found.facts["Resamples"], found.facts["Seed"]) == ("10,000", "42")
        assert found.facts["Versions"] == "Touchstone 0.1.0, rules of mteb 2.26.24"
        assert "For clustering the interval is that of the mean over its repeated draws" in found.methods[1]
        assert "STS" not in found.methods[1]
        assert [reference.partition(" (")[0] for reference in found.references] == [
            "B. Carterette",
            "B. Efron and R. J. Tibshirani",
            "N. Muennighoff, N. Tazi, L. Magne and N. Reimers",
            "P. H. Westfall and S. S. Young",
        ]

    def test_versions_that_differ_between_runs_are_called_so(self, world: VerdictWorld) -> None:
        world.dataset("articles", "Retrieval")
        for name, torch in (("acme/one", "2.13.0"), ("acme/two", "2.12.0")):
            provenance = {"versions": {**VERSIONS, "torch": torch}}
            world.run(world.model(name), "articles", 0.5, provenance=provenance)
        found = report(world, load(world, world.board("articles"), computed=False))
        assert found.facts["Versions"].endswith("python 3.11.7, torch (several)")

    def test_letters_count_like_a_spreadsheets_columns(self) -> None:
        assert [letter(number) for number in (0, 25, 26, 51, 52, 701, 702)] == ["a", "z", "aa", "az", "ba", "zz", "aaa"]

    def test_neighbours_are_a_range(self) -> None:
        assert in_short([], "abcdef") == ""
        assert in_short([0, 1], "abcdef") == "a,b"
        assert in_short([0, 2, 3, 4, 5], "abcdef") == "a,c–f"

    def test_ends_as_text(self) -> None:
        assert ends_text((0.5, 0.625)) == "50.00 to 62.50"
        assert ends_text(None) == ranks_text(None) == ""
        assert (ranks_text((2.0, 2.0)), ranks_text((1.0, 3.0))) == ("2", "1 to 3")


class TestFiles:
    def test_markdown_has_a_row_a_model_and_escapes_names(self, world: VerdictWorld) -> None:
        board = load(world, filled(world, (HOSTILE, "acme/good"), dataset="a|b <i>"))
        text = as_markdown(report(world, board))
        lines = text.splitlines()
        rows = [line for line in lines if re.match(r"\| [ab] \|", line)]
        assert len(rows) == 2
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in [lines[2], lines[3], *rows]}
        assert widths == {len(("", "Model", "Rank", "Tier")) + 6 + 1}
        assert "<b>" not in text and "<i>" not in text and "<sup>b</sup>" in text
        assert r"a\|b \<i\>" in lines[2]
        assert "- Seed: 42" in lines

    def test_latex_is_balanced_and_escapes_names(self, world: VerdictWorld) -> None:
        board = load(world, filled(world, (HOSTILE, "[acme]/good*"), dataset="[x] 100% & more_"))
        text = as_latex(report(world, board))
        bare = re.sub(r"\\[{}%&#_$]", "", "\n".join(line for line in text.splitlines() if not line.startswith("%")))
        assert bare.count("{") == bare.count("}") > 0
        depth = np.cumsum([(sign == "{") - (sign == "}") for sign in bare])
        assert depth.min() == 0 and depth[-1] == 0
        assert Counter(re.findall(r"\\begin{(\w+)}", text)) == Counter(re.findall(r"\\end{(\w+)}", text))
        commands = set(re.findall(r"\\([a-zA-Z]+)", text))
        assert commands <= KNOWN, commands - KNOWN
        for sign in "%&#_$":
            assert sign not in re.sub(r" & ", " ", bare), sign
        assert not re.search(r"\\\\\s*[\[*]", text), "a row's end takes what follows for its option"
        assert "\x00" not in text and "\u202e" not in text

    def test_every_line_of_a_table_has_as_many_cells(self, world: VerdictWorld, slug: str) -> None:
        text = as_latex(report(world, load(world, slug)))
        tables = re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.DOTALL)
        assert len(tables) == 3  # four scores, two scores, datasets
        for table in tables:
            rows = [line for line in table.splitlines() if line.endswith(r"\\")]
            assert len({len(re.findall(r"(?<!\\)&", line)) for line in rows}) == 1


KNOWN = {
    "begin", "end", "caption", "toprule", "midrule", "bottomrule", "endfirsthead", "endhead", "textbf", "item",
    "textsuperscript", "scriptsize", "paragraph", "linewidth", "textless", "textgreater", "textbar", "textbackslash",
    "textasciitilde", "textasciicircum",
    "usepackage",
}  # fmt: skip
