"""Runs migrations on the configured database; `app.db.migrate` is the way in."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, Engine
from sqlalchemy.types import JSON

from app.db import imported_tables  # noqa: F401 -- its tables belong to the metadata
from app.db.session import make_engine
from app.db.tables import Base
from app.db.types import FiniteFloat, UtcDateTime
from app.settings import get_settings


def render_item(kind: str, item: Any, _autogen: Any) -> str | Literal[False]:
    """Write plain SQL types into a migration: it must still run when our own types have moved."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, FiniteFloat):
        return "sa.Float(53)"
    if kind == "type" and isinstance(item, JSON):
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    if kind == "server_default" and str(getattr(item, "arg", "")) in {"0", "1", "true", "false"}:
        return "sa.true()" if str(item.arg) in {"1", "true"} else "sa.false()"
    return False


def run(connection: Connection) -> None:
    """Bring one connection's schema up to date."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


engine: Engine = context.config.attributes.get("engine") or make_engine(get_settings())
with engine.connect() as connection:
    run(connection)
    connection.commit()
