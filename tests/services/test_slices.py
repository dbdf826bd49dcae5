"""The same test by slice: which examples, which p, and where there is no verdict."""

from collections.abc import Callable

import numpy as np
import pytest

from app.core import records
from app.core.significance import FEW, benjamini_hochberg, compare
from app.core.verdicts import Verdict
from app.db.session import Database
from app.services.evidence import EvidenceReader
from app.services.examples.matchups import Matchup, find_matchup
from app.services.examples.slices import RESAMPLES, ComparedSlice, SliceTable, compare_slices
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests.example_world import ExampleWorld


@pytest.fixture
def world(database: Database, settings: Settings) -> ExampleWorld:
    return ExampleWorld(database, BlobStore(settings.blobs_dir))


@pytest.fixture
def find(world: ExampleWorld) -> Callable[[], Matchup]:
    """The matchup of the two models of the house."""

    def found() -> Matchup:
        with world.database.reading() as session:
            return find_matchup(session, EvidenceReader(world.blobs), world.blobs, "house", ["1", "2"])

    return found


def by_name(table: SliceTable, group: str) -> dict[str, ComparedSlice]:
    return {row.name: row for row in table.rows if row.group == group}


def retrieval(n: int, split: str = "test") -> records.RetrievalData:
    """The first n / 3 queries have a number, the next ones are short, the last ones long."""
    texts = [f"room {place} is" if place < n // 3 else "x" * (3 if place < 2 * n // 3 else 90) for place in range(n)]
    queries = tuple(records.Query(f"{split}{place}", text) for place, text in enumerate(texts))
    return records.RetrievalData(queries, (records.Document("d", "d"),), {query.id: {"d": 1} for query in queries})


def kept(value: np.ndarray, source: np.ndarray | None = None) -> dict[str, np.ndarray]:
    n = len(value)
    arrays = {
        "query": np.arange(n, dtype=np.int32),
        "value": value,
        "ranking": np.zeros((n, 1), np.int32),
        "ranking_scores": np.zeros((n, 1), np.float32),
    }
    return arrays if source is None else {**arrays, "source": source.astype(np.int32)}


def better_where_numbers_are(world: ExampleWorld, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A beats B on queries with a number, and is as good elsewhere."""
    generator = np.random.default_rng(3)
    b = generator.uniform(0.2, 0.6, n)
    a = b + generator.normal(0, 0.01, n) + np.where(np.arange(n) < n // 3, 0.3, 0)
    cell = ("test", "default")
    world.publish("house", "Retrieval", {cell: retrieval(n)})
    for name, value in (("acme/a", a), ("acme/b", b)):
        world.result(world.model(name), "house", {cell: kept(value)}, float(value.mean()))
    return a, b


def test_a_slice_is_compared_as_its_examples_alone(world: ExampleWorld, find: Callable[[], Matchup]) -> None:
    a, b = better_where_numbers_are(world, 180)
    table = compare_slices(find())
    row = by_name(table, "Numbers")["contains a number"]
    alone = compare(a[:60], b[:60], resamples=RESAMPLES)
    assert row.examples == 60
    assert (row.a, row.b) == pytest.approx((a[:60].mean(), b[:60].mean()))
    found = row.judgement.difference
    assert (found.value, found.interval.low, found.interval.high) == pytest.approx(
        (alone.value, alone.interval.low, alone.interval.high)
    )
    assert (found.p, found.wins, found.ties, found.losses) == (alone.p, alone.wins, alone.ties, alone.losses)
    assert row.judgement.verdict is Verdict.BETTER
    assert by_name(table, "Numbers")["contains none"].judgement.verdict is Verdict.EQUAL


def test_p_is_adjusted_over_all_slices_with_enough_examples(world: ExampleWorld, find: Callable[[], Matchup]) -> None:
    better_where_numbers_are(world, 180)
    table = compare_slices(find())
    judged = [row for row in table.rows if row.decided]
    assert table.judged == len(judged) == len(table.rows)
    expected = benjamini_hochberg([row.judgement.difference.p for row in judged])
    assert [row.judgement.p for row in judged] == expected.tolist()
    assert all(row.judgement.adjusted for row in judged)


def test_a_slice_of_few_examples_has_no_verdict_and_no_part_in_the_adjustment(
    world: ExampleWorld, find: Callable[[], Matchup]
) -> None:
    better_where_numbers_are(world, 3 * (FEW - 1))
    table = compare_slices(find())
    few = by_name(table, "Numbers")["contains a number"]
    assert (few.examples, few.decided, few.judgement.adjusted) == (FEW - 1, False, False)
    assert few.judgement.verdict is Verdict.TOO_FEW
    assert table.judged == sum(row.decided for row in table.rows) == 1


def test_queries_of_one_document_count_once(world: ExampleWorld, find: Callable[[], Matchup]) -> None:
    n, cell = 120, ("test", "default")
    generator = np.random.default_rng(4)
    world.publish("house", "Retrieval", {cell: retrieval(n)})
    for name in ("acme/a", "acme/b"):
        arrays = kept(generator.uniform(0, 1, n), source=np.arange(n) // 2)
        world.result(world.model(name), "house", {cell: arrays})
    row = by_name(compare_slices(find()), "Numbers")["contains a number"]
    assert (row.examples, row.judgement.difference.interval.n, row.decided) == (40, 20, False)


def test_each_cell_counts_as_much_as_another(world: ExampleWorld, find: Callable[[], Matchup]) -> None:
    small, large = ("dev", "default"), ("test", "default")
    world.publish("house", "Retrieval", {small: retrieval(60, "dev"), large: retrieval(300)})
    for name, low, high in (("acme/a", 0.5, 0.2), ("acme/b", 0.1, 0.4)):
        cells = {small: kept(np.full(60, low)), large: kept(np.full(300, high))}
        world.result(world.model(name), "house", cells)
    table = compare_slices(find())
    assert {name: row.examples for name, row in by_name(table, "Part").items()} == {"dev": 60, "test": 300}
    row = by_name(table, "Numbers")["contains none"]
    assert (row.a, row.b) == pytest.approx((0.35, 0.25))
    assert row.judgement.difference.value == pytest.approx(0.1)


def test_the_datasets_margin_decides_what_is_equal(world: ExampleWorld, find: Callable[[], Matchup]) -> None:
    better_where_numbers_are(world, 180)
    matchup = find()
    strict = Matchup(matchup.dataset, matchup.board, 0.0, matchup.sides, matchup.path, matchup.cells)
    verdicts = [by_name(compare_slices(one), "Numbers")["contains none"].judgement.verdict for one in (matchup, strict)]
    assert verdicts[0] is Verdict.EQUAL
    assert verdicts[1] is not Verdict.EQUAL


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("STS", "computed from all examples together"),
        ("PairClassification", "computed from all examples together"),
        ("Regression", "computed from all examples together"),
        ("Clustering", "no sum over texts"),
        ("InstructionReranking", "do not differ"),
    ],
)
def test_where_there_are_no_slices_it_says_why(
    world: ExampleWorld, find: Callable[[], Matchup], kind: str, why: str
) -> None:
    world.of_kind(kind)
    table = compare_slices(find())
    assert table.rows == ()
    assert why in table.why_not


def test_labels_are_slices_of_classification(world: ExampleWorld, find: Callable[[], Matchup]) -> None:
    world.of_kind("Classification")
    rows = [row for row in compare_slices(find()).rows if row.group == "Label"]
    assert [(row.label, row.examples, row.name) for row in rows] == [(0, 2, ""), (1, 1, ""), (2, 1, "")]
