"""What is known of a dataset's examples, read from its file and kept: where records stand, what is relevant, traits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from app.core.aggregation import Cell, Integers
from app.core.formats.canonical import CorruptDataset
from app.core.formats.codecs import Record
from app.core.formats.picking import Picker
from app.core.labels import numbered
from app.core.slicing import Traits, traits_of
from app.core.task_types import RETRIEVAL_FAMILY
from app.errors import NotFound

KINDS: Final = {
    **dict.fromkeys(RETRIEVAL_FAMILY, "query"),
    "InstructionReranking": "change",
    "STS": "pair",
    "PairClassification": "pair",
    "BitextMining": "pair",
    "Summarization": "text",
    "Clustering": "text",
    "Classification": "test",
    "MultilabelClassification": "test",
    "Regression": "test",
}
"""By task type the kind of record that is an example."""
ORIGINAL, CHANGED = "-og", "-changed"
"""The ends of the ids of the two queries of a pair with a changed instruction."""
_FILES: Final = 8
_PARTS: Final = 64
"""So many files, and cells of them, stay in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Relevant:
    """The relevant documents of the queries of one cell.

    Attributes:
        starts: shape (queries + 1,), where each query's documents begin.
        documents: shape (j,), their places in the corpus; -1 for one that is not in it.
        grades: shape (j,), how relevant each is, from 1.
    """

    starts: Integers
    documents: Integers
    grades: Integers

    def of(self, query: int) -> dict[int, int]:
        """By place in the corpus how relevant the documents of a query are."""
        mine = slice(int(self.starts[query]), int(self.starts[query + 1]))
        return dict(zip(self.documents[mine].tolist(), self.grades[mine].tolist(), strict=True))


@contextmanager
def readable() -> Iterator[None]:
    """Says in words that a dataset's file cannot be read.

    Raises:
        NotFound: code `dataset_missing`.
    """
    try:
        yield
    except (OSError, CorruptDataset) as error:
        raise NotFound(
            "The file with the texts of this dataset is missing from this server's data folder, or damaged. Restore "
            "it from a backup.",
            code="dataset_missing",
        ) from error


def records(path: Path, cell: Cell, kind: str, places: Sequence[int]) -> dict[int, Record]:
    """Some records of a dataset, by their place.

    Raises:
        NotFound: code `dataset_missing`.
    """
    with readable():
        return picker(path).pick(cell, kind, places)


@lru_cache(maxsize=_FILES)
def picker(path: Path) -> Picker:
    """Picks records of a dataset's file; where they stand is kept."""
    with readable():
        return Picker(path)


@lru_cache(maxsize=_PARTS)
def places_of(path: Path, cell: Cell, ids: Sequence[str]) -> tuple[int, ...]:
    """The places of some documents in the corpus of a cell, in the order of their ids; without those that it lacks.

    Raises:
        NotFound: code `dataset_missing`.
    """
    with readable():
        places = picker(path).document_places(cell, ids)
    return tuple(places[name] for name in ids if name in places)


@lru_cache(maxsize=_PARTS)
def relevant(path: Path, cell: Cell) -> Relevant:
    """What is relevant for each query of a cell.

    Raises:
        NotFound: code `dataset_missing`.
    """
    with readable():
        judged = [_judged(query) for query in picker(path).each(cell, "query")]
        places = picker(path).document_places(cell, set(chain.from_iterable(judged)))
    documents = [places.get(name, -1) for name in chain.from_iterable(judged)]
    return Relevant(
        np.cumsum([0, *(len(documents) for documents in judged)], dtype=np.int64),
        np.array(documents, np.int64),
        np.array([grade for grades in judged for grade in grades.values()], np.int64),
    )


@lru_cache(maxsize=_PARTS)
def label_names(path: Path, cell: Cell) -> tuple[str, ...]:
    """The labels of a cell for classification, by the numbers that runs keep.

    Raises:
        NotFound: code `dataset_missing`.
    """
    with readable():
        found = {record["label"] for kind in ("train", "test") for record in picker(path).each(cell, kind)}
    return tuple(numbered(found))


@lru_cache(maxsize=_PARTS)
def labels_of(path: Path, cell: Cell) -> Integers:
    """The number of each test text's label, see `label_names`; shape (n,).

    Raises:
        NotFound: code `dataset_missing`.
    """
    numbers = {name: number for number, name in enumerate(label_names(path, cell))}
    with readable():
        return np.array([numbers[record["label"]] for record in picker(path).each(cell, "test")], np.int64)


@lru_cache(maxsize=_FILES)
def all_labels(path: Path) -> tuple[str, ...]:
    """The labels of all cells for classification, in their order.

    Raises:
        NotFound: code `dataset_missing`.
    """
    return tuple(numbered({name for cell in picker(path).cells for name in label_names(path, cell)}))


@lru_cache(maxsize=_PARTS)
def traits(path: Path, task_type: str, cell: Cell) -> Traits:
    """What all examples of a cell are like; labels by their numbers in `all_labels`.

    Raises:
        NotFound: code `dataset_missing`.
    """
    counts, labels = None, None
    if task_type == "Classification":
        numbers = {name: number for number, name in enumerate(all_labels(path))}
        labels = np.array([numbers[name] for name in label_names(path, cell)], np.int64)[labels_of(path, cell)]
    elif KINDS[task_type] == "query":
        counts = np.diff(relevant(path, cell).starts)
    with readable():
        found = picker(path).each(cell, KINDS[task_type])
        if task_type == "InstructionReranking":
            texts = {record["id"]: read_text(record) for record in picker(path).each(cell, "query")}
            return traits_of(*cell, (texts.get(f"{record['id']}{ORIGINAL}", "") for record in found))
        return traits_of(*cell, map(read_text, found), counts, labels)


def read_text(record: Record) -> str:
    """What a model reads of an example, as one string."""
    return " ".join(record[name] for name in ("text", "instruction", "sentence1", "sentence2") if record.get(name))


def _judged(query: Record) -> dict[str, int]:
    """The relevant documents of a query by id, with their grades."""
    return {name: grade for name, grade in query["relevance"].items() if grade > 0}


def naming(names: Sequence[str], may_see: bool) -> Callable[[int], str]:
    """Names labels by number: as they are for those who may see a dataset's rows, else only counted from 1."""
    return lambda number: names[number] if may_see and 0 <= number < len(names) else f"label {number + 1}"
