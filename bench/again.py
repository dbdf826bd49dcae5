"""Again, after 1% of a corpus has changed: what a team does that keeps a manual or a wiki under test."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from app.core.records import Cell, Dataset, Document, Query, RetrievalData
from bench import sets
from bench.common import HEAD, MINILM, ROUNDS, Result, Target, Timed, in_turn, raw

SETS = ("XQuADRetrieval-en", "FinanceBenchRetrieval", "LegalSummarization")
EDITIONS = ("", "Second edition, revised. ", "Draft, not for publication. ", "Archived. ")
"""What four editions of each document begin with."""

CHANGED = 100
"""One document in so many is changed."""


def measure(name: str, *, quick: bool = False) -> Result:
    """Both sides in turn, each on the changed corpus."""
    arguments = {"editions": 1 if quick else len(EDITIONS), "count": 1 if quick else len(SETS)}
    pair = in_turn("again", arguments, 1 if quick else ROUNDS)
    sizes = pair.ours[0].facts
    return Result(
        name,
        "Again, after 1% of the corpus has changed",
        f"all-MiniLM-L6-v2 on {sizes['documents']:,} documents and {sizes['queries']:,} queries (the public retrieval "
        f"sets, every document in {arguments['editions']} editions), of which one document in {CHANGED} has got "
        "another sentence since the last run. Our vector store has the vectors of the last run; mteb.evaluate keeps "
        "none. Loading the model counts on both sides.",
        HEAD,
        pair.rows,
        (Target("as fast as mteb.evaluate", 20.0, pair.ratio, "×"),),
        (pair.assert_equal(), f"Ours encoded {sizes['texts_encoded']:,} of its texts."),
        raw({"ours": pair.ours, "mteb": pair.theirs}),
    )


def ours(editions: int, count: int) -> Timed:
    """Our side: once unmeasured on the corpus as it was, then on the changed one."""
    from bench import our_side  # noqa: PLC0415 -- each child loads its own side only

    before, after = corpus(editions, count, changed=False), corpus(editions, count, changed=True)
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as store:
        our_side.run([before], MINILM, Path(store))
        timed = our_side.run([after], MINILM, Path(store))
    data = after.cells[0].data
    assert isinstance(data, RetrievalData)
    sizes = {"documents": len(data.documents), "queries": len(data.queries)}
    return replace(timed, facts={**timed.facts, **sizes})


def theirs(editions: int, count: int) -> Timed:
    """The side of mteb."""
    from bench import mteb_side, mteb_tasks  # noqa: PLC0415

    mteb_side.quiet()
    task = mteb_tasks.from_dataset(corpus(editions, count, changed=True))
    return mteb_side.run(MINILM, [task])


def corpus(editions: int, count: int, *, changed: bool) -> Dataset:
    """Some of the public retrieval sets as one, each document in several editions; only the first is relevant."""
    queries: list[Query] = []
    documents: list[Document] = []
    qrels: dict[str, dict[str, int]] = {}
    for public in sets.public_sets(SETS[:count]):
        data = public.read().cells[0].data
        assert isinstance(data, RetrievalData)
        queries += [Query(f"{public.name} {query.id}", query.text) for query in data.queries]
        documents += _editions(public.name, data.documents, editions)
        for query, judgements in data.qrels.items():
            qrels[f"{public.name} {query}"] = {f"{public.name} {name} 0": grade for name, grade in judgements.items()}
    if changed:
        documents[::CHANGED] = [
            replace(document, text=f"{document.text} This was checked and corrected in the meantime.")
            for document in documents[::CHANGED]
        ]
    return Dataset("Retrieval", (Cell("test", "default", RetrievalData(tuple(queries), tuple(documents), qrels)),))


def _editions(name: str, documents: tuple[Document, ...], editions: int) -> Iterator[Document]:
    for document in documents:
        for number, beginning in enumerate(EDITIONS[:editions]):
            yield Document(f"{name} {document.id} {number}", beginning + document.text, document.title)
