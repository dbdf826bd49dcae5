"""/api/v1: the same use cases as the pages, for scripts with a bearer token."""

from typing import Any

from fastapi import APIRouter, Request

from app.api import boards, datasets, examples, imports, models, reports, runs, verdicts, views
from app.http.access import Viewer

router = APIRouter(prefix="/api/v1")
for _part in (boards, datasets, imports, models, reports, runs, views, verdicts, examples):
    router.include_router(_part.router)


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request, _viewer: Viewer) -> dict[str, Any]:
    """What the API takes and gives, as OpenAPI 3.1."""
    schema: dict[str, Any] = request.app.openapi()
    return schema
