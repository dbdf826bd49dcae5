"""Two to six models of one board side by side: what each scores, how far behind the best it is, where it wins."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.aggregation import RANK_DIGITS, Floats, zero_shot_percents
from app.db.queries.boards import Board, BoardModel
from app.db.tables import Dataset, Role
from app.errors import Invalid
from app.services.accounts import Person
from app.services.board_view import BoardView, full_name, known
from app.services.table_columns import type_names

FEWEST: Final = 2
MOST: Final = 6
_KEY_SHOWN: Final = 80

Scores = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the models, with its place on the whole board.

    Attributes:
        rank: None without any score.
        points: Borda points.
        zero_shot: in percent, None when its training data is unknown.
    """

    model: BoardModel
    rank: int | None
    points: float
    zero_shot: int | None

    @property
    def name(self) -> str:
        """What it is called where its variant matters."""
        return full_name(self.model)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """What the models score on a dataset, a task type or the whole board.

    Attributes:
        key: a dataset's slug, a task type's name, `mean_task` or `mean_task_type`.
        task_type: of a dataset, else "".
        href: where a dataset is described, else "".
        scores: one a model in the order they were asked for, 0 to 1 for most metrics; None where one is missing.
    """

    key: str
    name: str
    scores: Scores
    task_type: str = ""
    href: str = ""

    @property
    def top(self) -> float | None:
        """The highest score; None without any."""
        return max((score for score in self.scores if score is not None), default=None)

    @property
    def is_best(self) -> tuple[bool, ...]:
        """Which models have the highest score, compared as a board compares: after rounding to 10 digits."""
        return tuple(_equal(score, self.top) for score in self.scores)

    @property
    def to_best(self) -> Scores:
        """Each score less the highest: 0 or below."""
        return tuple(_difference(score, self.top) for score in self.scores)

    @property
    def difference(self) -> float | None:
        """The first model's score less the second's; None when one of them is missing."""
        return _difference(self.scores[0], self.scores[1])

    @property
    def is_whole(self) -> bool:
        """Whether every model has a score here: only then does anybody win."""
        return None not in self.scores

    @property
    def winner(self) -> int | None:
        """The place of the one model that is the best; None for a tie or when a score is missing."""
        return self.is_best.index(True) if self.is_whole and sum(self.is_best) == 1 else None

    @property
    def is_tie(self) -> bool:
        """Whether several share the best score."""
        return self.is_whole and sum(self.is_best) > 1


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Models side by side; each row of scores has them in the order of `models`.

    Attributes:
        places: of the models on the board.
        means: Mean (Task) and Mean (TaskType).
        types: the mean of each task type.
        datasets: type by type, in the board's order.
    """

    board: Board
    places: tuple[int, ...]
    models: tuple[Compared, ...]
    means: tuple[ScoreRow, ScoreRow]
    types: tuple[ScoreRow, ...]
    datasets: tuple[ScoreRow, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The models by what stands in addresses."""
        return tuple(compared.model.key for compared in self.models)

    @property
    def won(self) -> tuple[tuple[ScoreRow, ...], ...]:
        """The datasets that each model wins."""
        return tuple(tuple(row for row in self.datasets if row.winner == place) for place in range(len(self.models)))

    @property
    def tied(self) -> tuple[ScoreRow, ...]:
        """The datasets whose best score several share."""
        return tuple(row for row in self.datasets if row.is_tie)

    @property
    def lacking(self) -> tuple[ScoreRow, ...]:
        """The datasets on which a model lacks its score."""
        return tuple(row for row in self.datasets if not row.is_whole)

    @property
    def contested(self) -> int:
        """On how many datasets there is something to win."""
        return len(self.datasets) - len(self.lacking)


def split_keys(values: Iterable[str]) -> tuple[str, ...]:
    """The keys in `models=A,B&models=C`, each once."""
    return tuple(dict.fromkeys(key for value in values for key in value.split(",") if key))


def compare_address(slug: str, keys: Iterable[str]) -> str:
    """The page that compares models of a board."""
    return f"/compare?{urlencode({'board': slug})}&models={quote(','.join(keys), safe=',/')}"


def examples_address(slug: str, dataset: str, keys: Iterable[str]) -> str:
    """The page that compares two models of a board example by example on a dataset."""
    return f"/compare/{quote(dataset)}?{urlencode({'board': slug})}&models={quote(','.join(keys), safe=',/')}"


def editable(session: Session, person: Person, board: Board) -> frozenset[str]:
    """The board's datasets, by slug, that this person may describe."""
    slugs = [column.slug for column in board.columns if column.href]
    if not slugs or not person.can(Role.MEMBER):
        return frozenset()
    query = select(Dataset.slug).where(Dataset.slug.in_(slugs))
    return frozenset(session.scalars(query if person.can(Role.ADMIN) else query.where(Dataset.owner_id == person.id)))


def compare(view: BoardView, keys: Sequence[str]) -> Comparison:
    """Lay models side by side, with the ranks and means that they have in this view.

    Args:
        view: of the whole board, so that ranks are those among all of its models.
        keys: of 2 to 6 models on it, see `BoardModel.key`; one that is given twice counts once.

    Raises:
        Invalid: there are fewer or more (code `compare_count`), or one is not on the board (`unknown_model`).
    """
    rows = _rows(view, tuple(dict.fromkeys(keys)))
    ranked = view.standings
    places = {name: number for number, name in enumerate(ranked.types)}
    datasets = [
        ScoreRow(column.slug, column.name, _scores(view.means.complete[:, place], rows), column.task_type, column.href)
        for place, column in enumerate(view.shown_columns)
    ]
    return Comparison(
        board=view.board,
        places=tuple(view.models[row] for row in rows),
        models=_compared(view, rows),
        means=(
            ScoreRow("mean_task", "Mean (Task)", _scores(ranked.mean_task, rows)),
            ScoreRow("mean_task_type", "Mean (TaskType)", _scores(ranked.mean_task_type, rows)),
        ),
        types=tuple(ScoreRow(name, type_names(name)[1], _scores(means, rows)) for name, means in ranked.types.items()),
        datasets=tuple(sorted(datasets, key=lambda row: places[row.task_type])),
    )


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """JSON-ready: the models, then scores by type and dataset in their order; None where one is missing."""
    keys = comparison.keys
    return {
        "benchmark": comparison.board.name,
        "slug": comparison.board.slug,
        "models": [
            {
                "key": compared.model.key,
                "model": compared.model.name,
                "variant": compared.model.variant,
                "revision": compared.model.revision,
                "rank": compared.rank,
                "points": compared.points,
                "zero_shot": compared.zero_shot,
                "parameters": compared.model.parameters,
                "memory_mb": compared.model.memory_mb,
                "memory_dtype": compared.model.memory_dtype,
                "dimensions": compared.model.dimensions,
                "max_tokens": compared.model.max_tokens,
                "licence": compared.model.licence,
                "open_weights": compared.model.open_weights,
                "release_date": compared.model.release_date,
                "wins": len(won),
            }
            for compared, won in zip(comparison.models, comparison.won, strict=True)
        ],
        "means": [_row_dict(row, keys) for row in comparison.means],
        "task_types": [_row_dict(row, keys) for row in comparison.types],
        "datasets": [{"task_type": row.task_type, **_row_dict(row, keys)} for row in comparison.datasets],
        "contested": comparison.contested,
        "ties": len(comparison.tied),
    }


def _row_dict(row: ScoreRow, keys: Sequence[str]) -> dict[str, Any]:
    return {
        "key": row.key,
        "name": row.name,
        "scores": row.scores,
        "to_best": row.to_best,
        "winner": None if row.winner is None else keys[row.winner],
        "tie": row.is_tie,
    }


def _rows(view: BoardView, keys: Sequence[str]) -> list[int]:
    """The place of each model in the view."""
    if not FEWEST <= len(keys) <= MOST:
        raise Invalid(
            f"{FEWEST} to {MOST} models can be compared, and {len(keys) or 'none'} "
            f"{'was' if len(keys) < FEWEST else 'were'} given. Pin them on the board “{view.board.name}”, then press "
            "Compare.",
            code="compare_count",
        )
    places = {view.model(row).key: row for row in range(len(view.models))}
    if unknown := [key for key in keys if key not in places]:
        raise Invalid(
            f"The board “{view.board.name}” has no row for {', '.join(repr(key[:_KEY_SHOWN]) for key in unknown)}. "
            "A model can be compared on a board where it has a score or a run that is open; pin it there, then "
            "press Compare.",
            code="unknown_model",
            details={"keys": unknown},
        )
    return [places[key] for key in keys]


def _compared(view: BoardView, rows: Sequence[int]) -> tuple[Compared, ...]:
    models = np.array(view.models, np.int64)[rows]
    trained_on = view.board.trained_on[np.ix_(models, np.array(view.datasets, np.int64))]
    zero_shot = zero_shot_percents(trained_on, view.board.training_known[models]).tolist()
    ranks, points = view.standings.ranks[rows].tolist(), view.standings.points[rows].tolist()
    return tuple(
        Compared(view.model(row), rank or None, earned, None if percent < 0 else percent)
        for row, rank, earned, percent in zip(rows, ranks, points, zero_shot, strict=True)
    )


def _scores(values: Floats, rows: Sequence[int]) -> Scores:
    return tuple(known(values[rows]))


def _equal(score: float | None, top: float | None) -> bool:
    return score is not None and top is not None and round(score, RANK_DIGITS) == round(top, RANK_DIGITS)


def _difference(score: float | None, other: float | None) -> float | None:
    return None if score is None or other is None else score - other
