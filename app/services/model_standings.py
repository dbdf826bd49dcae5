"""Where a model stands on every board that has it: rank, means, and its percentile by task type."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from app.core.aggregation import RANK_DIGITS, Booleans, Floats
from app.db.queries.boards import Board, BoardModel, RunMark
from app.services.board_look import Look
from app.services.board_view import BoardView, known, view_board
from app.services.table_columns import type_names


@dataclass(frozen=True, slots=True)
class DatasetStanding:
    """What a model scores on a dataset, None without a whole score.

    Attributes:
        href: the dataset's page, "" if it has none.
        metric: the main one.
        run_id: the run that gave the score, 0 for none.
        mark: a newer run, open or failed.
    """

    name: str
    href: str
    metric: str
    score: float | None
    run_id: int
    mark: RunMark | None


@dataclass(frozen=True, slots=True)
class TypeStanding:
    """A model's mean on the datasets of a task type, None when it lacks one.

    Attributes:
        percentile: 0 to 100, see `percentile`; None without a mean or without others.
        others: how many other ranked models have a mean.
    """

    name: str
    mean: float | None
    percentile: float | None
    others: int
    datasets: tuple[DatasetStanding, ...]

    @property
    def title(self) -> str:
        """The task type in words."""
        return type_names(self.name)[1]


@dataclass(frozen=True, slots=True)
class ModelStanding:
    """One row of a board; `rank` is None without any score, `zero_shot` where the training data is unknown."""

    model: BoardModel
    rank: int | None
    mean_task: float | None
    mean_task_type: float | None
    zero_shot: int | None
    scored: int
    types: tuple[TypeStanding, ...]


@dataclass(frozen=True, slots=True)
class BoardStanding:
    """The rows of a model's name on a board; `ranked` counts all models with a rank there."""

    slug: str
    name: str
    imported: bool
    ranked: int
    datasets: int
    rows: tuple[ModelStanding, ...]

    def row(self, key: str) -> ModelStanding | None:
        """The row of a model; on an imported board, which knows no variants, the first one."""
        if self.imported:
            return self.rows[0]
        return next((row for row in self.rows if row.model.key == key), None)


def standings_of(boards: Iterable[Board], name: str) -> tuple[BoardStanding, ...]:
    """Where every row of a model's name stands, on those boards that have one with a score.

    An imported board may name what the model was asked for behind its name: `org/name (embed_dim=512)`.
    """
    found = (_on_board(view_board(board, Look()), name) for board in boards)
    return tuple(standing for standing in found if standing.rows)


def percentile(means: Floats, row: int, contenders: Booleans) -> tuple[float | None, int]:
    """The share of the others with a lower mean, ties counting half; and how many others there are.

    Args:
        means: shape (models,), NaN for none.
        row: whose percentile.
        contenders: shape (models,), who counts; of these those without a mean do not.

    Returns:
        0 (all others are better) to 100 (none is), None where the row has no mean or nobody else has one.

    Example:
        >>> percentile(np.array([0.5, 0.4, 0.5, 0.9, np.nan]), 0, np.ones(5, np.bool_))
        (50.0, 3)
    """
    rounded = np.round(means, RANK_DIGITS)
    others = contenders & ~np.isnan(means)
    others[row] = False
    count = int(others.sum())
    if not count or np.isnan(means[row]):
        return None, count
    lower, ties = (rounded[others] < rounded[row]).sum(), (rounded[others] == rounded[row]).sum()
    return float(100 * (lower + ties / 2) / count), count


def _on_board(view: BoardView, name: str) -> BoardStanding:
    board, ranks = view.board, view.standings.ranks
    rows = (row for row in range(len(view.models)) if ranks[row] and _is_named(view.model(row), name, board.imported))
    return BoardStanding(
        slug=board.slug,
        name=board.name,
        imported=board.imported,
        ranked=int((ranks > 0).sum()),
        datasets=len(board.columns),
        rows=tuple(_standing(view, row) for row in rows),
    )


def _is_named(model: BoardModel, name: str, imported: bool) -> bool:
    return model.name == name or (imported and model.name.startswith(f"{name} ("))


def _standing(view: BoardView, row: int) -> ModelStanding:
    ranked = view.standings
    zero_shot = next(column.values[row] for column in view.columns if column.key == "zero_shot")
    return ModelStanding(
        model=view.model(row),
        rank=int(ranked.ranks[row]) or None,
        mean_task=known(ranked.mean_task[[row]])[0],
        mean_task_type=known(ranked.mean_task_type[[row]])[0],
        zero_shot=zero_shot if isinstance(zero_shot, int) else None,
        scored=int(ranked.scored[row]),
        types=tuple(_of_type(view, row, name) for name in ranked.types),
    )


def _of_type(view: BoardView, row: int, name: str) -> TypeStanding:
    means = view.standings.types[name]
    share, others = percentile(means, row, view.standings.ranks > 0)
    columns = (place for place, column in enumerate(view.board.columns) if column.task_type == name)
    return TypeStanding(
        name, known(means[[row]])[0], share, others, tuple(_on_dataset(view, row, place) for place in columns)
    )


def _on_dataset(view: BoardView, row: int, place: int) -> DatasetStanding:
    board, column = view.board, view.board.columns[place]
    return DatasetStanding(
        name=column.name,
        href=column.href,
        metric=column.metric,
        score=known(view.means.complete[[row], place])[0],
        run_id=int(board.run_ids[view.models[row], place]),
        mark=board.marks.get((view.models[row], place)),
    )
