"""`touchstone vectors` tells what is stored, finds damage, and makes room without harming a run."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli import cli
from app.core.fingerprints import text_hashes
from app.storage import upkeep
from app.storage.embeddings import ABOUT, EmbeddingStore

DAY = 86_400.0


def make_store(data_dir: Path, model: str, *, rows: int = 1000, days: float = 2, **choices: Any) -> Path:
    """A store of two segments that was used some days ago."""
    made_from = {"model": model, "revision": "a" * 40, "prompt": "", "role": None, "max_tokens": 256, **choices}
    store = EmbeddingStore(data_dir / "vectors", {**made_from, "dtype": "float32", "backend": "torch"})
    for part in (range(rows // 2), range(rows // 2, rows)):
        vectors = np.random.default_rng(0).random((len(part), 64), dtype=np.float32)
        store.append(text_hashes(map(str, part)), vectors, np.ones(len(part)))
    used = time.time() - days * DAY
    os.utime(store.folder / ABOUT, (used, used))
    return store.folder


def touchstone(data_dir: Path, *arguments: str, code: int = 0) -> str:
    result: Result = CliRunner().invoke(cli, ["vectors", *arguments, "--data-dir", str(data_dir)])
    assert result.exit_code == code, result.output
    return result.output


def harm(store: Path) -> None:
    path = sorted(store.glob("*/vectors.npy"))[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(content)


def kept(data_dir: Path) -> set[str]:
    return {store.made_from["model"] for store in upkeep.survey(data_dir / "vectors") if store.made_from}


def test_an_empty_house(tmp_path: Path) -> None:
    assert touchstone(tmp_path, "list") == "No vectors are stored yet.\n"
    assert json.loads(touchstone(tmp_path, "list", "--json")) == []
    assert touchstone(tmp_path, "verify") == "0 segments are whole, 0 were damaged.\n"
    assert touchstone(tmp_path, "prune", "--damaged") == "Removed 0 stores, 0.0 kB; 0 stores, 0.0 kB, stay.\n"


def test_lists_what_each_store_is_of(tmp_path: Path) -> None:
    make_store(tmp_path, "org/older", days=40, prompt="Represent this sentence\nfor searching relevant passages: ")
    make_store(tmp_path, "org/newer", days=3, role="query")

    head, first, second, total = touchstone(tmp_path, "list").splitlines()

    assert head.split() == ["MODEL", "REVISION", "PROMPT", "READ", "AS", "DIM", "TEXTS", "SIZE", "USED"]
    assert " ".join(first.split()) == "org/newer aaaaaaaaaaaa float32 256 tokens query 64 1,000 277.7 kB 3 d ago"
    assert '"Represent this sentence…"' in second
    assert second.endswith("40 d ago")
    assert total == "2 stores, 555.4 kB"


def test_lists_for_scripts(tmp_path: Path) -> None:
    folder = make_store(tmp_path, "org/model", prompt="query: ")

    (found,) = json.loads(touchstone(tmp_path, "list", "--json"))

    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert time.time() - found.pop("last_used") == pytest.approx(2 * DAY, abs=60)
    assert found == {
        "folder": str(folder),
        "model": "org/model",
        "revision": "a" * 40,
        "prompt": "query: ",
        "role": None,
        "max_tokens": 256,
        "dtype": "float32",
        "backend": "torch",
        "dimensions": 64,
        "texts": 1000,
        "bytes": size,
        "damaged_segments": 0,
    }


def test_damage_is_found_set_aside_and_removed(tmp_path: Path) -> None:
    store = make_store(tmp_path, "org/model")
    make_store(tmp_path, "org/whole")
    assert touchstone(tmp_path, "verify") == "4 segments are whole, 0 were damaged.\n"
    harm(store)

    found = touchstone(tmp_path, "verify", code=1)

    assert found == (
        "org/model: 1 of 2 segments are damaged and were set aside\n3 segments are whole, 1 were damaged.\n"
    )
    assert "1 damaged" in touchstone(tmp_path, "list")
    assert touchstone(tmp_path, "verify") == "3 segments are whole, 0 were damaged.\n"
    assert "Would remove 0 stores and 1 damaged segments, " in touchstone(tmp_path, "prune", "--damaged", "--dry-run")
    assert len(list(store.glob("*.damaged"))) == 1
    assert "Removed 0 stores and 1 damaged segments, " in touchstone(tmp_path, "prune", "--damaged")
    assert list(store.glob("*.damaged")) == []
    assert "damaged" not in touchstone(tmp_path, "list")


def test_prunes_by_age(tmp_path: Path) -> None:
    make_store(tmp_path, "org/old", days=31)
    make_store(tmp_path, "org/new", days=29)

    dry = touchstone(tmp_path, "prune", "--older-than", "30d", "--dry-run")

    assert kept(tmp_path) == {"org/old", "org/new"}
    assert dry.splitlines() == [
        "would remove   277.7 kB  org/old",
        "Would remove 1 store, 277.7 kB; 1 store, 277.7 kB, would stay.",
    ]
    assert "Removed 1 store, 277.7 kB; 1 store, 277.7 kB, stay." in touchstone(tmp_path, "prune", "--older-than", "30d")
    assert kept(tmp_path) == {"org/new"}


def test_prunes_by_size_what_was_not_used_for_longest(tmp_path: Path) -> None:
    for days, name in ((1, "org/c"), (9, "org/a"), (5, "org/b")):
        make_store(tmp_path, name, days=days, rows=4000)

    touchstone(tmp_path, "prune", "--max-size", "2.5MB")

    assert kept(tmp_path) == {"org/b", "org/c"}
    touchstone(tmp_path, "prune", "--max-size", "2.5 mb")
    assert kept(tmp_path) == {"org/b", "org/c"}


def test_what_was_used_within_the_hour_stays(tmp_path: Path) -> None:
    make_store(tmp_path, "org/in-use", days=0.02)

    said = touchstone(tmp_path, "prune", "--older-than", "0h", "--max-size", "0MB")

    assert kept(tmp_path) == {"org/in-use"}
    assert said.splitlines()[-1] == "277.7 kB are more than 0MB: what was used within the last hour stays."


def test_what_was_used_since_it_was_looked_at_stays(tmp_path: Path) -> None:
    folder = make_store(tmp_path, "org/model", days=99)
    chosen = upkeep.plan(upkeep.survey(tmp_path / "vectors"), now=time.time(), older_than=DAY)
    EmbeddingStore(tmp_path / "vectors", json.loads((folder / ABOUT).read_text())).missing(text_hashes(["0"]))

    assert [store.folder for store in chosen.stores] == [folder]
    assert upkeep.prune(chosen).stores == ()
    assert kept(tmp_path) == {"org/model"}


def test_what_another_version_wrote_goes(tmp_path: Path) -> None:
    old = tmp_path / "vectors" / ("b" * 40)
    (old / "segment").mkdir(parents=True)
    (old / "segment" / "meta.json").write_text("{}")
    make_store(tmp_path, "org/model")
    assert "(another version's)" in touchstone(tmp_path, "list")
    touchstone(tmp_path, "prune", "--damaged")
    assert old.exists(), "it may be in use, too"
    os.utime(old, (0, 0))

    touchstone(tmp_path, "prune", "--damaged")

    assert not old.exists()
    assert kept(tmp_path) == {"org/model"}


def test_what_is_no_store_is_left_alone_but_for_the_rest_of_a_removal(tmp_path: Path) -> None:
    make_store(tmp_path, "org/model")
    models, rest = tmp_path / "vectors" / ".models", tmp_path / "vectors" / ".removed-1"
    models.mkdir()
    rest.mkdir()

    touchstone(tmp_path, "prune", "--max-size", "0MB")

    assert [path.name for path in (tmp_path / "vectors").iterdir()] == [".models"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say what may go"),
        (("--older-than", "soon"), "--older-than wants a number and h, d, w, such as 30d; not 'soon'"),
        (("--older-than", "30"), "such as 30d"),
        (("--max-size", "20d"), "--max-size wants a number and MB, GB, TB, such as 20GB; not '20d'"),
    ],
)
def test_what_cannot_be_understood(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    make_store(tmp_path, "org/model", days=99)

    words = " ".join(touchstone(tmp_path, "prune", *arguments, code=2).replace("│", " ").split())

    assert said in words
    assert kept(tmp_path) == {"org/model"}
