"""What a model says of itself once it is loaded, kept: a run whose vectors are all stored then loads no weights."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from app.core.fingerprints import encode_key
from app.errors import RunFailure
from app.storage.segments import write_json
from worker.encoders.base import ModelSpec, Similarity

FOLDER = ".models"
"""In the folder of all stores; the dot tells it from a store."""

_FORMAT = 1
_LIBRARIES = ("sentence-transformers", "transformers")


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides how texts are encoded, and what is known of the vectors beforehand.

    Attributes:
        dimensions: of a whole vector.
        truncate_dim: how many of them the model itself says are enough.
        max_tokens: how many tokens of a text are read; None without a limit.
        similarity: the model's own.
        by_role: whether queries and documents pass through different modules.
        prompts: by name, without empty ones.
        default_prompt: for texts that no name fits.
    """

    dimensions: int
    truncate_dim: int | None
    max_tokens: int | None
    similarity: Similarity
    by_role: bool
    prompts: Mapping[str, str]
    default_prompt: str

    def length(self, spec: ModelSpec) -> int:
        """The length of a vector after truncation.

        Raises:
            RunFailure: `unsupported`, when the spec asks for more than there is.
        """
        length = spec.truncate_dim or self.truncate_dim or self.dimensions
        if length > self.dimensions:
            raise RunFailure(
                f"{spec.name} has only {self.dimensions} dimensions; {length} were asked for.",
                code="unsupported",
                remedy="Ask for fewer dimensions.",
            )
        return length


def recall(root: Path | None, spec: ModelSpec, revision: str) -> Facts | None:
    """The facts of a model that was loaded before in the same way, by the same libraries; else None.

    Args:
        root: the folder of all stores; None where nothing is kept.
        spec: the model.
        revision: of its files.
    """
    if root is None:
        return None
    try:
        return Facts(**json.loads(_path(root, spec, revision).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # damaged ones are as good as none: they are written again
        return None


def remember(root: Path | None, spec: ModelSpec, revision: str, facts: Facts) -> None:
    """Keep the facts for `recall`; nothing happens without a root."""
    if root is None:
        return
    path = _path(root, spec, revision)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(facts))


def _path(root: Path, spec: ModelSpec, revision: str) -> Path:
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    key = encode_key(
        format=_FORMAT,
        model=spec.name,
        revision=revision,
        dtype=spec.dtype,
        max_tokens=spec.max_tokens,
        **versions,
    )
    return root / FOLDER / f"{key}.json"
