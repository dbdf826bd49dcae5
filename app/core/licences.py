"""Which licences let a company use a model."""

from typing import Final

_COMMERCIAL: Final = frozenset(
    {
        "agpl-3.0",
        "apache-2.0",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsl-1.0",
        "cc0-1.0",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cdla-permissive-2.0",
        "gemma",
        "gpl-2.0",
        "gpl-3.0",
        "isc",
        "lgpl-2.1",
        "lgpl-3.0",
        "llama2",
        "llama3",
        "llama3.1",
        "llama3.2",
        "llama3.3",
        "mit",
        "mpl-2.0",
        "odc-by",
        "openrail",
        "openrail++",
        "unlicense",
        "wtfpl",
    }
)
"""Licence ids of the model hub that allow commercial use, some of them under conditions (copyleft, use policies)."""


def allows_commercial_use(licence: str | None) -> bool:
    """Whether a licence is known to allow commercial use; an unknown one, or a link to a text, is not.

    Example:
        >>> allows_commercial_use("Apache-2.0"), allows_commercial_use("cc-by-nc-4.0"), allows_commercial_use(None)
        (True, False, False)
    """
    return (licence or "").strip().lower() in _COMMERCIAL
