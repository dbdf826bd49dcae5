"""People and the ways in, on both databases."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.db.queries import accounts as queries
from app.db.session import Database
from app.db.tables import AuditEntry, Role, SignInLink, User, UserSession
from app.db.types import db_now
from app.errors import AppError, Conflict, Invalid, NotFound
from app.services import accounts, api_tokens, audit
from app.services.accounts import Person
from app.services.passwords import Passwords
from tests import factories

pytestmark = pytest.mark.both_databases
PASSWORD = "correct horse battery"


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(time_cost=1, memory_kib=32)


@pytest.fixture
def anna(database: Database, passwords: Passwords) -> Person:
    """A member with a password."""
    with database.session() as session:
        person = factories.person(session)
        session.get_one(User, person.id).password_hash = passwords.hash(PASSWORD)
    return person


def audited(database: Database) -> list[tuple[str, str, str]]:
    with database.reading() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(row.actor, row.action, row.subject) for row in rows]


def sessions(session: Session, person: Person) -> int:
    return session.scalar(select(func.count()).where(UserSession.user_id == person.id)) or 0


class TestPeople:
    def test_a_role_includes_the_ones_before_it(self) -> None:
        can = {role: [other for other in Role if Person(1, "x", role).can(other)] for role in Role}
        assert can == {
            Role.VIEWER: [Role.VIEWER],
            Role.MEMBER: [Role.VIEWER, Role.MEMBER],
            Role.ADMIN: [Role.VIEWER, Role.MEMBER, Role.ADMIN],
        }

    def test_names_are_small_letters(self, session: Session) -> None:
        assert accounts.create_user(session, "  Anna.B@Example.org ", Role.VIEWER).name == "anna.b@example.org"

    @pytest.mark.parametrize(
        "name", ["", " ", ".x", "a b", "Ünal", "a\x00b", "x" * 65, "touchstone", "Touchstone", "<b>", "anna\u202e"]
    )
    def test_other_names_are_refused(self, session: Session, name: str) -> None:
        with pytest.raises(Invalid) as caught:
            accounts.create_user(session, name, Role.VIEWER)
        assert "name" in caught.value.fields

    def test_a_name_is_taken_once(self, session: Session) -> None:
        accounts.create_user(session, "anna", Role.VIEWER)
        with pytest.raises(Invalid, match="not created") as caught:
            accounts.create_user(session, "ANNA", Role.ADMIN)
        assert caught.value.fields == {"name": "There is already a user anna."}

    def test_another_role_ends_the_sessions(self, session: Session) -> None:
        person = factories.person(session)
        token = accounts.open_session(session, person.id, days=1)
        accounts.set_role(session, person.id, Role.MEMBER, by=None)
        assert accounts.person_for_session(session, token, idle_hours=1)
        accounts.set_role(session, person.id, Role.VIEWER, by=None)
        assert accounts.person_for_session(session, token, idle_hours=1) is None
        assert session.get_one(User, person.id).role == Role.VIEWER

    def test_a_deactivated_person_has_no_way_in(self, database: Database, anna: Person, passwords: Passwords) -> None:
        with database.session() as session:
            token = accounts.open_session(session, anna.id, days=1)
            key = api_tokens.create(session, anna, name="key", scope="read", days=7)
            link = accounts.create_sign_in_link(session, anna.id)
            accounts.set_active(session, anna.id, False, by=None)
            assert accounts.person_for_session(session, token, idle_hours=1) is None
            assert api_tokens.person_for_token(session, key) is None
            with pytest.raises(NotFound):
                accounts.use_sign_in_link(session, link)
            with pytest.raises(Conflict):
                accounts.create_sign_in_link(session, anna.id)
        with pytest.raises(Invalid):
            accounts.authenticate(database, "anna", PASSWORD, passwords)
        with database.session() as session:
            accounts.set_active(session, anna.id, True, by=None)
        assert accounts.authenticate(database, "anna", PASSWORD, passwords) == anna

    @pytest.mark.parametrize(
        "change",
        [
            lambda session, user_id: accounts.set_role(session, user_id, Role.MEMBER, by=None),
            lambda session, user_id: accounts.set_active(session, user_id, False, by=None),
        ],
    )
    def test_the_last_admin_stays(self, session: Session, change: Callable[[Session, int], User]) -> None:
        accounts.system_person(session)
        only = factories.person(session, "only", Role.ADMIN)
        with pytest.raises(Conflict) as caught:
            change(session, only.id)
        assert caught.value.code == "last_admin"
        factories.person(session, "second", Role.ADMIN)
        change(session, only.id)
        assert accounts.person_of(session.get_one(User, only.id)) == Person(
            only.id, "only", session.get_one(User, only.id).role
        )

    def test_the_systems_person_cannot_be_used(self, session: Session) -> None:
        system = accounts.system_person(session)
        assert accounts.system_person(session) == system
        assert (system.name, system.role, session.get_one(User, system.id).active) == ("touchstone", Role.ADMIN, False)
        for change in (
            lambda: accounts.set_active(session, system.id, True, by=None),
            lambda: accounts.set_role(session, system.id, Role.VIEWER, by=None),
            lambda: accounts.create_sign_in_link(session, system.id),
        ):
            with pytest.raises(Conflict):
                change()

    def test_unknown_people_are_not_found(self, session: Session) -> None:
        with pytest.raises(NotFound):
            accounts.set_role(session, 99, Role.VIEWER, by=None)


class TestLinks:
    def test_a_link_works_once(self, session: Session) -> None:
        person = factories.person(session)
        token = accounts.create_sign_in_link(session, person.id)
        assert accounts.link_owner(session, token) == "anna"
        assert accounts.use_sign_in_link(session, token) == person
        with pytest.raises(NotFound):
            accounts.use_sign_in_link(session, token)
        assert len(token) >= 43  # 256 bits

    def test_only_its_hash_is_stored(self, session: Session) -> None:
        token = accounts.create_sign_in_link(session, factories.person(session).id)
        assert session.scalars(select(SignInLink.token_sha256)).one() == accounts.digest(token)
        assert token not in accounts.digest(token)

    def test_two_at_once_sign_in_one(self, database: Database) -> None:
        with database.session() as session:
            token = accounts.create_sign_in_link(session, factories.person(session).id)
        outcomes: list[str] = []
        start = threading.Barrier(4)

        def use() -> None:
            start.wait()
            try:
                with database.session() as session:
                    outcomes.append(accounts.use_sign_in_link(session, token).name)
            except NotFound as error:
                outcomes.append(error.code)

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["anna", "bad_link", "bad_link", "bad_link"]

    def test_a_link_grows_old(self, session: Session) -> None:
        person = factories.person(session)
        token = accounts.create_sign_in_link(session, person.id, hours=24)
        expires = session.scalars(select(SignInLink.expires_at)).one()
        assert abs(expires - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=1)
        session.execute(update(SignInLink).values(expires_at=db_now(-1)))
        with pytest.raises(NotFound):
            accounts.link_owner(session, token)
        with pytest.raises(NotFound):
            accounts.use_sign_in_link(session, token)

    def test_a_new_link_ends_the_earlier_one(self, session: Session) -> None:
        person = factories.person(session)
        first, second = (accounts.create_sign_in_link(session, person.id) for _ in range(2))
        with pytest.raises(NotFound):
            accounts.use_sign_in_link(session, first)
        assert accounts.use_sign_in_link(session, second) == person

    def test_using_one_ends_the_old_password_and_sessions(
        self, database: Database, anna: Person, passwords: Passwords
    ) -> None:
        with database.session() as session:
            accounts.open_session(session, anna.id, days=1)
            accounts.use_sign_in_link(session, accounts.create_sign_in_link(session, anna.id))
            assert sessions(session, anna) == 0
        with pytest.raises(Invalid):
            accounts.authenticate(database, "anna", PASSWORD, passwords)


class TestFirstAdmin:
    def test_a_link_until_an_admin_has_a_password(self, session: Session) -> None:
        first = accounts.first_admin_link(session)
        second = accounts.first_admin_link(session)
        assert first and second
        admin = accounts.use_sign_in_link(session, second)
        assert (admin.name, admin.role) == ("admin", Role.ADMIN)
        assert accounts.first_admin_link(session), "signed in, but without a password for the next time"
        session.get_one(User, admin.id).password_hash = "set"
        assert accounts.first_admin_link(session) is None

    def test_the_system_and_members_do_not_count(self, session: Session) -> None:
        accounts.system_person(session)
        session.get_one(User, factories.person(session).id).password_hash = "set"
        assert accounts.first_admin_link(session)

    def test_an_admin_of_another_name_is_used(self, session: Session) -> None:
        factories.person(session, "boss", Role.ADMIN)
        token = accounts.first_admin_link(session)
        assert token
        assert accounts.link_owner(session, token) == "boss"


class TestPasswords:
    def test_the_right_one_opens(self, database: Database, anna: Person, passwords: Passwords) -> None:
        assert accounts.authenticate(database, " ANNA ", PASSWORD, passwords) == anna
        assert audited(database)[-1] == ("anna", "account.sign_in", "anna")

    @pytest.mark.parametrize("name", ["anna", "nobody", "touchstone", "\x00", "x" * 5000])
    def test_a_wrong_one_says_nothing_about_the_name(
        self, database: Database, anna: Person, passwords: Passwords, name: str
    ) -> None:
        with pytest.raises(Invalid) as caught:
            accounts.authenticate(database, name, "not the password", passwords)
        assert (caught.value.code, caught.value.message) == ("sign_in_failed", "Name and password do not match.")
        expected = "anna" if name == "anna" else "an unknown name"
        assert audited(database)[-1] == ("system", "account.sign_in_failed", expected)

    def test_an_unknown_name_takes_as_long(self, database: Database, anna: Person) -> None:
        slow = Passwords(time_cost=2, memory_kib=8 * 1024)
        with database.session() as session:
            session.get_one(User, anna.id).password_hash = slow.hash(PASSWORD)

        def quickest(name: str) -> float:
            durations = []
            for _ in range(5):
                started = time.perf_counter()
                with pytest.raises(Invalid):
                    accounts.authenticate(database, name, "not the password", slow)
                durations.append(time.perf_counter() - started)
            return min(durations)

        known, unknown = quickest("anna"), quickest("nobody")
        assert 0.5 < unknown / known < 2

    def test_the_hash_is_renewed_when_the_costs_rise(
        self, database: Database, anna: Person, passwords: Passwords
    ) -> None:
        dearer = Passwords(time_cost=2, memory_kib=64)
        accounts.authenticate(database, "anna", PASSWORD, dearer)
        with database.reading() as session:
            stored = session.get_one(User, anna.id).password_hash
        assert stored and not dearer.outdated(stored)
        assert accounts.authenticate(database, "anna", PASSWORD, dearer) == anna

    def test_a_change_ends_every_session_and_link(self, database: Database, anna: Person, passwords: Passwords) -> None:
        with database.session() as session:
            accounts.open_session(session, anna.id, days=1)
            link = accounts.create_sign_in_link(session, anna.id)
        new = "another good one"
        accounts.change_password(database, anna, current=PASSWORD, password=new, repeated=new, passwords=passwords)
        with database.session() as session:
            assert sessions(session, anna) == 0
            with pytest.raises(NotFound):
                accounts.link_owner(session, link)
        assert accounts.authenticate(database, "anna", new, passwords) == anna
        assert ("anna", "account.password", "anna") in audited(database)

    @pytest.mark.parametrize(
        ("current", "password", "repeated", "field"),
        [
            ("wrong", "another good one", "another good one", "current"),
            ("", "another good one", "another good one", "current"),
            (PASSWORD, "eleven char", "eleven char", "password"),
            (PASSWORD, "x" * 1001, "x" * 1001, "password"),
            (PASSWORD, "another good one", "another good two", "repeated"),
        ],
    )
    def test_a_bad_change_is_refused(
        self,
        database: Database,
        anna: Person,
        passwords: Passwords,
        current: str,
        password: str,
        repeated: str,
        field: str,
    ) -> None:
        with pytest.raises(Invalid) as caught:
            accounts.change_password(
                database, anna, current=current, password=password, repeated=repeated, passwords=passwords
            )
        assert set(caught.value.fields) == {field}
        assert accounts.authenticate(database, "anna", PASSWORD, passwords) == anna

    def test_whoever_has_none_sets_the_first_without_it(self, database: Database, passwords: Passwords) -> None:
        with database.session() as session:
            person = factories.person(session, "new")
        accounts.change_password(
            database, person, current="", password=PASSWORD, repeated=PASSWORD, passwords=passwords
        )
        assert accounts.authenticate(database, "new", PASSWORD, passwords) == person


class TestSessions:
    def test_a_token_finds_its_person(self, session: Session) -> None:
        person = factories.person(session)
        token = accounts.open_session(session, person.id, days=7)
        found = accounts.person_for_session(session, token, idle_hours=12)
        assert found == accounts.Credential(person, None, stale=False)
        assert session.scalars(select(UserSession.token_sha256)).one() == accounts.digest(token)
        assert accounts.person_for_session(session, token[:-1], idle_hours=12) is None

    def test_idle_sessions_end_and_used_ones_do_not(self, session: Session) -> None:
        token = accounts.open_session(session, factories.person(session).id, days=7)
        session.execute(update(UserSession).values(seen_at=db_now(-3700)))
        assert accounts.person_for_session(session, token, idle_hours=1) is None
        found = accounts.person_for_session(session, token, idle_hours=2)
        assert found and found.stale
        accounts.touch_session(session, token)
        found = accounts.person_for_session(session, token, idle_hours=1)
        assert found and not found.stale

    def test_every_session_ends_at_last(self, session: Session) -> None:
        person = factories.person(session)
        token = accounts.open_session(session, person.id, days=7)
        expires = session.scalars(select(UserSession.expires_at)).one()
        assert abs(expires - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)
        session.execute(update(UserSession).values(expires_at=db_now(-1)))
        assert accounts.person_for_session(session, token, idle_hours=12) is None
        accounts.open_session(session, person.id, days=7)
        assert sessions(session, person) == 1, "the one that was over is swept away"

    def test_ending_one_leaves_the_others(self, session: Session) -> None:
        person, other = factories.person(session), factories.person(session, "other")
        first, second, _third = (accounts.open_session(session, person.id, days=1) for _ in range(3))
        accounts.open_session(session, other.id, days=1)
        assert accounts.end_sessions(session, person.id, keep=first, only=accounts.digest(second)[:16]) == 1
        assert accounts.end_sessions(session, person.id, keep=first, only="%") == 0
        assert accounts.end_sessions(session, person.id, keep=first) == 1
        assert [row.id for row in queries.sessions_of(session, person.id)] == [accounts.digest(first)[:16]]
        assert sessions(session, other) == 1

    def test_who_ends_sessions_stands_in_the_audit(self, session: Session) -> None:
        person = factories.person(session)
        first, _second = (accounts.open_session(session, person.id, days=1) for _ in range(2))
        assert [accounts.end_own_sessions(session, person, keep=first) for _ in range(2)] == [1, 0]
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "account.end_sessions")).one()
        assert (entry.actor, entry.detail) == (person.name, {"sessions": 1})

    def test_signing_out_ends_it(self, session: Session) -> None:
        person = factories.person(session)
        token = accounts.open_session(session, person.id, days=1)
        accounts.close_session(session, person, token)
        assert accounts.person_for_session(session, token, idle_hours=1) is None


class TestAudit:
    def test_every_change_leaves_one_row(self, database: Database) -> None:
        with database.session() as session:
            boss = factories.person(session, "boss", Role.ADMIN)
            user = accounts.create_user(session, "anna", Role.MEMBER, by=boss)
            anna = accounts.person_of(user)
            accounts.use_sign_in_link(session, accounts.create_sign_in_link(session, user.id, by=boss))
            api_tokens.create(session, anna, name="key", scope="read", days=7)
            api_tokens.revoke(session, anna, queries.tokens_of(session, anna.id)[0].id)
            accounts.close_session(session, anna, accounts.open_session(session, anna.id, days=1))
            accounts.set_role(session, anna.id, Role.VIEWER, by=boss)
            accounts.set_active(session, anna.id, False, by=boss)
            accounts.set_active(session, anna.id, True, by=boss)
        assert audited(database) == [
            ("system", "user.create", "boss"),
            ("boss", "user.create", "anna"),
            ("boss", "user.link", "anna"),
            ("anna", "account.sign_in", "anna"),
            ("anna", "token.create", "key"),
            ("anna", "token.revoke", "key"),
            ("anna", "account.sign_out", "anna"),
            ("boss", "user.role", "anna"),
            ("boss", "user.deactivate", "anna"),
            ("boss", "user.activate", "anna"),
        ]

    def test_a_change_that_fails_leaves_none(self, database: Database) -> None:
        with pytest.raises(AppError), database.session() as session:
            accounts.create_user(session, "anna", Role.MEMBER)
            accounts.create_user(session, "anna", Role.MEMBER)
        assert audited(database) == []

    def test_the_address_and_long_subjects(self, database: Database) -> None:
        before = audit.request_address.set("192.0.2.7")
        try:
            with database.session() as session:
                audit.record(session, None, "test.act", "x" * 400, {"count": 2})
        finally:
            audit.request_address.reset(before)
        with database.reading() as session:
            (row,), total = queries.audit_page(session, actor="nobody", action="test.act", limit=10, offset=0)
        assert (total, row.address, len(row.subject), row.detail) == (1, "192.0.2.7", 300, {"count": 2})
