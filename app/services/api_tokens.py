"""API tokens: keys for scripts, shown once, stored as a hash, expiring, never more than their owner's role."""

import secrets

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db.tables import ApiToken, User
from app.db.types import db_now
from app.errors import Invalid, NotFound
from app.services import audit
from app.services.accounts import TOUCH_SECONDS, Credential, Person, Scope, digest, person_of

DAYS = (7, 30, 90, 365)
PREFIX = "ts_"  # lets secret scanners recognise our tokens


def create(session: Session, person: Person, *, name: str, scope: str, days: int) -> str:
    """A new token for scripts; this is the only time it can be seen.

    Raises:
        Invalid: No name or one in use, an unknown duration, or a scope beyond the person's role.
    """
    name = name.strip()
    fields = {}
    if not 1 <= len(name) <= 64 or not name.isprintable():
        fields["name"] = "Give it a name of 1 to 64 characters, so that you recognise it later."
    elif session.scalar(select(ApiToken.id).where(ApiToken.user_id == person.id, ApiToken.name == name)) is not None:
        fields["name"] = "You have a token of this name. Choose another, or revoke that one first."
    if scope not in list(Scope) or not person.can(Scope(scope).role):
        fields["scope"] = f"Choose what your role allows: {', '.join(scopes_for(person))}."
    if days not in DAYS:
        fields["days"] = f"Choose one of {', '.join(map(str, DAYS))} days."
    if fields:
        raise Invalid("The token was not created.", details={"fields": fields})
    token = PREFIX + secrets.token_urlsafe(32)
    session.add(
        ApiToken(
            user_id=person.id,
            name=name,
            token_sha256=digest(token),
            hint=token[-4:],
            scope=scope,
            expires_at=db_now(days * 86400),
        )
    )
    audit.record(session, person, "token.create", name, {"scope": scope, "days": days})
    return token


def scopes_for(person: Person) -> list[Scope]:
    """The scopes a person's role allows."""
    return [scope for scope in Scope if person.can(scope.role)]


def revoke(session: Session, person: Person, token_id: int) -> str:
    """End one of the person's own tokens.

    Returns:
        Its name.

    Raises:
        NotFound: They have no such token.
    """
    token = session.scalar(select(ApiToken).where(ApiToken.id == token_id, ApiToken.user_id == person.id))
    if token is None:
        raise NotFound("You have no such token.")
    session.delete(token)
    audit.record(session, person, "token.revoke", token.name)
    return token.name


def person_for_token(session: Session, token: str) -> Credential | None:
    """Whose token this is, with the lesser of the owner's role and the scope's; None when it does not count."""
    row = session.execute(
        select(User, ApiToken.scope, (ApiToken.used_at.is_(None) | (ApiToken.used_at < db_now(-TOUCH_SECONDS))))
        .join(ApiToken, ApiToken.user_id == User.id)
        .where(ApiToken.token_sha256 == digest(token), ApiToken.expires_at > db_now(0), User.active)
    ).one_or_none()
    if row is None:
        return None
    user, scope, stale = row
    owner = person_of(user)
    role = min(owner.role, Scope(scope).role, key=lambda role: role.rank)
    return Credential(Person(owner.id, owner.name, role), Scope(scope), bool(stale))


def touch(session: Session, token: str) -> None:
    """Note that a token was used just now."""
    session.execute(update(ApiToken).where(ApiToken.token_sha256 == digest(token)).values(used_at=db_now(0)))
