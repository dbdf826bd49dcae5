"""What the engine's tests share: tiny models written to disk, a recorder of progress, small datasets."""

import json
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Router, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, BertTokenizer

from app.core.records import (
    Cell,
    ClassificationData,
    Dataset,
    Document,
    LabelledText,
    Query,
    RetrievalData,
    SentencePair,
    StsData,
)

DIMENSIONS = 16
WORDS = [
    *("the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree"),
    *("query", "document", "probe", "red", "blue", "green", "one", "two", "three", "four"),
]


def write_model(folder: Path, *, include_prompt: bool = True, prompts: dict[str, str] | None = None) -> Path:
    """A BERT of one layer with random weights, as a sentence-transformers folder; 64 tokens at most."""
    plain = folder / "plain"
    plain.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (plain / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=DIMENSIONS,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(plain)
    BertTokenizer(str(plain / "vocab.txt"), model_max_length=64).save_pretrained(plain)
    transformer = Transformer(str(plain), max_seq_length=32)
    pooling = Pooling(DIMENSIONS, "mean", include_prompt=include_prompt)
    model = SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu", prompts=prompts)
    model.save(str(folder / "model"), create_model_card=False)
    return folder / "model"


def write_static_model(folder: Path) -> Path:
    """Word vectors without a transformer."""
    vocabulary = {word: number for number, word in enumerate(["[UNK]", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(0).standard_normal((len(vocabulary), DIMENSIONS)).astype(np.float32)
    static = StaticEmbedding(tokenizer, embedding_weights=weights)
    SentenceTransformer(modules=[static], device="cpu").save(str(folder), create_model_card=False)
    return folder


def write_router_model(folder: Path) -> Path:
    """Word vectors for queries, a transformer for documents."""
    static = SentenceTransformer(str(write_static_model(folder / "static")), device="cpu")
    transformer = SentenceTransformer(str(write_model(folder / "transformer")), device="cpu")
    router = Router.for_query_document(query_modules=[static[0]], document_modules=[transformer[0], transformer[1]])
    SentenceTransformer(modules=[router], device="cpu").save(str(folder / "router"), create_model_card=False)
    return folder / "router"


def edit_json(path: Path, **changes: object) -> None:
    """Change some keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


class Recorder:
    """A `Progress` that keeps what it is told; `stop_after` ends the run after so many steps of `encode`."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stages: list[tuple[str, int]] = []
        self.done: dict[str, list[int]] = {}
        self.checks = 0
        self._stop_after = stop_after

    def stage(self, name: str, total: int) -> None:
        self.stages.append((name, total))
        self.done.setdefault(name, [])

    def advance(self, done: int) -> None:
        self.done[self.stages[-1][0]].append(done)

    def check(self) -> None:
        self.checks += 1
        encoded = max(self.done.get("encode", []), default=0)
        if self._stop_after is not None and encoded >= self._stop_after:
            raise Cancelled


class Cancelled(Exception):
    """What a `Progress` may raise."""


def sts_dataset() -> Dataset:
    """Two subsets of scored pairs."""
    pairs = (
        SentencePair("the cat sat", "the cat sat on a mat", 4.5),
        SentencePair("a dog ran", "a dog ran under the tree", 4.0),
        SentencePair("one red cat", "two blue dog", 1.5),
        SentencePair("the tree", "four green three", 0.0),
        SentencePair("a cat", "a cat", 5.0),
    )
    return Dataset("STS", (Cell("test", "first", StsData(pairs)), Cell("test", "second", StsData(pairs[:4]))))


def classification_dataset(labels: tuple[str, ...] = ("cats", "dogs")) -> Dataset:
    """Texts about cats, dogs and perhaps more."""
    animals = ("cat", "dog", "tree", "mat")
    train, test = [], []
    for label, animal in zip(labels, animals, strict=False):
        train += [LabelledText(f"{word} {animal}", label) for word in WORDS[9:20]]
        test += [LabelledText(f"the {animal} {word}", label) for word in ("sat", "ran", "on", "under")]
    return Dataset("Classification", (Cell("test", "default", ClassificationData(tuple(train), tuple(test))),))


def retrieval_dataset() -> Dataset:
    """Three judged queries, one without a judgement, four documents, one of them with a title."""
    queries = (Query("q1", "red cat"), Query("q2", "blue dog"), Query("q3", "green tree"), Query("q4", "one"))
    documents = (
        Document("d1", "a red cat sat on the mat", "red cat"),
        Document("d2", "a blue dog ran"),
        Document("d3", "the green tree"),
        Document("d4", "four three two one"),
    )
    qrels = {"q1": {"d1": 2, "d3": 1}, "q2": {"d2": 1}, "q3": {"d3": 1, "d4": 0}}
    return Dataset("Retrieval", (Cell("test", "default", RetrievalData(queries, documents, qrels)),))
