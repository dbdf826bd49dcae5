"""/api/v1/models: read the registry; admins register, correct, vary, inspect and delete."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, computed_field
from sqlalchemy.orm import Session

from app.api.boards import MeasuredOut
from app.api.shared import FailureOut
from app.db.queries import models as queries
from app.db.tables import JobState
from app.errors import NotFound
from app.http.access import Admin, Viewer
from app.http.dependencies import ReadSession, RowId, WriteSession
from app.http.pagination import SIZE, Listing, Paging
from app.services import model_attributes, models
from app.services.model_attributes import KINDS, MOST_NAMES, NAME_LENGTH, PUBLIC, Source
from app.services.models import ModelForm

router = APIRouter(prefix="/models", tags=["models"])

Count = Annotated[int, Field(ge=0)]
Names = Annotated[list[Annotated[str, Field(max_length=NAME_LENGTH)]], Field(max_length=MOST_NAMES)]


class ModelRowOut(BaseModel):
    """A model in the registry: one revision in one variant."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str = Field(description="organisation/name")
    variant: str = Field(description="What sets it apart; empty for the model as it comes")
    revision: str = Field(description="A commit; empty before the inspection, and for baselines and folders")
    loader: str = Field(description="dense, bm25 or random")
    source: str = Field(description="hub, folder or builtin")
    state: JobState = Field(description="Of the inspection; done means that it can run")
    parameters: int | None
    dimensions: int | None
    max_tokens: int | None
    memory_mb: float | None
    memory_dtype: str | None
    dtype: str = Field(description="What it computes in")
    precision: str = Field(description="What its vectors are compared as: float32, int8, uint8 or binary")
    vector_bytes: int | None = Field(description="The room that one vector takes in an index")
    licence: str | None
    languages: list[str]
    results: int = Field(description="Datasets with a finished run")
    failure: FailureOut | None = Field(description="Why the inspection failed")


class MeasurementOut(MeasuredOut):
    """The same with when that was."""

    model_config = ConfigDict(from_attributes=True)

    measured_at: AwareDatetime


class ModelOut(ModelRowOut):
    """Everything about a model. The attributes are those that count; `sources` says where each comes from."""

    truncate_dim: int | None
    max_tokens_limit: int | None
    query_prompt: str | None = Field(description="null: the model's own")
    document_prompt: str | None = Field(description="null: the model's own")
    similarity: str | None
    prompts: dict[str, Any] = Field(description="The model's own prompts by name")
    training_datasets: list[str] | None = Field(description="null: unknown")
    release_date: str | None = Field(description="A day, such as 2024-01-31")
    active_parameters: int | None = Field(description="Without embeddings, and experts that rest")
    open_weights: bool | None
    training_code: str | None = Field(description="An address")
    training_data: str | None = Field(description=f"An address, words, or {PUBLIC}; null: unknown")
    citation: str | None = Field(description="BibTeX")
    kinds: list[str] = Field(description=f"How it compares texts: {', '.join(KINDS)}")
    reference: str | None = Field(description="The address of its page")
    found: dict[str, Any] = Field(description="What the inspection found")
    corrected: dict[str, Any] = Field(description="What an admin set instead")
    runs: int
    measured: list[MeasurementOut] = Field(
        default_factory=list, description="What it costs, by the kind of device; measured after a run"
    )
    added_by: str
    created_at: AwareDatetime

    @computed_field(description="Attribute -> corrected, files, registry (MTEB's), or files and registry")  # type: ignore[prop-decorator]
    @property
    def sources(self) -> dict[str, Source]:
        """Where each attribute that is known comes from."""
        return model_attributes.sources(self.name, self.found, self.corrected)


class ModelsOut(BaseModel):
    """A page of the registry."""

    items: list[ModelRowOut]
    total: int
    next: str | None = Field(description="The address of the next page")


class ChoicesIn(BaseModel):
    """What makes a variant."""

    model_config = ConfigDict(extra="forbid")

    truncate_dim: int | None = None
    precision: str = Field("float32", description="int8, uint8 or binary, made from the float32 vectors")
    max_tokens: int | None = None
    dtype: str = "float32"
    query_prompt: str | None = Field(None, description='null: the model\'s own; "": none')
    document_prompt: str | None = Field(None, description='null: the model\'s own; "": none')
    label: str = Field("", description="Made from the choices when empty")


class ModelIn(ChoicesIn):
    """A new model; the loaders bm25 and random need nothing else."""

    name: str = Field("", description="organisation/name")
    loader: str = "dense"
    source: str = Field("hub", description="hub or folder")
    path: str | None = Field(None, description="Of a folder, as the workers see it")
    revision: str = Field("", description="A commit of 40 hexadecimal digits; the newest when empty")


class Corrections(BaseModel):
    """Attributes to set by hand; null gives back what files and registry tell, what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    parameters: Count | None = None
    dimensions: Count | None = None
    max_tokens: Count | None = None
    memory_mb: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    memory_dtype: str | None = None
    licence: str | None = None
    languages: Names | None = None
    similarity: str | None = None
    prompts: dict[str, str] | None = None
    training_datasets: Names | None = Field(None, description="[]: it saw none of these datasets")
    release_date: str | None = Field(None, description="A day, such as 2024-01-31")
    active_parameters: Count | None = None
    open_weights: bool | None = None
    training_code: str | None = Field(None, description="An address that begins with https://")
    training_data: str | None = Field(None, description=f"An address, words, or {PUBLIC}")
    citation: str | None = Field(None, description="BibTeX")
    kinds: list[str] | None = Field(None, description=f"Some of {', '.join(KINDS)}")
    reference: str | None = Field(None, description="An address that begins with https://")


@router.get("", response_model=ModelsOut)
def get_models(
    _viewer: Viewer,
    session: ReadSession,
    paging: Paging,
    *,
    q: Annotated[str, Query(description="Words in name, variant or licence")] = "",
    per_page: Annotated[int, Query(ge=1, le=200)] = SIZE,
) -> Any:
    """The registry by name."""
    asked = replace(paging, size=per_page)
    rows, total = queries.list_models(session, q=q, limit=asked.size, offset=asked.offset)
    return {"items": rows, "total": total, "next": Listing(rows, total, asked).next}


@router.get("/{model_id}", response_model=ModelOut)
def get_model(_viewer: Viewer, session: ReadSession, model_id: RowId) -> Any:
    """One model."""
    return _load(session, model_id)


@router.post("", response_model=ModelOut, status_code=201)
def post_model(admin: Admin, session: WriteSession, body: ModelIn) -> Any:
    """Register a model; a worker inspects it."""
    return _load(session, models.register(session, admin, ModelForm(**body.model_dump())).id)


@router.patch("/{model_id}", response_model=ModelOut)
def patch_model(admin: Admin, session: WriteSession, model_id: RowId, body: Corrections) -> Any:
    """Set attributes by hand; they outlive the next inspection."""
    models.correct(session, admin, model_id, body.model_dump(exclude_unset=True))
    return _load(session, model_id)


@router.post("/{model_id}/variants", response_model=ModelOut, status_code=201)
def post_variant(admin: Admin, session: WriteSession, model_id: RowId, body: ChoicesIn) -> Any:
    """Add a row for the same weights under other choices."""
    return _load(session, models.add_variant(session, admin, model_id, ModelForm(**body.model_dump())).id)


@router.post("/{model_id}/inspect", response_model=ModelOut, status_code=202)
def post_inspection(admin: Admin, session: WriteSession, model_id: RowId) -> Any:
    """Queue another inspection."""
    return _load(session, models.inspect_again(session, admin, model_id).id)


@router.delete("/{model_id}/measurements", status_code=204)
def delete_measurements(admin: Admin, session: WriteSession, model_id: RowId) -> None:
    """Forget what it costs; its next run on each kind of device measures it anew."""
    models.forget_measurements(session, admin, model_id)


@router.delete("/{model_id}", status_code=204)
def delete_model(admin: Admin, session: WriteSession, model_id: RowId) -> None:
    """Delete a model that has no runs."""
    models.remove(session, admin, model_id)


def _load(session: Session, model_id: int) -> ModelOut:
    session.flush()  # what was just changed is read again
    model = queries.load_model(session, model_id)
    if model is None:
        raise NotFound(f"There is no model with the number {model_id}.")
    measured = [MeasurementOut.model_validate(row) for row in queries.measurements(session, model_id)]
    return ModelOut.model_validate(model).model_copy(update={"measured": measured})
