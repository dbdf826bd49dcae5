"""Where a model stands: rank, means and percentile on boards of either kind, variants, ties, what is missing."""

import doctest
from typing import Any

import numpy as np
import pytest

from app.db.queries.models import boards_with
from app.db.session import Database
from app.db.tables import JobState
from app.services import imports, model_standings
from app.services.boards import load_board
from app.services.import_scope import ImportForm
from app.services.model_standings import BoardStanding, percentile, standings_of
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests.board_world import World
from tests.result_files import card, result, write


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def read(database: Database, name: str) -> tuple[BoardStanding, ...]:
    with database.reading() as session:
        return standings_of((load_board(session, one) for one in boards_with(session, name)), name)


def test_the_example() -> None:
    assert doctest.testmod(model_standings, extraglobs={"np": np}).failed == 0


@pytest.mark.parametrize(
    ("means", "row", "expected"),
    [
        ([0.9, 0.1, 0.2], 0, (100.0, 2)),
        ([0.9, 0.1, 0.2], 1, (0.0, 2)),
        ([0.1 + 0.2, 0.3, 0.3], 0, (50.0, 2)),
        ([0.5], 0, (None, 0)),
        ([np.nan, 0.5], 0, (None, 1)),
        ([0.5, np.nan], 0, (None, 0)),
    ],
)
def test_percentiles(means: list[float], row: int, expected: tuple[float | None, int]) -> None:
    assert percentile(np.array(means), row, np.ones(len(means), np.bool_)) == expected


def test_only_contenders_count() -> None:
    contenders = np.array([True, False, True])
    assert percentile(np.array([0.5, 0.9, 0.1]), 0, contenders) == (100.0, 1)
    assert contenders.tolist() == [True, False, True], "the argument stays as it was"


class TestOwnBoards:
    @pytest.mark.both_databases
    def test_rank_means_and_percentile_of_each_row_of_a_name(self, world: World, database: Database) -> None:
        slug = world.full()
        (board,) = read(database, "acme/strong")
        assert (board.slug, board.imported, board.ranked, board.datasets) == (slug, False, 3, 2)
        strong, small = board.rows
        assert (strong.rank, strong.zero_shot, strong.scored) == (1, 50, 2)
        assert strong.mean_task == strong.mean_task_type == pytest.approx(0.825)
        assert (small.model.chips, small.rank, small.mean_task, small.scored) == (("128 d",), 3, None, 1)
        sts, retrieval = strong.types
        assert (sts.title, sts.mean, sts.percentile, sts.others) == ("Semantic textual similarity", 0.9, 50.0, 2)
        assert (retrieval.mean, retrieval.percentile, retrieval.others) == (0.75, None, 0)
        assert board.row(small.model.key) == small and board.row("0") is None

    def test_each_dataset_has_its_run_or_what_became_of_it(self, world: World, database: Database) -> None:
        world.full()
        (board,) = read(database, "zeta/weak")
        sts, retrieval = (kind.datasets[0] for kind in board.rows[0].types)
        assert (sts.name, sts.href, sts.metric, sts.score, sts.mark) == (
            "pairs",
            "/datasets/pairs",
            "cosine_spearman",
            0.95,
            None,
        )
        assert sts.run_id > 0
        assert (retrieval.score, retrieval.run_id) == (None, 0)
        assert retrieval.mark is not None and retrieval.mark.reason == "The model is broken."

    def test_a_partial_dataset_has_a_run_but_no_score(self, world: World, database: Database) -> None:
        world.dataset("talk")
        world.run(world.model("acme/whole"), "talk", {("test", "en"): 0.5, ("test", "es"): 0.7})
        run = world.run(world.model("acme/part"), "talk", {("test", "en"): 0.5})
        world.board("talk")
        (board,) = read(database, "acme/part")
        (kind,) = board.rows[0].types
        assert (kind.mean, kind.percentile, kind.datasets[0].score, kind.datasets[0].run_id) == (None, None, None, run)

    @pytest.mark.both_databases
    def test_boards_without_a_result_of_the_model_are_left_out(self, world: World, database: Database) -> None:
        world.full()
        world.dataset("other")
        world.run(world.model("acme/waits"), "other", state=JobState.QUEUED)
        world.board("other", name="Other")
        assert read(database, "acme/waits") == ()
        world.revision("pairs", 1)
        assert read(database, "zeta/weak") == (), "its only result is on an older revision"


class TestImportedBoards:
    @pytest.fixture
    def public(self, database: Database, settings: Settings, tmp_path: Any) -> None:
        files = {}
        for name, score in (("acme/strong", 0.5), ("acme/strong (embed_dim=8)", 0.25), ("acme/stronger", 0.75)):
            folder = f"{name.replace('/', '__')}/abc"
            files[f"{folder}/model_meta.json"] = card(name)
            files[f"{folder}/STS12.json"] = result("STS12", test=score)
        form = ImportForm("Public")
        imports.import_folder(database, BlobStore(settings.blobs_dir), form, write(tmp_path / "in", files))

    @pytest.mark.usefixtures("public")
    def test_a_name_stands_there_with_what_it_was_asked_for(self, world: World, database: Database) -> None:
        world.full()
        imported, own = read(database, "acme/strong")  # the first board is the default
        assert (own.name, imported.name, imported.imported, imported.ranked) == ("Help desk", "Public", True, 3)
        assert [(row.model.name, row.rank) for row in imported.rows] == [
            ("acme/strong", 2),
            ("acme/strong (embed_dim=8)", 3),
        ]
        first = imported.row("17")
        assert first == imported.rows[0]
        (kind,) = imported.rows[0].types
        assert (kind.percentile, kind.others, kind.datasets[0].run_id, kind.datasets[0].href) == (50.0, 2, 0, "")

    @pytest.mark.usefixtures("public")
    @pytest.mark.both_databases
    def test_signs_in_a_name_stand_for_themselves(self, database: Database) -> None:
        assert read(database, "acme/%") == ()
        assert [row.model.name for row in read(database, "acme/stronger")[0].rows] == ["acme/stronger"]
