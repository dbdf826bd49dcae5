"""/api/v1: admins import MTEB's result files; everyone takes a board's results out as such files."""

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app.http.access import Admin, Viewer
from app.http.dependencies import AppSettings, DatabaseOf, ReadSession
from app.http.uploads import Received
from app.services import benchmarks, imports
from app.services.import_files import zip_pieces
from app.services.import_scope import parse_form
from app.services.result_export import result_files
from app.storage.blobs import BlobStore

router = APIRouter(tags=["imports"])

_TEXT_FIELDS = {
    "benchmark": "The board's name; one of imported results is added to",
    "definition": "A benchmark of MTEB's whose cells alone count, such as MTEB(eng, v2); empty for every task found",
    "except_tasks": "Tasks to leave out, with commas between",
    "skip_broken": "true: import the rest when files cannot be read; else nothing is imported",
}
_SCHEMA = {
    "type": "object",
    "required": ["file", "benchmark"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "A zip of <org__name>/<revision>/<Task>.json"},
        **{name: {"type": "string", "description": text} for name, text in _TEXT_FIELDS.items()},
    },
}
_BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _SCHEMA}}}}


class ImportOut(BaseModel):
    """A finished import."""

    slug: str = Field(description="The board's address")
    name: str
    new: bool = Field(description="Whether the board was made by this import")
    files: int = Field(description="Files at the places of results, model_meta.json included")
    others: int = Field(description="Files elsewhere, which are not read")
    models: int = Field(description="Revisions of models with a result")
    results: int
    unused: int = Field(description="Results of tasks that the board has not, or without any score")
    scores: int = Field(description="Cells with a value that counts")
    broken: int = Field(description="Files that cannot be read and were skipped")
    problems: list[str] = Field(description="What is wrong with the first 20 of them")


@router.post("/imports", response_model=ImportOut, status_code=201, openapi_extra=_BODY)
def post_import(
    response: Response, admin: Admin, submission: Received, database: DatabaseOf, settings: AppSettings
) -> Any:
    """Send a zip of MTEB's result files as `multipart/form-data`: they become a board, or all of it is refused."""
    blobs, form = BlobStore(settings.blobs_dir), parse_form(submission.fields)
    done = imports.import_upload(database, blobs, form, submission.file, submission.file_name, person=admin)
    response.headers["Location"] = f"/api/v1/boards/{quote(done.slug)}"
    found = done.reading
    return {"slug": done.slug, "name": done.name, "new": done.new, **found.counts, "problems": found.problems}


@router.get("/boards/{slug}/results.zip", response_class=StreamingResponse)
def get_results(_viewer: Viewer, session: ReadSession, settings: AppSettings, slug: str) -> Response:
    """A board's results as MTEB's result files: imported ones as they came, our own in the same layout."""
    files = result_files(session, BlobStore(settings.blobs_dir), benchmarks.by_slug(session, slug))
    disposition = f"attachment; filename*=UTF-8''{quote(f'{slug}-results.zip', safe='')}"
    headers = {"Content-Disposition": disposition}
    return StreamingResponse(zip_pieces(files), media_type="application/zip", headers=headers)
