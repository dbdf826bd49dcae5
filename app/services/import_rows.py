"""The rows of an imported board: models, results and scores in batches, which result counts, and the columns."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Table, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session, aliased

from app.db.imported_tables import ImportedColumn, ImportedModel, ImportedResult, ImportedScore
from app.mteb.registry import find_model, find_task
from app.mteb.results import Candidate, prefer
from app.services.import_reading import Line, ModelLine
from app.services.import_scope import Scope

UNKNOWN_TYPE = "Other"
"""The task type of a task that mteb does not know."""
BATCH = 1000
BATCH_CELLS = 20_000
"""So many results, or cells of them, are written at once."""

_MODELS: Table = ImportedModel.metadata.tables[ImportedModel.__tablename__]
_RESULTS: Table = ImportedResult.metadata.tables[ImportedResult.__tablename__]
_SCORES: Table = ImportedScore.metadata.tables[ImportedScore.__tablename__]


def write_rows(session: Session, benchmark_id: int, archive_id: int, lines: Iterable[Line]) -> None:
    """Write what was read. Results are marked as chosen; `choose` takes that from those that do not count."""
    batch: list[tuple[dict[str, Any], list[tuple[str, str, float]]]] = []
    models = _models(session, benchmark_id)
    model_id = waiting = 0
    for line in lines:
        if line[0] == "model":
            model_id = _write_model(session, benchmark_id, models, line)
            continue
        _, task, version, cells = line
        row = {"model_id": model_id, "archive_id": archive_id, "task": task, "mteb_version": version, "chosen": True}
        batch.append((row, cells))
        waiting += len(cells)
        if len(batch) == BATCH or waiting >= BATCH_CELLS:
            _write_batch(session, archive_id, batch)
            batch, waiting = [], 0
    if batch:
        _write_batch(session, archive_id, batch)


def replace_older(session: Session, benchmark_id: int, archive_id: int) -> None:
    """Delete what an earlier import said of the same (model, revision, task)."""
    newer = aliased(ImportedResult)
    again = select(newer.id).where(
        newer.archive_id == archive_id, newer.model_id == ImportedResult.model_id, newer.task == ImportedResult.task
    )
    models = select(ImportedModel.id).where(ImportedModel.benchmark_id == benchmark_id)
    session.execute(
        delete(ImportedResult)
        .where(ImportedResult.model_id.in_(models), ImportedResult.archive_id != archive_id, again.exists())
        .execution_options(synchronize_session=False)
    )


def choose(session: Session, benchmark_id: int) -> None:
    """Mark, where a model's name has several results on a task, the one that counts."""
    several = (
        select(ImportedModel.name, ImportedResult.task)
        .join(ImportedResult, ImportedResult.model_id == ImportedModel.id)
        .where(ImportedModel.benchmark_id == benchmark_id)
        .group_by(ImportedModel.name, ImportedResult.task)
        .having(func.count() > 1)
        .subquery()
    )
    rows = session.execute(
        select(
            ImportedModel.name,
            ImportedResult.task,
            ImportedModel.revision,
            ImportedResult.mteb_version,
            ImportedResult.id,
            ImportedResult.chosen,
        )
        .join(ImportedResult, ImportedResult.model_id == ImportedModel.id)
        .join(several, (several.c.name == ImportedModel.name) & (several.c.task == ImportedResult.task))
        .where(ImportedModel.benchmark_id == benchmark_id)
        .order_by(ImportedModel.name, ImportedResult.task, ImportedModel.revision, ImportedResult.id)
    )
    changes: list[dict[str, Any]] = []
    for (name, _), group in groupby(rows, key=itemgetter(0, 1)):
        results = list(group)
        candidates = [Candidate(revision, version) for _, _, revision, version, _, _ in results]
        best = prefer(candidates, main_revision(name))
        changes += [
            {"result": result_id, "counts": place == best}
            for place, (*_, result_id, chosen) in enumerate(results)
            if chosen != (place == best)
        ]
    if changes:
        marking = update(_RESULTS).where(_RESULTS.c.id == bindparam("result")).values(chosen=bindparam("counts"))
        session.connection().execute(marking, changes)


def main_revision(model: str) -> str | None:
    """The revision of a model that mteb evaluates; None if it knows no model of exactly this name."""
    known = find_model(model)
    return known.revision if known and known.name == model else None


def set_columns(session: Session, benchmark_id: int, scope: Scope, languages: Mapping[str, Iterable[str]]) -> None:
    """Write the columns anew: those of the definition, else every task with a chosen score.

    Args:
        session: The transaction.
        benchmark_id: The board.
        scope: What counts.
        languages: Those that this import's files name, for tasks that mteb does not know.
    """
    before = dict(
        session.execute(
            select(ImportedColumn.task, ImportedColumn.languages).where(ImportedColumn.benchmark_id == benchmark_id)
        ).all()
    )
    columns = _defined_columns(scope) if scope.definition else _found_columns(session, benchmark_id)
    session.execute(delete(ImportedColumn).where(ImportedColumn.benchmark_id == benchmark_id))
    rows = []
    for position, (task, cells) in enumerate(columns):
        known = find_task(task)
        named = {*before.get(task, ()), *languages.get(task, ())}
        if known:
            named = {code for _, subset in cells for code in known.subsets.get(subset, known.languages)}
        rows.append(
            {
                "benchmark_id": benchmark_id,
                "task": task,
                "position": position,
                "task_type": known.task_type if known else UNKNOWN_TYPE,
                "cells": [list(cell) for cell in cells],
                "languages": sorted(named),
            }
        )
    if rows:
        session.execute(insert(ImportedColumn), rows)


def _defined_columns(scope: Scope) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for task in scope.tasks:
        yield task, list(scope.cells(task))


def _found_columns(session: Session, benchmark_id: int) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The tasks by name, with every cell that a result which counts has."""
    rows = session.execute(
        select(ImportedResult.task, ImportedScore.split, ImportedScore.subset)
        .distinct()
        .join(ImportedScore, ImportedScore.result_id == ImportedResult.id)
        .join(ImportedModel, ImportedModel.id == ImportedResult.model_id)
        .where(ImportedModel.benchmark_id == benchmark_id, ImportedResult.chosen)
    )
    ordered = sorted(rows, key=lambda row: (row[0].casefold(), *row))
    for task, group in groupby(ordered, key=itemgetter(0)):
        yield task, [(split, subset) for _, split, subset in group]


def _models(session: Session, benchmark_id: int) -> dict[tuple[str, str], int]:
    """Id by name and revision."""
    query = select(ImportedModel.name, ImportedModel.revision, ImportedModel.id)
    rows = session.execute(query.where(ImportedModel.benchmark_id == benchmark_id))
    return {(name, revision): model_id for name, revision, model_id in rows}


def _write_model(session: Session, benchmark_id: int, models: dict[tuple[str, str], int], line: ModelLine) -> int:
    """The id of that revision, whose row is made if need be; what a newer card states replaces the older."""
    _, name, revision, facts = line
    model_id = models.get((name, revision))
    if model_id is None:
        row = {"benchmark_id": benchmark_id, "name": name, "revision": revision, "meta": facts}
        adding = insert(_MODELS).returning(_MODELS.c.id)
        model_id = models[name, revision] = session.connection().execute(adding, row).scalar_one()
    elif facts:
        session.connection().execute(update(_MODELS).where(_MODELS.c.id == model_id).values(meta=facts))
    return model_id


def _write_batch(
    session: Session, archive_id: int, batch: list[tuple[dict[str, Any], list[tuple[str, str, float]]]]
) -> None:
    """Rows get rising ids in the order in which they are written, so one query tells those of this batch."""
    connection = session.connection()
    connection.execute(insert(_RESULTS), [row for row, _ in batch])
    newest = select(_RESULTS.c.id).where(_RESULTS.c.archive_id == archive_id).order_by(_RESULTS.c.id.desc())
    ids = connection.execute(newest.limit(len(batch))).scalars()
    scores = [
        {"result_id": result_id, "split": split, "subset": subset, "value": value}
        for result_id, (_, cells) in zip(ids, reversed(batch), strict=True)
        for split, subset, value in cells
    ]
    if scores:
        connection.execute(insert(_SCORES), scores)
