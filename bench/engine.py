"""The engine without a model: both sides look the same vectors up, so that only the work around a model is left."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import made
from bench.common import HEAD, ROUNDS, Result, Target, Timed, child, in_turn, raw, seconds, stages_in_words
from bench.instant import SPEC, Instant
from bench.made import Made


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison.

    Attributes:
        title: of its section.
        what: the data, in words.
        make: makes them.
        size: arguments of `make`, in full.
        quick: the same for a quick try.
        wanted: how many times as fast as mteb.
    """

    title: str
    what: str
    make: Callable[..., Made]
    size: dict[str, int]
    quick: dict[str, int]
    wanted: float


CASES = {
    "retrieval": Case(
        "Retrieval without a model",
        "200,000 documents, 1,000 queries, 384 dimensions.",
        made.retrieval,
        {"documents": 200_000, "queries": 1_000},
        {"documents": 3_000, "queries": 50},
        6.0,
    ),
    "reranking": Case(
        "Reranking without a model",
        "2,000 queries with 100 candidates each, 384 dimensions.",
        made.reranking,
        {"queries": 2_000, "candidates": 100},
        {"queries": 40, "candidates": 30},
        5.0,
    ),
    "pairs": Case(
        "Pair classification without a model",
        "100,000 pairs over 9,000 different texts, 384 dimensions.",
        made.pairs,
        {"pairs": 100_000, "texts": 9_000},
        {"pairs": 2_000, "texts": 300},
        5.0,
    ),
    "classification": Case(
        "Classification without a model",
        "77 labels, 10,003 texts to learn from and 3,080 to test on, 384 dimensions: the shape of Banking77.",
        made.classification,
        {"labels": 77, "train": 10_003, "test": 3_080},
        {"labels": 7, "train": 140, "test": 70},
        2.0,
    ),
    "clustering": Case(
        "Clustering without a model",
        "16,384 texts on 50 topics, 384 dimensions, by the fast rule: ten draws of 16,384.",
        made.clustering,
        {"texts": 16_384, "labels": 50},
        {"texts": 600, "labels": 5},
        1.5,
    ),
}


def measure(name: str, *, quick: bool = False) -> Result:
    """One case, both sides in turn."""
    case = CASES[name]
    arguments = {"case": name, "size": case.quick if quick else case.size, "warm_up": None if quick else case.quick}
    pair = in_turn("engine", arguments, 1 if quick else ROUNDS)
    by_batch = child("bench.engine:theirs", **arguments, by_batch=True)
    third = ("mteb.evaluate, texts by batch (one run)", seconds(by_batch.seconds), stages_in_words([by_batch]))
    return Result(
        name,
        case.title,
        f"{case.what} From records in memory to scores; ours also writes its vectors to an empty store on disk. Both "
        "look up the same vectors. mteb's model takes the texts as the data loader's whole column, quicker than any "
        "real model does; the third row reads them batch by batch, as mteb's wrapper of sentence-transformers does.",
        HEAD,
        (*pair.rows, third),
        (Target("as fast as mteb.evaluate", case.wanted, pair.ratio, "×"),),
        (pair.assert_equal(),),
        raw({"ours": pair.ours, "mteb": pair.theirs, "mteb, by batch": [by_batch]}),
    )


def ours(case: str, size: dict[str, int], warm_up: dict[str, int] | None = None) -> Timed:
    """Our side, from records to scores, the vectors written to an empty store."""
    from bench import our_side  # noqa: PLC0415 -- each child loads its own side only

    timed = Timed(0)
    for wanted in filter(None, (warm_up, size)):
        made = CASES[case].make(**wanted)
        encoder = Instant(made.vectors)
        with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as store:
            timed = our_side.run([made.dataset], SPEC, Path(store), encoder=encoder)
    return timed


def theirs(case: str, size: dict[str, int], warm_up: dict[str, int] | None = None, by_batch: bool = False) -> Timed:
    """The side of mteb, from tables in memory to scores."""
    from bench import mteb_side, mteb_tasks  # noqa: PLC0415

    mteb_side.quiet()
    timed = Timed(0)
    for wanted in filter(None, (warm_up, size)):
        made = CASES[case].make(**wanted)
        task = mteb_tasks.from_dataset(made.dataset)
        timed = mteb_side.run(mteb_side.Instant(made.vectors, by_batch=by_batch), [task])
    return timed
