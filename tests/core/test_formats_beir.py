"""The retrieval family from BEIR files: candidates, instructions, changes, splits and subsets."""

from pathlib import Path
from typing import Any

import pytest

from app.core.formats import Choices, Limits, ReadResult, read_dataset, scored_examples
from app.core.records import Query, RetrievalData
from tests.core.refused_files import CORPUS, QRELS, QUERIES, zipped
from tests.core.refused_types import FOLLOWED, RANKED

FILES = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/test.tsv": QRELS}
RANKED_TABLE = "query-id\tcorpus-id\nq1\td1\nq2\td2\nq1\td2\n"
CANDIDATES = {"q1": ("d1", "d2"), "q2": ("d2",)}
INSTRUCTIONS = '{"query-id":"q2","instruction":"only cats"}\n{"query-id":"q1","instruction":"only dogs"}\n'
INSTRUCTED = (Query("q1", "eins", "only dogs"), Query("q2", "zwei", "only cats"))


def read(folder: Path, files: dict[str, str], task_type: str, **choices: Any) -> ReadResult:
    path = folder / "upload"
    path.write_bytes(zipped(files))
    return read_dataset(path, "set.zip", task_type, Limits(), choices=Choices(**choices))


def only(result: ReadResult) -> RetrievalData:
    (cell,) = result.dataset.cells
    assert isinstance(cell.data, RetrievalData)
    return cell.data


def warned(result: ReadResult) -> list[tuple[str, int]]:
    return [(warning.code, warning.count) for warning in result.warnings]


@pytest.mark.parametrize("top", ["", "set/"])
@pytest.mark.parametrize(("name", "text"), [("test.jsonl", RANKED), ("test.tsv", RANKED_TABLE)])
def test_candidates_are_read_from_lines_or_a_table(tmp_path: Path, name: str, text: str, top: str) -> None:
    files = {top + file: content for file, content in {**FILES, f"top_ranked/{name}": text}.items()}
    result = read(tmp_path, files, "Reranking")
    assert only(result).candidates == CANDIDATES
    assert (only(result).changed, result.warnings) == (None, ())
    assert result.counts == {"queries": 2, "documents": 2, "judgements": 2}
    assert scored_examples(result.dataset) == 2


def test_only_judged_queries_keep_their_candidates_and_judgements_outside_are_counted(tmp_path: Path) -> None:
    qrels = QRELS.replace("q2\td2\t2\n", "q1\td2\t1\n")
    ranked = RANKED.replace('"d1","d2"', '"d1"')
    result = read(tmp_path, {**FILES, "qrels/test.tsv": qrels, "top_ranked/test.jsonl": ranked}, "Reranking")
    assert only(result).candidates == {"q1": ("d1",)}
    assert warned(result) == [("query_without_judgement", 1), ("outside_candidates", 1)]


@pytest.mark.parametrize("task_type", ["Retrieval", "InstructionRetrieval"])
def test_candidates_that_are_not_used(tmp_path: Path, task_type: str) -> None:
    files = {**FILES, "top_ranked/test.jsonl": RANKED, "instructions.jsonl": INSTRUCTIONS}
    result = read(tmp_path, files, task_type)
    assert only(result).candidates is None
    assert only(result).queries == (
        INSTRUCTED if task_type == "InstructionRetrieval" else (Query("q1", "eins"), Query("q2", "zwei"))
    )
    assert f"{task_type} ranks the whole corpus" in result.warnings[-1].message


def test_instructions_beside_the_queries(tmp_path: Path) -> None:
    lines = [
        f'{{"_id":"{query.id}","text":"{query.text}","instruction":"{query.instruction}"}}\n' for query in INSTRUCTED
    ]
    result = read(tmp_path, {**FILES, "queries.jsonl": "".join(lines)}, "InstructionRetrieval")
    assert (only(result).queries, result.warnings) == (INSTRUCTED, ())


def test_a_query_without_an_instruction_is_a_warning(tmp_path: Path) -> None:
    files = {**FILES, "instructions.jsonl": INSTRUCTIONS.split("\n")[0]}
    result = read(tmp_path, files, "InstructionRetrieval")
    assert only(result).queries == (Query("q1", "eins"), INSTRUCTED[1])
    assert warned(result) == [("query_without_instruction", 1)]


def test_pairs_of_queries_with_a_changed_instruction(tmp_path: Path) -> None:
    result = read(tmp_path, FOLLOWED, "InstructionReranking")
    data = only(result)
    assert data.queries == (Query("a-og", "eins", "i"), Query("a-changed", "eins", "not i"))
    assert data.candidates == {"a-og": ("d1", "d2"), "a-changed": ("d1", "d2")}
    assert data.changed == {"a": ("d1",)}
    assert result.warnings == ()
    assert result.counts == {"queries": 2, "documents": 2, "changes": 1, "judgements": 2}
    assert scored_examples(result.dataset) == 2


def test_changes_that_do_not_count_are_a_warning(tmp_path: Path) -> None:
    more = {
        "queries.jsonl": FOLLOWED["queries.jsonl"] + '{"_id":"b-og","text":"x"}\n{"_id":"b-changed","text":"x"}\n',
        "qrel_diff.jsonl": FOLLOWED["qrel_diff.jsonl"] + '{"query-id":"b","corpus-ids":["d2"]}\n',
    }
    result = read(tmp_path, {**FOLLOWED, **more}, "InstructionReranking")
    assert only(result).changed == {"a": ("d1",)}
    assert warned(result) == [("query_without_judgement", 2), ("pair_without_change", 1)]


def test_several_splits_share_a_corpus(tmp_path: Path) -> None:
    files = {**FILES, "qrels/dev.tsv": QRELS.replace("q2\td2\t2\n", ""), "qrels/train.tsv": QRELS}
    result = read(tmp_path, files, "Retrieval", splits=("test", "dev"), ignore_identical_ids=True)
    dev, test = result.dataset.cells
    assert [(cell.split, len(cell.data.queries)) for cell in (dev, test)] == [("dev", 1), ("test", 2)]
    assert dev.data.documents is test.data.documents
    assert dev.data.ignore_identical_ids and test.data.ignore_identical_ids
    assert result.counts == {"queries": 3, "documents": 2, "judgements": 3}
    assert warned(result) == [("dropped_split", 2), ("query_without_judgement", 1)]


def test_a_folder_a_subset(tmp_path: Path) -> None:
    files = {f"{subset}/{name}": text for subset in ("en", "de") for name, text in FILES.items()}
    files["en/qrels/dev.tsv"] = QRELS
    result = read(tmp_path, {**files, "README.md": "x", "a/b/corpus.jsonl": "x"}, "Retrieval", splits=("test", "dev"))
    assert [(cell.split, cell.subset) for cell in result.dataset.cells] == [
        ("test", "de"),
        ("dev", "en"),
        ("test", "en"),
    ]
    assert result.counts == {"queries": 6, "documents": 4, "judgements": 6}
    assert warned(result) == [("ignored_file", 1), ("ignored_file", 1), ("missing_split", 1)]


@pytest.mark.parametrize("ranked", [RANKED, RANKED_TABLE])
def test_progress_ends_at_the_total(tmp_path: Path, ranked: str) -> None:
    seen: list[tuple[int, int]] = []
    suffix = "jsonl" if ranked is RANKED else "tsv"
    path = tmp_path / "upload"
    path.write_bytes(
        zipped({**FILES, f"top_ranked/test.{suffix}": ranked, "qrels/train.tsv": QRELS, "a.txt": "x" * 99})
    )
    read_dataset(path, "set.zip", "Reranking", Limits(), progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert len({total for _, total in seen}) == 1
    assert seen[-1][0] == seen[-1][1] > 0
