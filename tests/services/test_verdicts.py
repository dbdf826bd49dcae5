"""Verdicts of a board's models from what runs kept, against scipy and by hand."""

import math
from collections.abc import Sequence
from threading import Thread

import numpy as np
import pytest
from scipy import stats
from sqlalchemy import update

from app.core.verdicts import Verdict
from app.db.session import Database
from app.db.tables import Dataset
from app.services import benchmarks, paired_runs
from app.services.boards import load_board
from app.services.evidence import EvidenceReader
from app.services.verdicts import CLUSTERING, VerdictKeeper, Verdicts
from app.settings import Settings
from tests.verdict_world import ONLY, VerdictWorld

RNG = np.random.default_rng(7)


@pytest.fixture
def world(database: Database, settings: Settings) -> VerdictWorld:
    return VerdictWorld(database, settings)


@pytest.fixture
def keeper(world: VerdictWorld) -> VerdictKeeper:
    return VerdictKeeper(EvidenceReader(world.blobs))


def verdicts(
    world: VerdictWorld, keeper: VerdictKeeper, slug: str, names: Sequence[str], columns: Sequence[int] | None = None
) -> Verdicts:
    """Of these models, by name."""
    with world.database.reading() as session:
        board = load_board(session, benchmarks.by_slug(session, slug))
        places = [[model.name for model in board.models].index(name) for name in names]
        found = keeper.of(session, board, places, columns)
    assert found is not None
    return found


def models(world: VerdictWorld, count: int) -> list[int]:
    return [world.model(f"acme/m{number}") for number in range(count)]


class TestAgainstScipy:
    def test_a_mean_is_tested_by_flipping_signs(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        world.dataset("a", "Retrieval")
        first, second = models(world, 2)
        x = RNG.random(120)
        y = np.clip(x - RNG.normal(0.03, 0.15, 120), 0, 1)
        world.queries(first, "a", x)
        world.queries(second, "a", y)
        (pair,) = verdicts(world, keeper, world.board("a"), ["acme/m0", "acme/m1"]).pairs
        (row,) = pair.datasets
        assert row.judgement and pair.board
        found = row.judgement.difference
        oracle = stats.permutation_test(
            (x, y),
            lambda a, b: np.mean(a - b),
            permutation_type="samples",
            n_resamples=20_000,
            rng=np.random.default_rng(0),
        )
        assert found.value == pytest.approx(float(np.mean(x - y)), abs=1e-9)
        assert found.p == pytest.approx(float(oracle.pvalue), abs=0.015)
        assert found.p_t == pytest.approx(float(stats.ttest_rel(x, y).pvalue), rel=1e-6)
        assert (found.wins, found.ties, found.losses) == ((x > y).sum(), (x == y).sum(), (x < y).sum())
        assert found.interval.n == 120
        low, high = stats.bootstrap(
            (x - y,), np.mean, n_resamples=10_000, method="percentile", rng=1
        ).confidence_interval
        assert (found.interval.low, found.interval.high) == (
            pytest.approx(low, abs=0.004),
            pytest.approx(high, abs=0.004),
        )
        assert pair.board.difference == found  # a board of one dataset

    def test_spearman_is_computed_again_on_every_resample(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        world.dataset("a", "STS")
        first, second = models(world, 2)
        gold = RNG.random(150)
        x, y = gold + RNG.normal(0, 0.2, 150), gold + RNG.normal(0, 0.5, 150)
        world.sts(first, "a", x, gold)
        world.sts(second, "a", 100 * y, gold)  # on a scale of its own
        (pair,) = verdicts(world, keeper, world.board("a"), ["acme/m0", "acme/m1"]).pairs
        judgement = pair.datasets[0].judgement
        assert judgement
        found = judgement.difference

        def difference(i: np.ndarray) -> float:
            return float(stats.spearmanr(x[i], gold[i])[0] - stats.spearmanr(y[i], gold[i])[0])

        samples = [difference(np.random.default_rng(number).integers(0, 150, 150)) for number in range(1_000)]
        low, high = np.quantile(samples, [0.025, 0.975])
        assert found.value == pytest.approx(difference(np.arange(150)), abs=1e-9)
        assert found.interval.low == pytest.approx(low, abs=0.03)
        assert found.interval.high == pytest.approx(high, abs=0.03)
        assert (found.wins, judgement.verdict) == (None, Verdict.BETTER)

    def test_average_precision_likewise(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        world.dataset("a", "PairClassification")
        first, second = models(world, 2)
        label = (RNG.random(150) < 0.4).astype(int)
        x, y = label + RNG.normal(0, 0.4, 150), label + RNG.normal(0, 1.2, 150)
        world.pairs(first, "a", x, label)
        world.pairs(second, "a", y, label)
        judgement = verdicts(world, keeper, world.board("a"), ["acme/m0", "acme/m1"]).pairs[0].datasets[0].judgement
        assert judgement
        found = judgement.difference
        assert found.interval.low < found.value < found.interval.high
        assert (judgement.verdict, found.ties, found.p) == (Verdict.BETTER, None, pytest.approx(1 / 10_001))

    def test_what_a_run_kept_of_another_measure_is_moved_to_its_score(
        self, world: VerdictWorld, keeper: VerdictKeeper
    ) -> None:
        world.dataset("a", "PairClassification")
        first, second = models(world, 2)
        label = (RNG.random(80) < 0.5).astype(int)
        similarity = label + RNG.normal(0, 1, 80)
        for model, score in ((first, 0.9), (second, 0.5)):
            world.kept(model, "a", {ONLY: (score, {"similarity": similarity, "label": label})})
        judgement = verdicts(world, keeper, world.board("a"), ["acme/m0", "acme/m1"]).pairs[0].datasets[0].judgement
        assert judgement
        found = judgement.difference
        assert (found.value, found.interval.low, found.interval.high) == pytest.approx((0.4, 0.4, 0.4))

    def test_holm_counts_the_models_beside_the_baseline(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        world.dataset("a", "Retrieval")
        values = RNG.random(100)
        for number, model in enumerate(models(world, 4)):
            world.queries(model, "a", values + (RNG.normal(0.02 * number, 0.1, 100) if number else 0))
        found = verdicts(world, keeper, world.board("a"), [f"acme/m{number}" for number in range(4)])
        judgements = [pair.datasets[0].judgement for pair in found.pairs]
        raw = [judgement.difference.p for judgement in judgements if judgement]
        smallest, middle, largest = sorted(raw)
        steps = [3 * smallest, max(3 * smallest, 2 * middle), max(3 * smallest, 2 * middle, largest)]
        adjusted = [min(1.0, steps[sorted(raw).index(p)]) for p in raw]
        assert [judgement.p for judgement in judgements if judgement] == pytest.approx(adjusted)
        assert all(judgement.adjusted for judgement in judgements if judgement)
        assert [pair.board.p for pair in found.pairs if pair.board] == pytest.approx(adjusted)

    def test_all_pairs_share_examples_and_one_distribution(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        world.dataset("a", "Retrieval")
        world.dataset("b", "Classification")
        world.dataset("c", "Retrieval")  # the third model has no run there
        base = RNG.random(90)
        third = models(world, 3)
        for number, model in enumerate(third):
            world.queries(model, "a", base + 0.2 * (number == 0) + RNG.normal(0, 0.1, 90))
            world.texts(model, "b", {ONLY: base})
        for model in third[:2]:
            world.queries(model, "c", base)
        found = verdicts(world, keeper, world.board("a", "b", "c"), ["acme/m0", "acme/m1", "acme/m2"]).all_pairs
        assert found
        assert (found.datasets, found.n, found.p.shape) == (2, 180, (3, 3))
        assert found.p[0, 1] < 0.01 > found.p[0, 2]
        assert found.p[1, 2] > 0.05
        assert found.means[0] - found.means[1] == pytest.approx(0.1, abs=0.02)


class TestWhatIsCompared:
    def test_few_examples(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        first, second = models(world, 2)
        for slug, n in (("a", 29), ("b", 30), ("c", 49), ("d", 50)):
            world.dataset(slug, "Retrieval")
            world.queries(first, slug, np.ones(n))
            world.queries(second, slug, np.r_[np.zeros(n - 1), 1.0])
        (pair,) = verdicts(world, keeper, world.board("a", "b", "c", "d"), ["acme/m0", "acme/m1"]).pairs
        judged = [row.judgement for row in pair.datasets if row.judgement]
        assert [one.verdict for one in judged] == [Verdict.TOO_FEW, Verdict.BETTER, Verdict.BETTER, Verdict.BETTER]
        assert [one.indicative for one in judged] == [False, True, True, False]
        assert (pair.count(Verdict.BETTER), pair.tested) == (3, 4)
        assert pair.board and pair.board.difference.interval.n == 29 + 30 + 49 + 50

    def test_the_margin_of_today_changes_the_verdict(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        slug = world.two(0.0, noise=0.05)
        names = ["acme/new", "acme/old"]

        def verdict() -> tuple[Verdict, float]:
            (pair,) = verdicts(world, keeper, slug, names).pairs
            assert pair.datasets[0].judgement and pair.board
            assert pair.board.verdict == pair.datasets[0].judgement.verdict
            return pair.board.verdict, pair.margin

        found = []
        for margin in (None, 0.0, 0.5):
            with world.database.session() as session:
                session.execute(update(Dataset).values(margin=margin))
            found.append(verdict())
        assert found == [(Verdict.EQUAL, 0.01), (Verdict.UNCLEAR, 0.0), (Verdict.EQUAL, 0.5)]

    def test_clustering_has_no_test_and_says_so(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        world.dataset("a", "Clustering")
        first, second = models(world, 2)
        world.draws(first, "a", [0.4, 0.6, 0.1, 0.1], [0, 0, 1, 1])
        world.draws(second, "a", [0.3, 0.3, 0.3, 0.3], [0, 0, 1, 1])
        (pair,) = verdicts(world, keeper, world.board("a"), ["acme/m0", "acme/m1"]).pairs
        (row,) = pair.datasets
        assert (row.judgement, row.why, row.lost, pair.board) == (None, CLUSTERING, False, None)
        assert row.draws == (pytest.approx(math.sqrt(0.005), abs=1e-6), pytest.approx(0, abs=1e-7))

    def test_a_dataset_that_only_one_has(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        slug = world.two()
        world.dataset("b", "Retrieval")
        world.queries(1, "b", np.ones(40))
        with world.database.session() as session:
            benchmarks.edit(session, world.person, slug, dataset_slugs=["articles", "b"])
        (pair,) = verdicts(world, keeper, slug, ["acme/new", "acme/old"]).pairs
        assert [row.why for row in pair.datasets] == ["", "acme/old has no result here."]
        assert (pair.datasets[1].lacking, pair.tested) == ((1,), 1)
        (alone,) = verdicts(world, keeper, slug, ["acme/new", "acme/old"], [1]).pairs
        assert (alone.board, len(alone.datasets)) == (None, 1)

    def test_cells_that_both_have(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        world.dataset("a", "Classification")
        first, second = models(world, 2)
        eng, deu = ("test", "eng"), ("test", "deu")
        world.texts(first, "a", {eng: np.ones(60), deu: np.ones(20)})
        world.texts(second, "a", {eng: np.full(60, 0.5), deu: np.full(20, 0.7)})
        third = world.model("acme/m2")
        world.texts(third, "a", {eng: np.full(60, 0.9)})
        slug = world.board("a")
        (row,) = verdicts(world, keeper, slug, ["acme/m0", "acme/m1"]).pairs[0].datasets
        assert row.judgement and row.parts == (2, 2)
        assert row.judgement.difference.value == pytest.approx((0.5 + 0.3) / 2)  # a cell counts as much as another
        (row,) = verdicts(world, keeper, slug, ["acme/m0", "acme/m2"]).pairs[0].datasets
        assert row.judgement and row.parts == (1, 2)
        assert row.judgement.difference.value == pytest.approx(0.1)

    def test_queries_of_one_document_count_once(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        world.dataset("a", "Retrieval")
        first, second = models(world, 2)
        sources = np.repeat(np.arange(40), 3)
        world.queries(first, "a", np.repeat(RNG.random(40), 3), sources=sources)
        world.queries(second, "a", np.repeat(RNG.random(40), 3), sources=sources)
        (row,) = verdicts(world, keeper, world.board("a"), ["acme/m0", "acme/m1"]).pairs[0].datasets
        assert row.judgement and row.judgement.difference.interval.n == 40
        assert row.judgement.indicative

    def test_the_board_weighs_datasets_alike(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        first, second = models(world, 2)
        for slug, n, gained in (("a", 400, 0.0), ("b", 40, 0.4)):
            world.dataset(slug, "Retrieval")
            values = RNG.random(n)
            world.queries(second, slug, values)
            world.queries(first, slug, values + gained + RNG.normal(0, 0.01, n))
        (pair,) = verdicts(world, keeper, world.board("a", "b"), ["acme/m0", "acme/m1"]).pairs
        assert pair.board and pair.board.difference.value == pytest.approx(0.2, abs=0.01)

    def test_a_part_with_one_example_stays_out_of_the_board(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        slug = world.two()
        world.dataset("tiny", "Retrieval")
        for model in (1, 2):
            world.queries(model, "tiny", [1.0])
        with world.database.session() as session:
            benchmarks.edit(session, world.person, slug, dataset_slugs=["articles", "tiny"])
        (pair,) = verdicts(world, keeper, slug, ["acme/new", "acme/old"]).pairs
        tiny = pair.datasets[1].judgement
        assert tiny and (tiny.verdict, pair.tested) == (Verdict.TOO_FEW, 1)
        assert pair.board and pair.board.difference.interval.n == 200

    def test_the_histogram_counts_ties_apart(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        world.dataset("a", "Retrieval")
        first, second = models(world, 2)
        world.queries(first, "a", [1.0] * 3 + [0.5] * 30)
        world.queries(second, "a", [0.0] * 2 + [0.88] + [0.5] * 30)
        histogram = verdicts(world, keeper, world.board("a"), ["acme/m0", "acme/m1"]).pairs[0].datasets[0].histogram
        assert histogram and (histogram.widest, histogram.ties) == (1.0, 30)
        assert {place: count for place, count in enumerate(histogram.counts) if count} == {22: 1, 39: 2}


class TestKeeping:
    def test_found_once_and_kept(
        self, world: VerdictWorld, keeper: VerdictKeeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slug = world.two()
        found = verdicts(world, keeper, slug, ["acme/new", "acme/old"])
        assert found.final

        def fail(*_: object) -> None:
            raise AssertionError("computed again")

        monkeypatch.setattr("app.services.verdicts.compare_runs", fail)
        again = verdicts(world, keeper, slug, ["acme/new", "acme/old"])
        assert again.pairs == found.pairs
        with world.database.reading() as session:
            board = load_board(session, benchmarks.by_slug(session, slug))
        assert keeper.kept(board, (0, 1)) is not None
        assert keeper.kept(board, (1, 0)) is None

    def test_a_newer_run_is_tested_anew(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        slug = world.two(0.1)
        before = verdicts(world, keeper, slug, ["acme/new", "acme/old"]).pairs[0].board
        world.queries(1, "articles", np.zeros(200))
        after = verdicts(world, keeper, slug, ["acme/new", "acme/old"]).pairs[0].board
        assert before and after
        assert (before.verdict, after.verdict) == (Verdict.BETTER, Verdict.WORSE)

    def test_a_missing_file_is_said_and_not_kept(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        slug = world.two()
        path = next(iter(world.blobs.stored())).sha256
        content = world.blobs.path(path).read_bytes()
        world.blobs.delete(path)
        found = verdicts(world, keeper, slug, ["acme/new", "acme/old"])
        (row,) = found.pairs[0].datasets
        assert (row.judgement, row.lost, found.final) == (None, True, False)
        assert "missing from this server's data folder" in row.why
        world.blobs.path(path).write_bytes(content)  # restored
        assert verdicts(world, keeper, slug, ["acme/new", "acme/old"]).final

    def test_runs_without_evidence(self, world: VerdictWorld, keeper: VerdictKeeper) -> None:
        world.dataset("a", "Retrieval")
        for model in models(world, 2):
            world.run(model, "a", 0.5)
        found = verdicts(world, keeper, world.board("a"), ["acme/m0", "acme/m1"])
        (row,) = found.pairs[0].datasets
        assert row.why == "The two runs kept no values of the same examples. Queue them again."
        assert (row.lost, found.pairs[0].board) == (True, None)

    def test_who_does_not_wait_is_told_that_another_computes(
        self, world: VerdictWorld, keeper: VerdictKeeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slug = world.two()
        with world.database.reading() as session:
            board = load_board(session, benchmarks.by_slug(session, slug))
            told: list[Verdicts | None] = []

            def at_the_same_time(*pair: object) -> paired_runs.Outcome:
                other = Thread(target=lambda: told.append(keeper.of(session, board, (1, 0), wait=False)))
                other.start()
                other.join()
                return paired_runs.compare_runs(*pair)  # type: ignore[arg-type]

            monkeypatch.setattr("app.services.verdicts.compare_runs", at_the_same_time)
            assert keeper.of(session, board, (0, 1)) is not None
        assert told == [None]
