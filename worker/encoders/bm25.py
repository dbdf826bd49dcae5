"""BM25: the lexical baseline. Matching words, weighted by how rare they are, and nothing else."""

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Final

import bm25s
import numpy as np
from scipy.sparse import csr_array

from worker.encoders import base
from worker.encoders.base import FloatArray, IntArray, ModelSpec
from worker.encoders.words import Words

K1: Final = 1.5
B: Final = 0.75
DEFAULT_LANGUAGE: Final = "eng"
"""As in MTEB, for data that is not in exactly one language."""
REVISION = hashlib.sha256(b"bm25: lucene, k1 1.5, b 0.75, version 1").hexdigest()[:40]

logging.getLogger("bm25s").setLevel(logging.WARNING)  # bm25s sets DEBUG for itself


class Bm25Encoder:
    """A `LexicalEncoder`: BM25 in Lucene's variant, k1 = 1.5, b = 0.75.

    Retrieval is MTEB's `mteb/baseline-bm25s`: the same words, the same index, the same scores.

    MTEB has no BM25 for other task types. So that a board has no gap, a text is there the vector of its BM25
    weights, idf(w) * tf / (tf + k1 * (1 - b + b * length / mean length)), over the words w of the texts it is
    fitted on: the cell's own training texts (Classification) or sentences (STS). Document frequencies and the mean
    length come from those, unknown words are left out, similarity is the cosine (0 for a text without words),
    and classifiers learn from the sparse vectors.

    Args:
        spec: with `loader="bm25"`.
        language: ISO 639-3 of the data, also with a script.
    """

    revision = REVISION

    def __init__(self, spec: ModelSpec, language: str = DEFAULT_LANGUAGE) -> None:
        self.name, self.language = spec.name, language

    @property
    def versions(self) -> dict[str, str]:
        """See `LexicalEncoder`."""
        return base.library_versions("bm25s", "PyStemmer")

    def word_counts(self, texts: Sequence[str]) -> IntArray:
        """See `LexicalEncoder`."""
        return np.array([len(words) for words in Words(self.language).cut(texts)], np.int64)

    def index(self, documents: Sequence[str]) -> "Bm25Index":
        """See `LexicalEncoder`."""
        return Bm25Index(documents, Words(self.language))

    def weigh(self, fitted_on: Sequence[str], texts: Sequence[str]) -> csr_array:
        """See `LexicalEncoder`; the same weights as an index has, float64."""
        words = Words(self.language)
        fitted = words.fit(fitted_on)
        found = Counter(word for text in fitted for word in set(text))
        vocabulary = {word: column for column, word in enumerate(sorted(found))}
        frequency = np.array([found[word] for word in vocabulary], np.float64)
        idf = np.log1p((len(fitted) - frequency + 0.5) / (frequency + 0.5))
        mean_length = max(1.0, float(np.mean([len(text) for text in fitted])))
        cut = words.cut(texts)
        counted = [Counter(word for word in text if word in vocabulary) for text in cut]
        columns = np.array([vocabulary[word] for text in counted for word in text], np.int32)
        times = np.array([count for text in counted for count in text.values()], np.float64)
        starts = np.concatenate([[0], np.cumsum([len(text) for text in counted])]).astype(np.int32)
        lengths = np.repeat([len(text) for text in cut], np.diff(starts))
        weights = idf[columns] * times / (times + K1 * (1 - B + B * lengths / mean_length))
        return csr_array((weights, columns, starts), shape=(len(texts), max(1, len(vocabulary))))


class Bm25Index:
    """A `LexicalIndex` by bm25s."""

    def __init__(self, documents: Sequence[str], words: Words) -> None:
        self._words, self._size = words, len(documents)
        cut = words.fit(documents)
        self._index = bm25s.BM25(k1=K1, b=B, method="lucene") if any(cut) else None
        if self._index is not None:
            self._index.index(cut, show_progress=False)

    def scores(self, queries: Sequence[str]) -> FloatArray:
        """See `LexicalIndex`; 0 where no word is shared."""
        found = np.zeros((len(queries), self._size), np.float32)
        if self._index is not None:
            for row, words in enumerate(self._words.cut(queries)):
                if words:
                    found[row] = self._index.get_scores(words)
        return found
