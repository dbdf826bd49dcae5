"""Models of one vector a text.

Importing this loads neither torch nor sentence-transformers: a run that finds all its vectors in the store needs
no weights.
"""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import RunFailure
from worker.encoders import base, facts, folders
from worker.encoders.base import Batch, ModelSpec, Role
from worker.encoders.facts import Facts
from worker.encoders.folders import ModelFolder

if TYPE_CHECKING:
    from worker.encoders.network import Network

DTYPES = ("float32", "bfloat16", "float16")
BATCH_TOKENS = {"cuda": 65_536, "mps": 16_384, "cpu": 1_024}
"""Tokens a batch by default. On processors small batches are quickest: they stay in the cache."""


def load(
    spec: ModelSpec, *, device: str = "auto", batch_tokens: int = 0, remembered: Path | None = None
) -> "DenseEncoder":
    """Find a model and check that it is safe; its weights are loaded when its facts are not known or it encodes.

    Args:
        spec: with `loader="dense"`.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch_tokens: padded tokens a batch; 0 chooses for the device.
        remembered: the folder of all stores, where facts are kept; None to load the weights now.

    Raises:
        RunFailure: `model_missing`, `model_unsafe`, `remote_code`, `model_broken`, `unsupported`, `gpu_oom`,
            `out_of_memory`.
    """
    chosen = base.choose_device(device)
    if spec.dtype not in DTYPES:
        raise RunFailure(
            f"There is no dtype {spec.dtype!r}.", code="unsupported", remedy=f"Choose one of {', '.join(DTYPES)}."
        )
    folder = folders.locate(spec)
    folders.check_safe(folder.path)
    known = facts.recall(remembered, spec, folder.revision)
    if known is None:
        known = _network(spec, folder, chosen).facts
        facts.remember(remembered, spec, folder.revision, known)
    budget = batch_tokens or BATCH_TOKENS.get(chosen.partition(":")[0], BATCH_TOKENS["cpu"])
    return DenseEncoder(spec, folder, known, device=chosen, batch_tokens=budget)


class DenseEncoder:
    """An `Encoder` around a sentence-transformers model.

    Vectors are what the model's last module gives (for most models normalised). `truncate_dim` cuts them
    afterwards and does not normalise again, exactly as `SentenceTransformer.encode(truncate_dim=...)` does: the
    cosine does not care, but Euclidean and Manhattan distances and classifiers do.
    """

    backend = base.BACKEND

    def __init__(self, spec: ModelSpec, folder: ModelFolder, known: Facts, *, device: str, batch_tokens: int) -> None:
        self._spec, self._folder, self._facts = spec, folder, known
        self.revision, self.dtype, self.device, self.batch_tokens = folder.revision, spec.dtype, device, batch_tokens
        self.max_tokens, self.similarity, self.by_role = known.max_tokens, known.similarity, known.by_role
        self.dimensions = known.length(spec)

    @property
    def versions(self) -> dict[str, str]:
        """See `Encoder`."""
        return base.library_versions()

    def prompt_for(self, task_type: str, role: Role | None) -> str:
        """See `Encoder`."""
        return base.find_prompt(self._spec, self._facts.prompts, self._facts.default_prompt, task_type, role)

    def ready(self) -> None:
        """See `Encoder`."""
        _network(self._spec, self._folder, self.device)

    def batches(self, texts: Sequence[str], prompt: str = "", role: Role | None = None) -> Generator[Batch, None, None]:
        """See `Encoder`.

        Raises:
            RunFailure: `gpu_oom` or `out_of_memory`, when not even one text fits; `model_broken`.
            PoisonedText: a text makes the tokenizer or the model raise.
        """
        network = _network(self._spec, self._folder, self.device)
        yield from network.batches(texts, prompt, role, budget=self.batch_tokens)


def _network(spec: ModelSpec, folder: ModelFolder, device: str) -> "Network":
    """The loaded model, from memory if the last one that was used is the same."""
    from worker.encoders import network  # noqa: PLC0415 -- sentence-transformers takes many seconds

    return network.seat.take(spec, folder, device)
