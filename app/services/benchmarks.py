"""Benchmarks: named sets of datasets, each one a board."""

from collections.abc import Sequence
from unicodedata import category

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db.session import lock_name
from app.db.tables import Benchmark, Dataset
from app.errors import Conflict, Invalid, NotFound
from app.services import audit, board_datasets
from app.services.accounts import Person
from app.services.board_datasets import BOARDS
from app.services.datasets import clean_name, slugify

NAME_LENGTH = 120
DESCRIPTION_LENGTH = 4000
RESERVED = frozenset({"new", "import"})
"""Slugs that are addresses of their own."""


def create(
    session: Session,
    person: Person,
    *,
    name: str,
    dataset_slugs: Sequence[str],
    slug: str = "",
    description: str = "",
    default: bool = False,
) -> Benchmark:
    """Add a benchmark; the first one of all is the default.

    Args:
        session: The transaction.
        person: Who does it.
        name: What people read.
        dataset_slugs: Its columns, in order; may be empty.
        slug: Its address; made from the name when empty.
        description: One or two sentences.
        default: Whether `/` shows it from now on.

    Raises:
        Invalid: with a message for each field.
        Conflict: the slug is taken.
    """
    slug = slug.strip() or slugify(name).strip("-_")
    check(name, slug, description)
    lock_name(session, BOARDS)
    chosen = _datasets(session, dataset_slugs)
    _refuse_taken(session, slug)
    benchmark = Benchmark(slug=slug, name=clean_name(name), description=description.strip(), is_default=False)
    session.add(benchmark)
    session.flush()
    board_datasets.set_all(session, benchmark, chosen)
    audit.record(session, person, "benchmark.create", slug, {"datasets": list(dataset_slugs)})
    if default or get_default(session) is None:
        set_default(session, person, slug)
    return benchmark


def edit(
    session: Session,
    person: Person,
    slug: str,
    *,
    name: str | None = None,
    new_slug: str | None = None,
    description: str | None = None,
    dataset_slugs: Sequence[str] | None = None,
) -> Benchmark:
    """Change a benchmark; what is None stays as it is.

    Raises:
        NotFound: there is none of that slug.
        Invalid: with a message for each field.
        Conflict: the new slug is taken.
    """
    lock_name(session, BOARDS)
    benchmark = by_slug(session, slug)
    name = benchmark.name if name is None else name
    new_slug = new_slug.strip() if new_slug is not None else slug
    description = benchmark.description if description is None else description
    check(name, new_slug, description)
    if new_slug != slug:
        _refuse_taken(session, new_slug)
    if dataset_slugs is not None:
        board_datasets.set_all(session, benchmark, _datasets(session, dataset_slugs))
    benchmark.slug, benchmark.name, benchmark.description = new_slug, clean_name(name), description.strip()
    session.flush()
    detail = {"slug": new_slug, "datasets": None if dataset_slugs is None else list(dataset_slugs)}
    audit.record(session, person, "benchmark.edit", slug, detail)
    return benchmark


def delete(session: Session, person: Person, slug: str) -> None:
    """Forget a benchmark; its datasets, runs and scores stay. The oldest left follows a deleted default.

    Raises:
        NotFound: there is none of that slug.
    """
    lock_name(session, BOARDS)
    benchmark = by_slug(session, slug)
    board_datasets.set_all(session, benchmark, [])
    session.delete(benchmark)
    session.flush()
    audit.record(session, person, "benchmark.delete", slug)
    oldest = session.scalar(select(Benchmark.slug).order_by(Benchmark.id).limit(1))
    if oldest is not None and get_default(session) is None:
        set_default(session, person, oldest)


def set_default(session: Session, person: Person, slug: str) -> Benchmark:
    """Show this benchmark at `/`.

    Raises:
        NotFound: there is none of that slug.
    """
    lock_name(session, BOARDS)
    benchmark = by_slug(session, slug)
    session.execute(update(Benchmark).where(Benchmark.id != benchmark.id).values(is_default=False))
    benchmark.is_default = True
    session.flush()
    audit.record(session, person, "benchmark.default", slug)
    return benchmark


def get_default(session: Session) -> Benchmark | None:
    """The benchmark that `/` shows; None while there is none at all."""
    return session.scalar(select(Benchmark).where(Benchmark.is_default).order_by(Benchmark.id).limit(1))


def by_slug(session: Session, slug: str) -> Benchmark:
    """The benchmark of that slug, or NotFound."""
    benchmark = session.scalar(select(Benchmark).where(Benchmark.slug == slug)) if slug.isprintable() else None
    if benchmark is None:
        raise NotFound(f"There is no board {slug!r}. See all boards for those there are.")
    return benchmark


def by_name(session: Session, name: str) -> Benchmark:
    """The benchmark of that slug or name, the slug first; NotFound names those there are."""
    matching = select(Benchmark).where((Benchmark.slug == name) | (Benchmark.name == name))
    found = session.scalar(matching.order_by((Benchmark.slug == name).desc(), Benchmark.id).limit(1))
    if found is None:
        names = ", ".join(session.scalars(select(Benchmark.name).order_by(Benchmark.name))) or "none yet"
        raise NotFound(f"There is no board {name!r}. Boards: {names}.")
    return found


def check(name: str, slug: str, description: str) -> None:
    """Refuse what no board can be called.

    Raises:
        Invalid: with a message for each field.
    """
    fields: dict[str, str] = {}
    cleaned = clean_name(name)
    if not cleaned:
        fields["name"] = "Give it a name with a letter or a digit."
    elif len(cleaned) > NAME_LENGTH or not cleaned.isprintable():
        fields["name"] = f"At most {NAME_LENGTH} characters, no control or direction marks."
    elif not slug or slugify(slug) != slug:
        fields["slug"] = "Use small letters, digits and single hyphens, at most 80, such as help-desk."
    elif slug in RESERVED:
        fields["slug"] = f"The address {slug!r} is taken by a page. Choose another."
    if len(description) > DESCRIPTION_LENGTH or _has_controls(description):
        fields["description"] = f"At most {DESCRIPTION_LENGTH:,} characters, no control characters."
    if fields:
        raise _invalid(fields)


def _has_controls(text: str) -> bool:
    """Whether it holds what no database stores or no page shows; line breaks and tabs are fine."""
    return any(category(char) in {"Cc", "Cs"} and char not in "\r\n\t" for char in text)


def _refuse_taken(session: Session, slug: str) -> None:
    if session.scalar(select(Benchmark.id).where(Benchmark.slug == slug)) is not None:
        raise Conflict(f"A board with the address {slug!r} exists. Choose another.", code="slug_taken")


def _datasets(session: Session, slugs: Sequence[str]) -> list[int]:
    """The ids of these datasets, in order."""
    if doubled := [slug for slug in slugs if slugs.count(slug) > 1]:
        raise _invalid({"datasets": f"The dataset {doubled[0]!r} is named twice."})
    storable = [slug for slug in slugs if slug.isprintable()]
    found = session.execute(select(Dataset.slug, Dataset.id).where(Dataset.slug.in_(storable)))
    ids: dict[str, int] = {row.slug: row.id for row in found}
    if missing := [slug for slug in slugs if slug not in ids]:
        raise _invalid({"datasets": f"There is no dataset {missing[0]!r}."})
    return [ids[slug] for slug in slugs]


def _invalid(fields: dict[str, str]) -> Invalid:
    return Invalid("The form has fields to mend.", details={"fields": fields})
