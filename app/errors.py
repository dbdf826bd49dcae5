"""Errors a person can act on. Each carries its own status; one handler shows it as page, fragment or JSON."""

from typing import Any, ClassVar


class AppError(Exception):
    """An expected failure: what went wrong, where, and how to mend it.

    `code` is a stable machine-readable name, `message` one or two sentences for people, `details`
    JSON-ready facts (for an invalid form: field name -> message under `fields`).
    """

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str | None = None, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.details = details or {}


class Invalid(AppError):
    """The input cannot be accepted as it is."""

    status = 422
    default_code = "invalid"

    @property
    def fields(self) -> dict[str, str]:
        """Message by form field; the empty key holds what belongs to no field."""
        fields: dict[str, str] = self.details.get("fields", {})
        return fields


class SignInRequired(AppError):
    """Nobody is signed in; pages send the visitor to /sign-in."""

    status = 401
    default_code = "sign_in_required"


class Forbidden(AppError):
    """Somebody is signed in who may not do this."""

    status = 403
    default_code = "forbidden"


class NotFound(AppError):
    """No such thing, or none this person may know of."""

    status = 404
    default_code = "not_found"


class Conflict(AppError):
    """The request contradicts what is stored."""

    status = 409
    default_code = "conflict"


class TooLarge(AppError):
    """A file, a field or a row count beyond its limit."""

    status = 413
    default_code = "too_large"


class TooManyRequests(AppError):
    """A limit was reached; `retry_after` says when to come back, in seconds."""

    status = 429
    default_code = "too_many_requests"

    def __init__(self, message: str, *, retry_after: int, code: str | None = None) -> None:
        super().__init__(message, code=code, details={"retry_after": retry_after})
        self.retry_after = retry_after


class RunFailure(AppError):
    """A run or an inspection cannot go on; stored with the run and shown with its remedy.

    Codes: `bad_embeddings`, `bad_text`, `gpu_oom`, `device_lost`, `out_of_memory`, `disk_full`, `model_missing`,
    `model_broken`, `model_unsafe`, `remote_code`, `dataset_missing`, `unsupported`, `worker_lost`, `internal`.
    """

    status = 500
    default_code = "internal"

    def __init__(self, message: str, *, code: str, remedy: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message, code=code, details=details)
        self.remedy = remedy
