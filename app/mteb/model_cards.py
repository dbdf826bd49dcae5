"""`model_meta.json`, which lies beside the results of a model: read in every form it ever had, and written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.core.formats.records import UNSAFE_IN_NAMES
from app.mteb.results import NAME_LENGTH, NO_REVISION, checked_name, dumped, json_object

REVISION_LENGTH = 100
"""Most characters of a revision."""

_META_TEXTS = (
    "release_date",
    "license",
    "public_training_code",
    "public_training_data",
    "reference",
    "similarity_fn_name",
    "adapted_from",
    "superseded_by",
    "citation",
)
_META_NUMBERS = (
    "n_parameters",
    "n_active_parameters_override",
    "n_embedding_parameters",
    "memory_usage_mb",
    "max_tokens",
    "embed_dim",
)
_META_FLAGS = ("open_weights", "use_instructions", "public_training_data")
_META_LISTS = ("languages", "framework", "training_datasets", "modalities", "model_type")
_META_TEXT_LENGTH = 4000
_META_LIST_LENGTH = 5000


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A `model_meta.json`; `facts` by mteb's present keys, only those that it states and that are plain values."""

    name: str
    revision: str
    facts: dict[str, Any]


def read_model_card(content: bytes) -> ModelCard:
    """A `model_meta.json` of any age. Its name and revision count, not those of its folder, as in mteb.

    Raises:
        UnreadableFile: no JSON, or without a name.
    """
    data = json_object(content)
    name = checked_name(data.get("name"), "name", NAME_LENGTH)
    revision = checked_name(data.get("revision") or NO_REVISION, "revision", REVISION_LENGTH)
    data.setdefault("memory_usage_mb", data.get("memory_usage"))
    data.setdefault("open_weights", data.get("open_source"))
    data.setdefault("use_instructions", data.get("use_instuctions"))
    return ModelCard(name, revision, _facts(data))


def named_by_folder(model_folder: str, revision_folder: str) -> ModelCard:
    """What a folder without `model_meta.json` says of its model: `org__name/revision`.

    Raises:
        UnreadableFile: a name is too long or has control characters.
    """
    name = checked_name(model_folder.replace("__", "/"), "the folder's name", NAME_LENGTH)
    return ModelCard(name, checked_name(revision_folder, "the folder's name", REVISION_LENGTH), {})


def write_model_card(card: ModelCard) -> bytes:
    """The `model_meta.json` beside the results of a model; what is not known is null."""
    keys = (*_META_TEXTS, *_META_NUMBERS, *_META_FLAGS, *_META_LISTS)
    return dumped({"name": card.name, "revision": card.revision, **dict.fromkeys(keys), **card.facts, "loader": None})


def _facts(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a model card states, without what a database could not hold or a page could not show."""
    facts: dict[str, Any] = {key: data[key] for key in _META_TEXTS if _is_text(data.get(key))}
    facts |= {key: data[key] for key in _META_NUMBERS if _is_number(data.get(key))}
    facts |= {key: data[key] for key in _META_FLAGS if isinstance(data.get(key), bool)}
    for key in _META_LISTS:
        found = data.get(key)
        if isinstance(found, dict):  # training_datasets once named the splits of each
            found = sorted(found)
        if isinstance(found, list) and len(found) <= _META_LIST_LENGTH:
            facts[key] = [item for item in found if _is_text(item)]
    return facts


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or len(value) > _META_TEXT_LENGTH:
        return False
    return not UNSAFE_IN_NAMES.search(value.replace("\n", "").replace("\t", ""))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e15 < value < 1e15
