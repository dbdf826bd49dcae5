"""The light worker sees how sure boards are when something changed, and only then."""

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy.orm import Session

from app.core.board_certainty import BoardCertainty
from app.db.queries.boards import Board
from app.db.session import Database
from app.db.tables import JobState, Run
from app.services import benchmarks, certainty
from app.services.boards import load_board
from app.services.evidence import EvidenceReader
from app.settings import Settings
from tests.verdict_world import VerdictWorld
from worker.tasks import Shop


@pytest.fixture
def world(database: Database, settings: Settings) -> VerdictWorld:
    return VerdictWorld(database, settings)


@pytest.fixture
def shop(world: VerdictWorld, settings: Settings) -> Iterator[Shop]:
    made = Shop(settings, "light@here-1")
    yield made
    made.database.dispose()


def is_known(world: VerdictWorld, slug: str) -> bool:
    with world.database.reading() as session:
        return load_board(session, benchmarks.by_slug(session, slug)).certainty is not None


def is_due(shop: Shop) -> bool:
    with shop.database.reading() as session:
        return shop.certainty.is_due(session)


@pytest.mark.both_databases
def test_it_is_computed_after_the_queue_is_empty(world: VerdictWorld, shop: Shop) -> None:
    slug = world.two()
    assert is_due(shop)
    assert shop.work_light() == 0
    assert is_known(world, slug) and not shop.busy


def test_nothing_is_read_again_until_something_changes(
    world: VerdictWorld, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    slug = world.two()
    shop.work_light()
    shop.work_light()  # what it stored was a change itself
    assert not is_due(shop)
    monkeypatch.setattr("worker.certainty.load_board", None)
    shop.work_light()
    monkeypatch.undo()
    world.queries(world.model("acme/third"), "articles", np.random.default_rng(3).random(200))
    assert is_due(shop) and not is_known(world, slug)
    shop.work_light()
    assert is_known(world, slug)


def test_while_runs_go_on_a_board_waits_a_minute(world: VerdictWorld, shop: Shop) -> None:
    slug = world.two()
    third = world.model("acme/third")
    open_run = world.run(third, "articles", state=JobState.RUNNING)
    shop.work_light()
    assert is_known(world, slug)  # the first time at once
    world.queries(world.model("acme/fourth"), "articles", np.random.default_rng(3).random(200))
    shop.work_light()
    assert not is_known(world, slug) and is_due(shop)
    with world.database.session() as session:
        session.get_one(Run, open_run).state = JobState.CANCELLED
    shop.work_light()
    assert is_known(world, slug)


def test_every_board_is_looked_at(world: VerdictWorld, shop: Shop) -> None:
    first = world.two()
    second = world.board("articles", name="The same again")
    shop.work_light()
    assert is_known(world, first) and is_known(world, second)


def test_a_restored_file_is_counted_without_any_other_change(world: VerdictWorld, shop: Shop) -> None:
    slug = world.two()
    lost = world.queries(world.model("acme/lost"), "articles", np.random.default_rng(5).random(200))
    with world.database.reading() as session:
        ((cell,),) = EvidenceReader(world.blobs).cells(session, [lost]).values()
    kept = cell.path.read_bytes()
    world.lose(lost)
    shop.work_light()
    assert is_known(world, slug) and is_due(shop)
    shop.work_light()
    assert is_due(shop)  # it looks again at every sweep
    cell.path.write_bytes(kept)
    shop.work_light()
    shop.work_light()
    assert not is_due(shop)
    with world.database.reading() as session:
        known = load_board(session, benchmarks.by_slug(session, slug)).certainty
    assert known is not None and not len(known.unread) and (known.tiers > 0).all()


def test_a_board_that_cannot_be_computed_keeps_no_other_waiting(
    world: VerdictWorld, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.two()
    second = world.board("articles", name="The same again")
    whole = certainty.compute

    def compute(session: Session, board: Board, evidence: EvidenceReader) -> BoardCertainty:
        if board.slug == first:
            raise ZeroDivisionError
        return whole(session, board, evidence)

    monkeypatch.setattr("worker.certainty.compute", compute)
    shop.work_light()
    shop.work_light()
    assert is_known(world, second) and not is_known(world, first) and not is_due(shop)
