"""How fast the statistics are: a board's intervals and ranks, two models, and ranx's Fisher test beside them."""

import importlib
import importlib.util
import math
import time
from importlib import metadata
from typing import Any, Final

import numpy as np

from app.core.aggregation import DatasetMeans, Floats
from app.core.board_certainty import ColumnValues, board_certainty
from app.core.resampling import RESAMPLES, SEED, Stratum, units_of
from app.core.significance import compare
from bench.common import Result, Target, Timed, median, raw, seconds, take_turns, times

PEER: Final = "ranx"
NO_PEER: Final = (
    f"{PEER} is not installed here, so nothing is measured beside it: `pip install '.[peers]'` into the environment "
    "that measures."
)


def measure(name: str, *, quick: bool = False) -> Result:
    """Each in a fresh process, in turn."""
    models, queries, many = (10, 200, 500) if quick else (50, 2_000, 10_000)
    resamples = 500 if quick else RESAMPLES
    pair = {"queries": many, "resamples": resamples}
    sides: dict[str, tuple[str, dict[str, Any]]] = {
        "board": ("bench.certainty:board", {"models": models, "queries": queries, "resamples": resamples}),
        "two": ("bench.certainty:two_models", pair),
    }
    if importlib.util.find_spec(PEER):
        sides |= {"fisher": ("bench.certainty:fisher", pair), "ranx": ("bench.certainty:ranx_compare", pair)}
    found = take_turns(sides)
    medians = {side: median(runs) for side, runs in found.items()}
    what = {
        "board": f"{models:,} models × {queries:,} queries: intervals of scores and ranks, p of all pairs",
        "two": f"two models × {many:,} queries: difference, intervals, p by signs and by t",
        "fisher": f"{PEER}'s `fisher_randomization_test` alone, on the same two",
        "ranx": f"`{PEER}.compare` on the same two, with its metric and both directions",
    }
    targets = [
        Target(f"{models:,} models × {queries:,} queries, all rank intervals", 2, medians["board"], "s", "less"),
        Target(f"two models × {many:,} queries", 1, medians["two"], "s", "less"),
    ]
    notes = [NO_PEER]
    if "fisher" in found:
        _assert_agreement(found, resamples)
        targets.append(Target(f"as fast as `{PEER}.compare` (Fisher)", 5, medians["ranx"] / medians["two"], "×"))
        facts = found["fisher"][0].facts
        notes = [
            f"{PEER} {facts['version']}, compiled beforehand by a call of one permutation, on {facts['threads']} "
            f"threads. Ours is the whole comparison: beside the test it draws as many resamples for the intervals. "
            f"Both come to the same p: {found['two'][0].facts['p']:.4f} and {facts['p']:.4f}. Its test alone takes "
            f"{times(medians['fisher'] / medians['two'])} as long as all of ours."
        ]
    return Result(
        name,
        "Certainty",
        f"{resamples:,} resamples or permutations of made-up scores (reciprocal ranks within ten, so with many ties), "
        "from arrays in memory, as they are once the values of each example were read.",
        ("", "median"),
        tuple((what[side], seconds(value)) for side, value in medians.items()),
        tuple(targets),
        tuple(notes),
        raw=raw(found),
    )


def board(models: int, queries: int, resamples: int) -> Timed:
    """A board of one dataset."""
    values = _reciprocal_ranks(models, queries)
    began = time.perf_counter()
    column = ColumnValues(np.arange(models), [Stratum(units_of(values), 1.0)])
    means = values.mean(axis=0)[:, None]
    found = board_certainty([column], DatasetMeans(means, means), ["Retrieval"], resamples=resamples)
    return Timed(time.perf_counter() - began, facts={"widest": int((found.worst - found.best).max())})


def two_models(queries: int, resamples: int) -> Timed:
    """All that a comparison of two models comes to."""
    values = _reciprocal_ranks(2, queries)
    began = time.perf_counter()
    found = compare(values[:, 0], values[:, 1], resamples=resamples)
    return Timed(time.perf_counter() - began, facts={"p": found.p})


def fisher(queries: int, resamples: int) -> Timed:
    """The peer's test, on the same arrays."""
    numba = importlib.import_module("numba")
    fisher_randomization_test = importlib.import_module(f"{PEER}.statistical_tests").fisher_randomization_test
    values = _reciprocal_ranks(2, queries)
    columns = np.ascontiguousarray(values[:, 0]), np.ascontiguousarray(values[:, 1])
    fisher_randomization_test(*columns, 1, 0.05, SEED)
    began = time.perf_counter()
    p, _ = fisher_randomization_test(*columns, resamples, 0.05, SEED)
    facts = {"p": float(p), "version": metadata.version(PEER), "threads": numba.get_num_threads()}
    return Timed(time.perf_counter() - began, facts=facts)


def ranx_compare(queries: int, resamples: int) -> Timed:
    """The peer as its users call it: rankings whose reciprocal ranks are the same values."""
    ranx = importlib.import_module(PEER)
    values = _reciprocal_ranks(2, queries)
    qrels = ranx.Qrels({f"q{query}": {"d": 1} for query in range(queries)})
    runs = [
        ranx.Run({f"q{query}": _ranking(value) for query, value in enumerate(column)}, name=name)
        for name, column in zip("ab", values.T.tolist(), strict=True)
    ]
    options = {"metrics": "mrr@10", "stat_test": "fisher", "max_p": 0.05, "random_seed": SEED}
    ranx.compare(qrels, runs, n_permutations=1, **options)
    began = time.perf_counter()
    found = ranx.compare(qrels, runs, n_permutations=resamples, **options)
    taken = time.perf_counter() - began
    means = [found.results[name]["mrr@10"] for name in "ab"]
    assert np.allclose(means, values.mean(axis=0)), f"the peer scores {means}, wanted {values.mean(axis=0)}"
    p = found.comparisons["a", "b"]["mrr@10"]["p_value"]
    return Timed(taken, facts={"p": float(p)})


def _reciprocal_ranks(models: int, queries: int) -> Floats:
    """Shape (queries, models): 1 to 1/10, or 0; models differ a little."""
    generator = np.random.default_rng(SEED)
    ease = generator.normal(0, 4, (queries, 1))
    places = np.ceil(np.abs(ease + generator.normal(0, 2, (queries, models)) + np.linspace(0, 0.05, models)) + 0.01)
    return np.where(places <= 10, 1 / places, 0.0)


def _ranking(value: float) -> dict[str, float]:
    """Ten documents, the relevant one at the place whose reciprocal this is; not among them for 0."""
    names = [f"other{place}" for place in range(1, 11)]
    if value:
        names[round(1 / value) - 1] = "d"
    return {name: 1 - place / 100 for place, name in enumerate(names)}


def _assert_agreement(found: dict[str, list[Timed]], resamples: int) -> None:
    ours = found["two"][0].facts["p"]
    for side in ("fisher", "ranx"):
        theirs = found[side][0].facts["p"]
        assert abs(ours - theirs) < 5 * math.sqrt(0.5 / resamples), f"p is {ours} for us and {theirs} for {side}"
