"""The canonical file: the same bytes for the same dataset, the same dataset back, and no damage unseen."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.formats import canonical
from app.core.records import (
    BitextMiningData,
    Cell,
    ClassificationData,
    ClusteredText,
    ClusteringData,
    Dataset,
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
from app.core.task_types import TASK_TYPES

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=5)
scores = st.floats(allow_nan=False, allow_infinity=False)


def tuples(entries: st.SearchStrategy[Any], max_size: int = 4) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(entries, max_size=max_size).map(tuple)


@st.composite
def retrieval(
    draw: st.DrawFn, *, ranked: bool = False, instructed: bool = False, changed: bool = False
) -> RetrievalData:
    documents = draw(st.lists(st.builds(Document, names, texts, texts), max_size=4, unique_by=lambda d: d.id))
    instructions = texts if instructed else st.just("")
    queries = draw(
        st.lists(st.builds(Query, names, texts, instructions), min_size=1, max_size=4, unique_by=lambda q: q.id)
    )
    ids = st.sampled_from([d.id for d in documents] or ["none"])
    judged = st.dictionaries(ids, st.integers(0, 9))
    return RetrievalData(
        tuple(queries),
        tuple(documents),
        {query.id: draw(judged) for query in queries},
        {query.id: draw(tuples(ids)) for query in queries} if ranked else None,
        draw(st.dictionaries(names, tuples(ids), min_size=1, max_size=3)) if changed else None,
        draw(st.booleans()),
    )


labelled = tuples(st.builds(LabelledText, texts, names))
listed = tuples(st.builds(MultilabelText, texts, tuples(names)))
valued = tuples(st.builds(ValuedText, texts, scores))
DATA = {
    "Retrieval": retrieval(),
    "Reranking": retrieval(ranked=True),
    "InstructionRetrieval": retrieval(instructed=True),
    "InstructionReranking": retrieval(ranked=True, instructed=True, changed=True),
    "STS": st.builds(StsData, tuples(st.builds(SentencePair, texts, texts, scores))),
    "PairClassification": st.builds(
        PairClassificationData, tuples(st.builds(LabelledPair, texts, texts, st.integers(0, 1)))
    ),
    "BitextMining": st.builds(BitextMiningData, tuples(st.builds(Translation, texts, texts))),
    "Summarization": st.builds(
        SummarizationData, tuples(st.builds(SummarizedText, texts, tuples(texts), tuples(texts), tuples(scores)))
    ),
    "Classification": st.builds(ClassificationData, labelled, labelled),
    "MultilabelClassification": st.builds(MultilabelClassificationData, listed, listed),
    "Regression": st.builds(RegressionData, valued, valued),
    "Clustering": st.builds(
        ClusteringData, tuples(st.builds(ClusteredText, texts, tuples(names), st.integers(0, 9))), st.booleans()
    ),
}


def test_each_task_type_has_its_data() -> None:
    assert DATA.keys() == TASK_TYPES.keys()


datasets = st.sampled_from(sorted(DATA)).flatmap(
    lambda task_type: st.builds(
        Dataset,
        st.just(task_type),
        st.lists(st.builds(Cell, names, names, DATA[task_type]), min_size=1, max_size=3).map(tuple),
    )
)


def written(dataset: Dataset) -> tuple[bytes, str]:
    out = io.BytesIO()
    revision = canonical.write(dataset, out)
    return out.getvalue(), revision


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("canonical")


@settings(max_examples=100, deadline=None)
@given(dataset=datasets)
def test_round_trip(folder: Path, dataset: Dataset) -> None:
    content, revision = written(dataset)
    assert revision == hashlib.sha256(content).hexdigest()[:40]
    path = folder / "set.jsonl"
    path.write_bytes(content)
    again = canonical.read(path)
    assert again == dataset
    assert written(again) == (content, revision)


RETRIEVAL = RetrievalData(
    (Query("q1", "eins"), Query("q2", "zwei")),
    (Document("d1", "one", "T"), Document("d2", "two\u2028")),
    {"q2": {"d1": 1}, "q1": {"d2": 0, "d1": 2}},
)
DATASET = Dataset("Retrieval", (Cell("test", "default", RETRIEVAL),))


def test_the_bytes_are_fixed() -> None:
    """Whoever changes this format changes every revision: raise the version then."""
    content, revision = written(DATASET)
    lines = content.decode().split("\n")
    assert lines[:-2] == [
        '{"format":"touchstone-dataset","version":1,"task_type":"Retrieval"}',
        '{"kind":"cell","split":"test","subset":"default","counts":{"query":2,"document":2}}',
        '{"kind":"query","id":"q1","text":"eins","relevance":{"d1":2,"d2":0}}',
        '{"kind":"query","id":"q2","text":"zwei","relevance":{"d1":1}}',
        '{"kind":"document","id":"d1","title":"T","text":"one"}',
        '{"kind":"document","id":"d2","title":"","text":"two\u2028"}',
    ]
    assert json.loads(lines[-2]).keys() == {"kind", "sha256"}
    assert revision == "ad7df1ca769298e81389ed2dd66736003a117132"


def test_the_order_of_judgements_does_not_matter() -> None:
    turned = RetrievalData(
        RETRIEVAL.queries, RETRIEVAL.documents, {"q1": {"d1": 2, "d2": 0}, "q2": RETRIEVAL.qrels["q2"]}
    )
    assert written(Dataset("Retrieval", (Cell("test", "default", turned),))) == written(DATASET)


def test_every_damaged_byte_is_seen(tmp_path: Path) -> None:
    content, _ = written(DATASET)
    path = tmp_path / "set.jsonl"
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(canonical.CorruptDataset):
            canonical.read(path)


@pytest.mark.parametrize("length", [0, 1, 70, 160, 300, -40, -1])
def test_a_cut_file_is_seen(tmp_path: Path, length: int) -> None:
    path = tmp_path / "set.jsonl"
    path.write_bytes(written(DATASET)[0][:length])
    with pytest.raises(canonical.CorruptDataset):
        canonical.read(path)


@pytest.mark.parametrize("more", [b"{}\n", b"\n", b"x"])
def test_something_behind_the_end_is_seen(tmp_path: Path, more: bytes) -> None:
    path = tmp_path / "set.jsonl"
    path.write_bytes(written(DATASET)[0] + more)
    with pytest.raises(canonical.CorruptDataset):
        canonical.read(path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_bytes(written(DATASET)[0].replace(b'"version":1', b'"version":2'))
    with pytest.raises(canonical.CorruptDataset, match="touchstone-dataset 2"):
        canonical.read(path)


def test_a_score_that_is_not_finite_is_never_written() -> None:
    pairs = StsData((SentencePair("a", "b", float("nan")),))
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical.write(Dataset("STS", (Cell("test", "default", pairs),)), io.BytesIO())


def test_a_sample_has_the_first_of_each_kind(tmp_path: Path) -> None:
    many = RetrievalData(
        tuple(Query(f"q{i}", "q" * 600) for i in range(9)),
        tuple(Document(f"d{i}", "text", "") for i in range(9)),
        {f"q{i}": {f"d{j}": 1 for j in range(30)} for i in range(9)},
    )
    path = tmp_path / "set.jsonl"
    content, _ = written(Dataset("Retrieval", (Cell("test", "a", many), Cell("test", "b", RETRIEVAL))))
    path.write_bytes(content[:-200])  # the rest of the file does not matter
    rows = canonical.sample(path, n=3)
    assert [(row["kind"], row["id"]) for row in rows] == [
        *(("query", f"q{i}") for i in range(3)),
        *(("document", f"d{i}") for i in range(3)),
    ]
    assert len(rows[0]["text"]) == canonical.PREVIEW_CHARS
    assert len(rows[0]["relevance"]) == canonical.PREVIEW_ENTRIES
    assert rows[3] == {"kind": "document", "id": "d0", "title": "", "text": "text"}


def test_lists_in_a_sample_are_cut_too(tmp_path: Path) -> None:
    text = SummarizedText("t" * 501, ("h" * 500,), ("m" * 501,) * 30, (0.5,) * 30)
    path = tmp_path / "set.jsonl"
    path.write_bytes(written(Dataset("Summarization", (Cell("test", "a", SummarizationData((text,))),)))[0])
    (row,) = canonical.sample(path)
    cut = "t" * 499 + "…"
    assert row == {
        "kind": "text",
        "text": cut,
        "human_summaries": ["h" * 500],
        "machine_summaries": [cut.replace("t", "m")] * canonical.PREVIEW_ENTRIES,
        "relevance": [0.5] * canonical.PREVIEW_ENTRIES,
    }


def test_a_sample_of_a_small_classification_set(tmp_path: Path) -> None:
    data = ClassificationData((LabelledText("a", "x"), LabelledText("b", "y")), (LabelledText("c", "x"),))
    path = tmp_path / "set.jsonl"
    path.write_bytes(written(Dataset("Classification", (Cell("test", "default", data),)))[0])
    assert [row["kind"] for row in canonical.sample(path)] == ["train", "train", "test"]


@pytest.mark.parametrize("content", [b"", b"{}\n", b"nonsense\n", written(DATASET)[0][:200]])
def test_a_sample_of_a_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "set.jsonl"
    path.write_bytes(content)
    with pytest.raises(canonical.CorruptDataset):
        canonical.sample(path)
