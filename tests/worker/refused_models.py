"""Ways to make a model's folder one that must be refused, and the code of the refusal."""

import json
from pathlib import Path

from tests.worker.engine_world import edit_json


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def custom_code(folder: Path) -> None:
    edit_json(folder / "config.json", auto_map={"AutoModel": "modeling_own.OwnModel"})


def custom_tokenizer(folder: Path) -> None:
    edit_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.OwnTokenizer", None]})


def custom_module(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "own_pooling.OwnPooling"
    (folder / "modules.json").write_text(json.dumps(modules))


def custom_activation(folder: Path) -> None:
    edit_json(folder / "1_Pooling" / "config.json", activation_function="os.system")


def custom_route(folder: Path) -> None:
    (folder / "router_config.json").write_text(json.dumps({"types": {"query_0": "own.Route"}}))


def module_outside(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = "../elsewhere"
    (folder / "modules.json").write_text(json.dumps(modules))


def no_modules(folder: Path) -> None:
    (folder / "modules.json").write_text("[]")


def modules_of_another_kind(folder: Path) -> None:
    (folder / "modules.json").write_text("{}")


def typeless_module(folder: Path) -> None:
    (folder / "modules.json").write_text('[{"path": ""}]')


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


def broken_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def empty(folder: Path) -> None:
    for path in folder.rglob("*.json"):
        path.unlink()


REFUSED = [
    (pickled, "model_unsafe"),
    (custom_code, "remote_code"),
    (custom_tokenizer, "remote_code"),
    (custom_module, "remote_code"),
    (custom_activation, "remote_code"),
    (custom_route, "remote_code"),
    (module_outside, "model_broken"),
    (no_modules, "model_broken"),
    (modules_of_another_kind, "model_broken"),
    (typeless_module, "model_broken"),
    (adapter, "unsupported"),
    (broken_json, "model_broken"),
    (cut_weights, "model_broken"),
    (no_weights, "model_broken"),
    (empty, "model_missing"),
]
