"""The vector store keeps what was published whole, and loses nothing else."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.fingerprints import text_hashes
from app.errors import RunFailure
from app.storage import embeddings
from app.storage.embeddings import EmbeddingStore

KEY = "a" * 40
DIMENSIONS = 8


def vectors_of(texts: list[str]) -> np.ndarray:
    """A vector for every text, the same in every process."""
    rows = [np.random.default_rng(int.from_bytes(text.encode()[:8], "big")).random(DIMENSIONS) for text in texts]
    return np.array(rows, np.float32).reshape(-1, DIMENSIONS)


def fill(store: EmbeddingStore, texts: list[str]) -> None:
    store.append(text_hashes(texts), vectors_of(texts))


def segments(store: EmbeddingStore) -> list[Path]:
    return sorted(path for path in store.folder.iterdir() if not path.name.startswith("."))


def test_gives_back_what_was_stored_in_any_order(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, KEY)
    texts = [f"text {number}" for number in range(50)]
    fill(store, texts[:30])
    fill(store, texts[30:])

    asked = [texts[number] for number in (49, 0, 31, 0, 12)]

    for reader in (store, EmbeddingStore(tmp_path, KEY)):
        assert not reader.missing(text_hashes(texts)).any()
        np.testing.assert_array_equal(reader.gather(text_hashes(asked)), vectors_of(asked))


def test_names_what_is_missing(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, KEY)
    fill(store, ["here"])

    assert store.missing(text_hashes(["there", "here"])).tolist() == [True, False]
    with pytest.raises(LookupError, match="1 of 2 texts"):
        store.gather(text_hashes(["there", "here"]))


def test_an_empty_store_misses_everything(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, KEY)

    assert store.missing(text_hashes(["a", "b"])).tolist() == [True, True]
    assert store.gather(text_hashes([])).shape == (0, 0)


def test_appending_nothing_makes_no_segment(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, KEY)
    store.append(text_hashes([]), np.empty((0, DIMENSIONS), np.float32))

    assert not store.folder.exists()


def test_refuses_vectors_that_do_not_match_the_texts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 hashes for 1 vectors"):
        EmbeddingStore(tmp_path, KEY).append(text_hashes(["a", "b"]), vectors_of(["a"]))


def test_keys_do_not_share_vectors(tmp_path: Path) -> None:
    fill(EmbeddingStore(tmp_path, KEY), ["a"])

    assert EmbeddingStore(tmp_path, "b" * 40).missing(text_hashes(["a"])).all()


def test_the_segment_published_first_counts(tmp_path: Path) -> None:
    first, second = EmbeddingStore(tmp_path, KEY), EmbeddingStore(tmp_path, KEY)
    first.append(text_hashes(["a"]), np.full((1, DIMENSIONS), 1, np.float32))
    second.append(text_hashes(["a"]), np.full((1, DIMENSIONS), 2, np.float32))

    gathered = EmbeddingStore(tmp_path, KEY).gather(text_hashes(["a"]))

    assert gathered.tolist() == [[1.0] * DIMENSIONS]


def test_sees_what_another_writer_published(tmp_path: Path) -> None:
    reader, writer = EmbeddingStore(tmp_path, KEY), EmbeddingStore(tmp_path, KEY)
    assert reader.missing(text_hashes(["a"])).all()

    fill(writer, ["a"])

    np.testing.assert_array_equal(reader.gather(text_hashes(["a"])), vectors_of(["a"]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.lists(st.text(max_size=8), max_size=12), max_size=5), data=st.data())
def test_any_mixture_of_segments_is_one_store(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[str]], data: st.DataObject
) -> None:
    store = EmbeddingStore(tmp_path_factory.mktemp("store"), KEY)
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
        ("meta.json", _cut),
        ("meta.json", Path.unlink),
        ("meta.json", lambda path: path.write_text("[]")),
        ("meta.json", _forge_shape),
    ],
)
def test_a_damaged_segment_is_set_aside_and_its_texts_are_missing(tmp_path: Path, name: str, harm: object) -> None:
    store = EmbeddingStore(tmp_path, KEY)
    fill(store, ["lost"])
    fill(store, ["kept"])
    harm(segments(store)[0] / name)  # type: ignore[operator]

    found = EmbeddingStore(tmp_path, KEY)

    assert found.missing(text_hashes(["lost", "kept"])).tolist() == [True, False]
    assert [path.suffix for path in segments(found)] == [".damaged", ""]
    np.testing.assert_array_equal(found.gather(text_hashes(["kept"])), vectors_of(["kept"]))
    fill(found, ["lost"])
    assert not EmbeddingStore(tmp_path, KEY).missing(text_hashes(["lost"])).any()


def test_a_segment_of_other_dimensions_is_set_aside(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, KEY)
    fill(store, ["first"])
    store.append(text_hashes(["other"]), np.ones((1, DIMENSIONS + 1), np.float32))

    assert EmbeddingStore(tmp_path, KEY).missing(text_hashes(["first", "other"])).tolist() == [False, True]


def test_half_written_segments_are_not_seen_and_old_ones_go(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, KEY)
    fill(store, ["a"])
    fresh, old = store.folder / ".1-fresh", store.folder / ".0-old"
    for folder in (fresh, old):
        folder.mkdir()
        (folder / "vectors.npy").write_bytes(b"half")
    os.utime(old, (time.time() - 2 * 86_400,) * 2)

    assert EmbeddingStore(tmp_path, KEY).missing(text_hashes(["a", "b"])).tolist() == [False, True]
    assert fresh.exists()
    assert not old.exists()


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("error", "free", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 10**12, True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 10**12, True),
        (OSError("20 requested and 10 written"), 0, True),
        (OSError("20 requested and 10 written"), 10**12, False),
        (PermissionError(errno.EACCES, "Permission denied"), 0, False),
    ],
)
def test_a_full_disk_is_told_from_other_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, free: int, full: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    store = EmbeddingStore(tmp_path, KEY)
    monkeypatch.setattr(embeddings.np, "save", fail)
    monkeypatch.setattr(embeddings.shutil, "disk_usage", lambda _: Usage(10**12, 0, free))

    with pytest.raises(RunFailure if full else OSError) as caught:
        fill(store, ["a"])

    assert getattr(caught.value, "code", None) == ("disk_full" if full else None)
    assert list(store.folder.iterdir()) == []


WRITER = """
import sys
from pathlib import Path
from app.core.fingerprints import text_hashes
from app.storage.embeddings import EmbeddingStore
from tests.worker.test_embeddings import KEY, fill
store = EmbeddingStore(Path(sys.argv[1]), KEY)
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

        store = EmbeddingStore(tmp_path, KEY)
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
    store = EmbeddingStore(tmp_path, KEY)

    assert not store.missing(text_hashes(texts)).any()
    np.testing.assert_array_equal(store.gather(text_hashes(texts)), vectors_of(texts))


def test_the_store_loads_no_heavy_library() -> None:
    code = (
        "import sys, app.storage.embeddings; "
        "print([name for name in ('torch', 'sklearn', 'scipy', 'pandas', 'pyarrow') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
