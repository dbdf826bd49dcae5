"""The queue, the form for new runs, and the page of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import Field
from sqlalchemy.orm import Session

from app.core.significance import Interval
from app.core.task_types import OWN_SCALE
from app.db.queries import runs as queries
from app.db.queries.house import count_alive
from app.db.queries.runs import RunFilter, RunRow
from app.db.tables import JobState, Role
from app.errors import Invalid, NotFound
from app.http.access import Admin, Viewer
from app.http.audience import fragment_wanted
from app.http.dependencies import ReadSession, RowId, WriteSession
from app.http.pagination import Listing, PageRequest, Paging
from app.services import runs
from app.services.repeats import Repeat, repeat_of
from app.services.table_columns import half_width, interval_text
from app.web.flash import redirect
from app.web.forms import Form as ShownForm
from app.web.forms import rejected
from app.web.provenance import Fact, facts_of
from app.web.templating import page

router = APIRouter(prefix="/runs", include_in_schema=False)
Text = Annotated[str, Form()]

SHORT = 20
"""Rows of a section that is not the one with pages."""
SECTIONS: tuple[tuple[str, JobState], ...] = (
    ("Running", JobState.RUNNING),
    ("Waiting", JobState.QUEUED),
    ("Finished", JobState.DONE),
    ("Failed", JobState.FAILED),
    ("Cancelled", JobState.CANCELLED),
)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the queue. `href` shows all of it where `listing` is cut short."""

    title: str
    state: JobState
    listing: Listing[RunRow]
    href: str
    paged: bool

    @property
    def more(self) -> int:
        """How many rows are left out."""
        return 0 if self.paged else self.listing.total - len(self.listing.rows)


@dataclass(frozen=True, slots=True)
class QueuePage:
    """What /runs shows. `counts` are those of the chosen models and datasets, whatever the chosen state."""

    only: RunFilter
    sections: tuple[Section, ...]
    counts: Mapping[JobState, int]
    models: tuple[queries.ModelChoice, ...]
    datasets: tuple[queries.DatasetChoice, ...]
    encode_workers: int
    address: str

    @property
    def live(self) -> bool:
        """Whether something waits or works, so that the page must be looked at again."""
        return bool(self.counts[JobState.QUEUED] or self.counts[JobState.RUNNING])

    @property
    def tabs(self) -> list[tuple[str, str, bool]]:
        """All, and each state, as the macro `tabs` takes them."""
        states = [("All", queue_url(replace(self.only, state=None)), self.only.state is None)]
        return states + [
            (title, queue_url(replace(self.only, state=state)), self.only.state == state) for title, state in SECTIONS
        ]

    @property
    def chips(self) -> list[tuple[str, str]]:
        """The chosen model and dataset, each with the address without it."""
        model = next((choice for choice in self.models if choice.id == self.only.model_id), None)
        dataset = next((choice for choice in self.datasets if choice.slug == self.only.dataset), None)
        chips = []
        if self.only.model_id is not None:
            label = " ".join((model.name, *model.chips)) if model else f"model {self.only.model_id}"
            chips.append((label, queue_url(replace(self.only, model_id=None))))
        if self.only.dataset:
            label = dataset.name if dataset else self.only.dataset
            chips.append((label, queue_url(replace(self.only, dataset=""))))
        return chips

    @property
    def model_options(self) -> list[tuple[str, str]]:
        """Which models can be chosen."""
        return [("", "all"), *((str(choice.id), " ".join((choice.name, *choice.chips))) for choice in self.models)]

    @property
    def dataset_options(self) -> list[tuple[str, str]]:
        """Which datasets can be chosen."""
        return [("", "all"), *((choice.slug, choice.name) for choice in self.datasets)]


@dataclass(frozen=True, slots=True)
class NewRunsPage:
    """What /runs/new shows."""

    models: tuple[queries.ModelChoice, ...]
    datasets: tuple[queries.DatasetChoice, ...]
    chosen_models: frozenset[str]
    chosen_datasets: frozenset[str]
    again: bool
    form: ShownForm

    @property
    def model_items(self) -> list[tuple[str, str, str]]:
        """What can be ticked, as the macro `checklist` takes it."""
        return [(str(choice.id), choice.name, " · ".join(choice.chips)) for choice in self.models if not choice.reason]

    @property
    def dataset_items(self) -> list[tuple[str, str, str]]:
        """What can be ticked, as the macro `checklist` takes it."""
        return [(choice.slug, choice.name, choice.task_type) for choice in self.datasets if not choice.reason]

    @property
    def waiting(self) -> list[tuple[str, str]]:
        """What cannot be ticked, and why."""
        models = [(" ".join((choice.name, *choice.chips)), choice.reason) for choice in self.models if choice.reason]
        return models + [(choice.name, choice.reason) for choice in self.datasets if choice.reason]


@dataclass(frozen=True, slots=True)
class RunPage:
    """What the page of a run shows. The log and the encoded texts are not for viewers."""

    run: queries.RunDetail
    scores: queries.ScoreTable
    facts: tuple[Fact, ...]
    log: str | None
    repeat: Repeat | None = None

    @property
    def interval(self) -> str:
        """Between what the main score lies, in words; "" where that is not known."""
        run = self.run
        if run.main_low is None or run.main_high is None or run.main_n is None:
            return ""
        return interval_text(Interval(run.main_low, run.main_high, run.main_n))

    def note(self, row: queries.MetricRow, column: int) -> str:
        """Half of the interval's width of a cell's main metric; "" for others, and where it is not known."""
        known = self.scores.intervals.get(self.scores.cells[column]) if row.is_main else None
        return half_width((known.low, known.high)) if known else ""

    @property
    def scale(self) -> str:
        """How the scores are shown."""
        others = [row.metric for row in self.scores.rows if row.metric in OWN_SCALE]
        return f"times 100, but {', '.join(others)} as they are" if others else "times 100"


@router.get("")
def queue(
    request: Request,
    _viewer: Viewer,
    session: ReadSession,
    paging: Paging,
    *,
    state: str = "",
    model: str = "",
    dataset: str = "",
) -> Response:
    """What runs, what waits, what has ended."""
    chosen = JobState(state) if state in list(JobState) else None
    model_id = int(model) if model.isascii() and model.isdecimal() and len(model) < 10 else None
    context = _queue_page(session, RunFilter(chosen, model_id, dataset), paging, whole=not fragment_wanted(request))
    return page(request, "runs/queue.html", context, partial="runs/_live.html")


@router.get("/new")
def new_runs(
    request: Request,
    _admin: Admin,
    session: ReadSession,
    model: Annotated[tuple[str, ...], Query()] = (),
    dataset: Annotated[tuple[str, ...], Query()] = (),
) -> Response:
    """Models and datasets to tick; the address may tick some already."""
    return page(request, "runs/new.html", _new_page(session, model, dataset))


@router.post("/new")
def queue_runs(
    request: Request,
    admin: Admin,
    session: WriteSession,
    *,
    model: Annotated[tuple[Annotated[int, Field(ge=1, le=2**31 - 1)], ...], Form()] = (),
    dataset: Annotated[tuple[str, ...], Form()] = (),
    again: Text = "",
) -> Response:
    """Queue every ticked model on every ticked dataset."""
    try:
        datasets = runs.ids_of_slugs(session, dataset)
        queued = runs.queue_product(session, admin, model_ids=model, dataset_ids=datasets, again=bool(again))
    except Invalid as error:
        ticked = tuple(map(str, model))
        context = _new_page(session, ticked, dataset, again=bool(again), form=rejected(error))
        return page(request, "runs/new.html", context, status=error.status)
    return redirect("/runs", queued_message(queued), "ok" if queued.run_ids else "warn")


@router.get("/{run_id}")
def run_page(request: Request, viewer: Viewer, session: ReadSession, run_id: RowId) -> Response:
    """One run: progress, scores, provenance, log."""
    run = queries.load_run(session, run_id)
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    sees_texts = viewer.can(Role.MEMBER)
    facts = facts_of(run, with_texts=sees_texts)
    log = run.log if sees_texts else None
    context = RunPage(run, queries.load_scores(session, run), facts, log, repeat_of(session, run_id))
    return page(request, "runs/run.html", context, partial="runs/_live_run.html")


@router.post("/{run_id}/cancel")
def cancel(admin: Admin, session: WriteSession, run_id: RowId, back: Text = "") -> Response:
    """Cancel what waits; ask the worker to stop what runs."""
    waited = runs.cancel(session, admin, run_id) == JobState.QUEUED
    message = f"Run {run_id} is cancelled." if waited else f"Run {run_id} stops within seconds."
    return redirect(_inside(back, run_id), message)


@router.post("/{run_id}/retry")
def retry(admin: Admin, session: WriteSession, run_id: RowId, back: Text = "") -> Response:
    """Queue what failed or was cancelled as a run of its own."""
    new_id = runs.retry(session, admin, run_id)
    return redirect(_inside(back, new_id), f"Queued again as run {new_id}.")


@router.post("/{run_id}/repeat")
def repeat(admin: Admin, session: WriteSession, run_id: RowId) -> Response:
    """Queue what is finished again, with every text encoded anew."""
    new_id = runs.repeat(session, admin, run_id)
    return redirect(f"/runs/{new_id}", f"Queued as run {new_id}. It encodes every text anew.")


def queue_url(only: RunFilter) -> str:
    """The address of the queue with these choices."""
    chosen = {"state": only.state, "model": only.model_id, "dataset": only.dataset}
    query = urlencode({name: value for name, value in chosen.items() if value})
    return f"/runs?{query}" if query else "/runs"


def queued_message(queued: runs.Queued) -> str:
    """What became of a product, in a sentence or two."""
    new, there = len(queued.run_ids), queued.already_done + queued.already_open
    exist = f"{there:,} {'exists' if there == 1 else 'exist'} already"
    if new:
        return f"Queued {new:,} run{'' if new == 1 else 's'}" + (f"; {exist}." if there else ".")
    hint = " Tick “Run again” to repeat what is finished." if queued.already_done else ""
    return f"Nothing was queued: {exist}.{hint}"


def _queue_page(session: Session, only: RunFilter, paging: PageRequest, *, whole: bool) -> QueuePage:
    """The choices of the filter are read for a whole page only."""
    counts = queries.count_by_state(session, only)
    paged = only.state or JobState.DONE
    sections = []
    for title, state in SECTIONS:
        if only.state in {None, state}:
            asked = paging if state == paged else PageRequest(1, "/runs", (), SHORT)
            # Nothing to read where nothing is.
            rows = queries.list_runs(session, only, state, asked.size, asked.offset) if counts[state] else ()
            listing = Listing(rows, counts[state], asked)
            sections.append(Section(title, state, listing, queue_url(replace(only, state=state)), state == paged))
    return QueuePage(
        only=only,
        sections=tuple(sections),
        counts=counts,
        models=queries.model_choices(session) if whole else (),
        datasets=queries.dataset_choices(session) if whole else (),
        encode_workers=count_alive(session, "encode"),
        address=paging.url(paging.number),
    )


def _new_page(
    session: Session,
    models: tuple[str, ...],
    datasets: tuple[str, ...],
    *,
    again: bool = False,
    form: ShownForm | None = None,
) -> NewRunsPage:
    return NewRunsPage(
        queries.model_choices(session),
        queries.dataset_choices(session),
        frozenset(models),
        frozenset(datasets),
        again,
        form or ShownForm(),
    )


def _inside(back: str, run_id: int) -> str:
    """`back` if it is an address of the queue, else the run's page."""
    return (
        back if back.isprintable() and (back == "/runs" or back.startswith(("/runs?", "/runs/"))) else f"/runs/{run_id}"
    )
