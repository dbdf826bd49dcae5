"""A small dataset of each task type that is read from tables: its rows, and what they become."""

import csv
import io
import json
from typing import Any

from app.core.records import (
    BitextMiningData,
    CellData,
    ClassificationData,
    ClusteredText,
    ClusteringData,
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

Rows = list[dict[str, Any]]

LEARNT_FROM = [("eins, zwei", "x"), ('"drei"\nvier', "y"), ("fünf", "x"), ("六", "y"), ("sieben", "x")]
RERANKED = RetrievalData(
    (Query("test_query0", "q"), Query("test_query1", "r")),
    (
        Document("apositive_test_query0_00000", "p"),
        Document("apositive_test_query0_00001", "p, too"),
        Document("negative_test_query0_00000", "n"),
        Document("apositive_test_query1_00000", "p"),
        Document("negative_test_query1_00000", "n"),
    ),
    {
        "test_query0": {
            "apositive_test_query0_00000": 1,
            "apositive_test_query0_00001": 1,
            "negative_test_query0_00000": 0,
        },
        "test_query1": {"apositive_test_query1_00000": 1, "negative_test_query1_00000": 0},
    },
    {
        "test_query0": (
            "apositive_test_query0_00000",
            "apositive_test_query0_00001",
            "negative_test_query0_00000",
        ),
        "test_query1": ("apositive_test_query1_00000", "negative_test_query1_00000"),
    },
)

EXAMPLES: dict[str, tuple[Rows, CellData, dict[str, int], int]] = {
    "STS": (
        [{"sentence1": "a", "sentence2": "b", "score": 1.0}, {"sentence1": "c", "sentence2": "d", "score": 2.5}],
        StsData((SentencePair("a", "b", 1.0), SentencePair("c", "d", 2.5))),
        {"pairs": 2},
        2,
    ),
    "PairClassification": (
        [{"sentence1": "a", "sentence2": "b", "label": 1}, {"sentence1": "c", "sentence2": "d", "label": 0}],
        PairClassificationData((LabelledPair("a", "b", 1), LabelledPair("c", "d", 0))),
        {"pairs": 2},
        2,
    ),
    "BitextMining": (
        [{"sentence1": "house", "sentence2": "Haus"}, {"sentence1": "tree", "sentence2": "树"}],
        BitextMiningData((Translation("house", "Haus"), Translation("tree", "树"))),
        {"pairs": 2},
        2,
    ),
    "Summarization": (
        [
            {
                "id": "one",
                "text": "long text",
                "human_summaries": ["short, and good", 'a "second" one'],
                "machine_summaries": ["good", "bad"],
                "relevance": [4.5, 1.0],
                "coherence": [1.0, 2.0],
            }
        ],
        SummarizationData(
            (SummarizedText("long text", ("short, and good", 'a "second" one'), ("good", "bad"), (4.5, 1.0)),)
        ),
        {"texts": 1},
        1,
    ),
    "Classification": (
        [
            *({"text": text, "label": label, "split": "train"} for text, label in LEARNT_FROM),
            {"text": "e", "label": "y", "split": "test"},
        ],
        ClassificationData(tuple(LabelledText(*pair) for pair in LEARNT_FROM), (LabelledText("e", "y"),)),
        {"train": 5, "test": 1, "labels": 2},
        1,
    ),
    "MultilabelClassification": (
        [
            *({"text": text, "labels": [label, "all"], "split": "train"} for text, label in LEARNT_FROM),
            {"text": "e", "labels": [], "split": "test"},
            {"text": "f", "labels": ["y"], "split": "test"},
        ],
        MultilabelClassificationData(
            tuple(MultilabelText(text, (label, "all")) for text, label in LEARNT_FROM),
            (MultilabelText("e", ()), MultilabelText("f", ("y",))),
        ),
        {"train": 5, "test": 2, "labels": 3},
        2,
    ),
    "Regression": (
        [
            {"text": "a", "value": -1.5, "split": "train"},
            {"text": "b", "value": 2.0, "split": "train"},
            {"text": "c", "value": 1.0, "split": "test"},
            {"text": "d", "value": 0.0, "split": "test"},
        ],
        RegressionData(
            (ValuedText("a", -1.5), ValuedText("b", 2.0)),
            (ValuedText("c", 1.0), ValuedText("d", 0.0)),
        ),
        {"train": 2, "test": 2},
        2,
    ),
    "Clustering": (
        [{"text": "a", "label": ["x", "y"]}, {"text": "b", "label": ["x", "z"]}, {"text": "c", "label": ["w"]}],
        ClusteringData(
            (ClusteredText("a", ("x", "y")), ClusteredText("b", ("x", "z")), ClusteredText("c", ("w",))),
        ),
        {"texts": 3, "labels": 4},
        3,
    ),
    "Reranking": (
        [
            {"query": "q", "positive": ["p", "p, too"], "negative": ["n"]},
            {"query": "r", "positive": ["p"], "negative": ["n"]},
        ],
        RERANKED,
        {"queries": 2, "documents": 5, "judgements": 5},
        2,
    ),
}
"""Task type -> rows, the data of the one cell, the counts of a preview, the number of scored examples."""


def as_lines(rows: Rows) -> str:
    """JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_table(rows: Rows, delimiter: str = ",") -> str:
    """CSV or TSV; a list is written as JSON."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([json.dumps(v) if isinstance(v, list) else v for v in row.values()] for row in rows)
    return out.getvalue()


def by_split(rows: Rows, suffix: str) -> dict[str, str]:
    """A file a split."""
    parts: dict[str, Rows] = {}
    for row in rows:
        rest = dict(row)
        parts.setdefault(rest.pop("split", "test"), []).append(rest)
    written = {"csv": as_table, "tsv": lambda part: as_table(part, "\t"), "jsonl": as_lines}[suffix]
    return {f"{split}.{suffix}": written(part) for split, part in parts.items()}
