"""The task type of a file or folder, told by its columns or by the names of its files."""

import csv
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.core.formats import InvalidFile
from app.core.task_types import TASK_TYPES
from app.errors import Invalid
from worker.guessing import guess

ROWS: dict[str, tuple[str, dict[str, object]]] = {
    "pairs with a score": ("STS", {"sentence1": "a", "sentence2": "b", "score": 1.5}),
    "pairs with score and label": ("STS", {"sentence1": "a", "sentence2": "b", "score": 1.5, "label": 1}),
    "pairs with a label": ("PairClassification", {"sentence1": "a", "sentence2": "b", "label": 1}),
    "pairs": ("BitextMining", {"sentence1": "a", "sentence2": "b"}),
    "pairs with a split": ("BitextMining", {"sentence1": "a", "sentence2": "b", "split": "test"}),
    "labels of two splits": ("Classification", {"text": "a", "label": "x", "split": "train"}),
    "lists of labels": ("MultilabelClassification", {"text": "a", "labels": ["x"], "split": "train"}),
    "lists in a column called label": ("MultilabelClassification", {"text": "a", "label": ["x"], "split": "train"}),
    "values": ("Regression", {"text": "a", "value": 2.5, "split": "train"}),
    "labels without a split": ("Clustering", {"text": "a", "label": "x"}),
    "topics from coarse to fine": ("Clustering", {"text": "a", "labels": ["x", "y"]}),
    "labels in sets": ("Clustering", {"text": "a", "label": "x", "set": 1}),
    "a set a row": ("Clustering", {"sentences": ["a", "b"], "labels": ["x", "y"]}),
    "candidates": ("Reranking", {"query": "a", "positive": ["b"], "negative": ["c"]}),
    "summaries": (
        "Summarization",
        {"text": "a", "human_summaries": ["b"], "machine_summaries": ["c"], "relevance": [1.0]},
    ),
    "columns of no use beside": ("STS", {"id": "1", "sentence1": "a", "sentence2": "b", "score": 1.5, "note": "-"}),
    "a column too few": ("STS", {"sentence1": "a", "score": 1.5}),
}


@pytest.mark.parametrize(("task_type", "row"), ROWS.values(), ids=ROWS)
def test_columns_tell_the_type_in_every_format(task_type: str, row: dict[str, object], tmp_path: Path) -> None:
    lines = tmp_path / "table.jsonl"
    lines.write_text(json.dumps(row) + "\n")
    found = guess(lines)

    assert found.task_type == task_type
    if not any(isinstance(value, list) for value in row.values()):
        with (tmp_path / "table.csv").open("w", newline="") as file:
            csv.writer(file).writerows([list(row), list(row.values())])
        pq.write_table(pa.table({name: [value] for name, value in row.items()}), tmp_path / "table.parquet")
        assert guess(tmp_path / "table.csv") == guess(tmp_path / "table.parquet") == found


def test_the_columns_that_told_it_are_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("id\tsentence2\tsentence1\tscore\n1\ta\tb\t2.0\n")

    assert guess(path).told_by == "columns sentence2, sentence1 and score"


def test_a_file_of_training_rows_makes_labels_a_classification(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("text,label\na,x\n")
    assert guess(tmp_path).task_type == "Clustering"

    (tmp_path / "train.csv").write_text("text,label\na,x\n")

    assert guess(tmp_path).task_type == "Classification"


CORPORA: dict[str, tuple[str, dict[str, str]]] = {
    "corpus": ("Retrieval", {}),
    "candidates": ("Reranking", {"top_ranked/test.jsonl": "{}"}),
    "instructions beside": ("InstructionRetrieval", {"instructions.jsonl": "{}"}),
    "instructions in the queries": (
        "InstructionRetrieval",
        {"queries.jsonl": '{"_id": "q", "text": "a", "instruction": "b"}\n'},
    ),
    "changed instructions": ("InstructionReranking", {"top_ranked/test.jsonl": "{}", "qrel_diff.jsonl": "{}"}),
}


@pytest.mark.parametrize(("task_type", "files"), CORPORA.values(), ids=CORPORA)
@pytest.mark.parametrize("subset", ["", "deu/"])
def test_files_beside_a_corpus_tell_the_type(
    subset: str, task_type: str, files: dict[str, str], tmp_path: Path
) -> None:
    folder, archive = tmp_path / "corpus", tmp_path / "corpus.zip"
    content = {"corpus.jsonl": "{}", "queries.jsonl": '{"_id": "q", "text": "a"}\n', "qrels/test.tsv": "", **files}
    with zipfile.ZipFile(archive, "w") as packed:
        for name, text in content.items():
            path = folder / subset / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            packed.writestr(subset + name, text)

    assert guess(folder).task_type == guess(archive).task_type == task_type
    assert task_type in TASK_TYPES


def test_columns_of_no_task_type_are_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")

    with pytest.raises(Invalid, match="The columns a, b belong to no task type"):
        guess(path)


def test_a_folder_without_a_table_says_so(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="There is no table in"):
        guess(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("table.csv", b"", "empty"),
        ("table.csv", b"text,label\n", "no rows"),
        ("table.csv", b"a,b\n\xff\xfe,1\n", "UTF-8"),
        ("table.jsonl", b"[1]\n", "not an object"),
        ("table.jsonl", b"{\n", "1"),
        ("table.zip", b"PK\x03\x04nothing", "damaged"),
        ("table.parquet", b"PAR1nothing", "truncated or damaged"),
        ("table.txt", b"text", "format"),
    ],
)
def test_what_cannot_be_read_is_refused_as_an_upload_is(name: str, content: bytes, word: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidFile) as raised:
        guess(tmp_path / name)

    assert word in raised.value.problems[0].message
