"""The migrations make the tables that the code declares, and can be taken back."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from app.db import migrate
from app.db.session import Database, make_engine
from app.db.tables import Base
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
