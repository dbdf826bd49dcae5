"""/api/v1/boards/{slug}/views: looks at a board that people saved under a name."""

from typing import Any

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.db.queries.saved_views import ViewRow, visible_views
from app.http.access import Viewer
from app.http.dependencies import Boards, DatabaseOf, ReadSession, RowId, WriteSession
from app.services import benchmarks, saved_views
from app.services.saved_views import TABS, ViewForm, address_of, parse_address

router = APIRouter(prefix="/boards/{slug}/views", tags=["boards"])


class ViewOut(BaseModel):
    """A saved view."""

    id: int
    name: str
    owner: str = Field(description="Who saved it")
    mine: bool
    shared: bool = Field(description="Whether everybody sees it")
    tab: str = Field(description=f"Of the board: {', '.join(TABS.values())}")
    address: str = Field(description="The page that it shows, as it was saved")
    saved_at: AwareDatetime


class ViewIn(BaseModel):
    """A view to save."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="1 to 80 characters; yours on this board, whatever the letter case")
    address: str = Field(description="Of a tab of the board with its filters, such as /boards/help-desk/tasks?type=STS")
    shared: bool = Field(False, description="Whether everybody sees it; members and admins share views")
    replace: bool = Field(False, description="Whether it takes the place of your view of that name, if there is one")


@router.get("", response_model=list[ViewOut])
def get_views(viewer: Viewer, session: ReadSession, slug: str) -> Any:
    """Your own views of a board, then those that others share."""
    found = visible_views(session, benchmarks.by_slug(session, slug).id, viewer.id)
    return [_out(slug, view) for view in found]


@router.post("", response_model=ViewOut, status_code=201)
def post_view(viewer: Viewer, database: DatabaseOf, boards: Boards, slug: str, body: ViewIn) -> Any:
    """Save a view of your own."""
    form = ViewForm(body.name, parse_address(slug, body.address), body.shared, body.replace)
    saved = saved_views.save(database, boards, viewer, slug, form)
    with database.reading() as session:
        found = visible_views(session, benchmarks.by_slug(session, slug).id, viewer.id)
    return next(_out(slug, view) for view in found if view.id == saved)


@router.delete("/{view_id}", status_code=204)
def delete_view(viewer: Viewer, session: WriteSession, slug: str, view_id: RowId) -> None:
    """Delete a view: your own, or as an admin one that is shared."""
    saved_views.delete(session, viewer, slug, view_id)


def _out(slug: str, view: ViewRow) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "owner": view.owner,
        "mine": view.mine,
        "shared": view.shared,
        "tab": TABS.get(view.tab, view.tab),
        "address": address_of(slug, view),
        "saved_at": view.saved_at,
    }
