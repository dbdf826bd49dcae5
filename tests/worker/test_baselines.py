"""Models that understand nothing: their scores are those of MTEB and bm25s."""

import bm25s
import numpy as np
import pytest
from mteb.models.model_implementations.bm25 import BM25Search, BM25Tokenizer
from mteb.models.model_implementations.random_baseline import _key_to_vector, hash_item

from app.core.records import RetrievalData
from tests.worker.encoder_world import TEXTS, encode
from tests.worker.engine_world import retrieval_dataset
from worker.encoders import LOADERS, load
from worker.encoders.base import LexicalEncoder, ModelSpec
from worker.encoders.bm25 import Bm25Encoder
from worker.encoders.words import Words
from worker.search import search_words


def test_random_vectors_are_those_of_mteb() -> None:
    encoder = load(ModelSpec("baseline/random", loader="random", source="builtin"))
    assert not isinstance(encoder, LexicalEncoder)

    expected = np.stack([_key_to_vector(hash_item({"text": text}), 32) for text in TEXTS])

    np.testing.assert_array_equal(encode(encoder, TEXTS, prompt="ignored"), expected)
    assert encoder.dimensions == 32
    assert encode(encoder, []).shape == (0, 32)


def mteb_bm25(data: RetrievalData, language: str) -> dict[str, dict[str, float]]:
    """What MTEB's BM25 finds, without its task around it."""
    searcher = BM25Search()
    searcher._tokenizer = BM25Tokenizer(language=language)
    corpus = searcher._tokenizer.fit_transform([f"{doc.title}\n{doc.text}" for doc in data.documents])
    index = bm25s.BM25(k1=searcher.k1, b=searcher.b, delta=searcher.delta, method=searcher.method)
    index.index(corpus, show_progress=False)
    queries = searcher._tokenizer.transform([query.text for query in data.queries])
    places, scores = index.retrieve(queries, k=len(data.documents), show_progress=False)
    return {
        query.id: {data.documents[p].id: float(s) for p, s in zip(places[row], scores[row], strict=True)}
        for row, query in enumerate(data.queries)
    }


CORPORA = {
    "eng": ["running cats and the dogs", "A cat ran", "dogs sleep", "", "the THE of", "cats cats cats"],
    "deu": ["Die Katzen schlafen", "Der Hund und die Katze", "Hunde laufen schnell", "Häuser", "", "und"],
    "zho": ["猫在睡觉", "狗和猫", "我们 的 房子", "", "ABC 猫", "狗"],
    "hin": ["बिल्ली सो रही", "कुत्ता बिल्ली", "घर", "", "बिल्ली", "कुत्ते दौड़"],
    "xyz": ["qu quux", "quux corge", "quux", "quux a", "quux grault", "quux qu"],
}


@pytest.mark.parametrize("language", list(CORPORA))
def test_bm25_scores_are_those_of_mteb(language: str) -> None:
    corpus = CORPORA[language]
    template = retrieval_dataset().cells[0].data
    assert isinstance(template, RetrievalData)
    documents = tuple(type(template.documents[0])(f"d{row}", text) for row, text in enumerate(corpus))
    queries = tuple(type(template.queries[0])(f"q{row}", text) for row, text in enumerate([*corpus, "nothing known"]))
    data = RetrievalData(queries, documents, {})
    encoder = Bm25Encoder(ModelSpec("baseline/bm25", loader="bm25"), f"{language}-Xxxx")

    index = encoder.index([f"{document.title}\n{document.text}" for document in documents])
    scores = index.scores([query.text for query in queries])

    for row, (query, expected) in enumerate(mteb_bm25(data, language).items()):
        assert {f"d{place}": float(value) for place, value in enumerate(scores[row])} == expected, query


def test_bm25_weights_are_those_of_its_index() -> None:
    corpus = CORPORA["eng"]
    encoder = Bm25Encoder(ModelSpec("baseline/bm25", loader="bm25"))
    words = Words("eng").fit(corpus)
    index = encoder.index(corpus)

    weights = encoder.weigh(corpus, corpus)

    for word in {word for text in words for word in text}:
        column = weights.toarray()[:, sorted({w for text in words for w in text}).index(word)]
        np.testing.assert_allclose(column, index.scores([word])[0], rtol=1e-6)
    assert encoder.word_counts(corpus).tolist() == [len(text) for text in words]


def test_bm25_leaves_unknown_words_out() -> None:
    encoder = Bm25Encoder(ModelSpec("baseline/bm25", loader="bm25"))

    weights = encoder.weigh(["red cats", "blue dogs"], ["green tree", "red dogs", ""])

    assert weights.shape == (3, 4)
    assert (weights.toarray() > 0).sum(axis=1).tolist() == [0, 2, 0]


def test_bm25_of_texts_without_words() -> None:
    encoder = Bm25Encoder(ModelSpec("baseline/bm25", loader="bm25"))

    assert encoder.index(["the", ""]).scores(["cat"]).tolist() == [[0.0, 0.0]]
    assert encoder.weigh(["the"], ["cat"]).toarray().tolist() == [[0.0]]


def test_bm25_ranks_by_falling_id_where_nothing_matches() -> None:
    index = Bm25Encoder(ModelSpec("baseline/bm25", loader="bm25")).index(["red cat", "blue dog", "tree"])

    found = search_words(["dog", "unknown"], index, ["a", "b", "c"], 3)

    assert found.documents.tolist() == [[1, 2, 0], [2, 1, 0]]


def test_every_loader_is_there() -> None:
    assert set(LOADERS) == {"dense", "bm25", "random"}
    assert isinstance(load(ModelSpec("baseline/bm25", loader="bm25")), LexicalEncoder)
