"""The columns that a board's table can have, before they get their values, and which of them a look shows."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.significance import Interval
from app.core.task_types import TASK_TYPES
from app.core.units import vector_bytes
from app.db.queries.boards import BoardModel, Measured

Value = float | int | str | None
Ends = tuple[float, float]
"""The low and the high end of an interval."""


class Kind(StrEnum):
    """How a column's values are drawn."""

    RANK = "rank"
    MODEL = "model"
    PERCENT = "percent"
    MEMORY = "memory"
    COUNT = "count"
    MEASURED = "measured"
    TEXT = "text"
    MEAN = "mean"
    TYPE = "type"
    TASK = "task"

    @property
    def is_score(self) -> bool:
        """Whether the values are scores: higher is better, shown times 100."""
        return self in {Kind.MEAN, Kind.TYPE, Kind.TASK}


@dataclass(frozen=True, slots=True, eq=False)
class TableColumn:
    """A column of the table.

    Attributes:
        key: in the address.
        help: in words: what it is, and whether higher or lower is better.
        values: of every model that a view ranks, None where nothing is known.
        group: the task type of a type or task column.
        dataset: the board's column that a task column shows, else -1.
        href: where a dataset is described.
        device: what a measured column's values were measured on.
        ends: between what each value lies on 95% of the resamples; of a rank, the best and the worst one. Empty where
            that is known of none.
        n: from how many examples the ends of a task column were found; 0 where nobody knows.
    """

    key: str
    label: str
    help: str
    kind: Kind
    values: Sequence[Value] = ()
    unit: str = ""
    group: str = ""
    dataset: int = -1
    href: str = ""
    device: str = ""
    ends: Sequence[Ends | None] = ()
    n: int = 0

    @property
    def title(self) -> str:
        """Label and unit in one line."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def falls_first(self) -> bool:
        """Whether the first click on the head puts the largest on top."""
        return self.kind.is_score or self.kind is Kind.PERCENT or self.key in {"release_date", "documents_per_second"}


RANKED_COLUMNS: Final = (
    TableColumn(
        "rank",
        "Rank",
        "Borda: on every dataset a model earns a point for each model it beats or that lacks the dataset, and half "
        "a point for each it ties with. The most points rank first; equal points share a rank. Lower is better.",
        Kind.RANK,
        unit="Borda",
    ),
    TableColumn("model", "Model", "Organisation, name and what sets the variant apart.", Kind.MODEL),
    TableColumn(
        "zero_shot",
        "Zero-shot",
        "Share of the datasets shown that the model was not trained on, in percent; higher says more of new data. "
        "NA: its training data is unknown.",
        Kind.PERCENT,
    ),
)
TIER: Final = TableColumn(
    "tier",
    "Tier",
    "Models that no test separates share a tier; a lower one is better. It begins with the model of the highest mean, "
    "and ends before the first that a test tells apart from that.",
    Kind.COUNT,
)
"""Only where the pairs of a board were tested."""
MODEL_COLUMNS: Final = (
    TableColumn(
        "memory",
        "Memory",
        "Size of the weights as they are stored, in MB of 1,024² bytes; lower is better. Data type on hover.",
        Kind.MEMORY,
        unit="MB",
    ),
    TableColumn(
        "parameters",
        "Parameters",
        "How many numbers the model has learnt, in thousands (k), millions (M) or billions (B); fewer are faster.",
        Kind.COUNT,
    ),
    TableColumn(
        "active_parameters",
        "Active",
        "Parameters that take part in every token, without token embeddings and resting experts; fewer are faster.",
        Kind.COUNT,
        unit="parameters",
    ),
    TableColumn(
        "dimensions",
        "Dimensions",
        "How many numbers one vector has; fewer make a smaller and faster index.",
        Kind.COUNT,
    ),
    TableColumn(
        "index_bytes",
        "Index",
        "Room of one document's vector in an index, in bytes, from its length and precision; lower is better.",
        Kind.COUNT,
        unit="bytes a document",
    ),
    TableColumn(
        "max_tokens",
        "Max tokens",
        "How many tokens of a text the model reads, what comes after is cut off; higher is better for long texts.",
        Kind.COUNT,
    ),
    TableColumn("licence", "Licence", "Under which terms the weights may be used; a dash: not known.", Kind.TEXT),
    TableColumn("open_weights", "Weights", "Open: anybody may have the weights; a dash: not known.", Kind.TEXT),
    TableColumn(
        "training_code",
        "Training code",
        "Yes: the code that the model was trained with is public; a dash: not known.",
        Kind.TEXT,
    ),
    TableColumn(
        "training_data",
        "Training data",
        "Yes: the data that the model was trained on is public; a dash: not known.",
        Kind.TEXT,
    ),
    TableColumn("citation", "Citation", "Yes: there is a paper or a report to cite; a dash: not known.", Kind.TEXT),
    TableColumn("release_date", "Released", "When the model came out: year, month, day.", Kind.TEXT),
)
MEASURED_COLUMNS: Final = (
    TableColumn(
        "peak_memory",
        "Peak memory",
        "The most memory in use while the model encodes, of the GPU, else of the process, in MB of 1,024² bytes; "
        "lower is better.",
        Kind.MEASURED,
        unit="MB",
    ),
    TableColumn(
        "query_p50",
        "Query p50",
        "Time to encode one query at batch 1, in milliseconds: the median; lower is better.",
        Kind.MEASURED,
        unit="ms",
    ),
    TableColumn(
        "query_p95",
        "Query p95",
        "Time to encode one query at batch 1, in milliseconds: 95 of 100 take no longer; lower is better.",
        Kind.MEASURED,
        unit="ms",
    ),
    TableColumn(
        "documents_per_second",
        "Documents",
        "How many documents are encoded in a second, in batches; higher is better.",
        Kind.MEASURED,
        unit="a second",
    ),
)
"""Only on boards with a measured model, and of one kind of device at a time."""
MEAN_COLUMNS: Final = (
    TableColumn(
        "mean_task",
        "Mean (Task)",
        "Mean over all datasets shown, times 100, higher is better; none when one is missing.",
        Kind.MEAN,
    ),
    TableColumn(
        "mean_task_type",
        "Mean (TaskType)",
        "Mean of the task types' means, so that each type weighs the same, times 100, higher is better; none when a "
        "dataset is missing.",
        Kind.MEAN,
    ),
)
FIXED_COLUMNS: Final = (*RANKED_COLUMNS, TIER, *MODEL_COLUMNS, *MEASURED_COLUMNS, *MEAN_COLUMNS)
"""Those before the scores by type and by dataset, without their values."""

_YES_NO: Final = {True: "yes", False: "no", None: None}
FACTS: Final[Mapping[str, Callable[[BoardModel], Value]]] = {
    "memory": lambda model: model.memory_mb,
    "parameters": lambda model: model.parameters,
    "active_parameters": lambda model: model.active_parameters,
    "dimensions": lambda model: model.dimensions,
    "index_bytes": lambda model: vector_bytes(model.dimensions, model.precision) if model.dimensions else None,
    "max_tokens": lambda model: model.max_tokens,
    "licence": lambda model: model.licence,
    "open_weights": lambda model: {True: "open", False: "closed", None: None}[model.open_weights],
    "training_code": lambda model: _YES_NO[model.training_code],
    "training_data": lambda model: _YES_NO[model.training_data],
    "citation": lambda model: _YES_NO[model.citation],
    "release_date": lambda model: model.release_date,
}
"""What each of `MODEL_COLUMNS` says of a model."""

MEASURED_FACTS: Final[Mapping[str, Callable[[Measured], float]]] = {
    "peak_memory": lambda found: found.peak_memory_mb,
    "query_p50": lambda found: found.query_p50_ms,
    "query_p95": lambda found: found.query_p95_ms,
    "documents_per_second": lambda found: found.documents_per_second,
}
"""What each of `MEASURED_COLUMNS` says of a measured model."""

PRESETS: Final = ("summary", "quality", "cost", "everything")
_ALWAYS: Final = ("rank", "model")
_SUMMARY: Final = ("zero_shot", "memory", "parameters", "dimensions", "max_tokens", "mean_task", "mean_task_type")
_COST: Final = (
    *("mean_task", "memory", "peak_memory", "query_p50", "query_p95", "documents_per_second"),
    *("parameters", "active_parameters", "dimensions", "index_bytes", "max_tokens"),
    *("licence", "open_weights", "release_date"),
)
_MANY_DATASETS: Final = 15


def chosen_columns(
    columns: Sequence[TableColumn], preset: str, keys: Sequence[str] = (), *, datasets: int
) -> tuple[TableColumn, ...]:
    """The columns to show; rank and model always stand first.

    Summary and Quality have no mean of a type beside the column of its only dataset.

    Args:
        columns: all there are.
        preset: one of `PRESETS`; "summary" has a column a dataset only where they are few.
        keys: of chosen columns, in their order, instead of the preset; those that are not there are left out.
        datasets: how many count.
    """
    found = {column.key: column for column in columns}
    if keys:
        return tuple(found[key] for key in dict.fromkeys((*_ALWAYS, *keys)) if key in found)
    fixed: Iterable[str] = _SUMMARY
    kinds = {Kind.TYPE} if datasets > _MANY_DATASETS else {Kind.TYPE, Kind.TASK}
    match preset:
        case "quality":
            fixed, kinds = ("zero_shot", "mean_task", "mean_task_type"), {Kind.TYPE, Kind.TASK}
        case "cost":
            fixed, kinds = _COST, set()
        case "everything":
            fixed, kinds = (column.key for column in FIXED_COLUMNS), {Kind.TYPE, Kind.TASK}
    wanted = dict.fromkeys((*_ALWAYS, *fixed))
    sizes = Counter(column.group for column in columns if column.kind is Kind.TASK)
    doubled = preset != "everything" and Kind.TASK in kinds
    scores = (
        column
        for column in columns
        if column.kind in kinds and not (doubled and column.kind is Kind.TYPE and sizes[column.group] == 1)
    )
    return (*(found[key] for key in wanted if key in found), *scores)


def measured_on(model: BoardModel, device: str) -> Measured | None:
    """What a model costs on a device; None where it was not measured."""
    return next((found for found in model.measured if found.device == device), None)


def measured_text(value: float) -> str:
    """A figure with three digits, more where they stand before the point.

    Example:
        >>> [measured_text(value) for value in (0.0417, 3.14159, 12, 1234.5)]
        ['0.0417', '3.14', '12.0', '1,234']
    """
    digits = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:,.{min(max(digits, 0), 6)}f}"


def half_width(ends: Ends) -> str:
    """Half the width of a score's interval, times 100, as scores are shown; two digits where one would be 0.

    Example:
        >>> half_width((0.712, 0.728)), half_width((0.5, 0.5004))
        ('±0.8', '±0.02')
    """
    half = (ends[1] - ends[0]) * 50
    return f"±{half:.1f}" if half >= 0.095 else f"±{half:.2f}"


def rank_range(ends: Ends) -> str:
    """The best and the worst rank: "2–5", or "2" where they are the same."""
    best, worst = ends
    return f"{best:.0f}" if best == worst else f"{best:.0f}–{worst:.0f}"


def type_names(name: str) -> tuple[str, str]:
    """A task type's abbreviation and title; an imported board may have others than ours."""
    kind = TASK_TYPES.get(name)
    return (kind.abbreviation, kind.title) if kind else (name, name)


def interval_text(interval: Interval) -> str:
    """Between what a score lies, in words.

    Example:
        >>> interval_text(Interval(0.4332, 0.5368, 1196))
        '43.32 to 53.68 (95%, n = 1,196)'
    """
    return f"{interval.low * 100:.2f} to {interval.high * 100:.2f} (95%, n = {interval.n:,})"
