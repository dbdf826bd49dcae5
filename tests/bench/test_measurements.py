"""Each measurement at a size that shows that it works; what it shows of speed means nothing."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.core.records import RetrievalData
from bench import __main__ as command_line
from bench import again, board, board_house, engine, gpu, imports, memory, sets
from bench.common import ROOT, TOLERANCE, differences
from bench.made import retrieval_dataset

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", engine.CASES)
def test_both_engines_come_to_the_same_scores(case: str) -> None:
    size = engine.CASES[case].quick

    ours, theirs = engine.ours(case, size), engine.theirs(case, size, by_batch=True)

    assert max(differences(ours, theirs)) < TOLERANCE
    assert all(0 < score < 1 for name, score in ours.scores[0].items() if name in {"ndcg_at_10", "accuracy", "max_ap"})
    assert ours.seconds > 0
    assert theirs.stages


def test_a_comparison_runs_in_processes_of_its_own_and_writes_nothing() -> None:
    done = bench("retrieval", "--quick")

    assert done.returncode == 0, done.stderr
    assert "| where the time goes |" in done.stdout
    assert "Written" not in done.stdout


def test_memory_is_measured_while_a_store_is_searched(tmp_path: Path) -> None:
    size = {"documents": 3_000, "queries": 20}
    first = memory.fill(str(tmp_path), **size)

    second, peer = memory.score(str(tmp_path), **size), memory.read(str(tmp_path), **size)

    assert second.scores == first.scores
    assert (first.facts["texts_encoded"], second.facts["texts_encoded"]) == (3_020, 0)
    assert 50 < second.facts["imported_mb"] <= second.facts["before_mb"] <= second.facts["peak_mb"]
    assert peer.seconds > 0


def test_the_board_is_asked_over_http() -> None:
    result = board.measure("board", quick=True)

    ((_, *figures),) = result.rows
    assert len(figures) == len(result.head) - 1 == len(result.targets)
    assert all(target.reached > 0 for target in result.targets)


@pytest.mark.skipif(not board_house.PUBLIC.is_dir(), reason="the public results (shared/data/mteb) are not here")
def test_public_results_are_imported_again_and_again(tmp_path: Path) -> None:
    made = imports.multiply(tmp_path, 100)

    ours, theirs = imports.ours(str(tmp_path)), imports.theirs(str(tmp_path))

    assert 100 <= made == theirs.facts["files"] < ours.facts["files"]
    assert ours.facts["peak_mb"] > 0


def test_one_document_in_a_hundred_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    small = retrieval_dataset(250, 3)
    monkeypatch.setattr(sets, "public_sets", lambda names: [SimpleNamespace(name="one", read=lambda: small)])

    before, after = (again.corpus(2, 1, changed=changed).cells[0].data for changed in (False, True))

    assert isinstance(before, RetrievalData)
    assert isinstance(after, RetrievalData)
    assert len(before.documents) == 2 * 250
    assert sum(old != new for old, new in zip(before.documents, after.documents, strict=True)) == 5
    assert after.queries == before.queries
    assert set(after.qrels) == {query.id for query in after.queries}
    assert {name for own in after.qrels.values() for name in own} <= {document.id for document in after.documents}


def test_the_gpu_is_left_out_in_one_line_where_there_is_none() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")

    done = bench("gpu", "--quick")

    assert (done.returncode, done.stderr) == (0, "gpu: there is no GPU here, so this is left out.\n")


def test_the_measurement_for_gpus_works_on_a_processor() -> None:
    result = gpu.measure("gpu", quick=True, device="cpu")

    assert [row[0] for row in result.rows] == ["tiny, bfloat16", "tiny, float32"]
    assert all(target.reached > 0 for target in result.targets)


def test_one_failure_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = []

    def measure(name: str, **_: object) -> None:
        assert name != "pairs", "the scores differ by 0.5"
        done.append(name)

    monkeypatch.setattr(command_line, "_measure", measure)
    monkeypatch.setattr(sys, "argv", ["bench", "retrieval", "pairs", "memory", "--quick"])

    assert command_line.main() == 1
    assert done == ["retrieval", "memory"]
    assert "pairs: the scores differ by 0.5" in capsys.readouterr().err


def test_an_unknown_measurement_is_named() -> None:
    done = bench("speed")

    assert done.returncode == 1
    assert done.stderr.startswith("There is no measurement speed. Choose of: retrieval, ")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
