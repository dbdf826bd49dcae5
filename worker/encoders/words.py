"""Texts to words for BM25, by language, as MTEB 2.26.24 does for its bm25s baseline."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

import bm25s
import Stemmer
from bm25s import tokenization

FREQUENT: Final = 0.9
"""Without a list of stop words, words in at least this share of the corpus count as such."""

_STOP_WORDS = {
    "deu": tokenization.STOPWORDS_GERMAN,
    "eng": tokenization.STOPWORDS_EN,
    "fra": tokenization.STOPWORDS_FRENCH,
    "ita": tokenization.STOPWORDS_ITALIAN,
    "nld": tokenization.STOPWORDS_DUTCH,
    "nor": tokenization.STOPWORDS_NORWEGIAN,
    "por": tokenization.STOPWORDS_PORTUGUESE,
    "rus": tokenization.STOPWORDS_RUSSIAN,
    "spa": tokenization.STOPWORDS_SPANISH,
    "swe": tokenization.STOPWORDS_SWEDISH,
    "zho": tokenization.STOPWORDS_CHINESE,
}
_STEMMERS = {
    "ara": "arabic",
    "cat": "catalan",
    "dan": "danish",
    "deu": "german",
    "ell": "greek",
    "eng": "english",
    "epo": "esperanto",
    "est": "estonian",
    "eus": "basque",
    "fin": "finnish",
    "fra": "french",
    "gle": "irish",
    "hin": "hindi",
    "hun": "hungarian",
    "hye": "armenian",
    "ind": "indonesian",
    "ita": "italian",
    "lit": "lithuanian",
    "nep": "nepali",
    "nld": "dutch",
    "nor": "norwegian",
    "por": "portuguese",
    "ron": "romanian",
    "rus": "russian",
    "spa": "spanish",
    "srp": "serbian",
    "swe": "swedish",
    "tam": "tamil",
    "tur": "turkish",
    "yid": "yiddish",
}
_BY_CHARACTER = {"zho", "jpn", "kor", "tha", "khm", "mya", "bod", "lao"}
_ALIASES = {"cmn": "zho", "nob": "nor", "nno": "nor", "arb": "ara"}


class Words:
    """Cuts, stems and filters the texts of one language; learns its stop words where the language has no list.

    Args:
        language: ISO 639-3, also with a script (`eng-Latn`).
    """

    def __init__(self, language: str) -> None:
        code = language.split("-", maxsplit=1)[0].lower()
        code = _ALIASES.get(code, code)
        self._by_character = code in _BY_CHARACTER
        self._listed = _STOP_WORDS.get(code)
        self._stop_words: frozenset[str] = frozenset(self._listed or ())
        self._stemmer = Stemmer.Stemmer(_STEMMERS[code]) if code in _STEMMERS else None

    def fit(self, texts: Sequence[str]) -> list[list[str]]:
        """The words of each text of a corpus; its all too frequent ones become stop words if there is no list."""
        words = self.cut(texts)
        if self._listed is not None:
            return words
        found = Counter(word for text in words for word in set(text))
        self._stop_words = frozenset(word for word, count in found.items() if count / len(texts) >= FREQUENT)
        return [[word for word in text if word not in self._stop_words] for text in words]

    def cut(self, texts: Sequence[str]) -> list[list[str]]:
        """The words of each text, in their order."""
        if self._by_character:
            return [
                [character for character in _characters(text) if character not in self._stop_words] for text in texts
            ]
        words: list[list[str]] = bm25s.tokenize(
            list(texts), stopwords=list(self._stop_words), stemmer=self._stemmer, return_ids=False, show_progress=False
        )
        return words


def _characters(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower().replace(" ", "")
