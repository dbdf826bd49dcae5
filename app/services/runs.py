"""Runs: queue models on datasets, cancel, try again, publish results."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.core.significance import Interval
from app.db.tables import Dataset, DatasetRevision, Evidence, JobState, Measurement, Model, Run, Score
from app.db.types import db_now
from app.errors import Conflict, Invalid, NotFound
from app.queue import wake_after_commit
from app.services import audit, jobs
from app.services.accounts import Person

OPEN_STATES = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Queued:
    """What became of a product of models and datasets."""

    run_ids: tuple[int, ...]
    already_done: int
    already_open: int


@dataclass(frozen=True, slots=True)
class CellScore:
    """One metric of one (split, subset); the main one with its 95% interval."""

    split: str
    subset: str
    metric: str
    value: float
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class CellEvidence:
    """Where the per-example values of one (split, subset) lie."""

    split: str
    subset: str
    kind: str
    blob_sha256: str


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What the run's model costs on one kind of device; see `app.db.tables.Measurement`."""

    device: str
    peak_memory_mb: float
    query_p50_ms: float
    query_p95_ms: float
    documents_per_second: float
    details: dict[str, Any] = field(default_factory=dict)


def queue_product(
    session: Session,
    person: Person,
    *,
    model_ids: Iterable[int],
    dataset_ids: Iterable[int],
    again: bool = False,
    priority: int = 0,
) -> Queued:
    """Queue every model on the newest revision of every dataset, dataset after dataset for each model.

    A pair that has a finished run is left out unless `again`; one that waits or works always is, also when
    somebody else queues it at this moment.

    Raises:
        Invalid: nothing chosen, a model that is not ready, a dataset without a revision.
        NotFound: an id that does not exist.
    """
    chosen = {"model": set(model_ids), "dataset": set(dataset_ids)}
    if missing := {kind: f"Choose at least one {kind}." for kind, ids in chosen.items() if not ids}:
        raise Invalid(" ".join(missing.values()), details={"fields": missing})
    models = _ready_models(session, chosen["model"])
    revisions = newest_revisions(session, chosen["dataset"])
    pairs = select(Run.model_id, Run.dataset_revision_id, Run.state).where(
        Run.model_id.in_([model.id for model in models]), Run.dataset_revision_id.in_(revisions.values())
    )
    existing: dict[tuple[int, int], set[str]] = {}
    for model_id, revision_id, state in session.execute(pairs):
        existing.setdefault((model_id, revision_id), set()).add(state)
    run_ids, done, waiting = [], 0, 0
    for model in models:
        for revision_id in revisions.values():
            states = existing.get((model.id, revision_id), set())
            if JobState.DONE in states and not again and not states & set(OPEN_STATES):
                done += 1
            elif (run_id := _insert(session, person, model.id, revision_id, priority)) is None:
                waiting += 1
            else:
                run_ids.append(run_id)
    if run_ids:
        detail = {"models": [model.name for model in models], "runs": len(run_ids), "again": again}
        audit.record(session, person, "run.queue", f"{len(run_ids)} runs", detail)
        wake_after_commit(session, "encode")
    return Queued(tuple(run_ids), done, waiting)


def ids_of_slugs(session: Session, slugs: Iterable[str]) -> list[int]:
    """The ids of the datasets of these slugs.

    Raises:
        NotFound: naming the first that does not exist.
    """
    wanted = set(slugs)
    storable = [slug for slug in wanted if slug.isprintable()]  # no database takes NUL or half of a surrogate pair
    found = dict(session.execute(select(Dataset.slug, Dataset.id).where(Dataset.slug.in_(storable))).all())
    if missing := wanted - found.keys():
        raise NotFound(f"There is no dataset {min(missing)!r}.")
    return list(found.values())


def repeat(session: Session, person: Person, run_id: int) -> int:
    """Queue a finished run's pair again, as a run that encodes every text anew: does the score come out the same?

    Returns:
        The id of the new run.

    Raises:
        Conflict: the run has no result yet, or the pair waits or works already.
    """
    old = get(session, run_id)
    if old.state != JobState.DONE:
        raise Conflict(f"Run {run_id} is {old.state}; only finished runs can be repeated.", code="run_not_done")
    new_id = _insert(session, person, old.model_id, old.dataset_revision_id, old.priority, fresh=True)
    if new_id is None:
        raise _is_open()
    audit.record(session, person, "run.repeat", f"run {new_id}", {"of": run_id})
    wake_after_commit(session, "encode")
    return new_id


def newest_revisions(session: Session, ids: set[int]) -> dict[int, int]:
    """The id of the newest revision of each dataset.

    Raises:
        NotFound: a dataset that does not exist or has no revision.
    """
    newest = (
        select(DatasetRevision.dataset_id, func.max(DatasetRevision.id))
        .where(DatasetRevision.dataset_id.in_(ids))
        .group_by(DatasetRevision.dataset_id)
        .order_by(DatasetRevision.dataset_id)
    )
    found = {row[0]: row[1] for row in session.execute(newest)}
    if missing := ids - found.keys():
        raise NotFound(f"There is no dataset with the number {min(missing)}.")
    return found


def cancel(session: Session, person: Person, run_id: int) -> JobState:
    """Cancel a waiting run at once; a running one as soon as its worker notices, within seconds.

    Returns:
        The state it was in.

    Raises:
        Conflict: it has ended already.
    """
    run = get(session, run_id)
    before = jobs.request_cancel(session, Run, run_id)
    if before is None:
        raise Conflict(f"Run {run_id} is {run.state} already.", code="run_ended")
    audit.record(session, person, "run.cancel", f"run {run_id}")
    return before


def retry(session: Session, person: Person, run_id: int) -> int:
    """Queue a failed or cancelled run's pair again, as a run of its own; the old one stays as it was.

    Returns:
        The id of the new run.

    Raises:
        Conflict: the run has not failed, or the pair waits or works already.
    """
    old = get(session, run_id)
    if old.state not in {JobState.FAILED, JobState.CANCELLED}:
        raise Conflict(
            f"Run {run_id} is {old.state}; only failed and cancelled runs are tried again.", code="run_not_failed"
        )
    new_id = _insert(session, person, old.model_id, old.dataset_revision_id, old.priority, fresh=old.fresh)
    if new_id is None:
        raise _is_open()
    audit.record(session, person, "run.retry", f"run {new_id}", {"after": run_id})
    wake_after_commit(session, "encode")
    return new_id


def complete(
    session: Session,
    held: jobs.Claim,
    *,
    main_score: float,
    scores: Iterable[CellScore],
    evidence: Iterable[CellEvidence],
    provenance: dict[str, Any],
    log: str,
    interval: Interval | None = None,
    measurement: ModelCost | None = None,
) -> bool:
    """Publish a result: the run is done and every score stands, in this one transaction.

    A measurement takes the place of the last one of its model on that kind of device.

    Returns:
        False when the claim was lost meanwhile; nothing is written then.
    """
    scores = tuple(scores)
    main = {"main_score": main_score, "cells": len({(score.split, score.subset) for score in scores})}
    if interval is not None:
        main |= {"main_low": interval.low, "main_high": interval.high, "main_n": interval.n}
    facts = {"provenance": provenance, "log": log, "device": provenance.get("device")}
    if not jobs.finish(session, held, JobState.DONE, **main, **facts):
        return False
    for score in scores:
        ends = asdict(score.interval) if score.interval else {}
        cell = {"split": score.split, "subset": score.subset, "metric": score.metric}
        session.add(Score(run_id=held.id, **cell, value=score.value, **ends))
    for item in evidence:
        session.add(
            Evidence(run_id=held.id, split=item.split, subset=item.subset, kind=item.kind, blob_sha256=item.blob_sha256)
        )
    session.flush()
    if measurement is not None:
        _keep_measurement(session, held.id, measurement)
    wake_after_commit(session, "light")  # who sees how sure the boards are by now
    return True


def is_measured(session: Session, model_id: int, device: str) -> bool:
    """Whether it is known what a model costs on that kind of device."""
    return session.get(Measurement, (model_id, device)) is not None


def get(session: Session, run_id: int) -> Run:
    """That run, or NotFound."""
    run = session.get(Run, run_id)
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    return run


def inputs(session: Session, run_id: int) -> tuple[Model, DatasetRevision, Dataset]:
    """What a run needs: its model, its dataset revision and the dataset."""
    row = session.execute(
        select(Model, DatasetRevision, Dataset)
        .join(Run, Run.model_id == Model.id)
        .join(DatasetRevision, Run.dataset_revision_id == DatasetRevision.id)
        .join(Dataset, DatasetRevision.dataset_id == Dataset.id)
        .where(Run.id == run_id)
    ).one()
    return row[0], row[1], row[2]


def _is_open() -> Conflict:
    return Conflict("Another run of this model on this dataset waits or works already.", code="run_open")


def _insert(
    session: Session, person: Person, model_id: int, revision_id: int, priority: int, *, fresh: bool = False
) -> int | None:
    """Add a run; None when its pair waits or works already.

    The partial unique index decides, so that two people at once cannot queue a pair twice.
    """
    values = {
        "model_id": model_id,
        "dataset_revision_id": revision_id,
        "priority": priority,
        "queued_by": person.id,
        "fresh": fresh,
    }
    statement = _dialect(session).insert(Run).values(**values).on_conflict_do_nothing().returning(Run.id)
    created: int | None = session.scalar(statement)
    return created


def _keep_measurement(session: Session, run_id: int, measurement: ModelCost) -> None:
    """One row a model and kind of device; of two workers at once, the last one stands."""
    model_id = session.scalars(select(Run.model_id).where(Run.id == run_id)).one()
    key = {"model_id": model_id, "device": measurement.device}
    values = {**asdict(measurement), "run_id": run_id, "measured_at": db_now(0)}
    statement = _dialect(session).insert(Measurement).values({**values, **key})
    session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def _dialect(session: Session) -> Any:
    """The module of the database's own statements."""
    return postgresql if session.get_bind().dialect.name == "postgresql" else sqlite


def _ready_models(session: Session, model_ids: set[int]) -> list[Model]:
    wanted = select(Model).where(Model.id.in_(model_ids)).order_by(Model.id)
    # Nobody may delete one of them before its runs are in.
    models = list(session.scalars(wanted.with_for_update(read=True, key_share=True)))
    if missing := model_ids - {model.id for model in models}:
        raise NotFound(f"There is no model with the number {min(missing)}.")
    if waiting := [model.name for model in models if model.state != JobState.DONE]:
        raise Invalid(
            f"{waiting[0]} is not ready: its inspection has not finished or failed. See its page.",
            code="model_not_ready",
            details={"fields": {"model": f"{waiting[0]} is not ready."}},
        )
    return models
