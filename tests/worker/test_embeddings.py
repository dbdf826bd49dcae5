"""The vector store keeps what was published whole, and loses nothing else."""

import doctest
import errno
import json
import mmap
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.fingerprints import HASH_DTYPE, file_sha256, text_hashes
from app.errors import RunFailure
from app.storage import embeddings, hash_index, segments
from app.storage.embeddings import EmbeddingStore
from app.storage.hash_index import HashIndex

MADE_FROM = {"model": "local/tiny", "revision": "a" * 40, "prompt": ""}
DIMENSIONS = 8


def vectors_of(texts: list[str]) -> np.ndarray:
    """A vector for every text, the same in every process."""
    rows = [np.random.default_rng(int.from_bytes(text.encode()[:8], "big")).random(DIMENSIONS) for text in texts]
    return np.array(rows, np.float32).reshape(-1, DIMENSIONS)


def fill(store: EmbeddingStore, texts: list[str]) -> None:
    store.append(text_hashes(texts), vectors_of(texts), [len(text) for text in texts])


def folders_of(store: EmbeddingStore) -> list[Path]:
    return sorted(path for path in store.folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def test_gives_back_what_was_stored_in_any_order(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, MADE_FROM)
    texts = [f"text {number}" for number in range(50)]
    fill(store, texts[:30])
    fill(store, texts[30:])

    asked = [texts[number] for number in (49, 0, 31, 0, 12)]

    for reader in (store, EmbeddingStore(tmp_path, MADE_FROM)):
        assert not reader.missing(text_hashes(texts)).any()
        np.testing.assert_array_equal(reader.gather(text_hashes(asked)), vectors_of(asked))


def test_names_what_is_missing(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, MADE_FROM)
    fill(store, ["here"])

    assert store.missing(text_hashes(["there", "here"])).tolist() == [True, False]
    with pytest.raises(LookupError, match="1 of 2 texts"):
        store.gather(text_hashes(["there", "here"]))


def test_an_empty_store_misses_everything(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, MADE_FROM)

    assert store.missing(text_hashes(["a", "b"])).tolist() == [True, True]
    assert store.gather(text_hashes([])).shape == (0, 0)


def test_appending_nothing_makes_no_segment(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, MADE_FROM)
    store.append(text_hashes([]), np.empty((0, DIMENSIONS), np.float32), [])

    assert not store.folder.exists()


def test_refuses_vectors_that_do_not_match_the_texts(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, MADE_FROM)
    with pytest.raises(ValueError, match="2 hashes for 1 vectors and 2 token counts"):
        store.append(text_hashes(["a", "b"]), vectors_of(["a"]), [1, 1])
    with pytest.raises(ValueError, match="1 hashes for 1 vectors and 2 token counts"):
        store.append(text_hashes(["a"]), vectors_of(["a"]), [1, 1])


def test_keys_do_not_share_vectors(tmp_path: Path) -> None:
    fill(EmbeddingStore(tmp_path, MADE_FROM), ["a"])

    assert EmbeddingStore(tmp_path, {**MADE_FROM, "prompt": "query: "}).missing(text_hashes(["a"])).all()


def test_the_segment_published_first_counts(tmp_path: Path) -> None:
    first, second = EmbeddingStore(tmp_path, MADE_FROM), EmbeddingStore(tmp_path, MADE_FROM)
    first.append(text_hashes(["a"]), np.full((1, DIMENSIONS), 1, np.float32), [1])
    second.append(text_hashes(["a"]), np.full((1, DIMENSIONS), 2, np.float32), [2])

    gathered = EmbeddingStore(tmp_path, MADE_FROM).gather(text_hashes(["a"]))

    assert gathered.tolist() == [[1.0] * DIMENSIONS]


def test_sees_what_another_writer_published(tmp_path: Path) -> None:
    reader, writer = EmbeddingStore(tmp_path, MADE_FROM), EmbeddingStore(tmp_path, MADE_FROM)
    assert reader.missing(text_hashes(["a"])).all()

    fill(writer, ["a"])

    np.testing.assert_array_equal(reader.gather(text_hashes(["a"])), vectors_of(["a"]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.lists(st.text(max_size=8), max_size=12), max_size=5), data=st.data())
def test_any_mixture_of_segments_is_one_store(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[str]], data: st.DataObject
) -> None:
    store = EmbeddingStore(tmp_path_factory.mktemp("store"), MADE_FROM)
    for part in parts:
        fill(store, part)
    stored = [text for part in parts for text in part]
    asked = data.draw(st.lists(st.sampled_from(stored), max_size=10)) if stored else []
    absent = [text + "\x01" for text in asked]

    assert not store.missing(text_hashes(asked)).any()
    assert store.missing(text_hashes(absent)).all() or set(absent) & set(stored)
    if asked:
        np.testing.assert_array_equal(store.gather(text_hashes(asked)), vectors_of(asked))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _forge_shape(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "dimensions": 3}))


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("vectors.npy", _flip),
        ("vectors.npy", _cut),
        ("vectors.npy", Path.unlink),
        ("hashes.npy", _flip),
        ("hashes.npy", Path.unlink),
        ("tokens.npy", _flip),
        ("tokens.npy", Path.unlink),
        ("meta.json", _cut),
        ("meta.json", Path.unlink),
        ("meta.json", lambda path: path.write_text("[]")),
        ("meta.json", _forge_shape),
    ],
)
def test_a_damaged_segment_is_set_aside_and_its_texts_are_missing(tmp_path: Path, name: str, harm: object) -> None:
    store = EmbeddingStore(tmp_path, MADE_FROM)
    fill(store, ["lost"])
    fill(store, ["kept"])
    harm(folders_of(store)[0] / name)  # type: ignore[operator]

    found = EmbeddingStore(tmp_path, MADE_FROM)

    assert found.missing(text_hashes(["lost", "kept"])).tolist() == [True, False]
    assert [path.suffix for path in folders_of(found)] == [".damaged", ""]
    np.testing.assert_array_equal(found.gather(text_hashes(["kept"])), vectors_of(["kept"]))
    fill(found, ["lost"])
    assert not EmbeddingStore(tmp_path, MADE_FROM).missing(text_hashes(["lost"])).any()


def test_a_segment_is_checked_once_a_process_and_again_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def counted(path: Path) -> str:
        checked.append(path.name)
        return file_sha256(path)

    monkeypatch.setattr(segments, "file_sha256", counted)
    fill(EmbeddingStore(tmp_path, MADE_FROM), ["a"])
    for _ in range(2):
        assert not EmbeddingStore(tmp_path, MADE_FROM).missing(text_hashes(["a"])).any()
    once = list(checked)
    _flip(folders_of(EmbeddingStore(tmp_path, MADE_FROM))[0] / "vectors.npy")

    assert EmbeddingStore(tmp_path, MADE_FROM).missing(text_hashes(["a"])).all()
    assert once == ["vectors.npy", "hashes.npy", "tokens.npy"]


def test_a_segment_of_other_dimensions_is_set_aside(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, MADE_FROM)
    fill(store, ["first"])
    store.append(text_hashes(["other"]), np.ones((1, DIMENSIONS + 1), np.float32), [1])

    assert EmbeddingStore(tmp_path, MADE_FROM).missing(text_hashes(["first", "other"])).tolist() == [False, True]


def test_half_written_segments_are_not_seen_and_old_ones_go(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, MADE_FROM)
    fill(store, ["a"])
    fresh, old = store.folder / ".1-fresh", store.folder / ".0-old"
    for folder in (fresh, old):
        folder.mkdir()
        (folder / "vectors.npy").write_bytes(b"half")
    os.utime(old, (time.time() - 2 * 86_400,) * 2)

    assert EmbeddingStore(tmp_path, MADE_FROM).missing(text_hashes(["a", "b"])).tolist() == [False, True]
    assert fresh.exists()
    assert not old.exists()


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "disk_full"), (errno.EDQUOT, "disk_full"), (errno.EACCES, None)]
)
@pytest.mark.parametrize("step", ["mkdir", "fsync", "rename"])
def test_a_full_disk_is_told_from_other_errors_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, code: str | None
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    store = EmbeddingStore(tmp_path, MADE_FROM)
    fill(store, ["before"])
    monkeypatch.setattr(segments.os if step == "fsync" else Path, step, fail)

    with pytest.raises(RunFailure if code else OSError) as caught:
        fill(store, ["a"])

    monkeypatch.undo()
    assert getattr(caught.value, "code", None) == code
    assert getattr(caught.value, "remedy", "") or not code
    assert len(list(store.folder.iterdir())) == 2, "what was there before: store.json and a segment"
    assert EmbeddingStore(tmp_path, MADE_FROM).missing(text_hashes(["before", "a"])).tolist() == [False, True]


def test_says_what_it_is_made_from_and_when_it_was_used(tmp_path: Path) -> None:
    fill(EmbeddingStore(tmp_path, MADE_FROM), ["a"])
    (about,) = tmp_path.glob("*/store.json")
    os.utime(about, (0, 0))

    EmbeddingStore(tmp_path, MADE_FROM).missing(text_hashes(["a"]))

    assert json.loads(about.read_text()) == {"format": embeddings.FORMAT, **MADE_FROM}
    assert time.time() - about.stat().st_mtime < 60


def test_a_store_that_goes_with_the_process_is_neither_synced_nor_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EmbeddingStore(tmp_path, MADE_FROM, durable=False)
    fill(store, ["before"])

    def forbidden(*_: object) -> None:
        raise AssertionError("synced or checked")

    monkeypatch.setattr(segments.os, "fsync", forbidden)
    monkeypatch.setattr(segments, "file_sha256", forbidden)
    fill(store, ["a", "b"])

    assert store.missing(text_hashes(["a", "b", "c"])).tolist() == [False, False, True]
    np.testing.assert_array_equal(store.gather(text_hashes(["b", "a"])), vectors_of(["b", "a"]))


# Many texts at a time


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(st.lists(st.text(max_size=4), min_size=1, max_size=12), min_size=1, max_size=4),
    rows=st.integers(1, 9),
    data=st.data(),
)
def test_blocks_give_every_position_once(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[str]], rows: int, data: st.DataObject
) -> None:
    store = EmbeddingStore(tmp_path_factory.mktemp("store"), MADE_FROM)
    for part in parts:
        fill(store, part)
    asked = data.draw(st.lists(st.sampled_from([text for part in parts for text in part]), max_size=20))

    blocks = list(store.blocks(text_hashes(asked), rows))

    positions = [position for block, _ in blocks for position in block.tolist()]
    assert sorted(positions) == list(range(len(asked)))
    assert all(len(block) == len(vectors) <= rows for block, vectors in blocks)
    assert sum(len(block) < rows for block, _ in blocks) <= 1
    for block, vectors in blocks:
        np.testing.assert_array_equal(vectors, vectors_of([asked[position] for position in block]))
    assert store.tokens(text_hashes(asked)).tolist() == [len(text) for text in asked]


def test_a_whole_segment_is_read_without_a_copy(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, MADE_FROM)
    texts = [f"text {number}" for number in range(10)]
    fill(store, texts)

    ((_, first), (_, second)) = store.blocks(text_hashes(texts), 5)

    assert isinstance(_root(first), np.memmap | mmap.mmap)
    assert isinstance(_root(second), np.memmap | mmap.mmap)
    first[0] = 7
    np.testing.assert_array_equal(
        store.gather(text_hashes(texts)), vectors_of(texts), "what a reader changes is its own"
    )


def _root(array: np.ndarray) -> object:
    """What the array's memory belongs to."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base


def test_blocks_name_what_is_missing(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, MADE_FROM)
    fill(store, ["here"])

    with pytest.raises(LookupError, match="1 of 2 texts"):
        next(store.blocks(text_hashes(["here", "there"]), 2))
    with pytest.raises(LookupError, match="1 of 2 texts"):
        store.tokens(text_hashes(["here", "there"]))


# Hashes


few_hashes = st.lists(
    st.sampled_from([head + tail for head in (b"a" * 8, b"\xff" * 8) for tail in (b"1" * 8, b"2" * 8)])
)


@given(known=few_hashes, asked=few_hashes)
def test_hashes_that_share_their_first_half_are_told_apart(known: list[bytes], asked: list[bytes]) -> None:
    array = np.array(known, HASH_DTYPE)

    kept, first = hash_index.unique(array)

    assert [bytes(each) for each in kept] == sorted(set(known))
    assert first.tolist() == [known.index(each) for each in sorted(set(known))]
    assert HashIndex(array).find(np.array(asked, HASH_DTYPE)).tolist() == [
        known.index(each) if each in known else -1 for each in asked
    ]


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(hash_index).failed == 0


# Writers


WRITER = """
import sys
from pathlib import Path
from app.core.fingerprints import text_hashes
from app.storage.embeddings import EmbeddingStore
from tests.worker.test_embeddings import MADE_FROM, fill
store = EmbeddingStore(Path(sys.argv[1]), MADE_FROM)
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    fill(store, [f"{number} {row}" for row in range(20)])
    print(number, flush=True)
"""


def _start_writer(root: Path, first: int, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(root), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[2])


def test_a_killed_writer_loses_only_what_was_not_published(tmp_path: Path) -> None:
    for attempt in range(3):
        writer = _start_writer(tmp_path, 1000 * attempt, 1000 * attempt + 1000)
        assert writer.stdout is not None
        published = [writer.stdout.readline() for _ in range(3 + attempt)]
        writer.send_signal(signal.SIGKILL)
        writer.communicate()

        store = EmbeddingStore(tmp_path, MADE_FROM)
        texts = [f"{number} {row}" for number in map(int, published) for row in range(20)]
        assert not store.missing(text_hashes(texts)).any()
        np.testing.assert_array_equal(store.gather(text_hashes(texts)), vectors_of(texts))
        assert not [path for path in store.folder.iterdir() if path.name.endswith(".damaged")]


def test_writers_at_the_same_time_do_no_harm(tmp_path: Path) -> None:
    writers = [_start_writer(tmp_path, 0, 15), _start_writer(tmp_path, 5, 20)]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0

    texts = [f"{number} {row}" for number in range(20) for row in range(20)]
    store = EmbeddingStore(tmp_path, MADE_FROM)

    assert not store.missing(text_hashes(texts)).any()
    np.testing.assert_array_equal(store.gather(text_hashes(texts)), vectors_of(texts))


def test_the_store_loads_no_heavy_library() -> None:
    code = (
        "import sys, app.storage.embeddings; "
        "print([name for name in ('torch', 'sklearn', 'scipy', 'pandas', 'pyarrow') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
