"""How much a dataset holds: what a preview shows, and how many examples are scored."""

from itertools import chain
from typing import Any, Final

from app.core.formats.codecs import codec
from app.core.records import (
    CellData,
    ClassificationData,
    ClusteringData,
    Dataset,
    MultilabelClassificationData,
    RetrievalData,
)

_SCORED_KINDS: Final = ("query", "pair", "text", "test")
_SHOWN: Final = {
    "query": "queries",
    "document": "documents",
    "change": "changes",
    "pair": "pairs",
    "text": "texts",
    "train": "train",
    "test": "test",
}
"""A kind of record as people read it in "210 queries"."""

_SHARED: Final = {"train": "train", "document": "documents"}
"""The attribute with the records that several splits of a subset may have in common."""


def count(dataset: Dataset) -> dict[str, int]:
    """Records by kind over all cells, as a preview shows them, what several cells share once; judgements and labels."""
    counts: dict[str, int] = {}
    shared: set[int] = set()
    for cell in dataset.cells:
        for kind, number in codec(dataset.task_type).counts(cell.data).items():
            records = getattr(cell.data, _SHARED.get(kind, ""), None)
            if records is None or id(records) not in shared:
                counts[_SHOWN[kind]] = counts.get(_SHOWN[kind], 0) + number
            shared.add(id(records))
    judgements = sum(_judgements(cell.data) for cell in dataset.cells)
    labels = len(set(chain.from_iterable(_labels(cell.data) for cell in dataset.cells)))
    return {**counts, **({"judgements": judgements} if judgements else {}), **({"labels": labels} if labels else {})}


def scored_examples(dataset: Dataset) -> int:
    """How many examples are scored: judged queries, pairs, texts, or test texts; train and documents do not count."""
    return sum(
        number
        for cell in dataset.cells
        for kind, number in codec(dataset.task_type).counts(cell.data).items()
        if kind in _SCORED_KINDS
    )


def _judgements(data: CellData) -> int:
    return sum(map(len, data.qrels.values())) if isinstance(data, RetrievalData) else 0


def _labels(data: CellData) -> set[Any]:
    """The different classes or topics; of topics from coarse to fine each level's own."""
    if isinstance(data, ClassificationData):
        return {example.label for example in (*data.train, *data.test)}
    if isinstance(data, MultilabelClassificationData):
        return {label for example in (*data.train, *data.test) for label in example.labels}
    if isinstance(data, ClusteringData):
        return {(level, label) for example in data.texts for level, label in enumerate(example.labels)}
    return set()
