"""Every task type from every text format, and what is particular to each."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.core.formats import Choices, Limits, ReadResult, read_dataset, scored_examples
from app.core.records import (
    Cell,
    ClusteredText,
    ClusteringData,
    Dataset,
    LabelledPair,
    MultilabelText,
)
from tests.core.examples import EXAMPLES, Rows, as_lines, as_table, by_split
from tests.core.refused_files import zipped

SETS = Path(__file__).resolve().parents[2] / "../shared/data/sets"


def read(path: Path, content: str | bytes, filename: str, task_type: str, **choices: Any) -> ReadResult:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_dataset(path, filename, task_type, Limits(), choices=Choices(**choices))


def read_lines(folder: Path, task_type: str, rows: Rows, **choices: Any) -> ReadResult:
    return read(folder / "upload", as_lines(rows), "data.jsonl", task_type, **choices)


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "csv zip", "jsonl zip", "tsv folder"])
@pytest.mark.parametrize("task_type", EXAMPLES)
def test_each_task_type_from_each_format(tmp_path: Path, task_type: str, form: str) -> None:
    rows, data, counts, scored = EXAMPLES[task_type]
    suffix, _, bundle = form.partition(" ")
    if bundle == "folder":
        for name, text in by_split(rows, suffix).items():
            (tmp_path / name).write_text(text)
        result = read_dataset(tmp_path, "set", task_type, Limits())
    elif bundle:
        result = read(tmp_path / "upload", zipped(by_split(rows, suffix)), "set.zip", task_type)
    else:
        text = {"csv": as_table, "tsv": lambda rows: as_table(rows, "\t"), "jsonl": as_lines}[suffix](rows)
        result = read(tmp_path / "upload", text, f"data.{suffix}", task_type)
    assert result == ReadResult(Dataset(task_type, (Cell("test", "default", data),)), (), counts)
    assert scored_examples(result.dataset) == scored


@pytest.mark.parametrize("written", [1, "1", True, "true", " True ", 1.0])
@pytest.mark.parametrize("not_written", [0, "0", False, "FALSE", 0.0])
def test_whether_a_pair_matches_is_written_in_several_ways(tmp_path: Path, written: Any, not_written: Any) -> None:
    rows = [{"sentence1": "a", "sentence2": "b", "label": label} for label in (written, not_written)]
    result = read_lines(tmp_path, "PairClassification", rows)
    assert result.dataset.cells[0].data.pairs == (LabelledPair("a", "b", 1), LabelledPair("a", "b", 0))


@pytest.mark.parametrize("column", ["labels", "label"])
def test_a_label_twice_in_a_list_counts_once(tmp_path: Path, column: str) -> None:
    rows, *_ = EXAMPLES["MultilabelClassification"]
    renamed = [{"text": row["text"], column: row["labels"] * 2, "split": row["split"]} for row in rows]
    result = read_lines(tmp_path, "MultilabelClassification", renamed)
    assert result.dataset.cells[0].data == EXAMPLES["MultilabelClassification"][1]
    assert [(warned.code, warned.count) for warned in result.warnings] == [("doubled_label", 11)]


def test_labels_may_be_whole_numbers_and_unknown_ones_are_a_warning(tmp_path: Path) -> None:
    rows = [{"text": "t", "labels": [n % 2, 7], "split": "train"} for n in range(5)]
    result = read_lines(tmp_path, "MultilabelClassification", [*rows, {"text": "t", "labels": [7, 8], "split": "test"}])
    assert result.dataset.cells[0].data.test == (MultilabelText("t", ("7", "8")),)
    assert [(warned.code, warned.count) for warned in result.warnings] == [("label_not_in_train", 1)]


TOPICS = [("a", "x"), ("b", "y"), ("c", "[y"), ("d", "x"), ("e", "y")]


@pytest.mark.parametrize("column", ["label", "labels"])
def test_a_topic_is_a_plain_text(tmp_path: Path, column: str) -> None:
    result = read(tmp_path / "upload", as_table([{"text": t, column: y} for t, y in TOPICS]), "a.csv", "Clustering")
    expected = ClusteringData(tuple(ClusteredText(text, (label,)) for text, label in TOPICS))
    assert result == ReadResult(Dataset("Clustering", (Cell("test", "default", expected),)), (), result.counts)
    assert result.counts == {"texts": 5, "labels": 3}


WHOLE = ClusteringData(
    (
        ClusteredText("a", ("x",), 0),
        ClusteredText("c", ("y",), 0),
        ClusteredText("b", ("y",), 1),
        ClusteredText("d", ("y",), 1),
    ),
    whole_sets=True,
)


def test_sets_are_numbered_as_they_first_appear(tmp_path: Path) -> None:
    rows = [("a", "x", "9"), ("b", "y", "news"), ("c", "y", "9"), ("d", "y", "news")]
    table = as_table([{"text": text, "label": label, "set": name} for text, label, name in rows])
    result = read(tmp_path / "upload", table, "a.csv", "Clustering")
    assert result.dataset.cells[0].data == WHOLE
    assert [(warned.code, warned.count) for warned in result.warnings] == [("one_topic_set", 1)]


@pytest.mark.parametrize("form", [as_lines, as_table])
def test_a_set_a_row_as_in_older_datasets(tmp_path: Path, form: Any) -> None:
    rows = [{"sentences": ["a", "c"], "labels": ["x", "y"]}, {"sentences": ["b", "d"], "labels": ["y", "y"]}]
    name = "a.jsonl" if form is as_lines else "a.csv"
    assert read(tmp_path / "upload", form(rows), name, "Clustering").dataset.cells[0].data == WHOLE


@pytest.mark.parametrize(("count", "sizes"), [(1, [5]), (2, [3, 2]), (3, [2, 2, 1]), (5, [1, 1, 1, 1, 1])])
def test_rows_are_cut_into_consecutive_sets(tmp_path: Path, count: int, sizes: list[int]) -> None:
    rows = [{"text": text, "label": label} for text, label in TOPICS]
    data = read_lines(tmp_path, "Clustering", rows, cluster_sets=count).dataset.cells[0].data
    assert data.whole_sets
    assert [text.text for text in data.texts] == ["a", "b", "c", "d", "e"]
    assert [sum(text.set == number for text in data.texts) for number in range(count)] == sizes


def test_queries_with_nothing_to_choose_from_are_left_out_before_they_are_numbered(tmp_path: Path) -> None:
    """As in mteb: it filters first."""
    rows, data, *_ = EXAMPLES["Reranking"]
    nothing = [{"query": "x", "positive": [], "negative": ["n"]}, {"query": "y", "positive": ["p"], "negative": []}]
    result = read_lines(tmp_path, "Reranking", [nothing[0], rows[0], nothing[1], rows[1]])
    assert result.dataset.cells[0].data == data
    assert [(warned.code, warned.count) for warned in result.warnings] == [("query_left_out", 2)]


@pytest.mark.slow
def test_ids_of_candidates_are_those_of_mteb(tmp_path: Path) -> None:
    from mteb.abstasks.text.reranking import AbsTaskReranking

    rows, *_ = EXAMPLES["Reranking"]
    data = read_lines(tmp_path, "Reranking", [{**row, "split": "dev"} for row in rows]).dataset.cells[0].data
    for number, row in enumerate(rows):
        oracle = AbsTaskReranking._process_example(None, row, "dev", number)
        query, ids = oracle["query_id"], tuple(oracle["doc_ids"])
        assert data.candidates[query] == ids == tuple(data.qrels[query])
        assert list(data.qrels[query].values()) == oracle["relevance_scores"]
        assert [document.text for document in data.documents if document.id in ids] == oracle["doc_texts"]


SUMMED = ("queries", "documents", "pairs", "texts", "train", "test")


@pytest.mark.skipif(not SETS.is_dir(), reason="shared/data is not there")
def test_public_datasets_are_read_whole() -> None:
    for name, facts in json.loads((SETS / "expected.json").read_text()).items():
        result = read_dataset(SETS / name, name, facts["task_type"], Limits())
        assert sum(result.counts.get(kind, 0) for kind in SUMMED) == facts["rows"], name
        dropped = ["dropped_split"] if (SETS / name / "validation.csv").exists() else []
        assert [warned.code for warned in result.warnings] == ["ignored_file", *dropped], name
