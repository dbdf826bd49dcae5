"""The demo pack: our own datasets, four models, one board, brought in step by step by the ordinary use cases."""

import io
import zipfile
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.tables import AuditEntry, Dataset, JobState, Model, Run, Upload
from app.services import audit, benchmarks, datasets, models, runs
from app.services.accounts import Person, system_person
from app.settings import Settings
from app.storage.blobs import BlobStore

FOLDER = Path(__file__).resolve().parents[2] / "demo"
BENCHMARK = "Help desk demo"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"

_LANGUAGES = ("eng-Latn", "deu-Latn", "cmn-Hans")
DATASETS: dict[str, datasets.UploadForm] = {
    "help-centre.zip": datasets.UploadForm(
        "Help centre search",
        "Retrieval",
        _LANGUAGES,
        "210 customer questions on 160 articles of a smart-home help desk, graded relevance.",
    ),
    "saved-replies.jsonl": datasets.UploadForm(
        "Saved replies",
        "Reranking",
        _LANGUAGES,
        "60 customer messages, each with eight to ten saved replies, of which one or two fit.",
    ),
    "field-notes.zip": datasets.UploadForm(
        "Field notes",
        "InstructionRetrieval",
        _LANGUAGES,
        "40 questions on 80 notes of manuals, technicians and customers, each with an instruction which notes count.",
    ),
    "case-notes.zip": datasets.UploadForm(
        "Case notes",
        "InstructionReranking",
        _LANGUAGES,
        "100 closed cases and 20 searches, each with two instructions; by the second one fewer cases count.",
    ),
    "similar-requests.csv": datasets.UploadForm(
        "Similar requests", "STS", _LANGUAGES, "200 pairs of help-desk sentences, from unrelated to the same."
    ),
    "call-summaries.jsonl": datasets.UploadForm(
        "Call summaries",
        "Summarization",
        _LANGUAGES,
        "25 conversations with summaries by people, and summaries by machines with marks for how good they are.",
    ),
    "duplicate-requests.tsv": datasets.UploadForm(
        "Duplicate requests",
        "PairClassification",
        _LANGUAGES,
        "200 pairs of questions: duplicates, near misses and questions that differ altogether.",
    ),
    "tickets.jsonl": datasets.UploadForm(
        "Ticket intents", "Classification", _LANGUAGES, "360 tickets in 12 intents, half to learn from."
    ),
    "ticket-tags.zip": datasets.UploadForm(
        "Ticket tags",
        "MultilabelClassification",
        _LANGUAGES,
        "Messages with any of 8 tags, 161 to learn from and 120 to test on.",
    ),
    "urgency.csv": datasets.UploadForm(
        "Ticket urgency",
        "Regression",
        _LANGUAGES,
        "Messages with how urgent they are, 187 to learn from and 80 to test on.",
    ),
    "ticket-topics.parquet": datasets.UploadForm(
        "Ticket topics", "Clustering", _LANGUAGES, "360 tickets on 5 topics, grouped week by week."
    ),
    "translations.csv": datasets.UploadForm(
        "Translations",
        "BitextMining",
        _LANGUAGES,
        "200 English sentences, half of them with a German and half with a Chinese translation to find.",
    ),
}
MODELS = (
    models.ModelForm(MINILM),
    models.ModelForm(loader="bm25"),
    models.ModelForm(loader="random"),
)
VARIANT_DIMENSIONS = 128


def begin(session: Session, settings: Settings, blobs: BlobStore) -> bool:
    """Start loading the demo into an empty house, once.

    Returns:
        Whether it was begun now.
    """
    used = any(session.scalar(select(table.id).limit(1)) is not None for table in (Dataset, Upload, Model))
    if used or _noted(session, "demo.load"):
        return False
    person = system_person(session)
    for form in MODELS:
        models.register(session, person, form)
    for file_name, upload_form in DATASETS.items():
        datasets.receive(
            session,
            blobs,
            person,
            upload_form,
            file=io.BytesIO(file_bytes(file_name)),
            file_name=file_name,
            max_bytes=settings.upload_max_bytes,
        )
    benchmarks.create(
        session,
        person,
        name=BENCHMARK,
        description="A fictional company's help desk in English, German and Chinese.",
        dataset_slugs=[],
    )
    audit.record(session, person, "demo.load", BENCHMARK)
    return True


def advance(session: Session) -> bool:
    """Do what the demo's next step needs, as far as the workers have come; safe to call at any time.

    Returns:
        Whether everything is done (or was never begun), so that there is nothing left to wait for.
    """
    if not _noted(session, "demo.load") or _noted(session, "demo.ready"):
        return True
    person = system_person(session)
    uploads = session.scalars(select(Upload).where(Upload.owner_id == person.id)).all()
    rows = list(session.scalars(select(Model).where(Model.created_by == person.id)))
    board = datasets.slugify(BENCHMARK)
    for upload in uploads:
        if upload.published_revision_id is None and upload.state == JobState.DONE and (upload.report or {}).get("ok"):
            datasets.publish(session, person, upload.id, benchmark_slug=board)
    _ensure_variant(session, person, rows)
    ready = [row.id for row in rows if row.state == JobState.DONE]
    published = [upload.dataset_id for upload in uploads if upload.dataset_id is not None]
    if ready and published and not _all_queued(session, ready, published):
        runs.queue_product(session, person, model_ids=ready, dataset_ids=published)
    states = [*(upload.state for upload in uploads), *(row.state for row in rows)]
    still_working = any(state in runs.OPEN_STATES for state in states)
    if still_working or len(rows) < len(MODELS):
        return False
    if any(row.truncate_dim for row in rows) or not _inspected(rows, MINILM):
        audit.record(session, person, "demo.ready", BENCHMARK)
        return True
    return False


def give_up(session: Session, reason: str) -> None:
    """Leave the demo as it is, for good."""
    audit.record(session, system_person(session), "demo.ready", BENCHMARK, {"unfinished": reason})


def file_bytes(file_name: str) -> bytes:
    """One demo file as a user would upload it; the BEIR folder comes as a zip.

    Raises:
        FileNotFoundError: the demo folder is not beside the code.
    """
    path = FOLDER / file_name
    return path.read_bytes() if path.suffix != ".zip" else _zipped(path.with_suffix(""))


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                # A fixed time, so that the same texts are the same file.
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (2026, 1, 1, 0, 0, 0))
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _noted(session: Session, action: str) -> bool:
    return session.scalar(select(AuditEntry.id).where(AuditEntry.action == action).limit(1)) is not None


def _inspected(rows: list[Model], name: str) -> bool:
    return any(row.name == name and row.state == JobState.DONE for row in rows)


def _ensure_variant(session: Session, person: Person, rows: list[Model]) -> None:
    base = next((row for row in rows if row.name == MINILM and not row.variant and row.state == JobState.DONE), None)
    if base is not None and not any(row.truncate_dim for row in rows):
        variant = models.add_variant(session, person, base.id, models.ModelForm(truncate_dim=VARIANT_DIMENSIONS))
        rows.append(variant)


def _all_queued(session: Session, model_ids: list[int], dataset_ids: list[int]) -> bool:
    revisions = runs.newest_revisions(session, set(dataset_ids)).values()
    queued = session.execute(
        select(Run.model_id, Run.dataset_revision_id).where(
            Run.model_id.in_(model_ids), Run.dataset_revision_id.in_(revisions)
        )
    ).all()
    return len(set(queued)) == len(model_ids) * len(dataset_ids)
