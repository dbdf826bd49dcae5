"""Scoring: one file a task type, pure functions from vectors and labels to metrics. This is their registry."""

from typing import Any

from worker.scoring.base import Task
from worker.scoring.bitext import BitextMiningTask
from worker.scoring.classification import ClassificationTask
from worker.scoring.clustering import ClusteringTask
from worker.scoring.instructions import InstructionRerankingTask
from worker.scoring.multilabel import MultilabelClassificationTask
from worker.scoring.pairs import PairClassificationTask
from worker.scoring.regression import RegressionTask
from worker.scoring.retrieval import RetrievalTask
from worker.scoring.sts import StsTask
from worker.scoring.summarization import SummarizationTask

TASKS: dict[str, Task[Any]] = {
    "Retrieval": RetrievalTask("ndcg_at_10"),
    "Reranking": RetrievalTask("map_at_1000"),
    "InstructionRetrieval": RetrievalTask("ndcg_at_20"),
    "InstructionReranking": InstructionRerankingTask(),
    "STS": StsTask(),
    "Summarization": SummarizationTask(),
    "PairClassification": PairClassificationTask(),
    "Classification": ClassificationTask(),
    "MultilabelClassification": MultilabelClassificationTask(),
    "Regression": RegressionTask(),
    "Clustering": ClusteringTask(),
    "BitextMining": BitextMiningTask(),
}
