"""The migrations make the tables that the code declares, and can be taken back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, select, text
from sqlalchemy.orm import Session

from app.db import migrate
from app.db.session import Database, make_engine
from app.db.tables import Base, Upload
from app.settings import Settings


@pytest.mark.both_databases
def test_a_migrated_database_has_the_declared_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    assert migrate.current(database.engine) == migrate.head(database.engine)


def test_the_way_back_leaves_nothing_and_can_be_gone_again(tmp_path: Path) -> None:
    engine = make_engine(Settings(data_dir=tmp_path))
    migrate.upgrade(engine)
    command.downgrade(migrate._config(engine), "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate.upgrade(engine)
    assert set(Base.metadata.tables) < set(inspect(engine).get_table_names())
    engine.dispose()


@pytest.fixture
def empty(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A database of its own without tables."""
    url = ""
    if database_kind == "postgresql":
        server_url = request.getfixturevalue("pg_url")
        server = create_engine(server_url, isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            connection.execute(text("CREATE DATABASE migrated"))
        server.dispose()
        url = server_url.replace("/postgres?", "/migrated?")
    engine = make_engine(Settings(data_dir=tmp_path, database_url=url))
    yield engine
    engine.dispose()


ROWS_OF_0001 = (
    "INSERT INTO users (id, name, role, created_at) VALUES (1, 'ada', 'admin', '2026-11-21')",
    "INSERT INTO models (id, name, revision, variant, loader, source, dtype, languages, prompts, found, corrected,"
    " created_by, state, attempt, done, total, created_at) VALUES (1, 'org/model', '', '128 d', 'dense', 'hub',"
    " 'float32', '[]', '{}', '{}', '{}', 1, 'done', 0, 0, 0, '2026-11-21')",
    "INSERT INTO uploads (id, owner_id, name, task_type, languages, description, file_name, file_sha256, file_bytes,"
    " state, attempt, done, total, created_at) VALUES (1, 1, 'Pairs', 'STS', '[]', '', 'pairs.csv', 'a', 1,"
    " 'queued', 0, 0, 0, '2026-11-21')",
)


@pytest.mark.both_databases
def test_rows_from_before_are_kept_and_scored_as_usual(empty: Engine) -> None:
    """0002: choices of an upload, precision of a model."""
    command.upgrade(migrate._config(empty), "0001")
    with empty.begin() as connection:
        for statement in ROWS_OF_0001:
            connection.execute(text(statement))
    migrate.upgrade(empty)
    with empty.begin() as connection:
        assert connection.execute(text("SELECT name, precision FROM models")).one() == ("org/model", "float32")
    with Session(empty) as session:
        assert session.scalars(select(Upload.choices)).one() == {}
    command.downgrade(migrate._config(empty), "0001")
    migrate.upgrade(empty)
    with empty.connect() as connection:
        assert connection.execute(text("SELECT variant FROM models")).scalar_one() == "128 d"
