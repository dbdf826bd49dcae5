"""From what a run keeps of a cell to one value an example, whatever the task type: where comparisons start."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.core.aggregation import Floats, Integers
from app.core.contributions import average_precision_contributions, kendall_contributions, spearman_contributions
from app.core.correlation import spearman
from app.core.resampling import Strata, Stratum, Units, units_of
from app.core.significance import INDICATIVE, Interval, score_interval

_NOTHING: Final = 1e-9

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class ExampleValues:
    """A value an example, on the scale of the main metric; their mean is the cell's score.

    Attributes:
        place: shape (n,), ascending: where each example stands in its cell, as the number of the query, pair, text
            or sentence.
        value: shape (n,). Where the metric is a mean, the example's own score; else what it contributes to the
            metric (`app.core.contributions`).
        clusters: shape (n,), equal for queries whose only relevant document is the same: they are drawn together;
            None where nothing tells.
        is_mean: whether the values are scores of their own.
        strata: shape (n,), equal for values that are drawn by themselves; None for all together.
    """

    place: Integers
    value: Floats
    clusters: Integers | None = None
    is_mean: bool = True
    strata: Integers | None = None

    def __len__(self) -> int:
        return len(self.place)


def values_of(task_type: str, arrays: Arrays, score: float) -> ExampleValues | None:
    """The values of one cell.

    Args:
        task_type: by name.
        arrays: what the run kept of the cell, as workers write it.
        score: the cell's main metric.

    Returns:
        None for clustering, whose score is no sum over texts, and where nothing an example is defined.
    """
    if task_type not in _BY_TYPE:
        return None
    make, _ = _BY_TYPE[task_type]
    found = make(arrays)
    if found is None or not len(found) or not np.isfinite(found.value).all():
        return None
    if found.is_mean:
        return found
    # The stored score may come from more than what was kept, such as ten predictions of which the mean was.
    return ExampleValues(found.place, found.value + (score - found.value.mean()), found.clusters, is_mean=False)


def sampled_values(task_type: str, arrays: Arrays, score: float) -> ExampleValues | None:
    """What a cell's interval is from: its examples, or for clustering the draws, of which only the spread is known."""
    if task_type != "Clustering":
        return values_of(task_type, arrays, score)
    draws = arrays["v_measure"].astype(np.float64)
    levels = arrays["level"].astype(np.int64) if "level" in arrays else None
    return ExampleValues(np.arange(len(draws)), draws, strata=levels)


def strata_of(cells: Sequence[ExampleValues]) -> Strata:
    """One model's score as the mean over cells; within a cell its strata count by their size, as levels of topics."""
    return [one for cell in cells for one in stratified(units_of(cell.value, cell.clusters), cell, len(cells))]


def stratified(units: Units, cell: ExampleValues, cells: int) -> Strata:
    """Units of a cell, whose strata are those of the values of one model; clustered ones have none."""
    if cell.strata is None:
        return [Stratum(units, 1 / cells)]
    shares = [(cell.strata == number) for number in np.unique(cell.strata)]
    return [Stratum(Units(units.sums[mine], units.sizes[mine]), mine.mean() / cells) for mine in shares]


def interval_of(cells: Sequence[ExampleValues | None]) -> Interval | None:
    """The 95% interval of a score that is the mean over cells.

    None where a cell says nothing of its own, and where a few examples are all the same: that is no certainty.
    """
    known = [cell for cell in cells if cell is not None]
    found = score_interval(strata_of(known)) if known and len(known) == len(cells) else None
    if found is None or math.isnan(found.low):
        return None
    return None if found.n < INDICATIVE and found.high - found.low < _NOTHING else found


def needed_arrays(task_type: str) -> tuple[str, ...]:
    """The names of the arrays that the values of a task type are made from; none for clustering."""
    return _BY_TYPE[task_type][1] if task_type in _BY_TYPE else ()


def _queries(arrays: Arrays) -> ExampleValues:
    """Queries whose only relevant document is the same were most likely made from it."""
    place, source = arrays["query"].astype(np.int64), arrays.get("source")
    clusters = None
    if source is not None and (source >= 0).any():
        # Those without such a document stand for themselves, under numbers that no document has.
        clusters = np.where(source >= 0, source.astype(np.int64), -1 - np.arange(len(source)))
    return ExampleValues(place, arrays["value"].astype(np.float64), clusters)


def _query_pairs(arrays: Arrays) -> ExampleValues:
    """Both queries of a pair carry its value; a pair counts once."""
    pairs, value = arrays["pair"].astype(np.int64), arrays["value"].astype(np.float64)
    chosen = (pairs >= 0) & np.isfinite(value)
    place, first = np.unique(pairs[chosen], return_index=True)
    return ExampleValues(place, value[chosen][first])


def _texts(arrays: Arrays) -> ExampleValues:
    """The share of experiments that got a text right."""
    value = arrays["correct"].astype(np.float64)
    place = arrays["text"].astype(np.int64) if "text" in arrays else np.arange(len(value))
    order = np.argsort(place)
    return ExampleValues(place[order], value[order])


def _sentences(arrays: Arrays) -> ExampleValues:
    """What a sentence adds to F1: 2 / (how often its place was found + 1) if it found its own, else 0."""
    neighbour, correct = arrays["neighbour"].astype(np.int64), arrays["correct"].astype(np.bool_)
    found = np.bincount(neighbour, minlength=len(neighbour))
    return ExampleValues(np.arange(len(neighbour)), np.where(correct, 2 / (found[neighbour] + 1), 0.0))


def _summarized(arrays: Arrays) -> ExampleValues:
    """The correlation within each text; one whose gold scores or similarities are all the same is left out."""
    texts = arrays["text"].astype(np.int64)
    found = {}
    for text in np.unique(texts).tolist():
        mine = texts == text
        similarity, gold = arrays["similarity"][mine], arrays["gold"][mine]
        if np.ptp(similarity) > 0 and np.ptp(gold) > 0:
            found[text] = spearman(similarity, gold)
    return ExampleValues(np.array(list(found), np.int64), np.array(list(found.values()), np.float64))


def _scored_pairs(arrays: Arrays) -> ExampleValues:
    return _contributed(spearman_contributions(arrays["similarity"], arrays["gold"]))


def _labelled_pairs(arrays: Arrays) -> ExampleValues | None:
    labels = arrays["label"]
    return _contributed(average_precision_contributions(arrays["similarity"], labels)) if labels.any() else None


def _predictions(arrays: Arrays) -> ExampleValues:
    return _contributed(kendall_contributions(arrays["predicted"], arrays["gold"]))


def _contributed(value: Floats) -> ExampleValues:
    return ExampleValues(np.arange(len(value)), value, is_mean=False)


_QUERIES: Final = (_queries, ("query", "value", "source"))
_TEXTS: Final = (_texts, ("text", "correct"))
_BY_TYPE: Final[dict[str, tuple[Callable[[Arrays], ExampleValues | None], tuple[str, ...]]]] = {
    "Retrieval": _QUERIES,
    "Reranking": _QUERIES,
    "InstructionRetrieval": _QUERIES,
    "InstructionReranking": (_query_pairs, ("pair", "value")),
    "STS": (_scored_pairs, ("similarity", "gold")),
    "Summarization": (_summarized, ("similarity", "gold", "text")),
    "PairClassification": (_labelled_pairs, ("similarity", "label")),
    "Classification": _TEXTS,
    "MultilabelClassification": _TEXTS,
    "Regression": (_predictions, ("predicted", "gold")),
    "BitextMining": (_sentences, ("neighbour", "correct")),
}
"""By task type: how its values are made, and from which arrays."""
