"""Imports of MTEB results: a folder or a zip becomes a board of its own, or adds to one. All of it or nothing.

The files are read before the transaction begins, into a temporary file of what counts: so nobody waits for the
database while they are parsed, and memory does not grow with their number.
"""

import errno
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.formats.records import UNSAFE_IN_NAMES
from app.db.session import Database, lock_name
from app.db.tables import Benchmark, BoardKind, ImportedArchive
from app.errors import Conflict, Invalid
from app.mteb.model_cards import ModelCard, named_by_folder, read_model_card
from app.mteb.results import Result, UnreadableFile, read_result
from app.services import accounts, audit, benchmarks, datasets
from app.services.accounts import Person
from app.services.board_datasets import BOARDS
from app.services.import_files import (
    MODEL_CARD,
    ArchiveWriter,
    FolderSource,
    Source,
    check_name,
    find_layout,
    open_zip,
    result_folders,
)
from app.services.import_rows import Line, choose, replace_older, set_columns, write_rows
from app.services.import_scope import ImportForm, Scope, parse_scope
from app.storage.blobs import Blob, BlobStore, Incoming, StorageFull

MAX_PROBLEMS = 20
LAYOUT_HELP = "Results lie as <org__name>/<revision>/<Task>.json, with a model_meta.json beside them."


@dataclass(slots=True)
class Reading:
    """What was found in the files.

    Attributes:
        files: at the places of results, `model_meta.json` included.
        others: files elsewhere; they are not read.
        models: revisions of models with a result that counts.
        results: those kept.
        unused: results of tasks that the board has not, or without any score.
        scores: cells with a value that counts.
        broken: files that cannot be read; `problems` says why of the first.
        languages: by task, for those that mteb does not know.
    """

    files: int = 0
    others: int = 0
    models: int = 0
    results: int = 0
    unused: int = 0
    scores: int = 0
    broken: int = 0
    problems: list[str] = field(default_factory=list)
    languages: dict[str, set[str]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers, for the audit trail and for machines."""
        names = ("files", "others", "models", "results", "unused", "scores", "broken")
        return {name: getattr(self, name) for name in names}


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
        with ArchiveWriter(incoming.write) as archive:
            reading = _Reader(FolderSource(folder), scope, spool, archive.add).read(skip_broken=form.skip_broken)
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

    def check() -> None:
        if not blobs.exists(blob.sha256):
            raise Conflict("The same file was given up at this very moment. Send it again.", code="file_gone")

    name = _safe_file_name(file_name)
    try:
        scope = _scope(database, form)
        with _spool(blobs) as spool:
            with open_zip(blobs.path(blob.sha256), name) as source:
                reading = _Reader(source, scope, spool).read(skip_broken=form.skip_broken)
            return _store(database, person, form, scope, _Parsed(reading, _lines(spool), blob.sha256, name, check))
    except BaseException:
        with database.session() as session:
            datasets.drop_file(session, blobs, blob.sha256)
        raise


def import_upload(
    database: Database, blobs: BlobStore, form: ImportForm, file: Incoming | None, file_name: str, *, person: Person
) -> Imported:
    """Import a zip that somebody sent.

    Raises:
        Invalid: no file was sent; and as `import_zip`.
    """
    if file is None or not file.size:
        message = "Choose a file." if file is None else "This file is empty. Choose a zip of results."
        raise Invalid("The form has fields to mend.", details={"fields": {"file": message}})
    return import_zip(database, blobs, form, file.keep(), file_name, person=person)


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


class _Reader:
    """Reads every result of a source into the spool, one line each, and collects what cannot be read."""

    def __init__(
        self, source: Source, scope: Scope, spool: IO[str], keep: Callable[[str, bytes], None] | None = None
    ) -> None:
        self._source, self._scope, self._spool, self._keep = source, scope, spool, keep
        self._found = Reading()

    def read(self, *, skip_broken: bool) -> Reading:
        """Read everything.

        Raises:
            Invalid: there is nothing to import, or something is broken and not to be skipped.
        """
        found = self._found
        layout = find_layout(self._source)
        if layout is None:
            raise Invalid(f"There is no result. {LAYOUT_HELP}", code="no_results")
        for folder, names in result_folders(self._source, layout):
            self._read_folder(folder, names, len(layout.top))
        found.others = layout.files - found.files
        if found.broken and not skip_broken:
            raise Invalid(
                f"{found.broken:,} of {found.files:,} files cannot be read, so nothing was imported. "
                "Mend or remove them, or skip broken files.",
                code="broken_files",
                details={"problems": found.problems, "total": found.broken},
            )
        if not found.scores:
            named = f" of {self._scope.name}" if self._scope.name else ""
            raise Invalid(f"None of {found.files:,} files holds a score{named} that counts.", code="no_results")
        return found

    def _read_folder(self, folder: str, names: list[str], top: int) -> None:
        """One revision of a model; its card comes first and names it, else the folder does."""
        card: ModelCard | None = None
        written = False
        for name in names:
            self._found.files += 1
            try:
                content = self._content(name, name[top:])
                if name.endswith(f"/{MODEL_CARD}"):
                    card = read_model_card(content)
                    continue
                card = card or named_by_folder(*folder.split("/"))
                line = self._line(read_result(content))
            except UnreadableFile as error:
                self._found.broken += 1
                if len(self._found.problems) < MAX_PROBLEMS:
                    self._found.problems.append(f"{name}: {error}")
                continue
            if line and not written:
                written = True
                self._found.models += 1
                self._write(("model", card.name, card.revision, card.facts))
            if line:
                self._write(line)

    def _content(self, name: str, kept_as: str) -> bytes:
        check_name(name)
        content = self._source.read(name)
        if self._keep:
            self._keep(kept_as, content)
        return content

    def _line(self, result: Result) -> Line | None:
        cells = self._scope.counted(result)
        if cells is None or not result.scores:
            self._found.unused += 1
            return None
        self._found.results += 1
        self._found.scores += len(cells)
        if result.known is None:
            named = self._found.languages.setdefault(result.task, set())
            named.update(code for score in result.scores for code in score.languages)
        return "result", result.task, result.mteb_version, cells

    def _write(self, line: Line) -> None:
        self._spool.write(json.dumps(line) + "\n")


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
