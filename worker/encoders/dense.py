"""Models that sentence-transformers loads: one vector a text."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router
from transformers.utils import logging as transformers_logging

from app.core.formats.problems import excerpt
from app.errors import RunFailure
from worker.batching import longest_first, slices, token_batches
from worker.encoders import base, folders
from worker.encoders.base import Batch, FloatArray, IntArray, ModelSpec, Role, Similarity
from worker.encoders.tokens import NO_LIMIT, Tokenised, token_counts

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BATCH_TOKENS = {"cuda": 65_536, "mps": 16_384, "cpu": 2_048}
"""Tokens a batch by default. On processors small batches are quickest: they stay in the cache."""

_SLICE_TEXTS = 8_192


def load(spec: ModelSpec, *, device: str = "auto", batch_tokens: int = 0) -> "DenseEncoder":
    """Load a model from its safetensors, without running any code of its own.

    Args:
        spec: with `loader="dense"`.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch_tokens: padded tokens a batch; 0 chooses for the device.

    Raises:
        RunFailure: `model_missing`, `model_unsafe`, `remote_code`, `model_broken`, `unsupported`, `gpu_oom`.
    """
    transformers_logging.disable_progress_bar()
    chosen = base.choose_device(device)
    if spec.dtype not in DTYPES:
        raise RunFailure(
            f"There is no dtype {spec.dtype!r}.", code="unsupported", remedy=f"Choose one of {', '.join(DTYPES)}."
        )
    folder = folders.locate(spec)
    folders.check_safe(folder.path)
    try:
        model = SentenceTransformer(
            str(folder.path),
            device=chosen,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"dtype": DTYPES[spec.dtype], "use_safetensors": True},
        )
        if model.dtype not in (None, DTYPES[spec.dtype]):
            model.to(DTYPES[spec.dtype])
    except RunFailure:
        raise
    except Exception as error:  # whatever a damaged or foreign model makes the libraries raise
        if _is_out_of_memory(error):
            raise _out_of_memory(chosen) from error
        raise RunFailure(
            f"{spec.name} cannot be loaded: {excerpt(str(error)).rstrip('.')}.",
            code="model_broken",
            remedy="Check that the folder is complete and that this version of sentence-transformers knows the model.",
            details={"error": f"{type(error).__name__}: {error}"},
        ) from error
    budget = batch_tokens or BATCH_TOKENS.get(torch.device(chosen).type, BATCH_TOKENS["cpu"])
    return DenseEncoder(model, spec, revision=folder.revision, device=chosen, batch_tokens=budget)


class DenseEncoder:
    """An `Encoder` around a sentence-transformers model.

    Vectors are what the model's last module gives (for most models normalised). `truncate_dim` cuts them
    afterwards and does not normalise again, exactly as `SentenceTransformer.encode(truncate_dim=...)` does: the
    cosine does not care, but Euclidean and Manhattan distances and classifiers do.
    """

    backend = base.BACKEND

    def __init__(
        self, model: SentenceTransformer, spec: ModelSpec, *, revision: str, device: str, batch_tokens: int
    ) -> None:
        self._model, self._spec = model, spec
        self.revision, self.device, self.dtype = revision, device, spec.dtype
        self.batch_tokens = self._budget = batch_tokens
        self.by_role = any(isinstance(module, Router) for module in model.modules())
        self._limit_tokens(spec.max_tokens)
        model.eval()
        role: Role | None = "query" if self.by_role else None
        full = self._forward(model.preprocess(["probe"], task=role), role).shape[1]
        self.dimensions = spec.truncate_dim or model.truncate_dim or full
        if self.dimensions > full:
            raise RunFailure(
                f"{spec.name} has only {full} dimensions; {self.dimensions} were asked for.",
                code="unsupported",
                remedy="Ask for fewer dimensions.",
            )

    @property
    def max_tokens(self) -> int | None:
        """See `Encoder`."""
        limit = self._model.max_seq_length
        return None if limit is None or limit > NO_LIMIT else int(limit)

    @property
    def similarity(self) -> Similarity:
        """See `Encoder`."""
        name: Similarity = self._model.similarity_fn_name
        return name

    @property
    def versions(self) -> dict[str, str]:
        """See `Encoder`."""
        return base.library_versions()

    def prompt_for(self, task_type: str, role: Role | None) -> str:
        """See `Encoder`."""
        own = {name: text for name, text in self._model.prompts.items() if text}
        default = own.get(self._model.default_prompt_name or "", "")
        return base.find_prompt(self._spec, own, default, task_type, role)

    def token_counts(self, texts: Sequence[str], prompt: str = "") -> IntArray:
        """See `Encoder`."""
        parts = [texts[start : start + _SLICE_TEXTS] for start in range(0, len(texts), _SLICE_TEXTS)]
        return np.concatenate([np.empty(0, np.int64), *(token_counts(self._model, part, prompt) for part in parts)])

    def batches(self, texts: Sequence[str], prompt: str = "", role: Role | None = None) -> Iterator[Batch]:
        """See `Encoder`.

        Raises:
            RunFailure: `gpu_oom` or `out_of_memory`, when not even one text fits.
        """
        for positions in slices(longest_first([len(text) for text in texts]), _SLICE_TEXTS):
            tokens = Tokenised(self._model, [texts[position] for position in positions], prompt, role)
            different, inverse = np.unique(tokens.first, return_inverse=True)
            for rows, vectors in self._slice_vectors(tokens, different, role):
                place = np.full(len(different), -1)
                place[rows] = np.arange(len(rows))
                members = np.flatnonzero(place[inverse] >= 0)
                yield Batch(
                    positions[members],
                    vectors[place[inverse[members]]],
                    tokens.counts[members],
                    tokens.truncated[members],
                )

    def encode(self, texts: Sequence[str], prompt: str = "", role: Role | None = None) -> FloatArray:
        """See `Encoder`."""
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        for batch in self.batches(texts, prompt, role):
            vectors[batch.rows] = batch.vectors[:, : self.dimensions]
        return vectors

    def _slice_vectors(
        self, tokens: Tokenised, texts: IntArray, role: Role | None
    ) -> Iterator[tuple[IntArray, FloatArray]]:
        """Positions in `texts` and their vectors, batch by batch.

        A batch too large for the memory is halved; the next slices begin with batches of that size.
        """
        counts = tokens.counts[texts]
        waiting = deque(token_batches(counts, self._budget))
        while waiting:
            rows = waiting.popleft()
            try:
                vectors = self._forward(tokens.features(texts[rows]), role)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                if len(rows) == 1:
                    raise _out_of_memory(self.device) from error
                half = len(rows) // 2
                self._budget = min(self._budget, half * int(counts[rows].max()))
                waiting.extendleft((rows[half:], rows[:half]))
                _free_memory()
                continue
            yield rows, vectors

    def _forward(self, features: dict[str, Any], role: Role | None) -> FloatArray:
        """Shape (texts, full dimensions)."""
        on_device = {
            name: value.to(self.device) if isinstance(value, torch.Tensor) else value
            for name, value in features.items()
        }
        task = {"task": role} if role else {}
        with torch.inference_mode():
            vectors = self._model(on_device, **task)["sentence_embedding"]
            array: FloatArray = vectors.float().cpu().numpy()
        return array

    def _limit_tokens(self, wanted: int | None) -> None:
        """Read at most so many tokens of a text, if the model's positions reach that far."""
        if wanted is None:
            return
        positions = getattr(self._model[0], "config", None)
        most = getattr(positions, "max_position_embeddings", None)
        if isinstance(most, int) and 0 < most < wanted:
            raise RunFailure(
                f"{self._spec.name} has only {most} positions; {wanted} tokens were asked for.",
                code="unsupported",
                remedy="Ask for fewer tokens.",
            )
        self._model.max_seq_length = wanted


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        sign in text for sign in ("out of memory", "not enough memory", "can't allocate memory")
    )


def _out_of_memory(device: str) -> RunFailure:
    if device.startswith("cpu"):
        return RunFailure(
            "Not even one text fits into this machine's memory beside the model.",
            code="out_of_memory",
            remedy="Use a machine with more memory, a smaller model, or fewer tokens a text.",
        )
    return RunFailure(
        f"Not even one text fits into the memory of {device} beside the model.",
        code="gpu_oom",
        remedy="Use a larger GPU, bfloat16, or fewer tokens a text; or end what else runs on it.",
    )


def _free_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
