"""How tables become datasets: for each task type its columns, its records, its checks and its data."""

import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final, NamedTuple

from app.core.formats import checks
from app.core.formats.parts import Part
from app.core.formats.records import Fault, Fields, LeftOut
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

Values = dict[str, object]


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and the rule for its values."""

    name: str
    take: Callable[[Fields, int, Values, str], Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that a table needs, and what their values become; `make` raises `Fault` or `LeftOut`."""

    columns: tuple[Column, ...]
    make: Callable[..., Any]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    def record(self, fields: Fields, row: int, values: Values) -> Any:
        """The record of a row; None, with a problem or a warning noted, where there is none."""
        taken = [column.take(fields, row, values, column.name) for column in self.columns]
        return None if None in taken else fields.made(row, self.make, taken)


def _no_classes(_: Any) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Form:
    """All that tables of one task type have of their own.

    Attributes:
        layouts: the one that fits a table best is taken, the first of equal ones.
        build: from the part that is scored to the data of its cell.
        check: notes what keeps that data from being scored.
        check_train: the same for train parts; None where the task type does not learn.
        classes: the classes of a train record, if it matters where they stand.
        unused: columns that belong to such tables, but are not needed.
    """

    layouts: tuple[Layout, ...]
    build: Callable[[Part], CellData]
    check: Callable[[Part, Any], None] | None = None
    check_train: Callable[[Part], None] | None = None
    classes: Callable[[Any], Iterable[str]] = _no_classes
    unused: tuple[str, ...] = ()

    @property
    def learns(self) -> bool:
        """Whether there is a train part."""
        return self.check_train is not None

    def layout(self, columns: Collection[str]) -> Layout:
        """The layout of a table with these columns: the one that lacks least, then the one that uses most."""

        def distance(layout: Layout) -> tuple[int, int]:
            return len(set(layout.names).difference(columns)), -len(layout.names)

        return min(self.layouts, key=distance)


class _Judged(NamedTuple):
    """A query with texts of its own."""

    query: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]


class _InSet(NamedTuple):
    """Texts of the set that `key` stands for."""

    key: object
    texts: tuple[ClusteredText, ...]


def _plain(data_class: Callable[..., CellData]) -> Callable[[Part], CellData]:
    """Data that are nothing but their records."""

    def build(part: Part) -> CellData:
        return data_class(part.records) if part.train is None else data_class(part.train.records, part.records)

    return build


def _label(fields: Fields, row: int, values: Values, column: str) -> str | None:
    label = fields.name(row, values, column)
    return label and sys.intern(label)


def _summarized(text: str, human: tuple[str, ...], machine: tuple[str, ...], scores: tuple[float, ...]) -> Any:
    if len(machine) != len(scores):
        words = f"has {len(scores)} entries for {len(machine)} machine summaries"
        raise Fault("unequal_lists", words, "relevance")
    return SummarizedText(text, human, machine, scores)


def _topic_in_set(text: str, labels: tuple[str, ...], key: str) -> _InSet:
    return _InSet(key, (ClusteredText(text, labels),))


def _whole_set(sentences: tuple[str, ...], labels: tuple[str, ...]) -> _InSet:
    if len(sentences) != len(labels):
        raise Fault("unequal_lists", f"has {len(labels)} entries for {len(sentences)} sentences", "labels")
    return _InSet(object(), tuple(ClusteredText(text, (name,)) for text, name in zip(sentences, labels, strict=True)))


def _clustering(part: Part) -> ClusteringData:
    """Texts by set, in the order of their first rows; without sets as they are, or cut as chosen."""
    sets: dict[object, list[ClusteredText]] = {}
    for record in part.records:
        key, texts = record if isinstance(record, _InSet) else (None, (record,))
        sets.setdefault(key, []).extend(texts)
    wanted = part.reading.choices.cluster_sets
    if sets.keys() != {None}:
        if wanted is not None:
            message = "The file has sets of its own, so it cannot be cut into sets. Leave this choice out."
            part.note("bad_choice", message, "cluster_sets")
    elif wanted is None:
        return ClusteringData(part.records)
    elif wanted <= len(part.records):
        sets = dict(enumerate(_cut(part.records, wanted)))
    else:
        message = f"There are {len(part.records)} texts{part.where}, too few for {wanted} sets."
        part.note("bad_choice", message, "cluster_sets")
    numbered = (
        ClusteredText(text.text, text.labels, number) for number, texts in enumerate(sets.values()) for text in texts
    )
    return ClusteringData(tuple(numbered), whole_sets=True)


def _cut(texts: tuple[ClusteredText, ...], count: int) -> list[list[ClusteredText]]:
    """Consecutive sets, the first ones larger by one text, as `numpy.array_split` cuts them for MTEB."""
    size, remaining = divmod(len(texts), count)
    ends = [number * size + min(number, remaining) for number in range(count + 1)]
    return [list(texts[start:end]) for start, end in pairwise(ends)]


def _judged(query: str, positive: tuple[str, ...], negative: tuple[str, ...]) -> _Judged:
    if not positive or not negative:
        raise LeftOut("query_left_out", "Queries without a positive or without a negative text are left out.")
    return _Judged(query, positive, negative)


def _reranking(part: Part) -> RetrievalData:
    """Queries with candidates of their own; the ids are those that MTEB makes (abstasks/text/reranking.py)."""
    queries, documents = [], []
    qrels: dict[str, dict[str, int]] = {}
    for number, record in enumerate(part.records):
        query = f"{part.split}_query{number}"
        queries.append(Query(query, record.query))
        qrels[query] = {}
        for prefix, texts, relevance in (("apositive", record.positive, 1), ("negative", record.negative, 0)):
            for position, text in enumerate(texts):
                document = Document(f"{prefix}_{query}_{position:05}", text)
                documents.append(document)
                qrels[query][document.id] = relevance
    candidates = {query: tuple(judgements) for query, judgements in qrels.items()}
    ignore = part.reading.choices.ignore_identical_ids
    return RetrievalData(tuple(queries), tuple(documents), qrels, candidates, ignore_identical_ids=ignore)


_TEXT = Column("text", Fields.text)
_PAIR = (Column("sentence1", Fields.text), Column("sentence2", Fields.text))
_SET = Column("set", Fields.name)
_LABELS = partial(Fields.names, empty=True, unique=True)
_TOPICS = partial(Fields.names, single=True)
_LIST = partial(Fields.texts, empty=True)

FORMS: Final = {
    "STS": Form(
        (Layout((*_PAIR, Column("score", Fields.number)), SentencePair),),
        _plain(StsData),
        checks.scores,
    ),
    "PairClassification": Form(
        (Layout((*_PAIR, Column("label", Fields.truth)), LabelledPair),),
        _plain(PairClassificationData),
        checks.matches,
    ),
    "BitextMining": Form(
        (Layout(_PAIR, Translation),),
        _plain(BitextMiningData),
    ),
    "Summarization": Form(
        (
            Layout(
                (
                    _TEXT,
                    Column("human_summaries", Fields.texts),
                    Column("machine_summaries", Fields.texts),
                    Column("relevance", Fields.numbers),
                ),
                _summarized,
            ),
        ),
        _plain(SummarizationData),
        checks.summaries,
        unused=("id", "coherence", "fluency", "consistency"),
    ),
    "Classification": Form(
        (Layout((_TEXT, Column("label", _label)), LabelledText),),
        _plain(ClassificationData),
        checks.classes,
        checks.train_classes,
        classes=lambda text: (text.label,),
    ),
    "MultilabelClassification": Form(
        tuple(Layout((_TEXT, Column(name, _LABELS)), MultilabelText) for name in ("labels", "label")),
        _plain(MultilabelClassificationData),
        checks.label_lists,
        checks.train_label_lists,
    ),
    "Regression": Form(
        (Layout((_TEXT, Column("value", Fields.number)), ValuedText),),
        _plain(RegressionData),
        checks.values,
        checks.train_values,
    ),
    "Clustering": Form(
        (
            *(Layout((_TEXT, Column(name, _TOPICS)), ClusteredText) for name in ("label", "labels")),
            *(Layout((_TEXT, Column(name, _TOPICS), _SET), _topic_in_set) for name in ("label", "labels")),
            Layout((Column("sentences", Fields.texts), Column("labels", Fields.names)), _whole_set),
        ),
        _clustering,
        checks.topics,
    ),
    "Reranking": Form(
        (Layout((Column("query", Fields.text), Column("positive", _LIST), Column("negative", _LIST)), _judged),),
        _reranking,
    ),
}
"""The task types that are read from tables."""
