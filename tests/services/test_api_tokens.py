"""API tokens, on both databases."""

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db.queries import accounts as queries
from app.db.tables import ApiToken, Role
from app.db.types import db_now
from app.errors import Invalid, NotFound
from app.services import accounts, api_tokens
from app.services.accounts import Person, Scope
from tests import factories

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("role", list(Role))
def test_a_scope_never_exceeds_the_role(session: Session, role: Role) -> None:
    person = factories.person(session, role.value, role)
    for scope in Scope:
        if not person.can(scope.role):
            with pytest.raises(Invalid) as caught:
                api_tokens.create(session, person, name=scope, scope=scope, days=7)
            assert set(caught.value.fields) == {"scope"}
            continue
        token = api_tokens.create(session, person, name=scope, scope=scope, days=7)
        found = api_tokens.person_for_token(session, token)
        assert found == accounts.Credential(Person(person.id, person.name, scope.role), scope, stale=True)


def test_a_lowered_role_lowers_its_tokens(session: Session) -> None:
    factories.person(session, "second", Role.ADMIN)
    person = factories.person(session, "first", Role.ADMIN)
    token = api_tokens.create(session, person, name="x", scope="admin", days=7)
    accounts.set_role(session, person.id, Role.VIEWER, by=None)
    found = api_tokens.person_for_token(session, token)
    assert found and found.person.role == Role.VIEWER


def test_only_its_hash_and_its_end_are_stored(session: Session) -> None:
    token = api_tokens.create(session, factories.person(session), name=" x ", scope="read", days=30)
    row = session.scalars(select(ApiToken)).one()
    assert (row.name, row.token_sha256, row.hint) == ("x", accounts.digest(token), token[-4:])
    assert token.startswith("ts_") and len(token) >= 46


def test_it_expires_and_notes_its_use(session: Session) -> None:
    person = factories.person(session)
    token = api_tokens.create(session, person, name="x", scope="read", days=30)
    api_tokens.touch(session, token)
    found = api_tokens.person_for_token(session, token)
    assert found and not found.stale
    session.execute(update(ApiToken).values(expires_at=db_now(-1)))
    assert api_tokens.person_for_token(session, token) is None
    (row,) = queries.tokens_of(session, person.id)
    assert row.expired and row.used_at


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"scope": "root"}, "scope"),
        ({"days": 0}, "days"),
        ({"days": 366}, "days"),
    ],
)
def test_bad_wishes_are_refused(session: Session, values: dict[str, object], field: str) -> None:
    wish = {"name": "x", "scope": "read", "days": 7, **values}
    with pytest.raises(Invalid) as caught:
        api_tokens.create(session, factories.person(session), **wish)  # type: ignore[arg-type]
    assert set(caught.value.fields) == {field}


def test_a_name_is_used_once_and_only_ones_own_are_revoked(session: Session) -> None:
    person, other = factories.person(session), factories.person(session, "other")
    token = api_tokens.create(session, person, name="x", scope="read", days=7)
    with pytest.raises(Invalid):
        api_tokens.create(session, person, name="x", scope="read", days=7)
    (row,) = queries.tokens_of(session, person.id)
    with pytest.raises(NotFound):
        api_tokens.revoke(session, other, row.id)
    assert api_tokens.revoke(session, person, row.id) == "x"
    assert api_tokens.person_for_token(session, token) is None
