"""A dataset's records as tables for people: one table a kind, long lists cut."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TITLES = {
    "query": "Queries",
    "document": "Documents",
    "pair": "Pairs",
    "train": "Training texts",
    "test": "Test texts",
}


@dataclass(frozen=True, slots=True)
class RecordTable:
    """The first records of one kind, a text for each column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def record_tables(records: Iterable[Mapping[str, Any]]) -> tuple[RecordTable, ...]:
    """Tables from records as `canonical.sample` gives them; a column that is empty in every row is left out."""
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        by_kind.setdefault(str(record["kind"]), []).append(record)
    return tuple(_table(kind, found) for kind, found in by_kind.items())


def _table(kind: str, records: list[Mapping[str, Any]]) -> RecordTable:
    columns = tuple(name for name in records[0] if name != "kind" and any(record[name] != "" for record in records))
    rows = tuple(tuple(_shown(record[name]) for name in columns) for record in records)
    return RecordTable(TITLES.get(kind, kind), columns, rows)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {relevance}" for name, relevance in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
