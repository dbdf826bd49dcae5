"""Folders and zips of MTEB's result files, for tests."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

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
