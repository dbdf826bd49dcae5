"""What keeps a part of a table from being scored, by task type. Each notes problems and warnings, and gives nothing."""

import math
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, Final

from app.core.formats.parts import Part
from app.core.formats.problems import Problem, quoted
from app.core.records import (
    ClassificationData,
    ClusteringData,
    MultilabelClassificationData,
    PairClassificationData,
    RegressionData,
    StsData,
    SummarizationData,
)

MIN_SAMPLES: Final = 2
"""Train rows that every class needs."""

MIN_NEIGHBOURS: Final = 5
"""Train rows with a class that multilabel classification needs: it asks a text's 5 nearest neighbours."""


def scores(part: Part, data: StsData) -> None:
    """Note `constant_scores`."""
    if _constant(pair.score for pair in data.pairs):
        message = f"All scores{part.where} are equal, so no correlation exists. At least two must differ."
        part.note("constant_scores", message, "score")


def matches(part: Part, data: PairClassificationData) -> None:
    """Note `one_class`."""
    _need_two(part, {pair.label for pair in data.pairs}, "pairs", "label")


def summaries(part: Part, data: SummarizationData) -> None:
    """Note `constant_scores` where no text has summaries that differ."""
    if all(_constant(text.relevance) for text in data.texts):
        message = (
            f"No text{part.where} has machine summaries of different relevance, so no correlation exists."
            " At least one needs them."
        )
        part.note("constant_scores", message, "relevance")


def train_values(part: Part) -> None:
    """Note `constant_scores`."""
    if _constant(text.value for text in part.records):
        message = f"All train values{part.where} are equal, so nothing can be learnt. At least two must differ."
        part.note("constant_scores", message, "value")


def values(part: Part, data: RegressionData) -> None:
    """Note `constant_scores`."""
    if _constant(text.value for text in data.test):
        message = f"All test values{part.where} are equal, so no correlation exists. At least two must differ."
        part.note("constant_scores", message, "value")


def train_classes(part: Part) -> None:
    """Note `one_class`, and `too_few_samples` with the row of each rare class."""
    counts = Counter(text.label for text in part.records)
    _need_two(part, counts, "train rows", "label")
    for label, count in counts.items():
        if count < MIN_SAMPLES:
            file, row = part.places[label]
            message = f"The label {quoted(label)}{part.where} has {count} train row. At least {MIN_SAMPLES} are needed."
            part.reading.problems.add(Problem("too_few_samples", message, file, row, "label", quoted(label)))


def classes(part: Part, data: ClassificationData) -> None:
    """Warn of `label_not_in_train`."""
    known = {text.label for text in data.train}
    _warn_unknown(part, sum(text.label not in known for text in data.test))


def train_label_lists(part: Part) -> None:
    """Note `one_class` and `too_few_samples`."""
    _need_two(part, {label for text in part.records for label in text.labels}, "train rows", "labels")
    labelled = sum(bool(text.labels) for text in part.records)
    if labelled < MIN_NEIGHBOURS:
        message = f"Only {labelled} train rows{part.where} have a label. At least {MIN_NEIGHBOURS} are needed."
        part.note("too_few_samples", message, "labels")


def label_lists(part: Part, data: MultilabelClassificationData) -> None:
    """Note `no_labels`; warn of `label_not_in_train`."""
    if not any(text.labels for text in data.test):
        part.note("no_labels", f"No test row{part.where} has a label. At least one is needed.", "labels")
    known = {label for text in data.train for label in text.labels}
    _warn_unknown(part, sum(not known.issuperset(text.labels) for text in data.test))


def topics(part: Part, data: ClusteringData) -> None:
    """Note `one_class`, and `several_topics` where sets are clustered as wholes; warn of `one_topic_set`."""
    _need_two(part, {text.labels for text in data.texts}, "texts", "label")
    if not data.whole_sets:
        return
    if any(len(text.labels) > 1 for text in data.texts):
        message = f"A text{part.where} has several topics. Where each set is clustered by itself, every text has one."
        part.note("several_topics", message, "label")
    found: dict[int, set[tuple[str, ...]]] = {}
    for text in data.texts:
        found.setdefault(text.set, set()).add(text.labels)
    alike = sum(len(labels) == 1 for labels in found.values())
    if alike:
        part.warn("one_topic_set", f"Sets{part.where} whose texts all have the same topic always score 1.", alike)


def _constant(numbers: Iterable[float]) -> bool:
    """Whether all of them are equal but for rounding."""
    found = list(numbers)
    return math.isclose(min(found), max(found), rel_tol=1e-9, abs_tol=1e-12)


def _need_two(part: Part, found: Collection[Any], rows: str, column: str) -> None:
    """Note `one_class` where there is one class at most."""
    if len(found) < 2:
        message = f"The {rows}{part.where} have one {column.removesuffix('s')} at most. At least two are needed."
        part.note("one_class", message, column)


def _warn_unknown(part: Part, count: int) -> None:
    if count:
        message = f"Test rows{part.where} whose label no train row has can never be predicted."
        part.warn("label_not_in_train", message, count)
