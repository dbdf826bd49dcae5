"""Importing MTEB results: the public ones, many times over under other names, into an empty house."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.board_house import PUBLIC
from bench.common import Result, Target, Timed, child, raw, seconds
from bench.memory import AnonymousMemory, now_mb

FILES: Final = 100_000
FEW: Final = 5_000
QUICK: Final = 1_000
WANTED: Final = 1_500
"""Files a second on two cores."""


def measure(name: str, *, quick: bool = False) -> Result:
    """Few and many files by us, and few by mteb's own loader, which stores nothing."""
    sizes = (QUICK // 4, QUICK) if quick else (FEW, FILES)
    runs: dict[str, list[Timed]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as folder:
            made = multiply(Path(folder), size)
            runs[f"{made:,} files"] = [child("bench.imports:ours", folder=folder)]
            if size == sizes[0]:
                runs[f"mteb's loader, {made:,} files"] = [child("bench.imports:theirs", folder=folder)]
    many = list(runs.values())[-1][0]
    few = next(iter(runs.values()))[0]
    growth = many.facts["peak_mb"] / few.facts["peak_mb"]
    return Result(
        name,
        "Importing MTEB results",
        "The public results of 30 models, again and again under other names, by `touchstone import mteb` with the "
        "definition MTEB(eng, v2) into an empty SQLite house; the original bytes are kept. mteb's loader reads the "
        "same files and stores nothing.",
        ("", "time", "files a second", "memory of its own"),
        tuple(
            (what, seconds(one.seconds), f"{one.facts['files'] / one.seconds:,.0f}", f"{one.facts['peak_mb']:,.0f} MB")
            for what, (one,) in runs.items()
        ),
        (
            Target("files a second", WANTED, many.facts["files"] / many.seconds, ""),
            Target("memory of many files beside that of few", 1.2, growth, "×", "less"),
        ),
        raw=raw(runs),
    )


def multiply(folder: Path, files: int) -> int:
    """Write the public results over and over, each time as other models; returns how many result files there are."""
    written = copies = 0
    while written < files:
        for source in sorted(PUBLIC.glob("results/*/*")):
            organisation, _, model = source.parent.name.partition("__")
            target = folder / f"{organisation}__{model}-{copies}" / source.name
            shutil.copytree(source, target)
            written += len(list(target.glob("*.json"))) - 1
            card = target / "model_meta.json"
            if card.is_file():
                about = json.loads(card.read_text(encoding="utf-8"))
                about["name"] = f"{organisation}/{model}-{copies}"
                card.write_text(json.dumps(about), encoding="utf-8")
            if written >= files:
                break
        copies += 1
    return written


def ours(folder: str) -> Timed:
    """Our side, as the command line does it."""
    from app.db import migrate  # noqa: PLC0415 -- each child loads its own side only
    from app.db.session import Database  # noqa: PLC0415
    from app.services.import_scope import ImportForm  # noqa: PLC0415
    from app.services.imports import import_folder  # noqa: PLC0415
    from app.settings import Settings  # noqa: PLC0415
    from app.storage.blobs import BlobStore  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as data_dir:
        settings = Settings(data_dir=Path(data_dir), database_url="", broker_url="", public_url="", demo=False)
        database = Database.from_settings(settings)
        migrate.upgrade(database.engine)
        form = ImportForm("MTEB", definition="MTEB(eng, v2)")
        with AnonymousMemory() as memory:
            began = time.perf_counter()
            done = import_folder(database, BlobStore(settings.blobs_dir), form, Path(folder))
            taken = time.perf_counter() - began
        database.dispose()
    return Timed(taken, facts={"files": done.reading.files, "peak_mb": memory.peak})


def theirs(folder: str) -> Timed:
    """What mteb's loader makes of each file."""
    from mteb.results import TaskResult  # noqa: PLC0415 -- each child loads its own side only

    paths = list(_results(Path(folder)))
    with AnonymousMemory() as memory:
        began = time.perf_counter()
        loaded: list[Any] = [TaskResult.from_disk(path) for path in paths]
        taken = time.perf_counter() - began
    return Timed(taken, facts={"files": len(loaded), "peak_mb": max(memory.peak, now_mb())})


def _results(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*/*/*.json") if path.name != "model_meta.json")
