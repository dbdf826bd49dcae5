"""The form by which admins import MTEB's result files as a board."""

from dataclasses import dataclass, field
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from app.db.queries.datasets import counts_text
from app.errors import AppError
from app.http.access import Admin
from app.http.dependencies import AppSettings, DatabaseOf
from app.http.uploads import Received
from app.mteb.registry import definition_names
from app.services import imports
from app.services.benchmarks import NAME_LENGTH
from app.services.import_reading import LAYOUT_HELP
from app.services.import_scope import parse_form
from app.storage.blobs import BlobStore
from app.web.flash import redirect
from app.web.forms import Form as ShownForm
from app.web.forms import rejected
from app.web.templating import page

router = APIRouter(include_in_schema=False)

_FIELDS = ("benchmark", "definition", "except_tasks", "skip_broken")


@dataclass(frozen=True, slots=True)
class ImportPage:
    """What /boards/import shows; `problems` are the first files that cannot be read, of `total`."""

    max_bytes: int
    form: ShownForm = field(default_factory=ShownForm)
    problems: tuple[str, ...] = ()
    total: int = 0
    name_length: int = NAME_LENGTH
    layout_help: str = LAYOUT_HELP

    @property
    def definitions(self) -> list[tuple[str, str]]:
        """Value and label of each choice."""
        return [("", "Every task found"), *((name, name) for name in definition_names())]


@router.get("/boards/import")
def import_form(request: Request, _admin: Admin, settings: AppSettings) -> Response:
    """The form."""
    return page(request, "boards/import.html", ImportPage(settings.upload_max_bytes))


@router.post("/boards/import")
def import_results(
    request: Request, person: Admin, submission: Received, database: DatabaseOf, settings: AppSettings
) -> Response:
    """Import a zip; a refused one comes back with what was typed and what is wrong."""
    blobs, form = BlobStore(settings.blobs_dir), parse_form(submission.fields)
    try:
        done = imports.import_upload(database, blobs, form, submission.file, submission.file_name, person=person)
    except AppError as error:
        shown = rejected(error, **{name: submission.text(name) for name in _FIELDS})
        problems = tuple(error.details.get("problems", ()))
        context = ImportPage(settings.upload_max_bytes, shown, problems, error.details.get("total", 0))
        return page(request, "boards/import.html", context, status=error.status)
    found = done.reading
    skipped = f" {found.broken:,} files cannot be read and were skipped." if found.broken else ""
    message = f"Imported {counts_text({'results': found.results, 'models': found.models})}.{skipped}"
    return redirect(f"/boards/{quote(done.slug)}", message, "warn" if skipped else "ok")
