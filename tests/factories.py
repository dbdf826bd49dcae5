"""Rows for tests, with as little said as possible."""

from sqlalchemy.orm import Session

from app.db.tables import Dataset, DatasetRevision, JobState, Model, Role, Run
from app.services import accounts
from app.services.accounts import Person


def person(session: Session, name: str = "anna", role: Role = Role.MEMBER) -> Person:
    """A new person."""
    return accounts.person_of(accounts.create_user(session, name, role))


def revision(session: Session, owner: Person, slug: str = "pairs") -> DatasetRevision:
    """A new dataset with one revision."""
    dataset = Dataset(slug=slug, name=slug, task_type="STS", languages=["eng-Latn"], owner_id=owner.id)
    session.add(dataset)
    session.flush()
    made = DatasetRevision(
        dataset_id=dataset.id,
        revision="1" * 40,
        canonical_sha256="2" * 64,
        canonical_bytes=1,
        file_name=f"{slug}.csv",
        file_sha256="3" * 64,
        counts={"pairs": 1},
        created_by=owner.id,
    )
    session.add(made)
    session.flush()
    return made


def model(session: Session, owner: Person, name: str = "org/model") -> Model:
    """A new model, inspected."""
    made = Model(name=name, loader="bm25", source="builtin", created_by=owner.id, state=JobState.DONE)
    session.add(made)
    session.flush()
    return made


def run(session: Session, owner: Person, *, state: JobState = JobState.QUEUED, name: str = "org/model") -> Run:
    """A run of a new model on a new dataset."""
    made = Run(
        model_id=model(session, owner, name).id,
        dataset_revision_id=revision(session, owner, name.replace("/", "-")).id,
        queued_by=owner.id,
        state=state,
    )
    session.add(made)
    session.flush()
    return made
