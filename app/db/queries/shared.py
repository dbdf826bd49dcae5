"""Parts of queries that several page families need."""

from sqlalchemy import Subquery, func, select

from app.db.tables import DatasetRevision


def newest_revisions() -> Subquery:
    """(dataset_id, id) of every dataset's newest revision."""
    newest = func.max(DatasetRevision.id).label("id")
    return select(DatasetRevision.dataset_id, newest).group_by(DatasetRevision.dataset_id).subquery("newest")
