"""People and the ways in: passwords, one-time links, sessions. API tokens have their own module.

Tokens are 256 random bits; the database holds their sha256 only.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.db.queries.accounts import signed_in
from app.db.session import Database, lock_name
from app.db.tables import ApiToken, Role, SignInLink, User, UserSession
from app.db.types import db_now
from app.errors import Conflict, Invalid, NotFound
from app.services import audit
from app.services.passwords import Passwords, check_strength

SYSTEM_NAME = "touchstone"
FIRST_ADMIN = "admin"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
TOUCH_SECONDS = 60  # how exactly the last use is known


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts, with the role that counts for this act."""

    id: int
    name: str
    role: Role

    def can(self, role: Role) -> bool:
        """Whether this person's role includes `role`."""
        return self.role.rank >= role.rank


class Scope(StrEnum):
    """What an API token may do: read only reads, write acts as a member, admin as an admin."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def role(self) -> Role:
        """The most that a token of this scope can be."""
        return {Scope.READ: Role.VIEWER, Scope.WRITE: Role.MEMBER, Scope.ADMIN: Role.ADMIN}[self]


@dataclass(frozen=True, slots=True)
class Credential:
    """A session or token that was recognised; `scope` is None for a session.

    `stale` says that its last use should be written down again. With a session come, read along, how many runs are
    queued or running and the stamp of the boards.
    """

    person: Person
    scope: Scope | None
    stale: bool
    active_runs: int = 0
    board_stamp: int = 0


# People


def create_user(session: Session, name: str, role: Role, *, by: Person | None = None) -> User:
    """Add a person who has no way in yet; give them one with `create_sign_in_link`.

    Raises:
        Invalid: The name is taken or holds other characters than a-z, 0-9 and . _ @ + -.
    """
    name = name.strip().lower()
    if not _NAME.fullmatch(name) or name == SYSTEM_NAME:
        raise _bad_name("Use 1 to 64 of a-z, 0-9 and . _ @ + -, beginning with a letter or digit.")
    lock_name(session, f"user {name}")
    if session.scalar(select(User.id).where(User.name == name)) is not None:
        raise _bad_name(f"There is already a user {name}.")
    user = User(name=name, role=role)
    session.add(user)
    session.flush()
    audit.record(session, by, "user.create", name, {"role": role})
    return user


def _bad_name(message: str) -> Invalid:
    return Invalid("The user was not created.", code="bad_name", details={"fields": {"name": message}})


def set_role(session: Session, user_id: int, role: Role, *, by: Person | None) -> User:
    """Give a person another role and end their sessions.

    Raises:
        NotFound: No such user.
        Conflict: It is the system's user, or nobody would be left to administrate.
    """
    user = _editable(session, user_id)
    if user.role == role:
        return user
    if user.active and user.role == Role.ADMIN:
        _require_another_admin(session, user)
    audit.record(session, by, "user.role", user.name, {"from": user.role, "to": role})
    user.role = role
    end_sessions(session, user.id)
    return user


def set_active(session: Session, user_id: int, active: bool, *, by: Person | None) -> User:
    """Let a person in again, or keep them out: their sessions and links end, their tokens stop working.

    Raises:
        NotFound: No such user.
        Conflict: It is the system's user, or nobody would be left to administrate.
    """
    user = _editable(session, user_id)
    if user.active == active:
        return user
    if not active and user.role == Role.ADMIN:
        _require_another_admin(session, user)
    user.active = active
    if not active:
        end_sessions(session, user.id)
        _drop_links(session, user.id)
    audit.record(session, by, "user.activate" if active else "user.deactivate", user.name)
    return user


def _editable(session: Session, user_id: int) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise NotFound("There is no such user.")
    if user.name == SYSTEM_NAME:
        raise Conflict("This user owns what the program itself creates; it cannot be changed.")
    return user


def _require_another_admin(session: Session, user: User) -> None:
    # The lock keeps two admins from removing each other at the same moment.
    admins = session.scalars(select(User).where(User.role == Role.ADMIN, User.active).with_for_update())
    if all(admin.id == user.id for admin in admins):
        raise Conflict("This is the last active admin. Make somebody else an admin first.", code="last_admin")


def system_person(session: Session) -> Person:
    """Who owns demo data and imports: an inactive user, created on demand, whom nobody can sign in as."""
    user = session.scalar(select(User).where(User.name == SYSTEM_NAME))
    if user is None:
        user = User(name=SYSTEM_NAME, role=Role.ADMIN, active=False)
        session.add(user)
        session.flush()
    return person_of(user)


def person_of(user: User) -> Person:
    """The person a row stands for."""
    return Person(user.id, user.name, Role(user.role))


# One-time links


def create_sign_in_link(session: Session, user_id: int, hours: float = 24, *, by: Person | None = None) -> str:
    """The token of a link that signs this person in once; earlier unused ones stop working.

    Raises:
        NotFound: No such user.
        Conflict: The user is inactive or the system's.
    """
    user = _editable(session, user_id)
    if not user.active:
        raise Conflict(f"{user.name} is not active. Activate the user first.")
    _drop_links(session, user.id)
    token = secrets.token_urlsafe(32)
    session.add(SignInLink(token_sha256=digest(token), user_id=user.id, expires_at=db_now(hours * 3600)))
    audit.record(session, by, "user.link", user.name, {"hours": hours})
    return token


def _drop_links(session: Session, user_id: int) -> None:
    session.execute(delete(SignInLink).where(SignInLink.user_id == user_id, SignInLink.used_at.is_(None)))


def link_owner(session: Session, token: str) -> str:
    """The name of the person a link would sign in.

    Raises:
        NotFound: The link is unknown, used or too old.
    """
    name = session.scalar(
        select(User.name)
        .join(SignInLink, SignInLink.user_id == User.id)
        .where(
            SignInLink.token_sha256 == digest(token),
            SignInLink.used_at.is_(None),
            SignInLink.expires_at > db_now(0),
            User.active,
        )
    )
    if name is None:
        raise NotFound(
            "This sign-in link was used already or is too old. Ask an admin for a new one, "
            "or start Touchstone again: it prints one while no admin has a password.",
            code="bad_link",
        )
    return name


def use_sign_in_link(session: Session, token: str) -> Person:
    """Use up a link. An earlier password, sessions and API tokens end: whoever lost the one may have lost the others.

    Raises:
        NotFound: The link is unknown, used or too old.
    """
    name = link_owner(session, token)
    used = session.execute(
        update(SignInLink)
        .where(SignInLink.token_sha256 == digest(token), SignInLink.used_at.is_(None))
        .values(used_at=db_now(0))
        .returning(SignInLink.user_id)
    ).scalar_one_or_none()
    if used is None:  # somebody was faster by a moment
        raise NotFound("This sign-in link was used already.", code="bad_link")
    user = session.get_one(User, used)
    user.password_hash = None
    end_sessions(session, user.id)
    session.execute(delete(ApiToken).where(ApiToken.user_id == user.id))
    audit.record(session, person_of(user), "account.sign_in", name, {"by": "link"})
    return person_of(user)


def first_admin_link(session: Session) -> str | None:
    """A link for the first admin, creating the user when there is none; None when an admin has a password."""
    admins = session.scalars(select(User).where(User.role == Role.ADMIN, User.active).order_by(User.id)).all()
    if any(admin.password_hash for admin in admins):
        return None
    admin = admins[0] if admins else create_user(session, FIRST_ADMIN, Role.ADMIN)
    return create_sign_in_link(session, admin.id)


# Passwords


def authenticate(database: Database, name: str, password: str, passwords: Passwords) -> Person:
    """Who that name and password belong to.

    Takes the database and not a session: the slow comparison must not hold SQLite's one write lock,
    and a failure is recorded although the request changes nothing else.

    Raises:
        Invalid: Code `sign_in_failed`; it does not tell whether the name exists.
    """
    name = name.strip().lower()
    with database.reading() as session:
        known = select(User).where(User.name == name)
        user = session.scalar(known) if _NAME.fullmatch(name) else None
    stored = user.password_hash if user and user.active else None
    if not passwords.matches(password, stored) or user is None or stored is None:
        with database.session() as session:
            # An unknown name may be a password typed into the wrong field, so it is not kept.
            audit.record(session, None, "account.sign_in_failed", user.name if user else "an unknown name")
        raise Invalid("Name and password do not match.", code="sign_in_failed")
    renewed = passwords.hash(password) if passwords.outdated(stored) else None
    person = person_of(user)
    with database.session() as session:
        if renewed:
            _replace_hash(session, user.id, stored, renewed)
        audit.record(session, person, "account.sign_in", name, {"by": "password"})
    return person


def change_password(
    database: Database, person: Person, *, current: str, password: str, repeated: str, passwords: Passwords
) -> None:
    """Set a new password and end every session; open a new one for the browser that asked.

    `current` counts only when there is a password: whoever came by a link has none.

    Raises:
        Invalid: `current` is wrong, or the new one too short or mistyped.
        Conflict: It was changed from elsewhere at the same moment.
    """
    check_strength(password, repeated)
    with database.reading() as session:
        stored = session.get_one(User, person.id).password_hash
    if stored is not None and not passwords.matches(current, stored):
        message = "This is not your current password."
        raise Invalid("The password was not changed.", details={"fields": {"current": message}})
    renewed = passwords.hash(password)
    with database.session() as session:
        if not _replace_hash(session, person.id, stored, renewed):
            raise Conflict("The password was changed from elsewhere just now. Sign in again.")
        end_sessions(session, person.id)
        _drop_links(session, person.id)
        audit.record(session, person, "account.password", person.name)


def _replace_hash(session: Session, user_id: int, stored: str | None, renewed: str) -> bool:
    unchanged = User.password_hash.is_(None) if stored is None else User.password_hash == stored
    statement = update(User).where(User.id == user_id, unchanged).values(password_hash=renewed).returning(User.id)
    return session.execute(statement).scalar_one_or_none() is not None


# Sessions


def open_session(session: Session, user_id: int, *, days: float, agent: str = "") -> str:
    """Sign a browser in for at most `days`; the token goes into its cookie and nowhere else."""
    session.execute(delete(UserSession).where(UserSession.expires_at < db_now(0)))
    token = secrets.token_urlsafe(32)
    session.add(
        UserSession(
            token_sha256=digest(token),
            user_id=user_id,
            expires_at=db_now(days * 86400),
            address=audit.request_address.get()[:64],
            agent=agent[:200],
        )
    )
    return token


def person_for_session(session: Session, token: str, *, idle_hours: float) -> Credential | None:
    """Who is signed in with that token; None when it is unknown, over, idle for too long, or the person inactive."""
    found = signed_in(session, digest(token), idle_seconds=idle_hours * 3600, touch_seconds=TOUCH_SECONDS)
    if found is None:
        return None
    person = Person(found.user_id, found.name, Role(found.role))
    return Credential(person, None, bool(found.stale), found.active_runs, found.board_stamp)


def touch_session(session: Session, token: str) -> None:
    """Note that a session was used just now."""
    session.execute(update(UserSession).where(UserSession.token_sha256 == digest(token)).values(seen_at=db_now(0)))


def close_session(session: Session, person: Person, token: str) -> None:
    """Sign a browser out."""
    session.execute(delete(UserSession).where(UserSession.token_sha256 == digest(token)))
    audit.record(session, person, "account.sign_out", person.name)


def end_sessions(session: Session, user_id: int, *, keep: str | None = None, only: str | None = None) -> int:
    """End a person's sessions: all, all but the one with token `keep`, or the one whose hash begins with `only`.

    Returns:
        How many ended.
    """
    statement = delete(UserSession).where(UserSession.user_id == user_id)
    if keep is not None:
        statement = statement.where(UserSession.token_sha256 != digest(keep))
    if only is not None:
        statement = statement.where(UserSession.token_sha256.startswith(only, autoescape=True))
    return len(session.execute(statement.returning(UserSession.token_sha256)).all())


def end_own_sessions(session: Session, person: Person, *, keep: str, only: str | None = None) -> int:
    """End somebody's other sessions, or one of them, at their own wish; how many ended."""
    ended = end_sessions(session, person.id, keep=keep, only=only)
    if ended:
        audit.record(session, person, "account.end_sessions", person.name, {"sessions": ended})
    return ended


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
