"""The registry of models: the list, the form for a new one, and one model with all its revisions and variants."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy.orm import Session

from app.core.snippets import Snippet, Use, search_prompts, snippets
from app.core.units import PRECISION_BITS
from app.db.changes import board_stamp
from app.db.queries import models as queries
from app.errors import Conflict, Invalid, NotFound
from app.http.access import Admin, Viewer
from app.http.dependencies import ReadSession, RowId, WriteSession, boards_of
from app.http.pagination import Listing, Paging
from app.mteb.registry import KnownModel, find_model
from app.services import model_attributes, models
from app.services.model_attributes import KINDS, Source
from app.services.model_standings import BoardStanding, standings_of
from app.services.table_columns import MEASURED_COLUMNS, TableColumn, measured_text
from app.web.flash import redirect
from app.web.forms import Form as ShownForm
from app.web.forms import rejected
from app.web.model_forms import (
    NO_VARIANT,
    CorrectionFields,
    ModelFields,
    VariantFields,
    as_text,
    corrections,
    model_form,
    typed_corrections,
    variant_form,
)
from app.web.templating import page

router = APIRouter(prefix="/models", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class RegistryView:
    """What of the registry is shown, and the addresses of other views."""

    q: str
    key: str
    descending: bool

    def url(self, key: str) -> str:
        """The address that sorts by `key`; numbers begin with the largest, a second time turns around."""
        descending = not self.descending if key == self.key else key != "name"
        return self._address({"q": self.q, "sort": f"-{key}" if descending else key})

    @property
    def without_q(self) -> str:
        """The address without the search."""
        return self._address({"sort": f"-{self.key}" if self.descending else self.key})

    @staticmethod
    def _address(parameters: Mapping[str, str]) -> str:
        return f"/models?{urlencode({name: value for name, value in parameters.items() if value})}"


@dataclass(frozen=True, slots=True)
class RegistryPage:
    """What /models shows."""

    listing: Listing[queries.ModelRow]
    view: RegistryView

    @property
    def live(self) -> bool:
        """Whether an inspection in sight is open."""
        return any(row.is_open for row in self.listing.rows)

    @property
    def address(self) -> str:
        """The address of this view."""
        return self.listing.request.url(self.listing.request.number)


@dataclass(frozen=True, slots=True)
class NewModelPage:
    """What /models/new shows.

    `baselines` are (title, loader, address when it is registered already), `known` what MTEB's registry has of the
    name that stands in the form.
    """

    baselines: tuple[tuple[str, str, str | None], ...]
    form: ShownForm
    known: KnownModel | None
    dtypes: tuple[str, ...] = models.DTYPES
    precisions: tuple[str, ...] = tuple(PRECISION_BITS)

    @property
    def is_unlimited(self) -> bool:
        """Whether the known model reads texts of any length."""
        return self.known is not None and model_attributes.is_unlimited(self.known.name)

    @property
    def has_choices(self) -> bool:
        """Whether something about a variant was typed already."""
        return any(self.form.value(name) != default for name, default in NO_VARIANT.items())


@dataclass(frozen=True, slots=True)
class ModelPage:
    """What the page of a model shows: all rows of its name, and everything about the chosen one.

    `standings` are of every row of its name, `results` and `measurements` of the chosen one. `sources` says where an
    attribute comes from, `otherwise` what it would be without corrections; `outdated`: another inspection would fill in
    more.
    """

    family: tuple[queries.ModelDetail, ...]
    model: queries.ModelDetail
    standings: tuple[BoardStanding, ...]
    results: tuple[queries.ModelResult, ...]
    measurements: tuple[queries.MeasuredModel, ...]
    correction: ShownForm
    variant: ShownForm
    sources: Mapping[str, Source]
    otherwise: Mapping[str, Any]
    outdated: bool
    snippets: tuple[Snippet, ...]
    dtypes: tuple[str, ...] = models.DTYPES
    precisions: tuple[str, ...] = tuple(PRECISION_BITS)
    kinds: tuple[str, ...] = KINDS
    costs: tuple[TableColumn, ...] = MEASURED_COLUMNS

    @staticmethod
    def figure(value: float) -> str:
        """A measured figure as people read it."""
        return measured_text(value)

    @property
    def organisation(self) -> str:
        """The part of the name before the slash."""
        return self.model.name.partition("/")[0]

    @property
    def short_name(self) -> str:
        """The part of the name after the slash."""
        return self.model.name.partition("/")[2]

    @property
    def is_unlimited(self) -> bool:
        """Whether it is known to read texts of any length."""
        return self.model.max_tokens is None and model_attributes.is_unlimited(self.model.name)

    def source(self, name: str) -> str:
        """Where an attribute comes from: corrected, files, registry, both or ""."""
        return self.sources.get(name, "")

    def without_correction(self, name: str) -> str:
        """What an attribute would be had nobody corrected it, as a text; "" for nothing."""
        return as_text(self.otherwise.get(name))

    def was_inspected(self, name: str) -> bool:
        """Whether the inspection found something for an attribute."""
        return bool(as_text(self.model.found.get(name)))


@router.get("")
def registry(
    request: Request, _viewer: Viewer, session: ReadSession, paging: Paging, q: str = "", sort: str = "name"
) -> Response:
    """Every model with its variants."""
    key = sort.removeprefix("-") if sort.removeprefix("-") in queries.SORTS else "name"
    view = RegistryView(" ".join(q.split()), key, sort == f"-{key}")
    rows, total = queries.list_models(
        session, q=view.q, sort=view.key, descending=view.descending, limit=paging.size, offset=paging.offset
    )
    context = RegistryPage(Listing(rows, total, paging), view)
    return page(request, "models/list.html", context, partial="models/_table.html")


@router.get("/new")
def new_model(request: Request, _admin: Admin, session: ReadSession, name: str = "") -> Response:
    """The form of a new model; to htmx, what is known of the name that is typed."""
    context = _new_page(session, ShownForm({**ModelFields().model_dump(), "name": name}))
    return page(request, "models/new.html", context, partial="models/_known.html")


@router.post("")
def create_model(
    request: Request, admin: Admin, session: WriteSession, typed: Annotated[ModelFields, Form()]
) -> Response:
    """Register a model and queue its inspection."""
    try:
        model = models.register(session, admin, model_form(typed))
    except (Invalid, Conflict) as error:
        context = _new_page(session, rejected(error, **typed.model_dump()))
        return page(request, "models/new.html", context, status=error.status)
    return redirect(_address(model.name, model.id), f"{models.title(model)} is registered. A worker inspects it now.")


@router.get("/{organisation}/{name}")
def model_page(
    request: Request,
    _viewer: Viewer,
    session: ReadSession,
    organisation: str,
    name: str,
    id: str = "",  # noqa: A002 - the name in the address
) -> Response:
    """One model; `?id=` chooses one of its revisions and variants."""
    family = queries.load_family(session, f"{organisation}/{name}")
    if not family:
        raise NotFound(f"There is no model {organisation}/{name}.")
    chosen = next((row for row in family if str(row.id) == id), family[0])
    return _model_page(request, session, family, chosen)


@router.post("/{model_id}/inspect")
def inspect_again(admin: Admin, session: WriteSession, model_id: RowId) -> Response:
    """Queue another inspection."""
    model = models.inspect_again(session, admin, model_id)
    return redirect(_address(model.name, model.id), "A worker inspects it again.")


@router.post("/{model_id}/remeasure")
def remeasure(admin: Admin, session: WriteSession, model_id: RowId) -> Response:
    """Forget what the model costs, so that its next run measures it anew."""
    models.forget_measurements(session, admin, model_id)
    model = models.get(session, model_id)
    return redirect(_address(model.name, model.id), "Its figures are forgotten; its next run measures it again.")


@router.post("/{model_id}/correct")
def correct(
    request: Request,
    admin: Admin,
    session: WriteSession,
    model_id: RowId,
    typed: Annotated[CorrectionFields, Form()],
) -> Response:
    """Set attributes by hand."""
    try:
        model = models.correct(session, admin, model_id, corrections(typed))
    except Invalid as error:
        return _form_again(request, session, model_id, error, correction=rejected(error, **typed.model_dump()))
    return redirect(_address(model.name, model.id), "The attributes are saved.")


@router.post("/{model_id}/variants")
def add_variant(
    request: Request,
    admin: Admin,
    session: WriteSession,
    model_id: RowId,
    typed: Annotated[VariantFields, Form()],
) -> Response:
    """Add a row for the same weights under other choices."""
    try:
        variant = models.add_variant(session, admin, model_id, variant_form(typed))
    except (Invalid, Conflict) as error:
        return _form_again(request, session, model_id, error, variant=rejected(error, **typed.model_dump()))
    return redirect(_address(variant.name, variant.id), f"The variant “{variant.variant}” is there and can run.")


@router.post("/{model_id}/delete")
def delete_model(admin: Admin, session: WriteSession, model_id: RowId) -> Response:
    """Delete a row that has no runs."""
    name = models.title(models.get(session, model_id))
    models.remove(session, admin, model_id)
    return redirect("/models", f"{name} is deleted.")


def _address(name: str, model_id: int) -> str:
    return f"/models/{name}?id={model_id}"


def _new_page(session: Session, form: ShownForm) -> NewModelPage:
    there = queries.addresses(session, models.BUILT_IN.values())
    titles = {"bm25": "BM25", "random": "random vectors"}
    baselines = tuple((titles[loader], loader, there.get(name)) for loader, name in models.BUILT_IN.items())
    return NewModelPage(baselines, form, find_model(form.value("name").strip()))


def _model_page(
    request: Request,
    session: Session,
    family: tuple[queries.ModelDetail, ...],
    chosen: queries.ModelDetail,
    *,
    status: int = 200,
    correction: ShownForm | None = None,
    variant: ShownForm | None = None,
) -> Response:
    context = ModelPage(
        family=family,
        model=chosen,
        standings=_standings(request, session, chosen.name),
        results=queries.results_of(session, chosen.id),
        measurements=queries.measurements(session, chosen.id),
        correction=correction or ShownForm(typed_corrections(chosen.corrected)),
        variant=variant or ShownForm(NO_VARIANT),
        sources=model_attributes.sources(chosen.name, chosen.found, chosen.corrected),
        otherwise=model_attributes.values(chosen.name, chosen.found, {}),
        outdated=_is_outdated(chosen),
        snippets=_snippets(chosen),
    )
    return page(request, "models/model.html", context, partial="models/_detail.html", status=status)


def _standings(request: Request, session: Session, name: str) -> tuple[BoardStanding, ...]:
    stamp = board_stamp(session)
    boards = boards_of(request)
    return standings_of((boards.board(session, one, stamp) for one in queries.boards_with(session, name)), name)


def _is_outdated(model: queries.ModelDetail) -> bool:
    """Whether the registry, which may be newer than the row, knows an attribute that the row lacks."""
    counting = model_attributes.values(model.name, model.found, model.corrected)
    return any(getattr(model, name) in (None, ()) for name, value in counting.items() if value not in (None, [], {}))


def _snippets(model: queries.ModelDetail) -> tuple[Snippet, ...]:
    """Code that uses the variant as it is measured; none for baselines, and before the inspection."""
    if model.loader != "dense" or not model.revision:
        return ()
    prompts = {**(model.found.get("prompts") or {}), **model.prompts}
    query, document = search_prompts(prompts, model.query_prompt, model.document_prompt)
    use = Use(
        name=model.name if model.source == "hub" else None,
        revision=model.revision,
        dtype=model.dtype,
        precision=model.precision,
        truncate_dim=model.truncate_dim,
        max_tokens=model.max_tokens_limit,
        similarity=model.similarity or "cosine",
        query_prompt=query,
        document_prompt=document,
    )
    return snippets(use)


def _form_again(
    request: Request, session: Session, model_id: int, error: Invalid | Conflict, **forms: ShownForm
) -> Response:
    """The page of the model with a form as it was typed and what is wrong with it."""
    family = queries.load_family(session, models.get(session, model_id).name)
    chosen = next(row for row in family if row.id == model_id)
    return _model_page(request, session, family, chosen, status=error.status, **forms)
