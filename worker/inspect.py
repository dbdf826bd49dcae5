"""What there is to know of a model without loading it: from its small files and the headers of its weights."""

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Final

import yaml
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, SafetensorsParsingError

from app.errors import RunFailure
from worker.encoders import bm25, folders, random
from worker.encoders.base import ModelSpec
from worker.encoders.folders import read_json
from worker.encoders.languages import language_tag

_MEGABYTE: Final = 1024**2
_MAX_HEADER_BYTES: Final = 100 * 1024**2
_NO_LIMIT: Final = 10**9
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8",
    "F8_E5M2": "float8",
    "I8": "int8",
    "U8": "uint8",
}
_EMBEDDINGS = (
    "word_embeddings.weight",
    "embed_tokens.weight",
    "tok_embeddings.weight",
    "wte.weight",
    "shared.weight",
)
"""How transformers call the table with one row a token; `embedding.weight` is that of word vectors alone."""
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
"""What the configuration of a model has whose experts do not all work on each text."""
_HIDDEN_SIZES = ("hidden_size", "d_model", "dim", "n_embd", "word_embed_proj_dim")
_TRANSFORMER_CONFIGS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """A model's facts; None for what its files do not tell.

    Attributes:
        parameters: elements of all stored tensors.
        dimensions: of a vector, truncated if the spec says so.
        max_tokens: read of a text; the spec's own limit if it has one.
        memory_mb: all stored tensors, elements times bytes, in units of 1024^2 bytes.
        memory_dtype: of most of these bytes.
        licence: as the model card says.
        languages: ISO 639-3 and script where the card's code is known (`eng-Latn`).
        similarity: the model's own.
        prompts: by name, without empty ones.
        revision: a commit or content hash of 40 digits.
        library: what loads it.
        training_datasets: as the model card says.
        active_parameters: without the table of token embeddings, as MTEB counts them.
        kinds: as the loader compares texts, in MTEB's words.
    """

    parameters: int | None
    dimensions: int | None
    max_tokens: int | None
    memory_mb: float | None
    memory_dtype: str | None
    licence: str | None
    languages: tuple[str, ...]
    similarity: str | None
    prompts: dict[str, str]
    revision: str
    library: str
    training_datasets: tuple[str, ...] | None
    active_parameters: int | None = None
    kinds: tuple[str, ...] = ()


@dataclass(slots=True)
class _Weights:
    """What the headers of the weight files add up to; `embedded` are the elements of token embeddings."""

    elements: int = 0
    embedded: int = 0
    bytes_by_dtype: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, list[int]] = field(default_factory=dict)

    def add(self, tensors: Iterable[tuple[str, str, list[int], int]]) -> None:
        """Tensors as (name, dtype, shape, stored bytes)."""
        for name, dtype, shape, size in tensors:
            self.elements += prod(shape)
            self.embedded += prod(shape) if name.endswith(_EMBEDDINGS) or name == "embedding.weight" else 0
            self.bytes_by_dtype[dtype] = self.bytes_by_dtype.get(dtype, 0) + size
            self.shapes[name] = shape

    @property
    def megabytes(self) -> float:
        """See `Inspection.memory_mb`."""
        return round(sum(self.bytes_by_dtype.values()) / _MEGABYTE, 2)

    @property
    def dtype(self) -> str:
        """See `Inspection.memory_dtype`."""
        most = max(self.bytes_by_dtype, key=self.bytes_by_dtype.__getitem__)
        return _DTYPES.get(most, most.lower())


def inspect(spec: ModelSpec) -> Inspection:
    """Look at a model. Weights of hub models are not downloaded for this.

    Raises:
        RunFailure: as loading would: `model_missing`, `model_unsafe`, `remote_code`, `model_broken`, `unsupported`.
    """
    if spec.loader == "bm25":
        return _baseline(bm25.REVISION, "bm25s", similarity="bm25", kind="sparse")
    if spec.loader == "random":
        dimensions = min(spec.truncate_dim or random.DIMENSIONS, random.DIMENSIONS)
        return _baseline(random.REVISION, "numpy", similarity="cosine", dimensions=dimensions)
    folder = folders.locate(spec, weights=False)
    path = folder.path
    weights = _weights(spec, path, folder.revision)
    settings = _json_or_empty(path / "config_sentence_transformers.json")
    card = _front_matter(path / "README.md")
    dimensions_found = _dimensions(path, weights)
    truncated = spec.truncate_dim or settings.get("truncate_dim")
    return Inspection(
        parameters=weights.elements,
        dimensions=min(filter(None, (dimensions_found, truncated)), default=None),
        max_tokens=spec.max_tokens or _max_tokens(path),
        memory_mb=weights.megabytes,
        memory_dtype=weights.dtype,
        licence=_licence(card),
        languages=tuple(language_tag(code) for code in _texts(card.get("language"))),
        similarity=settings.get("similarity_fn_name") or "cosine",
        prompts={str(name): text for name, text in (settings.get("prompts") or {}).items() if text},
        revision=folder.revision,
        library="sentence-transformers" if (path / "modules.json").is_file() else "transformers",
        training_datasets=_texts(card.get("datasets")) or None,
        active_parameters=_active_parameters(path, weights),
        kinds=("dense",),
    )


def _baseline(
    revision: str, library: str, *, similarity: str, dimensions: int | None = None, kind: str = "dense"
) -> Inspection:
    """A built-in baseline: nothing was trained, nothing is stored."""
    return Inspection(
        parameters=0,
        dimensions=dimensions,
        max_tokens=None,
        memory_mb=0.0,
        memory_dtype=None,
        licence="mit",
        languages=(),
        similarity=similarity,
        prompts={},
        revision=revision,
        library=library,
        training_datasets=(),
        active_parameters=0,
        kinds=(kind,),
    )


def _weights(spec: ModelSpec, path: Path, revision: str) -> _Weights:
    """The headers of the weight files, on disk or else over the network; refuses what loading would refuse."""
    names = folders.file_names(path)
    weights = _Weights()
    if spec.source != "hub" or any(name.endswith(".safetensors") for name in names):
        folders.check_safe(path)
        for name in folders.weight_files(path, names):
            weights.add(read_header(path / name))
        return weights
    hub = HfApi()
    try:
        names = hub.list_repo_files(spec.name, revision=revision)
        folders.check_safe(path, names)
        for name in folders.weight_files(path, names):
            found = hub.parse_safetensors_file_metadata(spec.name, name, revision=revision)
            weights.add(
                (key, tensor.dtype, tensor.shape, tensor.data_offsets[1] - tensor.data_offsets[0])
                for key, tensor in found.tensors.items()
            )
    except (HfHubHTTPError, ConnectionError, TimeoutError) as error:
        raise RunFailure(
            f"The hub cannot be asked for the weights of {spec.name}.",
            code="model_missing",
            remedy="Try again when the hub can be reached, or register the model as a local folder.",
        ) from error
    except SafetensorsParsingError as error:
        raise _broken(spec.name, str(error)) from error
    return weights


def read_header(path: Path) -> list[tuple[str, str, list[int], int]]:
    """The tensors of a safetensors file as (name, dtype, shape, stored bytes), by its header alone.

    Raises:
        RunFailure: `model_broken`, also for a file that is cut off.
    """
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > _MAX_HEADER_BYTES:
                raise _broken(path.name, "its header is too long")
            header = json.loads(file.read(length))
        tensors = [
            (name, str(tensor["dtype"]), [int(size) for size in tensor["shape"]], _span(tensor["data_offsets"]))
            for name, tensor in header.items()
            if name != "__metadata__"
        ]
        end = max(tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise _broken(path.name, "its header cannot be read") from error
    if path.stat().st_size != 8 + length + end:
        raise _broken(path.name, "it is cut off")
    return tensors


def _span(offsets: list[int]) -> int:
    return int(offsets[1]) - int(offsets[0])


def _dimensions(path: Path, weights: _Weights) -> int | None:
    """The length of the vectors, module by module."""
    listed = path / "modules.json"
    if not listed.is_file():
        return _hidden_size(path)
    modules = [(str(module["type"]), path / module.get("path", "")) for module in read_json(listed, list)]
    return _output_size(modules, weights)


def _output_size(modules: Iterable[tuple[str, Path]], weights: _Weights) -> int | None:
    size: int | None = None
    for reference, directory in modules:
        config = _json_or_empty(directory / "config.json")
        match reference.rsplit(".", 1)[-1]:
            case "Transformer":
                size = _hidden_size(directory)
            case "Pooling":
                size = _pooled_size(config, size)
            case "Dense":
                size = config.get("out_features", size)
            case "StaticEmbedding":
                size = weights.shapes.get("embedding.weight", [0, 0])[1] or size
            case "Router":
                size = _output_size(_first_route(directory), weights)
    return size


def _first_route(directory: Path) -> list[tuple[str, Path]]:
    """The modules of a router's first route; all of them lead to vectors of one length."""
    config = _json_or_empty(directory / "router_config.json")
    route: list[str] = next(iter(config.get("structure", {}).values()), [])
    return [(str(config["types"][name]), directory / name) for name in route]


def _hidden_size(directory: Path) -> int | None:
    config = _json_or_empty(directory / "config.json")
    for part in (config, config.get("text_config") or {}):
        for name in _HIDDEN_SIZES:
            if isinstance(part.get(name), int):
                return int(part[name])
    return None


def _pooled_size(config: dict[str, Any], size: int | None) -> int | None:
    """Several ways of pooling are laid side by side."""
    each = config.get("embedding_dimension") or config.get("word_embedding_dimension") or size
    modes = config.get("pooling_mode")
    if isinstance(modes, list):
        count = len(modes)
    else:
        count = sum(bool(value) for name, value in config.items() if name.startswith("pooling_mode_"))
    return each * max(1, count) if each else None


def _active_parameters(path: Path, weights: _Weights) -> int | None:
    """See `Inspection`; None where no table of embeddings is found or only some experts work."""
    config = _json_or_empty(folders.module_folders(path)[0] / "config.json")
    if any(part.get(name) for part in (config, config.get("text_config") or {}) for name in _EXPERTS):
        return None
    return weights.elements - weights.embedded if weights.embedded else None


def _max_tokens(path: Path) -> int | None:
    """As sentence-transformers limits texts: its own setting, else the smaller of tokenizer's and positions'."""
    directory = folders.module_folders(path)[0]
    for name in _TRANSFORMER_CONFIGS:
        limit = _json_or_empty(directory / name).get("max_seq_length")
        if isinstance(limit, int):
            return limit
    limits = (
        _json_or_empty(directory / "tokenizer_config.json").get("model_max_length"),
        _json_or_empty(directory / "config.json").get("max_position_embeddings"),
    )
    return min(
        (int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < _NO_LIMIT), default=None
    )


def _front_matter(path: Path) -> dict[str, Any]:
    """The YAML block at the head of a model card; empty where there is none or it cannot be read."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if not text.startswith("---"):
        return {}
    try:
        found = yaml.safe_load(text.split("\n---", 1)[0].removeprefix("---"))
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _licence(card: dict[str, Any]) -> str | None:
    licences = _texts(card.get("license"))
    if licences == ("other",):
        licences = _texts(card.get("license_name")) or licences
    return ", ".join(licences) or None


def _texts(value: Any) -> tuple[str, ...]:
    """A text or a list of texts, as a tuple."""
    values = value if isinstance(value, list) else [value]
    return tuple(each for each in values if isinstance(each, str) and each)


def _json_or_empty(path: Path) -> dict[str, Any]:
    return read_json(path, dict) if path.is_file() else {}


def _broken(name: str, fault: str) -> RunFailure:
    return RunFailure(
        f"The weights in {name} cannot be used: {fault}.", code="model_broken", remedy="Download the model again."
    )
