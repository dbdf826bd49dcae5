"""The data of one cell as records of plain JSON, by task type. What `canonical` writes and reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from app.core.records import (
    BitextMiningData,
    CellData,
    ClassificationData,
    ClusteredText,
    ClusteringData,
    Document,
    LabelledPair,
    LabelledText,
    MultilabelClassificationData,
    MultilabelText,
    PairClassificationData,
    Query,
    RegressionData,
    RetrievalData,
    SentencePair,
    StsData,
    SummarizationData,
    SummarizedText,
    Translation,
    ValuedText,
)
from app.core.task_types import RETRIEVAL_FAMILY

Record = dict[str, Any]
Found = Mapping[str, list[Record]]
"""Records without their kind, by kind."""


class Codec(Protocol):
    """How the data of one task type is written."""

    def counts(self, data: Any) -> dict[str, int]:
        """Records a kind, in the order in which they are written."""

    def options(self, data: Any) -> Record:
        """What else the cell's own record says; nothing where all is as usual."""

    def records(self, data: Any) -> Iterator[Record]:
        """The records, each with its `kind` first."""

    def build(self, found: Found, options: Record) -> CellData:
        """The data again.

        Raises:
            KeyError, TypeError, ValueError: for records of another shape.
        """


@dataclass(frozen=True, slots=True)
class _Plain:
    """Data that is nothing but tuples of records; further fields of it are options.

    Attributes:
        data: the class of the data; its first fields are the tuples.
        kinds: for each of these fields the kind and the class of its records.
    """

    data: type
    kinds: tuple[tuple[str, type], ...]

    def counts(self, data: Any) -> dict[str, int]:
        return {kind: len(records) for kind, _, records in self._parts(data)}

    def options(self, data: Any) -> Record:
        further = fields(self.data)[len(self.kinds) :]
        return {
            field.name: getattr(data, field.name) for field in further if getattr(data, field.name) != field.default
        }

    def records(self, data: Any) -> Iterator[Record]:
        for kind, record_class, records in self._parts(data):
            names = [field.name for field in fields(record_class)]
            for record in records:
                yield {"kind": kind, **{name: getattr(record, name) for name in names}}

    def build(self, found: Found, options: Record) -> CellData:
        tuples = [
            tuple(_build(record_class, record) for record in found.get(kind, ())) for kind, record_class in self.kinds
        ]
        further = {field.name: options[field.name] for field in fields(self.data) if field.name in options}
        data: CellData = self.data(*tuples, **further)
        return data

    def _parts(self, data: Any) -> Iterator[tuple[str, type, tuple[Any, ...]]]:
        for (kind, record_class), field in zip(self.kinds, fields(self.data), strict=False):
            yield kind, record_class, getattr(data, field.name)


class _Retrieval:
    """Queries with their judgements and candidates, documents, and what changed instructions make irrelevant."""

    def counts(self, data: RetrievalData) -> dict[str, int]:
        counts = {"query": len(data.queries), "document": len(data.documents)}
        return counts if data.changed is None else {**counts, "change": len(data.changed)}

    def options(self, data: RetrievalData) -> Record:
        return {"ignore_identical_ids": True} if data.ignore_identical_ids else {}

    def records(self, data: RetrievalData) -> Iterator[Record]:
        for query in data.queries:
            record: Record = {"kind": "query", "id": query.id, "text": query.text}
            if query.instruction:
                record["instruction"] = query.instruction
            record["relevance"] = dict(sorted(data.qrels[query.id].items()))
            if data.candidates is not None:
                record["candidates"] = data.candidates[query.id]
            yield record
        for document in data.documents:
            yield {"kind": "document", "id": document.id, "title": document.title, "text": document.text}
        for base, documents in (data.changed or {}).items():
            yield {"kind": "change", "id": base, "documents": documents}

    def build(self, found: Found, options: Record) -> RetrievalData:
        queries = found.get("query", [])
        reranked = any("candidates" in query for query in queries)
        return RetrievalData(
            tuple(Query(query["id"], query["text"], query.get("instruction", "")) for query in queries),
            tuple(_build(Document, document) for document in found.get("document", ())),
            {query["id"]: query["relevance"] for query in queries},
            {query["id"]: tuple(query["candidates"]) for query in queries} if reranked else None,
            {change["id"]: tuple(change["documents"]) for change in found["change"]} if "change" in found else None,
            bool(options.get("ignore_identical_ids", False)),
        )


_CODECS: dict[str, Codec] = {
    **dict.fromkeys(RETRIEVAL_FAMILY, _Retrieval()),
    "STS": _Plain(StsData, (("pair", SentencePair),)),
    "PairClassification": _Plain(PairClassificationData, (("pair", LabelledPair),)),
    "BitextMining": _Plain(BitextMiningData, (("pair", Translation),)),
    "Summarization": _Plain(SummarizationData, (("text", SummarizedText),)),
    "Clustering": _Plain(ClusteringData, (("text", ClusteredText),)),
    "Classification": _Plain(ClassificationData, (("train", LabelledText), ("test", LabelledText))),
    "MultilabelClassification": _Plain(
        MultilabelClassificationData, (("train", MultilabelText), ("test", MultilabelText))
    ),
    "Regression": _Plain(RegressionData, (("train", ValuedText), ("test", ValuedText))),
}


def codec(task_type: str) -> Codec:
    """How a task type's data is written.

    Raises:
        ValueError: there is no such task type.
    """
    if task_type not in _CODECS:
        raise ValueError(f"no such task type: {task_type}")
    return _CODECS[task_type]


def _build(record_class: type, record: Record) -> Any:
    return record_class(**{name: tuple(value) if isinstance(value, list) else value for name, value in record.items()})
