"""Texts to token ids: once for a slice of texts, to know their lengths and to fill the batches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import PreTrainedTokenizerBase

from worker.encoders.base import IntArray, Role

NO_LIMIT = 10**9
"""Tokenizers write a missing limit as a huge number."""


class Tokenised:
    """A slice of texts as the model will read it.

    Most models take what the tokenizer gives, which then serves for the lengths and for the batches alike. For
    others (chat templates, routers, prompts left out of the pooling, static embeddings) the batches go through
    sentence-transformers' own preprocessing, and only the lengths come from here.

    Attributes:
        counts: shape (n,), tokens that are read.
        truncated: shape (n,), whether there are more.
        first: shape (n,), the first text with the same tokens; to the model they are one text. (What is no word
            of a small vocabulary becomes [UNK], so that many texts of a foreign script read the same.)
    """

    counts: IntArray
    truncated: npt.NDArray[np.bool_]
    first: IntArray

    def __init__(self, model: SentenceTransformer, texts: Sequence[str], prompt: str, role: Role | None) -> None:
        self._model, self._texts, self._prompt, self._role = model, texts, prompt, role
        self._columns: dict[str, list[Any]] | None = None
        if _is_plain(model, prompt):
            encoded = model.tokenizer([prompt + text for text in texts], truncation=True, verbose=False)
            self._columns = dict(encoded)
            self.counts = np.array([len(ids) for ids in encoded["input_ids"]], np.int64)
            self.truncated = np.array([bool(encoding.overflowing) for encoding in encoded.encodings])
            seen: dict[tuple[int, ...], int] = {}
            self.first = np.array([seen.setdefault(tuple(ids), row) for row, ids in enumerate(encoded["input_ids"])])
        else:
            counts = token_counts(model, texts, prompt)
            limit = model.max_seq_length or NO_LIMIT
            self.counts, self.truncated = np.minimum(counts, limit).astype(np.int64), counts > limit
            self.first = np.arange(len(texts))

    def features(self, rows: npt.ArrayLike) -> dict[str, Any]:
        """The model's input for some of the texts, padded to the longest of them."""
        positions = np.asarray(rows).tolist()
        if self._columns is None:
            texts = [self._texts[position] for position in positions]
            task = {"task": self._role} if self._role else {}
            preprocessed: dict[str, Any] = self._model.preprocess(texts, prompt=self._prompt or None, **task)
            return preprocessed
        part = {name: [values[position] for position in positions] for name, values in self._columns.items()}
        return dict(self._model.tokenizer.pad(part, return_tensors="pt"))


def token_counts(model: SentenceTransformer, texts: Sequence[str], prompt: str) -> IntArray:
    """Shape (n,): the tokens of each text with its prompt, beyond any limit; 0 where the model has no tokenizer."""
    prompted = [prompt + text for text in texts]
    tokenizer = model.tokenizer
    if isinstance(tokenizer, PreTrainedTokenizerBase):
        ids = tokenizer(prompted, truncation=False, verbose=False, return_attention_mask=False)["input_ids"]
        return np.array([len(each) for each in ids], np.int64)
    if hasattr(tokenizer, "encode_batch"):
        return np.array(
            [len(each.ids) for each in tokenizer.encode_batch(prompted, add_special_tokens=False)], np.int64
        )
    return np.zeros(len(texts), np.int64)


def _is_plain(model: SentenceTransformer, prompt: str) -> bool:
    """Whether the tokenizer's output, padded, is all that the model's own preprocessing would give."""
    first = model[0]
    return (
        isinstance(first, Transformer)
        and isinstance(first.processor, PreTrainedTokenizerBase)
        and first.processor.is_fast
        and "message" not in first.modality_config
        and not first.processing_kwargs
        and not first.can_flatten_inputs
        and first.query_length is first.document_length is first.query_expansion is None
        and not (prompt and any(isinstance(module, Pooling) and not module.include_prompt for module in model))
    )
