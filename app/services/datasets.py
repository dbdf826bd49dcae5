"""Datasets: a file comes in, is validated by a worker, and becomes an immutable revision."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, BinaryIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.task_types import scored_task_type
from app.db.tables import Benchmark, BenchmarkDataset, Dataset, DatasetRevision, JobState, Role, Upload
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.queue import wake_after_commit
from app.services import audit, jobs
from app.services.accounts import Person
from app.storage.blobs import BlobStore

LANGUAGE = re.compile(r"[a-z]{3}(-[A-Z][a-z]{3})?")
NAME_LENGTH = 120


@dataclass(frozen=True, slots=True)
class UploadForm:
    """What a person says about a file."""

    name: str
    task_type: str
    languages: tuple[str, ...]
    description: str = ""
    dataset_slug: str | None = None
    """Set for a new revision of a dataset that exists; name and task type are then its own."""


def check_form(session: Session, person: Person, form: UploadForm) -> Dataset | None:
    """Check everything that can be known before the file is read.

    Returns:
        The dataset a new revision is for, else None.

    Raises:
        Invalid: with a message for each field.
        Forbidden: a new revision of somebody else's dataset, and the person is no admin.
    """
    if form.dataset_slug is not None:
        dataset = by_slug(session, form.dataset_slug)
        if dataset.owner_id != person.id and not person.can(Role.ADMIN):
            raise Forbidden("Only its owner or an admin may add a revision to this dataset.")
        return dataset
    scored_task_type(form.task_type)
    fields: dict[str, str] = {}
    if not clean_name(form.name):
        fields["name"] = "Give it a name that people will recognise on the board."
    elif len(form.name) > NAME_LENGTH or _has_controls(form.name):
        fields["name"] = f"At most {NAME_LENGTH} characters, no control or direction marks."
    elif session.scalar(select(Dataset.id).where(Dataset.slug == slugify(form.name))):
        fields["name"] = "A dataset of this name exists. Choose another, or add a revision to that one."
    if not form.languages:
        fields["languages"] = "Name at least one language, such as eng-Latn."
    elif wrong := [language for language in form.languages if not LANGUAGE.fullmatch(language)]:
        fields["languages"] = (
            f"{wrong[0]!r} is no language code. Use ISO 639-3 and script: eng-Latn, deu-Latn, cmn-Hans."
        )
    if fields:
        raise Invalid("The form has fields to mend.", details={"fields": fields})
    return None


def receive(
    session: Session,
    blobs: BlobStore,
    person: Person,
    form: UploadForm,
    *,
    file: BinaryIO,
    file_name: str,
    max_bytes: int,
) -> Upload:
    """Store the file and queue its validation.

    Raises:
        Invalid, Forbidden: see `check_form`; also for an empty file.
        TooLarge: beyond `max_bytes`.
        Conflict: these very bytes are a dataset already; `details` names it.
    """
    dataset = check_form(session, person, form)
    blob = blobs.put(file, max_bytes=max_bytes)
    if blob.size == 0:
        blobs.delete(blob.sha256)
        raise Invalid("The file is empty.", code="empty_file", details={"fields": {"file": "The file is empty."}})
    _refuse_known_file(session, blob.sha256)
    upload = Upload(
        owner_id=person.id,
        dataset_id=dataset.id if dataset else None,
        name=dataset.name if dataset else clean_name(form.name),
        task_type=dataset.task_type if dataset else form.task_type,
        languages=dataset.languages if dataset else list(form.languages),
        description=dataset.description if dataset else form.description.strip(),
        file_name=_safe_file_name(file_name),
        file_sha256=blob.sha256,
        file_bytes=blob.size,
        state=JobState.QUEUED,
    )
    session.add(upload)
    session.flush()
    audit.record(
        session, person, "upload.receive", f"upload {upload.id}", {"file": upload.file_name, "bytes": blob.size}
    )
    wake_after_commit(session, "light")
    return upload


def publish(session: Session, person: Person, upload_id: int, *, benchmark_slug: str | None = None) -> Dataset:
    """Make a validated upload a dataset, or a new revision of one; optionally a column of a board.

    Raises:
        Invalid: not validated, or refused by the validation.
        Conflict: published already, its name is taken by now, or the dataset has this content.
    """
    upload = own_upload(session, person, upload_id)
    report = upload.report or {}
    if upload.published_revision_id is not None:
        raise Conflict("This upload is published already.", code="already_published")
    if upload.state != JobState.DONE or not report.get("ok"):
        raise Invalid("Only an upload whose report has no error can be published.", code="not_valid")
    dataset = _dataset_of(session, upload)
    revision = DatasetRevision(
        dataset_id=dataset.id,
        revision=report["revision"],
        canonical_sha256=report["canonical_sha256"],
        canonical_bytes=report["canonical_bytes"],
        file_name=upload.file_name,
        file_sha256=upload.file_sha256,
        counts=report["counts"],
        warnings=report["warnings"],
        created_by=person.id,
    )
    same = select(DatasetRevision.id).where(
        DatasetRevision.dataset_id == dataset.id, DatasetRevision.revision == revision.revision
    )
    if session.scalar(same):
        raise Conflict(f"{dataset.name} has exactly this content already.", code="same_revision")
    session.add(revision)
    session.flush()
    upload.dataset_id, upload.published_revision_id = dataset.id, revision.id
    if benchmark_slug:
        _add_to_benchmark(session, benchmark_slug, dataset)
    audit.record(session, person, "dataset.publish", dataset.slug, {"revision": revision.revision, **report["counts"]})
    return dataset


def discard(session: Session, blobs: BlobStore, person: Person, upload_id: int) -> None:
    """Forget an upload that was not published, and its file when nothing else uses it."""
    upload = own_upload(session, person, upload_id)
    if upload.published_revision_id is not None:
        raise Conflict("This upload is published; its file stays with the dataset.", code="already_published")
    jobs.request_cancel(session, Upload, upload.id)
    session.delete(upload)
    session.flush()
    for sha256 in {upload.file_sha256, (upload.report or {}).get("canonical_sha256")} - {None}:
        if not blob_in_use(session, sha256):
            blobs.delete(sha256)
    audit.record(session, person, "upload.discard", f"upload {upload_id}", {"file": upload.file_name})


def describe(session: Session, person: Person, slug: str, *, languages: tuple[str, ...], description: str) -> Dataset:
    """Change what a dataset says of itself; its texts never change."""
    dataset = by_slug(session, slug)
    if dataset.owner_id != person.id and not person.can(Role.ADMIN):
        raise Forbidden("Only its owner or an admin may change this dataset.")
    if not languages or any(not LANGUAGE.fullmatch(language) for language in languages):
        message = "Use ISO 639-3 and script: eng-Latn, deu-Latn, cmn-Hans."
        raise Invalid("The form has fields to mend.", details={"fields": {"languages": message}})
    dataset.languages, dataset.description = list(languages), description.strip()
    audit.record(session, person, "dataset.describe", slug)
    return dataset


def own_upload(session: Session, person: Person, upload_id: int) -> Upload:
    """That upload, for its owner and for admins; NotFound for everyone else."""
    upload = session.get(Upload, upload_id)
    if upload is None or (upload.owner_id != person.id and not person.can(Role.ADMIN)):
        raise NotFound("There is no such upload, or it is somebody else's.")
    return upload


def by_slug(session: Session, slug: str) -> Dataset:
    """The dataset of that slug, or NotFound."""
    dataset = session.scalar(select(Dataset).where(Dataset.slug == slug))
    if dataset is None:
        raise NotFound(f"There is no dataset {slug!r}.")
    return dataset


def blob_in_use(session: Session, sha256: str, *, except_upload: int | None = None) -> bool:
    """Whether an upload (other than `except_upload`) or a revision refers to that blob."""
    revisions = select(DatasetRevision.id).where(
        (DatasetRevision.file_sha256 == sha256) | (DatasetRevision.canonical_sha256 == sha256)
    )
    uploads = select(Upload.id).where(Upload.file_sha256 == sha256, Upload.id != (except_upload or 0))
    return session.scalar(revisions.limit(1)) is not None or session.scalar(uploads.limit(1)) is not None


def slugify(name: str) -> str:
    """A name as a part of an address: letters and digits of any script, joined by hyphens."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[^\w]+", "-", folded, flags=re.UNICODE).strip("-_")[:80]


def clean_name(name: str) -> str:
    """A name as stored: NFC, trimmed; empty when nothing of it could stand in an address."""
    cleaned = unicodedata.normalize("NFC", name).strip()
    return cleaned if slugify(cleaned) else ""


def _refuse_known_file(session: Session, sha256: str) -> None:
    known = session.execute(
        select(Dataset.slug, Dataset.name)
        .join(DatasetRevision, DatasetRevision.dataset_id == Dataset.id)
        .where(DatasetRevision.file_sha256 == sha256)
        .limit(1)
    ).first()
    if known:
        raise Conflict(
            f"This very file is the dataset {known.name!r} already.", code="same_file", details={"dataset": known.slug}
        )


def _dataset_of(session: Session, upload: Upload) -> Dataset:
    if upload.dataset_id is not None:
        found = session.get(Dataset, upload.dataset_id)
        assert found is not None  # noqa: S101 - a foreign key
        return found
    slug = slugify(upload.name)
    if session.scalar(select(Dataset.id).where(Dataset.slug == slug)):
        raise Conflict(f"A dataset named {upload.name!r} was published meanwhile.", code="name_taken")
    dataset = Dataset(
        slug=slug,
        name=upload.name,
        task_type=upload.task_type,
        languages=upload.languages,
        description=upload.description,
        owner_id=upload.owner_id,
    )
    session.add(dataset)
    session.flush()
    return dataset


def _add_to_benchmark(session: Session, slug: str, dataset: Dataset) -> None:
    benchmark = session.scalar(select(Benchmark).where(Benchmark.slug == slug))
    if benchmark is None:
        raise NotFound(f"There is no board {slug!r}.")
    taken = select(BenchmarkDataset.position).where(BenchmarkDataset.benchmark_id == benchmark.id)
    positions: dict[str, Any] = {"position": max(session.scalars(taken).all(), default=-1) + 1}
    key = (benchmark.id, dataset.id)
    if session.get(BenchmarkDataset, key) is None:
        session.add(BenchmarkDataset(benchmark_id=key[0], dataset_id=key[1], **positions))


def _has_controls(text: str) -> bool:
    return any(unicodedata.category(character) in {"Cc", "Cf", "Cs"} for character in text)


def _safe_file_name(name: str) -> str:
    base = re.split(r"[/\\]", name)[-1]
    return "".join(character for character in base if not _has_controls(character))[-255:] or "upload"
