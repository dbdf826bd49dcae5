"""mteb's tasks in memory: mteb's own task classes, filled with rows. Nothing is downloaded."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import mteb
from datasets import Dataset as Table
from datasets import DatasetDict
from mteb._evaluators.retrieval_metrics import evaluate_p_mrr_change
from mteb.abstasks import (
    AbsTask,
    AbsTaskBitextMining,
    AbsTaskClassification,
    AbsTaskClustering,
    AbsTaskClusteringLegacy,
    AbsTaskMultilabelClassification,
    AbsTaskPairClassification,
    AbsTaskRegression,
    AbsTaskRetrieval,
    AbsTaskSTS,
    AbsTaskSummarization,
)
from mteb.abstasks.task_metadata import TaskMetadata

from app.core.records import (
    BitextMiningData,
    CellData,
    ClassificationData,
    ClusteringData,
    Dataset,
    MultilabelClassificationData,
    PairClassificationData,
    RegressionData,
    RetrievalData,
    StsData,
)
from app.core.task_types import TASK_TYPES

Row = Mapping[str, Any]
Rows = Sequence[Row]
"""Records by the names that our records use: `sentence1`, `text`, `label` ..."""

LANGUAGE = "eng-Latn"


@dataclass(frozen=True, slots=True)
class Searchable:
    """The content of a task of the retrieval family.

    Attributes:
        queries: `id`, `text` and perhaps `instruction`.
        documents: `id`, `text` and perhaps `title`.
        qrels: query id -> document id -> relevance.
        candidates: query id -> the documents that are ranked; None for all.
        changed: InstructionReranking: base id -> the documents that the changed instruction makes irrelevant.
    """

    queries: Rows
    documents: Rows
    qrels: Mapping[str, Mapping[str, int]]
    candidates: Mapping[str, Sequence[str]] | None = None
    changed: Mapping[str, Sequence[str]] | None = None


class _InstructionReranking(AbsTaskRetrieval):
    """What mteb's FollowIR tasks do; mteb has no class of its own for it."""

    changed: Mapping[str, Sequence[str]]

    def task_specific_scores(self, scores: Any, qrels: Any, results: Any, hf_split: str, hf_subset: str) -> Any:  # noqa: ARG002
        return evaluate_p_mrr_change(qrels, results, self.changed, self.k_values)


_CLASSES: dict[str, type[AbsTask]] = {
    "Retrieval": AbsTaskRetrieval,
    "Reranking": AbsTaskRetrieval,
    "InstructionRetrieval": AbsTaskRetrieval,
    "InstructionReranking": _InstructionReranking,
    "STS": AbsTaskSTS,
    "Summarization": AbsTaskSummarization,
    "PairClassification": AbsTaskPairClassification,
    "Classification": AbsTaskClassification,
    "MultilabelClassification": AbsTaskMultilabelClassification,
    "Regression": AbsTaskRegression,
    "Clustering": AbsTaskClustering,
    "BitextMining": AbsTaskBitextMining,
}


_FURTHER: dict[str, dict[str, Any]] = {
    "Summarization": {"min_score": 0, "max_score": 1},
    "Clustering": {"max_fraction_of_documents_to_embed": None, "max_document_to_embed": 16_384},
}
"""What a task of mteb's has to say beside its metadata."""

_PAIR = {"sentence1": "sentence1", "sentence2": "sentence2"}
_COLUMNS: tuple[tuple[type[AbsTask], Callable[[Any], dict[str, str]]], ...] = (
    (AbsTaskMultilabelClassification, lambda task: _labelled(task, "labels")),
    (AbsTaskRegression, lambda task: _labelled(task, "value")),
    (AbsTaskClassification, lambda task: _labelled(task, "label")),
    (AbsTaskClustering, lambda task: _labelled(task, "labels")),
    (AbsTaskClusteringLegacy, lambda task: _labelled(task, "labels")),
    (
        AbsTaskPairClassification,
        lambda task: {
            "sentence1": task.input1_column_name,
            "sentence2": task.input2_column_name,
            "label": task.label_column_name,
        },
    ),
    (AbsTaskSTS, lambda task: {**dict(zip(_PAIR, task.column_names, strict=True)), "score": "score"}),
    (
        AbsTaskSummarization,
        lambda task: {
            "text": task.text_column_name,
            "human_summaries": task.human_summaries_column_name,
            "machine_summaries": task.machine_summaries_column_name,
            "relevance": task.relevancy_column_name,
        },
    ),
)
"""What each class of mteb's calls our columns; the first class that fits counts."""


def official(name: str, subset: str, split: str) -> AbsTask:
    """A task of mteb's own, one subset and split of it, still empty."""
    return mteb.get_task(name, hf_subsets=[subset], eval_splits=[split])


def custom(
    task_type: str, name: str, subsets: Sequence[str], splits: Sequence[str], *, whole_sets: bool = False
) -> AbsTask:
    """A task that mteb does not know, still empty.

    Args:
        task_type: one of ours, which are mteb's.
        name: of the task.
        subsets: all in English.
        splits: the scored ones.
        whole_sets: Clustering: by mteb's older class.
    """
    base = AbsTaskClusteringLegacy if whole_sets else _CLASSES[task_type]
    metadata = TaskMetadata(
        name=name,
        description=f"{task_type}, made in memory.",
        dataset={"path": "in/memory", "revision": "1"},
        type=task_type,
        category="t2t",
        eval_splits=list(splits),
        eval_langs=[LANGUAGE] if list(subsets) == ["default"] else {subset: [LANGUAGE] for subset in subsets},
        main_score=TASK_TYPES[task_type].main_metric,
    )
    made: AbsTask = type(name, (base,), {"metadata": metadata, **_FURTHER.get(task_type, {})})()
    return made


def from_dataset(dataset: Dataset, name: str = "InMemory") -> AbsTask:
    """One of our datasets as a task of mteb's, all cells of it."""
    cells = [(cell.split, cell.subset, cell.data) for cell in dataset.cells]
    task = custom(
        dataset.task_type,
        name,
        sorted({subset for _, subset, _ in cells}),
        sorted({split for split, _, _ in cells}),
        whole_sets=any(isinstance(data, ClusteringData) and data.whole_sets for _, _, data in cells),
    )
    for split, subset, data in cells:
        fill(task, subset, _content(split, data))
        if isinstance(data, RetrievalData):
            task.ignore_identical_ids = data.ignore_identical_ids
    return task


def fill(task: AbsTask, subset: str, splits: Mapping[str, Rows | Searchable]) -> None:
    """Give a task its content, as if it had loaded it.

    Args:
        task: from `official` or `custom`.
        subset: one of its own.
        splits: the content of each split; for classification and regression also of `train`.
    """
    dataset: dict[str, Any] = task.dataset or {}
    found = dict(dataset.get(subset, {}))
    for split, content in splits.items():
        if isinstance(content, Searchable):
            found[split] = _searchable(task, content)
        else:
            found[split] = _table(task, content)
    if isinstance(task, AbsTaskClassification):
        found = _with_numbered_labels(task, found)
    dataset[subset] = found if isinstance(task, AbsTaskRetrieval) else DatasetDict(found)
    task.dataset = dataset
    task.data_loaded = True


def _content(split: str, data: CellData) -> dict[str, Rows | Searchable]:
    """The content of one of our cells, by split."""
    match data:
        case RetrievalData():
            queries = [
                {"id": query.id, "text": query.text} | ({"instruction": query.instruction} if query.instruction else {})
                for query in data.queries
            ]
            documents = [asdict(document) for document in data.documents]
            return {split: Searchable(queries, documents, data.qrels, data.candidates, data.changed)}
        case ClassificationData() | MultilabelClassificationData() | RegressionData():
            return {"train": _rows(data.train), split: _rows(data.test)}
        case StsData() | PairClassificationData() | BitextMiningData():
            return {split: _rows(data.pairs)}
        case _:
            return {split: _rows(data.texts)}


def _rows(records: Sequence[Any]) -> Rows:
    names = type(records[0]).__dataclass_fields__
    return [{name: getattr(record, name) for name in names} for record in records]


def _searchable(task: AbsTask, content: Searchable) -> dict[str, Any]:
    """What mteb calls RetrievalSplitData."""
    if content.changed is not None:
        task.changed = content.changed
    candidates = content.candidates
    return {
        "queries": Table.from_list([dict(row) for row in content.queries]),
        "corpus": Table.from_list([{"title": "", **row} for row in content.documents]),
        "relevant_docs": {query: dict(judgements) for query, judgements in content.qrels.items()},
        "top_ranked": None if candidates is None else {query: list(ids) for query, ids in candidates.items()},
    }


def _table(task: AbsTask, rows: Rows) -> Table:
    names = _columns(task)
    if isinstance(task, AbsTaskClusteringLegacy):
        return Table.from_list(_whole_sets(rows, names))
    return Table.from_list([{column: _plain(row[name]) for name, column in names.items()} for row in rows])


def _columns(task: AbsTask) -> dict[str, str]:
    """The task's own name of each of our columns."""
    return next((names(task) for base, names in _COLUMNS if isinstance(task, base)), _PAIR)


def _labelled(task: Any, label: str) -> dict[str, str]:
    return {"text": task.input_column_name, label: task.label_column_name}


def _whole_sets(rows: Rows, names: Mapping[str, str]) -> list[dict[str, list[str]]]:
    """A row a set, with lists of its texts and labels."""
    sets: defaultdict[int, dict[str, list[str]]] = defaultdict(lambda: {column: [] for column in names.values()})
    for row in rows:
        sets[row["set"]][names["text"]].append(row["text"])
        sets[row["set"]][names["labels"]].append(row["labels"][0])
    return list(sets.values())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _with_numbered_labels(task: AbsTaskClassification, splits: dict[str, Table]) -> dict[str, Table]:
    """Classes as numbers in their order, as mteb's datasets have them; numbers and lists stay as they are."""
    column = task.label_column_name
    labels = {label for table in splits.values() for label in table[column] if isinstance(label, str)}
    if not labels:
        return splits
    numbers = {label: number for number, label in enumerate(sorted(labels, key=_number_or_text))}
    numbered = {}
    for split, table in splits.items():
        values = [numbers.get(label, label) for label in table[column]]
        numbered[split] = table.remove_columns([column]).add_column(column, values)
    return numbered


def _number_or_text(label: str) -> tuple[int, float, str]:
    try:
        return 0, float(label), label
    except ValueError:
        return 1, 0.0, label
