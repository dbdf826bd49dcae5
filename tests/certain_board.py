"""Boards whose certainty is made up, so that a test knows what must be shown of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy.orm import Session

from app.core.board_certainty import BoardCertainty
from app.db.queries.boards import Board
from app.db.tables import Benchmark
from app.services import board_export, boards
from tests.board_world import World

SCORES = {"a": (0.9, 0.8), "b": (0.7, 0.7), "c": (0.6, 0.6), "d": (0.3, 0.5)}
TIERS = (1, 2, 2, 3)


def four(world: World, name: str = "Help desk") -> str:
    """A board of four models, one better than the other on two datasets. Returns its slug."""
    world.dataset("pairs", "STS")
    world.dataset("articles", "Retrieval")
    for model, (pairs, articles) in SCORES.items():
        key = world.model(f"acme/{model}")
        world.run(key, "pairs", pairs)
        world.run(key, "articles", articles)
    return world.board("pairs", "articles", name=name)


def certain(board: Board, tiers: Sequence[int] = TIERS, *, by_task: bool = False, half: float = 0.008) -> Board:
    """The board with intervals of ± `half`, rank ranges one wider on either side, and tests between its tiers.

    Models of tier 0 were not tested. With `by_task` nothing is known of examples.
    """
    scores, own = board.means.complete, np.array(tiers, np.int64)
    count, columns = scores.shape
    apart = np.where(own[:, None] == own, 0.5, 0.001)
    apart[(own == 0), :] = apart[:, (own == 0)] = np.nan
    places = np.argsort(np.argsort(-scores.mean(axis=1), kind="stable")) + 1
    unknown = np.full((count, columns), np.nan)
    mean = scores.mean(axis=1)
    keys = (
        ("mean_task",) if by_task else ("mean_task", "mean_task_type", *(f"type:{kind}" for kind in board.task_types))
    )
    certainty = BoardCertainty(
        low=unknown if by_task else scores - half,
        high=unknown if by_task else scores + half,
        n=np.array([0 if by_task else 420 + place for place in range(columns)], np.int64),
        means=dict.fromkeys(keys, (mean - half, mean + half)),
        best=np.maximum(places - 1, 1),
        worst=np.minimum(places + 1, count),
        tiers=own,
        p=apart,
        tested=np.ones(columns, np.bool_),
        by_task=by_task,
        resamples=1_000,
        seed=7,
    )
    return replace(board, certainty=certainty)


def show(patch: pytest.MonkeyPatch, change: Callable[[Board], Board] = certain) -> None:
    """Let every board that is read from now on be changed so."""
    real = boards.load_board

    def load(session: Session, benchmark: Benchmark) -> Board:
        return change(real(session, benchmark))

    for module in (boards, board_export):
        patch.setattr(module, "load_board", load)
