"""Loaded sentence-transformers models: batches of texts in, vectors out, on whatever device."""

import contextlib
import gc
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router
from torch import Tensor
from transformers.utils import logging as transformers_logging

from app.core.formats.problems import excerpt
from app.errors import RunFailure
from worker.batching import by_size, longest_first, token_batches
from worker.encoders.base import Batch, FloatArray, IntArray, ModelSpec, PoisonedText, Role
from worker.encoders.facts import Facts
from worker.encoders.folders import ModelFolder
from worker.encoders.tokens import NO_LIMIT, Reader, Tokenised

START_TOKENS = {"cuda": 4_096, "mps": 1_024, "cpu": 16}
"""What a batch costs before its first token, in tokens: rather pad so many than begin another batch."""

_SLICE_BATCHES = 256
"""What is tokenised and sorted at a time: characters for so many batches, if each were a token."""

_WORKERS = {"cuda": 2, "mps": 1, "cpu": 8}
"""Batches at the same time, at most: on a GPU one is prepared and fetched while another is computed. On processors
each has threads of its own, for threads that share a batch wait for one another at every step."""


class Seat:
    """Room for one model in memory: the last one that was used."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._network: Network | None = None

    def take(self, spec: ModelSpec, folder: ModelFolder, device: str) -> "Network":
        """The model of a spec. Variants of one model differ in dimensions, precision and prompts, and share it.

        Raises:
            RunFailure: `model_broken`, `unsupported`, `gpu_oom`, `out_of_memory`.
        """
        key = (folder, spec.dtype, spec.max_tokens, device)
        if self._network is None or self._key != key:
            self._network = None
            gc.collect()  # the old one is gone before the new one comes
            _free_memory()
            self._network, self._key = Network(spec, folder, device), key
        return self._network


seat = Seat()


class Network:
    """A model in memory.

    Args:
        spec: its dtype and its limit of tokens count here.
        folder: its files, checked.
        device: as torch writes it.

    Raises:
        RunFailure: `model_broken`, `unsupported`, `gpu_oom`, `out_of_memory`.
    """

    def __init__(self, spec: ModelSpec, folder: ModelFolder, device: str) -> None:
        self._device, self._kind = device, torch.device(device).type
        self._model = _load(spec, folder, device)
        _limit_tokens(self._model, spec)
        self._most_tokens: int | None = None
        self._threads = torch.get_num_threads()
        self._workers = 1 if _keeps_state(self._model) else _WORKERS.get(self._kind, 1)
        if self._kind == "cpu":
            self._workers = min(self._workers, self._threads)
            self._threads //= self._workers
        self._at_once = self._workers + 1 if self._workers > 1 else 1
        self._reader = Reader(self._model)
        self.facts = self._examine()

    def batches(
        self, texts: Sequence[str], prompt: str, role: Role | None, *, budget: int
    ) -> Generator[Batch, None, None]:
        """See `Encoder.batches`; a thread tokenises the next slice while one is encoded.

        Args:
            texts: n texts.
            prompt: put before each.
            role: for models whose routes differ.
            budget: padded tokens a batch.
        """
        if len(texts) == 1:
            alone = self._reader.read(texts, np.zeros(1, np.int64), prompt, role)
            yield from self._encode(alone, budget, _Here())
            return
        lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + len(prompt)
        parts = by_size(longest_first(lengths), lengths, _SLICE_BATCHES * budget)
        with _pool(1, "tokenizer") as tokenizer, _pool(self._workers, "network", self._threads) as workers:
            following: deque[Future[Tokenised]] = deque()
            for positions in parts:
                part = [texts[position] for position in positions]
                following.append(tokenizer.submit(self._reader.read, part, positions, prompt, role))
                if len(following) > 1:
                    yield from self._encode(following.popleft().result(), budget, workers)
            if following:
                yield from self._encode(following.popleft().result(), budget, workers)

    def _encode(self, tokens: Tokenised, budget: int, workers: Executor) -> Iterator[Batch]:
        """The vectors of a slice. Texts that the model reads alike are encoded once."""
        different, alike = np.unique(tokens.first, return_inverse=True)
        for rows, vectors in self._computed(tokens, different, budget, workers):
            place = np.full(len(different), -1)
            place[rows] = np.arange(len(rows))
            members = np.flatnonzero(place[alike] >= 0)
            yield Batch(tokens.positions[members], vectors[place[alike[members]]], tokens.counts[members])

    def _computed(
        self, tokens: Tokenised, texts: IntArray, budget: int, workers: Executor
    ) -> Iterator[tuple[IntArray, FloatArray]]:
        """Places in `texts` and their vectors, batch by batch; those that fail are halved until none does."""
        lengths = tokens.lengths[texts]
        most = min(budget, self._most_tokens or budget)
        todo = deque(token_batches(lengths, most, START_TOKENS.get(self._kind, START_TOKENS["cpu"])))
        running: deque[tuple[IntArray, Future[FloatArray]]] = deque()
        while todo or running:
            while todo and len(running) < self._at_once:
                rows = todo.popleft()
                running.append((rows, workers.submit(self._compute, tokens, texts[rows])))
            rows, job = running.popleft()
            failure = job.exception()
            if failure is None:
                yield rows, job.result()
                continue
            first = int(tokens.positions[texts[rows[0]]])
            todo.extendleft(reversed(self._instead(rows, failure, first, int(lengths[rows].max()), alone=not running)))
            del failure, job  # and with them what the failed batch holds of the memory
            _free_memory()

    def _instead(
        self, rows: IntArray, failure: BaseException, first: int, longest: int, *, alone: bool
    ) -> list[IntArray]:
        """What to try instead of a batch that failed.

        Args:
            rows: the batch.
            failure: what it raised.
            first: the position of its first text, for the message.
            longest: tokens of its longest text.
            alone: whether no other batch was computed at the same time.
        """
        half = len(rows) // 2
        if _is_out_of_memory(failure):
            if not alone:
                self._at_once = 1
                return [rows]
            if not half:
                raise _out_of_memory(self._device) from failure
            self._most_tokens = half * longest
        elif isinstance(failure, torch.AcceleratorError) or not isinstance(failure, Exception):
            raise failure  # a lost device fails for every text from here on
        elif not half:
            raise PoisonedText(first, "the model", failure) from failure
        return [rows[:half], rows[half:]]

    def _compute(self, tokens: Tokenised, texts: IntArray) -> FloatArray:
        """The vectors of one batch."""
        with torch.inference_mode():
            vectors = self._forward(tokens.features(texts), tokens.role).float()
            if self._kind != "cuda":
                return np.asarray(vectors.cpu())
            fetched = torch.empty(vectors.shape, dtype=torch.float32, pin_memory=True)
            fetched.copy_(vectors, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record(torch.cuda.current_stream(vectors.device))
        arrived.synchronize()  # for this batch alone, not for those that others put behind it
        return np.asarray(fetched)

    def _forward(self, features: dict[str, Any], role: Role | None) -> Tensor:
        """Shape (texts, full dimensions), on the device."""
        on_device = {
            name: self._sent(value) if isinstance(value, Tensor) else value for name, value in features.items()
        }
        task = {"task": role} if role else {}
        vectors: Tensor = self._model(on_device, **task)["sentence_embedding"]
        return vectors

    def _sent(self, tensor: Tensor) -> Tensor:
        if self._kind != "cuda":
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _examine(self) -> Facts:
        model = self._model
        by_role = any(isinstance(module, Router) for module in model.modules())
        role: Role | None = "query" if by_role else None
        limit = model.max_seq_length
        with torch.inference_mode():
            dimensions = self._forward(model.preprocess(["probe"], task=role), role).shape[1]
        prompts = {name: text for name, text in model.prompts.items() if text}
        return Facts(
            dimensions=dimensions,
            truncate_dim=model.truncate_dim,
            max_tokens=None if limit is None or limit > NO_LIMIT else int(limit),
            similarity=model.similarity_fn_name,
            by_role=by_role,
            prompts=prompts,
            default_prompt=prompts.get(model.default_prompt_name or "", ""),
        )


def _load(spec: ModelSpec, folder: ModelFolder, device: str) -> SentenceTransformer:
    """A model from its safetensors, without running any code of its own."""
    transformers_logging.disable_progress_bar()
    dtype = getattr(torch, spec.dtype)
    try:
        model = SentenceTransformer(
            str(folder.path),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"dtype": dtype, "use_safetensors": True},
        )
        if model.dtype not in (None, dtype):
            model.to(dtype)
        return model.eval()
    except RunFailure:
        raise
    except Exception as error:  # whatever a damaged or foreign model makes the libraries raise
        if _is_out_of_memory(error):
            raise _out_of_memory(device) from error
        raise RunFailure(
            f"{spec.name} cannot be loaded: {excerpt(str(error)).rstrip('.')}.",
            code="model_broken",
            remedy="Check that the folder is complete and that this version of sentence-transformers knows the model.",
            details={"error": f"{type(error).__name__}: {error}"},
        ) from error


def _limit_tokens(model: SentenceTransformer, spec: ModelSpec) -> None:
    """Read at most so many tokens of a text as the spec says, if the model's positions reach that far."""
    if spec.max_tokens is None:
        return
    most = getattr(getattr(model[0], "config", None), "max_position_embeddings", None)
    if isinstance(most, int) and 0 < most < spec.max_tokens:
        raise RunFailure(
            f"{spec.name} has only {most} positions; {spec.max_tokens} tokens were asked for.",
            code="unsupported",
            remedy="Ask for fewer tokens.",
        )
    try:
        model.max_seq_length = spec.max_tokens
    except AttributeError as error:
        raise RunFailure(
            f"{spec.name} reads texts of any length; it cannot be limited to {spec.max_tokens} tokens.",
            code="unsupported",
            remedy="Leave the limit of tokens out.",
        ) from error


def _keeps_state(model: torch.nn.Module) -> bool:
    """Whether a model changes while it computes, as rotary positions do that follow the longest text so far."""
    kinds = [str(getattr(module, "rope_type", "")) for module in model.modules()]
    return any("dynamic" in kind or "longrope" in kind for kind in kinds)


class _Here(Executor):
    """Computes at once, in the thread that asks: one text has nothing to wait for, and all threads to itself."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """See `Executor`."""
        done: Future[Any] = Future()
        try:
            done.set_result(work(*arguments, **named))
        except Exception as error:  # as a pool does: whoever reads the result decides
            done.set_exception(error)
        return done


@contextlib.contextmanager
def _pool(workers: int, name: str, threads: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """Some workers, whose tensors are computed by so many threads each; none of them works on afterwards."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, name, torch.set_num_threads, (threads or before,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # for threads that begin from here on


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
