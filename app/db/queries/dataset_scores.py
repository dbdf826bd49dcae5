"""What models score on one dataset: on its newest revision by cell, and on older ones where that is all there is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from app.core.aggregation import Cell, dataset_means, standings
from app.core.significance import Interval
from app.core.task_types import task_type
from app.db.queries.datasets import DatasetRow
from app.db.queries.models import has_twins, model_chips
from app.db.tables import DatasetRevision, JobState, Model, Run, Score


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A model on a dataset's newest revision.

    Attributes:
        model_id: of the row that ran.
        chips: what tells it from other rows of the same name.
        score: the main metric, None for a model without a complete result.
        run_id: the run that gave it, else the newest one.
        state: of its newest run; `done`, `total`, `reason` and `finished_at` too.
        cells: the main metric by (split, subset).
        interval: of `score`, None where it is not known.
        intervals: those of the cells, where they are.
    """

    model_id: int
    model: str
    variant: str
    chips: tuple[str, ...]
    rank: int | None
    score: float | None
    run_id: int
    state: JobState
    done: int
    total: int
    reason: str
    finished_at: datetime | None
    cells: Mapping[Cell, float] = field(default_factory=dict)
    interval: Interval | None = None
    intervals: Mapping[Cell, Interval] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OlderRow:
    """A model whose latest result is on a revision that counts no more; `score` is None for one from long ago."""

    model_id: int
    model: str
    chips: tuple[str, ...]
    score: float | None
    revision: str
    run_id: int
    finished_at: datetime | None


def scores_of(session: Session, dataset: DatasetRow) -> tuple[ScoreRow, ...]:
    """Every model with a run on the newest revision: ranked ones by rank, then the others by name. Two queries.

    Score and rank follow the board's rules, for a board of this dataset alone.
    """
    cells, intervals = _main_scores(session, dataset)
    runs = _newest_runs(session, dataset.revision_id)
    found = [(row, value) for row, model_id in enumerate(runs) for value in cells.get(model_id, {}).values()]
    required = len({cell for values in cells.values() for cell in values})
    means = dataset_means(
        [row for row, _ in found], [0] * len(found), [value for _, value in found], (len(runs), 1), [required]
    )
    ranks = standings(means, [dataset.task_type]).ranks.tolist()
    scores = (None if math.isnan(score) else score for score in means.complete[:, 0].tolist())
    rows = [
        _score_row(run, rank or None, score, cells.get(run.model_id, {}), intervals.get(run.model_id, {}))
        for run, rank, score in zip(runs.values(), ranks, scores, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: (row.rank is None, row.rank or 0, row.model, row.variant)))


def older_scores(session: Session, dataset: DatasetRow) -> tuple[OlderRow, ...]:
    """The models with results on older revisions only: the latest of each, the highest score first. One query."""
    place = func.row_number().over(partition_by=Run.model_id, order_by=(Run.dataset_revision_id.desc(), Run.id.desc()))
    latest = (
        select(Run.id, place.label("place"))
        .join(DatasetRevision, DatasetRevision.id == Run.dataset_revision_id)
        .where(DatasetRevision.dataset_id == dataset.id, Run.state == JobState.DONE)
        .subquery("latest")
    )
    query = (
        select(
            Model.id,
            Model.name,
            Model.variant,
            Model.revision,
            has_twins(),
            Run.main_score,
            DatasetRevision.revision.label("of"),
            Run.id.label("run_id"),
            Run.finished_at,
        )
        .join(Run, Run.model_id == Model.id)
        .join(latest, latest.c.id == Run.id)
        .join(DatasetRevision, DatasetRevision.id == Run.dataset_revision_id)
        .where(latest.c.place == 1, Run.dataset_revision_id != dataset.revision_id)
        .order_by(Run.main_score.desc().nulls_last(), Model.name, Model.variant, Model.id)
    )
    return tuple(
        OlderRow(
            model_id=row.id,
            model=row.name,
            chips=model_chips(row.variant, row.revision, row.twins),
            score=row.main_score,
            revision=row.of,
            run_id=row.run_id,
            finished_at=row.finished_at,
        )
        for row in session.execute(query)
    )


def _main_scores(
    session: Session, dataset: DatasetRow
) -> tuple[dict[int, dict[Cell, float]], dict[int, dict[Cell, Interval]]]:
    """Model id -> cell -> main metric, and its interval where it is known, of each model's newest finished run."""
    finished = (
        select(func.max(Run.id))
        .where(Run.dataset_revision_id == dataset.revision_id, Run.state == JobState.DONE)
        .group_by(Run.model_id)
    )
    query = (
        select(Run.model_id, Score.split, Score.subset, Score.value, Score.low, Score.high, Score.n)
        .join(Score, Score.run_id == Run.id)
        .where(Run.id.in_(finished), Score.metric == task_type(dataset.task_type).main_metric)
        .order_by(Run.id, Score.subset, Score.split)
    )
    cells: dict[int, dict[Cell, float]] = {}
    intervals: dict[int, dict[Cell, Interval]] = {}
    for model_id, split, subset, value, low, high, n in session.execute(query):
        cells.setdefault(model_id, {})[split, subset] = value
        if low is not None and high is not None and n is not None:
            intervals.setdefault(model_id, {})[split, subset] = Interval(low, high, n)
    return cells, intervals


def _newest_runs(session: Session, revision_id: int) -> dict[int, Any]:
    """Model id -> its newest run that was not cancelled, with the model's name and its newest finished run."""
    per_model = (
        select(
            func.max(Run.id).label("newest"),
            func.max(Run.id).filter(Run.state == JobState.DONE).label("finished"),
        )
        .where(Run.dataset_revision_id == revision_id, Run.state != JobState.CANCELLED)
        .group_by(Run.model_id)
        .subquery("per_model")
    )
    result = aliased(Run)
    query = (
        select(
            Run.id,
            Run.model_id,
            Run.state,
            Run.done,
            Run.total,
            Run.failure,
            Run.finished_at,
            Model.name,
            Model.variant,
            Model.revision,
            has_twins(),
            per_model.c.finished,
            result.main_low,
            result.main_high,
            result.main_n,
        )
        .join(per_model, per_model.c.newest == Run.id)
        .outerjoin(result, result.id == per_model.c.finished)
        .join(Model, Model.id == Run.model_id)
        .order_by(Run.model_id)
    )
    return {row.model_id: row for row in session.execute(query)}


def _score_row(
    run: Any, rank: int | None, score: float | None, cells: Mapping[Cell, float], intervals: Mapping[Cell, Interval]
) -> ScoreRow:
    return ScoreRow(
        model_id=run.model_id,
        model=run.name,
        variant=run.variant,
        chips=model_chips(run.variant, run.revision, run.twins),
        rank=rank,
        score=score,
        run_id=run.finished or run.id,
        state=JobState(run.state),
        done=run.done,
        total=run.total,
        reason=(run.failure or {}).get("message", ""),
        finished_at=run.finished_at,
        cells=cells,
        interval=Interval(run.main_low, run.main_high, run.main_n) if run.main_n and score is not None else None,
        intervals=intervals,
    )
