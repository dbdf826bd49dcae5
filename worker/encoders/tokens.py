"""Texts to token ids: once for a slice of texts, to know their lengths and to fill the batches."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import PreTrainedTokenizerBase

from worker.batching import by_size
from worker.encoders.base import IntArray, PoisonedText, Role

NO_LIMIT = 10**9
"""Tokenizers write a missing limit as a huge number."""

_AT_ONCE_CHARACTERS = 1 << 20
"""The tokenizer's own objects take some hundred bytes a token, so only so much text is in them at a time."""

_PROBES = ["probe", "Zwei Wörter, 3.5 — 三个词", "a text of some more words, " * 100]

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Tokenised:
    """A slice of texts as the model will read it.

    Attributes:
        positions: shape (n,), of the texts in the sequence that the slice is of.
        counts: shape (n,), tokens of each text beyond any limit.
        lengths: shape (n,), tokens that are read.
        first: shape (n,), the first text with the same tokens; to the model they are one text. (What is no word
            of a small vocabulary becomes [UNK], so that many texts of a foreign script read the same.)
        role: of the texts.
        features: makes the model's input of some of the texts, padded to the longest of them.
    """

    positions: IntArray
    counts: IntArray
    lengths: IntArray
    first: IntArray
    role: Role | None
    features: Callable[[IntArray], dict[str, Any]]


class Reader:
    """A model's tokenizer, for one thread that reads ahead and one that fills the batches.

    Most models take what the tokenizer gives, which then serves for the lengths and for the batches alike. For
    others (chat templates, routers, prompts left out of the pooling, static embeddings) the batches go through
    sentence-transformers' own preprocessing, and only the lengths come from here.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        self._model, self._tokenizer = model, model.tokenizer
        self._lock = threading.Lock()  # a tokenizer has one setting for truncation, whoever calls it
        self._plain = _is_plain(model)
        self._pools_all = all(module.include_prompt for module in model if isinstance(module, Pooling))

    def read(self, texts: Sequence[str], positions: IntArray, prompt: str, role: Role | None) -> Tokenised:
        """Tokenise a slice.

        Raises:
            PoisonedText: of a position.
        """
        prompted = [prompt + text for text in texts]
        if self._plain and (self._pools_all or not prompt):
            read = _in_parts(self._ids, prompted, positions)
            ids = [each for each, _ in read]
            counts = np.array([count for _, count in read], np.int64)
            lengths = np.array([len(each) for each in ids], np.int64)
            seen: dict[bytes, int] = {}
            first = np.array([seen.setdefault(each.tobytes(), row) for row, each in enumerate(ids)], np.int64)
            return Tokenised(positions, counts, lengths, first, role, lambda rows: self._padded(ids, lengths, rows))
        counts = np.array(_in_parts(self._counts, prompted, positions), np.int64)
        lengths = np.minimum(counts, min(self._model.max_seq_length or NO_LIMIT, NO_LIMIT))

        def features(rows: IntArray) -> dict[str, Any]:
            task = {"task": role} if role else {}
            with self._lock:
                made: dict[str, Any] = self._model.preprocess(
                    [texts[row] for row in rows], prompt=prompt or None, **task
                )
            return made

        return Tokenised(positions, counts, lengths, np.arange(len(texts)), role, features)

    def _ids(self, texts: list[str]) -> list[tuple[npt.NDArray[np.int32], int]]:
        """The ids that are read of each text, and how many there would be without a limit."""
        special = self._tokenizer.num_special_tokens_to_add(False)
        with self._lock:
            encodings = _encodings(self._tokenizer, texts)
        return [
            (np.array(each.ids, np.int32), len(each) + sum(len(rest) - special for rest in each.overflowing))
            for each in encodings
        ]

    def _counts(self, texts: list[str]) -> list[int]:
        """The tokens of each text, beyond any limit; 0 where the model has no tokenizer."""
        with self._lock:
            if isinstance(self._tokenizer, PreTrainedTokenizerBase):
                ids = self._tokenizer(texts, truncation=False, verbose=False, return_attention_mask=False)["input_ids"]
                return [len(each) for each in ids]
            if hasattr(self._tokenizer, "encode_batch"):
                return [len(each.ids) for each in self._tokenizer.encode_batch(texts, add_special_tokens=False)]
        return [0] * len(texts)

    def _padded(self, ids: list[npt.NDArray[np.int32]], lengths: IntArray, rows: IntArray) -> dict[str, Any]:
        places = np.arange(lengths[rows].max())
        own = lengths[rows][:, None]
        read = places < own if self._tokenizer.padding_side == "right" else places >= len(places) - own
        padded = np.full(read.shape, self._tokenizer.pad_token_id, np.int64)
        padded[read] = np.concatenate([ids[row] for row in rows])
        features = {"input_ids": torch.from_numpy(padded), "attention_mask": torch.from_numpy(read.astype(np.int64))}
        if "token_type_ids" in self._tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros(read.shape, dtype=torch.int64)
        return features


def _encodings(tokenizer: Any, texts: list[str]) -> list[Any]:
    """What the tokenizer's Rust part makes of texts, truncated: many times quicker than the call around it."""
    tokenizer([""], truncation=True, verbose=False)  # sets the truncation up
    encodings: list[Any] = tokenizer.backend_tokenizer.encode_batch_fast(texts)
    return encodings


def _in_parts(read: Callable[[list[str]], list[Read]], texts: list[str], positions: IntArray) -> list[Read]:
    """`read` of all texts, a few at a time; names the position of a text that it raises for."""
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    found: list[Read] = []
    todo = list(by_size(np.arange(len(texts)), sizes, _AT_ONCE_CHARACTERS))[::-1]
    while todo:
        rows = todo.pop()
        try:
            found += read([texts[row] for row in rows])
        except BaseException as error:
            # A panic of the tokenizer's Rust part is no Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            if len(rows) == 1:
                raise PoisonedText(int(positions[rows[0]]), "the tokenizer", error) from error
            todo += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
    return found


def _is_plain(model: SentenceTransformer) -> bool:
    """Whether the ids of the tokenizer's Rust part, padded, are all that the model's own preprocessing would give."""
    first = model[0]
    if not (
        isinstance(first, Transformer)
        and isinstance(first.processor, PreTrainedTokenizerBase)
        and first.processor.is_fast
        and "message" not in first.modality_config
        and not first.processing_kwargs
        and not first.can_flatten_inputs
        and first.query_length is first.document_length is first.query_expansion is None
    ):
        return False
    tokenizer = first.processor
    called = dict(tokenizer(_PROBES, truncation=True, verbose=False))
    ids = called.pop("input_ids")
    return (
        ids == [each.ids for each in _encodings(tokenizer, _PROBES)]
        and called.keys() <= {"attention_mask", "token_type_ids"}
        and all(
            value == int(name == "attention_mask") for name, rows in called.items() for row in rows for value in row
        )
        and tokenizer.pad_token_id is not None
        and tokenizer.pad_token_type_id == 0
    )
