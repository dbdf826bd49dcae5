"""`touchstone evaluate`: any layout of files in, scores and nothing else out."""

import errno
import json
import os
import pty
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from app.errors import RunFailure
from tests.worker.engine_world import DIMENSIONS, write_model
from worker import evaluate_command, evaluate_report
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
        *("model", "revision", "task_type", "main_metric", "main_score", "interval", "scores", "n", "seconds"),
    }
    assert run(path, "--model", "random", "--task-type", task_type)["scores"] == found["scores"]


def test_words_in_common_find_the_documents(tmp_path: Path) -> None:
    found = run(write_corpus(tmp_path / "corpus"), "--model", "bm25", "--language", "eng")

    assert found["main_score"] == 1.0


def test_choices_reach_the_model(tmp_path: Path) -> None:
    folder, pairs = write_model(tmp_path), write_pairs(tmp_path / "pairs.csv")
    whole = run(pairs, "--model", folder)
    coarse = run(pairs, "--model", folder, "--precision", "binary")
    short = run(pairs, "--model", folder, "--dimensions", DIMENSIONS // 2, "--max-tokens", 8, "--batch-tokens", 16)
    corpus = write_corpus(tmp_path / "corpus")
    prompted = run(corpus, "--model", folder, "--prompt-query", "one ", "--prompt-document", "two ", "--device", "cpu")

    assert whole["model"] == str(folder)
    assert whole["revision"] == short["revision"] == prompted["revision"]
    assert whole["scores"] != short["scores"]
    assert whole["scores"] != coarse["scores"]


def test_what_a_model_costs_is_printed_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.measure.PASSAGE_SECONDS", 0.001)
    folder, pairs = write_model(tmp_path), write_pairs(tmp_path / "pairs.csv")

    found = run(pairs, "--model", folder, "--device", "cpu", "--measure")
    shown = CliRunner().invoke(cli, [str(pairs), "--model", str(folder), "--device", "cpu", "--measure"]).stdout

    assert set(found["measured"]) == {
        *("device", "peak_memory_mb", "query_p50_ms", "query_p95_ms", "documents_per_second", "details"),
    }
    assert found["measured"]["device"].startswith("cpu: ")
    assert found["main_score"] == run(pairs, "--model", folder)["main_score"]
    lines = shown.splitlines()
    first = lines.index(f"Measured on {found['measured']['device']}")
    assert [line.split()[-1] for line in lines[first + 1 : first + 5]] == ["MB", "ms", "ms", "second"]


def test_what_cannot_be_measured_says_so_beside_the_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> object:
        raise RunFailure("Not even one text fits.", code="out_of_memory", remedy="Use fewer tokens a text.")

    monkeypatch.setattr("worker.evaluate.measure_model", failing)
    folder, pairs = write_model(tmp_path), write_pairs(tmp_path / "pairs.csv")

    baseline = run(pairs, "--model", "random", "--measure")
    shown = CliRunner().invoke(cli, [str(pairs), "--model", str(folder), "--measure"])

    assert (baseline["measured"], baseline["not_measured"]) == (None, "A baseline has no cost to measure.")
    assert (shown.exit_code, "cosine_spearman" in shown.stdout) == (0, True)
    assert "\n\nNot measured. Not even one text fits. Use fewer tokens a text.\n" in shown.stdout


def test_other_splits_of_a_folder(tmp_path: Path) -> None:
    for split in ("train", "test", "validation"):
        write_labelled(tmp_path / f"{split}.jsonl")
    with (tmp_path / "validation.jsonl").open("a") as file:
        file.write(json.dumps({"text": "one more dog", "label": "dog"}) + "\n")

    assert run(tmp_path, "--model", "random")["n"] == 8
    assert run(tmp_path, "--model", "random", "--split", "validation")["n"] == 9
    both = run(tmp_path, "--model", "random", "--split", "test, validation")
    assert (both["n"], list(both["cells"])) == (17, ["test/default", "validation/default"])


def test_several_subsets_are_averaged(tmp_path: Path) -> None:
    rows = ["sentence1,sentence2,score,subset"]
    rows += [f"{a},{b},{score},{subset}" for subset in ("deu", "eng") for a, b, score in PAIRS]
    rows[1] = "the cat sat,two dogs,4.0,deu"
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(rows) + "\n")

    found = run(path, "--model", "random")

    shown = CliRunner().invoke(cli, [str(path), "--model", "random"]).stdout.splitlines()
    each = [cell["cosine_spearman"] for cell in found["cells"].values()]
    for cell, score in zip(("test/deu", "test/eng"), each, strict=True):
        assert f"{cell:<20}{100 * score:>8.2f}" in shown
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
    return [write_labelled(folder / "tickets.jsonl"), "--task-type", "Classification"]


def _unknown_type(folder: Path) -> list[object]:
    return [write_pairs(folder / "pairs.csv"), "--task-type", "Astrology"]


def _split_of_a_file(folder: Path) -> list[object]:
    return [write_pairs(folder / "pairs.csv"), "--split", "dev"]


def _split_that_is_not_there(folder: Path) -> list[object]:
    write_pairs(folder / "test.csv")
    return [folder, "--split", "dev"]


def _empty_folder(folder: Path) -> list[object]:
    return [folder]


def _choice_of_another_type(folder: Path) -> list[object]:
    return [write_pairs(folder / "pairs.csv"), "--ignore-identical-ids"]


def _sets_of_another_type(folder: Path) -> list[object]:
    return [write_pairs(folder / "pairs.csv"), "--cluster-sets", 2]


def _unknown_precision(folder: Path) -> list[object]:
    return [write_pairs(folder / "pairs.csv"), "--precision", "int4"]


def _too_many_dimensions(folder: Path) -> list[object]:
    return [write_pairs(folder / "pairs.csv"), "--model", write_model(folder / "made"), "--dimensions", DIMENSIONS + 1]


def _no_such_model(folder: Path) -> list[object]:
    return [write_pairs(folder / "pairs.csv"), "--model", "nobody/nothing"]


def _no_folder_for_the_result(folder: Path) -> list[object]:
    return [write_pairs(folder / "pairs.csv"), "--mteb-json", folder / "nowhere" / "result.json"]


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
            "pairs.csv, row 6, score: Row 6: score is not a number. Write it like 3.5, with a point. (and 1 more) "
            "Taken as STS, by the columns sentence1, sentence2 and score.",
        ),
        (_other_columns, "The columns a, b belong to no task type."),
        (_no_split_column, '"split"'),
        (_unknown_type, "There is no task type 'Astrology'"),
        (_split_of_a_file, 'pairs.csv, split: There is no split "dev".'),
        (_split_that_is_not_there, 'There is no split "dev". The splits found are: "test".'),
        (_empty_folder, "There is no table in "),
        (_choice_of_another_type, "identical ids cannot be ignored"),
        (_sets_of_another_type, "only Clustering has them"),
        (_unknown_precision, "There is no precision 'int4'. Choose one of: float32, int8, uint8, binary."),
        (_too_many_dimensions, "dimensions"),
        (_no_such_model, "not on this machine"),
        (_no_folder_for_the_result, "--mteb-json names a file to write, in a folder that exists"),
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
    assert lines[-1] == "Taken as Retrieval, by the file corpus.jsonl. Another: --task-type."


def test_a_named_task_type_needs_no_remark(tmp_path: Path) -> None:
    arguments = [str(write_pairs(tmp_path / "pairs.csv")), "--model", "random", "--task-type", "STS"]

    assert "Taken as" not in CliRunner().invoke(cli, arguments).stdout


def test_what_is_odd_about_the_file_is_told_below(tmp_path: Path) -> None:
    write_pairs(tmp_path / "dev.csv")
    (tmp_path / "notes.txt").write_text("none")

    lines = CliRunner().invoke(cli, [str(tmp_path), "--model", "random", "--task-type", "STS"]).stdout.splitlines()

    assert lines[lines.index("", 3) + 1 :] == [
        'The file "notes.txt" is not used.',
        "There is no test split, so dev is scored.",
    ]


def test_metrics_without_bounds_are_shown_as_they_are() -> None:
    report = {
        "model": "m",
        "task_type": "Regression",
        "main_metric": "kendalltau",
        "main_score": 0.5,
        "interval": {"low": 0.25, "high": 0.7, "n": 1200},
        "scores": {"kendalltau": 0.5, "mae": 1234.5678, "mse": 0.25, "r2": -0.125},
        "n": 10,
        "seconds": 1.0,
    }

    shown = list(evaluate_report.table(report))
    lines = [line.split() for line in shown][3:]

    assert shown[1] == "kendalltau  50.00  (95%: 25.00 to 70.00, n = 1,200)"
    assert lines == [["kendalltau", "50.00"], ["mae", "1,235"], ["mse", "0.25"], ["r2", "-0.125"]]


def test_identical_ids_are_ignored_on_request(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "corpus")
    with (folder / "queries.jsonl").open("a") as file:
        file.write(json.dumps({"_id": "d2", "text": "green tree"}) + "\n")
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("d2\td2\t1\n")

    assert run(folder, "--model", "bm25")["scores"]["recall_at_1"] == 1.0
    assert run(folder, "--model", "bm25", "--ignore-identical-ids")["scores"]["recall_at_1"] == pytest.approx(
        2 / 3, 1e-4
    )


def test_rows_are_cut_into_whole_sets_on_request(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "topics.jsonl")

    assert "ami" in run(path, "--model", "random")["scores"]
    assert set(run(path, "--model", "random", "--cluster-sets", 2)["scores"]) == {"v_measure", "v_measure_std"}


def test_scores_are_also_written_as_mteb_writes_them(tmp_path: Path) -> None:
    from mteb.results import TaskResult

    rows = ["sentence1,sentence2,score,subset"]
    rows += [f"{a},{b},{score},{subset}" for subset in ("deu", "eng") for a, b, score in PAIRS]
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    written = tmp_path / "result.json"

    found = run(tmp_path / "pairs.csv", "--model", "random", "--mteb-json", written, "--language", "eng-Latn")

    result = TaskResult.from_disk(written)
    assert (result.task_name, result.mteb_version, result.languages) == ("pairs", metadata.version("mteb"), ["eng"])
    assert result.get_score() == pytest.approx(found["main_score"])
    assert result.date is not None
    assert [cell["hf_subset"] for cell in result.scores["test"]] == ["deu", "eng"]
    for cell in result.scores["test"]:
        own = found["cells"][f"test/{cell['hf_subset']}"]
        assert {name: cell[name] for name in own} == own


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    blocked = tmp_path / ("x" * 300)

    message = run(write_pairs(tmp_path / "pairs.csv"), "--model", "random", "--mteb-json", blocked, code=1)["error"]

    assert message.endswith(": File name too long.\n")
    assert message.count("\n") == 1


def test_scores_are_printed_before_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "result.json")

    monkeypatch.setattr(evaluate_report, "write_mteb", full)
    arguments = [str(write_pairs(tmp_path / "pairs.csv")), "--model", "random", "--json"]

    result = CliRunner().invoke(cli, [*arguments, "--mteb-json", str(tmp_path / "result.json")])

    assert result.exit_code == 1
    assert json.loads(result.stdout)["n"] == 4
    assert result.stderr == "result.json: No space left on device.\n"


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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument"),
        (["pairs.csv"], "Missing option '--model'."),
        (["pairs.csv", "--model", "random", "--dimensions", "0"], "Invalid value for '--dimensions'"),
        (["pairs.csv", "--model", "random", "--dimension", "8"], "No such option: --dimension"),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], words: str) -> None:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, cwd=ROOT, check=False)

    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_help_names_the_command() -> None:
    done = subprocess.run(command("--help"), capture_output=True, text=True, cwd=ROOT, check=True)

    assert "touchstone evaluate" in done.stdout
    for option in (
        *("--model", "--task-type", "--split", "--prompt-query", "--prompt-document", "--dimensions", "--precision"),
        *("--max-tokens", "--batch-tokens", "--device", "--ignore-identical-ids", "--cluster-sets", "--language"),
        *("--measure", "--json", "--mteb-json"),
    ):
        assert option in done.stdout
