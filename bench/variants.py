"""Five variants of one model, fewer dimensions and coarser numbers, beside one."""

import tempfile
from dataclasses import replace
from pathlib import Path

from bench import our_side
from bench.common import HEAD, MINILM, ROUNDS, Result, Target, Timed, median, raw, seconds, stages_in_words, take_turns
from bench.job import QUICK
from bench.sets import public_sets

SETS = ("STSBenchmark", "XQuADRetrieval-en", "TRECQA-reranking-dev", "SIB200Classification-eng_Latn")
VARIANTS = (
    MINILM,
    replace(MINILM, truncate_dim=128),
    replace(MINILM, precision="int8"),
    replace(MINILM, precision="uint8"),
    replace(MINILM, precision="binary"),
)


def measure(name: str, *, quick: bool = False) -> Result:
    """One and five in turn, each from an empty store."""
    found = take_turns(
        {str(count): ("bench.variants:score", {"count": count, "quick": quick}) for count in (1, len(VARIANTS))},
        1 if quick else ROUNDS,
    )
    one, five = found["1"], found[str(len(VARIANTS))]
    return Result(
        name,
        "Five variants of one model",
        f"all-MiniLM-L6-v2 over {', '.join(SETS)}, from an empty store: alone, and with 384 dimensions, "
        "128 dimensions, int8, uint8 and binary one after the other, each a run of its own.",
        HEAD,
        tuple(
            (words, seconds(median(runs)), stages_in_words(runs))
            for words, runs in (("one", one), ("five variants", five))
        ),
        (Target("the time of one", 1.2, median(five) / median(one), "×", "less"),),
        (f"The five encoded {five[0].facts['texts_encoded']:,} texts, the one {one[0].facts['texts_encoded']:,}.",),
        raw(found),
    )


def score(count: int, quick: bool) -> Timed:
    """The first so many variants."""
    datasets = [public.read() for public in public_sets(QUICK if quick else SETS)]
    total = Timed(0)
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as store:
        for spec in VARIANTS[:count]:
            total = _added(total, our_side.run(datasets, spec, Path(store)))
    return total


def _added(one: Timed, other: Timed) -> Timed:
    return Timed(
        one.seconds + other.seconds,
        one.scores + other.scores,
        {name: one.stages.get(name, 0.0) + other.stages[name] for name in other.stages},
        {name: one.facts.get(name, 0) + other.facts[name] for name in other.facts},
    )
