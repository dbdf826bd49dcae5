"""The admins' forms of boards: made, changed, deleted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy.orm import Session

from app.db.queries.boards import DatasetChoice, chosen_datasets, dataset_choices
from app.db.tables import Benchmark, BoardKind
from app.errors import Conflict, Invalid
from app.http.access import Admin
from app.http.dependencies import AppSettings, ReadSession, WriteSession
from app.services import benchmarks, imports
from app.storage.blobs import BlobStore
from app.web.flash import redirect
from app.web.forms import Form as ShownForm
from app.web.forms import rejected
from app.web.templating import page

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form()]
Texts = Annotated[list[str], Form()]

_PLACE = re.compile(r"[0-9]{1,6}")
_LAST = 10**6


@dataclass(frozen=True, slots=True)
class BenchmarkPage:
    """The form of a benchmark; `slug` is None for a new one. `chosen` maps dataset slugs to places."""

    slug: str | None
    datasets: tuple[DatasetChoice, ...]
    chosen: dict[str, str]
    form: ShownForm = field(default_factory=ShownForm)
    is_default: bool = False
    imported: bool = False


@router.get("/boards/new")
def new_board(request: Request, _admin: Admin, session: ReadSession) -> Response:
    """The form of a new board."""
    return page(request, "boards/form.html", BenchmarkPage(None, dataset_choices(session), {}))


@router.post("/boards/new")
def create_board(
    request: Request,
    person: Admin,
    session: WriteSession,
    *,
    name: Text = "",
    slug: Text = "",
    description: Text = "",
    default: Text = "",
    dataset: Texts = [],  # noqa: B006 - FastAPI copies it
    known: Texts = [],  # noqa: B006
    place: Texts = [],  # noqa: B006
) -> Response:
    """Add a board."""
    try:
        created = benchmarks.create(
            session,
            person,
            name=name,
            slug=slug,
            description=description,
            dataset_slugs=_in_order(dataset, known, place),
            default=bool(default),
        )
    except (Invalid, Conflict) as error:
        form = rejected(error, name=name, slug=slug, description=description, default=default)
        context = BenchmarkPage(None, dataset_choices(session), _chosen(dataset, known, place), form)
        return page(request, "boards/form.html", context, status=error.status)
    return redirect(f"/boards/{created.slug}", f"The board “{created.name}” is there.")


@router.get("/boards/{slug}/edit")
def edit_board(request: Request, _admin: Admin, session: ReadSession, slug: str) -> Response:
    """The form of a board."""
    benchmark = benchmarks.by_slug(session, slug)
    chosen = {found: str(place) for place, found in enumerate(chosen_datasets(session, benchmark.id), start=1)}
    form = ShownForm({"name": benchmark.name, "slug": slug, "description": benchmark.description})
    return page(request, "boards/form.html", _edit_page(session, benchmark, chosen, form))


@router.post("/boards/{slug}/edit")
def save_board(
    request: Request,
    person: Admin,
    session: WriteSession,
    slug: str,
    *,
    name: Text = "",
    new_slug: Annotated[str, Form(alias="slug")] = "",
    description: Text = "",
    default: Text = "",
    dataset: Texts = [],  # noqa: B006 - FastAPI copies it
    known: Texts = [],  # noqa: B006
    place: Texts = [],  # noqa: B006
) -> Response:
    """Change a board."""
    benchmark = benchmarks.by_slug(session, slug)
    was_default = benchmark.is_default
    try:
        benchmarks.edit(
            session,
            person,
            slug,
            name=name,
            new_slug=new_slug or slug,
            description=description,
            dataset_slugs=_in_order(dataset, known, place),
        )
    except (Invalid, Conflict) as error:
        form = rejected(error, name=name, slug=new_slug, description=description, default=default)
        context = _edit_page(session, benchmark, _chosen(dataset, known, place), form)
        return page(request, "boards/form.html", context, status=error.status)
    if default and not was_default:
        benchmarks.set_default(session, person, benchmark.slug)
    return redirect(f"/boards/{benchmark.slug}", f"The board “{benchmark.name}” is saved.")


@router.post("/boards/{slug}/delete")
def delete_board(person: Admin, session: WriteSession, settings: AppSettings, slug: str) -> Response:
    """Forget a board; its datasets and results stay, what was imported into it goes with it."""
    benchmark = benchmarks.by_slug(session, slug)
    stays = "" if benchmark.kind == BoardKind.IMPORTED else " Its datasets and results stay."
    imports.delete_board(session, BlobStore(settings.blobs_dir), person, slug)
    return redirect("/boards", f"The board “{benchmark.name}” is deleted.{stays}")


def _edit_page(session: Session, benchmark: Benchmark, chosen: dict[str, str], form: ShownForm) -> BenchmarkPage:
    """The form of a board, its own datasets first."""
    order = list(chosen)
    choices = sorted(
        dataset_choices(session),
        key=lambda choice: order.index(choice.slug) if choice.slug in chosen else len(order),
    )
    imported = benchmark.kind == BoardKind.IMPORTED
    return BenchmarkPage(benchmark.slug, tuple(choices), chosen, form, benchmark.is_default, imported)


def _chosen(dataset: Sequence[str], known: Sequence[str], place: Sequence[str]) -> dict[str, str]:
    """What was ticked, with the place that was typed beside it; `known` and `place` are as long as the form."""
    places = dict(zip(known, place, strict=False))
    return {slug: places.get(slug, "") for slug in dataset}


def _in_order(dataset: Sequence[str], known: Sequence[str], place: Sequence[str]) -> list[str]:
    """What was ticked, by place; those without one come last, as the form lists them."""
    chosen = _chosen(dataset, known, place)
    return sorted(chosen, key=lambda slug: int(chosen[slug]) if _PLACE.fullmatch(chosen[slug]) else _LAST)
