"""What the engine knows of a model, whatever its loader. Importing this loads no torch."""

import platform
import re
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from app.errors import RunFailure

Role = Literal["query", "document"]
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
Precision = Literal["float32", "int8", "uint8", "binary"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

BACKEND: Final = "torch"
KIND_LENGTH: Final = 120
_CPUINFO = Path("/proc/cpuinfo")
_LIBRARIES = ("torch", "transformers", "sentence-transformers", "numpy", "scikit-learn", "scipy")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model and how to use it.

    Attributes:
        name: `org/name`, as shown.
        revision: a commit of 40 hexadecimal digits; empty for whatever is there now.
        loader: `dense`, `bm25` or `random`.
        source: `hub`, `folder` or `builtin`.
        path: the folder, for `source="folder"`.
        truncate_dim: keep only the first dimensions.
        precision: of the vectors that are compared; made from the stored float32 ones.
        max_tokens: read at most so many tokens of a text; None for the model's own limit.
        dtype: of the weights while encoding; vectors are float32 in any case.
        query_prompt: instead of the model's own; "" for none.
        document_prompt: likewise.
        prompts: by task type (`STS`), role (`query`) or both (`Retrieval-query`); laid over the model's own.
    """

    name: str
    revision: str = ""
    loader: str = "dense"
    source: str = "hub"
    path: str | None = None
    truncate_dim: int | None = None
    precision: Precision = "float32"
    max_tokens: int | None = None
    dtype: str = "float32"
    query_prompt: str | None = None
    document_prompt: str | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)

    @property
    def measurable(self) -> bool:
        """Whether it has a cost to measure. Random vectors are no model's; BM25's cost depends on the corpus."""
        return self.source != "builtin"


@dataclass(frozen=True, slots=True)
class Batch:
    """A few texts, encoded.

    Attributes:
        rows: shape (n,), the texts' positions in the sequence that was given.
        vectors: shape (n, full dimensions), not truncated.
        tokens: shape (n,), of each text with its prompt, beyond any limit; 0 where the model has none.
    """

    rows: IntArray
    vectors: FloatArray
    tokens: IntArray


class PoisonedText(Exception):
    """A text that makes the tokenizer or the model raise, whatever is encoded with it.

    Attributes:
        row: its position in the sequence that was given.
        where: "the tokenizer" or "the model".
        kind: the name of what was raised; its message may quote the text.
    """

    def __init__(self, row: int, where: str, error: BaseException) -> None:
        self.row, self.where, self.kind = row, where, type(error).__name__
        super().__init__(f"{where} raised {self.kind} at row {row}")


class Encoder(Protocol):
    """Texts to vectors."""

    @property
    def revision(self) -> str:
        """What was loaded: a commit, or the content hash of a folder; 40 hexadecimal digits."""

    @property
    def dimensions(self) -> int:
        """The length of a vector, after truncation."""

    @property
    def max_tokens(self) -> int | None:
        """How many tokens of a text are read; None without a limit."""

    @property
    def dtype(self) -> str:
        """Of the weights."""

    @property
    def device(self) -> str:
        """Where it runs, as torch writes it."""

    @property
    def batch_tokens(self) -> int:
        """Padded tokens a batch; 0 where batches have a fixed number of texts."""

    @property
    def similarity(self) -> Similarity:
        """The model's own."""

    @property
    def backend(self) -> str:
        """What computes, such as `torch`."""

    @property
    def by_role(self) -> bool:
        """Whether queries and documents pass through different modules, so that vectors depend on the role."""

    @property
    def versions(self) -> dict[str, str]:
        """The libraries that decide the outcome."""

    def prompt_for(self, task_type: str, role: Role | None) -> str:
        """What is put before a text of that role in that task type; "" for nothing."""

    def ready(self) -> None:
        """Load the weights, unless they are here; else the first batch does.

        Raises:
            RunFailure: `model_broken`, `gpu_oom`, `out_of_memory`.
        """

    def batches(self, texts: Sequence[str], prompt: str = "", role: Role | None = None) -> Generator[Batch, None, None]:
        """The vectors, in whatever order is quickest; every row once.

        Raises:
            PoisonedText: nothing more comes, but other texts are well.
        """


@runtime_checkable
class LexicalEncoder(Protocol):
    """Texts to weighted words. It learns from the data it is used on, so nothing of it can be stored."""

    @property
    def revision(self) -> str:
        """The version of the method; 40 hexadecimal digits."""

    @property
    def versions(self) -> dict[str, str]:
        """The libraries that decide the outcome."""

    def word_counts(self, texts: Sequence[str]) -> IntArray:
        """Shape (n,): the words of each text that count."""

    def index(self, documents: Sequence[str]) -> "LexicalIndex":
        """A corpus made searchable, of "title, line break, text" each."""

    def weigh(self, fitted_on: Sequence[str], texts: Sequence[str]) -> Any:
        """A scipy CSR array of shape (n, words of `fitted_on`)."""


class LexicalIndex(Protocol):
    """A searchable corpus."""

    def scores(self, queries: Sequence[str]) -> FloatArray:
        """Shape (queries, documents)."""


def find_prompt(spec: ModelSpec, own: Mapping[str, str], default: str, task_type: str, role: Role | None) -> str:
    """The prompt that counts, by MTEB's order: task type and role, task type, role, the model's default.

    An explicit prompt of the spec for the role goes before all. Models that call their document prompt
    `passage` or `corpus` are understood, as sentence-transformers documents it.

    Args:
        spec: whose prompts are laid over the model's own.
        own: the model's prompts by name.
        default: the model's prompt for texts that no name fits.
        task_type: such as `Retrieval`.
        role: None for texts that are neither query nor document.
    """
    explicit = {"query": spec.query_prompt, "document": spec.document_prompt}.get(role or "")
    if explicit is not None:
        return explicit
    prompts = {**own, **spec.prompts}
    if role is None:
        return prompts.get(task_type, default)
    for name in (f"{task_type}-{role}", task_type):
        if name in prompts:
            return prompts[name]
    names = ("query",) if role == "query" else ("document", "passage", "corpus")
    return next((prompts[name] for name in names if prompts.get(name)), "")


def first_bad_row(vectors: FloatArray) -> tuple[int, str] | None:
    """The first row that is no usable vector, and what is wrong with it; None if all are well."""
    squares = np.einsum("ij,ij->i", vectors, vectors)
    if (np.isfinite(squares) & (squares > 0)).all():
        return None  # the quick way; squares may also be infinite or 0 for very great or small values
    finite = np.asarray(np.isfinite(vectors).all(axis=1))
    nonzero = vectors.any(axis=1)
    bad = np.flatnonzero(~(finite & nonzero))
    if not len(bad):
        return None
    return int(bad[0]), "only zeros" if finite[bad[0]] else "NaN or infinite values"


def library_versions(*more: str) -> dict[str, str]:
    """Versions of Python and of the libraries that decide a score."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in (*_LIBRARIES, *more)}}


def choose_device(device: str) -> str:
    """`auto` made concrete: cuda, else mps, else cpu.

    Raises:
        RunFailure: `unsupported`, for a device this machine lacks.
    """
    import torch  # noqa: PLC0415 -- the light worker imports this module and must not load torch

    there = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    there += ["mps"] if torch.backends.mps.is_available() else []
    there += ["cpu"]
    kinds = [name.partition(":")[0] for name in there]
    if device == "auto":
        return kinds[0]
    if device not in {*there, *kinds}:
        raise RunFailure(
            f"There is no device {device!r} here.",
            code="unsupported",
            remedy=f"Set TOUCHSTONE_DEVICE to auto or to one that this machine has: {', '.join(there)}.",
        )
    return device


def describe_device(device: str) -> str:
    """The device's name for people, such as `cuda: NVIDIA H200`."""
    import torch  # noqa: PLC0415 -- see above

    chosen = choose_device(device)
    if chosen.startswith("cuda"):
        return f"{chosen}: {torch.cuda.get_device_name(chosen)}"
    return chosen


def device_kind(device: str) -> str:
    """What a device is, whichever of its kind: `cuda: NVIDIA H200`, `mps: Apple M2`, `cpu: AMD EPYC 9454, 2 threads`.

    Figures that were measured on one kind are never mixed with those of another. At most `KIND_LENGTH` characters.

    Raises:
        RunFailure: `unsupported`, for a device this machine lacks.
    """
    import torch  # noqa: PLC0415 -- see above

    chosen = choose_device(device)
    kind = chosen.partition(":")[0]
    name, more = torch.cuda.get_device_name(chosen) if kind == "cuda" else _processor(), ""
    if kind == "cpu":
        threads = torch.get_num_threads()
        more = f", {threads} thread{'' if threads == 1 else 's'}"
    return f"{kind}: {' '.join(name.split())}"[: KIND_LENGTH - len(more)] + more


def _processor() -> str:
    """The name of the processor, as far as the system tells it."""
    if sys.platform == "darwin":
        asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(asked, capture_output=True, text=True, check=False).stdout  # noqa: S603 -- no input
    else:
        about = _CPUINFO.read_text(encoding="utf-8", errors="replace") if _CPUINFO.exists() else ""
        found = re.search(r"^model name\s*:(.+)$", about, re.MULTILINE)
        name = found[1] if found else ""
    return name.strip() or platform.processor() or platform.machine()
