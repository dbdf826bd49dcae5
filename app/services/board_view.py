"""What a look shows of a board: the datasets and models that pass its filters, ranked anew, in order, as columns."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.aggregation import DatasetMeans, Integers, Standings, standings, zero_shot_percents
from app.core.licences import allows_commercial_use
from app.db.queries.boards import Board, BoardColumn, BoardModel
from app.errors import Invalid
from app.services.board_intervals import board_tiers, with_intervals
from app.services.board_look import Look
from app.services.table_columns import (
    FACTS,
    FIXED_COLUMNS,
    MEASURED_FACTS,
    TIER,
    Kind,
    TableColumn,
    Value,
    chosen_columns,
    measured_on,
    type_names,
)

GIGABYTE_MB = 1024


@dataclass(frozen=True, slots=True, eq=False)
class BoardView:
    """What a look shows of a board.

    Attributes:
        board: all of it.
        look: what was asked for.
        datasets: the board's columns that count here, ascending.
        models: the board's models that are ranked here, ascending.
        means: shape (models, datasets).
        standings: of these models on these datasets.
        columns: of the table, with a value for each of `models`.
        order: the rows to show, as places in `models`; the pinned ones first.
        pinned: those of `order` that stand first because the look pins them.
        device: what the measured columns show, "" where no model of the board was measured.
        whole: whether every model is ranked on every dataset: only then the board's tiers and rank ranges hold.
    """

    board: Board
    look: Look
    datasets: tuple[int, ...]
    models: tuple[int, ...]
    means: DatasetMeans
    standings: Standings
    columns: tuple[TableColumn, ...]
    order: tuple[int, ...]
    pinned: tuple[int, ...]
    device: str
    whole: bool

    def model(self, row: int) -> BoardModel:
        """The model at a place in `models`."""
        return self.board.models[self.models[row]]

    def complete(self, row: int) -> bool:
        """Whether it has a score on every dataset."""
        return 0 < len(self.datasets) == int(self.standings.scored[row])

    @property
    def shown_columns(self) -> tuple[BoardColumn, ...]:
        """The datasets that count."""
        return tuple(self.board.columns[place] for place in self.datasets)

    @property
    def shown(self) -> tuple[TableColumn, ...]:
        """The columns that the look shows."""
        return chosen_columns(self.columns, self.look.show, self.look.column, datasets=len(self.datasets))

    @property
    def falling(self) -> frozenset[str]:
        """The columns whose first click sorts downwards."""
        return frozenset(column.key for column in self.columns if column.falls_first)


def view_board(board: Board, look: Look) -> BoardView:
    """Filter, rank and order.

    Raises:
        Invalid: the look sorts by a column or asks for a device that this board has not.
    """
    device = _device(board, look)
    datasets = np.flatnonzero([_counts(column, look) for column in board.columns])
    zero_shot = zero_shot_percents(board.trained_on[:, datasets], board.training_known)
    whole: list[bool] = np.logical_not(np.isnan(board.means.complete[:, datasets]).any(axis=1)).tolist()
    models = np.flatnonzero(
        [
            _passes(model, look, percent, every)
            for model, percent, every in zip(board.models, zero_shot.tolist(), whole, strict=True)
        ]
    )
    means = board.means.of(models, datasets)
    chosen = [board.columns[place] for place in datasets]
    ranked = standings(means, [column.task_type for column in chosen])
    everything = len(models) == len(board.models) and len(datasets) == len(board.columns)
    tiers = board_tiers(board) if everything else ()
    plain_columns = (
        *_fixed([board.models[place] for place in models], _placed(ranked, zero_shot[models], tiers), device),
        *(_type_column(name, values, chosen) for name, values in ranked.types.items()),
        *(
            _task_column(column, int(place), known(means.complete[:, number]))
            for number, (place, column) in enumerate(zip(datasets, chosen, strict=True))
        ),
    )
    columns = with_intervals(board, plain_columns, models, datasets)
    order = _order(board, look, models, ranked, columns)
    pinned = tuple(row for row in order if board.models[models[row]].key in look.pin) if look.pin else ()
    return BoardView(
        board,
        look,
        tuple(datasets.tolist()),
        tuple(models.tolist()),
        means,
        ranked,
        columns,
        order=(*pinned, *(row for row in order if row not in pinned)),
        pinned=pinned,
        device=device,
        whole=everything,
    )


def devices_of(board: Board) -> tuple[str, ...]:
    """What models of a board were measured on, the device of the most models first, then by name."""
    counts = Counter(found.device for model in board.models for found in model.measured)
    return tuple(sorted(counts, key=lambda device: (-counts[device], device)))


def described_columns(board: Board) -> tuple[TableColumn, ...]:
    """The columns before the scores by type and by dataset that a board can show, in words, without their values."""
    devices, tiers = devices_of(board), board_tiers(board)
    on = f"Measured on {'' if len(devices) == 1 else 'one device at a time: '}{'; '.join(devices)}."
    return tuple(
        replace(column, help=f"{column.help} {on}") if column.kind is Kind.MEASURED else column
        for column in FIXED_COLUMNS
        if (devices or column.kind is not Kind.MEASURED) and (tiers or column.key != TIER.key)
    )


def known(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers as values, None for NaN."""
    return [None if math.isnan(value) else value for value in values.tolist()]


def type_columns(view: BoardView) -> tuple[TableColumn, ...]:
    """A mean a task type."""
    return tuple(column for column in view.columns if column.kind is Kind.TYPE)


def task_columns(view: BoardView) -> tuple[TableColumn, ...]:
    """A column a dataset, in the board's order."""
    return tuple(column for column in view.columns if column.kind is Kind.TASK)


def group_by_type(columns: Iterable[TableColumn]) -> Mapping[str, tuple[TableColumn, ...]]:
    """Task type -> its columns, types in the order of their first column."""
    groups: dict[str, tuple[TableColumn, ...]] = {}
    for column in columns:
        groups[column.group] = (*groups.get(column.group, ()), column)
    return groups


def _device(board: Board, look: Look) -> str:
    """The one that the look asks for, else the first; "" on a board without any."""
    devices = devices_of(board)
    if look.device and look.device not in devices:
        there_are = f"There are: {'; '.join(devices)}." if devices else "No model of this board has been measured yet."
        raise Invalid(f"Nothing was measured on a device {look.device!r}. {there_are}", code="unknown_device")
    return look.device or next(iter(devices), "")


def _counts(column: BoardColumn, look: Look) -> bool:
    """Whether a dataset passes the filters."""
    return (
        (not look.type or column.task_type in look.type)
        and (not look.dataset or column.slug in look.dataset)
        and (not look.language or not set(look.language).isdisjoint(column.languages))
        and (not look.domain or not set(look.domain).isdisjoint(column.domains))
    )


def _passes(model: BoardModel, look: Look, zero_shot: int, whole: bool) -> bool:
    """Whether a model passes the filters. What is unknown passes no limit."""
    return (
        (whole or not look.complete)
        and zero_shot >= {"all": -1, "known": 0, "full": 100}[look.zero_shot]
        and (model.open_weights is True or not look.open_weights)
        and (not look.commercial or allows_commercial_use(model.licence))
        and (not look.kind or not set(look.kind).isdisjoint(model.kinds))
        and _within(model.parameters, look.min_parameters, look.max_parameters)
        and _within(model.memory_mb, None, look.max_memory_gb and look.max_memory_gb * GIGABYTE_MB)
        and _within(model.dimensions, look.min_dimensions, look.max_dimensions)
        and _within(model.max_tokens, look.min_tokens, None)
    )


def _within(value: float | None, least: float | None, most: float | None) -> bool:
    if least is None and most is None:
        return True
    return value is not None and (least or 0) <= value <= (math.inf if most is None else most)


def _order(
    board: Board, look: Look, models: Integers, ranked: Standings, columns: Sequence[TableColumn]
) -> tuple[int, ...]:
    """The rows that are pinned or match the name, sorted: missing values last both ways, equal ones by rank, name.

    While no tiers are known, what is ordered by tier is ordered by rank: they come and go as runs end.
    """
    column = next((column for column in columns if column.key == look.key), None)
    if look.key == TIER.key and column is None:
        column = columns[0]
    if column is None:
        names = ", ".join(column.key for column in columns if column.kind not in {Kind.TYPE, Kind.TASK})
        raise Invalid(
            f"This board cannot be sorted by {look.key[:200]!r}. Sort by {names}, type:NAME for a task type "
            "that is shown or task:SLUG for a dataset that is; with - before it the largest come first.",
            code="unknown_sort",
            details={"keys": [column.key for column in columns]},
        )
    shown = [board.models[place].key in look.pin or _named(board.models[place], look) for place in models.tolist()]
    rows = np.flatnonzero(shown).tolist()
    ranks = ranked.ranks.tolist()
    rows.sort(key=lambda row: (ranks[row] == 0, ranks[row]))
    values = column.values
    present = [row for row in rows if values[row] is not None]
    present.sort(key=lambda row: _sortable(values[row]), reverse=look.descending)
    return (*present, *(row for row in rows if values[row] is None))


def full_name(model: BoardModel) -> str:
    """Its name, and what tells it from others of that name."""
    return " ".join((model.name, *model.chips))


def _named(model: BoardModel, look: Look) -> bool:
    return not look.q or look.q.casefold() in full_name(model).casefold()


def _sortable(value: Value) -> Any:
    """Names without regard to case; numbers as they are."""
    return value.casefold() if isinstance(value, str) else value


def _placed(ranked: Standings, zero_shot: Integers, tiers: Sequence[Value]) -> dict[str, Sequence[Value]]:
    """How each model stands, by the key of a column; without tiers where none hold."""
    return {
        "rank": [rank or None for rank in ranked.ranks.tolist()],
        "zero_shot": [None if percent < 0 else percent for percent in zero_shot.tolist()],
        "mean_task": known(ranked.mean_task),
        "mean_task_type": known(ranked.mean_task_type),
        **({TIER.key: tiers} if tiers else {}),
    }


def _fixed(rows: Sequence[BoardModel], placed: Mapping[str, Sequence[Value]], device: str) -> Iterator[TableColumn]:
    """Those of `FIXED_COLUMNS` with values; the measured ones only where there is a device, which their help names."""
    values: dict[str, Sequence[Value]] = {
        **placed,
        "model": [model.name for model in rows],
        **{key: [fact(model) for model in rows] for key, fact in FACTS.items()},
    }
    figures = [measured_on(model, device) for model in rows]
    for column in FIXED_COLUMNS:
        if column.key in values:
            yield replace(column, values=values[column.key])
        elif column.kind is Kind.MEASURED and device:
            fact = MEASURED_FACTS[column.key]
            found = [None if figure is None else fact(figure) for figure in figures]
            yield replace(column, values=found, help=f"{column.help} Measured on {device}.", device=device)


def _type_column(name: str, values: NDArray[np.float64], columns: Sequence[BoardColumn]) -> TableColumn:
    short, title = type_names(name)
    count = sum(column.task_type == name for column in columns)
    return TableColumn(
        f"type:{name}",
        short,
        f"{title}: mean over the {count} {'dataset' if count == 1 else 'datasets'} of this type, times 100, higher "
        "is better; none when one is missing.",
        Kind.TYPE,
        known(values),
        unit="mean",
        group=name,
    )


def _task_column(column: BoardColumn, place: int, values: Sequence[Value]) -> TableColumn:
    short, title = type_names(column.task_type)
    return TableColumn(
        f"task:{column.slug}",
        column.name,
        f"{title}: {column.metric}, times 100; higher is better.",
        Kind.TASK,
        values,
        unit=short,
        group=column.task_type,
        dataset=place,
        href=column.href,
    )
