"""Folders and zips of MTEB's result files, for tests; and what the tables hold of them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.imported_tables import ImportedModel, ImportedResult, ImportedScore

PUBLIC = Path(__file__).resolve().parents[1] / "../shared/data/mteb"


def result(task: str = "STS12", version: str | None = "2.3.3", **cells: float) -> bytes:
    """A file in the present form; `test=0.5` is the split's default subset, `test__de=0.5` another one."""
    scores: dict[str, list[dict[str, Any]]] = {}
    for name, value in cells.items():
        split, _, subset = name.partition("__")
        cell = {"main_score": value, "hf_subset": subset.replace("_", "-") or "default", "languages": ["eng-Latn"]}
        scores.setdefault(split, []).append(cell)
    return json.dumps({"task_name": task, "mteb_version": version, "scores": scores}).encode()


def card(name: str = "org/model", revision: str | None = "abc", **facts: Any) -> bytes:
    """A `model_meta.json`."""
    return json.dumps({"name": name, "revision": revision, **facts}).encode()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Files by path below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def packed(files: dict[str, bytes]) -> bytes:
    """A zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def read_folder(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_zip(content: bytes) -> dict[str, bytes]:
    """Every file of a zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class ImportedCell(NamedTuple):
    """A score that counts, on mteb's scale. `model_id` is of the revision; a board's row is the model's name."""

    model_id: int
    model: str
    revision: str
    task: str
    split: str
    subset: str
    value: float


def imported_scores(session: Session, benchmark_id: int) -> list[ImportedCell]:
    """Every score that counts on an imported board, in one query; by model name, revision and task."""
    query = (
        select(
            ImportedModel.id,
            ImportedModel.name,
            ImportedModel.revision,
            ImportedResult.task,
            ImportedScore.split,
            ImportedScore.subset,
            ImportedScore.value,
        )
        .join(ImportedResult, ImportedResult.model_id == ImportedModel.id)
        .join(ImportedScore, ImportedScore.result_id == ImportedResult.id)
        .where(ImportedModel.benchmark_id == benchmark_id, ImportedResult.chosen)
        .order_by(ImportedModel.name, ImportedModel.revision, ImportedResult.task, ImportedScore.split)
    )
    return [ImportedCell(*row) for row in session.execute(query)]
