"""Two tabs of a board: its charts, and whether the ranks of another board hold on it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from app.db.changes import board_stamp
from app.db.queries.boards import Board, BoardSummary, list_boards
from app.db.tables import Benchmark, BoardKind
from app.errors import Invalid
from app.http.access import Viewer
from app.http.dependencies import ReadSession, boards_of
from app.http.unchanged import kept
from app.services import benchmarks
from app.services.board_look import BoardLinks, Look
from app.services.board_points import (
    AXES,
    FEWEST_TYPES,
    ScorePoints,
    TypeProfile,
    axes_of,
    find_axis,
    parse_chart_look,
    score_columns,
    score_name,
    score_points,
    type_profiles,
)
from app.services.board_view import devices_of, type_columns, view_board
from app.services.rank_comparison import FEWEST, RankComparison, compare_ranks
from app.services.table_columns import TableColumn
from app.web.board_filter import Choice, FilterChoices, filter_chips, filter_choices, pin_chips
from app.web.board_tabs import Tab, board_tabs
from app.web.charts import Figure, rank_figure, score_figure
from app.web.radar import Radar, radar
from app.web.templating import page

router = APIRouter(include_in_schema=False)

_FIRST = next(iter(AXES))


@dataclass(frozen=True, slots=True)
class ChartsPage:
    """What the tab Charts shows: one chart and the same points as a table, and some models by task type.

    `devices` are to choose from, where the axis was measured on several. `radar` is None for fewer than `fewest_types`
    types; the table of `profiles` stands without it.
    """

    board: Board
    look: Look
    links: BoardLinks
    tabs: tuple[Tab, ...]
    choices: FilterChoices
    chips: tuple[Choice, ...]
    axes: tuple[Tab, ...]
    scores: tuple[Choice, ...]
    devices: tuple[str, ...]
    chart: ScorePoints
    figure: Figure
    types: tuple[TableColumn, ...]
    profiles: tuple[TypeProfile, ...]
    radar: Radar | None
    pinned: int
    fewest_types: int = FEWEST_TYPES

    @property
    def score(self) -> str:
        """The score in words."""
        return score_name(self.chart.score)

    @property
    def show_all(self) -> str:
        """The link that takes every filter away."""
        return self.links.without(*self.look.filters)


@dataclass(frozen=True, slots=True)
class PublicPage:
    """What the tab Public shows. `other`, `comparison` and `figure` are None while there is nothing to compare."""

    board: Board
    tabs: tuple[Tab, ...]
    question: str
    others: tuple[Choice, ...] = ()
    other: Board | None = None
    comparison: RankComparison | None = None
    figure: Figure | None = None
    fewest: int = FEWEST


@router.get("/boards/{slug}/charts")
def charts(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """A score against the number of parameters."""
    return _charts(request, session, slug, _FIRST)


@router.get("/boards/{slug}/charts/{axis}")
def charts_against(request: Request, _viewer: Viewer, session: ReadSession, slug: str, axis: str) -> Response:
    """A score against another attribute of the models."""
    return _charts(request, session, slug, axis)


@router.get("/boards/{slug}/public")
def public(
    request: Request, _viewer: Viewer, session: ReadSession, slug: str, other: Annotated[str, Query(alias="with")] = ""
) -> Response:
    """The ranks of the models that stand on this board and on another one."""
    benchmark, stamp = benchmarks.by_slug(session, slug), board_stamp(session)
    if other == slug:
        raise Invalid("A board cannot be compared with itself. Choose another one.", code="same_board")
    others = [one for one in list_boards(session) if one.slug != slug]
    board = boards_of(request).board(session, benchmark, stamp)
    tabs = board_tabs(slug, "/public", Look())
    chosen = other or _likeliest(benchmark, others)
    if not chosen:
        return page(request, "boards/public.html", PublicPage(board, tabs, _question(BoardKind.IMPORTED)))
    second = benchmarks.by_slug(session, chosen)
    there = boards_of(request).board(session, second, stamp)
    found = compare_ranks(board, there)
    context = PublicPage(
        board=board,
        tabs=tabs,
        question=_question(second.kind),
        others=tuple((one.slug, _named(one)) for one in others),
        other=there,
        comparison=found,
        figure=rank_figure(found, board.name, there.name, f"{slug}-and-{chosen}") if found.is_enough else None,
    )
    return page(request, "boards/public.html", context, headers=kept(request, stamp))


def _charts(request: Request, session: Session, slug: str, key: str) -> Response:
    benchmark, stamp = benchmarks.by_slug(session, slug), board_stamp(session)
    look = parse_chart_look(request.query_params.multi_items())
    view = view_board(boards_of(request).board(session, benchmark, stamp), look)
    axis = find_axis(view, key)
    links = BoardLinks(_address(slug, axis.key), look, view.falling)
    points, types, profiles = score_points(view, axis), type_columns(view), type_profiles(view)
    devices = devices_of(view.board)
    context = ChartsPage(
        board=view.board,
        look=look,
        links=links,
        tabs=board_tabs(slug, "/charts", look),
        choices=filter_choices(view.board),
        chips=(*filter_chips(view.board, links), *pin_chips(view, links)),
        axes=tuple(Tab(one.label, look.at(_address(slug, one.key)), one.key == key) for one in axes_of(view).values()),
        scores=tuple((column.key, score_name(column)) for column in score_columns(view)),
        devices=devices if axis.device and len(devices) > 1 else (),
        chart=points,
        figure=score_figure(points, f"{slug}-by-{axis.key}"),
        types=types,
        profiles=profiles,
        radar=radar([column.label for column in types], [profile.means for profile in profiles]),
        pinned=len(view.pinned),
    )
    return page(request, "boards/charts.html", context, headers=kept(request, stamp))


def _address(slug: str, axis: str) -> str:
    return f"/boards/{slug}/charts" if axis == _FIRST else f"/boards/{slug}/charts/{axis}"


def _likeliest(benchmark: Benchmark, others: list[BoardSummary]) -> str:
    """The first board of the other kind, public beside private, else the first; "" without any."""
    return next((one.slug for one in others if one.kind != benchmark.kind), others[0].slug if others else "")


def _named(board: BoardSummary) -> str:
    return f"{board.name} (imported)" if board.kind == BoardKind.IMPORTED else board.name


def _question(kind: str) -> str:
    """What the tab answers, by the kind of the other board."""
    return "Does the public rank hold here?" if kind == BoardKind.IMPORTED else "Does the rank hold on both boards?"
