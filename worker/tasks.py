"""What a worker does when it is woken: claim the next piece of work until none is left."""

import errno
import tempfile
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from app.core.formats import Limits, canonical
from app.core.records import Dataset
from app.db.session import Database
from app.db.tables import DatasetRevision, JobState, Model, Run, Upload
from app.errors import AppError, RunFailure
from app.services import choices, datasets, jobs, models, runs
from app.services.evidence import EvidenceReader
from app.settings import Settings
from app.storage.blobs import BlobStore, drop_abandoned
from worker.certainty import CertaintyKeeper
from worker.encoders.base import ModelSpec, Precision, device_kind
from worker.lease import CancelRequested, Lease, LeaseLost, WorkerStopping, worker_stopping

if TYPE_CHECKING:
    from worker.evaluate import Evaluation

log = structlog.get_logger(__name__)


class DeviceLost(Exception):
    """This process can compute no more; another one can."""


class Shop:
    """What every task needs: settings, database, files, and this worker's name."""

    def __init__(self, settings: Settings, worker: str) -> None:
        self.settings = settings
        self.worker = worker
        self.database = Database.from_settings(settings)
        self.blobs = BlobStore(settings.blobs_dir)
        self.certainty = CertaintyKeeper(self.database, EvidenceReader(self.blobs))
        self.busy = False

    def work_encode(self) -> int:
        """Evaluate queued runs until none is left; returns how many this worker took.

        Raises:
            DeviceLost: the run at hand has failed, and so would every other.
        """
        return self._drain({Run: self._evaluate})

    def work_light(self) -> int:
        """Validate uploads and inspect models until none is left; then see how sure the boards are."""
        taken = self._drain({Upload: self._validate, Model: self._inspect})
        self.busy = True
        try:
            self.certainty.refresh()
        except (OperationalError, InterfaceError) as error:
            log.warning("the database does not answer, the sweep will look again", error=str(error))
        finally:
            self.busy = False
        return taken

    def _drain(self, kinds: dict[jobs.JobTable, Callable[[Lease], None]]) -> int:
        taken = 0
        self.busy = True
        try:
            while not worker_stopping() and (held := self._claim(kinds)) is not None:
                taken += 1
                self._attempt(held, kinds[held.table])
        except (OperationalError, InterfaceError) as error:
            log.warning("the database does not answer, the sweep will look again", error=str(error))
        finally:
            self.busy = False
        return taken

    def _claim(self, tables: Iterable[jobs.JobTable]) -> jobs.Claim | None:
        for table in tables:
            with self.database.session() as session:
                held = jobs.claim(session, table, worker=self.worker, lease_seconds=self.settings.lease_seconds)
            if held is not None:
                return held
        return None

    def _attempt(self, held: jobs.Claim, work: Callable[[Lease], None]) -> None:
        """Do one job; whatever happens, its row says so, unless it is ours no more."""
        bound = log.bind(job=f"{held.table.__tablename__}/{held.id}", attempt=held.attempt)
        bound.info("begins")
        with Lease(self.database, held, self.settings) as lease:
            try:
                work(lease)
                bound.info("done")
                return
            except LeaseLost:
                bound.warning("lease lost, nothing published")
                return
            except WorkerStopping:
                with self.database.session() as session:
                    jobs.release(session, held)
                bound.info("given back, the worker is stopping")
                return
            except CancelRequested:
                lease.note("cancelled")
                self._end(lease, JobState.CANCELLED)
                return
            except (OperationalError, InterfaceError) as error:
                # Nobody knows whether the last commit got through. If not, a sweep queues the job again.
                bound.warning("the database went away, the row waits for its lease to end", error=str(error))
                return
            except DeviceLost:
                bound.warning("done, but the device is lost")
                raise
            except Exception as error:
                code, failure = _explained(error)
                lease.note(f"failed, {code}: {failure['message']}")
                if not isinstance(error, AppError):
                    lease.note("".join(traceback.format_exception(error)))
                bound.warning("failed", code=code, exc_info=code == "internal")
                self._end(lease, JobState.FAILED, failure_code=code, failure=failure)
                if code == "device_lost":
                    raise DeviceLost from error

    def _end(self, lease: Lease, state: JobState, **values: Any) -> None:
        if lease.held.table is Run:
            values["log"] = lease.log_text
        with self.database.session() as session:
            jobs.finish(session, lease.held, state, **values)

    def _evaluate(self, lease: Lease) -> None:
        from worker.evaluate import evaluate  # the light worker never comes here and never loads torch

        with self.database.reading() as session:
            model, revision, about = runs.inputs(session, lease.held.id)
            fresh = runs.get(session, lease.held.id).fresh
            spec = spec_of(model)
            known = not spec.measurable or runs.is_measured(session, model.id, device_kind(self.settings.device))
        evaluation = evaluate(
            self._dataset(revision),
            spec,
            store=None if fresh else self.settings.vectors_dir,
            progress=lease,
            device=self.settings.device,
            batch_tokens=self.settings.batch_tokens,
            language=about.languages[0].partition("-")[0] if len(about.languages) == 1 else None,
            measure=not known,
        )
        self._publish(lease, revision, evaluation)
        if isinstance(evaluation.measured, RunFailure) and evaluation.measured.code == "device_lost":
            raise DeviceLost from evaluation.measured

    def _publish(self, lease: Lease, revision: DatasetRevision, evaluation: "Evaluation") -> None:
        evidence = [
            runs.CellEvidence(item.split, item.subset, item.kind, self._store_arrays(item.arrays))
            for item in evaluation.evidence
        ]
        lease.check()
        lease.note(f"{evaluation.main_metric} = {evaluation.main_score:.6f}")
        measured, cost = evaluation.measured, None
        if isinstance(measured, RunFailure):
            lease.note(f"not measured, {measured.code}: {measured.message} {measured.remedy}")
            if measured.code == "internal":
                lease.note("".join(traceback.format_exception(measured)))
        elif measured is not None:
            cost = runs.ModelCost(**asdict(measured))
        provenance = {
            **evaluation.provenance,
            "dataset_revision": revision.revision,
            "worker": self.worker,
            "main_metric": evaluation.main_metric,
        }
        with self.database.session() as session:
            published = runs.complete(
                session,
                lease.held,
                main_score=evaluation.main_score,
                interval=evaluation.interval,
                scores=_cell_scores(evaluation),
                evidence=evidence,
                provenance=provenance,
                log=lease.log_text,
                measurement=cost,
            )
        if not published:
            raise LeaseLost

    def _validate(self, lease: Lease) -> None:
        from worker.validation import validate

        with self.database.reading() as session:
            upload = session.get_one(Upload, lease.held.id)
        settings = self.settings
        lease.stage("validate", upload.file_bytes)

        def progress(done: int, total: int) -> None:
            lease.advance(done, total)
            lease.check()

        with tempfile.TemporaryDirectory(dir=_workplace(settings)) as out_dir:
            verdict = validate(
                self.blobs.path(upload.file_sha256),
                filename=upload.file_name,
                task_type=upload.task_type,
                out_dir=Path(out_dir),
                limits=Limits(max_rows=settings.upload_max_rows, max_field_chars=settings.upload_max_field_chars),
                choices=choices.reader_choices(upload.choices),
                memory_bytes=settings.upload_memory_bytes,
                cpu_seconds=settings.upload_cpu_seconds,
                timeout=2 * settings.upload_cpu_seconds,
                progress=progress,
            )
            if verdict.status >= 500:  # our fault, not the file's: it stays, and can be checked again
                problem = verdict.problems[0]
                raise RunFailure(problem.message, code=problem.code, remedy="See the worker's log, then try again.")
            report = asdict(verdict)
            report.pop("canonical_path")
            if verdict.ok and verdict.canonical_path:
                blob = self.blobs.put_file(Path(verdict.canonical_path))
                report |= {"canonical_sha256": blob.sha256, "canonical_bytes": blob.size}
            with self.database.session() as session:
                finished = jobs.finish(session, lease.held, JobState.DONE, report=report)
                if finished and verdict.ok and verdict.canonical_path:
                    datasets.keep_file(session, self.blobs, blob.sha256, Path(verdict.canonical_path))
                elif given_up := upload.file_sha256 if finished else report.get("canonical_sha256"):
                    datasets.drop_file(session, self.blobs, given_up, except_upload=upload.id)

    def _inspect(self, lease: Lease) -> None:
        from worker.inspect import inspect

        with self.database.reading() as session:
            model = session.get_one(Model, lease.held.id)
        lease.stage("inspect", 0)
        found = asdict(inspect(spec_of(model)))
        revision = found.pop("revision")
        with self.database.session() as session:
            stored = models.inspected(session, lease.held, revision=revision, found=found)
        if not stored:
            raise LeaseLost

    def _dataset(self, revision: DatasetRevision) -> Dataset:
        try:
            return canonical.read(self.blobs.path(revision.canonical_sha256))
        except FileNotFoundError as error:
            raise RunFailure(
                f"The texts of revision {revision.revision[:12]} are not in this worker's data folder.",
                code="dataset_missing",
                remedy="Give web and workers the same data folder, or restore the file from a backup.",
            ) from error
        except canonical.CorruptDataset as error:
            raise RunFailure(
                f"The file with the texts of revision {revision.revision[:12]} is damaged.",
                code="dataset_missing",
                remedy="Restore the file from a backup.",
            ) from error

    def _store_arrays(self, arrays: dict[str, np.ndarray[Any, Any]]) -> str:
        with tempfile.TemporaryFile(dir=_workplace(self.settings)) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # numpy's stub wants allow_pickle here
            file.seek(0)
            return self.blobs.put(file).sha256


def _cell_scores(evaluation: "Evaluation") -> list[runs.CellScore]:
    """Every metric of every cell, the main one with its interval."""
    intervals = {(item.split, item.subset, evaluation.main_metric): item.interval for item in evaluation.evidence}
    return [
        runs.CellScore(s.split, s.subset, s.metric, s.value, intervals.get((s.split, s.subset, s.metric)))
        for s in evaluation.scores
    ]


def _explained(error: Exception) -> tuple[str, dict[str, Any]]:
    """A failure's code, and what its row says in words."""
    if isinstance(error, AppError):
        remedy = getattr(error, "remedy", "")
        return error.code, {"message": error.message, "remedy": remedy, "details": error.details}
    if isinstance(error, MemoryError):
        remedy = "Give it more, or lower TOUCHSTONE_BATCH_TOKENS."
        return "out_of_memory", {"message": "The worker ran out of memory.", "remedy": remedy}
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "disk_full", {"message": "The worker's disk is full.", "remedy": "Free some space, then try again."}
    return "internal", {
        "message": f"Something unforeseen happened: {type(error).__name__}.",
        "remedy": "The log has the details. Try again; if it stays, report it with this log.",
    }


def spec_of(model: Model) -> ModelSpec:
    """What the engine needs to know of a registered model."""
    return ModelSpec(
        name=model.name,
        revision=model.revision,
        loader=model.loader,
        source=model.source,
        path=model.path,
        truncate_dim=model.truncate_dim,
        precision=cast("Precision", model.precision),
        max_tokens=model.max_tokens_limit,
        dtype=model.dtype,
        query_prompt=model.query_prompt,
        document_prompt=model.document_prompt,
        prompts=model.prompts,
    )


def _workplace(settings: Settings) -> Path:
    """The folder for temporary files; what killed workers left there a day ago goes."""
    folder = settings.data_dir / "work"
    folder.mkdir(parents=True, exist_ok=True)
    drop_abandoned(folder)
    return folder
