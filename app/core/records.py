"""What a dataset is made of, once it is read: frozen records, free of any file format."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    """A search request; `id` is unique within its cell."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """An entry of a corpus. What is encoded is `(title + " " + text).strip()`, as MTEB does."""

    id: str
    text: str
    title: str = ""

    @property
    def full_text(self) -> str:
        """Title and text as one string."""
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True, slots=True)
class SentencePair:
    """Two sentences and their gold similarity, on any one scale per dataset."""

    sentence1: str
    sentence2: str
    score: float


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text and its class."""

    text: str
    label: str


Qrels = Mapping[str, Mapping[str, int]]
"""query id -> document id -> relevance (0 = judged irrelevant, higher = better)."""


@dataclass(frozen=True, slots=True)
class RetrievalData:
    """One searchable corpus with its judged queries."""

    queries: tuple[Query, ...]
    documents: tuple[Document, ...]
    qrels: Qrels


@dataclass(frozen=True, slots=True)
class StsData:
    """Scored sentence pairs."""

    pairs: tuple[SentencePair, ...]


@dataclass(frozen=True, slots=True)
class ClassificationData:
    """Labelled texts to learn from and to test on."""

    train: tuple[LabelledText, ...]
    test: tuple[LabelledText, ...]


CellData = RetrievalData | StsData | ClassificationData


@dataclass(frozen=True, slots=True)
class Cell:
    """What gets one score: a (split, subset) of a dataset."""

    split: str
    subset: str
    data: CellData


@dataclass(frozen=True, slots=True)
class Dataset:
    """A whole dataset of one task type; cells are ordered by (subset, split), at least one."""

    task_type: str
    cells: tuple[Cell, ...]
