"""Parts of queries that several page families need."""

from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import Subquery, func, select

from app.db.tables import DatasetRevision

_AT_ONCE: Final = 10_000
"""A statement takes no more parameters than some 30,000."""


def in_parts(ids: Iterable[int]) -> Iterator[list[int]]:
    """Numbers of rows, each once, so many at a time as a statement takes."""
    ordered = sorted(set(ids))
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


def newest_revisions() -> Subquery:
    """(dataset_id, id) of every dataset's newest revision."""
    newest = func.max(DatasetRevision.id).label("id")
    return select(DatasetRevision.dataset_id, newest).group_by(DatasetRevision.dataset_id).subquery("newest")
