"""Encoding speed by model size and dtype, beside sentence-transformers' own encode; for machines with a GPU.

`python -m bench gpu --quick --device cpu` is small enough for any machine, to see that it works.
"""

import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import BertConfig, BertModel, BertTokenizer

from bench import our_side
from bench.common import Result, Target, times
from bench.floor import Shape, matrix_rate
from worker.encoders.base import FloatArray, ModelSpec

SHAPES: Final = {"MiniLM": Shape(6, 384, 1_536), "base": Shape(12, 768, 3_072), "large": Shape(24, 1_024, 4_096)}
TEXTS: Final = {"MiniLM": 40_000, "base": 20_000, "large": 10_000}
QUICK_SHAPES: Final = {"tiny": Shape(1, 64, 128)}
QUICK_TEXTS: Final = 60
DTYPES: Final = ("bfloat16", "float32")
BATCH_SIZES: Final = (32, 128, 512)
ROUNDS: Final = 3

_WORDS: Final = 30_000
_MOST_TOKENS: Final = 256
_ALIKE: Final = {"float32": 0.9999, "bfloat16": 0.99}
"""How alike, as a cosine, the two vectors of a text must be: other batches round otherwise."""


@dataclass(frozen=True, slots=True)
class Speed:
    """One model in one dtype, texts a second.

    Attributes:
        model: its shape's name and the dtype.
        ours: of our encoder.
        theirs: of sentence-transformers, by batch size.
        share: of the card's measured matrix rate in that dtype, counting no padding.
        rate: that rate, floating-point operations a second.
    """

    model: str
    ours: float
    theirs: dict[int, float]
    share: float
    rate: float

    @property
    def ratio(self) -> float:
        """Ours beside its best."""
        return self.ours / max(self.theirs.values())

    @property
    def row(self) -> tuple[str, ...]:
        """Of the table."""
        numbers = (f"{number:,.0f}" for number in (self.ours, *self.theirs.values()))
        return (self.model, *numbers, times(self.ratio), f"{self.share:.0%}", f"{self.rate / 1e12:,.1f}")


def measure(name: str, *, quick: bool = False, device: str = "cuda") -> Result:
    """Every shape in every dtype.

    Raises:
        RuntimeError: there is no such device.
    """
    speeds = []
    for shape_name, shape in (QUICK_SHAPES if quick else SHAPES).items():
        lengths = text_lengths(QUICK_TEXTS if quick else TEXTS[shape_name])
        with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as folder:
            path = write_model(Path(folder), shape)
            both = partial(compare, shape_name, shape, path=path, lengths=lengths, device=device, quick=quick)
            speeds += [both(dtype=dtype) for dtype in DTYPES]
    large = [speed for speed in speeds if speed.model.startswith("large")]
    return Result(
        name,
        "On a GPU",
        "Texts a second of BERT models with random weights in three sizes, on texts of "
        f"{int(np.median(lengths))} tokens in the median and {_MOST_TOKENS} at most, beside sentence-transformers' own "
        "encode with three batch sizes, in turn in one process, the median of three rounds. The share is that of the "
        "card's measured rate of matrix products in the same dtype, counting no padding.",
        ("model", "ours", *(f"batch {size}" for size in BATCH_SIZES), "beside its best", "share", "rate, 10¹²/s"),
        tuple(speed.row for speed in speeds),
        (
            *(Target(f"beside its best: {speed.model}", 2.0, speed.ratio, "×") for speed in speeds),
            *(Target(f"of the card's rate: {speed.model}", 0.5, speed.share, "") for speed in large),
        ),
        raw={"speeds": [asdict(speed) for speed in speeds]},
    )


def compare(name: str, shape: Shape, *, path: Path, lengths: list[int], dtype: str, device: str, quick: bool) -> Speed:
    """Both encoders in turn on the same texts, whose vectors must be alike."""
    texts = made_texts(lengths)
    ours = our_side.load_dense(ModelSpec(f"bench/{name}", source="folder", path=str(path), dtype=dtype), device)
    theirs = SentenceTransformer(str(path), device=device, model_kwargs={"dtype": getattr(torch, dtype)})

    def encode(size: int) -> FloatArray:
        """By ours for 0, else by theirs with batches of that size."""
        if size:
            found: FloatArray = theirs.encode(texts, batch_size=size, show_progress_bar=False)
            return found
        vectors = np.empty((len(texts), ours.dimensions), np.float32)
        for batch in ours.batches(texts):
            vectors[batch.rows] = batch.vectors
        return vectors

    sides = (0, *BATCH_SIZES)
    taken: dict[int, list[float]] = {size: [] for size in sides}
    vectors = {size: encode(size) for size in sides}  # unmeasured: kernels are chosen, memory is taken
    cosines = (vectors[0] * vectors[BATCH_SIZES[0]]).sum(axis=1)
    assert cosines.min() > _ALIKE[dtype], f"{name} {dtype}: a text's vectors have a cosine of {cosines.min()}"
    for _ in range(1 if quick else ROUNDS):
        for size in sides:
            began = time.perf_counter()
            encode(size)
            taken[size].append(time.perf_counter() - began)
    speed = {size: len(texts) / statistics.median(own) for size, own in taken.items()}
    rate = matrix_rate(device, getattr(torch, dtype), size=256 if quick else 8_192)
    own = speed.pop(0)
    return Speed(f"{name}, {dtype}", own, speed, own / len(texts) * shape.operations(lengths) / rate, rate)


def text_lengths(count: int) -> list[int]:
    """How many tokens so many texts have, begin and end included: short and long ones, as in most corpora."""
    drawn = np.random.default_rng(0).lognormal(mean=4.0, sigma=0.7, size=count)
    return [int(length) for length in np.clip(drawn, 8, _MOST_TOKENS)]


def made_texts(lengths: list[int]) -> list[str]:
    """Texts of random words, a token each."""
    rng = np.random.default_rng(1)
    return [" ".join(f"w{word}" for word in rng.integers(_WORDS, size=length - 2)) for length in lengths]


def write_model(folder: Path, shape: Shape) -> Path:
    """A BERT with random weights and mean pooling, as a sentence-transformers folder."""
    plain = folder / "plain"
    plain.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(_WORDS))]
    (plain / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=max(1, shape.hidden // 64),
        intermediate_size=shape.inner,
    )
    BertModel(config).save_pretrained(plain)
    BertTokenizer(str(plain / "vocab.txt"), model_max_length=_MOST_TOKENS).save_pretrained(plain)
    modules = [Transformer(str(plain), max_seq_length=_MOST_TOKENS), Pooling(shape.hidden, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"), create_model_card=False)
    return folder / "model"
