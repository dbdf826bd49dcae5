"""Scoring: one file a task type, pure functions from vectors and labels to metrics. This is their registry."""

from functools import cache
from importlib import import_module
from typing import Any, Final

from worker.scoring.base import Task

_TASKS: Final[dict[str, tuple[str, ...]]] = {
    "Retrieval": ("retrieval", "RetrievalTask", "ndcg_at_10"),
    "Reranking": ("retrieval", "RetrievalTask", "map_at_1000"),
    "InstructionRetrieval": ("retrieval", "RetrievalTask", "ndcg_at_20"),
    "InstructionReranking": ("instructions", "InstructionRerankingTask"),
    "STS": ("sts", "StsTask"),
    "Summarization": ("summarization", "SummarizationTask"),
    "PairClassification": ("pairs", "PairClassificationTask"),
    "Classification": ("classification", "ClassificationTask"),
    "MultilabelClassification": ("multilabel", "MultilabelClassificationTask"),
    "Regression": ("regression", "RegressionTask"),
    "Clustering": ("clustering", "ClusteringTask"),
    "BitextMining": ("bitext", "BitextMiningTask"),
}
"""Module, class and what it is made with. Imported when asked for: retrieval needs no scikit-learn."""


@cache
def task_for(task_type: str) -> Task[Any]:
    """How a task type is scored.

    Args:
        task_type: a name of `app.core.task_types.TASK_TYPES`.
    """
    module, name, *arguments = _TASKS[task_type]
    made: Task[Any] = getattr(import_module(f"{__name__}.{module}"), name)(*arguments)
    return made
