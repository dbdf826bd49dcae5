"""A form as it is shown: what was typed, and what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.errors import AppError, Invalid


@dataclass(frozen=True, slots=True)
class Form:
    """Values and messages by field name; the messages under "" belong to no field.

    Templates read `form.value("name")` and `form.error("name")`, and give `form.errors` to the
    summary above the form.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str, default: Any = "") -> Any:
        """What was typed into a field."""
        return self.values.get(name, default)

    def error(self, name: str) -> str:
        """What is wrong with a field, "" when nothing is."""
        return self.errors.get(name, "")


def rejected(error: AppError, **values: Any) -> Form:
    """The form to show again: what was typed, and the error's messages beside their fields.

    An error without fields becomes one message above the form. Passwords and files are not to be
    given as values: browsers cannot or must not show them again.
    """
    fields = error.fields if isinstance(error, Invalid) else {}
    return Form(values, fields or {"": error.message})
