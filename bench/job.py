"""The whole job: a real model over all public sets, cold, in one process."""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import sets
from bench.common import HEAD, MINILM, ROUNDS, Result, Target, Timed, child, in_turn, raw, seconds

SHAPE = (6, 384, 1_536)
"""Layers, hidden and inner size of all-MiniLM-L6-v2."""

MOST_TOKENS = 256

QUICK = ("PoemSentimentClassification",)
SPREAD = 5e-4
"""How far scores may differ here: STSB has metrics that move with the batch size; `make parity` looks closer."""


def measure(name: str, *, quick: bool = False) -> Result:
    """Both sides in turn, and the floor."""
    arguments = {"names": QUICK if quick else ()}
    pair = in_turn("job", arguments, 1 if quick else ROUNDS)
    best = child("bench.job:floor", **arguments).facts
    floor = best["operations"] / best["rate"]
    encoding = statistics.median(run.stages["encode"] for run in pair.ours)
    return Result(
        name,
        "The whole job",
        "all-MiniLM-L6-v2 over all public sets beside the repository, in one process: loading the model, encoding, "
        "scoring. The datasets are in memory before the clock starts; our vector store is empty.",
        HEAD,
        pair.rows,
        (Target("as fast as mteb.evaluate over the same list", 2.0, pair.ratio, "×"),),
        (
            pair.assert_equal(SPREAD),
            f"The floor: {best['texts']:,} texts that differ in their tokens, of {best['tokens']:,} tokens, take "
            f"{best['operations'] / 1e12:,.2f} · 10¹² floating-point operations without padding; this machine "
            f"multiplies float32 matrices at {best['rate'] / 1e9:,.0f} · 10⁹ a second, so encoding cannot take less "
            f"than {seconds(floor)}. It takes {seconds(encoding)}: {floor / encoding:.0%} of that rate.",
        ),
        raw({"ours": pair.ours, "mteb": pair.theirs}) | {"floor": best},
    )


def ours(names: Sequence[str]) -> Timed:
    """Our side."""
    from bench import our_side  # noqa: PLC0415 -- each child loads its own side only

    datasets = [public.read() for public in sets.public_sets(names)]
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as store:
        return our_side.run(datasets, MINILM, Path(store))


def theirs(names: Sequence[str]) -> Timed:
    """The side of mteb."""
    from bench import mteb_sets, mteb_side  # noqa: PLC0415

    mteb_side.quiet()
    return mteb_side.run(MINILM, [mteb_sets.task(public) for public in sets.public_sets(names)])


def floor(names: Sequence[str]) -> Timed:
    """What encoding every text once takes at least; texts that read the same, token by token, are one."""
    from transformers import AutoTokenizer  # noqa: PLC0415

    from bench.floor import Shape, matrix_rate  # noqa: PLC0415
    from worker.encoders import folders  # noqa: PLC0415
    from worker.scoring import task_for  # noqa: PLC0415

    datasets = [public.read() for public in sets.public_sets(names)]
    texts = {
        text: None
        for dataset in datasets
        for cell in dataset.cells
        for part in task_for(dataset.task_type).parts(cell.data)
        for text in part.texts
    }
    tokenizer = AutoTokenizer.from_pretrained(str(folders.locate(MINILM).path))
    read = {tuple(ids) for ids in tokenizer(list(texts), truncation=True, max_length=MOST_TOKENS)["input_ids"]}
    lengths = [len(ids) for ids in read]
    facts = {
        "texts": len(read),
        "tokens": sum(lengths),
        "operations": Shape(*SHAPE).operations(lengths),
        "rate": matrix_rate(),
    }
    return Timed(0, facts=facts)
