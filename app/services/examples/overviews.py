"""A dataset as a whole, as far as its task type has something to see: confusions, thresholds, predictions, clusters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.core.aggregation import Floats, Integers
from app.core.example_views import ThresholdCurve, confusion, mean_ranks, threshold_curve
from app.core.task_types import PAIR_MEASURES
from app.services.examples import facts
from app.services.examples.columns import kept_arrays
from app.services.examples.matchups import CellMatch, Matchup

MOST_SHOWN: Final = 12
"""Labels, topics and clusters in a table; worst residuals and confusions in a list."""
_NO_TOPIC: Final = "-1"
"""What a text without a topic at some level is taken to have there."""


@dataclass(frozen=True, slots=True)
class Confused:
    """Two labels that were taken for each other, and how often in all experiments; None where a run does not tell."""

    true: str
    predicted: str
    a: int | None
    b: int | None


@dataclass(frozen=True, slots=True, eq=False)
class ConfusionView:
    """Which labels the two models confuse.

    Attributes:
        names: of the labels shown, the most frequent ones, in the order of the dataset.
        tables: A's and B's, shape (labels shown, labels shown), a row a true label; None where a run does not tell.
        labels: how many there are in all.
        worst: pairs of different labels, those that one of the models confuses most first.
    """

    names: tuple[str, ...]
    tables: tuple[Integers | None, Integers | None]
    labels: int
    worst: tuple[Confused, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CurveView:
    """What every threshold on the similarity comes to; `measures` in words, "" for runs that did not note theirs."""

    curves: tuple[ThresholdCurve, ThresholdCurve]
    measures: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Residual:
    """An example that a model puts elsewhere than its gold value does.

    Attributes:
        gold_rank: from 1, the smallest first; equal ones share the mean of theirs.
        shift: rank of the prediction less that of gold; above 0 where the model finds too much.
        text: what the example says; None for those who may not see it.
    """

    place: int
    gold: float
    predicted: float
    gold_rank: float
    shift: float
    text: str | None


@dataclass(frozen=True, slots=True, eq=False)
class PredictionView:
    """Predicted against gold.

    Attributes:
        what: what is predicted, such as "similarity".
        gold: shape (n,).
        predicted: A's and B's, shape (n,) each.
        worst: of each model the largest shifts of rank.
    """

    what: str
    gold: Floats
    predicted: tuple[Floats, Floats]
    worst: tuple[tuple[Residual, ...], tuple[Residual, ...]]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The texts of one cluster by topic, in the order of the table's topics; `others` are of topics not shown."""

    size: int
    counts: tuple[int, ...]
    others: int


@dataclass(frozen=True, slots=True)
class ClusterTable:
    """Topics by cluster of one model, at one level or of one set; the largest first.

    Attributes:
        clusters: how many there are in all; `rows` has the largest.
        topics: names of the topics shown; `topic_count` says how many there are.
    """

    topics: tuple[str, ...]
    topic_count: int
    clusters: int
    rows: tuple[Cluster, ...]


@dataclass(frozen=True, slots=True)
class ClusterView:
    """Of each level or set a table of both models; None where a run does not tell."""

    levels: tuple[tuple[str, ClusterTable | None, ClusterTable | None], ...]


Overview = ConfusionView | CurveView | PredictionView | ClusterView


def overview(matchup: Matchup, cell: CellMatch, *, may_see: bool) -> Overview | None:
    """What there is to see of a cell as a whole; None for task types without, and where nothing was kept.

    Args:
        matchup: of the two models.
        cell: one of its cells.
        may_see: whether labels, which stand in the dataset's rows, may be named.

    Raises:
        NotFound: code `evidence_missing` or `dataset_missing`.
    """
    match matchup.dataset.task_type:
        case "Classification":
            return _confusions(matchup, cell, may_see)
        case "PairClassification":
            return _curves(cell)
        case "STS" | "Summarization":
            return _predictions(matchup, cell, "similarity", may_see)
        case "Regression":
            return _predictions(matchup, cell, "predicted", may_see)
        case "Clustering":
            return _clusters(matchup, cell, may_see)
    return None


def _confusions(matchup: Matchup, cell: CellMatch, may_see: bool) -> ConfusionView | None:
    predicted = [kept_arrays(evidence, "predicted").get("predicted") for evidence in cell.sides]
    if all(guesses is None for guesses in predicted):
        return None
    names, truth = facts.label_names(matchup.path, cell.cell), facts.labels_of(matchup.path, cell.cell)
    name = facts.naming(names, may_see)
    tables = [None if guesses is None else confusion(truth, guesses, len(names)) for guesses in predicted]
    frequent = np.argsort(-np.bincount(truth, minlength=len(names)), kind="stable")[:MOST_SHOWN]
    shown = np.sort(frequent)
    highest = np.maximum(*(np.zeros((len(names),) * 2, np.int64) if table is None else table for table in tables))
    highest = highest * (1 - np.eye(len(names), dtype=np.int64))
    order = np.argsort(-highest, axis=None, kind="stable")[:MOST_SHOWN]
    places = [(int(at) // len(names), int(at) % len(names)) for at in order if highest.flat[at]]
    worst = [Confused(name(i), name(j), *(_count(table, i, j) for table in tables)) for i, j in places]
    a, b = (None if table is None else table[np.ix_(shown, shown)] for table in tables)
    return ConfusionView(tuple(map(name, shown.tolist())), (a, b), len(names), tuple(worst))


def _count(table: Integers | None, row: int, column: int) -> int | None:
    return None if table is None else int(table[row, column])


def _curves(cell: CellMatch) -> CurveView | None:
    kept = [kept_arrays(evidence, "similarity", "label", "measure") for evidence in cell.sides]
    if not kept[0]["label"].any():
        return None
    a, b = (threshold_curve(arrays["similarity"], arrays["label"]) for arrays in kept)
    first, second = (_measure(arrays.get("measure")) for arrays in kept)
    return CurveView((a, b), (first, second))


def _measure(numbers: NDArray[Any] | None) -> str:
    if numbers is None or not 0 <= int(numbers[0]) < len(PAIR_MEASURES):
        return ""
    return {"similarity": "the model's own"}.get(name := PAIR_MEASURES[int(numbers[0])], name)


def _predictions(matchup: Matchup, cell: CellMatch, name: str, may_see: bool) -> PredictionView:
    kept = [kept_arrays(evidence, name, "gold", "text") for evidence in cell.sides]
    gold = kept[0]["gold"].astype(np.float64)
    places = kept[0].get("text", np.arange(len(gold)))
    a, b = (arrays[name].astype(np.float64) for arrays in kept)
    ranks = mean_ranks(gold)
    worst = []
    for predicted in (a, b):
        shifts = mean_ranks(predicted) - ranks
        order = np.argsort(-np.abs(shifts), kind="stable")[:MOST_SHOWN]
        texts = _texts(matchup, cell, places[order].tolist()) if may_see else {}
        worst.append(
            tuple(
                Residual(
                    int(place),
                    float(gold[at]),
                    float(predicted[at]),
                    float(ranks[at]),
                    float(shifts[at]),
                    texts.get(int(place)),
                )
                for at, place in zip(order, places[order], strict=True)
            )
        )
    what = "prediction" if name == "predicted" else name
    return PredictionView(what, gold, (a, b), (worst[0], worst[1]))


def _texts(matchup: Matchup, cell: CellMatch, places: Sequence[int]) -> dict[int, str]:
    found = facts.records(matchup.path, cell.cell, facts.KINDS[matchup.dataset.task_type], places)
    return {place: facts.read_text(record) for place, record in found.items()}


def _clusters(matchup: Matchup, cell: CellMatch, may_see: bool) -> ClusterView | None:
    kept = [
        kept_arrays(evidence, "table_level", "table_topic", "table_cluster", "table_count") for evidence in cell.sides
    ]
    if not any(kept):
        return None
    whole_sets = bool(facts.picker(matchup.path).cells[cell.cell].options.get("whole_sets"))
    numbers = sorted({int(level) for arrays in kept if arrays for level in np.unique(arrays["table_level"])})
    levels = []
    for number in numbers:
        a, b = (
            _cluster_table(matchup, cell, arrays, number, whole_sets=whole_sets, may_see=may_see) for arrays in kept
        )
        title = f"Set {number + 1}" if whole_sets else f"Level {number + 1}" if len(numbers) > 1 else ""
        levels.append((title, a, b))
    return ClusterView(tuple(levels))


def _cluster_table(
    matchup: Matchup, cell: CellMatch, arrays: dict[str, NDArray[Any]], number: int, *, whole_sets: bool, may_see: bool
) -> ClusterTable | None:
    """Topics are kept as places of texts that have them."""
    if not arrays or not (mine := arrays["table_level"] == number).any():
        return None
    topics, column = np.unique(arrays["table_topic"][mine], return_inverse=True)
    clusters, row = np.unique(arrays["table_cluster"][mine], return_inverse=True)
    table = np.zeros((len(clusters), len(topics)), np.int64)
    np.add.at(table, (row, column), arrays["table_count"][mine])
    shown = np.argsort(-table.sum(axis=0), kind="stable")[:MOST_SHOWN]
    largest = np.argsort(-table.sum(axis=1), kind="stable")[:MOST_SHOWN]
    names = _topic_names(matchup, cell, topics[shown].tolist(), 0 if whole_sets else number)
    return ClusterTable(
        names if may_see else tuple(f"topic {number}" for number in range(1, len(shown) + 1)),
        len(topics),
        len(clusters),
        tuple(
            Cluster(
                int(table[at].sum()), tuple(table[at, shown].tolist()), int(table[at].sum() - table[at, shown].sum())
            )
            for at in largest
        ),
    )


def _topic_names(matchup: Matchup, cell: CellMatch, places: Sequence[int], level: int) -> tuple[str, ...]:
    texts = facts.records(matchup.path, cell.cell, "text", places)
    labels = [texts[place]["labels"] if place in texts else [] for place in places]
    return tuple(own[level] if level < len(own) else _NO_TOPIC for own in labels)
