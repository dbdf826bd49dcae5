"""Regression: does a linear function of the vectors tell each text's number?"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from app.core.records import RegressionData
from worker.encoders.base import IntArray
from worker.scoring.base import CellScores, Matrix, Part, Source, Tick
from worker.scoring.stratify import SEED, drawn_by_bin, quantile_bins

EXPERIMENTS: Final = 10
SAMPLES: Final = 2_048

Values = npt.NDArray[np.float64]


class RegressionTask:
    """See `worker.scoring.base.Task`."""

    def parts(self, data: RegressionData) -> tuple[Part, ...]:
        """The training texts that some experiment uses, and all test texts."""
        rows = np.unique(np.concatenate(training_rows(_values(data))))
        return (
            Part("training text", None, tuple(data.train[row].text for row in rows)),
            Part("test text", None, tuple(example.text for example in data.test)),
        )

    def score(self, data: RegressionData, source: Source, tick: Tick) -> CellScores:
        """See `score`."""
        train, test = self.parts(data)
        values = _values(data)
        experiments = training_rows(values)
        rows = np.unique(np.concatenate(experiments))
        fitted_on = [example.text for example in data.train]
        return score(
            source.vectors(train.texts, None, fitted_on),
            values[rows],
            [np.searchsorted(rows, experiment) for experiment in experiments],
            source.vectors(test.texts, None, fitted_on),
            np.array([example.value for example in data.test]),
            tick=tick,
        )


def score(
    train: Matrix,
    values: Values,
    experiments: Sequence[IntArray],
    test: Matrix,
    gold: Values,
    *,
    tick: Tick = lambda: None,
) -> CellScores:
    """Means over the experiments, each a linear regression by least squares on its own training rows.

    The libraries' own threads are left alone: with about as many texts as dimensions the least squares solution
    hangs on the last bit, and so on how MTEB, too, shares out its sums.

    Args:
        train: shape (n, d).
        values: shape (n,).
        experiments: rows of `train` for each experiment, in order.
        test: shape (m, d).
        gold: shape (m,), the test texts' numbers.
        tick: called after each experiment.

    Returns:
        See `metrics`. For each test text the mean prediction (`predicted`) and its number (`gold`).

    Reference:
        MTEB 2.26.24, `AbsTaskRegression`.
    """
    predictions = []
    for rows in experiments:
        predictions.append(LinearRegression().fit(train[rows], values[rows]).predict(test))
        tick()
    found = [metrics(gold, predicted) for predicted in predictions]
    means = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    arrays = {"predicted": np.array(predictions).mean(axis=0), "gold": gold}
    return CellScores(means, "texts", {name: array.astype(np.float32) for name, array in arrays.items()})


def metrics(gold: Values, predicted: npt.NDArray[np.floating]) -> dict[str, float]:
    """The metrics of one experiment.

    Args:
        gold: shape (m,).
        predicted: shape (m,).

    Returns:
        `kendalltau`, the main metric: Kendall's tau-b in [-1, 1], higher is better; NaN where gold or predicted
        values are all equal. `r2`: at most 1, higher is better; not for a single text. `mae`, `mse` and `rmse`: from
        0, lower is better.

    Example:
        >>> found = metrics(np.array([1.0, 2, 3, 5]), np.array([1.0, 2, 4, 3]))
        >>> [round(found[name], 3) for name in ("kendalltau", "mse", "r2")]
        [0.667, 1.25, 0.429]
    """
    true = gold.tolist()  # of a list scikit-learn takes no dtype, but computes in that of the predictions; so in MTEB
    mse = float(mean_squared_error(true, predicted))
    found = {
        "mse": mse,
        "mae": float(mean_absolute_error(true, predicted)),
        "rmse": float(np.sqrt(mse)),
        "kendalltau": math.nan,
    }
    if len(gold) > 1:
        found |= {"kendalltau": float(kendalltau(true, predicted).statistic), "r2": float(r2_score(true, predicted))}
    return found


def training_rows(values: Values) -> list[IntArray]:
    """Which training rows each experiment uses: 2,048 that have the deciles of all; of up to so many, all in one.

    (MTEB repeats that one experiment ten times.)

    Args:
        values: shape (n,), the training texts' numbers.

    Example:
        >>> [len(rows) for rows in training_rows(np.arange(2049.0))], len(training_rows(np.arange(2048.0)))
        ([2048, 2048, 2048, 2048, 2048, 2048, 2048, 2048, 2048, 2048], 1)
    """
    if len(values) <= SAMPLES:
        return [np.arange(len(values))]
    bins = quantile_bins(values)
    return [drawn_by_bin(bins, SAMPLES, SEED + experiment) for experiment in range(EXPERIMENTS)]


def _values(data: RegressionData) -> Values:
    return np.array([example.value for example in data.train], np.float64)
