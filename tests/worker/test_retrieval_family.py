"""The four task types of the retrieval family, from texts to scores: what `mteb.evaluate` finds on the same data."""

import math
import warnings
from typing import Any

import mteb
import numpy as np
import pytest
from mteb.models.model_implementations.bm25 import BM25Search
from sentence_transformers import SentenceTransformer

from app.core.records import Cell, Dataset, Document, Query, RetrievalData
from bench.mteb_tasks import from_dataset
from tests.worker.engine_world import WORDS, Recorder, write_model
from worker.encoders.base import ModelSpec
from worker.encoders.bm25 import Bm25Encoder
from worker.encoders.sources import LexicalSource
from worker.evaluate import Evaluation, evaluate

TYPES = ("Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking")
PROMPTS = {"query": "query ", "document": "document ", "InstructionReranking-query": "probe "}
BM25 = ModelSpec("baseline/bm25", loader="bm25", source="builtin")
PAIRS = 6


class Silence:
    """A `Reporter` for nobody."""

    def begin(self, stage: str, total: int) -> None: ...

    def advance(self, done: int) -> None: ...


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = write_model(tmp_path_factory.mktemp("model"), prompts=PROMPTS)
    return ModelSpec("local/tiny", source="folder", path=str(folder))


def dataset(task_type: str, **more: Any) -> Dataset:
    """Texts of a few words, some of them twice; query ids that are document ids too; one candidate, some, or all."""
    rng = np.random.default_rng(11)

    def text(words: int) -> str:
        return " ".join(rng.choice(WORDS, rng.integers(1, words)))

    documents = [Document(f"d{number}", text(7), text(3) if number % 4 == 0 else "") for number in range(40)]
    documents += [Document(f"twice{number}", documents[number].text) for number in range(10)]
    ends = ("-og", "-changed")
    instruction = "one two" if task_type.startswith("Instruction") else ""
    queries = [
        Query(f"d{number}{end}", text(5), f"{instruction} {text(3)}" if instruction else "")
        for number in range(PAIRS)
        for end in ends
    ]
    documents += [Document(query.id, query.text) for query in queries[:4]]
    ids = [document.id for document in documents]
    qrels = {
        query.id: {ids[place]: int(rng.integers(0, 3)) for place in rng.choice(len(ids), 5, replace=False)}
        for query in queries
    }
    if task_type.endswith("Reranking"):
        sizes = [1, len(ids), *rng.integers(2, 30, len(queries) - 2)]
        more["candidates"] = {
            query.id: (*(ids[place] for place in rng.choice(len(ids), size, replace=False)), ids[0], ids[0])
            for query, size in zip(queries, sizes, strict=True)
        }
    if task_type == "InstructionReranking":
        more["changed"] = {f"d{number}": tuple(rng.choice(ids, 4, replace=False).tolist()) for number in range(PAIRS)}
    data = RetrievalData(tuple(queries), tuple(documents), qrels, **more)
    return Dataset(task_type, (Cell("test", "default", data),))


def mteb_scores(model: Any, data: Dataset) -> dict[str, float]:
    """Every defined number that MTEB reports, nested ones as `outer_inner`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = mteb.evaluate(model, from_dataset(data), cache=None, co2_tracker=False, show_progress_bar=False)
    scores = found.task_results[0].scores["test"][0]
    flat = dict(scores)
    for outer in ("og", "changed"):
        flat |= {f"{outer}_{name}": value for name, value in scores.get(outer, {}).items()}
    return {name: value for name, value in flat.items() if isinstance(value, float) and not math.isnan(value)}


def ours(spec: ModelSpec, data: Dataset) -> Evaluation:
    return evaluate(data, spec, progress=Recorder(), device="cpu")


def assert_equal(found: Evaluation, expected: dict[str, float]) -> None:
    assert found.main_score == pytest.approx(expected.pop("main_score"), abs=1e-6)
    assert {score.metric: score.value for score in found.scores} == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize("task_type", TYPES)
def test_a_dense_model_scores_as_in_mteb(task_type: str, ignore: bool, tiny: ModelSpec) -> None:
    data = dataset(task_type, ignore_identical_ids=ignore)
    assert tiny.path is not None

    found = ours(tiny, data)

    assert_equal(found, mteb_scores(SentenceTransformer(tiny.path, device="cpu"), data))
    prompt = "probe " if task_type == "InstructionReranking" else "query "
    assert found.provenance["prompts"]["query"].startswith(prompt)


@pytest.mark.parametrize("task_type", TYPES)
def test_bm25_scores_as_in_mteb(task_type: str) -> None:
    data = dataset(task_type)

    assert_equal(ours(BM25, data), mteb_scores(mteb.get_model("mteb/baseline-bm25s"), data))


def test_bm25_without_candidates_for_a_query_ranks_everything() -> None:
    cell = dataset("Reranking").cells[0]
    assert isinstance(cell.data, RetrievalData)
    assert cell.data.candidates is not None
    first = cell.data.queries[0]
    some = {query: found for query, found in cell.data.candidates.items() if query != first.id}
    data = RetrievalData(cell.data.queries, cell.data.documents, cell.data.qrels, some)

    found = ours(BM25, Dataset("Reranking", (Cell("test", "default", data),)))

    assert (found.evidence[0].arrays["ranking"][0] >= 0).all()
    assert_equal(
        found,
        mteb_scores(mteb.get_model("mteb/baseline-bm25s"), Dataset("Reranking", (Cell("test", "default", data),))),
    )


def test_bm25_candidates_count_only_among_the_best_of_the_corpus() -> None:
    documents = tuple(Document(f"d{number}", "cat" + " tree" * number) for number in range(9))
    queries = (Query("q0", "cat"), Query("q1", "tree"), Query("q2", "cat dog"))
    candidates = {"q0": ("d1", "d3", "d8"), "q1": ("d0", "d7"), "q2": ()}
    data = RetrievalData(queries, documents, {query.id: {"d1": 1} for query in queries}, candidates)
    task, searcher = from_dataset(Dataset("Reranking", (Cell("test", "default", data),))), BM25Search()
    content = task.dataset["default"]["test"]
    about: Any = {"task_metadata": task.metadata, "hf_split": "test", "hf_subset": "default", "encode_kwargs": {}}
    searcher.index(content["corpus"], **about)
    expected = searcher.search(content["queries"], top_k=4, top_ranked=content["top_ranked"], **about)

    found = LexicalSource(Bm25Encoder(BM25), Silence()).rankings(data, 4)

    rows = zip(found.documents.tolist(), found.scores.tolist(), strict=True)
    assert [
        {f"d{place}": score for place, score in zip(places, scores, strict=True) if place >= 0}
        for places, scores in rows
    ] == list(expected.values())
    assert [len(ranked) for ranked in expected.values()] == [2, 1, 0]


@pytest.mark.parametrize("task_type", TYPES)
def test_values_a_query_give_the_main_score(task_type: str, tiny: ModelSpec) -> None:
    found = ours(tiny, dataset(task_type))

    arrays = found.evidence[0].arrays
    assert np.mean(arrays["value"]) == pytest.approx(found.main_score, abs=1e-5)
    assert {len(values) for values in arrays.values()} == {2 * PAIRS}
    assert ("pair" in arrays) == (task_type == "InstructionReranking")
