"""How an upload is to be scored, where its file cannot say so: from the form to the database to the reader."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from app.core.formats import Choices
from app.core.task_types import RETRIEVAL_FAMILY, task_type

USUAL: Final[dict[str, Any]] = {"splits": [], "ignore_identical_ids": False, "cluster_sets": None}
"""Every choice by the name of its form field, as it is when nobody says otherwise."""
MAX_SPLITS: Final = 20
MAX_SETS: Final = 10_000

_SPLIT: Final = re.compile(r"[a-z0-9_.-]{1,40}")
_WORDS: Final = {"": False, "0": False, "false": False, "1": True, "true": True}


def parse(typed: Mapping[str, str], kind: str, former: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What was typed into a form, checked.

    Args:
        typed: a text by name (see `USUAL`); what is not in it is as in `former`, what is empty is as usual.
        kind: the task type.
        former: the stored choices of the revision before; {} without one.

    Returns:
        What to store, only where it differs from the usual; and a message by name for what is wrong.
    """
    found = {**USUAL, **former}
    wrong: dict[str, str] = {}
    for name, text in typed.items():
        try:
            found[name] = _PARSERS[name](text.strip(), kind)
        except ValueError as error:
            wrong[name] = str(error)
    return {name: value for name, value in found.items() if value != USUAL[name]}, wrong


def reader_choices(stored: Mapping[str, Any]) -> Choices:
    """Stored choices as the reader takes them."""
    return Choices(**{**stored, "splits": tuple(stored.get("splits", ()))})


def as_typed(stored: Mapping[str, Any]) -> dict[str, str]:
    """Stored choices as they stand in a form."""
    return {
        "splits": ", ".join(stored.get("splits", ())),
        "ignore_identical_ids": "1" if stored.get("ignore_identical_ids") else "",
        "cluster_sets": str(stored.get("cluster_sets", "")),
    }


def in_words(stored: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Label and text of each choice that was made."""
    words = {
        "splits": ("Scored splits", ", ".join(stored.get("splits", ()))),
        "ignore_identical_ids": ("Own ids", "a query never finds the document with its own id"),
        "cluster_sets": ("Cluster sets", f"{stored.get('cluster_sets', 0):,}, each clustered as a whole"),
    }
    return tuple(words[name] for name in USUAL if name in stored)


def _splits(text: str, kind: str) -> list[str]:
    names = list(dict.fromkeys(name for part in text.split(",") if (name := part.strip().lower())))
    if len(names) > MAX_SPLITS:
        raise ValueError(f"At most {MAX_SPLITS} splits.")
    if wrong := next((name for name in names if not _SPLIT.fullmatch(name)), None):
        raise ValueError(
            f"{wrong[:40]!r} is no name of a split. Use at most 40 letters, digits, dots, dashes and underscores."
        )
    if "train" in names and task_type(kind).learns:
        raise ValueError(f"{kind} learns from train, so train cannot be scored. Name other splits.")
    return names


def _ignore_identical_ids(text: str, kind: str) -> bool:
    if text.lower() not in _WORDS:
        raise ValueError("Say true or false.")
    chosen = _WORDS[text.lower()]
    if chosen and kind not in RETRIEVAL_FAMILY:
        raise ValueError(f"Only retrieval and reranking look for documents by id; leave it off for {kind}.")
    return chosen


def _cluster_sets(text: str, kind: str) -> int | None:
    if not text:
        return None
    if kind != "Clustering":
        raise ValueError(f"Only Clustering has sets; leave it empty for {kind}.")
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MAX_SETS):
        raise ValueError(f"Give a whole number from 1 to {MAX_SETS:,}, or leave it empty.")
    return int(text)


_PARSERS: Final[dict[str, Callable[[str, str], Any]]] = {
    "splits": _splits,
    "ignore_identical_ids": _ignore_identical_ids,
    "cluster_sets": _cluster_sets,
}
