"""Runs of two models, or more, on the same datasets: laid beside each other example by example, and tested."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from app.core.aggregation import Floats
from app.core.all_pairs import tukey
from app.core.contributions import average_precision_contributions, spearman_contributions
from app.core.resampled_metrics import resampled_average_precision, resampled_spearman
from app.core.resampling import SEED, Strata, Stratum, stratified_means
from app.core.significance import Difference, compare_samples, compare_strata
from app.services.evidence import CellEvidence, PairedCell, paired, shared_units, strata_of

BINS: Final = 20
"""Of a histogram, on either side of zero."""
_TIE_DIGITS: Final = 10

Pair = tuple[Sequence[CellEvidence], Sequence[CellEvidence]]
"""Two runs on one dataset."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How the differences of the examples are spread; equal values are counted apart, as there may be very many.

    Attributes:
        widest: the largest difference, either way.
        counts: of 2 * `BINS` bins between -widest and widest; of those that differ.
        ties: how many do not.
    """

    widest: float
    counts: tuple[int, ...]
    ties: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What two runs on one dataset come to.

    Attributes:
        difference: A less B; None where nothing can be tested.
        histogram: of the differences, of values or of contributions.
        draws: for clustering, the standard deviation over the draws of each.
        parts: on how many splits and subsets both have values, and how many there are.
        counts: whether it can be part of a test over several datasets: no part is a single example.
        clustered: whether groups of examples are counted, not examples.
        missing: in words, where a file is not there.
    """

    difference: Difference | None = None
    histogram: Histogram | None = None
    draws: tuple[float, float] | None = None
    parts: tuple[int, int] = (0, 0)
    counts: bool = False
    clustered: bool = False
    missing: str = ""


def compare_runs(a: Sequence[CellEvidence], b: Sequence[CellEvidence]) -> Outcome:
    """Two runs on one dataset.

    Raises:
        NotFound: code `evidence_missing`.
    """
    every = {(cell.split, cell.subset) for cell in (*a, *b)}
    if a and b and a[0].task_type == b[0].task_type == "Clustering":
        return Outcome(draws=(_spread(a), _spread(b)), parts=(0, len(every)))
    cells = paired(a, b)
    if not cells:
        return Outcome(parts=(0, len(every)))
    strata = strata_of(cells)
    return Outcome(
        difference=_difference(a, b, cells, strata),
        histogram=_histogram(np.concatenate([cell.a - cell.b for cell in cells])),
        parts=(len(cells), len(every)),
        counts=all(len(stratum.units) > 1 for stratum in strata),
        clustered=any((stratum.units.sizes > 1).any() for stratum in strata),
    )


def compare_board(datasets: Sequence[Pair]) -> Difference:
    """The same two models on several datasets, each of which counts as much as another.

    The datasets are fixed and their examples are drawn anew within each: so few datasets are no sample of all there
    could be. Where a metric is no mean, its examples count by what they contribute to it.

    Raises:
        NotFound: code `evidence_missing`.
    """
    laid = [paired(a, b) for a, b in datasets]
    strata = [stratum for cells in laid for stratum in strata_of(cells, 1 / len(laid))]
    return compare_strata(strata, counted=all(cell.is_mean for cells in laid for cell in cells))


def tukey_of(datasets: Sequence[Sequence[Sequence[CellEvidence]]]) -> tuple[Floats, Floats, int, int] | None:
    """All pairs of some models on the examples that all of them have values of.

    Args:
        datasets: by dataset and model.

    Returns:
        P of each pair, shape (models, models); means over the datasets, shape (models,); the number of datasets and
        that of examples (or clusters). None where they share nothing.

    Raises:
        NotFound: code `evidence_missing`.
    """
    tables = [table for runs in datasets if (table := _shared(runs))]
    if not tables:
        return None
    strata = [Stratum(stratum.units, stratum.weight / len(tables)) for table in tables for stratum in table]
    return tukey(strata), stratified_means(strata), len(tables), sum(len(stratum.units) for stratum in strata)


def _shared(runs: Sequence[Sequence[CellEvidence]]) -> Strata:
    """The values of all models, a column each, on the cells and examples that all of them have."""
    by_cell = [{(cell.split, cell.subset): cell for cell in run} for run in runs]
    found = []
    for name in sorted(set.intersection(*map(set, by_cell))):
        values = [known for own in by_cell if (known := own[name].values()) is not None]
        units = shared_units(values) if len(values) == len(runs) else None
        if units is not None:
            found.append(units)
    return [Stratum(units, 1 / len(found)) for units in found]


def _difference(
    a: Sequence[CellEvidence], b: Sequence[CellEvidence], cells: Sequence[PairedCell], strata: Strata
) -> Difference:
    """A mean is tested on its values; what can be computed again on every resample is; else contributions count."""
    if cells[0].is_mean:
        return compare_strata(strata)
    again = _AGAIN.get(a[0].task_type)
    if again is None:
        return compare_strata(strata, counted=False)
    first, second = (_samples(run, cells, again) for run in (a, b))
    return compare_samples(first, second, float(stratified_means(strata)[0]), strata)


@dataclass(frozen=True, slots=True)
class _Again:
    """A metric that can be computed again on resamples.

    Attributes:
        truth: the array with the right answers.
        resampled: the metric on resamples, of similarities and truth.
        contributions: whose mean is the metric on all examples.
    """

    truth: str
    resampled: Callable[..., Floats]
    contributions: Callable[[ArrayLike, ArrayLike], Floats]


_AGAIN: Final = {
    "STS": _Again("gold", resampled_spearman, spearman_contributions),
    "PairClassification": _Again("label", resampled_average_precision, average_precision_contributions),
}


def _samples(run: Sequence[CellEvidence], shared: Sequence[PairedCell], metric: _Again) -> Floats:
    """A model's score on every resample, the mean over the cells; shape (resamples,).

    The same seeds draw the same examples for every model. Where the run's score comes from another measure of
    similarity than the one it kept, the samples are moved to it.
    """
    own = {(cell.split, cell.subset): cell for cell in run}
    parts = []
    for number, cell in enumerate(shared):
        kept = own[cell.split, cell.subset]
        arrays = kept.arrays("similarity", metric.truth)
        similarity, truth = arrays["similarity"], arrays[metric.truth]
        drawn = metric.resampled(similarity, truth, seed=SEED + number)[:, 0]
        parts.append(drawn + (kept.score - metric.contributions(similarity, truth).mean()))
    found: Floats = np.mean(parts, axis=0)
    return found


def _histogram(differences: Floats) -> Histogram:
    rounded = np.round(differences, _TIE_DIGITS)
    unequal = rounded[rounded != 0]
    widest = float(np.abs(unequal).max(initial=0.0))
    counts = np.histogram(unequal, 2 * BINS, (-widest, widest))[0] if len(unequal) else np.zeros(2 * BINS, np.int64)
    return Histogram(widest, tuple(counts.tolist()), len(rounded) - len(unequal))


def _spread(run: Sequence[CellEvidence]) -> float:
    """The standard deviation of the V-measure over the draws, within each cell and level of topics."""
    squares: list[float] = []
    for cell in run:
        arrays = cell.arrays("v_measure", "level")
        values = arrays["v_measure"].astype(np.float64)
        levels = arrays.get("level", np.zeros(len(values), np.int32))
        for level in np.unique(levels):
            squares += ((values[levels == level] - values[levels == level].mean()) ** 2).tolist()
    return float(np.sqrt(np.mean(squares)))
