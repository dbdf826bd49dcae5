"""Two boards' ranks of the models that stand on both: does the one hold on the other?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from app.core.aggregation import standings
from app.core.correlation import kendall, spearman
from app.db.queries.boards import Board, BoardModel

FEWEST: Final = 3
"""So many common models, or there is nothing to compare."""
_MOVERS: Final = 5


@dataclass(frozen=True, slots=True)
class RankPair:
    """A model and its ranks among the common models: on this board and on the other one."""

    model: BoardModel
    here: int
    there: int

    @property
    def climb(self) -> int:
        """How many places higher it stands here; below 0 when it falls."""
        return self.there - self.here


@dataclass(frozen=True, slots=True)
class RankComparison:
    """What two boards say of their common models.

    Attributes:
        pairs: the common models by their rank here.
        spearman: -1 to 1; None when there are too few, or all tie on one board.
        kendall: tau-b, the same.
        variants: how many models here were left out because they are variants of one that stands there.
        only_here: how many models with a score stand here and not there, the variants left out.
        only_there: the other way round.
    """

    pairs: tuple[RankPair, ...]
    spearman: float | None
    kendall: float | None
    variants: int
    only_here: int
    only_there: int

    @property
    def is_enough(self) -> bool:
        """Whether there are enough common models to say anything."""
        return len(self.pairs) >= FEWEST

    @property
    def climbers(self) -> tuple[RankPair, ...]:
        """Those that climb most, the highest climb first."""
        return tuple(sorted((pair for pair in self.pairs if pair.climb > 0), key=lambda pair: -pair.climb)[:_MOVERS])

    @property
    def fallers(self) -> tuple[RankPair, ...]:
        """Those that fall most, the deepest fall first."""
        return tuple(sorted((pair for pair in self.pairs if pair.climb < 0), key=lambda pair: pair.climb)[:_MOVERS])


def compare_ranks(here: Board, there: Board) -> RankComparison:
    """Rank the common models anew on each board, over all of its datasets.

    Models are the same when they have the same name, a score, and no variant: fewer dimensions or another precision
    give other scores than those of a model as it was published. Of several revisions here the last added counts.
    """
    ours, theirs = _plain(here), _plain(there)
    common = [name for name in ours if name in theirs]
    first = _ranks(here, [ours[name] for name in common])
    second = _ranks(there, [theirs[name] for name in common])
    pairs = [RankPair(here.models[ours[name]], one, two) for name, one, two in zip(common, first, second, strict=True)]
    scored = [here.models[row] for row in _scored(here)]
    names = {model.name for model in scored}
    enough = len(common) >= FEWEST
    return RankComparison(
        pairs=tuple(sorted(pairs, key=lambda pair: (pair.here, pair.model.name))),
        spearman=_number(spearman(first, second)) if enough else None,
        kendall=_number(kendall(first, second)) if enough else None,
        variants=sum(bool(model.variant) and model.name in theirs for model in scored),
        only_here=len(names.difference(theirs)),
        only_there=len(theirs.keys() - names),
    )


def _scored(board: Board) -> list[int]:
    """The rows of the models with a score."""
    rows: list[int] = np.flatnonzero(~np.isnan(board.means.known).all(axis=1)).tolist()
    return rows


def _plain(board: Board) -> Mapping[str, int]:
    """The row of each scored model without a variant, by name; a later one replaces an earlier one."""
    return {board.models[row].name: row for row in _scored(board) if not board.models[row].variant}


def _ranks(board: Board, rows: list[int]) -> list[int]:
    """Among exactly these models."""
    means = board.means.of(np.array(rows, np.int64))
    ranks: list[int] = standings(means, [column.task_type for column in board.columns]).ranks.tolist()
    return ranks


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
