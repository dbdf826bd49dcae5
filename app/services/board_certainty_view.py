"""What a board's certainty says to people: in one sentence, model by model, pair by pair, and what it rests on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from app.core.board_certainty import BoardCertainty
from app.core.significance import FEW
from app.core.verdicts import SIGNIFICANT
from app.db.queries.boards import Board, BoardColumn, BoardModel
from app.services.board_look import Look
from app.services.board_view import BoardView, full_name, view_board
from app.services.table_columns import Ends, rank_range

MOST_PAIRED: Final = 30
"""So many models are drawn pair by pair."""


@dataclass(frozen=True, slots=True)
class CertainModel:
    """How sure a model's place is.

    Attributes:
        rank: on the whole board, None without any score.
        ranks: the best and the worst one on 95% of the resamples, None where that is not known.
        tier: None for a model that was not tested.
        mean: Mean (Task), None where a score is missing; `ends` its interval.
        next_p: of the test against the next model that was tested, None without; `next_key` names that one.
    """

    model: BoardModel
    rank: int | None
    ranks: Ends | None
    tier: int | None
    mean: float | None
    ends: Ends | None
    next_p: float | None
    next_key: str

    @property
    def range(self) -> str:
        """The rank range in words, "" where it is not known."""
        return rank_range(self.ranks) if self.ranks else ""


@dataclass(frozen=True, slots=True)
class CertainDataset:
    """What is known of a dataset: from how many examples, or draws; why the tests leave it out, "" if they do not."""

    column: BoardColumn
    n: int
    left_out: str


@dataclass(frozen=True, slots=True)
class AllPairs:
    """The models that were tested against each other, the highest mean first.

    Attributes:
        models: at most `MOST_PAIRED`, of `of` that were tested.
        means: of each over the datasets that the tests rest on.
        p: a row a model; None for a pair that was not tested.
    """

    models: tuple[BoardModel, ...]
    of: int
    means: tuple[float, ...]
    p: tuple[tuple[float | None, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The models by name and variant."""
        return tuple(full_name(model) for model in self.models)


@dataclass(frozen=True, slots=True)
class CertaintyView:
    """All that the tab Certainty shows of a board whose certainty is known. `pairs` is None without any test."""

    board: Board
    certainty: BoardCertainty
    sentence: str
    models: tuple[CertainModel, ...]
    datasets: tuple[CertainDataset, ...]
    pairs: AllPairs | None


def view_certainty(board: Board) -> CertaintyView | None:
    """The whole board by rank; None where nothing is known, yet or at all."""
    certainty = board.certainty
    if certainty is None or not _tells(certainty):
        return None
    view = view_board(board, Look())
    return CertaintyView(
        board=board,
        certainty=certainty,
        sentence=board_sentence(view),
        models=_models(view, certainty),
        datasets=tuple(_dataset(certainty, place, column) for place, column in enumerate(board.columns)),
        pairs=_pairs(board, certainty),
    )


def board_sentence(view: BoardView) -> str:
    """What a board says of its certainty in one line, "" where there is nothing to say.

    Example: "A test separates 4 of 13 neighbouring pairs; ranks within a tier are not to be trusted."
    """
    certainty = view.board.certainty
    if certainty is None:
        return "Intervals are being computed." if view.board.certainty_expected else ""
    if not _tells(certainty):
        return ""
    if not view.whole:
        whole = len(view.datasets) == len(view.board.columns)
        known = "rank ranges and tiers" if whole else "rank ranges, tiers and intervals of means"
        return f"Ranks are those of what is shown; {known} are known for the whole board only."
    tasks = f"Intervals come from resampling its {len(view.board.columns):,} tasks: imported scores have no examples."
    return " ".join(filter(None, (_separated(view, certainty), tasks if certainty.by_task else "")))


def _tells(certainty: BoardCertainty) -> bool:
    """Whether anything is known: runs may have kept no values."""
    return bool(certainty.best.any() or not np.isnan(certainty.low).all())


def _separated(view: BoardView, certainty: BoardCertainty) -> str:
    """How many neighbours by rank a test separates; "" without a test."""
    ps = [p for _, p in _neighbours(_by_rank(view), certainty).values() if p is not None]
    found = sum(p < SIGNIFICANT for p in ps)
    doubt = "; ranks within a tier are not to be trusted."
    match found, len(ps):
        case _, 0:
            return ""
        case 0, 1:
            return "No test separates the two tested models; their order is not to be trusted."
        case 1, 1:
            return "A test separates the two tested models."
        case 0, pairs:
            return f"No test separates any of the {pairs:,} neighbouring pairs{doubt}"
        case _, pairs if found == pairs:
            return f"A test separates all {pairs:,} neighbouring pairs."
    return f"A test separates {found:,} of {len(ps):,} neighbouring pairs{doubt}"


def _by_rank(view: BoardView) -> list[int]:
    """The rows of a view, the best first, those without a rank last."""
    ranks = view.standings.ranks.tolist()
    return sorted(range(len(view.models)), key=lambda row: (ranks[row] == 0, ranks[row]))


def _neighbours(rows: Sequence[int], certainty: BoardCertainty) -> dict[int, tuple[int, float | None]]:
    """By row of the whole board, for each that was tested but the last: the next that was, and p against it."""
    tested = [row for row in rows if certainty.tiers[row] > 0]
    return {one: (other, _known(certainty.p[one, other])) for one, other in pairwise(tested)}


def _models(view: BoardView, certainty: BoardCertainty) -> tuple[CertainModel, ...]:
    rank, mean = (next(column for column in view.columns if column.key == key) for key in ("rank", "mean_task"))
    rows, nobody = _by_rank(view), [None] * len(view.models)
    neighbours = _neighbours(rows, certainty)
    return tuple(
        CertainModel(
            model=view.model(row),
            rank=int(view.standings.ranks[row]) or None,
            ranks=(rank.ends or nobody)[row],
            tier=int(certainty.tiers[row]) or None,
            mean=_known(view.standings.mean_task[row]),
            ends=(mean.ends or nobody)[row],
            next_p=neighbours[row][1] if row in neighbours else None,
            next_key=view.model(neighbours[row][0]).key if row in neighbours else "",
        )
        for row in rows
    )


def _dataset(certainty: BoardCertainty, place: int, column: BoardColumn) -> CertainDataset:
    n = int(certainty.n[place])
    if column.task_type == "Clustering" and not certainty.tested[place]:
        why = "A clustering has no values an example: only the spread over its draws is known."
    elif not certainty.tested[place] and n:
        why = "A part of it is a single example, which says nothing of others."
    elif not certainty.tested[place]:
        why = "Its runs have kept no values an example."
    elif certainty.n[certainty.tested].sum() < FEW:
        why = f"All datasets together have fewer than {FEW} examples."
    elif not certainty.tiers.any():
        why = "Fewer than two models have values of every dataset."
    else:
        why = ""
    return CertainDataset(column, n, why)


def _pairs(board: Board, certainty: BoardCertainty) -> AllPairs | None:
    tested = np.flatnonzero(certainty.tiers > 0)
    if len(tested) < 2:
        return None
    means = board.means.known[tested][:, certainty.tested].mean(axis=1)
    order = np.argsort(-means, kind="stable")[:MOST_PAIRED]
    shown = tested[order]
    return AllPairs(
        models=tuple(board.models[model] for model in shown.tolist()),
        of=len(tested),
        means=tuple(means[order].tolist()),
        p=tuple(tuple(_known(p) for p in row) for row in certainty.p[np.ix_(shown, shown)].tolist()),
    )


def as_dict(board: Board) -> dict[str, Any]:
    """JSON-ready: how sure a board is, its models by rank; see `CertainModel`.

    `state` is "known", "expected" while a worker computes it, or "none" where there is nothing to compute it from;
    lists are empty then.
    """
    found = view_certainty(board)
    if found is None:
        state: dict[str, Any] = {"state": "expected" if board.certainty_expected else "none"}
        nothing = {"sentence": "", "by_task": False, "seed": None, "resamples": None}
        return {**_named(board), **state, **nothing, "datasets": [], "models": [], "pairs": []}
    certainty = found.certainty
    return {
        **_named(board),
        "state": "known",
        "sentence": found.sentence,
        "by_task": certainty.by_task,
        "seed": certainty.seed,
        "resamples": certainty.resamples,
        "datasets": [
            {
                "slug": one.column.slug,
                "name": one.column.name,
                "task_type": one.column.task_type,
                "n": one.n,
                "tested": not one.left_out,
                "left_out": one.left_out or None,
            }
            for one in found.datasets
        ],
        "models": _model_dicts(found),
        "pairs": _pair_dicts(board, certainty),
    }


def _named(board: Board) -> dict[str, Any]:
    return {"benchmark": board.name, "slug": board.slug}


def _model_dicts(found: CertaintyView) -> list[dict[str, Any]]:
    certainty, places = found.certainty, {model.key: place for place, model in enumerate(found.board.models)}
    return [
        {
            "key": one.model.key,
            "model": one.model.name,
            "variant": one.model.variant,
            "revision": one.model.revision,
            "rank": one.rank,
            "rank_low": None if one.ranks is None else int(one.ranks[0]),
            "rank_high": None if one.ranks is None else int(one.ranks[1]),
            "tier": one.tier,
            "means": {key: _interval(low[place], high[place]) for key, (low, high) in certainty.means.items()},
            "tasks": {
                column.name: _interval(certainty.low[place, number], certainty.high[place, number])
                for number, column in enumerate(found.board.columns)
            },
        }
        for one in found.models
        for place in (places[one.model.key],)
    ]


def _pair_dicts(board: Board, certainty: BoardCertainty) -> list[dict[str, Any]]:
    """Every pair that was tested, once."""
    known = np.triu(~np.isnan(certainty.p), k=1)
    return [
        {"a": board.models[one].key, "b": board.models[other].key, "p": float(certainty.p[one, other])}
        for one, other in np.argwhere(known).tolist()
    ]


def _interval(low: float, high: float) -> dict[str, float] | None:
    return None if math.isnan(low) else {"low": float(low), "high": float(high)}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
