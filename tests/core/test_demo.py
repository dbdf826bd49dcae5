"""The demo pack: what the issue promises of it, and that it is read as a user's upload would be."""

import csv
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from app.core.formats import InvalidFile, Limits, read_dataset
from app.core.task_types import scored_task_type
from app.errors import Invalid

DEMO = Path(__file__).resolve().parents[2] / "demo"
HELP_CENTRE = DEMO / "help-centre"


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(path: Path) -> list[dict[str, str]]:
    delimiter = "\t" if path.suffix == ".tsv" else ","
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter, strict=True))


def pairs(name: str) -> list[tuple[str, str]]:
    return [(row["sentence1"], row["sentence2"]) for row in table(DEMO / name)]


def topics() -> list[tuple[str, str]]:
    rows = parquet.read_table(DEMO / "ticket-topics.parquet").to_pylist()
    return [(row["text"], row["label"]) for row in rows]


def documents() -> list[str]:
    return [f"{row['title']} {row['text']}" for row in json_lines(HELP_CENTRE / "corpus.jsonl")]


def texts(name: str) -> list[str]:
    """One string for each thing of a demo file that may stand there only once."""
    match name:
        case "corpus.jsonl":
            return documents()
        case "queries.jsonl":
            return [row["text"] for row in json_lines(HELP_CENTRE / name)]
        case "tickets.jsonl":
            return [row["text"] for row in json_lines(DEMO / name)]
        case "ticket-topics.parquet":
            return [text for text, _ in topics()]
        case _:
            return ["\t".join(sorted(pair)) for pair in pairs(name)]


COUNTS = {
    "corpus.jsonl": 160,
    "queries.jsonl": 210,
    "similar-requests.csv": 200,
    "tickets.jsonl": 360,
    "duplicate-requests.tsv": 150,
    "ticket-topics.parquet": 360,
    "translations.csv": 200,
}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_each_file_has_its_rows_in_nfc_and_none_twice(name: str, count: int) -> None:
    found = texts(name)
    assert len(found) == count
    assert [text for text in found if text != unicodedata.normalize("NFC", text)] == []
    assert [text for text in found if any(part != part.strip() or not part for part in text.split("\t"))] == []
    assert repeated(" ".join(text.casefold().split()) for text in found) == []


def repeated(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def test_ids_are_unique_and_every_judgement_names_a_query_and_a_document() -> None:
    document_ids = [row["_id"] for row in json_lines(HELP_CENTRE / "corpus.jsonl")]
    query_ids = [row["_id"] for row in json_lines(HELP_CENTRE / "queries.jsonl")]
    judgements = table(HELP_CENTRE / "qrels" / "test.tsv")
    judged = [f"{row['query-id']} {row['corpus-id']}" for row in judgements]
    assert repeated(document_ids) == repeated(query_ids) == repeated(judged) == []
    assert {row["corpus-id"] for row in judgements} <= set(document_ids)
    assert {row["query-id"] for row in judgements if int(row["score"]) > 0} == set(query_ids)
    assert {row["score"] for row in judgements} == {"0", "1", "2"}


def test_similarities_span_zero_to_five() -> None:
    scores = [float(row["score"]) for row in table(DEMO / "similar-requests.csv")]
    assert min(scores) == 0
    assert max(scores) == 5
    assert len(set(scores)) > 5


def test_tickets_have_twelve_intents_each_in_train_and_test() -> None:
    cells = Counter((row["label"], row["split"]) for row in json_lines(DEMO / "tickets.jsonl"))
    assert len({label for label, _ in cells}) == 12
    assert {split for _, split in cells} == {"train", "test"}
    assert len(cells) == 24
    assert min(cells.values()) >= 8


def test_topics_are_those_of_the_tickets() -> None:
    tickets = json_lines(DEMO / "tickets.jsonl")
    assert topics() == [(row["text"], row["topic"]) for row in tickets]
    assert len({topic for _, topic in topics()}) > 2


def test_duplicates_and_near_misses_are_both_there() -> None:
    labels = Counter(row["label"] for row in table(DEMO / "duplicate-requests.tsv"))
    assert set(labels) == {"0", "1"}
    assert min(labels.values()) > 50


def test_a_hundred_translations_for_each_language() -> None:
    assert Counter(row["language"] for row in table(DEMO / "translations.csv")) == {"eng-deu": 100, "eng-cmn": 100}


def test_german_and_chinese_occur_in_every_scored_file() -> None:
    for name in ("corpus.jsonl", "queries.jsonl", "similar-requests.csv", "tickets.jsonl"):
        joined = "".join(texts(name))
        assert any("\u4e00" <= character <= "\u9fff" for character in joined), name
        assert "ß" in joined or "ü" in joined, name


@pytest.mark.parametrize(
    ("name", "task_type", "counts"),
    [
        ("help-centre", "Retrieval", {"queries": 210, "documents": 160, "judgements": 452}),
        ("similar-requests.csv", "STS", {"pairs": 200}),
        ("tickets.jsonl", "Classification", {"train": 180, "test": 180, "labels": 12}),
    ],
)
def test_what_is_scored_is_read_without_a_problem(name: str, task_type: str, counts: dict[str, int]) -> None:
    result = read_dataset(DEMO / name, name, task_type, Limits())
    assert result.counts == counts
    assert {warning.code for warning in result.warnings} <= {"unknown_column"}


@pytest.mark.parametrize(
    ("name", "task_type"),
    [
        ("duplicate-requests.tsv", "PairClassification"),
        ("ticket-topics.parquet", "Clustering"),
        ("translations.csv", "BitextMining"),
    ],
)
def test_what_is_not_scored_yet_is_refused_with_a_clear_message(name: str, task_type: str) -> None:
    with pytest.raises(Invalid, match="cannot be scored by this version yet"):
        scored_task_type(task_type)
    with pytest.raises(InvalidFile, match="cannot be scored by this version yet"):
        read_dataset(DEMO / name, name, task_type, Limits())
