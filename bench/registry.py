"""Writes app/mteb/registry.json: what one release of mteb knows of text models, tasks and benchmarks (`make registry`).

Reads only the definitions in the installed mteb: no network, no data sets, no model. The same release gives the same
bytes everywhere. A new release: raise VERSION and the pin, run it, and read the difference, one line an entry.
"""

import inspect
import json
import logging
import math
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mteb
from mteb.abstasks import AbsTask
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.benchmarks.benchmark import Benchmark
from mteb.get_tasks import _TASK_RENAMES
from mteb.models import ModelMeta
from mteb.models.get_model_meta import _MODEL_RENAMES
from mteb.models.model_implementations import get_all_model_meta_objects
from mteb.models.model_meta import OPEN_LICENSES
from mteb.results.task_result import renamed_tasks

VERSION = "2.26.24"
TARGET = Path(__file__).resolve().parents[1] / "app" / "mteb" / "registry.json"
TEXT = ["text"]
MARKDOWN_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")

Entry = dict[str, Any]


def bundle() -> Entry:
    """The whole registry, as `app.mteb.registry` reads it.

    Raises:
        RuntimeError: another release of mteb is installed than the one this is written for.
    """
    if mteb.__version__ != VERSION:
        raise RuntimeError(f"mteb {mteb.__version__} is installed, but the registry is made from {VERSION}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mteb warns of every beta task and of renamed models
        tasks = {task.metadata.name: _task(task.metadata) for task in text_tasks()}
        benchmarks = text_benchmarks()
        return {
            "made_by": f"mteb {VERSION}",
            "open_licences": sorted(OPEN_LICENSES),
            "model_renames": dict(sorted(_MODEL_RENAMES.items())),
            "task_renames": {old: new for old, new in sorted((renamed_tasks | _TASK_RENAMES).items()) if new in tasks},
            "definition_aliases": dict(sorted((alias, found.name) for found in benchmarks for alias in found.aliases)),
            "models": _models(get_all_model_meta_objects()),
            "tasks": dict(sorted(tasks.items())),
            "definitions": {found.name: _definition(found) for found in sorted(benchmarks, key=lambda one: one.name)},
        }


def text_tasks() -> Iterable[AbsTask]:
    """Every task of text alone: superseded, private and unfinished ones too."""
    found: Iterable[AbsTask] = mteb.get_tasks(
        modalities=TEXT,
        exclusive_modality_filter=True,
        exclude_superseded=False,
        exclude_private=False,
        exclude_beta=False,
    )
    return found


def text_benchmarks() -> list[Benchmark]:
    """Every benchmark of text tasks alone; a part of one would be another benchmark under its name."""
    return [found for found in mteb.get_benchmarks() if all(task.modalities == TEXT for task in found.tasks)]


def written(registry: Mapping[str, Any]) -> str:
    """The file: compact JSON, one entry of a section a line, so that a difference can be read."""
    sections = []
    for name, content in registry.items():
        if isinstance(content, dict):
            entries = ",\n".join(f"{_json(key)}:{_json(entry)}" for key, entry in content.items())
            sections.append(f"{_json(name)}:{{\n{entries}\n}}")
        else:
            sections.append(f"{_json(name)}:{_json(content)}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _models(metas: Iterable[ModelMeta]) -> dict[str, Entry]:
    """The text models by name. Of two under one name the fuller counts; mteb takes the file system's last."""
    entries: dict[str, list[Entry]] = defaultdict(list)
    for meta in metas:
        if "text" in meta.modalities:
            entries[meta.name].append(_model(meta))
    return {name: max(found, key=lambda entry: (len(entry), _json(entry))) for name, found in sorted(entries.items())}


def _model(meta: ModelMeta) -> Entry:
    trained_on = meta.get_training_datasets()
    facts = {
        "revision": meta.revision,
        "release_date": meta.release_date,
        "parameters": meta.n_parameters,
        "active_parameters": meta.n_active_parameters,
        "memory_mb": _number(meta.memory_usage_mb),
        "dimensions": max(meta.embed_dim) if isinstance(meta.embed_dim, list) else meta.embed_dim,
        "max_tokens": _number(meta.max_tokens),
        "licence": None if meta.license == "not specified" else meta.license,
        "open_weights": meta.open_weights,
        "training_code": meta.public_training_code or None,
        "training_data": meta.public_training_data or None,
        "citation": inspect.cleandoc(meta.citation or "") or None,
        "languages": None if meta.languages is None else " ".join(sorted(set(meta.languages))),
        "similarity": meta.similarity_fn_name.value if meta.similarity_fn_name else None,
        "instructions": meta.use_instructions,
        "training_datasets": None if trained_on is None else sorted(trained_on),
        "kinds": meta.model_type,
        "adapted_from": _base(meta.adapted_from),
        "superseded_by": meta.superseded_by,
        "reference": meta.reference,
        "framework": meta.framework,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _base(named: str | None) -> str | None:
    """The id or name of the model another is adapted from; a path on its maker's machine names none."""
    name = (named or "").removeprefix("https://huggingface.co/")
    return None if name.startswith("/") else name or None


def _number(value: float | None) -> float | str | None:
    """A number as JSON writes it best: whole where it is, and a word for what JSON lacks."""
    if value is None or not math.isfinite(value):
        return None if value is None else str(value)
    return int(value) if value == int(value) else value


def _task(metadata: TaskMetadata) -> Entry:
    subsets = metadata.hf_subsets_to_langscripts
    languages = {subset: " ".join(dict.fromkeys(codes)) for subset, codes in sorted(subsets.items())}
    pairs = _pairs(languages)
    return {
        "type": metadata.type,
        "metric": metadata.main_score,
        "domains": sorted(metadata.domains or []),
        "splits": metadata.eval_splits,
        **({"pairs": pairs} if pairs else {"subsets": languages}),
        **({} if metadata.is_public else {"public": False}),
    }


def _pairs(languages: Mapping[str, str]) -> dict[str, str] | None:
    """The language of each text, if the subsets `a-b` are all ordered pairs of two texts; else None.

    Flores has 41,412 such subsets, which would be half of the file.
    """
    texts: dict[str, str] = {}
    for subset, codes in languages.items():
        names, both = subset.split("-"), codes.split()
        if len(names) != 2 or len(both) != 2:
            return None
        texts |= dict(zip(names, both, strict=True))
    spelt_out = {f"{a}-{b}": f"{texts[a]} {texts[b]}" for a in texts for b in texts if a != b}
    return dict(sorted(texts.items())) if spelt_out == languages else None


def _definition(benchmark: Benchmark) -> Entry:
    described = MARKDOWN_LINK.sub(r"\1", benchmark.description or "")
    return {
        "title": benchmark.display_name or benchmark.name,
        "description": " ".join(described.split()),
        "tasks": {task.metadata.name: _chosen(task) for task in benchmark.tasks},
    }


def _chosen(task: AbsTask) -> dict[str, list[str]]:
    """The splits and subsets that count in a benchmark, each only where it is not all that the task has."""
    chosen: dict[str, list[str]] = {}
    if list(task.eval_splits) != task.metadata.eval_splits:
        chosen["splits"] = list(task.eval_splits)
    if set(task.hf_subsets) != set(task.metadata.hf_subsets):
        chosen["subsets"] = sorted(task.hf_subsets)
    return chosen


def main() -> int:
    """The command line; 1 when another mteb is installed."""
    logging.getLogger("mteb").setLevel(logging.ERROR)
    try:
        registry = bundle()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    text = written(registry)
    TARGET.write_text(text, encoding="utf-8")
    counts = ", ".join(f"{len(registry[name])} {name}" for name in ("models", "tasks", "definitions"))
    print(f"{TARGET.name}: {counts}, {len(text.encode()):,} bytes.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
