"""The house for admins: its workers, its health, its storage."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response

from app.db.queries import house as queries
from app.http.access import Admin
from app.http.dependencies import AppSettings, ReadSession
from app.services import health
from app.web.templating import page

router = APIRouter(prefix="/admin", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class WorkersPage:
    """What /admin/workers shows."""

    workers: tuple[queries.WorkerRow, ...]
    checks: tuple[health.Check, ...]

    @property
    def well(self) -> bool:
        """Whether every check found things as they should be."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True)
class Size:
    """How much lies in a folder, however deep."""

    bytes: int = 0
    files: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(self.bytes + other.bytes, self.files + other.files)


@dataclass(frozen=True, slots=True)
class ModelVectors:
    """The vectors of one model; `ways` counts its ways of encoding: revisions, prompts, lengths, number formats."""

    name: str
    ways: int
    size: Size


@dataclass(frozen=True, slots=True)
class StoragePage:
    """What /admin/storage shows; `vectors` has the largest first, under the name "" those of no finished run."""

    data_dir: str
    database: int
    blobs: Size
    vectors: tuple[ModelVectors, ...]
    free: int
    capacity: int

    @property
    def all_vectors(self) -> Size:
        """The vectors of all models together."""
        return sum((model.size for model in self.vectors), Size())


@router.get("/workers")
def workers_page(request: Request, _admin: Admin, session: ReadSession, settings: AppSettings) -> Response:
    """Every worker with what it does now, and every check of `touchstone doctor`."""
    context = WorkersPage(queries.list_workers(session), tuple(health.examine(settings)))
    return page(request, "admin/workers.html", context)


@router.get("/storage")
def storage_page(request: Request, _admin: Admin, session: ReadSession, settings: AppSettings) -> Response:
    """How much room everything takes, and how much is left."""
    disk = shutil.disk_usage(settings.data_dir)
    context = StoragePage(
        data_dir=str(settings.data_dir),
        database=queries.database_bytes(session),
        blobs=measure(settings.blobs_dir),
        vectors=_vectors(settings.vectors_dir, queries.models_by_store(session)),
        free=disk.free,
        capacity=disk.total,
    )
    return page(request, "admin/storage.html", context)


def measure(folder: Path) -> Size:
    """How much lies in a folder; nothing where there is none. Files that vanish meanwhile do not count."""
    total = Size()
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Size(Path(parent, name).stat().st_size, 1)
            except FileNotFoundError:
                continue
    return total


def _vectors(root: Path, models: Mapping[str, str]) -> tuple[ModelVectors, ...]:
    """The folders of the vector store by model, the largest first."""
    by_model: dict[str, list[Size]] = {}
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.name.startswith("."):  # what the engine remembers of models
            continue
        by_model.setdefault(models.get(folder.name, ""), []).append(measure(folder))
    found = (ModelVectors(name, len(sizes), sum(sizes, Size())) for name, sizes in by_model.items())
    return tuple(sorted(found, key=lambda model: (-model.size.bytes, model.name)))
