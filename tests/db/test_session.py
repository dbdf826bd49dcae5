"""Sessions: what an error of the database says, and what it must not say."""

import pytest
from sqlalchemy.exc import IntegrityError, StatementError

from app.db.session import Database
from app.db.tables import Score, User
from tests import factories

pytestmark = pytest.mark.both_databases

SECRET = "a-hash-or-a-text"


def test_an_error_names_no_value_of_its_statement(database: Database) -> None:
    with pytest.raises(IntegrityError) as refused, database.session() as session:
        session.add_all(User(name="same", role="viewer", password_hash=SECRET) for _ in range(2))
    with pytest.raises(StatementError) as bad, database.session() as session:
        run = factories.run(session, factories.person(session))
        session.add(Score(run_id=run.id, split=SECRET, subset="", metric="", value=float("nan")))
    for error in (refused.value, bad.value):
        assert SECRET not in str(error) and SECRET not in repr(error)
