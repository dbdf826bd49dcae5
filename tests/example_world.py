"""A house with examples: a dataset of every task type with its file, and runs with what they keep of each example."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import select, update

from app.core import records
from app.core.aggregation import Cell
from app.core.formats import canonical
from app.db.session import Database
from app.db.tables import Dataset, DatasetRevision, Evidence
from app.storage.blobs import BlobStore
from tests.board_world import World

SECRET: Final = "zz-secret-zz"
"""Stands in every text and label: whoever may not see texts never meets it."""
HOSTILE: Final = f"<script>alert('{SECRET}')</script> \u202eright to left\n=1+1"
ONE: Final = ("test", "default")

Arrays = Mapping[str, Any]
Cells = Mapping[Cell, Arrays]


@dataclass(frozen=True)
class Kind:
    """A task type's dataset, and what two runs keep of it."""

    data: Mapping[Cell, records.CellData]
    a: Cells
    b: Cells


def _said(what: object) -> str:
    return f"{SECRET} {what}"


def _ranked(queries: list[int], value: list[float], ranking: list[list[int]], **further: Any) -> Arrays:
    scores = np.linspace(1, 0, len(ranking[0]))[None].repeat(len(ranking), 0)
    return {
        "query": np.array(queries, np.int32),
        "value": np.array(value),
        "ranking": np.array(ranking, np.int32),
        "ranking_scores": scores.astype(np.float32),
        **further,
    }


def _retrieval(instruction: str = "") -> Kind:
    """Three queries, the second without judgement; A is right on the first, B on the third."""
    queries = tuple(records.Query(f"q{n}", _said(f"query {n}"), instruction) for n in range(3))
    documents = tuple(
        records.Document(f"d{n}", HOSTILE if n == 3 else _said(f"text {n}"), f"title {n}") for n in range(4)
    )
    data = records.RetrievalData(queries, documents, {"q0": {"d2": 2, "d0": 0}, "q1": {}, "q2": {"d3": 1, "d1": 1}})
    return Kind(
        {ONE: data},
        {ONE: _ranked([0, 2], [1.0, 0.0], [[2, 1, 0], [0, 2, -1]])},
        {ONE: _ranked([0, 2], [0.5, 0.75], [[0, 2, 1], [3, 1, 0]])},
    )


def _instructions() -> Kind:
    queries = tuple(records.Query(f"x-{end}", _said("query"), _said(end)) for end in ("changed", "og"))
    documents = tuple(records.Document(f"d{n}", _said(f"text {n}")) for n in range(3))
    qrels = {"x-og": {"d0": 1, "d1": 1}, "x-changed": {"d1": 1}}
    candidates = {"x-og": ("d0", "d1", "d2"), "x-changed": ("d0", "d1", "d2")}
    pair = {"pair": np.array([0, 0], np.int32)}
    return Kind(
        {ONE: records.RetrievalData(queries, documents, qrels, candidates, {"x": ("d0",)})},
        {ONE: _ranked([0, 1], [0.5, 0.5], [[1, 0, 2], [0, 1, 2]], **pair)},
        {ONE: _ranked([0, 1], [-0.5, -0.5], [[0, 1, 2], [1, 0, 2]], **pair)},
    )


def _pairs(n: int = 4) -> Kind:
    data = records.StsData(
        tuple(records.SentencePair(_said(f"first {i}"), _said(f"second {i}"), float(i)) for i in range(n))
    )
    gold = np.arange(n, dtype=np.float64)
    a = {"similarity": (gold / n).astype(np.float32), "gold": gold}
    b = {"similarity": np.array([0.9, 0.1, 0.2, 0.3], np.float32), "gold": gold}
    return Kind({ONE: data}, {ONE: a}, {ONE: b})


def _labelled_pairs() -> Kind:
    labels = [1, 0, 1, 0]
    data = records.PairClassificationData(
        tuple(records.LabelledPair(_said(f"first {i}"), _said(f"second {i}"), label) for i, label in enumerate(labels))
    )
    kept = {"label": np.array(labels, np.int8)}
    a = {**kept, "similarity": np.array([0.9, 0.2, 0.8, 0.1], np.float32), "measure": np.zeros(4, np.int8)}
    b = {**kept, "similarity": np.array([0.1, 0.2, 0.8, 0.9], np.float32)}
    return Kind({ONE: data}, {ONE: a}, {ONE: b})


def _classified() -> Kind:
    labels = [_said(name) for name in ("blue", "green", "red")]
    train = tuple(records.LabelledText(_said(f"to learn {n}"), label) for n, label in enumerate(labels))
    test = tuple(records.LabelledText(_said(f"to test {n}"), labels[n % 3]) for n in range(4))
    a = {
        "correct": np.array([1, 0.5, 0, 1], np.float32),
        "predicted": np.array([[0, 0], [1, 0], [0, 0], [0, 0]], np.int32),
    }
    b = {"correct": np.array([0, 0.5, 0, 1], np.float32)}
    return Kind({ONE: records.ClassificationData(train, test)}, {ONE: a}, {ONE: b})


def _multilabelled() -> Kind:
    train = (records.MultilabelText(_said("to learn"), (_said("x"),)),)
    test = tuple(records.MultilabelText(_said(f"to test {n}"), (_said("x"), _said("y"))[:n]) for n in range(3))
    text = {"text": np.array([0, 2], np.int32)}
    a = {**text, "correct": np.array([1, 0], np.float32)}
    b = {**text, "correct": np.array([0.5, 0], np.float32)}
    return Kind({ONE: records.MultilabelClassificationData(train, test)}, {ONE: a}, {ONE: b})


def _valued() -> Kind:
    test = tuple(records.ValuedText(_said(f"to test {n}"), float(n)) for n in range(4))
    gold = {"gold": np.arange(4, dtype=np.float32)}
    a = {**gold, "predicted": np.array([0.1, 1.2, 1.9, 3.3], np.float32)}
    b = {**gold, "predicted": np.array([3, 2, 1, 0], np.float32)}
    return Kind({ONE: records.RegressionData((records.ValuedText(_said("to learn"), 1.0),), test)}, {ONE: a}, {ONE: b})


def _clustered() -> Kind:
    texts = tuple(records.ClusteredText(_said(f"text {n}"), (_said("sport" if n < 2 else "news"),)) for n in range(4))
    a = {
        "v_measure": np.array([0.5], np.float32),
        "table_level": np.zeros(3, np.int32),
        "table_topic": np.array([0, 2, 2], np.int32),
        "table_cluster": np.array([0, 0, 1], np.int32),
        "table_count": np.array([2, 1, 9], np.int32),
    }
    return Kind({ONE: records.ClusteringData(texts)}, {ONE: a}, {ONE: {"v_measure": np.array([0.4], np.float32)}})


def _translated() -> Kind:
    """Two subsets; in each A finds all but one, B all but another."""

    def data(language: str) -> records.BitextMiningData:
        return records.BitextMiningData(
            tuple(
                records.Translation(_said(f"{language} first {n}"), _said(f"{language} second {n}")) for n in range(3)
            )
        )

    def kept(found: list[int]) -> Arrays:
        neighbour = np.array(found, np.int32)
        return {
            "neighbour": neighbour,
            "score": np.array([0.9, 0.8, 0.7], np.float32),
            "correct": neighbour == np.arange(3),
        }

    subsets = (("test", "eng-deu"), ("test", "eng/<b>fra"))
    return Kind(
        {cell: data(cell[1]) for cell in subsets},
        {cell: kept([0, 1, 1]) for cell in subsets},
        {cell: kept([0, 2, 2]) for cell in subsets},
    )


def _summarized() -> Kind:
    texts = tuple(
        records.SummarizedText(
            _said(f"text {n}"), (_said("human"),), (_said("good"), _said("fair"), _said("bad")), (5.0, 3.0, 1.0)
        )
        for n in range(2)
    )
    kept = {"gold": np.array([5.0, 3, 1, 5, 3, 1]), "text": np.repeat(np.arange(2, dtype=np.int32), 3)}
    a = {**kept, "similarity": np.array([0.9, 0.5, 0.1, 0.9, 0.1, 0.5], np.float32)}
    b = {**kept, "similarity": np.array([0.1, 0.5, 0.9, 0.9, 0.5, 0.1], np.float32)}
    return Kind({ONE: records.SummarizationData(texts)}, {ONE: a}, {ONE: b})


KINDS: Final[dict[str, Kind]] = {
    "Retrieval": _retrieval(),
    "Reranking": _retrieval(),
    "InstructionRetrieval": _retrieval(_said("instruction")),
    "InstructionReranking": _instructions(),
    "STS": _pairs(),
    "PairClassification": _labelled_pairs(),
    "Classification": _classified(),
    "MultilabelClassification": _multilabelled(),
    "Regression": _valued(),
    "Clustering": _clustered(),
    "BitextMining": _translated(),
    "Summarization": _summarized(),
}


class ExampleWorld(World):
    """Adds datasets with their files, and runs with evidence."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        super().__init__(database)
        self.blobs = blobs

    def publish(self, slug: str, kind: str, data: Mapping[Cell, records.CellData]) -> None:
        """A dataset whose newest revision has this content."""
        self.dataset(slug, kind)
        out = io.BytesIO()
        cells = tuple(records.Cell(split, subset, content) for (split, subset), content in data.items())
        revision = canonical.write(records.Dataset(kind, cells), out)
        out.seek(0)
        sha256 = self.blobs.put(out).sha256
        with self.database.session() as session:
            dataset_id = session.scalars(select(Dataset.id).where(Dataset.slug == slug)).one()
            values = {"canonical_sha256": sha256, "revision": revision}
            session.execute(update(DatasetRevision).where(DatasetRevision.dataset_id == dataset_id).values(**values))

    def result(self, model_id: int, slug: str, cells: Cells, score: float = 0.5) -> int:
        """A finished run with the same score in every cell, and what it keeps. Returns its id."""
        run_id = self.run(model_id, slug, dict.fromkeys(cells, score))
        with self.database.session() as session:
            for (split, subset), arrays in cells.items():
                out = io.BytesIO()
                np.savez(out, **arrays)
                out.seek(0)
                sha256 = self.blobs.put(out).sha256
                session.add(Evidence(run_id=run_id, split=split, subset=subset, kind="any", blob_sha256=sha256))
        return run_id

    def of_kind(self, kind: str, slug: str = "house") -> str:
        """A dataset of a task type with the runs of two models. Returns what stands in addresses: `models=1,2`."""
        self.publish(slug, kind, KINDS[kind].data)
        a, b = self.model("acme/a"), self.model("acme/b")
        self.result(a, slug, KINDS[kind].a, 0.5)
        self.result(b, slug, KINDS[kind].b, 0.25)
        return f"models={a},{b}"

    def drop_dataset_file(self, slug: str = "house") -> None:
        """Lose the file with the texts."""
        with self.database.reading() as session:
            query = select(DatasetRevision.canonical_sha256).join(Dataset).where(Dataset.slug == slug)
            self.blobs.path(session.scalars(query).one()).unlink()

    def drop_evidence(self) -> None:
        """Lose what runs kept."""
        with self.database.reading() as session:
            for sha256 in set(session.scalars(select(Evidence.blob_sha256))):
                self.blobs.path(sha256).unlink()
