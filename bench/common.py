"""What all measurements share: fresh child processes that take turns, the machine's facts, and what comes out."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import psutil

from worker.encoders.base import ModelSpec

ROOT: Final = Path(__file__).resolve().parents[1]
SETS: Final = ROOT / "../shared/data/sets"
NO_SETS: Final = "the public datasets are not beside the repository (../shared/data/sets)"
RESULTS: Final = ROOT / "docs" / "performance"
MINILM: Final = ModelSpec("sentence-transformers/all-MiniLM-L6-v2")
USUAL_ROUNDS: Final = 3
ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "3"))
"""How often the sides take turns; fewer than three are named in the result."""
TOLERANCE: Final = 5e-5
"""Scores that agree to 4 decimals."""

_LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "transformers", "sentence-transformers", "mteb")

Scores = dict[str, float]
"""By metric."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One run of one side.

    Attributes:
        seconds: wall time, without imports and without making the data.
        scores: of each dataset, by metric.
        stages: seconds by what it was doing, as far as that side tells.
        facts: whatever else was measured.
    """

    seconds: float
    scores: list[Scores] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """What the issue asks for, and what was reached. `better` is `more` or `less`."""

    what: str
    wanted: float
    reached: float
    unit: str
    better: str = "more"

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.reached >= self.wanted if self.better == "more" else self.reached <= self.wanted


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement, as it is written down.

    Attributes:
        name: of the measurement, as `make bench ARGS=...` knows it.
        title: of its section.
        what: a sentence or two about what was measured, and how.
        head: of its table.
        rows: of its table.
        targets: what was asked for.
        notes: further findings, a paragraph each.
        raw: every single run.
        picture: a file beside the result.
    """

    name: str
    title: str
    what: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = ()
    raw: dict[str, Any] = field(default_factory=dict)
    picture: str = ""


def child(target: str, **arguments: Any) -> Timed:
    """What `module:function` returns in a fresh interpreter.

    Args:
        target: a function of this package that returns a `Timed`.
        arguments: its arguments, JSON-ready.

    Raises:
        RuntimeError: it failed; its words are on standard error.
    """
    command = [sys.executable, "-m", "bench.child", target, json.dumps(arguments)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{target} ended with {done.returncode}")
    return Timed(**json.loads(done.stdout.splitlines()[-1]))


def take_turns(sides: Mapping[str, tuple[str, dict[str, Any]]], rounds: int = ROUNDS) -> dict[str, list[Timed]]:
    """Run each side in its own child process, one after the other, round by round.

    Args:
        sides: name -> target and arguments of `child`.
        rounds: how often.
    """
    found: dict[str, list[Timed]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, (target, arguments) in sides.items():
            timed = child(target, **arguments)
            found[name].append(timed)
            print(f"  round {number + 1} of {rounds}: {name} {timed.seconds:,.2f} s", file=sys.stderr, flush=True)
    return found


def median(runs: Sequence[Timed]) -> float:
    """The median of their seconds."""
    return statistics.median(run.seconds for run in runs)


def stages_in_words(runs: Sequence[Timed]) -> str:
    """Where the time went, such as "encode 41.2 s, score 3.0 s, other 0.3 s"; what took less than 1% is in "other"."""
    total = median(runs)
    names = dict.fromkeys(name for run in runs for name in run.stages)
    stages = {name: statistics.median(run.stages.get(name, 0.0) for run in runs) for name in names}
    shown = {name: value for name, value in stages.items() if value >= total / 100}
    rest = total - sum(shown.values())
    if rest >= total / 100:
        shown["other"] = rest
    return ", ".join(f"{name} {seconds(value)}" for name, value in shown.items())


def raw(runs: Mapping[str, Sequence[Timed]]) -> dict[str, Any]:
    """Every run without its scores."""
    return {
        name: [{"seconds": run.seconds, "stages": run.stages, **run.facts} for run in own] for name, own in runs.items()
    }


@dataclass(frozen=True, slots=True)
class Pair:
    """Runs of both engines that took turns."""

    ours: list[Timed]
    theirs: list[Timed]

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return median(self.theirs) / median(self.ours)

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """Two rows of a table: who, seconds, where the time goes."""
        return tuple(
            (name, seconds(median(runs)), stages_in_words(runs))
            for name, runs in (("ours", self.ours), ("mteb.evaluate", self.theirs))
        )

    def assert_equal(self, allowed: float = TOLERANCE) -> str:
        """That no metric differs by more than `allowed`, in words.

        Raises:
            AssertionError: one does, or one side has a metric that the other has not.
        """
        found = [difference for both in zip(self.ours, self.theirs, strict=True) for difference in differences(*both)]
        worst, metrics = max(found), len(found) // len(self.ours)
        assert worst < allowed, f"the scores differ by {worst}"
        more = sum(difference >= TOLERANCE for difference in found[:metrics])
        words = f"{metrics - more:,} of {metrics:,}" if more else f"All {metrics:,}"
        return f"{words} metrics are equal to 4 decimals; the greatest difference is {worst:.0e}."


HEAD: Final = ("", "median", "where the time goes")


def in_turn(module: str, arguments: dict[str, Any], rounds: int = ROUNDS) -> Pair:
    """The functions `ours` and `theirs` of a module of this package, in turn."""
    sides = {"ours": (f"bench.{module}:ours", arguments), "mteb": (f"bench.{module}:theirs", arguments)}
    found = take_turns(sides, rounds)
    return Pair(found["ours"], found["mteb"])


def differences(ours: Timed, theirs: Timed) -> list[float]:
    """Of every metric of every dataset.

    Raises:
        AssertionError: one side has a metric that the other has not.
    """
    found = []
    for own, other in zip(ours.scores, theirs.scores, strict=True):
        assert set(own) == set(other), f"only one side has {sorted(set(own) ^ set(other))[:10]}"
        found += [abs(own[name] - other[name]) for name in own]
    return found


def machine() -> dict[str, str]:
    """What this is measured on."""
    facts = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 1024**3:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _LIBRARIES},
    }
    import torch  # noqa: PLC0415 -- not in every child

    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def save(result: Result, folder: Path = RESULTS) -> Path:
    """Write a result down, with machine and date."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.name}.json"
    if ROUNDS < USUAL_ROUNDS:
        result = replace(result, notes=(*result.notes, f"Measured in {ROUNDS} round{'s' * (ROUNDS > 1)} only."))
    content = {"date": datetime.now(UTC).date().isoformat(), "machine": machine(), **asdict(result)}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def seconds(value: float) -> str:
    """Seconds for people."""
    return f"{value:,.2f} s" if value < 10 else f"{value:,.1f} s"


def times(value: float) -> str:
    """A ratio for people."""
    return f"{value:,.1f} ×" if value < 100 else f"{value:,.0f} ×"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
