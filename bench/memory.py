"""Memory: a million documents, searched where they lie in the store."""

import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np

from bench import made
from bench.common import HEAD, ROUNDS, Result, Target, Timed, child, median, raw, seconds, stages_in_words, take_turns
from bench.instant import SPEC, Instant, Vectors

SIZE: Final = {"documents": 1_000_000, "queries": 1_000}
QUICK: Final = {"documents": 20_000, "queries": 50}
MOST_MB: Final = 700

_STATUS: Final = Path("/proc/self/status")
_EVERY_SECONDS: Final = 0.005
_BLOCK: Final = 16_384


class AnonymousMemory:
    """The most memory that this process had of its own while the block ran, in MB; mapped files do not count."""

    def __init__(self) -> None:
        self.before = self.peak = now_mb()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "AnonymousMemory":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_EVERY_SECONDS):
            self.peak = max(self.peak, now_mb())


def now_mb() -> float:
    """RssAnon of this process; Linux only."""
    line = next(line for line in _STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) / 1024


def measure(name: str, *, quick: bool = False) -> Result:
    """Fill a store once, then score from it and read it in turn."""
    size = QUICK if quick else SIZE
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as store:
        arguments = {"store": store, **size}
        child("bench.memory:fill", **arguments)
        sides = {"ours": ("bench.memory:score", arguments), "reading": ("bench.memory:read", arguments)}
        found = take_turns(sides, 1 if quick else ROUNDS)
    own, peer = found["ours"], found["reading"]
    peak = max(run.facts["peak_mb"] for run in own)
    begun, imported = own[0].facts["before_mb"], own[0].facts["imported_mb"]
    return Result(
        name,
        "Memory",
        f"Retrieval, {size['documents']:,} documents and {size['queries']:,} queries of {made.DIMENSIONS} dimensions, "
        "all vectors in the store, through the whole of evaluate(): hashes, search, every metric. Its peer does "
        "nothing but read the same files once, block by block, and multiply them with the queries.",
        HEAD,
        (
            ("evaluate()", seconds(median(own)), stages_in_words(own)),
            ("reading and multiplying", seconds(median(peer)), ""),
        ),
        (
            Target("anonymous memory", MOST_MB, peak, "MB", "less"),
            Target("the time of reading and multiplying", 2.0, median(own) / median(peer), "×", "less"),
        ),
        (
            f"Of the {peak:,.0f} MB, {imported:,.0f} MB are Python with its libraries, and "
            f"{begun - imported:,.0f} MB the dataset's own records.",
        ),
        raw(found),
    )


def fill(store: str, documents: int, queries: int) -> Timed:
    """Put all vectors into the store, by scoring once."""
    from bench import our_side  # noqa: PLC0415 -- each child loads its own side only

    content = made.retrieval(documents, queries)
    return our_side.run([content.dataset], SPEC, Path(store), encoder=Instant(content.vectors))


def score(store: str, documents: int, queries: int) -> Timed:
    """Score from the store; the encoder knows no text."""
    from bench import our_side  # noqa: PLC0415

    encoder = Instant(Vectors([], np.empty((0, made.DIMENSIONS), np.float32)))
    imported = now_mb()
    dataset = made.retrieval_dataset(documents, queries)
    with AnonymousMemory() as memory:
        timed = our_side.run([dataset], SPEC, Path(store), encoder=encoder)
    facts = {"imported_mb": imported, "before_mb": memory.before, "peak_mb": memory.peak}
    return replace(timed, facts={**timed.facts, **facts})


def read(store: str, documents: int, queries: int) -> Timed:
    """Read every vector once, and multiply it with as many queries."""
    import torch  # noqa: PLC0415

    asked = torch.rand(queries, made.DIMENSIONS)
    best = torch.full((queries,), -1.0)
    rows = 0
    began = time.perf_counter()
    for path in sorted(Path(store).rglob("vectors.npy")):
        vectors = np.load(path, mmap_mode="r")
        for start in range(0, len(vectors), _BLOCK):
            block = torch.from_numpy(np.array(vectors[start : start + _BLOCK]))
            best = torch.maximum(best, (asked @ block.T).amax(dim=1))
        rows += len(vectors)
    taken = time.perf_counter() - began
    assert rows == documents + queries, f"{rows} vectors in the store"
    return Timed(taken, facts={"greatest": float(best.max())})
