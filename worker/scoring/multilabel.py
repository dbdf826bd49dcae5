"""Multilabel classification: do a few neighbours with known labels tell the labels of a text?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from app.core.labels import numbered
from app.core.records import MultilabelClassificationData
from app.errors import RunFailure
from worker.encoders.base import IntArray
from worker.scoring.base import CellScores, Matrix, Part, Source, Tick
from worker.scoring.classification import EXPERIMENTS, SAMPLES_PER_LABEL, SEED
from worker.scoring.stratify import balanced_rows
from worker.scoring.threads import side_by_side

NEIGHBOURS: Final = 5
MAX_TEST_TEXTS: Final = 3_000

Table = npt.NDArray[np.bool_]
"""Shape (texts, labels): which text has which label."""


class MultilabelClassificationTask:
    """See `worker.scoring.base.Task`."""

    def parts(self, data: MultilabelClassificationData) -> tuple[Part, ...]:
        """The training texts that some experiment uses, and the test texts, `MAX_TEST_TEXTS` at most or so."""
        plan = _plan(data)
        return (
            Part("training text", None, tuple(data.train[row].text for row in plan.rows)),
            Part("test text", None, tuple(data.test[row].text for row in plan.test_rows)),
        )

    def score(self, data: MultilabelClassificationData, source: Source, tick: Tick) -> CellScores:
        """See `score`; `text` is added, the place of each scored text among the test texts."""
        plan = _plan(data)
        fitted_on = [example.text for example in data.train]
        scores = score(
            source.vectors([data.train[row].text for row in plan.rows], None, fitted_on),
            _table([data.train[row].labels for row in plan.rows], plan.codes),
            plan.experiments,
            source.vectors([data.test[row].text for row in plan.test_rows], None, fitted_on),
            _table([data.test[row].labels for row in plan.test_rows], plan.codes),
            tick=tick,
        )
        return CellScores(scores.metrics, scores.kind, {"text": plan.test_rows.astype(np.int32), **scores.arrays})


def score(
    train: Matrix,
    train_labels: Table,
    experiments: Sequence[IntArray],
    test: Matrix,
    test_labels: Table,
    *,
    tick: Tick = lambda: None,
) -> CellScores:
    """Means over the experiments; in each a text gets the labels that 3 of its 5 nearest training texts have.

    Nearest by Euclidean distance; which of equally near ones counts is scikit-learn's choice. `accuracy` is the main
    metric.

    Args:
        train: shape (n, d).
        train_labels: shape (n, l).
        experiments: rows of `train` for each experiment, at least 5.
        test: shape (m, d).
        test_labels: shape (m, l).
        tick: called after each experiment.

    Returns:
        Metrics in [0, 1], higher is better. For each test text the share of experiments that found its labels, all of
        them and no other (`correct`).

    Reference:
        MTEB 2.26.24, `AbsTaskMultilabelClassification`.
    """

    def experiment(rows: IntArray) -> tuple[npt.NDArray[np.bool_], dict[str, float]]:
        nearest = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(train[rows]).kneighbors(test, return_distance=False)
        own = train_labels[rows]
        votes = sum(own[column].astype(np.int8) for column in nearest.T)
        predicted: Table = votes > NEIGHBOURS // 2
        return (predicted == test_labels).all(axis=1), metrics(test_labels, predicted)

    correct, found = zip(*side_by_side(experiment, experiments, tick), strict=True)
    means = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    return CellScores(means, "texts", {"correct": np.array(correct).mean(axis=0, dtype=np.float32)})


def metrics(true: Table, predicted: Table) -> dict[str, float]:
    """The metrics of one experiment.

    `accuracy`: the share of texts with exactly the right labels. `f1`: the mean over labels, 0 for a label that is
    neither true nor predicted. `lrap`: label ranking average precision with all predicted labels ranked before all
    others, ties counting at their last place; 1 for a text with no label or all. `hamming`: the mean over texts of
    labels both true and predicted by labels true or predicted, 1 where there are none.

    Args:
        true: shape (m, l), m and l at least 1.
        predicted: the same shape.

    Example:
        >>> true, predicted = np.array([[True, False], [True, True]]), np.array([[True, False], [False, True]])
        >>> {name: round(value, 3) for name, value in metrics(true, predicted).items()}
        {'accuracy': 0.5, 'lrap': 1.0, 'f1': 0.833, 'hamming': 0.75}
    """
    both = true & predicted
    hits, real, guessed = both.sum(axis=1), true.sum(axis=1), predicted.sum(axis=1)
    labels = true.shape[1]
    either = real + guessed - hits
    ranked = hits * hits / np.maximum(guessed, 1) + (real - hits) * real / labels
    precision = np.where((real == 0) | (real == labels), 1.0, ranked / np.maximum(real, 1))
    occurrences = true.sum(axis=0) + predicted.sum(axis=0)
    return {
        "accuracy": float((true == predicted).all(axis=1).mean()),
        "lrap": float(precision.mean()),
        "f1": float((2 * both.sum(axis=0) / np.maximum(occurrences, 1)).mean()),
        "hamming": float(np.where(either == 0, 1.0, hits / np.maximum(either, 1)).mean()),
    }


def training_rows(labels: Sequence[Sequence[str]]) -> list[IntArray]:
    """Which training rows each experiment uses: in random order every row that has a label met fewer than 8 times.

    Args:
        labels: the labels of n training texts; one without labels is never used.

    Returns:
        For each of 10 experiments its rows, in order. One generator seeded with 42 draws all of them.

    Example:
        >>> [len(rows) for rows in training_rows([["a"]] * 9 + [["a", "b"]] * 3)][:3]
        [9, 9, 8]
    """
    rng = np.random.default_rng(SEED)
    return [_first_of_each(rng.permutation(len(labels)), labels) for _ in range(EXPERIMENTS)]


def _first_of_each(order: IntArray, labels: Sequence[Sequence[str]]) -> IntArray:
    """The rows, in that order, that have a label with fewer than 8 among the rows taken before."""
    met: Counter[str] = Counter()
    taken = []
    for row in order.tolist():
        if any(met[label] < SAMPLES_PER_LABEL for label in labels[row]):
            taken.append(row)
            met.update(labels[row])
    return np.array(taken, np.int64)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is used of a cell.

    Attributes:
        rows: the training rows that are used at all, ascending.
        experiments: each experiment's positions among them.
        test_rows: the scored test rows, ascending.
        codes: the labels that occur in these, numbered; no other label counts.
    """

    rows: IntArray
    experiments: list[IntArray]
    test_rows: IntArray
    codes: dict[str, int]


def _plan(data: MultilabelClassificationData) -> _Plan:
    """Draws the training and test rows.

    Raises:
        RunFailure: `unsupported`, for fewer than 5 training texts with labels, or a test without any label.
    """
    experiments = training_rows([example.labels for example in data.train])
    if min(len(rows) for rows in experiments) < NEIGHBOURS:
        raise _unsupported(f"Fewer than {NEIGHBOURS} training texts have a label, too few for {NEIGHBOURS} neighbours.")
    rows = np.unique(np.concatenate(experiments))
    codes = numbered({label for example in (*data.train, *data.test) for label in example.labels})
    test_rows = np.arange(len(data.test))
    if len(data.test) > MAX_TEST_TEXTS:
        coded = [sorted(codes[label] for label in example.labels) for example in data.test]
        test_rows = balanced_rows(coded, MAX_TEST_TEXTS)
    tested = sorted({label for row in test_rows for label in data.test[row].labels}, key=codes.__getitem__)
    if not tested:
        raise _unsupported("No test text has a label.")
    experiments = [np.searchsorted(rows, experiment) for experiment in experiments]
    return _Plan(rows, experiments, test_rows, {label: code for code, label in enumerate(tested)})


def _unsupported(problem: str) -> RunFailure:
    return RunFailure(problem, code="unsupported", remedy="Upload the dataset again with more labelled texts.")


def _table(labels: Sequence[Sequence[str]], codes: dict[str, int]) -> Table:
    table = np.zeros((len(labels), len(codes)), bool)
    for row, own in enumerate(labels):
        table[row, [codes[label] for label in own if label in codes]] = True
    return table
