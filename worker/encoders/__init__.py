"""Models: one file a loader. `load` chooses; heavy libraries are imported only when a loader needs them."""

from pathlib import Path

from app.errors import RunFailure
from worker.encoders.base import Encoder, LexicalEncoder, ModelSpec

LOADERS = ("dense", "bm25", "random")


def load(
    spec: ModelSpec,
    device: str = "auto",
    batch_tokens: int = 0,
    language: str | None = None,
    remembered: Path | None = None,
) -> Encoder | LexicalEncoder:
    """A model; a dense one loads its weights only when they are needed, and keeps them for the next run.

    Args:
        spec: which, and how to use it.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`; for dense models.
        batch_tokens: padded tokens a batch; 0 chooses for the device.
        language: of the data (ISO 639-3), if it is in exactly one; for BM25.
        remembered: the folder of all vector stores, where a dense model's facts are kept.

    Raises:
        RunFailure: `model_missing`, `model_unsafe`, `remote_code`, `model_broken`, `unsupported`, `gpu_oom`.
    """
    match spec.loader:
        case "dense":
            from worker.encoders import dense  # noqa: PLC0415

            return dense.load(spec, device=device, batch_tokens=batch_tokens, remembered=remembered)
        case "bm25":
            from worker.encoders import bm25  # noqa: PLC0415

            return bm25.Bm25Encoder(spec, language or bm25.DEFAULT_LANGUAGE)
        case "random":
            from worker.encoders import random  # noqa: PLC0415

            return random.RandomEncoder(spec)
    raise RunFailure(
        f"There is no loader {spec.loader!r}.", code="unsupported", remedy=f"Choose one of {', '.join(LOADERS)}."
    )
