"""Made-up datasets of any size with vectors to match: near what they should be near, but not too near."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.core.records import (
    Cell,
    CellData,
    ClassificationData,
    ClusteredText,
    ClusteringData,
    Dataset,
    Document,
    LabelledPair,
    LabelledText,
    PairClassificationData,
    Query,
    RetrievalData,
)
from bench.instant import Vectors
from worker.encoders.base import FloatArray, IntArray

DIMENSIONS = 384
SEED = 7


@dataclass(frozen=True, slots=True)
class Made:
    """A dataset and the vectors of its texts."""

    dataset: Dataset
    vectors: Vectors


def retrieval(documents: int, queries: int) -> Made:
    """Queries near a document each; five documents near that one are relevant as well."""
    rng = np.random.default_rng(SEED + 1)
    topics = _topics(documents)
    vectors = _near(rng, _near(rng, np.zeros((topics, DIMENSIONS), np.float32), 1.0)[np.arange(documents) % topics], 1)
    near = _near(rng, vectors[_targets(documents, queries)], 1.3)
    dataset = retrieval_dataset(documents, queries)
    texts = _texts("document", documents) + _texts("query", queries)
    return Made(dataset, Vectors(texts, np.concatenate([vectors, near])))


def retrieval_dataset(documents: int, queries: int) -> Dataset:
    """The same without the vectors."""
    topics = _topics(documents)
    qrels = {
        f"q{row}": {f"d{(target + step * topics) % documents}": 2 if step == 0 else 1 for step in range(6)}
        for row, target in enumerate(_targets(documents, queries).tolist())
    }
    data = RetrievalData(
        tuple(Query(f"q{row}", text) for row, text in enumerate(_texts("query", queries))),
        tuple(Document(f"d{row}", text) for row, text in enumerate(_texts("document", documents))),
        qrels,
    )
    return Dataset("Retrieval", (Cell("test", "default", data),))


def reranking(queries: int, candidates: int) -> Made:
    """Queries with candidates of their own, one in twenty of them relevant and a little nearer."""
    rng = np.random.default_rng(SEED)
    asked = _near(rng, np.zeros((queries, DIMENSIONS), np.float32), 1.0)
    relevant = np.tile(np.arange(candidates) % 20 == 0, queries)
    centres = np.repeat(asked, candidates, axis=0) * np.where(relevant, 0.2, 0.1).astype(np.float32)[:, None]
    vectors = _near(rng, centres, 1.0)
    document_texts, query_texts = _texts("candidate", queries * candidates), _texts("query", queries)
    own = {f"q{row}": tuple(f"d{row}_{place}" for place in range(candidates)) for row in range(queries)}
    data = RetrievalData(
        tuple(Query(f"q{row}", text) for row, text in enumerate(query_texts)),
        tuple(map(Document, (document for ids in own.values() for document in ids), document_texts)),
        {query: {document: int(place % 20 == 0) for place, document in enumerate(ids)} for query, ids in own.items()},
        own,
    )
    return _made("Reranking", data, document_texts + query_texts, np.concatenate([vectors, asked]))


def pairs(pairs: int, texts: int) -> Made:
    """Pairs of texts about few topics; most pairs of one topic match, and few of two."""
    rng = np.random.default_rng(SEED)
    topics = max(2, texts // 30)
    topic = np.arange(texts) % topics
    vectors = _near(rng, _near(rng, np.zeros((topics, DIMENSIONS), np.float32), 1.0)[topic], 1.2)
    first = np.concatenate([np.arange(texts), rng.integers(texts, size=max(0, pairs - texts))])[:pairs]
    alike = rng.random(pairs) < 0.5
    second = np.where(alike, (first + topics * rng.integers(1, 29, pairs)) % texts, rng.integers(texts, size=pairs))
    label = np.where(rng.random(pairs) < 0.1, ~alike, alike).astype(int)
    names = _texts("sentence", texts)
    data = PairClassificationData(
        tuple(LabelledPair(names[a], names[b], int(c)) for a, b, c in zip(first, second, label, strict=True))
    )
    return _made("PairClassification", data, names, vectors)


def classification(labels: int, train: int, test: int) -> Made:
    """Texts near the centre of their label."""
    rng = np.random.default_rng(SEED)
    label = rng.permutation(np.arange(train + test) % labels)
    vectors = _near(rng, _near(rng, np.zeros((labels, DIMENSIONS), np.float32), 1.0)[label], 3.5)
    names = _texts("text", train + test)
    texts = [LabelledText(text, f"label{number:03}") for text, number in zip(names, label.tolist(), strict=True)]
    return _made("Classification", ClassificationData(tuple(texts[:train]), tuple(texts[train:])), names, vectors)


def clustering(texts: int, labels: int) -> Made:
    """Texts near the centre of their topic."""
    rng = np.random.default_rng(SEED)
    label = rng.permutation(np.arange(texts) % labels)
    vectors = _near(rng, _near(rng, np.zeros((labels, DIMENSIONS), np.float32), 1.0)[label], 3.5)
    names = _texts("text", texts)
    data = ClusteringData(
        tuple(ClusteredText(text, (f"topic{number:03}",)) for text, number in zip(names, label.tolist(), strict=True))
    )
    return _made("Clustering", data, names, vectors)


def _topics(documents: int) -> int:
    return max(1, documents // 20)


def _targets(documents: int, queries: int) -> IntArray:
    """The document that each query is near to."""
    return np.random.default_rng(SEED).permutation(documents)[:queries]


def _near(rng: np.random.Generator, centres: FloatArray, noise: float) -> FloatArray:
    """A vector near each centre, of length 1."""
    scale = np.float32(noise / np.sqrt(centres.shape[1]))
    moved: FloatArray = centres + scale * rng.standard_normal(centres.shape, np.float32)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    return moved


def _texts(kind: str, count: int) -> list[str]:
    return [f"{kind} {row}: some words about {row % 1013} and {row % 97} to be read" for row in range(count)]


def _made(task_type: str, data: CellData, texts: Sequence[str], vectors: FloatArray) -> Made:
    return Made(Dataset(task_type, (Cell("test", "default", data),)), Vectors(texts, vectors))
