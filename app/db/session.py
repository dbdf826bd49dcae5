"""Engines and sessions; the SQLite recipe that lost no update under eight writing processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, event, func, select
from sqlalchemy.orm import Session, sessionmaker

from app.db import changes
from app.settings import Settings


def make_engine(settings: Settings) -> Engine:
    """An engine for the configured database.

    On SQLite: WAL, foreign keys, a 15 s busy timeout and BEGIN IMMEDIATE, so that a transaction that
    reads and then writes never meets a stale snapshot. Error messages never hold the values of a
    statement: they would carry texts of datasets and hashes of passwords into logs.
    """
    url = settings.sqlalchemy_url
    if url.startswith("sqlite"):
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_size=20,  # more than endpoints run at once, because opening one takes long beside a query
            connect_args={"timeout": 15, "check_same_thread": False},
        )
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=20,
        connect_args={"connect_timeout": 10},
    )


def lock_name(session: Session, name: str) -> None:
    """Let nobody else lock this name (a file's hash, a slug) until the transaction ends.

    On SQLite a writer is alone anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "busy_timeout=15000", "foreign_keys=ON", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN DEFERRED" if read_only else "BEGIN IMMEDIATE")


class Database:
    """Sessions of one engine. `session()` writes, `reading()` only reads and never waits for a writer."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = sessionmaker(engine, expire_on_commit=False)
        changes.watch(self._writing)
        options: dict[str, Any] = {"read_only": True}
        if engine.dialect.name == "postgresql":  # else every statement would see what was committed meanwhile
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reading = sessionmaker(engine.execution_options(**options), expire_on_commit=False, autoflush=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Database":
        """The configured database."""
        return cls(make_engine(settings))

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on any error."""
        with self._writing.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A snapshot to read from."""
        with self._reading() as session:
            yield session

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()
