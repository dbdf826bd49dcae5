"""The one decision every route makes: open to everyone, or to people of a role.

A test walks all routes and fails where none is written, or more than one.
"""

from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.db.tables import Role
from app.errors import Forbidden, SignInRequired
from app.http import csrf
from app.http.identity import identify, known_identity
from app.services.accounts import Person, Scope


@dataclass(frozen=True)
class Decision:
    """A dependency that lets people of `role` or more through; None lets everyone."""

    role: Role | None

    async def __call__(self, request: Request) -> Person | None:
        """The person, None on open routes.

        Raises:
            SignInRequired: Nobody is signed in.
            Forbidden: The role is not enough, a token only reads, or another site sent the request.
        """
        safe = request.method in csrf.SAFE_METHODS
        if self.role is None and safe:
            return None  # no look into the database: /healthz must answer without one
        identity = known_identity(request) or await run_in_threadpool(identify, request)
        if identity is None and self.role is not None:
            raise SignInRequired("Sign in first, or send an API token.")
        await csrf.protect(request, identity)
        if identity is None or self.role is None:
            return None
        structlog.contextvars.bind_contextvars(person=identity.person.name)
        if identity.scope is Scope.READ and not safe:
            raise Forbidden("This API token only reads. Create one with the scope write.", code="read_only_token")
        if not identity.person.can(self.role):
            raise Forbidden(f"This needs the role {self.role}; you are here as {identity.person.role}.")
        return identity.person


def allow(role: Role) -> Decision:
    """The dependency for routes that need `role`."""
    return Decision(role)


public = Decision(None)
"""The dependency of routes that are open to everyone: `dependencies=[Depends(public)]`."""

Viewer = Annotated[Person, Depends(allow(Role.VIEWER))]
Member = Annotated[Person, Depends(allow(Role.MEMBER))]
Admin = Annotated[Person, Depends(allow(Role.ADMIN))]
