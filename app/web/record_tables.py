"""A dataset's records as tables for people: one table a kind, long lists cut."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TITLES = {
    "query": "Queries",
    "document": "Documents",
    "change": "What the changed instructions make irrelevant",
    "pair": "Pairs",
    "text": "Texts",
    "train": "Training texts",
    "test": "Test texts",
}
LONG_ENTRY = 40
"""From so many characters on the entries of a list stand one below the other."""

Shown = str | tuple[str, ...]
"""A text, or a list of texts to show one below the other; "" for nothing."""


@dataclass(frozen=True, slots=True)
class RecordTable:
    """The first records of one kind, with what is shown in each column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Shown, ...], ...]


def record_tables(records: Iterable[Mapping[str, Any]]) -> tuple[RecordTable, ...]:
    """Tables from records as `canonical.sample` gives them; a column that says nothing in any row is left out."""
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        by_kind.setdefault(str(record["kind"]), []).append(record)
    return tuple(_table(kind, found) for kind, found in by_kind.items())


def _table(kind: str, records: list[Mapping[str, Any]]) -> RecordTable:
    names = dict.fromkeys(name for record in records for name in record)
    columns = tuple(name for name in names if name != "kind" and any(_says(name, record) for record in records))
    rows = tuple(tuple(_shown(record.get(name, "")) for name in columns) for record in records)
    return RecordTable(TITLES.get(kind, kind), columns, rows)


def _says(name: str, record: Mapping[str, Any]) -> bool:
    """Whether a field holds something; a number does, but the set 0 is where everything is that has no set."""
    value = record.get(name, "")
    return bool(value) or (value in (0, 0.0) and name != "set")


def _shown(value: Any) -> Shown:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {relevance}" for name, relevance in value.items())
    if isinstance(value, list | tuple):
        entries = tuple(str(_shown(entry)) for entry in value)
        return entries if any(len(entry) > LONG_ENTRY for entry in entries) else ", ".join(entries)
    return f"{value:g}" if isinstance(value, float) else str(value)
