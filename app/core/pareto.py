"""The Pareto frontier: which points no other point beats on both axes."""

import math

import numpy as np
from numpy.typing import ArrayLike

from app.core.aggregation import RANK_DIGITS, Booleans


def pareto_frontier(costs: ArrayLike, scores: ArrayLike) -> Booleans:
    """Which points are on the frontier: no other point costs at most as much and scores at least as high.

    Of equal points, each is on the frontier or none is. Scores are compared after rounding to 10 digits, as ranks are.

    Args:
        costs: shape (n,), lower is better; NaN where unknown.
        scores: shape (n,), higher is better; NaN where unknown.

    Returns:
        Shape (n,); False where either is unknown.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> pareto_frontier([1, 2, 2, 3, math.nan], [0.5, 0.7, 0.6, 0.7, 0.9]).tolist()
        [True, True, False, False, False]
    """
    cost = np.asarray(costs, np.float64)
    score = np.round(np.asarray(scores, np.float64), RANK_DIGITS)
    if cost.shape != score.shape:
        raise ValueError(f"{cost.shape} costs and {score.shape} scores")
    on = np.zeros(len(cost), np.bool_)
    best = -math.inf, math.inf
    for place in np.lexsort((-score, cost)).tolist():  # the cheapest first, of those the best
        if math.isnan(cost[place]) or math.isnan(score[place]):
            continue
        if score[place] > best[0] or (score[place], cost[place]) == best:
            on[place] = True
            best = score[place], cost[place]
    return on
