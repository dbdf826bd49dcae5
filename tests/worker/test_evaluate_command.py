"""`touchstone evaluate`: any layout of files in, scores and nothing else out."""

import json
import os
import pty
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.worker.engine_world import DIMENSIONS, write_model
from worker import evaluate_command
from worker.evaluate_command import cli

ROOT = Path(__file__).resolve().parents[2]

PAIRS = [
    ("the cat sat", "a cat sat", 4.0),
    ("one dog", "three trees", 0.5),
    ("red mat", "a mat", 3.0),
    ("blue", "two dogs ran", 1.0),
]
LABELLED = [(f"{word} {animal}", animal) for animal in ("cat", "dog") for word in ("red", "blue", "green", "one")]


def write_pairs(path: Path, delimiter: str = ",") -> Path:
    lines = [delimiter.join(("sentence1", "sentence2", "score"))]
    path.write_text("\n".join(lines + [delimiter.join(map(str, pair)) for pair in PAIRS]) + "\n", encoding="utf-8")
    return path


def write_labelled(path: Path) -> Path:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in LABELLED))
    return path


def write_corpus(folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": f"d{row}", "text": text} for row, text in enumerate(("red cat", "blue dog", "green tree"))]
    queries = [{"_id": f"q{row}", "text": text} for row, text in enumerate(("cat", "dog"))]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t1\n")
    return folder


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def run(*arguments: object, code: int = 0) -> dict[str, Any]:
    """What the command prints as JSON."""
    result = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout) if code == 0 else {"error": result.stderr}
    return found


def layouts(folder: Path) -> dict[str, tuple[Path, str, int]]:
    """One dataset of every layout: path, task type and number of examples."""
    table = pa.table(dict(zip(("sentence1", "sentence2", "score"), zip(*PAIRS, strict=True), strict=True)))
    pq.write_table(table, folder / "pairs.parquet")
    splits = folder / "splits"
    splits.mkdir()
    for split in ("train", "test"):
        write_labelled(splits / f"{split}.jsonl")
    write_pairs(folder / "pairs.csv"), write_pairs(folder / "pairs.tsv", "\t")
    (folder / "sts").mkdir()
    write_pairs(folder / "sts" / "test.csv")
    corpus = write_corpus(folder / "corpus")
    return {
        "csv": (folder / "pairs.csv", "STS", 4),
        "tsv": (folder / "pairs.tsv", "STS", 4),
        "parquet": (folder / "pairs.parquet", "STS", 4),
        "folder of pairs": (folder / "sts", "STS", 4),
        "folder of splits": (splits, "Classification", 8),
        "zip of splits": (zipped(splits), "Classification", 8),
        "BEIR folder": (corpus, "Retrieval", 2),
        "BEIR zip": (zipped(corpus), "Retrieval", 2),
    }


@pytest.mark.parametrize(
    "layout",
    ["csv", "tsv", "parquet", "folder of pairs", "folder of splits", "zip of splits", "BEIR folder", "BEIR zip"],
)
def test_reads_every_layout_and_tells_its_type(layout: str, tmp_path: Path) -> None:
    path, task_type, count = layouts(tmp_path)[layout]

    found = run(path, "--model", "random")

    assert (found["task_type"], found["n"], found["model"]) == (task_type, count, "random")
    assert found["main_score"] == found["scores"][found["main_metric"]]
    assert set(found) == {
        *("model", "revision", "task_type", "main_metric", "main_score", "scores", "n", "seconds"),
    }
    assert run(path, "--model", "random", "--task-type", task_type)["scores"] == found["scores"]


def test_words_in_common_find_the_documents(tmp_path: Path) -> None:
    found = run(write_corpus(tmp_path / "corpus"), "--model", "bm25", "--language", "eng")

    assert found["main_score"] == 1.0


def test_choices_reach_the_model(tmp_path: Path) -> None:
    folder, pairs = write_model(tmp_path), write_pairs(tmp_path / "pairs.csv")
    whole = run(pairs, "--model", folder)
    short = run(pairs, "--model", folder, "--dimensions", DIMENSIONS // 2, "--max-tokens", 8, "--batch-tokens", 16)
    corpus = write_corpus(tmp_path / "corpus")
    prompted = run(corpus, "--model", folder, "--prompt-query", "one ", "--prompt-document", "two ", "--device", "cpu")

    assert whole["model"] == str(folder)
    assert whole["revision"] == short["revision"] == prompted["revision"]
    assert whole["scores"] != short["scores"]


def test_another_split_of_a_folder(tmp_path: Path) -> None:
    for split in ("train", "test", "validation"):
        write_labelled(tmp_path / f"{split}.jsonl")
    with (tmp_path / "validation.jsonl").open("a") as file:
        file.write(json.dumps({"text": "one more dog", "label": "dog"}) + "\n")

    assert run(tmp_path, "--model", "random")["n"] == 8
    assert run(tmp_path, "--model", "random", "--split", "validation")["n"] == 9


def test_several_subsets_are_averaged(tmp_path: Path) -> None:
    rows = ["sentence1,sentence2,score,subset"]
    rows += [f"{a},{b},{score},{subset}" for subset in ("deu", "eng") for a, b, score in PAIRS]
    rows[1] = "the cat sat,two dogs,4.0,deu"
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(rows) + "\n")

    found = run(path, "--model", "random")

    each = [cell["cosine_spearman"] for cell in found["cells"].values()]
    assert list(found["cells"]) == ["test/deu", "test/eng"]
    assert found["main_score"] == pytest.approx(sum(each) / 2)
    assert found["n"] == 8


def _no_path(folder: Path) -> list[object]:
    return [folder / "nowhere"]


def _bad_row(folder: Path) -> list[object]:
    path = write_pairs(folder / "pairs.csv")
    path.write_text(path.read_text() + "a,b,many\nc,d,more\n")
    return [path]


def _other_columns(folder: Path) -> list[object]:
    path = folder / "table.csv"
    path.write_text("a,b\n1,2\n")
    return [path]


def _no_split_column(folder: Path) -> list[object]:
    return [write_labelled(folder / "tickets.jsonl")]


def _unknown_type(folder: Path) -> list[object]:
    return [write_pairs(folder / "pairs.csv"), "--task-type", "Astrology"]


def _split_of_a_file(folder: Path) -> list[object]:
    return [write_pairs(folder / "pairs.csv"), "--split", "dev"]


def _split_that_is_not_there(folder: Path) -> list[object]:
    write_pairs(folder / "test.csv")
    return [folder, "--split", "dev"]


def _no_model(folder: Path) -> list[object]:
    model = write_model(folder / "made")
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    return [write_pairs(folder / "pairs.csv"), "--model", model]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (_no_path, "There is no"),
        (
            _bad_row,
            "pairs.csv, row 6, score: Row 6: score is not a number. Write it like 3.5, with a point. (and 1 more)",
        ),
        (_other_columns, "table.csv, row 1"),
        (_no_split_column, '"split"'),
        (_unknown_type, "There is no task type 'Astrology'"),
        (_split_of_a_file, "--split chooses among the files of a folder"),
        (_split_that_is_not_there, "no file for the split 'dev'"),
        (_no_model, "pickle"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_one_clear_line_for_bad_input(make: Any, word: str, tmp_path: Path) -> None:
    arguments = make(tmp_path)
    if "--model" not in arguments:
        arguments += ["--model", "random"]

    message = run(*arguments, code=1)["error"]

    assert word in message
    assert message.count("\n") == 1


def test_an_interrupted_run_ends_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate_command, "_read", interrupt)

    assert run(tmp_path, "--model", "random", code=130)["error"] == "Interrupted.\n"


def test_prints_a_table_for_people(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, [str(write_corpus(tmp_path / "corpus")), "--model", "bm25"])

    lines = result.stdout.splitlines()
    assert lines[0].startswith("bm25 on Retrieval, 2 examples, ")
    assert lines[1] == "ndcg_at_10  100.00"
    assert "accuracy              100.00" in lines
    assert "at                         1       3       5      10      20     100    1000" in lines
    assert not any("nauc" in line for line in lines)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "worker.evaluate_command", *map(str, arguments)]


def test_standard_output_holds_json_only(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    environment = {**os.environ, "TRANSFORMERS_VERBOSITY": "info", "PYTHONWARNINGS": "default"}

    done = subprocess.run(
        command(write_pairs(tmp_path / "pairs.csv"), "--model", folder, "--json"),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=True,
    )

    assert json.loads(done.stdout)["task_type"] == "STS"
    assert done.stderr == ""


def test_a_terminal_sees_progress(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        command(write_pairs(tmp_path / "pairs.csv"), "--model", "random", "--json"),
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=ROOT,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)

    assert json.loads(done.stdout)["n"] == 4
    assert "encode [##############################] 8 of 8" in shown
    assert "load ..." in shown


def test_help_names_the_command() -> None:
    done = subprocess.run(command("--help"), capture_output=True, text=True, cwd=ROOT, check=True)

    assert "touchstone evaluate" in done.stdout
    for option in (
        "--model",
        "--task-type",
        "--split",
        "--dimensions",
        "--max-tokens",
        "--batch-tokens",
        "--device",
        "--json",
    ):
        assert option in done.stdout


def test_links_into_a_chosen_split_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    data = tmp_path / "data"
    data.mkdir()
    write_pairs(data / "test.csv")
    shutil.copy(data / "test.csv", data / "dev.csv")

    assert run(data, "--model", "random", "--split", "dev")["n"] == 4
    assert list(scratch.iterdir()) == []
