"""What the pages about people read: users, sessions, API tokens, the audit trail; and the header of every page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from app.db.changes import BOARDS
from app.db.tables import ApiToken, AuditEntry, JobState, Role, Run, SignInLink, Stamp, User, UserSession
from app.db.types import db_now

SESSION_ID_LENGTH = 16


@dataclass(frozen=True, slots=True)
class UserRow:
    """A line of the list of users; `link_until` is set while an unused sign-in link lives."""

    id: int
    name: str
    role: Role
    active: bool
    has_password: bool
    created_at: datetime
    seen_at: datetime | None
    link_until: datetime | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A signed-in browser; `id` is the beginning of its token's hash, of use to nobody else."""

    id: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class TokenRow:
    """An API token without its secret."""

    id: int
    name: str
    hint: str
    scope: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    expired: bool


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One line of the audit trail."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    address: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whose session it is, and what every page shows or depends on.

    `stale`: its last use should be written down again. `board_stamp`: see `app.db.changes`.
    """

    user_id: int
    name: str
    role: str
    stale: bool
    active_runs: int
    board_stamp: int


_ACTIVE_RUNS: Final = select(func.count()).select_from(Run).where(Run.state.in_((JobState.QUEUED, JobState.RUNNING)))
_SIGNED_IN: Final = (
    select(
        User.id,
        User.name,
        User.role,
        UserSession.seen_at < db_now(-bindparam("touch_seconds")),
        _ACTIVE_RUNS.scalar_subquery(),
        func.coalesce(select(Stamp.value).where(Stamp.name == BOARDS).scalar_subquery(), 0),
    )
    .join(UserSession, UserSession.user_id == User.id)
    .where(
        UserSession.token_sha256 == bindparam("token_sha256"),
        UserSession.expires_at > db_now(0),
        UserSession.seen_at > db_now(-bindparam("idle_seconds")),
        User.active,
    )
)
"""Asked with every page, so it is put together once."""


def signed_in(session: Session, token_sha256: str, *, idle_seconds: float, touch_seconds: float) -> SignedIn | None:
    """The session with that hash, None when it is over, idle for too long, or the person inactive. One query."""
    values = {"token_sha256": token_sha256, "idle_seconds": idle_seconds, "touch_seconds": touch_seconds}
    row = session.execute(_SIGNED_IN, values).one_or_none()
    return None if row is None else SignedIn(*row)


def active_runs(session: Session) -> int:
    """How many runs are queued or running."""
    return session.scalar(_ACTIVE_RUNS) or 0


def users(session: Session) -> list[UserRow]:
    """Everybody, by name."""
    seen = select(func.max(UserSession.seen_at)).where(UserSession.user_id == User.id).scalar_subquery()
    link = (
        select(func.max(SignInLink.expires_at))
        .where(SignInLink.user_id == User.id, SignInLink.used_at.is_(None), SignInLink.expires_at > db_now(0))
        .scalar_subquery()
    )
    rows = session.execute(
        select(
            User.id,
            User.name,
            User.role,
            User.active,
            User.password_hash.is_not(None).label("has_password"),
            User.created_at,
            seen.label("seen_at"),
            link.label("link_until"),
        ).order_by(User.name)
    )
    return [UserRow(**{**row, "role": Role(row["role"])}) for row in rows.mappings()]


def has_password(session: Session, user_id: int) -> bool:
    """Whether the person has set a password."""
    return session.scalar(select(User.password_hash.is_not(None)).where(User.id == user_id)) or False


def sessions_of(session: Session, user_id: int) -> list[SessionRow]:
    """A person's live sessions, the one used last first."""
    rows = session.execute(
        select(
            func.substr(UserSession.token_sha256, 1, SESSION_ID_LENGTH).label("id"),
            UserSession.created_at,
            UserSession.seen_at,
            UserSession.expires_at,
            UserSession.address,
            UserSession.agent,
        )
        .where(UserSession.user_id == user_id, UserSession.expires_at > db_now(0))
        .order_by(UserSession.seen_at.desc(), UserSession.token_sha256)
    )
    return [SessionRow(**row) for row in rows.mappings()]


def tokens_of(session: Session, user_id: int) -> list[TokenRow]:
    """A person's API tokens, the newest first."""
    rows = session.execute(
        select(
            ApiToken.id,
            ApiToken.name,
            ApiToken.hint,
            ApiToken.scope,
            ApiToken.created_at,
            ApiToken.expires_at,
            ApiToken.used_at,
            (ApiToken.expires_at <= db_now(0)).label("expired"),
        )
        .where(ApiToken.user_id == user_id)
        .order_by(ApiToken.id.desc())
    )
    return [TokenRow(**row) for row in rows.mappings()]


def audit_page(session: Session, *, actor: str, action: str, limit: int, offset: int) -> tuple[list[AuditRow], int]:
    """One page of the audit trail, the newest first, and how many rows there are in all.

    Args:
        session: Where to read.
        actor: Only this person's rows; "" for everybody's.
        action: Only this action; "" for every one.
        limit: Rows of the page.
        offset: Rows before it.
    """
    conditions = []
    if actor:
        conditions.append(AuditEntry.actor == actor)
    if action:
        conditions.append(AuditEntry.action == action)
    total = session.scalar(select(func.count()).select_from(AuditEntry).where(*conditions)) or 0
    columns = [getattr(AuditEntry, name) for name in AuditRow.__dataclass_fields__]
    rows = session.execute(
        select(*columns).where(*conditions).order_by(AuditEntry.id.desc()).limit(limit).offset(offset)
    )
    return [AuditRow(**row) for row in rows.mappings()], total


def audit_choices(session: Session) -> tuple[Sequence[str], Sequence[str]]:
    """The actors and the actions that occur in the audit trail."""
    actors = session.scalars(select(AuditEntry.actor).distinct().order_by(AuditEntry.actor)).all()
    actions = session.scalars(select(AuditEntry.action).distinct().order_by(AuditEntry.action)).all()
    return actors, actions
