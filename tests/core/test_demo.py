"""The demo pack: what its README promises of it, and that it is read as a user's upload would be."""

import csv
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from app.core.formats import Limits, ReadResult, read_dataset
from app.core.records import ClusteringData, RetrievalData
from app.core.task_types import TASK_TYPES

DEMO = Path(__file__).resolve().parents[2] / "demo"
FILES = {
    "help-centre": ("Retrieval", {"queries": 210, "documents": 160, "judgements": 452}),
    "saved-replies.jsonl": ("Reranking", {"queries": 60, "documents": 538, "judgements": 538}),
    "field-notes": ("InstructionRetrieval", {"queries": 40, "documents": 80, "judgements": 181}),
    "case-notes": ("InstructionReranking", {"queries": 40, "documents": 100, "changes": 20, "judgements": 248}),
    "similar-requests.csv": ("STS", {"pairs": 200}),
    "call-summaries.jsonl": ("Summarization", {"texts": 25}),
    "duplicate-requests.tsv": ("PairClassification", {"pairs": 200}),
    "tickets.jsonl": ("Classification", {"train": 180, "test": 180, "labels": 12}),
    "ticket-tags": ("MultilabelClassification", {"train": 161, "test": 120, "labels": 8}),
    "urgency.csv": ("Regression", {"train": 187, "test": 80}),
    "ticket-topics.parquet": ("Clustering", {"texts": 360, "labels": 5}),
    "translations.csv": ("BitextMining", {"pairs": 200}),
}
"""Task type and counts of every dataset."""
FOLDERS = ("help-centre", "field-notes", "case-notes")


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(path: Path) -> list[dict[str, Any]]:
    """The rows of one file."""
    if path.suffix == ".parquet":
        return list(parquet.read_table(path).to_pylist())
    if path.suffix == ".jsonl":
        return json_lines(path)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True))


def rows(name: str) -> list[dict[str, Any]]:
    """All rows of a dataset, of a folder those of all its tables."""
    path = DEMO / name
    files = sorted(path.glob("*.*")) if path.is_dir() else [path]
    return [row for file in files for row in table(file)]


def once(row: dict[str, Any]) -> str:
    """What may stand in a dataset only once: a query with its instruction, a document, a pair, a text."""
    parts = [row.get(key, "") for key in ("title", "query", "text", "instruction")]
    pair = sorted(row.get(key, "") for key in ("sentence1", "sentence2"))
    return "\t".join(part for part in (*parts, *pair) if part)


def strings(value: Any) -> Iterator[str]:
    """Every string in a row, however nested."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def repeated(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def read(name: str) -> ReadResult:
    def parquet_rows(path: Path, _: Limits) -> Iterator[tuple[int, dict[str, object]]]:
        return enumerate(table(path), start=1)

    return read_dataset(DEMO / name, name, FILES[name][0], Limits(), read_parquet=parquet_rows)


def test_there_is_one_dataset_for_each_task_type() -> None:
    assert {path.name for path in DEMO.iterdir()} == {"README.md", *FILES}
    assert sorted(kind for kind, _ in FILES.values()) == sorted(TASK_TYPES)
    page = (DEMO / "README.md").read_text(encoding="utf-8")
    assert [name for name, (kind, _) in FILES.items() if f"| {kind} |" not in page or name not in page] == []


@pytest.mark.parametrize("name", FILES)
def test_it_is_read_without_a_problem(name: str) -> None:
    result = read(name)
    assert result.counts == FILES[name][1]
    assert [warning.code for warning in result.warnings] == (["unknown_column"] if name == "tickets.jsonl" else [])


@pytest.mark.parametrize("name", FILES)
def test_its_texts_are_in_nfc_and_none_stands_there_twice(name: str) -> None:
    found = rows(name)
    texts = list(strings(found))
    assert [text for text in texts if text != unicodedata.normalize("NFC", text)] == []
    assert [text for text in texts if text != text.strip() or not text] == []
    assert repeated(" ".join(once(row).casefold().split()) for row in found if once(row)) == []


@pytest.mark.parametrize("name", FILES)
def test_german_and_chinese_occur_in_it(name: str) -> None:
    joined = "".join(strings(rows(name)))
    assert any("\u4e00" <= character <= "\u9fff" for character in joined)
    assert "ß" in joined or "ü" in joined


@pytest.mark.parametrize("folder", FOLDERS)
def test_ids_are_unique_and_every_judgement_names_a_query_and_a_document(folder: str) -> None:
    document_ids = [row["_id"] for row in json_lines(DEMO / folder / "corpus.jsonl")]
    query_ids = [row["_id"] for row in json_lines(DEMO / folder / "queries.jsonl")]
    judgements = table(DEMO / folder / "qrels" / "test.tsv")
    judged = [f"{row['query-id']} {row['corpus-id']}" for row in judgements]
    assert repeated(document_ids) == repeated(query_ids) == repeated(judged) == []
    assert {row["corpus-id"] for row in judgements} <= set(document_ids)
    assert {row["query-id"] for row in judgements if int(row["score"]) > 0} == set(query_ids)
    assert {row["score"] for row in judgements} == ({"0", "1"} if folder == "case-notes" else {"0", "1", "2"})


def test_each_message_has_fitting_replies_and_others() -> None:
    for row in json_lines(DEMO / "saved-replies.jsonl"):
        assert 1 <= len(row["positive"]) <= 2
        assert 8 <= len(row["positive"] + row["negative"]) <= 10
        assert repeated(row["positive"] + row["negative"]) == []


def test_an_instruction_that_changes_leaves_some_of_the_cases() -> None:
    data = read("case-notes").dataset.cells[0].data
    assert isinstance(data, RetrievalData)
    assert data.changed is not None
    assert data.candidates is not None
    texts = {query.id: query.text for query in data.queries}
    for base, fallen in data.changed.items():
        before, after = (
            {document for document, relevance in data.qrels[f"{base}-{which}"].items() if relevance}
            for which in ("og", "changed")
        )
        assert after < before
        assert before - after == set(fallen)
        assert before < set(data.candidates[f"{base}-og"])
        assert data.candidates[f"{base}-og"] == data.candidates[f"{base}-changed"]
        assert texts[f"{base}-og"] == texts[f"{base}-changed"]


def test_similarities_span_zero_to_five() -> None:
    scores = [float(row["score"]) for row in table(DEMO / "similar-requests.csv")]
    assert min(scores) == 0
    assert max(scores) == 5
    assert len(set(scores)) > 5


def test_each_conversation_has_summaries_from_good_to_useless() -> None:
    for row in json_lines(DEMO / "call-summaries.jsonl"):
        assert 2 <= len(row["human_summaries"]) <= 3
        assert 5 <= len(row["machine_summaries"]) == len(row["relevance"]) <= 6
        assert min(row["relevance"]) < 2
        assert 4 < max(row["relevance"]) <= 5


def test_duplicates_and_near_misses_are_both_there() -> None:
    labels = Counter(row["label"] for row in table(DEMO / "duplicate-requests.tsv"))
    assert set(labels) == {"0", "1"}
    assert min(labels.values()) > 50


def test_tickets_have_twelve_intents_each_in_train_and_test() -> None:
    cells = Counter((row["label"], row["split"]) for row in json_lines(DEMO / "tickets.jsonl"))
    assert len({label for label, _ in cells}) == 12
    assert {split for _, split in cells} == {"train", "test"}
    assert len(cells) == 24
    assert min(cells.values()) >= 8


@pytest.mark.parametrize("split", ["train", "test"])
def test_messages_have_no_tag_one_or_several(split: str) -> None:
    tags = [json.loads(row["labels"]) for row in table(DEMO / "ticket-tags" / f"{split}.csv")]
    assert {len(found) for found in tags} == {0, 1, 2, 3}
    counts = Counter(tag for found in tags for tag in found)
    assert len(counts) == 8
    assert min(counts.values()) >= 8


@pytest.mark.parametrize("split", ["train", "test"])
def test_urgencies_span_nought_to_a_hundred(split: str) -> None:
    values = [int(row["value"]) for row in table(DEMO / "urgency.csv") if row["split"] == split]
    assert 0 <= min(values) < 5
    assert 95 < max(values) <= 100


def test_topics_are_those_of_the_tickets_in_three_weeks() -> None:
    found = [(row["text"], row["label"]) for row in table(DEMO / "ticket-topics.parquet")]
    assert found == [(row["text"], row["topic"]) for row in json_lines(DEMO / "tickets.jsonl")]
    data = read("ticket-topics.parquet").dataset.cells[0].data
    assert isinstance(data, ClusteringData)
    assert data.whole_sets
    assert Counter(text.set for text in data.texts) == {0: 120, 1: 120, 2: 120}


def test_a_hundred_translations_for_each_language() -> None:
    assert Counter(row["subset"] for row in table(DEMO / "translations.csv")) == {"eng-deu": 100, "eng-cmn": 100}
