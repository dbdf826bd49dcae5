"""Datasets: a file comes in, is validated by a worker, and becomes an immutable revision."""

import re
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.core.task_types import task_type
from app.db.imported_tables import ImportedArchive
from app.db.session import lock_name
from app.db.tables import Dataset, DatasetRevision, JobState, Role, Upload
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.queue import wake_after_commit
from app.services import audit, board_datasets, choices, jobs
from app.services.accounts import Person
from app.storage.blobs import BlobStore, Incoming

LANGUAGE = re.compile(r"[a-z]{3}(-[A-Z][a-z]{3})?")
LANGUAGE_HELP = "ISO 639-3 and script, such as eng-Latn, deu-Latn, cmn-Hans."
NAME_LENGTH = 120
DESCRIPTION_LENGTH = 4000
MAX_LANGUAGES = 50
RESERVED = frozenset({"new", "examples", "uploads"})
"""Slugs that are addresses of their own."""

_UNSAFE_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@dataclass(frozen=True, slots=True)
class UploadForm:
    """What a person says about a file."""

    name: str
    task_type: str
    languages: tuple[str, ...]
    description: str = ""
    dataset_slug: str | None = None
    """Set for a new revision of a dataset that exists; name, task type and the rest are then its own."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """As typed, see `app.services.choices.parse`; a revision takes what is not said from the one before."""


def accept(session: Session, person: Person, form: UploadForm, file: Incoming | None, *, file_name: str) -> Upload:
    """Take a file out of quarantine and queue its validation. What is refused leaves nothing behind.

    Raises:
        Invalid: with a message for each field; `unknown_task_type`.
        Forbidden: a new revision of somebody else's dataset, and the person is no admin.
        Conflict: these very bytes, scored in this way, are a dataset already; `details` names it.
    """
    dataset = revisable(session, person, form.dataset_slug) if form.dataset_slug else None
    fields = {} if dataset else _form_errors(session, form)
    kind, former = (dataset.task_type, choices_of(session, dataset)) if dataset else (form.task_type, {})
    chosen, wrong = choices.parse(form.choices, kind, former)
    fields |= wrong
    if file is None or not file.size:
        fields["file"] = "Choose a file." if file is None else "This file is empty. Choose one with rows."
    if fields:
        raise _invalid(fields)
    assert file is not None  # noqa: S101 - or `fields` has an entry
    lock_name(session, file.sha256)
    _refuse_known_file(session, file.sha256, chosen)
    upload = Upload(
        owner_id=person.id,
        dataset_id=dataset.id if dataset else None,
        name=dataset.name if dataset else clean_name(form.name),
        task_type=kind,
        languages=dataset.languages if dataset else list(form.languages),
        description=dataset.description if dataset else _clean_text(form.description),
        file_name=_safe_file_name(file_name),
        file_sha256=file.sha256,
        file_bytes=file.size,
        choices=chosen,
        state=JobState.QUEUED,
    )
    session.add(upload)
    session.flush()
    audit.record(
        session, person, "upload.receive", f"upload {upload.id}", {"file": upload.file_name, "bytes": file.size}
    )
    wake_after_commit(session, "light")
    file.keep()
    return upload


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
    """`accept` for a file that is at hand and small: it is copied while the transaction is open.

    Raises:
        Invalid, Forbidden, Conflict: see `accept`.
        TooLarge: beyond `max_bytes`.
    """
    with blobs.incoming(max_bytes=max_bytes) as incoming:
        shutil.copyfileobj(file, incoming)
        return accept(session, person, form, incoming, file_name=file_name)


def validate_again(session: Session, person: Person, upload_id: int) -> Upload:
    """Queue the validation of an upload whose validation could not be finished.

    Raises:
        Conflict: it waits, works or has a report already.
    """
    upload = own_upload(session, person, upload_id, lock=True)
    if upload.state not in {JobState.FAILED, JobState.CANCELLED}:
        raise Conflict("Only a validation that failed can be tried again.", code="not_failed")
    upload.state, upload.attempt, upload.cancel_requested = JobState.QUEUED, 0, False
    upload.failure, upload.failure_code, upload.finished_at = None, None, None
    audit.record(session, person, "upload.retry", f"upload {upload_id}")
    wake_after_commit(session, "light")
    return upload


def publish(session: Session, person: Person, upload_id: int, *, benchmark_slug: str | None = None) -> Dataset:
    """Make a validated upload a dataset, or a new revision of one; optionally a column of a board.

    Raises:
        Invalid: not validated, or refused by the validation.
        Conflict: published already, its name is taken by now, or the dataset has this content.
        NotFound: no such upload or board.
        Conflict: it is published already, or the board is an imported one.
        Forbidden: a board, and the person is no admin: a new column takes every model's mean until it is scored.
    """
    if benchmark_slug and not person.can(Role.ADMIN):
        raise Forbidden("Only an admin adds a dataset to a board. Publish it without one, then ask an admin.")
    upload = own_upload(session, person, upload_id, lock=True)
    report = upload.report or {}
    if upload.published_revision_id is not None:
        raise Conflict("This upload is published already.", code="already_published")
    if upload.state != JobState.DONE or not report.get("ok"):
        raise Invalid("Only an upload whose report has no error can be published.", code="not_valid")
    benchmark = board_datasets.find_and_lock(session, benchmark_slug) if benchmark_slug else None
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
    if benchmark:
        board_datasets.add(session, benchmark, dataset.id)
    detail = {"revision": revision.revision, **report["counts"], **({"board": benchmark.slug} if benchmark else {})}
    audit.record(session, person, "dataset.publish", dataset.slug, detail)
    return dataset


def discard(session: Session, blobs: BlobStore, person: Person, upload_id: int) -> None:
    """Forget an upload that was not published, and its files when nothing else uses them.

    Raises:
        Conflict: it is published.
        NotFound: no such upload.
    """
    upload = own_upload(session, person, upload_id, lock=True)
    if upload.published_revision_id is not None:
        raise Conflict("This upload is published; its file stays with the dataset.", code="already_published")
    jobs.request_cancel(session, Upload, upload.id)
    session.delete(upload)
    session.flush()
    canonical: str | None = (upload.report or {}).get("canonical_sha256")
    for sha256 in sorted({upload.file_sha256, canonical or upload.file_sha256}):
        drop_file(session, blobs, sha256)
    audit.record(session, person, "upload.discard", f"upload {upload_id}", {"file": upload.file_name})


def describe(
    session: Session, person: Person, slug: str, *, languages: Sequence[str], description: str, margin: float | None
) -> Dataset:
    """Change what a dataset says of itself; its texts never change. For `margin` see `Dataset`.

    Raises:
        Invalid: with a message for each field.
        Forbidden: somebody else's dataset, and the person is no admin.
    """
    dataset = revisable(session, person, slug)
    fields = _description_errors(languages, description)
    if margin is not None and not 0 <= margin <= 1:  # NaN is neither
        fields["margin"] = "Give 0 to 100 points, such as 1.5; nothing for the usual margin."
    if fields:
        raise _invalid(fields)
    dataset.languages, dataset.description, dataset.margin = list(languages), _clean_text(description), margin
    audit.record(session, person, "dataset.describe", slug, {"languages": dataset.languages, "margin": margin})
    return dataset


def own_upload(session: Session, person: Person, upload_id: int, *, lock: bool = False) -> Upload:
    """That upload, for its owner and for admins; NotFound for everyone else. `lock` keeps others from changing it."""
    upload = session.get(Upload, upload_id, with_for_update=lock or None)
    if upload is None or (upload.owner_id != person.id and not person.can(Role.ADMIN)):
        raise NotFound("There is no such upload, or it is somebody else's.")
    return upload


def revisable(session: Session, person: Person, slug: str) -> Dataset:
    """The dataset of that slug, for its owner and for admins.

    Raises:
        NotFound: there is none.
        Forbidden: it is somebody else's.
    """
    dataset = by_slug(session, slug)
    if not may_change(person, dataset.owner_id):
        raise Forbidden("Only its owner or an admin may change this dataset.")
    return dataset


def may_change(person: Person, owner_id: int) -> bool:
    """Whether this person may describe and extend a dataset of that owner."""
    return person.can(Role.ADMIN) or (person.can(Role.MEMBER) and owner_id == person.id)


def by_slug(session: Session, slug: str) -> Dataset:
    """The dataset of that slug, or NotFound."""
    dataset = session.scalar(select(Dataset).where(Dataset.slug == slug))
    if dataset is None:
        raise NotFound(f"There is no dataset {slug!r}.")
    return dataset


def choices_of(session: Session, dataset: Dataset) -> dict[str, Any]:
    """The stored choices of the dataset's newest revision."""
    newest = select(func.max(DatasetRevision.id)).where(DatasetRevision.dataset_id == dataset.id).scalar_subquery()
    return session.scalar(select(Upload.choices).where(Upload.published_revision_id == newest)) or {}


def drop_file(session: Session, blobs: BlobStore, sha256: str, *, except_upload: int | None = None) -> None:
    """Delete a file unless an upload (other than `except_upload`) or a revision needs it.

    Call it as the last step of the transaction that gives the file up: another upload of the same bytes then
    either comes before and keeps the file, or comes after and stores it again.
    """
    lock_name(session, sha256)
    if not blob_in_use(session, sha256, except_upload=except_upload):
        blobs.delete(sha256)


def keep_file(session: Session, blobs: BlobStore, sha256: str, source: Path) -> None:
    """Make sure that a stored file is still there when the transaction that names it commits.

    Somebody may have dropped it after it was stored: an upload of the same content was discarded at that moment.
    """
    lock_name(session, sha256)
    if not blobs.exists(sha256):
        blobs.put_file(source)


def blob_in_use(session: Session, sha256: str, *, except_upload: int | None = None) -> bool:
    """Whether an upload (other than `except_upload`), a revision or an import needs that blob.

    A refused upload does not.
    """
    revisions = select(DatasetRevision.id).where(
        (DatasetRevision.file_sha256 == sha256) | (DatasetRevision.canonical_sha256 == sha256)
    )
    accepted = or_(Upload.state != JobState.DONE, Upload.report["ok"].as_boolean())
    uploads = select(Upload.id).where(
        Upload.id != (except_upload or 0),
        ((Upload.file_sha256 == sha256) & accepted) | (Upload.report["canonical_sha256"].as_string() == sha256),
    )
    archives = select(ImportedArchive.id).where(ImportedArchive.blob_sha256 == sha256)
    return any(session.scalar(query.limit(1)) is not None for query in (revisions, uploads, archives))


def parse_languages(text: str) -> tuple[str, ...]:
    """Language codes as people type them, with commas or spaces between; each once, unchecked."""
    return tuple(dict.fromkeys(re.split(r"[\s,;]+", text.strip(" \t\r\n,;")))) if text.strip(" \t\r\n,;") else ()


def slugify(name: str) -> str:
    """A name as a part of an address: letters and digits of any script, joined by hyphens."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[^\w]+", "-", folded, flags=re.UNICODE).strip("-_")[:80]


def clean_name(name: str) -> str:
    """A name as stored: NFC, trimmed; empty when nothing of it could stand in an address."""
    cleaned = unicodedata.normalize("NFC", name).strip()
    return cleaned if slugify(cleaned) else ""


def _form_errors(session: Session, form: UploadForm) -> dict[str, str]:
    """Field -> what is wrong with it, for a new dataset."""
    task_type(form.task_type)
    fields = _description_errors(form.languages, form.description)
    name = clean_name(form.name)
    if not name:
        fields["name"] = "Give it a name that people will recognise on the board."
    elif len(name) > NAME_LENGTH or _is_unsafe(name):
        fields["name"] = f"At most {NAME_LENGTH} characters, no control or direction marks."
    elif slugify(name) in RESERVED:
        fields["name"] = f"{name!r} is taken by a page of this site. Choose another."
    elif session.scalar(select(Dataset.id).where(Dataset.slug == slugify(name))) is not None:
        fields["name"] = "A dataset of this name exists. Choose another, or add a revision to that one."
    return fields


def _description_errors(languages: Sequence[str], description: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    wrong = [language for language in languages if not LANGUAGE.fullmatch(language)]
    if not languages:
        fields["languages"] = f"Name at least one language: {LANGUAGE_HELP}"
    elif wrong:
        fields["languages"] = f"{wrong[0][:40]!r} is no language code. Use {LANGUAGE_HELP}"
    elif len(languages) > MAX_LANGUAGES:
        fields["languages"] = f"At most {MAX_LANGUAGES} languages."
    if len(_clean_text(description)) > DESCRIPTION_LENGTH:
        fields["description"] = f"At most {DESCRIPTION_LENGTH:,} characters."
    elif any(unicodedata.category(character) == "Cs" or character == "\0" for character in description):
        fields["description"] = "It holds characters that are no text (NUL or half of a surrogate pair)."
    return fields


def _invalid(fields: dict[str, str]) -> Invalid:
    return Invalid("The form has fields to mend.", details={"fields": fields})


def _refuse_known_file(session: Session, sha256: str, chosen: Mapping[str, Any]) -> None:
    """The same bytes scored in another way are something else: other splits, other sets."""
    published = session.execute(
        select(Dataset.slug, Dataset.name, Upload.choices)
        .join(DatasetRevision, DatasetRevision.dataset_id == Dataset.id)
        .outerjoin(Upload, Upload.published_revision_id == DatasetRevision.id)
        .where(DatasetRevision.file_sha256 == sha256)
        .order_by(DatasetRevision.id)
    )
    known = next((row for row in published if (row.choices or {}) == chosen), None)
    if known:
        raise Conflict(
            f"This very file is the dataset {known.name!r} already.", code="same_file", details={"dataset": known.slug}
        )


def _dataset_of(session: Session, upload: Upload) -> Dataset:
    if upload.dataset_id is not None:
        found = session.get(Dataset, upload.dataset_id)
        assert found is not None  # noqa: S101 - a foreign key
        lock_name(session, found.slug)
        return found
    slug = slugify(upload.name)
    lock_name(session, slug)
    if session.scalar(select(Dataset.id).where(Dataset.slug == slug)) is not None:
        message = (
            f"A dataset named {upload.name!r} was published meanwhile. "
            "Discard this upload, then send the file under another name or as a revision of that one."
        )
        raise Conflict(message, code="name_taken")
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


def _is_unsafe(text: str) -> bool:
    """Whether it holds control, direction or other invisible characters, or line separators."""
    return any(unicodedata.category(character) in _UNSAFE_CATEGORIES for character in text)


def _clean_text(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _safe_file_name(name: str) -> str:
    base = re.split(r"[/\\]", name)[-1]
    return "".join(character for character in base if not _is_unsafe(character))[-255:] or "upload"
