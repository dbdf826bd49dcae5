"""The saved views of a board that somebody may see."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.db.tables import SavedView, User


@dataclass(frozen=True, slots=True)
class ViewRow:
    """A saved view; `owner` is the name of who saved it, `mine` whether that is who asks."""

    id: int
    name: str
    owner: str
    mine: bool
    shared: bool
    tab: str
    query: str
    saved_at: datetime


def visible_views(session: Session, benchmark_id: int, person_id: int) -> list[ViewRow]:
    """Somebody's own views of a board and those that others share, in one query; own ones first, then by name."""
    rows = session.execute(_visible(benchmark_id, person_id))
    found = [ViewRow(*row) for row in rows]
    return sorted(found, key=lambda view: (not view.mine, view.name.casefold(), view.owner))


def visible_view(session: Session, benchmark_id: int, person_id: int, view_id: int) -> ViewRow | None:
    """One of those."""
    row = session.execute(_visible(benchmark_id, person_id).where(SavedView.id == view_id)).one_or_none()
    return None if row is None else ViewRow(*row)


def _visible(benchmark_id: int, person_id: int) -> Select[int, str, str, bool, bool, str, str, datetime]:
    mine = SavedView.owner_id == person_id
    columns = (SavedView.shared, SavedView.tab, SavedView.query, SavedView.created_at)
    query = select(SavedView.id, SavedView.name, User.name, mine, *columns)
    return query.join(User, User.id == SavedView.owner_id).where(
        SavedView.benchmark_id == benchmark_id, mine | SavedView.shared
    )
