"""The registry of models: the list, the form for a new one, and one model with all its revisions and variants."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.core.units import PRECISION_BITS
from app.db.queries import models as queries
from app.errors import Conflict, Invalid, NotFound
from app.http.access import Admin, Viewer
from app.http.dependencies import ReadSession, RowId, WriteSession
from app.http.pagination import Listing, Paging
from app.services import models
from app.services.models import ModelForm
from app.web.flash import redirect
from app.web.forms import Form as ShownForm
from app.web.forms import rejected
from app.web.templating import page

router = APIRouter(prefix="/models", include_in_schema=False)

WHOLE = "Write a whole number, such as 384."
NUMBER = "Write a number, such as 86.6."
PROMPTS = 'Write a JSON object of texts, such as {"query": "query: ", "document": "passage: "}.'
NONE = "none"
"""What an admin writes for a list that is known to be empty."""


class VariantFields(BaseModel):
    """What is typed where a variant is chosen. `prompts` is own, none or these."""

    truncate_dim: str = ""
    precision: str = "float32"
    max_tokens: str = ""
    dtype: str = "float32"
    prompts: str = "own"
    query_prompt: str = ""
    document_prompt: str = ""
    label: str = ""


NO_VARIANT = VariantFields().model_dump()


class ModelFields(VariantFields):
    """What is typed into the form of a new model."""

    loader: str = "dense"
    source: str = "hub"
    name: str = ""
    path: str = ""
    revision: str = ""


class CorrectionFields(BaseModel):
    """What is typed into the form of corrections; an empty field gives the inspected value back."""

    parameters: str = ""
    dimensions: str = ""
    max_tokens: str = ""
    memory_mb: str = ""
    memory_dtype: str = ""
    licence: str = ""
    languages: str = ""
    similarity: str = ""
    training_datasets: str = ""
    prompts: str = ""


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
    """What /models/new shows; `baselines` are (title, loader, address when it is registered already)."""

    baselines: tuple[tuple[str, str, str | None], ...]
    form: ShownForm
    dtypes: tuple[str, ...] = models.DTYPES
    precisions: tuple[str, ...] = tuple(PRECISION_BITS)

    @property
    def has_choices(self) -> bool:
        """Whether something about a variant was typed already."""
        return any(self.form.value(name) != default for name, default in NO_VARIANT.items())


@dataclass(frozen=True, slots=True)
class ModelPage:
    """What the page of a model shows: all rows of its name, and everything about the chosen one."""

    family: tuple[queries.ModelDetail, ...]
    model: queries.ModelDetail
    results: tuple[queries.ModelResult, ...]
    correction: ShownForm
    variant: ShownForm
    dtypes: tuple[str, ...] = models.DTYPES
    precisions: tuple[str, ...] = tuple(PRECISION_BITS)

    @property
    def organisation(self) -> str:
        """The part of the name before the slash."""
        return self.model.name.partition("/")[0]

    @property
    def short_name(self) -> str:
        """The part of the name after the slash."""
        return self.model.name.partition("/")[2]

    def is_corrected(self, name: str) -> bool:
        """Whether an admin set this attribute by hand."""
        return name in self.model.corrected

    def found(self, name: str) -> str:
        """What the inspection found, as a text; "" for nothing."""
        return _as_text(self.model.found.get(name))


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
def new_model(request: Request, _admin: Admin, session: ReadSession) -> Response:
    """The form of a new model."""
    return page(request, "models/new.html", _new_page(session))


@router.post("")
def create_model(
    request: Request, admin: Admin, session: WriteSession, typed: Annotated[ModelFields, Form()]
) -> Response:
    """Register a model and queue its inspection."""
    try:
        model = models.register(session, admin, _model_form(typed))
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
        model = models.correct(session, admin, model_id, _corrections(typed))
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
        variant = models.add_variant(session, admin, model_id, _variant_form(typed))
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


def _new_page(session: Session, form: ShownForm | None = None) -> NewModelPage:
    there = queries.addresses(session, models.BUILT_IN.values())
    titles = {"bm25": "BM25", "random": "random vectors"}
    baselines = tuple((titles[loader], loader, there.get(name)) for loader, name in models.BUILT_IN.items())
    return NewModelPage(baselines, form or ShownForm(ModelFields().model_dump()))


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
        family,
        chosen,
        queries.results_of(session, chosen.id),
        correction or ShownForm(_typed(chosen)),
        variant or ShownForm(NO_VARIANT),
    )
    return page(request, "models/model.html", context, partial="models/_detail.html", status=status)


def _form_again(
    request: Request, session: Session, model_id: int, error: Invalid | Conflict, **forms: ShownForm
) -> Response:
    """The page of the model with a form as it was typed and what is wrong with it."""
    family = queries.load_family(session, models.get(session, model_id).name)
    chosen = next(row for row in family if row.id == model_id)
    return _model_page(request, session, family, chosen, status=error.status, **forms)


def _typed(model: queries.ModelDetail) -> dict[str, str]:
    """The corrections of a model as they would be typed."""
    return {
        name: NONE if model.corrected.get(name) == [] else _as_text(model.corrected.get(name))
        for name in CorrectionFields.model_fields
    }


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _model_form(typed: ModelFields) -> ModelForm:
    return replace(
        _variant_form(typed),
        name=typed.name,
        loader=typed.loader,
        source=typed.source,
        path=typed.path if typed.source == "folder" else None,
        revision=typed.revision.strip().lower(),
    )


def _variant_form(typed: VariantFields) -> ModelForm:
    """The typed choices; a browser's line ends become those that a model was trained with."""
    numbers = _numbers(typed, {"truncate_dim": int, "max_tokens": int})
    empty = "" if typed.prompts == "none" else None
    query, document = (text.replace("\r\n", "\n") for text in (typed.query_prompt, typed.document_prompt))
    return ModelForm(
        truncate_dim=numbers["truncate_dim"],
        precision=typed.precision,
        max_tokens=numbers["max_tokens"],
        dtype=typed.dtype,
        query_prompt=(query or None) if typed.prompts == "these" else empty,
        document_prompt=(document or None) if typed.prompts == "these" else empty,
        label=typed.label,
    )


def _corrections(typed: CorrectionFields) -> dict[str, Any]:
    kinds: dict[str, Callable[[str], Any]] = {
        "parameters": int,
        "dimensions": int,
        "max_tokens": int,
        "memory_mb": float,
    }
    texts = {name: getattr(typed, name).strip() or None for name in ("memory_dtype", "licence", "similarity")}
    lists = {name: _names(getattr(typed, name)) for name in ("languages", "training_datasets")}
    return {**_numbers(typed, kinds), **texts, **lists, "prompts": _prompts(typed.prompts)}


def _prompts(text: str) -> dict[str, str] | None:
    """Prompts by name from a JSON object; None for nothing.

    Raises:
        Invalid: it is no JSON object of texts.
    """
    if not text.strip():
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(prompt, str) for prompt in found.values()):
        raise Invalid("The form has fields to mend.", details={"fields": {"prompts": PROMPTS}})
    return found


def _names(text: str) -> list[str] | None:
    """Names between commas or line ends; None for nothing, no names for the word none."""
    names = [name for part in text.splitlines() for piece in part.split(",") if (name := piece.strip())]
    return [] if names == [NONE] else names or None


def _numbers(typed: BaseModel, kinds: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The typed numbers, None for an empty field.

    Raises:
        Invalid: with a message for each field that holds something else.
    """
    numbers: dict[str, Any] = {}
    fields: dict[str, str] = {}
    for name, kind in kinds.items():
        text = getattr(typed, name).replace(",", "").strip()
        try:
            numbers[name] = kind(text) if text else None
        except ValueError:
            fields[name] = NUMBER if kind is float else WHOLE
    if fields:
        raise Invalid("The form has fields to mend.", details={"fields": fields})
    return numbers
