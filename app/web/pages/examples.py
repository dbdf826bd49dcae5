"""/compare/{dataset}: what two models do on every example of a dataset, on one of them, and on slices."""

from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy.orm import Session
from starlette.responses import StreamingResponse

from app.db.changes import board_stamp
from app.db.tables import Role
from app.errors import NotFound
from app.http.access import Viewer
from app.http.dependencies import AppSettings, EvidenceOf, ReadSession
from app.http.pagination import Listing, Paging
from app.http.unchanged import kept
from app.services.accounts import Person
from app.services.compare import split_keys
from app.services.evidence import EvidenceReader
from app.services.examples import facts
from app.services.examples.columns import columns_of
from app.services.examples.details import NumberDetail, detail
from app.services.examples.matchups import (
    ExampleLook,
    Examples,
    Matchup,
    Outcome,
    examples_of,
    find_matchup,
    number_of,
    order,
    parse_look,
)
from app.services.examples.overviews import CurveView, Overview, PredictionView, overview
from app.services.examples.rows import bare_rows, csv_parts, rows
from app.services.examples.slices import SliceTable, compare_slices
from app.settings import Settings
from app.storage.blobs import BlobStore
from app.web.example_charts import curves, scatter
from app.web.example_pages import FEW, MANY, Charts, Choice, ExamplePage, ExamplesPage, SlicesPage
from app.web.templating import page

router = APIRouter(include_in_schema=False)

_SLICED_AT_ONCE: Final = 3_000
"""With more examples the page comes first, and its slices after it."""
_LABELS: Final = {
    Outcome.ALL: "All",
    Outcome.IMPROVED: "Improved",
    Outcome.WORSE: "Worse",
    Outcome.UNCHANGED: "Unchanged",
    Outcome.FAILED: "Failed by both",
}

Place = Annotated[int, Path(ge=0, le=2**31 - 1)]


@router.get("/compare/{slug}.csv")
def download(
    request: Request, viewer: Viewer, session: ReadSession, settings: AppSettings, evidence: EvidenceOf, *, slug: str
) -> Response:
    """Every example that a look shows, in its order; texts for members."""
    matchup = _matchup(request, session, settings, evidence, slug)
    look = parse_look(request.query_params)
    found = examples_of(matchup)
    numbers = order(found, look, matchup.cell(look.cell) if look.cell else None)
    parts = csv_parts(matchup, found, numbers, may_see=viewer.can(Role.MEMBER))
    name = f"attachment; filename*=UTF-8''{quote(f'{matchup.dataset.slug}-examples.csv', safe='')}"
    return StreamingResponse(parts, media_type="text/csv", headers={"Content-Disposition": name})


@router.get("/compare/{slug}")
def all_examples(
    request: Request,
    viewer: Viewer,
    session: ReadSession,
    settings: AppSettings,
    evidence: EvidenceOf,
    *,
    paging: Paging,
    slug: str,
) -> Response:
    """All examples, and the dataset as a whole."""
    matchup = _matchup(request, session, settings, evidence, slug)
    context = _examples_page(matchup, parse_look(request.query_params), paging, viewer)
    return page(request, "examples/list.html", context, headers=kept(request, board_stamp(session)))


@router.get("/compare/{slug}/slices")
def slices(
    request: Request, viewer: Viewer, session: ReadSession, settings: AppSettings, evidence: EvidenceOf, *, slug: str
) -> Response:
    """The slices alone, as a page or for the page of all examples."""
    matchup = _matchup(request, session, settings, evidence, slug)
    context = _slices_page(matchup, viewer, at_once=True)
    return page(request, "examples/slices.html", context, partial="examples/_slices.html")


@router.get("/compare/{slug}/{cell:path}/{place}")
def one_example(
    request: Request,
    viewer: Viewer,
    session: ReadSession,
    settings: AppSettings,
    evidence: EvidenceOf,
    *,
    slug: str,
    cell: str,
    place: Place,
) -> Response:
    """One example."""
    matchup = _matchup(request, session, settings, evidence, slug)
    context = _example_page(matchup, cell, place, request.query_params, viewer)
    return page(request, "examples/example.html", context, headers=kept(request, board_stamp(session)))


def _matchup(request: Request, session: Session, settings: Settings, evidence: EvidenceReader, slug: str) -> Matchup:
    query = request.query_params
    keys = split_keys(query.getlist("models"))
    blobs = BlobStore(settings.blobs_dir)
    return find_matchup(session, evidence, blobs, slug, keys, board=query.get("board", ""))


def _examples_page(matchup: Matchup, look: ExampleLook, paging: Paging, viewer: Person) -> ExamplesPage:
    found, may_see, problem = examples_of(matchup), viewer.can(Role.MEMBER), ""
    cell = matchup.cell(look.cell) if look.cell else None
    chosen = order(found, look, cell)
    numbers = chosen[paging.offset : paging.offset + paging.size].tolist()
    part = matchup.cells[cell or 0] if matchup.cells else None
    seen: Overview | None = None
    try:
        shown = rows(matchup, found, numbers, may_see=may_see)
        seen = overview(matchup, part, may_see=may_see) if part else None
    except NotFound as error:
        if error.code != "dataset_missing":
            raise
        shown, problem = bare_rows(matchup, found, numbers), error.message
    return ExamplesPage(
        matchup,
        look,
        found,
        Listing(shown, len(chosen), paging),
        columns_of(matchup, may_see) if not problem else (),
        _outcomes(matchup, look, found, cell),
        _cells(matchup, look, found),
        part if seen else None,
        seen,
        _charts(seen),
        _slices_page(matchup, viewer, at_once=len(found) <= _SLICED_AT_ONCE, problem=problem),
        may_see,
        problem,
    )


def _slices_page(matchup: Matchup, viewer: Person, *, at_once: bool, problem: str = "") -> SlicesPage:
    table: SliceTable | None = None
    names: tuple[str, ...] = ()
    if at_once and not problem:
        table = compare_slices(matchup)
        if any(row.label is not None for row in table.rows):
            names = facts.all_labels(matchup.path)
    return SlicesPage(matchup, table, problem, names, viewer.can(Role.MEMBER))


def _outcomes(matchup: Matchup, look: ExampleLook, found: Examples, cell: int | None) -> tuple[Choice, ...]:
    return tuple(
        Choice(
            _LABELS[outcome],
            f"{matchup.address(**look.query(only=outcome.value))}#examples",
            outcome is look.outcome,
            count,
        )
        for outcome, count in found.counts(cell).items()
    )


def _cells(matchup: Matchup, look: ExampleLook, found: Examples) -> tuple[Choice, ...]:
    if len(matchup.cells) < 2:
        return ()
    choices = [("", "All parts", len(found))]
    choices += [
        (cell.key, " ".join(filter(None, (cell.split, cell.subset))), int((found.cell == number).sum()))
        for number, cell in enumerate(matchup.cells)
    ]
    return tuple(
        Choice(label, matchup.address(**look.query(cell=key)), key == look.cell, count) for key, label, count in choices
    )


def _charts(seen: Overview | None, at: NumberDetail | None = None) -> Charts:
    marked = [found.value for found in at.found] if at else [None, None]
    if isinstance(seen, PredictionView):
        a, b = (
            scatter(seen.gold, predicted, (at.gold.value, value) if at and value is not None else None)
            for predicted, value in zip(seen.predicted, marked, strict=True)
        )
        return a, b
    if isinstance(seen, CurveView):
        first, second = (curves(found, value) for found, value in zip(seen.curves, marked, strict=True))
        return first, second
    return None


def _example_page(matchup: Matchup, cell_key: str, place: int, query: Mapping[str, str], viewer: Person) -> ExamplePage:
    cell_number, look = matchup.cell(cell_key), parse_look(query)
    cell, found, may_see = matchup.cells[cell_number], examples_of(matchup), viewer.can(Role.MEMBER)
    shown = MANY if query.get("show") == str(MANY) else FEW
    made = detail(matchup, cell, place, may_see=may_see, shown=shown)
    number = number_of(found, cell_number, place)
    chosen = order(found, look, matchup.cell(look.cell) if look.cell else None).tolist()
    at = chosen.index(number) if number in chosen else None

    def neighbour(step: int) -> str | None:
        if at is None or not 0 <= at + step < len(chosen):
            return None
        other = chosen[at + step]
        key = matchup.cells[int(found.cell[other])].key
        return matchup.address(key, str(int(found.place[other])), **look.query())

    return ExamplePage(
        matchup,
        cell,
        place,
        made,
        look,
        None if number is None else (float(found.a[number]), float(found.b[number])),
        found.is_mean,
        None if at is None else at + 1,
        len(chosen),
        neighbour(-1),
        neighbour(1),
        _charts(overview(matchup, cell, may_see=may_see), made) if isinstance(made, NumberDetail) else None,
        may_see,
        shown,
        query.get("whole", ""),
    )
