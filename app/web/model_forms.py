"""What is typed about a model, and what the services make of it: a new model, a variant, corrections by hand."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from app.errors import Invalid
from app.services.models import ModelForm

WHOLE = "Write a whole number, such as 384."
NUMBER = "Write a number, such as 86.6."
PROMPTS = 'Write a JSON object of texts, such as {"query": "query: ", "document": "passage: "}.'
NONE = "none"
"""What an admin writes for a list that is known to be empty."""

_COUNTS = ("parameters", "active_parameters", "dimensions", "max_tokens")
_TEXTS = (
    "memory_dtype",
    "licence",
    "similarity",
    "release_date",
    "training_code",
    "training_data",
    "citation",
    "reference",
)
_LISTS = ("languages", "training_datasets", "kinds")
_FLAGS = {"": None, "yes": True, "no": False}


class VariantFields(BaseModel):
    """What is typed where a variant is chosen. `prompts` is own, none or these."""

    truncate_dim: str = ""
    precision: str = "float32"
    max_tokens: str = ""
    dtype: str = "float32"
    prompts: str = "own"
    query_prompt: str = ""
    document_prompt: str = ""
    label: str = ""


NO_VARIANT = VariantFields().model_dump()


class ModelFields(VariantFields):
    """What is typed into the form of a new model."""

    loader: str = "dense"
    source: str = "hub"
    name: str = ""
    path: str = ""
    revision: str = ""


class CorrectionFields(BaseModel):
    """What is typed into the form of corrections; an empty field takes what files and registry tell."""

    parameters: str = ""
    active_parameters: str = ""
    dimensions: str = ""
    max_tokens: str = ""
    memory_mb: str = ""
    memory_dtype: str = ""
    kinds: str = ""
    similarity: str = ""
    languages: str = ""
    release_date: str = ""
    licence: str = ""
    open_weights: str = ""
    training_code: str = ""
    training_data: str = ""
    training_datasets: str = ""
    reference: str = ""
    citation: str = ""
    prompts: str = ""


def model_form(typed: ModelFields) -> ModelForm:
    """A new model as it was typed.

    Raises:
        Invalid: a number is none.
    """
    return replace(
        variant_form(typed),
        name=typed.name,
        loader=typed.loader,
        source=typed.source,
        path=typed.path if typed.source == "folder" else None,
        revision=typed.revision.strip().lower(),
    )


def variant_form(typed: VariantFields) -> ModelForm:
    """The typed choices; a browser's line ends become those that a model was trained with.

    Raises:
        Invalid: a number is none.
    """
    numbers = _numbers(typed, {"truncate_dim": int, "max_tokens": int})
    empty = "" if typed.prompts == "none" else None
    query, document = (_unix(text) for text in (typed.query_prompt, typed.document_prompt))
    return ModelForm(
        truncate_dim=numbers["truncate_dim"],
        precision=typed.precision,
        max_tokens=numbers["max_tokens"],
        dtype=typed.dtype,
        query_prompt=(query or None) if typed.prompts == "these" else empty,
        document_prompt=(document or None) if typed.prompts == "these" else empty,
        label=typed.label,
    )


def corrections(typed: CorrectionFields) -> dict[str, Any]:
    """The typed attributes; None for an empty field.

    Raises:
        Invalid: with a message for each field that cannot be read.
    """
    if typed.open_weights not in _FLAGS:
        raise Invalid("The form has fields to mend.", details={"fields": {"open_weights": "Choose yes or no."}})
    numbers = _numbers(typed, {**dict.fromkeys(_COUNTS, int), "memory_mb": float})
    texts = {name: _unix(getattr(typed, name)).strip() or None for name in _TEXTS}
    lists = {name: _names(getattr(typed, name)) for name in _LISTS}
    flags = {"open_weights": _FLAGS[typed.open_weights]}
    return {**numbers, **texts, **lists, **flags, "prompts": _prompts(typed.prompts)}


def typed_corrections(corrected: Mapping[str, Any]) -> dict[str, str]:
    """Corrections as they would be typed."""
    return {
        name: NONE if corrected.get(name) == [] else as_text(corrected.get(name))
        for name in CorrectionFields.model_fields
    }


def as_text(value: Any) -> str:
    """An attribute as it would be typed; "" for nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _prompts(text: str) -> dict[str, str] | None:
    """Prompts by name from a JSON object; None for nothing.

    Raises:
        Invalid: it is no JSON object of texts.
    """
    if not text.strip():
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(prompt, str) for prompt in found.values()):
        raise Invalid("The form has fields to mend.", details={"fields": {"prompts": PROMPTS}})
    return found


def _names(text: str) -> list[str] | None:
    """Names between commas or line ends; None for nothing, no names for the word none."""
    names = [name for part in text.splitlines() for piece in part.split(",") if (name := piece.strip())]
    return [] if names == [NONE] else names or None


def _numbers(typed: BaseModel, kinds: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The typed numbers, None for an empty field.

    Raises:
        Invalid: with a message for each field that holds something else.
    """
    numbers: dict[str, Any] = {}
    fields: dict[str, str] = {}
    for name, kind in kinds.items():
        text = getattr(typed, name).replace(",", "").strip()
        try:
            numbers[name] = kind(text) if text else None
        except ValueError:
            fields[name] = NUMBER if kind is float else WHOLE
    if fields:
        raise Invalid("The form has fields to mend.", details={"fields": fields})
    return numbers
