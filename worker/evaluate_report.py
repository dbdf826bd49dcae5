"""What `touchstone evaluate` prints and writes: a table for people, JSON for programs, and mteb's own result file."""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.core.formats import canonical, scored_examples
from app.core.records import Dataset
from app.core.task_types import OWN_SCALE
from app.errors import RunFailure

if TYPE_CHECKING:
    from worker.evaluate import Evaluation

MTEB_VERSION: Final = "2.26.24"
"""Whose scores ours are."""


def report(model: str, dataset: Dataset, evaluation: "Evaluation", seconds: float) -> dict[str, Any]:
    """What `--json` prints; with several cells a score is the mean over those that have it."""
    values: defaultdict[str, list[float]] = defaultdict(list)
    cells: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for score in evaluation.scores:
        values[score.metric].append(score.value)
        cells[f"{score.split}/{score.subset}"][score.metric] = score.value
    found: dict[str, Any] = {
        "model": model,
        "revision": evaluation.provenance["revision"],
        "task_type": dataset.task_type,
        "main_metric": evaluation.main_metric,
        "main_score": evaluation.main_score,
        "interval": asdict(evaluation.interval) if evaluation.interval else None,
        "scores": {name: sum(values) / len(values) for name, values in values.items()},
        "n": scored_examples(dataset),
        "seconds": round(seconds, 2),
    }
    return found if len(cells) == 1 else {**found, "cells": dict(cells)}


def measured(evaluation: "Evaluation") -> dict[str, Any]:
    """What `--measure` adds to the report: `measured`, null with the reason in `not_measured` where it has none."""
    found = evaluation.measured
    if found is None:
        return {"measured": None, "not_measured": "A baseline has no cost to measure."}
    if isinstance(found, RunFailure):
        return {"measured": None, "not_measured": f"{found.message} {found.remedy}".strip()}
    return {"measured": asdict(found)}


def _between(report: Mapping[str, Any]) -> str:
    """Between what the main score lies, "" where nothing tells."""
    interval = report["interval"]
    if interval is None:
        return ""
    low, high = (_shown(report["main_metric"], interval[end]) for end in ("low", "high"))
    return f"  (95%: {low} to {high}, n = {interval['n']:,})"


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """Lines for people; metrics with cutoffs become a grid, areas of abstention are left to the JSON."""
    yield f"{report['model']} on {report['task_type']}, {report['n']:,} examples, {report['seconds']:,.1f} s"
    yield f"{report['main_metric']}  {_shown(report['main_metric'], report['main_score'])}{_between(report)}"
    yield ""
    grid: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for name, value in report["scores"].items():
        metric, _, cutoff = name.partition("_at_")
        if cutoff.isdigit():
            grid[metric][int(cutoff)] = value
        elif not name.startswith("nauc_"):
            yield f"{name:<20}{_shown(name, value):>8}"
    if grid:
        cutoffs = sorted({cutoff for values in grid.values() for cutoff in values})
        yield f"{'at':<20}" + "".join(f"{cutoff:>8}" for cutoff in cutoffs)
        for metric, values in grid.items():
            cells = (_shown(metric, values[cutoff]) if cutoff in values else "" for cutoff in cutoffs)
            yield f"{metric:<20}" + "".join(f"{cell:>8}" for cell in cells)
    if "cells" in report:
        yield ""
        main = report["main_metric"]
        for cell, scores in report["cells"].items():
            yield f"{cell:<20}{_shown(main, scores[main]):>8}"
    if "measured" in report:
        yield ""
        yield from _cost(report)


def _cost(report: Mapping[str, Any]) -> Iterator[str]:
    cost = report["measured"]
    if cost is None:
        yield f"Not measured. {report['not_measured']}"
        return
    yield f"Measured on {cost['device']}"
    yield f"{'peak memory':<20}{cost['peak_memory_mb']:>8,.0f} MB"
    yield f"{'query, median':<20}{cost['query_p50_ms']:>8,.1f} ms"
    yield f"{'query, p95':<20}{cost['query_p95_ms']:>8,.1f} ms"
    yield f"{'documents':<20}{cost['documents_per_second']:>8,.1f} a second"


def write_mteb(
    path: Path, name: str, dataset: Dataset, evaluation: "Evaluation", *, seconds: float, language: str | None
) -> None:
    """Write the scores as mteb's `TaskResult`, which `TaskResult.from_disk` reads.

    Args:
        path: the file.
        name: of the task.
        dataset: its content hash becomes the dataset's revision.
        evaluation: the scores.
        seconds: what everything took.
        language: of the texts, if it is known.

    Raises:
        OSError: the file cannot be written.
    """
    with Path(os.devnull).open("wb") as nowhere:
        revision = canonical.write(dataset, nowhere)
    metrics: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for score in evaluation.scores:
        metrics[score.split, score.subset][score.metric] = score.value
    scores: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for (split, subset), values in metrics.items():
        about = {"hf_subset": subset, "languages": [language] if language else []}
        scores[split].append({**values, "main_score": values[evaluation.main_metric], **about})
    result = {
        "dataset_revision": revision,
        "task_name": name,
        "mteb_version": MTEB_VERSION,
        "scores": scores,
        "evaluation_time": round(seconds, 3),
        "kg_co2_emissions": None,
        "date": time.time(),
    }
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _shown(metric: str, value: float) -> str:
    return f"{value:,.4g}" if metric in OWN_SCALE else f"{100 * value:.2f}"
