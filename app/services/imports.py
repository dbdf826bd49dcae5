"""Imports of MTEB results: a folder or a zip becomes a board of its own, or adds to one. All of it or nothing.

The files are read before the transaction begins, into a temporary file of what counts: so nobody waits for the
database while they are parsed, and memory does not grow with their number.
"""

import errno
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.formats.records import UNSAFE_IN_NAMES
from app.db.imported_tables import ImportedArchive
from app.db.session import Database, lock_name
from app.db.tables import Benchmark, BoardKind
from app.errors import Conflict, Invalid
from app.services import accounts, audit, benchmarks, datasets
from app.services.accounts import Person
from app.services.board_datasets import BOARDS
from app.services.import_child import one_at_a_time, read_in_child
from app.services.import_files import FolderSource, ZipStream, open_zip
from app.services.import_reading import Line, Reading, read_results
from app.services.import_rows import choose, replace_older, set_columns, write_rows
from app.services.import_scope import ImportForm, Scope, parse_scope
from app.storage.blobs import Blob, BlobStore, Incoming, StorageFull


@dataclass(frozen=True, slots=True)
class Imported:
    """A finished import: the board, whether it is new, and what was found."""

    slug: str
    name: str
    new: bool
    reading: Reading


def import_folder(
    database: Database, blobs: BlobStore, form: ImportForm, folder: Path, *, person: Person | None = None
) -> Imported:
    """Import a folder of this machine; its results are kept as one zip.

    Args:
        database: Where the rows go.
        blobs: Where the zip goes.
        form: What is said about it.
        folder: Holds the results, or a folder that does.
        person: Who does it; None for the command line.

    Raises:
        Invalid: a field is wrong, no result is there, or files are broken (`broken_files`, see `details`).
        Conflict: `own_board`, `other_definition`.
        StorageFull: the disk has no room.
    """
    scope = _scope(database, form)
    with blobs.incoming() as incoming, _spool(blobs) as spool:
        with ZipStream(incoming.write) as archive:
            reading = read_results(FolderSource(folder), scope, spool, archive.add, skip_broken=form.skip_broken)
            archive.close()
        file_name = _safe_file_name(f"{folder.resolve().name}.zip")
        return _store(
            database, person, form, scope, _Parsed(reading, _lines(spool), incoming.sha256, file_name, incoming.keep)
        )


def import_zip(
    database: Database, blobs: BlobStore, form: ImportForm, blob: Blob, file_name: str, *, person: Person | None = None
) -> Imported:
    """Import a zip that lies in the blob store; it is kept as it is, and forgotten again when it is refused.

    Raises:
        Invalid, Conflict, StorageFull: as `import_folder`.
        Invalid, TooLarge: the zip is not safe to read, see `app.services.import_files.open_zip`.
    """

    def read(path: Path, name: str, scope: Scope, spool: IO[str]) -> Reading:
        with open_zip(path, name) as source:
            return read_results(source, scope, spool, skip_broken=form.skip_broken)

    return _import_zip(database, blobs, form, blob, file_name=file_name, read=read, person=person)


def import_upload(
    database: Database, blobs: BlobStore, form: ImportForm, file: Incoming | None, file_name: str, *, person: Person
) -> Imported:
    """Import a zip that somebody sent: a process of its own reads it, see `app.services.import_child`.

    Raises:
        Invalid: no file was sent; and as `import_zip`.
        TooLarge: the zip takes too much memory or time.
        Conflict: `import_running`: another one is under way in this process.
    """
    if file is None or not file.size:
        message = "Choose a file." if file is None else "This file is empty. Choose a zip of results."
        raise Invalid("The form has fields to mend.", details={"fields": {"file": message}})

    def read(path: Path, name: str, scope: Scope, spool: IO[str]) -> Reading:
        return read_in_child(path, name, scope, spool, skip_broken=form.skip_broken)

    with one_at_a_time():
        return _import_zip(database, blobs, form, file.keep(), file_name=file_name, read=read, person=person)


def _import_zip(
    database: Database,
    blobs: BlobStore,
    form: ImportForm,
    blob: Blob,
    *,
    file_name: str,
    read: Callable[[Path, str, Scope, IO[str]], Reading],
    person: Person | None,
) -> Imported:
    """Import a zip of the blob store, read by `read`."""

    def check() -> None:
        if not blobs.exists(blob.sha256):
            raise Conflict("The same file was given up at this very moment. Send it again.", code="file_gone")

    name = _safe_file_name(file_name)
    try:
        scope = _scope(database, form)
        with _spool(blobs) as spool:
            reading = read(blobs.path(blob.sha256), name, scope, spool)
            return _store(database, person, form, scope, _Parsed(reading, _lines(spool), blob.sha256, name, check))
    except BaseException:
        with database.session() as session:
            datasets.drop_file(session, blobs, blob.sha256)
        raise


def drop_archives(session: Session, blobs: BlobStore, benchmark_id: int) -> None:
    """Delete the original files of an imported board; call it last before the board itself is deleted.

    A file that another board, an upload or a dataset needs as well stays.
    """
    archives = select(ImportedArchive).where(ImportedArchive.benchmark_id == benchmark_id)
    for archive in session.scalars(archives).all():
        session.delete(archive)
        session.flush()
        datasets.drop_file(session, blobs, archive.blob_sha256)


def delete_board(session: Session, blobs: BlobStore, person: Person, slug: str) -> None:
    """Forget a board of either kind; of an imported one the original files too.

    Raises:
        NotFound: there is none of that slug.
    """
    drop_archives(session, blobs, benchmarks.by_slug(session, slug).id)
    benchmarks.delete(session, person, slug)


@dataclass(frozen=True, slots=True)
class _Parsed:
    """What was read, and the original bytes; `keep` makes sure of these, as the last step before the commit."""

    reading: Reading
    lines: Iterator[Line]
    sha256: str
    file_name: str
    keep: Callable[[], object]


@contextmanager
def _spool(blobs: BlobStore) -> Iterator[IO[str]]:
    """A temporary file on the data disk, gone at the end whatever happens."""
    blobs.root.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile("w+", encoding="utf-8", dir=blobs.root) as file:
            yield file
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise StorageFull("The server's disk is full, so nothing was imported. Tell an admin.") from error


def _lines(spool: IO[str]) -> Iterator[Line]:
    spool.seek(0)
    return map(json.loads, spool)


def _store(database: Database, person: Person | None, form: ImportForm, scope: Scope, parsed: _Parsed) -> Imported:
    """The one transaction."""
    with database.session() as session:
        lock_name(session, BOARDS)
        lock_name(session, parsed.sha256)
        person = person or accounts.system_person(session)
        existing = _board(session, form)
        if existing and _scope_of(session, existing, form) != scope:
            raise Conflict("The board was changed at this very moment. Import again.", code="changed")
        board = existing or benchmarks.create(session, person, name=form.name, dataset_slugs=[])
        board.kind = BoardKind.IMPORTED
        row = ImportedArchive(
            benchmark_id=board.id,
            blob_sha256=parsed.sha256,
            file_name=parsed.file_name,
            files=parsed.reading.files,
            definition=scope.name,
            excluded=sorted(scope.excluded),
            created_by=person.id,
        )
        session.add(row)
        session.flush()
        write_rows(session, board.id, row.id, parsed.lines)
        if existing:
            replace_older(session, board.id, row.id)
        choose(session, board.id)
        set_columns(session, board.id, scope, parsed.reading.languages)
        detail = {"file": row.file_name, "definition": scope.name, "excluded": row.excluded, **parsed.reading.counts}
        audit.record(session, person, "benchmark.import", board.slug, detail)
        session.flush()
        parsed.keep()
        return Imported(board.slug, board.name, existing is None, parsed.reading)


def _scope(database: Database, form: ImportForm) -> Scope:
    """What counts; refuses what can be refused before anything is read."""
    with database.reading() as session:
        existing = _board(session, form)
        if existing is None:
            _check_name(form.name)
            return parse_scope(form.definition, form.except_tasks)
        return _scope_of(session, existing, form)


def _check_name(name: str) -> None:
    try:
        benchmarks.check(name, datasets.slugify(name).strip("-_"), "")
    except Invalid as error:
        raise Invalid(error.message, details={"fields": {"benchmark": next(iter(error.fields.values()))}}) from None


def _scope_of(session: Session, board: Benchmark, form: ImportForm) -> Scope:
    """What counts on a board that exists: what its first import said, which another one may not contradict."""
    first = session.scalars(
        select(ImportedArchive).where(ImportedArchive.benchmark_id == board.id).order_by(ImportedArchive.id).limit(1)
    ).one()
    scope = parse_scope(first.definition, first.excluded)
    asked = parse_scope(form.definition or first.definition, form.except_tasks or tuple(first.excluded))
    if asked != scope:
        what = (first.definition or "every task found") + "".join(f", without {task}" for task in first.excluded)
        raise Conflict(
            f"The board {board.name!r} was imported by other rules ({what}). Import under another name.",
            code="other_definition",
        )
    return scope


def _board(session: Session, form: ImportForm) -> Benchmark | None:
    """The imported board of that name or slug; None if there is none.

    Raises:
        Conflict: it is one of our own runs.
    """
    name = form.name.strip()
    if not name.isprintable():
        return None
    named = (Benchmark.name == datasets.clean_name(name)) | Benchmark.slug.in_(
        {name, datasets.slugify(name).strip("-_")}
    )
    board = session.scalar(select(Benchmark).where(named).order_by((Benchmark.slug == name).desc()).limit(1))
    if board and board.kind != BoardKind.IMPORTED:
        raise Conflict(
            f"{board.name!r} is a board of this house's own runs. Import under another name.", code="own_board"
        )
    return board


def _safe_file_name(name: str) -> str:
    return UNSAFE_IN_NAMES.sub("", name.replace("\\", "/").rpartition("/")[2])[-255:] or "results.zip"
