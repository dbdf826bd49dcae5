"""A board knows how sure it is once that was computed from exactly its state, and not before."""

from dataclasses import fields

import numpy as np
import pytest
from structlog.testing import capture_logs

from app.core.board_certainty import BoardCertainty
from app.core.resampling import percentiles, resampled_means, units_of
from app.core.verdicts import SIGNIFICANT
from app.db.queries.boards import Board
from app.db.session import Database
from app.db.tables import BoardCertaintyRow, Dataset
from app.services import benchmarks, certainty, imports
from app.services.boards import load_board
from app.services.evidence import EvidenceReader
from app.settings import Settings
from tests.verdict_world import VerdictWorld

pytestmark = pytest.mark.both_databases


@pytest.fixture
def world(database: Database, settings: Settings) -> VerdictWorld:
    return VerdictWorld(database, settings)


def board_of(world: VerdictWorld, slug: str) -> Board:
    with world.database.reading() as session:
        return load_board(session, benchmarks.by_slug(session, slug))


def computed(world: VerdictWorld, slug: str) -> BoardCertainty:
    """Compute and store, as a worker does; what the board then shows."""
    with world.database.reading() as session:
        benchmark = benchmarks.by_slug(session, slug)
        board = load_board(session, benchmark)
        found = certainty.compute(session, board, EvidenceReader(world.blobs))
    with world.database.session() as session:
        certainty.store(session, benchmark.id, certainty.inputs_of(board), found)
    shown = board_of(world, slug).certainty
    assert shown is not None
    return shown


def test_it_is_expected_then_there_then_expected_again(world: VerdictWorld) -> None:
    slug = world.two()
    assert board_of(world, slug).certainty_expected
    computed(world, slug)
    assert not board_of(world, slug).certainty_expected
    world.queries(world.model("acme/third"), "articles", np.random.default_rng(3).random(200))
    changed = board_of(world, slug)
    assert changed.certainty is None and changed.certainty_expected


def test_what_is_stored_is_read_as_it_was_computed(world: VerdictWorld) -> None:
    slug = world.two()
    with world.database.reading() as session:
        board = load_board(session, benchmarks.by_slug(session, slug))
        found = certainty.compute(session, board, EvidenceReader(world.blobs))
    shown = computed(world, slug)
    for field in fields(found):
        if field.name != "means":
            own, other = np.asarray(getattr(found, field.name)), np.asarray(getattr(shown, field.name))
            assert own == pytest.approx(other, abs=1e-7, nan_ok=True), field.name
    assert shown.means.keys() == found.means.keys() == {"mean_task", "mean_task_type", "type:Retrieval"}
    assert np.array(shown.means["mean_task"]) == pytest.approx(np.array(found.means["mean_task"]))


def test_intervals_are_those_of_the_kept_values(world: VerdictWorld) -> None:
    slug = world.two(0.1)
    shown = computed(world, slug)
    values = np.random.default_rng(0).random(200)
    gained = values + np.random.default_rng(1).normal(0.1, 0.2, 200)
    low, high = percentiles(resampled_means(units_of(np.column_stack([gained, values])), seed=(42, 0)))
    assert shown.low[:, 0] == pytest.approx(low) and shown.high[:, 0] == pytest.approx(high)
    assert shown.n.tolist() == [200] and shown.tested.tolist() == [True]
    assert shown.p[0, 1] < SIGNIFICANT and shown.tiers.tolist() == [1, 2]
    assert shown.best.tolist() == shown.worst.tolist() == [1, 2]


def test_a_run_whose_file_is_gone_is_left_out_and_the_log_says_so(world: VerdictWorld) -> None:
    slug = world.two()
    lost = world.queries(world.model("acme/lost"), "articles", np.random.default_rng(5).random(200))
    world.lose(lost)
    with capture_logs() as logs:
        shown = computed(world, slug)
    assert [entry["event"] for entry in logs] == ["values of a run cannot be read"]
    rows = {model.name: row for row, model in enumerate(board_of(world, slug).models)}
    assert np.isnan(shown.low[rows["acme/lost"]]).all() and shown.tiers[rows["acme/lost"]] == 0
    assert np.isfinite(shown.low[rows["acme/new"]]).all()
    assert not shown.best.any()  # ranks hang on a score whose values nobody knows


def test_clustering_spreads_but_is_not_tested(world: VerdictWorld) -> None:
    world.dataset("topics", "Clustering")
    world.dataset("articles", "Retrieval")
    generator = np.random.default_rng(0)
    for number in range(2):
        model = world.model(f"acme/{number}")
        world.draws(model, "topics", generator.random(10), [0] * 10)
        world.queries(model, "articles", generator.random(60))
    shown = computed(world, world.board("topics", "articles"))
    assert shown.tested.tolist() == [False, True] and shown.n.tolist() == [10, 60]
    assert np.isfinite(shown.low).all() and (shown.best > 0).all()
    assert np.isfinite(shown.means["mean_task"][0]).all()


def test_subsets_count_alike(world: VerdictWorld) -> None:
    world.dataset("tickets", "Classification")
    few, many = np.tile([0.0, 1.0], 30), np.tile([0.2, 0.4], 300)
    model = world.model("acme/one")
    world.texts(model, "tickets", {("test", "deu"): few, ("test", "eng"): many})
    shown = computed(world, world.board("tickets"))
    assert shown.n.tolist() == [660]
    assert shown.low[0, 0] < 0.4 < shown.high[0, 0]
    error = np.hypot(few.std() / 60**0.5, many.std() / 600**0.5) / 2
    assert shown.high[0, 0] - shown.low[0, 0] == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_a_board_without_results_expects_nothing(world: VerdictWorld) -> None:
    world.dataset("pairs")
    found = board_of(world, world.board("pairs"))
    assert found.certainty is None and not found.certainty_expected


def test_what_a_deleted_board_knew_goes_with_it(world: VerdictWorld) -> None:
    slug = world.two()
    computed(world, slug)
    with world.database.session() as session:
        benchmark_id = benchmarks.by_slug(session, slug).id
        imports.delete_board(session, world.blobs, world.person, slug)
    with world.database.session() as session:
        assert session.get(BoardCertaintyRow, benchmark_id) is None
        certainty.store(session, benchmark_id, "late", board_certainty_of_nothing())
        assert session.get(BoardCertaintyRow, benchmark_id) is None


def board_certainty_of_nothing() -> BoardCertainty:
    nothing, none = np.zeros((0, 0)), np.zeros(0, np.int64)
    return BoardCertainty(nothing, nothing, none, {}, none, none, none, nothing, np.zeros(0, np.bool_))


def test_a_margin_does_not_make_a_board_compute_again(world: VerdictWorld) -> None:
    slug = world.two()
    before = certainty.inputs_of(board_of(world, slug))
    with world.database.session() as session:
        session.execute(Dataset.__table__.update().values(margin=0.05))
    assert certainty.inputs_of(board_of(world, slug)) == before
    assert board_of(world, slug).columns[0].margin == 0.05


def test_levels_of_topics_are_no_spread(world: VerdictWorld) -> None:
    """Ten draws near 0.8 and ten near 0.3: the score is sure, though the levels differ."""
    world.dataset("topics", "Clustering")
    draws = np.r_[np.full(10, 0.8), np.full(10, 0.3)] + np.tile(np.linspace(-0.01, 0.01, 10), 2)
    world.draws(world.model("acme/one"), "topics", draws, [0] * 10 + [1] * 10)
    shown = computed(world, world.board("topics"))
    assert shown.high[0, 0] - shown.low[0, 0] < 0.02


def test_a_file_that_comes_back_is_counted(world: VerdictWorld) -> None:
    slug = world.two()
    lost = world.queries(world.model("acme/lost"), "articles", np.random.default_rng(5).random(200))
    board = board_of(world, slug)
    with world.database.reading() as session:
        ((cell,),) = EvidenceReader(world.blobs).cells(session, [lost]).values()
    kept = cell.path.read_bytes()
    world.lose(lost)
    shown = computed(world, slug)
    assert shown.unread.tolist() == [lost]
    reader = EvidenceReader(world.blobs)
    with world.database.reading() as session:
        assert not certainty.is_readable(session, shown.unread, reader)
    cell.path.write_bytes(kept)
    with world.database.reading() as session:
        assert certainty.is_readable(session, shown.unread, reader)
        assert not len(certainty.compute(session, board, reader).unread)
