"""The filters of a board as people see them: what there is to choose, and a chip for each choice."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.core.units import short_count
from app.db.queries.boards import Board
from app.services.board_look import BoardLinks, Look
from app.services.board_view import BoardView, devices_of, full_name
from app.services.compare import FEWEST, MOST, compare_address
from app.services.table_columns import TIER, Kind, TableColumn, type_names

Choice = tuple[str, str]
"""A value in the address, and its label."""


@dataclass(frozen=True, slots=True)
class FilterChoices:
    """What a board's datasets and models have to choose from."""

    types: tuple[Choice, ...]
    kinds: tuple[Choice, ...]
    languages: tuple[Choice, ...]
    domains: tuple[Choice, ...]
    datasets: tuple[Choice, ...]

    @staticmethod
    def short(value: int | None) -> str:
        """A count as people type it, such as 1.5B; "" for none."""
        return "" if value is None else short_count(value)


@dataclass(frozen=True, slots=True)
class ColumnChoices:
    """What the panel of columns offers; rank and model stand always and first.

    Attributes:
        shown: the columns that are, in their order.
        others: those that could be.
        devices: what models of the board were measured on; `device` is the one whose figures are shown.
    """

    shown: tuple[Choice, ...]
    others: tuple[Choice, ...]
    devices: tuple[str, ...]
    device: str


def filter_choices(board: Board) -> FilterChoices:
    """What there is to choose, in the board's order; languages and kinds by name."""
    return FilterChoices(
        types=tuple((name, type_names(name)[1]) for name in board.task_types),
        kinds=_sorted(kind for model in board.models for kind in model.kinds),
        languages=_sorted(language for column in board.columns for language in column.languages),
        domains=_sorted(domain for column in board.columns for domain in column.domains),
        datasets=tuple((column.slug, column.name) for column in board.columns),
    )


def filter_chips(board: Board, links: BoardLinks) -> tuple[Choice, ...]:
    """What each filter says, and the link that takes it away."""
    names = {column.slug: column.name for column in board.columns}
    chips = []
    for name in links.look.filters:
        value: Any = getattr(links.look, name)
        if name in _SEVERAL:
            shown = [names.get(one, one) if name == "dataset" else one for one in value]
            few = ", ".join(shown) if len(shown) < 4 else f"{len(shown)} {_SEVERAL[name]}"
            chips.append((few, links.without(name)))
        else:
            chips.append((_WORDS[name].format(_short(value)), links.without(name)))
    return tuple(chips)


def pin_chips(view: BoardView, links: BoardLinks) -> tuple[Choice, ...]:
    """What became of each pinned model, and the link that unpins it."""
    on_board = {model.key: model for model in view.board.models}
    shown = {view.model(row).key for row in view.pinned}
    chips = []
    for key in dict.fromkeys(links.look.pin):
        if key in shown:
            words = f"pinned: {full_name(on_board[key])}"
        elif key in on_board:
            words = f"pinned, but a filter excludes it: {full_name(on_board[key])}"
        else:
            words = f"pinned, but not on this board: {key}"
        chips.append((words, links.pin(key)))
    return tuple(chips)


def column_choices(view: BoardView) -> ColumnChoices:
    """What there is to show."""
    always, shown = view.shown[:2], view.shown[2:]
    others = [column for column in view.columns if column not in (*always, *shown)]
    return ColumnChoices(
        shown=tuple((column.key, _column_name(column)) for column in shown),
        others=tuple((column.key, _column_name(column)) for column in others),
        devices=devices_of(view.board),
        device=view.device,
    )


def _column_name(column: TableColumn) -> str:
    return column.label if column.kind is Kind.TASK else column.title


def compare_button(view: BoardView) -> Choice | None:
    """Leads to the pinned models side by side: its label, and its address, "" when they are too many.

    None while fewer than two are pinned.
    """
    keys = [view.model(row).key for row in view.pinned]
    if len(keys) < FEWEST:
        return None
    if len(keys) > MOST:
        return f"Compare at most {MOST} models", ""
    return f"Compare {len(keys)} models", compare_address(view.board.slug, keys)


def certainty_switches(view: BoardView, links: BoardLinks) -> tuple[Choice, ...]:
    """What orders a board by tier or by rank again, and what hides its intervals or shows them; where there are any."""
    look, found = links.look, []
    if any(column.key == TIER.key for column in view.columns):
        sort = Look().sort if look.key == TIER.key else TIER.key
        found.append((f"By {sort}", look.with_(sort=sort).at(links.path)))
    if any(column.ends for column in view.columns):
        words = "Show intervals" if look.plain else "Hide intervals"
        found.append((words, look.with_(plain=not look.plain).at(links.path)))
    return tuple(found)


_SEVERAL = {
    "type": "task types",
    "dataset": "datasets",
    "language": "languages",
    "domain": "domains",
    "kind": "kinds of models",
}
_WORDS = {
    "q": "name has “{}”",
    "complete": "complete only",
    "zero_shot": "zero-shot: {}",
    "open_weights": "open weights",
    "commercial": "commercial use",
    "min_parameters": "parameters ≥ {}",
    "max_parameters": "parameters ≤ {}",
    "max_memory_gb": "fits in {} GB",
    "min_dimensions": "dimensions ≥ {}",
    "max_dimensions": "dimensions ≤ {}",
    "min_tokens": "max tokens ≥ {}",
}


def _short(value: Any) -> str:
    return short_count(value) if isinstance(value, int | float) else str(value)


def _sorted(values: Iterable[str]) -> tuple[Choice, ...]:
    return tuple((value, value) for value in sorted(set(values)))
