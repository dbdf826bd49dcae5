"""/compare: two to six models of a board side by side."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from app.core.units import short_count
from app.db.changes import board_stamp
from app.db.queries.boards import BoardModel
from app.errors import NotFound
from app.http.access import Viewer
from app.http.audience import fragment_wanted
from app.http.dependencies import Boards, ReadSession, VerdictsOf
from app.http.unchanged import kept
from app.services import benchmarks
from app.services.accounts import Person
from app.services.board_look import Look
from app.services.board_view import view_board
from app.services.compare import Compared, Comparison, ScoreRow, compare, compare_address, editable, split_keys
from app.services.table_columns import type_names
from app.services.verdicts import VerdictKeeper
from app.web.radar import Radar, radar
from app.web.templating import number, page
from app.web.verdict_view import NOW, VerdictView, pending, verdict_view

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Fact:
    """An attribute of each model as text, None where it is unknown."""

    label: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Lean:
    """A bar from the middle of 0 to 100 towards the better of two models."""

    x: float
    width: float
    winner: int


@dataclass(frozen=True, slots=True)
class ComparePage:
    """What /compare shows."""

    comparison: Comparison
    facts: tuple[Fact, ...]
    radar: Radar | None
    widest: float
    verdicts: VerdictView
    letters: str = "ABCDEF"

    @property
    def board_href(self) -> str:
        """The board with these models pinned, to choose others."""
        return Look(pin=self.comparison.keys).at(f"/boards/{self.comparison.board.slug}")

    @property
    def groups(self) -> dict[str, list[ScoreRow]]:
        """The datasets by the title of their task type."""
        groups: dict[str, list[ScoreRow]] = {}
        for row in self.comparison.datasets:
            groups.setdefault(type_names(row.task_type)[1], []).append(row)
        return groups

    def without(self, place: int) -> str:
        """The comparison without one of the models."""
        keys = self.comparison.keys
        return compare_address(self.comparison.board.slug, (*keys[:place], *keys[place + 1 :]))

    def lean(self, row: ScoreRow) -> Lean | None:
        """The bar of a row's difference between two models, the largest as long as half the cell."""
        if not row.difference or not self.widest:
            return None
        width = round(50 * abs(row.difference) / self.widest, 2)
        return Lean(50 if row.difference > 0 else 50 - width, width, 0 if row.difference > 0 else 1)

    @staticmethod
    def bar(score: float) -> float:
        """How long the bar of a score is, 0 to 100."""
        return round(100 * min(max(score, 0.0), 1.0), 2)

    @staticmethod
    def signed(difference: float) -> str:
        """0.0123 -> "+1.23", with a true minus; nothing has no sign."""
        text = f"{difference * 100:+.2f}".replace("-", "−")
        return "0.00" if text[1:] == "0.00" else text


@router.get("/compare")
def compare_models(
    request: Request, person: Viewer, session: ReadSession, boards: Boards, keeper: VerdictsOf, *, verdicts: str = ""
) -> Response:
    """Models of one board, the default one when none is named.

    The verdicts are shown if they are here. Else the page asks for them with `verdicts=now`: this address again,
    which answers once they are computed, with them alone if htmx asks and with the whole page without scripts.
    """
    stamp = board_stamp(session)
    slug = request.query_params.get("board", "")
    benchmark = benchmarks.by_slug(session, slug) if slug else benchmarks.get_default(session)
    if benchmark is None:
        raise NotFound("There is no board yet. Models are compared on the datasets of a board.")
    keys = split_keys(request.query_params.getlist("models"))
    comparison = compare(view_board(boards.board(session, benchmark, stamp), Look()), keys)
    partial = "boards/_verdicts.html" if verdicts == NOW else None
    wait = not fragment_wanted(request) if partial else None
    shown = _verdicts(session, keeper, comparison, person, wait)
    context = ComparePage(
        comparison,
        facts=tuple(Fact(label, tuple(map(text, comparison.models))) for label, text in _FACTS.items()),
        radar=_radar(comparison),
        widest=max((abs(row.difference or 0) for row in comparison.datasets), default=0),
        verdicts=shown,
    )
    headers = kept(request, stamp) if shown.is_final else {}
    return page(request, "boards/compare.html", context, partial=partial, headers=headers)


def _verdicts(
    session: Session, keeper: VerdictKeeper, comparison: Comparison, person: Person, wait: bool | None
) -> VerdictView:
    """Those that are here; unless `wait` is None those that are not, too. Off, it waits for no other's."""
    board, places = comparison.board, comparison.places
    found = keeper.kept(board, places)
    if found is None and wait is not None:
        found = keeper.of(session, board, places, wait=wait)
    if found is None:
        return pending(comparison, waits=wait is False)
    return verdict_view(comparison, found, editable(session, person, board))


def _radar(comparison: Comparison) -> Radar | None:
    """An axis a task type, a line a model."""
    lines = [[row.scores[place] for row in comparison.types] for place in range(len(comparison.models))]
    return radar([type_names(row.key)[0] for row in comparison.types], lines)


def _memory(model: BoardModel) -> str | None:
    if model.memory_mb is None:
        return None
    digits = 1 if 0 < model.memory_mb < 10 else 0
    return " ".join(filter(None, (number(model.memory_mb, digits), model.memory_dtype)))


def _count(value: int | None) -> str | None:
    return None if value is None else number(value)


_FACTS: dict[str, Callable[[Compared], str | None]] = {
    "Parameters": lambda one: None if one.model.parameters is None else short_count(one.model.parameters),
    "Memory, MB": lambda one: _memory(one.model),
    "Dimensions": lambda one: _count(one.model.dimensions),
    "Max tokens": lambda one: _count(one.model.max_tokens),
    "Licence": lambda one: one.model.licence,
    "Open weights": lambda one: None if one.model.open_weights is None else "yes" if one.model.open_weights else "no",
    "Release date": lambda one: one.model.release_date,
    "Zero-shot": lambda one: "NA" if one.zero_shot is None else f"{one.zero_shot}%",
}
