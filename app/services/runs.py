"""Runs: queue models on datasets, cancel, try again, publish results."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.tables import Dataset, DatasetRevision, Evidence, JobState, Model, Run, Score
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
    """One metric of one (split, subset)."""

    split: str
    subset: str
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class CellEvidence:
    """Where the per-example values of one (split, subset) lie."""

    split: str
    subset: str
    kind: str
    blob_sha256: str


def queue_product(
    session: Session,
    person: Person,
    *,
    model_ids: Iterable[int],
    dataset_ids: Iterable[int],
    again: bool = False,
    priority: int = 0,
) -> Queued:
    """Queue every model on the newest revision of every dataset.

    A pair that has a finished run is left out unless `again`; one that waits or works always is.

    Raises:
        Invalid: nothing chosen, a model that is not ready, a dataset without a revision.
        NotFound: an id that does not exist.
    """
    models = _ready_models(session, set(model_ids))
    revisions = newest_revisions(session, set(dataset_ids))
    pairs = select(Run.model_id, Run.dataset_revision_id, Run.state).where(
        Run.model_id.in_([model.id for model in models]), Run.dataset_revision_id.in_(revisions.values())
    )
    existing: dict[tuple[int, int], set[str]] = {}
    for model_id, revision_id, state in session.execute(pairs):
        existing.setdefault((model_id, revision_id), set()).add(state)
    runs, done, waiting = [], 0, 0
    for model in models:
        for revision_id in revisions.values():
            states = existing.get((model.id, revision_id), set())
            if states & set(OPEN_STATES):
                waiting += 1
            elif JobState.DONE in states and not again:
                done += 1
            else:
                run = Run(model_id=model.id, dataset_revision_id=revision_id, priority=priority, queued_by=person.id)
                runs.append(run)
    session.add_all(runs)
    session.flush()
    if runs:
        detail = {"models": [model.name for model in models], "runs": len(runs), "again": again}
        audit.record(session, person, "run.queue", f"{len(runs)} runs", detail)
        wake_after_commit(session, "encode")
    return Queued(tuple(run.id for run in runs), done, waiting)


def newest_revisions(session: Session, dataset_ids: set[int]) -> dict[int, int]:
    """The id of the newest revision of each dataset.

    Raises:
        Invalid: no dataset given.
        NotFound: a dataset that does not exist or has no revision.
    """
    if not dataset_ids:
        raise Invalid("Choose at least one dataset.", details={"fields": {"dataset": "Choose at least one."}})
    newest = (
        select(DatasetRevision.dataset_id, func.max(DatasetRevision.id))
        .where(DatasetRevision.dataset_id.in_(dataset_ids))
        .group_by(DatasetRevision.dataset_id)
        .order_by(DatasetRevision.dataset_id)
    )
    found = {row[0]: row[1] for row in session.execute(newest)}
    if missing := dataset_ids - found.keys():
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


def retry(session: Session, person: Person, run_id: int) -> Run:
    """Queue a failed or cancelled run's pair again, as a run of its own; the old one stays as it was.

    Raises:
        Conflict: the run has not failed, or the pair waits or works already.
    """
    old = get(session, run_id)
    if old.state not in {JobState.FAILED, JobState.CANCELLED}:
        raise Conflict(
            f"Run {run_id} is {old.state}; only failed and cancelled runs are tried again.", code="run_not_failed"
        )
    is_open = select(Run.id).where(
        Run.model_id == old.model_id,
        Run.dataset_revision_id == old.dataset_revision_id,
        Run.state.in_(OPEN_STATES),
    )
    if (other := session.scalar(is_open)) is not None:
        raise Conflict(f"Run {other} does this already.", code="run_open", details={"run": other})
    run = Run(
        model_id=old.model_id,
        dataset_revision_id=old.dataset_revision_id,
        priority=old.priority,
        queued_by=person.id,
    )
    session.add(run)
    session.flush()
    audit.record(session, person, "run.retry", f"run {run.id}", {"after": run_id})
    wake_after_commit(session, "encode")
    return run


def complete(
    session: Session,
    held: jobs.Claim,
    *,
    main_score: float,
    scores: Iterable[CellScore],
    evidence: Iterable[CellEvidence],
    provenance: dict[str, Any],
    log: str,
) -> bool:
    """Publish a result: the run is done and every score stands, in this one transaction.

    Returns:
        False when the claim was lost meanwhile; nothing is written then.
    """
    if not jobs.finish(session, held, JobState.DONE, main_score=main_score, provenance=provenance, log=log):
        return False
    for score in scores:
        session.add(
            Score(run_id=held.id, split=score.split, subset=score.subset, metric=score.metric, value=score.value)
        )
    for item in evidence:
        session.add(
            Evidence(run_id=held.id, split=item.split, subset=item.subset, kind=item.kind, blob_sha256=item.blob_sha256)
        )
    session.flush()
    return True


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


def _ready_models(session: Session, model_ids: set[int]) -> list[Model]:
    if not model_ids:
        raise Invalid("Choose at least one model.", details={"fields": {"model": "Choose at least one."}})
    models = list(session.scalars(select(Model).where(Model.id.in_(model_ids)).order_by(Model.id)))
    if missing := model_ids - {model.id for model in models}:
        raise NotFound(f"There is no model with the number {min(missing)}.")
    if waiting := [model.name for model in models if model.state != JobState.DONE]:
        raise Invalid(
            f"{waiting[0]} is not ready: its inspection has not finished or failed. See its page.",
            code="model_not_ready",
            details={"fields": {"model": f"{waiting[0]} is not ready."}},
        )
    return models
