"""Uploads to datasets and datasets to files. Pure standard library; Parquet rows come from the worker."""

from app.core.formats import canonical
from app.core.formats.problems import InvalidFile, Problem, Warned
from app.core.formats.reader import read_dataset
from app.core.formats.reading import Limits, ReadResult, Row

__all__ = ["InvalidFile", "Limits", "Problem", "ReadResult", "Row", "Warned", "canonical", "read_dataset"]
