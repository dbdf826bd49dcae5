"""The audit trail: one row for every change of state, without dataset text."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from app.db.tables import AuditEntry

if TYPE_CHECKING:
    from app.services.accounts import Person

NOBODY = "nobody"
SYSTEM = "system"
request_address: ContextVar[str] = ContextVar("request_address", default="")
"""The address the request came from; the middleware sets it, "" outside of a request."""


def record(
    session: Session, person: "Person | None", action: str, subject: str, detail: dict[str, Any] | None = None
) -> None:
    """Note what `person` did, in the caller's transaction: it is kept exactly when the change is.

    Args:
        session: The transaction of the change itself.
        person: Who did it; None for nobody signed in, and for the command line and the workers.
        action: A dotted name such as "dataset.publish".
        subject: What it was done to, at most 300 characters are kept.
        detail: JSON-ready facts, never dataset text, passwords or tokens.
    """
    address = request_address.get()
    session.add(
        AuditEntry(
            user_id=person.id if person else None,
            actor=person.name if person else NOBODY if address else SYSTEM,
            action=action,
            subject=subject[:300],
            detail=detail or {},
            address=address[:64],
        )
    )
