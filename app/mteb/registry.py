"""The models, tasks and benchmarks that mteb registers, read from `registry.json` on first use.

`bench/registry.py` writes that file from the release of mteb that it names; nothing here imports mteb. Each thing is
built when it is asked for and kept, so that start-up pays nothing and a page pays only for what it shows.
"""

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, TypedDict


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What mteb states of one model; None where it states nothing.

    Attributes:
        name: `org/name`, with the choices behind it where mteb has them: `org/name (embed_dim=512)`.
        revision: the one that mteb evaluates.
        parameters: all of them; `active_parameters` leaves out embeddings and experts that rest.
        memory_mb: of the weights as stored, in MB of 1024².
        dimensions: the most it gives.
        max_tokens: the longest input; `math.inf` where there is no limit.
        licence: an SPDX-like name in lower case, or an address; see `is_open_licence`.
        training_code: an address.
        training_data: an address or the id of a data set, or True where it is public without one.
        citation: BibTeX.
        languages: `eng-Latn`, sorted.
        similarity: "cosine", "dot" or "MaxSim".
        instructions: whether it wants prompts.
        training_datasets: names of tasks and of other datasets, sorted. As mteb's zero-shot computation has them: with
            those of the model it is adapted from, and with all similar tasks. Empty and None (unknown) differ.
        kinds: "dense", "sparse", "late-interaction", "cross-encoder", "hybrid", "router"; one or more.
        adapted_from: a model's id mostly, which need not be a known one.
        framework: "Sentence Transformers", "PyTorch", "API" ...; may be empty.
    """

    name: str
    revision: str
    release_date: datetime.date | None
    parameters: int | None
    active_parameters: int | None
    memory_mb: float | None
    dimensions: int | None
    max_tokens: float | None
    licence: str | None
    open_weights: bool | None
    training_code: str | None
    training_data: str | bool | None
    citation: str | None
    languages: tuple[str, ...]
    similarity: str | None
    instructions: bool | None
    training_datasets: tuple[str, ...] | None
    kinds: tuple[str, ...]
    adapted_from: str | None
    superseded_by: str | None
    reference: str | None
    framework: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownTask:
    """One text task of mteb's.

    Attributes:
        name: as mteb has it today.
        task_type: mteb's name of it; a few are none of Touchstone's.
        languages: of all subsets, `eng-Latn`, sorted.
        splits: the evaluated ones.
        subsets: languages by subset, sorted by name; only "default" where there are no subsets.
        public: False where only its owner has the data.
    """

    name: str
    task_type: str
    main_metric: str
    languages: tuple[str, ...]
    domains: tuple[str, ...]
    splits: tuple[str, ...]
    subsets: Mapping[str, tuple[str, ...]]
    public: bool


@dataclass(frozen=True, slots=True)
class DefinedTask:
    """A task of a benchmark: `cells` are exactly the (split, subset) pairs whose mean is its score there."""

    task: str
    task_type: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """A benchmark of mteb's that holds nothing but text tasks; `title` is the short one of its leaderboard."""

    name: str
    title: str
    description: str
    tasks: tuple[DefinedTask, ...]


class _Bundle(TypedDict):
    """registry.json. A fact that mteb does not state is left out; lists of languages are one string with spaces."""

    made_by: str
    open_licences: list[str]
    model_renames: dict[str, str]
    task_renames: dict[str, str]
    definition_aliases: dict[str, str]
    models: dict[str, dict[str, Any]]
    tasks: dict[str, dict[str, Any]]
    definitions: dict[str, dict[str, Any]]


def find_model(name: str) -> KnownModel | None:
    """The model of that name, by its present name or one that mteb has renamed; None if mteb knows none."""
    bundle = _bundle()
    name = bundle["model_renames"].get(name, name)
    return _model(name) if name in bundle["models"] else None


def model_names() -> tuple[str, ...]:
    """The present names of all models, sorted."""
    return tuple(_bundle()["models"])


def find_task(name: str) -> KnownTask | None:
    """The task of that name; None if mteb knows none.

    Old results name some tasks as they were called then, or in other letter case: as mteb does when it loads them, an
    exact name counts first, then a renamed one, then one that differs only in case.
    """
    bundle = _bundle()
    if name not in bundle["tasks"]:
        name = bundle["task_renames"].get(name) or _tasks_in_lower_case().get(name.lower(), "")
    return _task(name) if name in bundle["tasks"] else None


def find_definition(name: str) -> Definition | None:
    """The benchmark of that name or alias ("MTEB(eng)" is "MTEB(eng, v2)"); None if mteb knows none."""
    bundle = _bundle()
    name = bundle["definition_aliases"].get(name, name)
    return _definition(name) if name in bundle["definitions"] else None


def definition_names() -> tuple[str, ...]:
    """The names of all benchmarks, sorted, without their aliases."""
    return tuple(_bundle()["definitions"])


def is_open_licence(licence: str | None) -> bool:
    """Whether mteb counts a licence as open: free for everybody, for every use, changes included; None is not."""
    return licence is not None and licence.lower() in _bundle()["open_licences"]


@cache
def _bundle() -> _Bundle:
    bundle: _Bundle = json.loads(resources.files(__package__).joinpath("registry.json").read_bytes())
    return bundle


@cache
def _tasks_in_lower_case() -> dict[str, str]:
    return {name.lower(): name for name in _bundle()["tasks"]}


@cache
def _model(name: str) -> KnownModel:
    facts = _bundle()["models"][name]
    released: str | None = facts.get("release_date")
    trained_on: list[str] | None = facts.get("training_datasets")
    longest: float | str | None = facts.get("max_tokens")
    return KnownModel(
        name=name,
        revision=facts["revision"],
        release_date=datetime.date.fromisoformat(released) if released else None,
        parameters=facts.get("parameters"),
        active_parameters=facts.get("active_parameters"),
        memory_mb=facts.get("memory_mb"),
        dimensions=facts.get("dimensions"),
        max_tokens=float(longest) if isinstance(longest, str) else longest,
        licence=facts.get("licence"),
        open_weights=facts.get("open_weights"),
        training_code=facts.get("training_code"),
        training_data=facts.get("training_data"),
        citation=facts.get("citation"),
        languages=tuple(facts.get("languages", "").split()),
        similarity=facts.get("similarity"),
        instructions=facts.get("instructions"),
        training_datasets=None if trained_on is None else tuple(trained_on),
        kinds=tuple(facts["kinds"]),
        adapted_from=facts.get("adapted_from"),
        superseded_by=facts.get("superseded_by"),
        reference=facts.get("reference"),
        framework=tuple(facts["framework"]),
    )


@cache
def _task(name: str) -> KnownTask:
    facts = _bundle()["tasks"][name]
    subsets = {subset: tuple(languages.split()) for subset, languages in _subsets(facts).items()}
    return KnownTask(
        name=name,
        task_type=facts["type"],
        main_metric=facts["metric"],
        languages=tuple(sorted({language for languages in subsets.values() for language in languages})),
        domains=tuple(facts["domains"]),
        splits=tuple(facts["splits"]),
        subsets=MappingProxyType(subsets),
        public=facts.get("public", True),
    )


def _subsets(facts: Mapping[str, Any]) -> dict[str, str]:
    """A task's subsets and their languages; `pairs` says that every ordered pair of two texts is a subset."""
    if "pairs" in facts:
        texts = facts["pairs"].items()
        return {f"{a}-{b}": f"{language} {other}" for a, language in texts for b, other in texts if a != b}
    subsets: dict[str, str] = facts["subsets"]
    return subsets


@cache
def _definition(name: str) -> Definition:
    facts = _bundle()["definitions"][name]
    tasks = tuple(_defined_task(task, chosen) for task, chosen in facts["tasks"].items())
    return Definition(name, facts["title"], facts["description"], tasks)


def _defined_task(name: str, chosen: Mapping[str, list[str]]) -> DefinedTask:
    """A task of a benchmark; `chosen` holds the `splits` and the `subsets` that count where not all of them do."""
    task = _task(name)
    splits, subsets = chosen.get("splits", task.splits), chosen.get("subsets", task.subsets)
    return DefinedTask(name, task.task_type, tuple((split, subset) for split in splits for subset in subsets))
