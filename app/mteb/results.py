"""MTEB's result files: any form they ever had -> scores; which revision of a model counts; and our scores -> a file.

The forms:

- since mteb 1.11: `task_name`, `scores: {split: [{hf_subset, languages, main_score, ...}]}`;
- before: `mteb_dataset_name`, and beside it `{split: {subset: metrics}}` or `{split: metrics}`, where the main metric
  has its present name, or an older one (`cos_sim.spearman`), or is missing.

Bare NaN stands for "no score" in both.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import from_json

from app.core.formats.records import UNSAFE_IN_NAMES
from app.core.task_types import DEFAULT_SUBSET
from app.mteb.registry import KnownTask, find_task

NO_REVISION = "no_revision_available"
NAME_LENGTH = 200
"""Most characters of a task, a model or a subset."""
SHORT_LENGTH = 64
"""Most characters of a split or of an mteb version."""
LARGEST_SCORE = 1e6

_METRIC_PARTS = {"cos_sim": "cosine", "manhattan": "manhattan", "euclidean": "euclidean", "dot": "dot", "max": "max"}
"""How metrics by similarity were called before 1.11, and are now: `{"cos_sim": {"ap": 1}}` is `cosine_ap`."""
_NO_SUBSETS = {"v_measures", *_METRIC_PARTS}
_GONE_TASKS = {f"Scala{language}Classification": "accuracy" for language in ("Nb", "Nn", "Da", "Sv")}
"""Tasks that mteb has no more and still loads results of, with their main metric."""
_FRENCH_ONLY = {"1.1.2.dev0", "1.1.3.dev0"}
"""Versions in which the MLSUM tasks had their French part alone."""

_VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>a|alpha|b|beta|c|rc|pre|preview)[-_.]?(?P<pre_n>\d*))?"
    r"(?P<post>-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?"
    r"(?P<dev>[-_.]?dev[-_.]?\d*)?"
    r"(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?",
    re.IGNORECASE,
)
_PRE_RANK = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}

Version = tuple[int, tuple[int, ...], tuple[int, int], int, float]


class UnreadableFile(Exception):
    """A file that is no result or no model card; the message says why, as the end of "file: ..."."""


class ResultScore(NamedTuple):
    """The main metric of one cell, on mteb's scale; None where the file has none (absent, null or NaN)."""

    split: str
    subset: str
    languages: tuple[str, ...]
    main_score: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """What one file says of one model.

    Attributes:
        task: by mteb's present name; as written where mteb does not know it.
        known: what mteb knows of the task; None for a task of somebody's own.
        mteb_version: as written; None where there is none.
        dataset_revision: "" where there is none.
    """

    task: str
    known: KnownTask | None
    mteb_version: str | None
    dataset_revision: str
    scores: tuple[ResultScore, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A result of a model on a task, as `prefer` looks at it."""

    revision: str
    mteb_version: str | None


def read_result(content: bytes) -> Result:
    """One result file, in any form that mteb 2.26.24 loads.

    A form from before 1.11 names no main metric, so its task must be one that mteb knows.

    Raises:
        UnreadableFile: no JSON, no result, a value of a wrong type, a name too long or with control characters.

    Reference:
        mteb 2.26.24, `TaskResult.from_disk` and `TaskResult._convert_from_before_v1_11_0`.

    >>> read_result(b'{"mteb_dataset_name": "STS12", "test": {"cos_sim": {"spearman": 0.5}}}').scores
    (ResultScore(split='test', subset='default', languages=('eng-Latn',), main_score=0.5),)
    """
    data = json_object(content)
    if "task_name" not in data and "mteb_dataset_name" in data:
        return _read_old(data)
    name = checked_name(data.get("task_name"), "task_name", NAME_LENGTH)
    known = find_task(name)
    if known and known.name != name and known.name.lower() == name.lower():
        known = None  # only the oldest files wrote names in other letter case; this is a task of somebody's own
    return Result(
        task=known.name if known else name,
        known=known,
        mteb_version=_version_text(data),
        dataset_revision=str(data.get("dataset_revision") or "")[:NAME_LENGTH],
        scores=_scores(data.get("scores")),
    )


def prefer(candidates: Sequence[Candidate], main_revision: str | None) -> int:
    """Which of several results of one model on one task counts, by mteb's rule.

    The registry's revision first; then those with a readable mteb version (a range such as 2.1.0-2.3.0 is none); then
    real revisions over "external" and "no_revision_available"; then the newest mteb version. Of equals the last.

    Args:
        candidates: one or more.
        main_revision: the revision that mteb evaluates; None if it does not know the model.

    Returns:
        The index of the one that counts.

    Reference:
        mteb 2.26.24, `BenchmarkResults.join_revisions`.

    >>> prefer([Candidate("external", None), Candidate("abc", "1.18.0"), Candidate("def", "1.9.2")], None)
    1
    """

    def weight(index: int) -> tuple[bool, bool, bool, Version, int]:
        candidate = candidates[index]
        version = read_version(candidate.mteb_version)
        real = candidate.revision not in {"external", NO_REVISION}
        newest = version or (0, (), (0, 0), 0, 0.0)
        return candidate.revision == main_revision, version is not None, real, newest, index

    return max(range(len(candidates)), key=weight)


def read_version(text: str | None) -> Version | None:
    """A version as something that sorts as PEP 440 says; None for anything else.

    >>> read_version("1.9.2") < read_version("1.12.75.dev0") < read_version("1.12.75"), read_version("1.2.0-2.3.4")
    (True, None)
    """
    match = _VERSION.fullmatch(text.strip()) if text else None
    if match is None:
        return None
    release = tuple(int(part) for part in match["release"].split("."))
    while len(release) > 1 and release[-1] == 0:
        release = release[:-1]
    post, dev = (_number_in(match[part]) for part in ("post", "dev"))
    if match["pre"]:
        pre = (_PRE_RANK[match["pre"].lower()], int(match["pre_n"] or 0))
    else:
        pre = (-1, 0) if dev is not None and post is None else (3, 0)
    return (
        int(match["epoch"] or 0),
        release,
        pre,
        -1 if post is None else post,
        math.inf if dev is None else dev,
    )


def write_result(
    *,
    task: str,
    dataset_revision: str,
    main_metric: str,
    languages: Sequence[str],
    scores: Mapping[tuple[str, str], Mapping[str, float]],
    seconds: float | None,
    finished: datetime | None,
) -> bytes:
    """A result file that mteb 2.26.24 loads, with every metric at full precision.

    No mteb computed these scores, so `mteb_version` is null.

    Args:
        task: the name of the task, which mteb need not know.
        dataset_revision: of the dataset.
        main_metric: the metric that counts; becomes `main_score`.
        languages: of the dataset, `eng-Latn`.
        scores: values by metric by (split, subset).
        seconds: how long the evaluation took.
        finished: when it ended.
    """
    by_split: dict[str, list[dict[str, Any]]] = {}
    for (split, subset), metrics in sorted(scores.items()):
        cell = {**metrics, "main_score": metrics.get(main_metric), "hf_subset": subset, "languages": list(languages)}
        by_split.setdefault(split, []).append(cell)
    return dumped(
        {
            "dataset_revision": dataset_revision,
            "task_name": task,
            "mteb_version": None,
            "scores": by_split,
            "evaluation_time": seconds,
            "kg_co2_emissions": None,
            "date": finished.timestamp() if finished else None,
        }
    )


def dumped(data: Mapping[str, Any]) -> bytes:
    """JSON as mteb writes it."""
    return (json.dumps(data, indent=2, allow_nan=False) + "\n").encode()


def json_object(content: bytes) -> dict[str, Any]:
    """The object that a file holds.

    Raises:
        UnreadableFile: it holds none.
    """
    try:
        data = _parsed(content)
    except RecursionError:
        raise UnreadableFile("it is nested too deeply for a result") from None
    except ValueError as error:
        raise UnreadableFile(f"it is no JSON ({error})") from None
    if not isinstance(data, dict):
        raise UnreadableFile("it holds no JSON object")
    return data


def _parsed(content: bytes) -> Any:
    """What `json.loads` gives, three times as fast: that parser reads what this one does not, such as UTF-16."""
    try:
        return from_json(content)
    except ValueError:
        return json.loads(content)


def _scores(found: object) -> tuple[ResultScore, ...]:
    if not isinstance(found, dict):
        raise UnreadableFile('it has no "scores", so it is no result of mteb')
    scores: dict[tuple[str, str], ResultScore] = {}
    for split, cells in found.items():
        checked_name(split, "split", SHORT_LENGTH)
        if not isinstance(cells, list):
            raise UnreadableFile(f'"scores" of the split {split!r} is no list')
        for cell in cells:
            if not isinstance(cell, dict) or "main_score" not in cell:
                raise UnreadableFile(f'a score of the split {split!r} has no "main_score"')
            subset = checked_name(cell.get("hf_subset"), "hf_subset", NAME_LENGTH)
            languages = _languages(cell.get("languages"))
            scores[split, subset] = ResultScore(split, subset, languages, _value(cell["main_score"], split, subset))
    return tuple(scores.values())


def _read_old(data: dict[str, Any]) -> Result:
    name = checked_name(data["mteb_dataset_name"], "mteb_dataset_name", NAME_LENGTH)
    known = find_task(name)
    main_metric = known.main_metric if known else _GONE_TASKS.get(name)
    if main_metric is None:
        raise UnreadableFile(f"it is of before mteb 1.11, which named no main metric, and {name!r} is no known task")
    task = known.name if known else name
    by_split = {split: metrics for split, metrics in data.items() if isinstance(metrics, dict)}
    has_subsets = any(
        isinstance(value, dict) and key not in _NO_SUBSETS
        for cells in by_split.values()
        for key, value in cells.items()
    )
    version = _version_text(data)
    scores = []
    for split, found in by_split.items():
        cells = found if has_subsets else {DEFAULT_SUBSET: found}
        for written, metrics in cells.items():
            if isinstance(metrics, dict):
                subset = checked_name(_subset_today(task, version, written), "subset", NAME_LENGTH)
                value = _value(_main_score(metrics, main_metric), split, subset)
                languages = known.subsets.get(subset, known.languages) if known else ()
                scores.append(ResultScore(checked_name(split, "split", SHORT_LENGTH), subset, languages, value))
    return Result(task, known, version, str(data.get("dataset_revision") or "")[:NAME_LENGTH], tuple(scores))


def _main_score(metrics: Mapping[str, Any], main_metric: str) -> object:
    """The main metric of a cell, by its present name or by the one it had before 1.11; None if it is not there."""
    if "main_score" in metrics:
        return metrics["main_score"]
    for old, new in _METRIC_PARTS.items():
        parts = metrics.get(old)
        metric = main_metric.removeprefix(f"{new}_")
        if isinstance(parts, dict) and metric != main_metric and metric in parts:
            return parts[metric]
    return metrics.get(main_metric)


def _subset_today(task: str, version: str | None, subset: str) -> str:
    """Subsets that were called otherwise before 1.11."""
    if task.startswith("MLSUMClustering") and version in _FRENCH_ONLY and subset == DEFAULT_SUBSET:
        return "fr"
    return "fra-fra" if task == "XPQARetrieval" and subset == "fr" else subset


def _value(value: object, split: str, subset: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableFile(f"the main score of {split}, {subset} is no number")
    if abs(value) > LARGEST_SCORE and not (isinstance(value, float) and math.isinf(value)):
        raise UnreadableFile(f"the main score of {split}, {subset} is beyond {LARGEST_SCORE:,.0f}")
    return float(value) if math.isfinite(value) else None


def checked_name(value: object, what: str, longest: int) -> str:
    """A text that can be stored and shown.

    Raises:
        UnreadableFile: it is none.
    """
    if not isinstance(value, str) or not value.strip():
        raise UnreadableFile(f"it has no {what}")
    if len(value) > longest:
        raise UnreadableFile(f"{what} is longer than {longest} characters")
    if not _is_safe(value):
        raise UnreadableFile(f"{what} has control or text direction characters")
    return value


@lru_cache(2000)
def _is_safe(name: str) -> bool:
    return not UNSAFE_IN_NAMES.search(name)


def _languages(found: object) -> tuple[str, ...]:
    """Those that look like codes; nothing else can come from them than a label."""
    codes = found if isinstance(found, list) else []
    return tuple(code for code in codes if isinstance(code, str) and _is_code(code))


@lru_cache(2000)
def _is_code(code: str) -> bool:
    return code.isascii() and code.isprintable() and 0 < len(code) <= SHORT_LENGTH


def _version_text(data: Mapping[str, Any]) -> str | None:
    version = data.get("mteb_version")
    return version[:SHORT_LENGTH] if isinstance(version, str) and version.isascii() and version.isprintable() else None


def _number_in(part: str | None) -> int | None:
    """The number in "-2", ".post3" or ".dev0", 0 where none is written; None without a part."""
    return None if part is None else int("".join(filter(str.isdigit, part)) or 0)
