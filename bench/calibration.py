"""`make calibration`: do the tests err as often as they say, and do the intervals hold what they should?

Equal models are drawn again and again, the functions of the core judge them, and the shares of wrong answers stand
beside the bounds that are set here. The tables are printed and written into docs/statistics.md; a share outside its
bounds ends the command with 1. Seeds are fixed, so the same code gives the same tables.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from bench.common import ROOT
from bench.simulated_metrics import AVERAGE_PRECISION, KENDALL, SPEARMAN, Metric, by_contributions, computed_again
from bench.simulations import (
    BINARY,
    EXCHANGEABLE,
    SKEWED,
    SKEWED_ALIKE,
    VERY_SKEWED,
    Noise,
    Rates,
    equal_in_clusters,
    equal_models,
    equal_on_a_board,
    families_in_error,
    found_beside,
    power,
)

PAGE: Final = ROOT / "docs" / "statistics.md"
BEGIN: Final = "<!-- calibration: what follows is written by `make calibration` -->"
END: Final = "<!-- calibration: end -->"
SIZES: Final = (50, 200, 1_000)
_BOARD: Final = (EXCHANGEABLE, BINARY, BINARY)
"""The noise of its datasets, of the sizes above."""

Bound = tuple[float, float]
FREE: Final[Bound] = (0.0, 1.0)
"""Of a share that is reported as it is."""
FALSE: Final[Bound] = (0.0, 0.065)
FALSE_OF_MANY: Final[Bound] = (0.035, 0.065)
"""From 200 examples on a test must not be too careful either."""
FAMILY: Final[Bound] = (0.0, 0.06)
COVERED: Final[Bound] = (0.92, 0.97)
POWER: Final[Bound] = (0.75, 0.85)


@dataclass(frozen=True, slots=True)
class Row:
    """One simulation.

    Attributes:
        labels: the first cells of its line.
        simulate: takes `repeats` and `resamples`; returns the shares.
        bounds: between which each share must lie.
        repeats: how often models are drawn.
        resamples: of each test and interval.
        shares: what came out.
    """

    labels: tuple[str, ...]
    simulate: Callable[..., Any]
    bounds: tuple[Bound, ...]
    repeats: int
    resamples: int
    shares: tuple[float, ...] = ()

    @property
    def missed(self) -> tuple[int, ...]:
        """The places of the shares outside their bounds."""
        both = zip(self.shares, self.bounds, strict=True)
        return tuple(place for place, (share, (low, high)) in enumerate(both) if not low <= share <= high)

    @property
    def cells(self) -> tuple[str, ...]:
        """The whole line; what is out of bounds is bold, what has none is in brackets."""
        return (*self.labels, *map(self._shown, range(len(self.shares))))

    def _shown(self, place: int) -> str:
        text = f"{self.shares[place]:.1%}"
        if place in self.missed:
            return f"**{text}**"
        return f"({text})" if self.bounds[place] == FREE else text


@dataclass(frozen=True, slots=True)
class Table:
    """Simulations of one kind.

    Attributes:
        what: was done, and is wanted.
        head: names the cells of a line.
        note: what comes out, from the rows with their shares.
    """

    title: str
    what: str
    head: tuple[str, ...]
    rows: tuple[Row, ...]
    note: Callable[[Sequence[Row]], str] | None = None


def tables() -> tuple[Table, ...]:
    """All that is simulated."""
    return _equal_models(), _families(), _power(), _beside(), _no_means()


def simulated(table: Table, run: Callable[..., Iterator[Row]] = map) -> Table:
    """The table with its shares; `run` maps a function over the rows."""
    return replace(table, rows=tuple(run(_simulated, table.rows)))


def lines(table: Table) -> Iterator[str]:
    """The table in Markdown."""
    yield f"### {table.title}"
    yield ""
    yield table.what
    yield ""
    yield f"| {' | '.join(table.head)} |"
    yield f"|{'---|' * len(table.head)}"
    for row in table.rows:
        yield f"| {' | '.join(row.cells)} |"
    if table.note is not None:
        yield ""
        yield table.note(table.rows)


def written(page: str, content: str) -> str:
    """The page with this between its markers.

    Raises:
        ValueError: it has no markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no place for the tables, between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{content}\n{END}{after}"


def misses(found: Sequence[Table]) -> Iterator[str]:
    """What is out of bounds, in words."""
    for table in found:
        for row in table.rows:
            for place in row.missed:
                name = table.head[len(row.labels) + place]
                low, high = row.bounds[place]
                share = f"{row.shares[place]:.1%}, wanted {low:.1%} to {high:.1%}"
                yield f"{table.title}, {', '.join(row.labels)}: {name} is {share}."


def main(arguments: Sequence[str] | None = None, page: Path = PAGE) -> int:
    """The command line; 1 when a share is out of bounds."""
    parser = argparse.ArgumentParser(prog="make calibration", description="Calibrate, and write docs/statistics.md.")
    parser.add_argument("--repeats", type=int, help="at most so many, to see that it works; nothing is written")
    options = parser.parse_args(arguments)
    chosen = [_limited(table, options.repeats) for table in tables()] if options.repeats else tables()
    found = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the children: each takes a core
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        for table in chosen:
            found.append(simulated(table, pool.map))
            print("\n".join(lines(found[-1])), end="\n\n", flush=True)
    if not options.repeats:
        content = "\n".join(line for table in found for line in (*lines(table), ""))
        page.write_text(written(page.read_text(encoding="utf-8"), content), encoding="utf-8")
        print(f"Written: {page}")
    wrong = list(misses(found))
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return int(bool(wrong))


def _simulated(row: Row) -> Row:
    shares = row.simulate(repeats=row.repeats, resamples=row.resamples)
    if isinstance(shares, Rates):
        return replace(row, shares=(shares.told_apart, shares.mean, shares.difference))
    if isinstance(shares, tuple):  # power: the formula's n belongs to the labels
        needed, share = shares
        return replace(row, labels=(*row.labels, f"{needed:,}"), shares=(share,))
    return replace(row, shares=(shares,))


def _limited(table: Table, most: int) -> Table:
    return replace(table, rows=tuple(replace(row, repeats=min(most, row.repeats)) for row in table.rows))


def _equal_models() -> Table:
    def row(kind: str, n: int, simulate: Callable[..., Rates], *, free: bool = False) -> Row:
        false = FALSE_OF_MANY if n >= 200 else FALSE
        bounds = (FREE, FREE, FREE) if free else (false, COVERED, COVERED)
        return Row((kind, f"{n:,}"), simulate, bounds, 10_000 if n < 1_000 else 4_000, 10_000)

    def of(noise: Noise, *, free: bool = False) -> list[Row]:
        return [row(noise.name, n, partial(equal_models, noise, n), free=free) for n in SIZES]

    return Table(
        "Two equal models",
        "10,000 repeats (from n = 1,000 on 4,000) of 10,000 resamples. Wanted: a verdict in at most 6.5%, and from "
        "n = 200 on in at least 3.5%; intervals that hold the truth in 92% to 97%. Clusters are of one to eight "
        "examples, n of them; the board has three datasets, of 50, 200 and 1,000 examples. In brackets, as it is: "
        "differences of mean zero whose distribution is skewed (skewness 2 and 6); no test of means is exact for them.",
        ("values", "n", "a verdict says better or worse", "interval of a score", "interval of the difference"),
        (
            *of(EXCHANGEABLE),
            *of(BINARY),
            *(row("clusters", n, partial(equal_in_clusters, n)) for n in SIZES),
            row("a board", sum(SIZES), partial(equal_on_a_board, _BOARD, SIZES)),
            *of(SKEWED, free=True),
            *of(VERY_SKEWED, free=True),
        ),
        note=_skewed_from,
    )


def _skewed_from(rows: Sequence[Row]) -> str:
    """From how many examples on skewed differences keep the bounds of the others."""
    found = []
    for noise in (SKEWED, VERY_SKEWED):
        least = "more than were tried"
        for row in reversed([row for row in rows if row.labels[0] == noise.name]):
            if replace(row, bounds=(FALSE, COVERED, COVERED)).missed:
                break
            least = f"{row.labels[1]} examples on"
        found.append(f"{noise.name} from {least}")
    return f"All three shares of {' and those of '.join(found)} are within the bounds of the others."


def _families() -> Table:
    def row(kind: str, noises: Sequence[Noise], sizes: Sequence[int], bound: Bound = FAMILY) -> Row:
        return Row((kind, f"{sum(sizes):,}"), partial(families_in_error, noises, sizes), (bound,), 4_000, 1_000)

    return Table(
        "Ten equal models, all pairs",
        "4,000 repeats of 1,000 resamples. Wanted: some pair is told apart in at most 6%. Skewed noise is that of "
        "every model; in brackets, as it is: every other model has it, so that 25 differences are skewed.",
        ("values", "n", "some pair is told apart"),
        (
            *(row(noise.name, (noise,), (n,)) for noise in (EXCHANGEABLE, BINARY, SKEWED_ALIKE) for n in SIZES),
            row("a board", _BOARD, SIZES),
            *(row("skewed differences", (SKEWED,), (n,), FREE) for n in SIZES),
        ),
    )


def _power() -> Table:
    cases = ((EXCHANGEABLE, 0.05), (EXCHANGEABLE, 0.02), (EXCHANGEABLE, 0.01), (BINARY, 0.1), (BINARY, 0.05))
    return Table(
        "Power",
        "2,000 repeats of 10,000 resamples with the number of examples that n = (2.80 * sd / difference)² asks for. "
        "Wanted: the difference is found in 75% to 85%.",
        ("values", "difference", "n", "found"),
        tuple(
            Row((noise.name, f"{by * 100:g} of 100"), partial(power, noise, by), (POWER,), 2_000, 10_000)
            for noise, by in cases
        ),
    )


def _beside() -> Table:
    def row(kind: str, bound: Bound, *, baseline: bool, classical: bool) -> Row:
        board = "two good models and a random baseline" if baseline else "two good models"
        simulate = partial(found_beside, baseline=baseline, classical=classical)
        return Row((kind, board), simulate, (bound,), 1_000, 1_000)

    return Table(
        "A bad model on the board",
        "1,000 repeats of 1,000 resamples, with two good models whose difference 200 examples tell in 80% of cases. "
        "Wanted of our test: it is found in at least 60%, whoever else is on the board (three pairs cost some power). "
        "In brackets: the classical randomised Tukey test: it permutes values and takes the plain range of the means.",
        ("test", "board", "found"),
        (
            row("ours", POWER, baseline=False, classical=False),
            row("ours", (0.6, 0.85), baseline=True, classical=False),
            row("classical", FREE, baseline=False, classical=True),
            row("classical", FREE, baseline=True, classical=True),
        ),
    )


def _no_means() -> Table:
    def rows(metric: Metric, least: int) -> Iterator[Row]:
        """Those of at least so many pairs have bounds."""
        for n in SIZES:
            bounds = (FALSE, COVERED, COVERED) if n >= least else (FREE, FREE, FREE)
            labels = (metric.name, f"{n:,}")
            yield Row((*labels, "contributions"), partial(by_contributions, metric, n), bounds, 2_000, 2_000)
            if metric.resampled is not None:
                yield Row((*labels, "computed again"), partial(computed_again, metric, n), bounds, 1_000, 1_000)

    return Table(
        "Metrics that are no means",
        "Two equal models. Contributions: 2,000 repeats of 2,000 resamples; the metric computed again on every "
        "resample: 1,000 of 1,000. Of the pairs for average precision 30% belong together; with few of them its "
        "intervals are too narrow (in brackets: as it is). Wanted of the others: a verdict in at most 6.5%, and "
        "intervals that hold the truth in 92% to 97%.",
        ("metric", "n", "by", "a verdict says better or worse", "interval of a score", "interval of the difference"),
        (*rows(SPEARMAN, 50), *rows(KENDALL, 50), *rows(AVERAGE_PRECISION, 1_000)),
    )


if __name__ == "__main__":
    sys.exit(main())
