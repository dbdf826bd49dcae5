"""Houses with large boards to measure: the public MTEB scores as runs of our own, or made-up ones of any size."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from sqlalchemy import insert, update

from app.core.task_types import TASK_TYPES
from app.db import migrate
from app.db.session import Database
from app.db.tables import Base, Dataset, DatasetRevision, JobState, Model, Role, Run, Score
from app.services import accounts, benchmarks
from app.settings import Settings
from bench.common import ROOT

PUBLIC: Final = ROOT / "../shared/data/mteb"
NO_PUBLIC: Final = "the public MTEB scores are not beside the repository (../shared/data/mteb)"
SLUG: Final = "board"
_AT_ONCE: Final = 20_000


@dataclass(frozen=True, slots=True)
class Cell:
    """The main metric of a model on one part of a dataset."""

    model: str
    dataset: str
    task_type: str
    split: str
    subset: str
    value: float


def public_cells() -> Iterator[Cell]:
    """The 333 models of MTEB(eng, v2) on its 41 tasks."""
    from pyarrow import parquet  # noqa: PLC0415 -- not for made-up boards

    types = json.loads((PUBLIC / "eng_v2_task_types.json").read_text(encoding="utf-8"))
    for row in parquet.read_table(PUBLIC / "eng_v2_scores.parquet").to_pylist():
        if row["score"] is not None:
            task = row["task_name"]
            yield Cell(row["model_name"], task, types[task], row["split"], row["subset"], row["score"])


def made_cells(models: int, datasets: int) -> Iterator[Cell]:
    """Every model on every dataset, a part each."""
    kinds, values = list(TASK_TYPES), np.random.default_rng(7).random((models, datasets))
    for model in range(models):
        for dataset in range(datasets):
            kind = kinds[dataset % len(kinds)]
            yield Cell(
                f"org{model % 40}/model-{model}",
                f"Dataset{dataset:03}",
                kind,
                "test",
                "default",
                values[model, dataset],
            )


def fill(data_dir: Path, cells: list[Cell]) -> str:
    """A house whose default board shows these cells as finished runs.

    Returns:
        The token of a signed-in viewer.
    """
    settings = Settings(data_dir=data_dir, database_url="", broker_url="", public_url="", demo=False)
    database = Database.from_settings(settings)
    migrate.upgrade(database.engine)
    with database.session() as session:
        admin = accounts.person_of(accounts.create_user(session, "admin", Role.ADMIN))
        viewer = accounts.create_user(session, "viewer", Role.VIEWER)
        types = {cell.dataset: cell.task_type for cell in cells}
        places = {name: place for place, name in enumerate(types, start=1)}
        models = {name: place for place, name in enumerate(dict.fromkeys(cell.model for cell in cells), start=1)}
        parts: dict[tuple[str, str], list[float]] = {}
        for cell in cells:
            parts.setdefault((cell.model, cell.dataset), []).append(cell.value)
        runs = {pair: place for place, pair in enumerate(parts, start=1)}
        rows: dict[type[Base], list[dict[str, object]]] = {
            Dataset: [_dataset(place, name, types[name], admin.id) for name, place in places.items()],
            DatasetRevision: [_revision(place, admin.id) for place in places.values()],
            Model: [_model(place, name, admin.id) for name, place in models.items()],
            Run: [_run(place, models[pair[0]], places[pair[1]], admin.id, parts[pair]) for pair, place in runs.items()],
            Score: [
                {
                    "run_id": runs[cell.model, cell.dataset],
                    "split": cell.split,
                    "subset": cell.subset,
                    "metric": TASK_TYPES[cell.task_type].main_metric,
                    "value": cell.value,
                }
                for cell in cells
            ],
        }
        for table, own in rows.items():
            for start in range(0, len(own), _AT_ONCE):
                session.execute(insert(table), own[start : start + _AT_ONCE])
        benchmarks.create(session, admin, name="Board", slug=SLUG, dataset_slugs=[name.lower() for name in places])
        token = accounts.open_session(session, viewer.id, days=1)
    database.dispose()
    return token


def change_a_score(data_dir: Path) -> None:
    """As after a worker's run, another value stands there from now on."""
    settings = Settings(data_dir=data_dir, database_url="", broker_url="", public_url="", demo=False)
    database = Database.from_settings(settings)
    with database.session() as session:
        session.execute(update(Run).where(Run.id == 1).values(main_score=Run.main_score * 0.999))
    database.dispose()


def _dataset(place: int, name: str, task_type: str, owner: int) -> dict[str, object]:
    facts = {"id": place, "slug": name.lower(), "name": name, "task_type": task_type}
    return {**facts, "languages": ["eng-Latn"], "description": "", "owner_id": owner}


def _revision(place: int, person: int) -> dict[str, object]:
    return {
        "id": place,
        "dataset_id": place,
        "revision": f"{place:040x}",
        "canonical_sha256": f"{place:064x}",
        "canonical_bytes": 1,
        "file_name": "data.csv",
        "file_sha256": f"{place:064x}",
        "counts": {"texts": 1000},
        "warnings": [],
        "created_by": person,
    }


def _model(place: int, name: str, person: int) -> dict[str, object]:
    size = {"parameters": 1_000_000 * place, "dimensions": 384, "max_tokens": 512, "memory_mb": 3.8 * place}
    source = {"loader": "dense", "source": "hub", "state": JobState.DONE, "created_by": person}
    return {"id": place, "name": name, **source, **size}


def _run(place: int, model: int, dataset: int, person: int, parts: list[float]) -> dict[str, object]:
    facts = {"id": place, "model_id": model, "dataset_revision_id": dataset, "queued_by": person}
    score = {"main_score": sum(parts) / len(parts), "cells": len(parts)}
    return {**facts, **score, "state": JobState.DONE, "finished_at": datetime.now(UTC)}
