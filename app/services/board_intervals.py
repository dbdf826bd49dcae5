"""Between what the figures of a board's table lie, as far as the board's certainty tells."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from app.core.aggregation import Floats, Integers
from app.core.board_certainty import BoardCertainty
from app.db.queries.boards import Board
from app.services.table_columns import Ends, Kind, TableColumn


def board_tiers(board: Board) -> tuple[int | None, ...]:
    """The tier of each of the board's models, None for one that was not tested; empty where no tiers are known."""
    if board.certainty is None or not board.certainty.tiers.any():
        return ()
    return tuple(tier or None for tier in board.certainty.tiers.tolist())


def with_intervals(
    board: Board, columns: Sequence[TableColumn], models: Integers, datasets: Integers
) -> tuple[TableColumn, ...]:
    """The same columns, with the ends of what holds for these models on these datasets.

    Intervals of scores always do. Those of means are of the whole board's datasets, and rank ranges of its models too.

    Args:
        board: all of it.
        columns: their values are those of `models`.
        models: shape (n,), the board's models that are ranked.
        datasets: the board's columns that count.
    """
    certainty = board.certainty
    if certainty is None:
        return tuple(columns)
    every = len(datasets) == len(board.columns)
    holds = {Kind.TASK: True, Kind.RANK: every and len(models) == len(board.models)}
    return tuple(
        replace(column, ends=_ends(certainty, column, models), n=_examples(certainty, column))
        if holds.get(column.kind, every)
        else column
        for column in columns
    )


def _examples(certainty: BoardCertainty, column: TableColumn) -> int:
    return int(certainty.n[column.dataset]) if column.kind is Kind.TASK else 0


def _ends(certainty: BoardCertainty, column: TableColumn, models: Integers) -> tuple[Ends | None, ...]:
    if column.kind is Kind.TASK:
        return _pairs(certainty.low[models, column.dataset], certainty.high[models, column.dataset])
    if column.kind is Kind.RANK:
        best, worst = (np.where(ranks > 0, ranks, np.nan) for ranks in (certainty.best, certainty.worst))
        return _pairs(best[models], worst[models])
    if column.key in certainty.means:
        low, high = certainty.means[column.key]
        return _pairs(low[models], high[models])
    return ()


def _pairs(low: Floats, high: Floats) -> tuple[Ends | None, ...]:
    """Low and high of each model, None for NaN; empty where all are."""
    if np.isnan(low).all():
        return ()
    return tuple(None if math.isnan(ends[0]) else ends for ends in zip(low.tolist(), high.tolist(), strict=True))
