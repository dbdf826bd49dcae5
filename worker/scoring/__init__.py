"""Scoring: one file a task type, pure functions from vectors and labels to metrics. This is their registry."""

from typing import Any

from worker.scoring.base import Task
from worker.scoring.classification import ClassificationTask
from worker.scoring.retrieval import RetrievalTask
from worker.scoring.sts import StsTask

TASKS: dict[str, Task[Any]] = {
    "Retrieval": RetrievalTask(),
    "STS": StsTask(),
    "Classification": ClassificationTask(),
}
