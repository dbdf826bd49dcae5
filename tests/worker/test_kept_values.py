"""What a run keeps of every example adds up to its score, whatever the task type."""

import pytest

from app.core.example_values import values_of
from app.core.task_types import TASK_TYPES
from tests.core.test_demo import FILES, read
from tests.worker.run_world import RANDOM, run
from worker.encoders.base import ModelSpec

BM25 = ModelSpec("baseline/bm25", loader="bm25", source="builtin")
_ROUNDED = 6e-6
"""Means of retrieval metrics are rounded to five decimals, as in MTEB."""


@pytest.mark.parametrize("spec", [RANDOM, BM25], ids=["random", "bm25"])
@pytest.mark.parametrize("name", FILES)
def test_the_mean_of_the_values_is_the_score(name: str, spec: ModelSpec) -> None:
    dataset = read(name).dataset
    found = run(dataset, spec)
    metric = TASK_TYPES[dataset.task_type].main_metric
    scores = {(score.split, score.subset): score.value for score in found.scores if score.metric == metric}
    assert len(found.evidence) == len(scores)
    for kept in found.evidence:
        score = scores[kept.split, kept.subset]
        values = values_of(dataset.task_type, kept.arrays, score)
        if dataset.task_type == "Clustering":
            assert values is None
            assert kept.arrays["v_measure"].mean() == pytest.approx(score, abs=1e-6)
        else:
            assert values is not None
            assert values.value.mean() == pytest.approx(score, abs=_ROUNDED)
            assert (values.place[1:] > values.place[:-1]).all()
