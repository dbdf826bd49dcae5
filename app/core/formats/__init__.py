"""Uploads to datasets and datasets to files. Pure standard library; Parquet rows come from the worker."""

from app.core.formats import canonical
from app.core.formats.counts import scored_examples
from app.core.formats.problems import InvalidFile, Problem, Warned
from app.core.formats.reader import read_dataset
from app.core.formats.reading import NO_CHOICES, Choices, Limits, ReadResult, Row

__all__ = [
    "NO_CHOICES",
    "Choices",
    "InvalidFile",
    "Limits",
    "Problem",
    "ReadResult",
    "Row",
    "Warned",
    "canonical",
    "read_dataset",
    "scored_examples",
]
