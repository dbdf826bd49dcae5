"""Classification: can a simple classifier tell the labels apart by a few examples' vectors?"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from app.core.labels import numbered, whole_numbers
from app.core.records import ClassificationData
from worker.encoders.base import IntArray
from worker.scoring.base import CellScores, Matrix, Part, Source, Tick
from worker.scoring.threads import side_by_side

SEED: Final = 42
EXPERIMENTS: Final = 10
SAMPLES_PER_LABEL: Final = 8
MAX_ITERATIONS: Final = 100


class ClassificationTask:
    """See `worker.scoring.base.Task`."""

    def parts(self, data: ClassificationData) -> tuple[Part, ...]:
        """The training texts that some experiment uses, and all test texts."""
        rows, _ = _drawn(data)
        return (
            Part("training text", None, tuple(data.train[row].text for row in rows)),
            Part("test text", None, tuple(example.text for example in data.test)),
        )

    def score(self, data: ClassificationData, source: Source, tick: Tick) -> CellScores:
        """See `score`."""
        train, test = self.parts(data)
        rows, experiments = _drawn(data)
        labels, test_labels = [example.label for example in data.train], [example.label for example in data.test]
        codes = numbered({*labels, *test_labels})
        fitted_on = [example.text for example in data.train]
        return score(
            source.vectors(train.texts, None, fitted_on),
            np.array([codes[labels[row]] for row in rows], np.int64),
            experiments,
            source.vectors(test.texts, None, fitted_on),
            np.array([codes[label] for label in test_labels], np.int64),
            positive=codes.get("1") if whole_numbers(codes) else 1,
            tick=tick,
        )


def score(
    train: Matrix,
    train_codes: IntArray,
    experiments: Sequence[IntArray],
    test: Matrix,
    test_codes: IntArray,
    *,
    positive: int | None = 1,
    tick: Tick = lambda: None,
) -> CellScores:
    """Means over the experiments, each a logistic regression on its own training rows.

    `accuracy` is the main metric. Macro averages run over all labels that are true or predicted; a label without
    predictions has precision 0. `ap` and `ap_weighted` exist only for two labels in the test, see `metrics`.

    Args:
        train: shape (n, d).
        train_codes: shape (n,), the training labels as numbers.
        experiments: rows of `train` for each experiment, in order.
        test: shape (m, d).
        test_codes: shape (m,), the test labels as numbers.
        positive: see `metrics`.
        tick: called after each experiment.

    Returns:
        Metrics in [0, 1], higher is better. For each test text the share of experiments that got it right
        (`correct`), and the number of the label that each of them found (`predicted`).

    Reference:
        MTEB 2.26.24, `AbsTaskClassification`.
    """

    def experiment(rows: IntArray) -> tuple[IntArray, dict[str, float]]:
        classifier = LogisticRegression(max_iter=MAX_ITERATIONS, random_state=SEED)
        predicted: IntArray = classifier.fit(train[rows], train_codes[rows]).predict(test)
        return predicted, metrics(test_codes, predicted, positive)

    labels, found = zip(*side_by_side(experiment, experiments, tick), strict=True)
    means = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    predicted = np.array(labels).T
    correct = (predicted == test_codes[:, None]).mean(axis=1, dtype=np.float32)
    return CellScores(means, "texts", {"correct": correct, "predicted": predicted.astype(np.int32)})


def metrics(true: IntArray, predicted: IntArray, positive: int | None = 1) -> dict[str, float]:
    """The metrics of one experiment.

    Args:
        true: shape (m,).
        predicted: shape (m,).
        positive: for two labels in the test, the one that average precision is about, with the predicted labels
            themselves as scores; None, or one that is not in the test, for no average precision.

    Example:
        >>> metrics(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))["accuracy"]
        0.75
    """
    precision, recall, f1, support = precision_recall_fscore_support(true, predicted, zero_division=0)
    found = {"accuracy": float((true == predicted).mean())}
    for name, values in (("f1", f1), ("precision", precision), ("recall", recall)):
        found[name] = float(values.mean())
        found[f"{name}_weighted"] = float(np.average(values, weights=support))
    labels = np.unique(true)
    if len(labels) == 2 and positive in labels:
        area = float(average_precision_score(true == positive, predicted))
        found |= {"ap": area, "ap_weighted": area}  # the two ways to average differ for several labels only
    return found


def training_rows(labels: Sequence[str]) -> list[IntArray]:
    """Which training rows each experiment uses: up to 8 a label, the first ones in a shuffled order.

    The order is shuffled again by the same permutation before each experiment, RandomState(42).shuffle.

    Args:
        labels: n training labels.

    Returns:
        For each experiment its rows, in order.

    Example:
        >>> [len(rows) for rows in training_rows(["a"] * 9 + ["b"] * 3)][:2]
        [11, 11]
    """
    codes = np.unique(np.asarray(labels), return_inverse=True)[1]
    permutation = np.arange(len(labels))
    np.random.RandomState(SEED).shuffle(permutation)
    order = np.arange(len(labels))
    rows = []
    for _ in range(EXPERIMENTS):
        order = order[permutation]
        rows.append(order[_first_of_each(codes[order])])
    return rows


def _drawn(data: ClassificationData) -> tuple[IntArray, list[IntArray]]:
    """The training rows that are used at all, ascending, and each experiment's positions among them."""
    experiments = training_rows([example.label for example in data.train])
    rows = np.unique(np.concatenate(experiments))
    return rows, [np.searchsorted(rows, experiment) for experiment in experiments]


def _first_of_each(codes: npt.NDArray[np.integer]) -> IntArray:
    """The positions of the first 8 of every code, ascending."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    nth = np.arange(len(codes)) - np.searchsorted(ordered, ordered)
    return np.sort(order[nth < SAMPLES_PER_LABEL])
