"""`make parity`: every public set through our engine and through mteb, on the same files, metric by metric.

A row is in its bound when the two agree to 4 decimals. Where they do not, mteb runs again, with other batch sizes and
on one thread: a metric that ranks by the rounding of the last bit moves with both. Such a row is in its bound when
ours lies no further from the nearest of mteb's figures than these lie from each other; the figure of expected.json is
one of them. The command fails if a row is outside.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

from bench import mteb_sets, mteb_side, our_side
from bench.common import MINILM, NO_SETS, SETS, TOLERANCE, Scores
from bench.sets import PublicSet, public_sets
from worker.encoders.base import ModelSpec

AGAIN = ((8, None), (64, None), (16, 1), (128, 1))
"""The batch sizes and numbers of threads of further runs; None for as many as there are."""

BM25 = ModelSpec("baseline/bm25", loader="bm25", source="builtin")
SEARCHED = ("Retrieval", "Reranking")
"""The task types that mteb has a BM25 for."""


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one set.

    Attributes:
        metric: by mteb's name.
        ours: NaN where we have none.
        theirs: of each of mteb's runs, the first with its usual batch size; NaN where it has none.
        expected: what mteb computed for expected.json; None where that has nothing.
        published: by mteb's results repository; None where that has nothing.
    """

    metric: str
    ours: float
    theirs: tuple[float, ...]
    expected: float | None = None
    published: float | None = None

    @property
    def difference(self) -> float:
        """Ours minus that of mteb's first run."""
        return self.ours - self.theirs[0]

    @property
    def equal(self) -> bool:
        """Whether the two agree to 4 decimals."""
        return abs(self.difference) < TOLERANCE

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest of mteb's figures."""
        figures = self.theirs if self.expected is None else (*self.theirs, self.expected)
        return min(figures), max(figures)

    @property
    def inside(self) -> bool:
        """Whether the two are equal, or as alike as mteb's figures are among themselves."""
        least, greatest = self.spread
        width = greatest - least
        return self.equal or (len(self.theirs) > 1 and least - width <= self.ours <= greatest + width)

    @property
    def verdict(self) -> str:
        """How ours lies to mteb's."""
        if self.equal:
            return "equal"
        spread = "mteb alone: {:.5f} to {:.5f}".format(*self.spread)
        return f"within mteb's spread ({spread})" if self.inside else f"OUTSIDE ({spread})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A set under one model; the main metric's row is the first."""

    name: str
    rows: tuple[Row, ...]

    @property
    def worst(self) -> Row:
        """The row that differs most; one that is outside before all others."""
        return max(self.rows, key=lambda row: (not row.inside, abs(row.difference), row.metric))


def compare(
    name: str,
    main_metric: str,
    ours: Scores,
    runs: Sequence[Scores],
    *,
    expected: Scores | None = None,
    published: float | None = None,
) -> Comparison:
    """Lay the metrics side by side; what only one of the two has is a row too.

    Args:
        name: of the set.
        main_metric: of its task.
        ours: by metric.
        runs: mteb's runs, by metric.
        expected: by metric.
        published: the main metric's.
    """
    metrics = sorted({*ours, *runs[0]} - {"main_score"}, key=lambda metric: (metric != main_metric, metric))
    return Comparison(
        name,
        tuple(
            Row(
                metric,
                ours.get(metric, nan),
                tuple(run.get(metric, nan) for run in runs),
                (expected or {}).get(metric),
                published if metric == main_metric else None,
            )
            for metric in metrics
        ),
    )


def compare_dense(public: PublicSet, ours: Scores, model: Any) -> Comparison:
    """Score a set with mteb, as often as it takes, and compare."""
    runs = [mteb_side.evaluate(model, mteb_sets.task(public))]
    with_known = partial(compare, expected=public.expected, published=public.published)
    found = with_known(public.name, public.main_metric, ours, runs)
    if all(row.equal for row in found.rows):
        return found
    for batch_size, threads in AGAIN:
        with mteb_side.threads(threads):
            runs.append(mteb_side.evaluate(model, mteb_sets.task(public), batch_size))
    return with_known(public.name, public.main_metric, ours, runs)


def compare_lexical(public: PublicSet, ours: Scores, model: Any) -> Comparison:
    """The same for BM25, which knows no batches."""
    return compare(
        f"{public.name} (BM25)", public.main_metric, ours, [mteb_side.evaluate(model, mteb_sets.task(public))]
    )


def comparisons(sets: Sequence[PublicSet], say: Callable[[str], None]) -> Iterator[Comparison]:
    """Every set with the dense model, then those that are searched with BM25; nothing is encoded before its turn."""
    theirs = mteb_side.sentence_transformer(MINILM)
    encoder = our_side.load_dense(MINILM)
    with tempfile.TemporaryDirectory(prefix="touchstone-parity-") as store:
        for public in sets:
            say(f"{public.name} ...")
            ours = our_side.evaluate(public.read(), MINILM, encoder=encoder, store=Path(store))
            yield compare_dense(public, ours, theirs)
    for public in sets:
        if public.task_type in SEARCHED:
            say(f"{public.name} (BM25) ...")
            yield compare_lexical(public, our_side.evaluate(public.read(), BM25, language="eng"), mteb_side.bm25())


HEADER = (
    f"{'set':<34}{'metric':<22}{'ours':>9}{'mteb here':>11}{'expected':>10}{'published':>11}{'difference':>12}  verdict"
)


def line(name: str, row: Row) -> str:
    """A row of the table."""
    further = "".join(
        f"{'—' if value is None else f'{value:.5f}':>{width}}"
        for value, width in ((row.expected, 10), (row.published, 11))
    )
    return (
        f"{name:<34}{row.metric:<22}{row.ours:>9.5f}{row.theirs[0]:>11.5f}{further}{row.difference:>+12.1e}"
        f"  {row.verdict}"
    )


def lines(comparison: Comparison, *, everything: bool) -> Iterator[str]:
    """The main metric and the one that differs most, or all."""
    main, worst = comparison.rows[0], comparison.worst
    yield line(comparison.name, main)
    if everything:
        yield from (line("", row) for row in comparison.rows[1:])
    elif worst is not main and worst.difference:
        yield line(f"  worst of {len(comparison.rows)}", worst)


def main() -> int:
    """The command line; 1 when a row is outside its bound, or there are no sets."""
    parser = argparse.ArgumentParser(prog="make parity", description="Our scores beside mteb's, set by set.")
    parser.add_argument("sets", nargs="*", help="names of sets, such as STSB; all if omitted")
    parser.add_argument("--all", action="store_true", help="every metric, not only the main and the worst one")
    options = parser.parse_args()
    if not SETS.is_dir():
        print(f"{NO_SETS[0].upper()}{NO_SETS[1:]}.", file=sys.stderr)
        return 1
    sets = public_sets(options.sets)
    if unknown := set(options.sets) - {public.name for public in sets}:
        print(f"There is no set {', '.join(sorted(unknown))} in ../shared/data/sets.", file=sys.stderr)
        return 1
    mteb_side.quiet()
    began = time.monotonic()
    rows: list[Row] = []
    print(HEADER)
    for comparison in comparisons(sets, lambda text: print(text, file=sys.stderr)):
        print("\n".join(lines(comparison, everything=options.all)), flush=True)
        rows += comparison.rows
    outside = sum(not row.inside for row in rows)
    spread = sum(row.inside and not row.equal for row in rows)
    print(
        f"{len(rows)} metrics: {len(rows) - spread - outside} equal to 4 decimals, {spread} within mteb's own spread, "
        f"{outside} outside; {time.monotonic() - began:,.0f} s."
    )
    return int(bool(outside or not rows))


if __name__ == "__main__":
    sys.exit(main())
