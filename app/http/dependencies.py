"""What endpoints are given: sessions, settings, addresses, and room for a large body."""

from collections.abc import Iterator
from typing import Annotated, cast

from fastapi import Depends, Path
from sqlalchemy.orm import Session
from starlette.requests import Request

from app.db.session import Database
from app.services.boards import BoardCache
from app.services.evidence import EvidenceReader
from app.services.verdicts import VerdictKeeper
from app.settings import Settings

BODY_LIMIT_KEY = "touchstone.body_limit"
MULTIPART_OVERHEAD = 1024**2


def database_of(request: Request) -> Database:
    """The application's database."""
    return cast("Database", request.app.state.database)


def settings_of(request: Request) -> Settings:
    """The application's settings."""
    return cast("Settings", request.app.state.settings)


def get_session(request: Request) -> Iterator[Session]:
    """A writing transaction, committed before the response is sent."""
    with database_of(request).session() as session:
        yield session


def get_reading(request: Request) -> Iterator[Session]:
    """A snapshot to read from."""
    with database_of(request).reading() as session:
        yield session


def boards_of(request: Request) -> BoardCache:
    """The boards that this process keeps."""
    return cast("BoardCache", request.app.state.boards)


def evidence_of(request: Request) -> EvidenceReader:
    """The reader of what runs kept."""
    return cast("EvidenceReader", request.app.state.evidence)


def verdicts_of(request: Request) -> VerdictKeeper:
    """The verdicts that this process keeps."""
    return cast("VerdictKeeper", request.app.state.verdicts)


def accept_upload(request: Request) -> None:
    """Let this request's body be as large as an upload may be.

    Only for endpoints that declare no body and read `request.stream()` themselves: a declared body is
    read before any dependency runs, so the ordinary limit holds for it.
    """
    request.scope[BODY_LIMIT_KEY] = settings_of(request).upload_max_bytes + MULTIPART_OVERHEAD


def external_url(request: Request, path: str) -> str:
    """The address of `path` as people type it: on the public address if one is set."""
    base = settings_of(request).public_url or str(request.base_url).rstrip("/")
    return base + path


WriteSession = Annotated[Session, Depends(get_session, scope="function")]
ReadSession = Annotated[Session, Depends(get_reading, scope="function")]
DatabaseOf = Annotated[Database, Depends(database_of)]
Boards = Annotated[BoardCache, Depends(boards_of)]
EvidenceOf = Annotated[EvidenceReader, Depends(evidence_of)]
VerdictsOf = Annotated[VerdictKeeper, Depends(verdicts_of)]
AppSettings = Annotated[Settings, Depends(settings_of)]
RowId = Annotated[int, Path(ge=1, le=2**31 - 1)]
"""A row's number in a path; larger ones would be an error of the database."""
