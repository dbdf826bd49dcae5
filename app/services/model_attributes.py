"""The attributes of a model: which value counts, where it comes from, and what an admin may set.

What an admin corrected counts before what the inspection found in the model's own files, and that before what MTEB's
registry states of a model of this name. Only the training datasets of files and registry are joined: they name them
differently, and neither list denies the other.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum
from typing import Any

from app.db.tables import Model
from app.errors import Invalid
from app.mteb import registry

KINDS = ("dense", "sparse", "late-interaction", "cross-encoder", "hybrid", "router")
"""How models compare texts, in MTEB's words."""
PUBLIC = "public"
"""Training data that is known to be public, without an address."""
NAME_LENGTH, MOST_NAMES, ADDRESS_LENGTH = 200, 10_000, 1000

_EMPTY: dict[str, Any] = {"languages": [], "kinds": [], "prompts": {}}
"""What the columns hold that cannot be None. Empty, they tell nothing."""
_ADDRESS = re.compile(r"https://[^\s/?#@]+([/?#]\S*)?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Source(StrEnum):
    """Where the value of an attribute comes from."""

    CORRECTED = "corrected"
    FILES = "files"
    REGISTRY = "registry"
    BOTH = "files and registry"


def known(name: str) -> dict[str, Any]:
    """What MTEB's registry states of a model, by attribute; {} for a name that it does not have."""
    model = registry.find_model(name)
    if model is None:
        return {}
    facts: dict[str, Any] = {
        "parameters": model.parameters,
        "active_parameters": model.active_parameters,
        "dimensions": model.dimensions,
        "max_tokens": None if model.max_tokens is None or math.isinf(model.max_tokens) else int(model.max_tokens),
        "memory_mb": model.memory_mb,
        "licence": model.licence,
        "open_weights": model.open_weights,
        "training_code": model.training_code,
        "training_data": PUBLIC if model.training_data is True else model.training_data or None,
        "training_datasets": None if model.training_datasets is None else list(model.training_datasets),
        "citation": model.citation,
        "languages": list(model.languages),
        "similarity": model.similarity,
        "kinds": list(model.kinds),
        "release_date": model.release_date.isoformat() if model.release_date else None,
        "reference": model.reference,
    }
    return _told(facts)


def is_unlimited(name: str) -> bool:
    """Whether MTEB's registry says that a model reads texts of any length."""
    model = registry.find_model(name)
    return model is not None and model.max_tokens == math.inf


def values(name: str, found: Mapping[str, Any], corrected: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that count, of the whole model; what nobody tells is left out.

    Args:
        name: of the model, `org/name`.
        found: by the inspection.
        corrected: by an admin.
    """
    stated, told = known(name), _told(found)
    merged = {**stated, **told, **corrected}
    if sources(name, found, corrected).get("training_datasets") == Source.BOTH:
        merged["training_datasets"] = sorted({*stated["training_datasets"], *told["training_datasets"]})
    return merged


def sources(name: str, found: Mapping[str, Any], corrected: Mapping[str, Any]) -> dict[str, Source]:
    """Where each of `values` comes from."""
    stated, told = known(name), _told(found)
    origins = {
        **dict.fromkeys(stated, Source.REGISTRY),
        **dict.fromkeys(told, Source.FILES),
        **dict.fromkeys(corrected, Source.CORRECTED),
    }
    if "training_datasets" in stated.keys() & told.keys() and "training_datasets" not in corrected:
        origins["training_datasets"] = Source.BOTH
    return origins


def apply(model: Model) -> None:
    """Set the columns to the values that count, cut to the variant's choices."""
    counting = values(model.name, model.found, model.corrected)
    for name in ATTRIBUTES:
        value = counting.get(name, _EMPTY.get(name))
        setattr(model, name, value[: _LENGTHS[name]] if name in _LENGTHS and value else value)
    if model.truncate_dim and model.dimensions:
        model.dimensions = min(model.dimensions, model.truncate_dim)
    if model.max_tokens_limit and model.max_tokens:
        model.max_tokens = min(model.max_tokens, model.max_tokens_limit)


def check(corrections: Mapping[str, Any]) -> None:
    """Make sure that attributes can be set to these values; None takes a correction back.

    Raises:
        Invalid: with a message for each attribute that does not exist or cannot have its value.
    """
    fields = {name: _fault(name, value) for name, value in corrections.items() if value is not None}
    fields |= {name: "There is no such attribute." for name in corrections if name not in _CHECKS}
    if fields := {name: fault for name, fault in fields.items() if fault}:
        raise Invalid("The form has fields to mend.", details={"fields": fields})


def is_text(value: Any) -> bool:
    """Whether a database can store every text in `value`: a text, a list or a mapping of them, or anything else."""
    if isinstance(value, Mapping):
        return all(is_text(text) for item in value.items() for text in item)
    if isinstance(value, list):
        return all(map(is_text, value))
    return not isinstance(value, str) or not _UNSTORABLE.search(value)


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes among `facts` that tell something."""
    named = ((name, facts.get(name)) for name in ATTRIBUTES)
    return {name: value for name, value in named if value is not None and (value or name not in _EMPTY)}


def _fault(name: str, value: Any) -> str:
    if not is_text(value):
        return "It holds characters that are no text (NUL or half of a surrogate pair)."
    return _CHECKS[name](value) if name in _CHECKS else ""


def _number(limit: int, *, whole: bool = True) -> Callable[[Any], str]:
    def check_number(value: Any) -> str:
        if isinstance(value, int if whole else int | float) and not isinstance(value, bool) and 0 <= value < limit:
            return ""
        return "Give a number that is not negative, and not beyond all measure."

    return check_number


def _text(length: int) -> Callable[[Any], str]:
    return lambda value: "" if isinstance(value, str) and len(value) <= length else f"At most {length:,} characters."


def _names(value: Any) -> str:
    if not isinstance(value, list) or len(value) > MOST_NAMES:
        return f"Give a list of at most {MOST_NAMES:,} names."
    if all(isinstance(name, str) and 0 < len(name) <= NAME_LENGTH for name in value):
        return ""
    return f"A name has 1 to {NAME_LENGTH} characters."


def _kinds(value: Any) -> str:
    fits = isinstance(value, list) and len(value) == len(set(map(str, value))) and set(map(str, value)) <= set(KINDS)
    return "" if fits else f"Choose among {', '.join(KINDS)}, each once."


def _prompts(value: Any) -> str:
    fits = isinstance(value, Mapping) and all(isinstance(text, str) for item in value.items() for text in item)
    return "" if fits else "Give prompts by name, each of them a text."


def _date(value: Any) -> str:
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            date.fromisoformat(value)
            return ""
    except ValueError:
        return f"There is no day {value}."
    return "Write a day as year-month-day, such as 2024-01-31."


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "Say yes or no."


def _address(value: Any) -> str:
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value) or not value.isprintable():
        return "Write a whole address that begins with https://."
    return _text(ADDRESS_LENGTH)(value)


def _address_or_text(value: Any) -> str:
    return _address(value) if "://" in str(value) else _text(ADDRESS_LENGTH)(value)


_LENGTHS = {"memory_dtype": 32, "licence": 100, "similarity": 32}
"""Texts that an inspection finds, and how many characters their column holds."""
_CHECKS: dict[str, Callable[[Any], str]] = {  # what is wrong with a value; "" for nothing
    "parameters": _number(2**53),
    "active_parameters": _number(2**53),
    "dimensions": _number(2**31),
    "max_tokens": _number(2**31),
    "memory_mb": _number(2**53, whole=False),
    **{name: _text(length) for name, length in _LENGTHS.items()},
    "open_weights": _flag,
    "release_date": _date,
    "kinds": _kinds,
    "languages": _names,
    "prompts": _prompts,
    "training_datasets": _names,
    "training_code": _address,
    "training_data": _address_or_text,
    "citation": _text(20_000),
    "reference": _address,
}
ATTRIBUTES = tuple(_CHECKS)
"""What files and registry tell of a model and an admin may correct."""
