"""The seam between the orchestrator and the task types: what a scorer is given, and what it gives back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy.typing as npt

from app.core.records import RetrievalData
from worker.encoders.base import Role, Similarity
from worker.search import Rankings

Matrix = Any
"""Vectors of n texts: a float32 array of shape (n, d), or a scipy CSR array of weighted words."""

Tick = Callable[[], None]
"""Called between steps, so that a run can be stopped while it scores."""

Data_contra = TypeVar("Data_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Part:
    """Texts of a cell that are to be encoded. `name` is for messages, such as "query"."""

    name: str
    role: Role | None
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CellScores:
    """The outcome for one cell.

    Attributes:
        metrics: every metric of MTEB 2.26.24 for the task type that is defined for this cell, by MTEB's name.
        kind: what the arrays are about: `queries`, `pairs`, `texts`, `sentences`, `summaries` or `draws`.
        arrays: values an example, in the order of the dataset; each of the same length but for those of a table
            (`table_*`), which have one of their own.
    """

    metrics: dict[str, float]
    kind: str
    arrays: dict[str, npt.NDArray[Any]]


class Source(Protocol):
    """A model as a scorer sees it."""

    @property
    def similarity(self) -> Similarity:
        """The model's own."""

    def vectors(self, texts: Sequence[str], role: Role | None, fitted_on: Sequence[str]) -> Matrix:
        """A row a text. Lexical models learn their weights from `fitted_on`; others take no notice of it."""

    def rankings(self, data: RetrievalData, k: int) -> Rankings:
        """The k best documents of each query of `data`."""


class Task(Protocol[Data_contra]):
    """How a task type is scored."""

    def parts(self, data: Data_contra) -> tuple[Part, ...]:
        """All texts whose vectors scoring will ask for."""

    def score(self, data: Data_contra, source: Source, tick: Tick) -> CellScores:
        """The outcome for one cell."""
