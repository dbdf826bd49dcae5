"""Two models example by example: which runs count, outcomes and orders, what is told of each, and what is missing."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from app.core.records import ClassificationData, LabelledText, SentencePair, StsData
from app.db.session import Database
from app.db.tables import Benchmark, BoardKind, JobState
from app.errors import AppError, Invalid, NotFound
from app.services.evidence import EvidenceReader
from app.services.examples import overviews
from app.services.examples.columns import columns_of, first_ranks
from app.services.examples.details import (
    LabelDetail,
    NumberDetail,
    QueryDetail,
    SummaryDetail,
    TranslationDetail,
    detail,
)
from app.services.examples.matchups import (
    CellMatch,
    ExampleLook,
    Examples,
    Matchup,
    Outcome,
    examples_of,
    find_matchup,
    number_of,
    order,
    parse_look,
)
from app.services.examples.overviews import overview
from app.services.examples.rows import as_dict, bare_rows, csv_parts, rows
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests.example_world import KINDS, ONE, SECRET, ExampleWorld

Find = Callable[..., Matchup]


@pytest.fixture
def world(database: Database, settings: Settings) -> ExampleWorld:
    return ExampleWorld(database, BlobStore(settings.blobs_dir))


@pytest.fixture
def find(world: ExampleWorld) -> Find:
    """The matchup of the two models of a house, or of others."""
    evidence = EvidenceReader(world.blobs)

    def found(*keys: str, slug: str = "house", board: str = "") -> Matchup:
        with world.database.reading() as session:
            return find_matchup(session, evidence, world.blobs, slug, keys or ("1", "2"), board=board)

    return found


@pytest.fixture
def of_kind(world: ExampleWorld, find: Find) -> Callable[[str], Matchup]:
    """The matchup on a dataset of a task type."""

    def made(kind: str) -> Matchup:
        world.of_kind(kind)
        return find()

    return made


def values(a: list[float], b: list[float], *, can_fail: bool = True) -> Examples:
    n = len(a)
    return Examples(np.zeros(n, np.int64), np.arange(n), np.array(a), np.array(b), True, can_fail)


class TestWhichRuns:
    def test_the_newest_finished_run_of_each(self, world: ExampleWorld, find: Find) -> None:
        world.of_kind("STS")
        newer = world.result(1, "house", KINDS["STS"].b, 0.75)
        world.run(1, "house", state=JobState.FAILED)
        found = find()
        assert [(side.key, side.name, side.run_id, side.score) for side in found.sides] == [
            ("1", "acme/a", newer, 0.75),
            ("2", "acme/b", 2, 0.25),
        ]
        assert [cell.key for cell in found.cells] == ["test"]

    def test_a_run_on_an_older_revision_does_not_count(self, world: ExampleWorld, find: Find) -> None:
        world.of_kind("STS")
        world.revision("house", 7)
        with pytest.raises(NotFound, match="acme/a and acme/b have no finished run on the newest") as caught:
            find()
        assert caught.value.code == "no_result"

    def test_two_revisions_of_a_model_are_told_apart(self, world: ExampleWorld, find: Find) -> None:
        world.publish("house", "STS", KINDS["STS"].data)
        for revision in ("a" * 40, "b" * 40):
            world.result(world.model("acme/same", revision=revision), "house", KINDS["STS"].a)
        assert [side.full_name for side in find().sides] == ["acme/same aaaaaaa", "acme/same bbbbbbb"]

    def test_the_margin_is_the_usual_one(self, of_kind: Callable[[str], Matchup]) -> None:
        assert of_kind("STS").margin == 0.01

    def test_a_board_is_named_in_addresses(self, world: ExampleWorld, find: Find) -> None:
        world.of_kind("STS")
        slug = world.board("house")
        found = find(board=slug)
        assert found.board == (slug, "Help desk")
        assert found.address(sort="place") == f"/compare/house?board={slug}&models=1,2&sort=place"
        assert found.address("test:a/b", "3") == f"/compare/house/test%3Aa%2Fb/3?board={slug}&models=1,2"
        assert found.csv_address(ExampleLook()) == f"/compare/house.csv?board={slug}&models=1,2"

    @pytest.mark.parametrize(
        ("keys", "slug", "board", "error", "code"),
        [
            (("1", "2"), "nothing", "", NotFound, "not_found"),
            (("1", "2"), "house", "nothing", NotFound, "not_found"),
            (("1",), "house", "", Invalid, "compare_count"),
            (("1", "1"), "house", "", Invalid, "compare_count"),
            (("1", "2", "3"), "house", "", Invalid, "compare_count"),
            (("1", "9"), "house", "", NotFound, "unknown_model"),
            (("1", "acme/b"), "house", "", NotFound, "unknown_model"),
            (("1", "²"), "house", "", NotFound, "unknown_model"),
            (("1", "9" * 400), "house", "", NotFound, "unknown_model"),
            (("1", "3"), "house", "", NotFound, "no_result"),
        ],
    )
    def test_what_is_not_there(
        self,
        world: ExampleWorld,
        find: Find,
        keys: tuple[str, ...],
        slug: str,
        board: str,
        error: type[AppError],
        code: str,
    ) -> None:
        world.of_kind("STS")
        world.model("acme/without")
        with pytest.raises(error) as caught:
            find(*keys, slug=slug, board=board)
        assert caught.value.code == code
        assert len(caught.value.message) < 300

    def test_imported_scores_have_no_examples(self, world: ExampleWorld, find: Find) -> None:
        world.of_kind("STS")
        slug = world.board("house")
        with world.database.session() as session:
            session.execute(update(Benchmark).values(kind=BoardKind.IMPORTED))
        with pytest.raises(NotFound, match="come without examples") as caught:
            find("acme/a", "acme/b", board=slug)
        assert caught.value.code == "no_examples"

    def test_an_unknown_part_names_those_there_are(self, of_kind: Callable[[str], Matchup]) -> None:
        with pytest.raises(NotFound, match=r"has no part 'dev'.*Parts: test\."):
            of_kind("STS").cell("dev")


class TestOutcomes:
    def test_counts(self) -> None:
        found = values([1.0, 0.5, 0.0, 0.3], [0.5, 1.0, 0.0, 0.3 + 1e-13])
        assert {outcome.value: count for outcome, count in found.counts().items()} == {
            "all": 4,
            "improved": 1,
            "worse": 1,
            "unchanged": 2,
            "failed": 1,
        }

    def test_nothing_fails_where_zero_means_nothing(self) -> None:
        assert Outcome.FAILED not in values([0.0], [0.0], can_fail=False).counts()

    @pytest.mark.parametrize(
        ("sort", "expected"),
        [
            ("difference", [1, 0, 3, 2]),
            ("-difference", [2, 0, 3, 1]),
            ("a", [1, 0, 3, 2]),
            ("-b", [1, 0, 3, 2]),
            ("place", [0, 1, 2, 3]),
        ],
    )
    def test_orders_with_ties_in_the_order_of_the_dataset(self, sort: str, expected: list[int]) -> None:
        found = values([0.5, 0.0, 1.0, 0.5], [0.5, 1.0, 0.0, 0.5])
        assert order(found, ExampleLook(sort=sort), None).tolist() == expected

    def test_a_look_leaves_others_out(self) -> None:
        found = values([0.5, 0.0, 1.0], [0.5, 1.0, 0.0])
        assert order(found, ExampleLook(Outcome.WORSE), None).tolist() == [1]
        assert order(found, ExampleLook(), 1).tolist() == []

    def test_a_look_from_an_address_and_back(self) -> None:
        look = parse_look({"only": "worse", "cell": "test:de", "sort": "-a", "page": "2"})
        assert look == ExampleLook(Outcome.WORSE, "test:de", "-a")
        assert look.query(sort="difference") == {"only": "worse", "cell": "test:de"}
        assert parse_look({}) == ExampleLook()

    @pytest.mark.parametrize("query", [{"only": "best"}, {"sort": "size"}])
    def test_an_unknown_look(self, query: dict[str, str]) -> None:
        with pytest.raises(Invalid, match="Choose one of"):
            parse_look(query)


class TestRows:
    def facts(self, matchup: Matchup, *, may_see: bool = True) -> list[dict[str, object]]:
        found = examples_of(matchup)
        made = rows(matchup, found, list(range(len(found))), may_see=may_see)
        return [as_dict(row, columns_of(matchup, may_see))["facts"] for row in made]

    def test_retrieval(self, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("Retrieval")
        found = examples_of(matchup)
        assert (found.place.tolist(), found.a.tolist(), found.b.tolist()) == ([0, 2], [1.0, 0.0], [0.5, 0.75])
        assert [(row.id, row.texts) for row in rows(matchup, found, [1, 0], may_see=True)] == [
            ("q2", (f"{SECRET} query 2",)),
            ("q0", (f"{SECRET} query 0",)),
        ]
        assert self.facts(matchup) == [
            {"first_relevant_a": 1, "first_relevant_b": 2},
            {"first_relevant_a": None, "first_relevant_b": 1},
        ]
        assert number_of(found, 0, 1) is None

    def test_first_ranks_leave_out_what_is_not_ranked(self, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("Retrieval")
        assert first_ranks(matchup.cells[0].a, matchup.path, ONE) == {0: 1}

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("InstructionReranking", {"changed": 1}),
            ("STS", {"gold": 0.0, "similarity_a": 0.0, "similarity_b": pytest.approx(0.9)}),
            (
                "PairClassification",
                {"label": 1, "similarity_a": pytest.approx(0.9), "similarity_b": pytest.approx(0.1)},
            ),
            ("Regression", {"gold": 0.0, "predicted_a": pytest.approx(0.1), "predicted_b": 3.0}),
            ("Classification", {"label": f"{SECRET} blue", "predicted_a": f"{SECRET} blue", "predicted_b": None}),
            ("MultilabelClassification", {"labels": ""}),
            ("Summarization", {}),
        ],
    )
    def test_what_a_task_type_adds(
        self, of_kind: Callable[[str], Matchup], kind: str, expected: dict[str, object]
    ) -> None:
        assert self.facts(of_kind(kind))[0] == expected

    def test_translations(self, of_kind: Callable[[str], Matchup]) -> None:
        facts = self.facts(of_kind("BitextMining"))
        assert len(facts) == 6
        assert (facts[1]["found_a"], facts[1]["found_b"]) == (1, 2)
        assert facts[1]["found_text_b"] == f"{SECRET} eng-deu second 2"

    def test_labels_that_may_not_be_seen_are_numbered(self, of_kind: Callable[[str], Matchup]) -> None:
        facts = self.facts(of_kind("Classification"), may_see=False)
        assert [one["label"] for one in facts] == ["label 1", "label 2", "label 3", "label 1"]
        assert facts[1]["predicted_a"] in {"label 1", "label 2"}

    def test_the_text_of_a_changed_instruction_is_the_original_query(self, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("InstructionReranking")
        (row,) = rows(matchup, examples_of(matchup), [0], may_see=True)
        assert (row.id, row.texts) == ("x", (f"{SECRET} query {SECRET} og",))

    def test_without_the_dataset_numbers_stay(self, world: ExampleWorld, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("STS")
        world.drop_dataset_file()
        found = examples_of(matchup)
        with pytest.raises(NotFound, match="texts of this dataset is missing") as caught:
            rows(matchup, found, [0], may_see=True)
        assert caught.value.code == "dataset_missing"
        (row,) = bare_rows(matchup, found, [0])
        assert (row.place, row.a, row.texts) == (0, float(found.a[0]), None)

    def test_without_evidence(self, world: ExampleWorld, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("STS")
        world.drop_evidence()
        with pytest.raises(NotFound) as caught:
            examples_of(matchup)
        assert caught.value.code == "evidence_missing"


class TestCsv:
    def table(self, matchup: Matchup, *, may_see: bool = True) -> list[dict[str, str]]:
        found = examples_of(matchup)
        parts = csv_parts(matchup, found, order(found, ExampleLook(), None), may_see=may_see)
        return list(csv.DictReader(io.StringIO("".join(parts))))

    def test_every_example_with_numbers_as_numbers(self, of_kind: Callable[[str], Matchup]) -> None:
        table = self.table(of_kind("Retrieval"))
        assert [row["id"] for row in table] == ["q2", "q0"]
        assert table[0]["difference"] == "-0.75"
        assert (table[0]["first_relevant_a"], table[0]["first_relevant_b"]) == ("", "1")

    def test_text_never_begins_like_a_formula(self, world: ExampleWorld, find: Find) -> None:
        pairs = tuple(SentencePair(f"=1+{n}", f"@sum\nof {n}", float(n)) for n in range(4))
        world.publish("house", "STS", {ONE: StsData(pairs)})
        for name, cells in (("acme/a", KINDS["STS"].a), ("acme/b", KINDS["STS"].b)):
            world.result(world.model(name), "house", cells)
        table = self.table(find())
        assert {row["text"] for row in table} == {f"'=1+{n}" for n in range(4)}
        assert {row["second_text"] for row in table} == {f"'@sum\nof {n}" for n in range(4)}

    def test_many_examples_are_made_in_parts(self, world: ExampleWorld, find: Find) -> None:
        n = 1_201
        texts = tuple(LabelledText(f"text {place}", "x") for place in range(n))
        world.publish("house", "Classification", {ONE: ClassificationData(texts[:1], texts)})
        for name, correct in (("acme/a", np.ones(n, np.float32)), ("acme/b", np.zeros(n, np.float32))):
            world.result(world.model(name), "house", {ONE: {"correct": correct}})
        table = self.table(find())
        assert [row["text"] for row in table] == [text.text for text in texts]

    def test_no_text_for_who_may_not_see_any(self, of_kind: Callable[[str], Matchup]) -> None:
        table = self.table(of_kind("BitextMining"), may_see=False)
        assert not {"text", "second_text", "found_text_a"} & table[0].keys()
        assert SECRET not in repr(table)

    def test_a_missing_file_is_told_before_the_first_line(
        self, world: ExampleWorld, of_kind: Callable[[str], Matchup]
    ) -> None:
        matchup = of_kind("STS")
        world.drop_dataset_file()
        with pytest.raises(NotFound):
            csv_parts(matchup, examples_of(matchup), np.arange(1), may_see=True)


class TestOneExample:
    def test_two_rankings_with_moves_and_relevant_documents(self, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("Retrieval")
        found = detail(matchup, matchup.cells[0], 2, may_see=True)
        assert isinstance(found, QueryDetail)
        (query,) = found.queries
        assert [(one.id, one.grade, one.ranks) for one in query.relevant] == [
            ("d3", 1, (None, 1)),
            ("d1", 1, (None, 2)),
        ]
        a, b = query.rankings
        assert [(one.rank, one.id, one.move) for one in a] == [(1, "d0", 2), (2, "d2", None)]
        assert [(one.rank, one.id, one.grade, one.move) for one in b] == [
            (1, "d3", 1, None),
            (2, "d1", 1, None),
            (3, "d0", 0, -2),
        ]
        assert b[0].text is not None
        assert b[0].text.startswith("title 3 <script>")
        assert query.kept == (2, 3)

    def test_only_the_first_documents(self, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("Reranking")
        found = detail(matchup, matchup.cells[0], 0, may_see=True, shown=1)
        assert isinstance(found, QueryDetail)
        assert [[one.id for one in ranking] for ranking in found.queries[0].rankings] == [["d2"], ["d0"]]
        assert [(one.id, one.ranks) for one in found.queries[0].relevant] == [("d2", (1, 2))]

    def test_a_changed_instruction(self, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("InstructionReranking")
        for may_see, ids in ((True, ["x-og", "x-changed"]), (False, ["query 1", "query 0"])):
            found = detail(matchup, matchup.cells[0], 0, may_see=may_see)
            assert isinstance(found, QueryDetail)
            assert [query.id for query in found.queries] == ids
            (changed,) = found.changed
            assert (changed.id, changed.a, changed.b) == ("d0" if may_see else "document 0", (1, 2), (2, 1))
            assert (changed.text is None) == (not may_see)

    def test_a_pair_with_its_ranks(self, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("STS")
        found = detail(matchup, matchup.cells[0], 0, may_see=True)
        assert isinstance(found, NumberDetail)
        assert (found.gold.rank, [one.rank for one in found.found], found.examples) == (1, [1, 4], 4)
        assert found.texts == (f"{SECRET} first 0", f"{SECRET} second 0")

    def test_what_was_predicted_and_how_often(self, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("Classification")
        found = detail(matchup, matchup.cells[0], 1, may_see=True)
        assert isinstance(found, LabelDetail)
        assert found.labels == (f"{SECRET} green",)
        assert found.guesses == (((f"{SECRET} green", 1), (f"{SECRET} blue", 1)), None)
        assert found.correct == (0.5, 0.5)

    def test_a_wrong_neighbour(self, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("BitextMining")
        found = detail(matchup, matchup.cells[0], 2, may_see=True)
        assert isinstance(found, TranslationDetail)
        assert [(one.place, one.correct) for one in found.found] == [(1, False), (2, True)]
        assert found.found[0].text == f"{SECRET} eng-deu second 1"

    def test_summaries(self, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("Summarization")
        found = detail(matchup, matchup.cells[0], 1, may_see=True)
        assert isinstance(found, SummaryDetail)
        assert [one.gold for one in found.summaries] == [5.0, 3.0, 1.0]
        near = [value for one in found.summaries for value in one.similarity]
        assert near == pytest.approx([0.9, 0.9, 0.1, 0.5, 0.5, 0.1])

    @pytest.mark.parametrize("kind", sorted(KINDS))
    def test_no_such_example(self, of_kind: Callable[[str], Matchup], kind: str) -> None:
        matchup = of_kind(kind)
        with pytest.raises(NotFound, match="has no example 99"):
            detail(matchup, matchup.cells[0], 99, may_see=True)

    def test_texts_that_runs_did_not_score(self, of_kind: Callable[[str], Matchup]) -> None:
        matchup = of_kind("MultilabelClassification")
        with pytest.raises(NotFound, match="has no example 1 "):
            detail(matchup, matchup.cells[0], 1, may_see=True)

    @pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"Clustering"}))
    @pytest.mark.parametrize("may_see", [True, False])
    def test_texts_only_for_who_may_see_them(self, of_kind: Callable[[str], Matchup], kind: str, may_see: bool) -> None:
        matchup = of_kind(kind)
        assert (SECRET in repr(detail(matchup, matchup.cells[0], 0, may_see=may_see))) is may_see


class TestOverviews:
    def seen(self, matchup: Matchup, *, may_see: bool = True) -> overviews.Overview | None:
        return overview(matchup, matchup.cells[0], may_see=may_see)

    def test_confusions_where_one_run_is_too_old_to_tell(self, of_kind: Callable[[str], Matchup]) -> None:
        found = self.seen(of_kind("Classification"))
        assert isinstance(found, overviews.ConfusionView)
        assert found.names == (f"{SECRET} blue", f"{SECRET} green", f"{SECRET} red")
        assert found.tables[0] is not None
        assert found.tables[0].tolist() == [[4, 0, 0], [1, 1, 0], [2, 0, 0]]
        assert found.tables[1] is None
        assert [(one.true, one.predicted, one.a, one.b) for one in found.worst] == [
            (f"{SECRET} red", f"{SECRET} blue", 2, None),
            (f"{SECRET} green", f"{SECRET} blue", 1, None),
        ]

    def test_thresholds_name_their_measure(self, of_kind: Callable[[str], Matchup]) -> None:
        found = self.seen(of_kind("PairClassification"))
        assert isinstance(found, overviews.CurveView)
        assert found.measures == ("cosine", "")
        assert found.curves[0].f1.max() == 1

    def test_the_worst_residuals(self, of_kind: Callable[[str], Matchup]) -> None:
        found = self.seen(of_kind("STS"))
        assert isinstance(found, overviews.PredictionView)
        assert [(one.place, one.shift) for one in found.worst[1]] == [(0, 3), (1, -1), (2, -1), (3, -1)]
        assert found.worst[1][0].text == f"{SECRET} first 0 {SECRET} second 0"

    def test_summaries_stand_at_their_text(self, of_kind: Callable[[str], Matchup]) -> None:
        found = self.seen(of_kind("Summarization"))
        assert isinstance(found, overviews.PredictionView)
        assert {one.place for one in found.worst[0]} == {0, 1}

    def test_clusters_with_topics_by_name(self, of_kind: Callable[[str], Matchup]) -> None:
        found = self.seen(of_kind("Clustering"))
        assert isinstance(found, overviews.ClusterView)
        ((title, a, b),) = found.levels
        assert (title, b) == ("", None)
        assert a is not None
        assert a.topics == (f"{SECRET} news", f"{SECRET} sport")
        assert [(row.size, row.counts) for row in a.rows] == [(9, (9, 0)), (3, (1, 2))]

    @pytest.mark.parametrize("kind", ["Classification", "Clustering", "STS", "Summarization", "Regression"])
    def test_nothing_of_the_rows_for_who_may_not_see_them(self, of_kind: Callable[[str], Matchup], kind: str) -> None:
        assert SECRET not in repr(self.seen(of_kind(kind), may_see=False))

    @pytest.mark.parametrize("kind", ["Retrieval", "BitextMining", "MultilabelClassification"])
    def test_none_for_the_others(self, of_kind: Callable[[str], Matchup], kind: str) -> None:
        assert self.seen(of_kind(kind)) is None


def test_a_file_that_is_no_dataset(world: ExampleWorld, of_kind: Callable[[str], Matchup]) -> None:
    matchup = of_kind("STS")
    Path(matchup.path).write_bytes(b"broken")
    with pytest.raises(NotFound, match="missing from this server's data folder, or damaged"):
        detail(matchup, matchup.cells[0], 0, may_see=True)


def test_parts_whose_names_hold_colons_have_keys_of_their_own() -> None:
    names = [("test", "de"), ("test:de", "default"), ("test", "d:e"), ("test:d", "e"), ("..", "default"), ("%2E", "x")]
    keys = [CellMatch(split, subset, None, None).key for split, subset in names]  # type: ignore[arg-type]
    assert len(set(keys)) == len(keys) and ".." not in keys
    assert keys[0] == "test:de"
