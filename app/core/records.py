"""What a dataset is made of, once it is read: frozen records, free of any file format."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    """A search request; `id` is unique within its cell. With an instruction, both are encoded as one string."""

    id: str
    text: str
    instruction: str = ""

    @property
    def full_text(self) -> str:
        """Text and instruction as one string, as MTEB joins them."""
        return f"{self.text} {self.instruction}" if self.instruction else self.text


@dataclass(frozen=True, slots=True)
class Document:
    """An entry of a corpus. What is encoded is `(title + " " + text).strip()`, as MTEB does."""

    id: str
    text: str
    title: str = ""

    @property
    def full_text(self) -> str:
        """Title and text as one string; without a title no copy of the text."""
        return f"{self.title} {self.text}".strip() if self.title else self.text.strip()


@dataclass(frozen=True, slots=True)
class SentencePair:
    """Two sentences and their gold similarity, on any one scale per dataset."""

    sentence1: str
    sentence2: str
    score: float


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two sentences that match (1) or do not (0)."""

    sentence1: str
    sentence2: str
    label: int


@dataclass(frozen=True, slots=True)
class Translation:
    """Two sentences that say the same in two languages."""

    sentence1: str
    sentence2: str


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text and its class."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class MultilabelText:
    """A text and its classes, none, one or several; each once."""

    text: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ValuedText:
    """A text and a number to predict."""

    text: str
    value: float


@dataclass(frozen=True, slots=True)
class ClusteredText:
    """A text and its topic, or its topics from coarse to fine; `set` numbers the sets of `ClusteringData`."""

    text: str
    labels: tuple[str, ...]
    set: int = 0


@dataclass(frozen=True, slots=True)
class SummarizedText:
    """A text with summaries by people, and summaries by machines with how good people find each."""

    text: str
    human_summaries: tuple[str, ...]
    machine_summaries: tuple[str, ...]
    relevance: tuple[float, ...]


Qrels = Mapping[str, Mapping[str, int]]
"""query id -> document id -> relevance (0 = judged irrelevant, higher = better)."""

DocumentIds = Mapping[str, tuple[str, ...]]
"""query id -> document ids."""


@dataclass(frozen=True, slots=True)
class RetrievalData:
    """One searchable corpus with its judged queries; for all four task types of the retrieval family.

    Attributes:
        queries: each with at least one judgement.
        documents: the corpus.
        qrels: the judgements.
        candidates: the documents that are ranked for each query; None where the whole corpus is.
        changed: InstructionReranking: for the base id of each pair of queries `<base>-og` and `<base>-changed` the
            documents that the changed instruction makes irrelevant.
        ignore_identical_ids: whether a document whose id is the query's own is left out of its ranking.
    """

    queries: tuple[Query, ...]
    documents: tuple[Document, ...]
    qrels: Qrels
    candidates: DocumentIds | None = None
    changed: DocumentIds | None = None
    ignore_identical_ids: bool = False


@dataclass(frozen=True, slots=True)
class StsData:
    """Scored sentence pairs."""

    pairs: tuple[SentencePair, ...]


@dataclass(frozen=True, slots=True)
class PairClassificationData:
    """Sentence pairs that match or do not."""

    pairs: tuple[LabelledPair, ...]


@dataclass(frozen=True, slots=True)
class BitextMiningData:
    """Translations; the second sentences are the haystack in which each first one looks for its own."""

    pairs: tuple[Translation, ...]


@dataclass(frozen=True, slots=True)
class SummarizationData:
    """Judged summaries."""

    texts: tuple[SummarizedText, ...]


@dataclass(frozen=True, slots=True)
class ClassificationData:
    """Labelled texts to learn from and to test on."""

    train: tuple[LabelledText, ...]
    test: tuple[LabelledText, ...]


@dataclass(frozen=True, slots=True)
class MultilabelClassificationData:
    """Texts with classes to learn from and to test on."""

    train: tuple[MultilabelText, ...]
    test: tuple[MultilabelText, ...]


@dataclass(frozen=True, slots=True)
class RegressionData:
    """Texts with numbers to learn from and to test on."""

    train: tuple[ValuedText, ...]
    test: tuple[ValuedText, ...]


@dataclass(frozen=True, slots=True)
class ClusteringData:
    """Texts to group by topic.

    Attributes:
        texts: in the order of their sets.
        whole_sets: whether each set is clustered as a whole, by MTEB's older rule; else samples are drawn from all.
    """

    texts: tuple[ClusteredText, ...]
    whole_sets: bool = False


CellData = (
    RetrievalData
    | StsData
    | PairClassificationData
    | BitextMiningData
    | SummarizationData
    | ClassificationData
    | MultilabelClassificationData
    | RegressionData
    | ClusteringData
)


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
