"""Where a result comes from, in words: the facts on the page of a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.db.queries.runs import RunDetail
from app.web.templating import duration, number


@dataclass(frozen=True, slots=True)
class Fact:
    """One line. `kind` says how the text is shown: in words, as a hash, or as a text that was encoded."""

    label: str
    text: str
    kind: Literal["words", "hash", "encoded"] = "words"


def facts_of(run: RunDetail, *, with_texts: bool) -> tuple[Fact, ...]:
    """What is known of a run; a part that its worker did not report is left out.

    Args:
        run: In any state.
        with_texts: Whether to show the texts that were encoded: they are the dataset's.
    """
    known = run.provenance or {}
    facts = [
        Fact("Model revision", str(known.get("revision") or run.model_revision), "hash"),
        Fact("Dataset revision", str(known.get("dataset_revision") or run.dataset_revision), "hash"),
        *_encoding(known),
        *(_prompts(known) if with_texts else ()),
        *_texts(known),
        Fact("Durations", _joined(known.get("durations"), lambda value: duration(float(value)))),
        Fact("Peak memory", _counted(known.get("peak_memory_mb"), " MB")),
        Fact("Peak GPU memory", _counted(known.get("peak_gpu_memory_mb"), " MB")),
        *_measured(known.get("measured")),
        Fact("Device", str(known.get("device") or run.device or "")),
        Fact("Worker", str(known.get("worker") or run.worker or "")),
        Fact("Attempt", str(run.attempt or "")),
        Fact("Versions", _joined(known.get("versions"), str)),
    ]
    return tuple(fact for fact in facts if fact.text)


def _encoding(known: Mapping[str, Any]) -> tuple[Fact, ...]:
    return (
        Fact("Computed in", str(known.get("dtype") or "")),
        Fact("Compared as", str(known.get("precision") or "")),
        Fact("Dimensions", _counted(known.get("dimensions"))),
        Fact("Longest text", _counted(known.get("max_tokens"), " tokens")),
        Fact("Backend", str(known.get("backend") or "")),
        Fact("Similarity", str(known.get("similarity") or "")),
        Fact("Batch", _counted(known.get("batch_tokens"), " tokens")),
    )


def _texts(known: Mapping[str, Any]) -> tuple[Fact, ...]:
    return (
        Fact("Texts", _counted(known.get("texts_total"))),
        Fact("Encoded now", _counted(known.get("texts_encoded"))),
        Fact("Taken from the store", _counted(known.get("texts_from_store"))),
        Fact("Cut to length", _counted(known.get("texts_truncated"))),
        Fact("Tokens", _counted(known.get("tokens"))),
    )


def _measured(cost: Any) -> tuple[Fact, ...]:
    """What the model costs, if it was measured after this run, or why it could not be."""
    if not isinstance(cost, Mapping):
        return ()
    latency = {name: cost.get(f"query_{name}_ms") for name in ("p50", "p95")}
    return (
        Fact("Measured on", str(cost.get("device") or "")),
        Fact("Measured peak memory", _counted(cost.get("peak_memory_mb"), " MB")),
        Fact("Measured query", _joined(latency, lambda value: _counted(value, " ms", digits=1))),
        Fact("Measured speed", _counted(cost.get("documents_per_second"), " documents a second", digits=1)),
        Fact("Not measured", str(cost.get("failure") or "")),
    )


def _prompts(known: Mapping[str, Any]) -> list[Fact]:
    """One text of each kind exactly as it was encoded."""
    prompts = known.get("prompts")
    if not isinstance(prompts, Mapping):
        return []
    return [Fact(f"{str(kind).capitalize()} as encoded", str(text), "encoded") for kind, text in prompts.items()]


def _counted(value: Any, unit: str = "", digits: int = 0) -> str:
    return f"{number(value, digits)}{unit}" if isinstance(value, int | float) else ""


def _joined(values: Any, shown: Callable[[Any], str]) -> str:
    """One line of names with their values, such as "encode 54 s · score 0.4 s"; it breaks only between them."""
    if not isinstance(values, Mapping):
        return ""
    parts = (f"{name} {shown(value)}" for name, value in values.items() if value is not None)
    return " · ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)
