"""The public datasets as tasks of mteb's own, read with nothing but `csv` and `json`: apart from our reader."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mteb.abstasks import AbsTask

from bench import mteb_tasks
from bench.mteb_tasks import Rows, Searchable
from bench.sets import CLUSTER_SETS, PublicSet


def task(public: PublicSet) -> AbsTask:
    """The task that scores the set, filled with it."""
    found = mteb_tasks.official(public.mteb_task, public.subset, public.split)
    mteb_tasks.fill(found, public.subset, _content(public))
    return found


def _content(public: PublicSet) -> dict[str, Rows | Searchable]:
    folder, split = public.folder, public.split
    match public.task_type:
        case "Retrieval":
            return {split: _beir(folder)}
        case "Reranking":
            return {split: _candidates(_rows(folder / "test.jsonl"))}
        case "Classification":
            return {"train": _rows(folder / "train.csv"), split: _rows(folder / "test.csv")}
        case _:
            path = next(folder.glob("test.*"))
            return {split: [_typed(row) for row in _rows(path, CLUSTER_SETS.get(public.name, 1))]}


def _rows(path: Path, sets: int = 1) -> list[dict[str, Any]]:
    """The rows of a CSV or JSONL file; `set` counts the equal parts they are cut into."""
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file)) if path.suffix == ".csv" else list(_json_lines(file))
    for number, part in enumerate(np.array_split(np.arange(len(rows)), sets)):
        for row in part:
            rows[row]["set"] = number
    return rows


def _json_lines(lines: Any) -> Iterator[dict[str, Any]]:
    for line in lines:
        yield json.loads(line)


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """Scores and pair labels as numbers, a topic as a list of one level."""
    typed = dict(row)
    if "score" in row:
        typed["score"] = float(row["score"])
    if "sentence1" in row and "label" in row:
        typed["label"] = int(row["label"])
    elif "label" in row:
        typed["labels"] = [row["label"]]
    return typed


def _beir(folder: Path) -> Searchable:
    qrels: dict[str, dict[str, int]] = {}
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            qrels.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    documents = [
        {"id": row["_id"], "title": row["title"], "text": row["text"]} for row in _rows(folder / "corpus.jsonl")
    ]
    queries = [{"id": row["_id"], "text": row["text"]} for row in _rows(folder / "queries.jsonl")]
    return Searchable(queries, documents, qrels)


def _candidates(rows: Rows) -> Searchable:
    """Rows with a query, positive and negative texts, by the ids that mteb gives them."""
    queries, documents, qrels, candidates = [], [], {}, {}
    for number, row in enumerate(rows):
        query = f"test_query{number}"
        queries.append({"id": query, "text": row["query"]})
        texts = {f"apositive_{query}_{place:05}": text for place, text in enumerate(row["positive"])}
        relevance = dict.fromkeys(texts, 1)
        texts |= {f"negative_{query}_{place:05}": text for place, text in enumerate(row["negative"])}
        documents += [{"id": document, "text": text} for document, text in texts.items()]
        qrels[query] = {document: relevance.get(document, 0) for document in texts}
        candidates[query] = list(texts)
    return Searchable(queries, documents, qrels, candidates)
