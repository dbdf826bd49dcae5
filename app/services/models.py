"""The registry of models: register, inspect, correct, and variants as rows of their own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.core.units import PRECISION_BITS
from app.db.tables import JobState, Measurement, Model, Run
from app.errors import Conflict, Invalid, NotFound
from app.queue import wake_after_commit
from app.services import audit, jobs, model_attributes
from app.services.accounts import Person

LOADERS = ("dense", "bm25", "random")
DTYPES = ("float32", "bfloat16", "float16")
BUILT_IN = {"bm25": "baseline/bm25", "random": "baseline/random-vectors"}
_NAME_LENGTH, _PATH_LENGTH, _LABEL_LENGTH, _PROMPT_LENGTH = 200, 1000, 64, 10_000
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT_DTYPE = {"bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True, slots=True)
class ModelForm:
    """What an admin says about a model. `source` is hub, folder or builtin."""

    name: str = ""
    loader: str = "dense"
    source: str = "hub"
    path: str | None = None
    revision: str = ""
    truncate_dim: int | None = None
    precision: str = "float32"
    max_tokens: int | None = None
    dtype: str = "float32"
    query_prompt: str | None = None
    document_prompt: str | None = None
    label: str = ""
    """A word for the variant; made from its choices when empty."""


def register(session: Session, person: Person, form: ModelForm) -> Model:
    """Add a model, with what MTEB's registry knows of its name, and queue its inspection.

    Raises:
        Invalid: with a message for each field.
        Conflict: the same model, revision and variant is registered.
    """
    form = _checked(form)
    model = _row(form, person)
    model_attributes.apply(model)
    _store(session, model)
    audit.record(session, person, "model.register", title(model), {"revision": model.revision, "source": model.source})
    wake_after_commit(session, "light")
    return model


def add_variant(session: Session, person: Person, model_id: int, form: ModelForm) -> Model:
    """Add a row for the same weights under other choices; ready at once when the model is inspected.

    Only the choices of `form` count; name, revision and source are the model's.

    Raises:
        Invalid: a choice the model cannot have, or none that differs.
        Conflict: this variant is registered.
    """
    base = get(session, model_id)
    if base.state != JobState.DONE:
        raise Invalid("Variants can be added once the model is inspected.", code="model_not_ready")
    _check_choices(base, form)
    checked = _checked(
        replace(form, name=base.name, loader=base.loader, source=base.source, path=base.path, revision=base.revision)
    )
    variant = _row(checked, person)
    variant.state, variant.found, variant.corrected = JobState.DONE, base.found, base.corrected
    model_attributes.apply(variant)
    _store(session, variant)
    audit.record(session, person, "model.variant", title(variant))
    return variant


def inspected(session: Session, held: jobs.Claim, *, revision: str, found: Mapping[str, Any]) -> bool:
    """Store what an inspection found, and what the registry knows by now; what an admin corrected stays.

    Returns:
        False when the claim was lost; nothing is written then.

    Raises:
        Conflict: the resolved revision is registered already under this name and variant.
    """
    model = get(session, held.id, lock=True)
    if not jobs.finish(session, held, JobState.DONE):
        return False
    model.revision, model.found = model.revision or revision, dict(found)
    model_attributes.apply(model)
    _store(session, model)
    return True


def correct(session: Session, person: Person, model_id: int, values: Mapping[str, Any]) -> Model:
    """Set attributes by hand; None gives back what files and registry tell.

    Raises:
        Invalid: an attribute that does not exist or cannot have such a value.
    """
    model_attributes.check(values)
    model = get(session, model_id, lock=True)
    corrected = {**model.corrected, **values}
    model.corrected = {name: value for name, value in corrected.items() if value is not None}
    model_attributes.apply(model)
    audit.record(session, person, "model.correct", title(model), {"attributes": sorted(values)})
    return model


def inspect_again(session: Session, person: Person, model_id: int) -> Model:
    """Queue a new inspection.

    Raises:
        Conflict: one waits or works already.
    """
    model = get(session, model_id, lock=True)
    if model.state in {JobState.QUEUED, JobState.RUNNING}:
        raise Conflict("An inspection waits or works already.", code="inspection_open")
    model.state, model.attempt, model.failure, model.failure_code = JobState.QUEUED, 0, None, None
    audit.record(session, person, "model.inspect", title(model))
    wake_after_commit(session, "light")
    return model


def forget_measurements(session: Session, person: Person, model_id: int) -> None:
    """Forget what the model costs on every kind of device; its next run on each of them measures it anew."""
    model = get(session, model_id)
    session.execute(delete(Measurement).where(Measurement.model_id == model_id))
    audit.record(session, person, "model.remeasure", title(model))


def remove(session: Session, person: Person, model_id: int) -> None:
    """Delete a model that has no runs.

    Raises:
        Conflict: it has runs; results are never lost with their model.
    """
    model = get(session, model_id)
    name = title(model)
    count = session.scalar(select(func.count()).select_from(Run).where(Run.model_id == model_id))
    if count:
        raise Conflict(
            f"{name} has {count} run{'' if count == 1 else 's'}; a model with results stays.", code="model_has_runs"
        )
    try:
        with session.begin_nested():
            session.delete(model)
    except IntegrityError as error:
        raise Conflict(f"A run of {name} was queued just now.", code="model_has_runs") from error
    audit.record(session, person, "model.remove", name)


def get(session: Session, model_id: int, *, lock: bool = False) -> Model:
    """That model, or NotFound. `lock` keeps others from changing it."""
    model = session.get(Model, model_id, with_for_update=lock or None)
    if model is None:
        raise NotFound(f"There is no model with the number {model_id}.")
    return model


def title(model: Model) -> str:
    """Name and variant in one line."""
    return f"{model.name} ({model.variant})" if model.variant else model.name


def variant_label(form: ModelForm) -> str:
    """What sets a variant apart, in a word or two; "" for the model as it comes."""
    prompts = [prompt for prompt in (form.query_prompt, form.document_prompt) if prompt is not None]
    parts = [
        f"{form.truncate_dim} d" if form.truncate_dim else "",
        form.precision if form.precision != "float32" else "",
        f"{form.max_tokens} tokens" if form.max_tokens else "",
        _SHORT_DTYPE.get(form.dtype, ""),
        "own prompt" if any(prompts) else "no prompt" if prompts else "",
    ]
    return form.label or " · ".join(part for part in parts if part)


def _checked(form: ModelForm) -> ModelForm:
    """The form in its stored shape, or Invalid."""
    if form.loader not in LOADERS:
        raise Invalid(f"Choose one of {', '.join(LOADERS)}.", details={"fields": {"loader": "Choose one."}})
    if form.loader != "dense":
        return ModelForm(name=BUILT_IN[form.loader], loader=form.loader, source="builtin")
    folder = (form.path or "").strip()
    form = replace(form, name=form.name.strip(), label=form.label.strip(), path=folder or None)
    number = "Give a positive number, or leave it empty."
    prompts = {"query_prompt": form.query_prompt or "", "document_prompt": form.document_prompt or ""}
    rules = {
        "name": (
            bool(_NAME.fullmatch(form.name)) and ".." not in form.name and len(form.name) <= _NAME_LENGTH,
            "Write it as organisation/name, as on the hub; for a folder choose such a name.",
        ),
        "source": (form.source in {"hub", "folder"}, "Choose hub or folder."),
        "path": (
            (form.source == "folder") == bool(folder) and len(folder) <= _PATH_LENGTH and folder.isprintable(),
            "Name the folder as the workers see it; only for a folder.",
        ),
        "revision": (
            not form.revision or bool(_COMMIT.fullmatch(form.revision)),
            "A revision is a commit of 40 hexadecimal digits; leave it empty for the newest.",
        ),
        "precision": (form.precision in PRECISION_BITS, f"Choose one of {', '.join(PRECISION_BITS)}."),
        "dtype": (form.dtype in DTYPES, f"Choose one of {', '.join(DTYPES)}."),
        "truncate_dim": (form.truncate_dim is None or 0 < form.truncate_dim < 2**31, number),
        "max_tokens": (form.max_tokens is None or 0 < form.max_tokens < 2**31, number),
        "label": (
            len(form.label) <= _LABEL_LENGTH and form.label.isprintable(),
            f"At most {_LABEL_LENGTH} characters, none of them a control character.",
        ),
        **{
            name: (
                len(text) <= _PROMPT_LENGTH and model_attributes.is_text(text),
                f"At most {_PROMPT_LENGTH:,} characters, neither NUL nor half of a surrogate pair.",
            )
            for name, text in prompts.items()
        },
    }
    fields = {name: message for name, (holds, message) in rules.items() if not holds}
    if fields:
        raise Invalid("The form has fields to mend.", details={"fields": fields})
    return form


def _row(form: ModelForm, person: Person) -> Model:
    return Model(
        name=form.name,
        revision=form.revision,
        variant=variant_label(form),
        loader=form.loader,
        source=form.source,
        path=form.path,
        truncate_dim=form.truncate_dim,
        precision=form.precision,
        max_tokens_limit=form.max_tokens,
        dtype=form.dtype,
        query_prompt=form.query_prompt,
        document_prompt=form.document_prompt,
        state=JobState.QUEUED,
        found={},
        corrected={},
        created_by=person.id,
    )


def _check_choices(base: Model, form: ModelForm) -> None:
    """Refuse a variant that `base` cannot have, or that chooses nothing."""
    whole = model_attributes.values(base.name, base.found, base.corrected)
    dimensions, max_tokens = whole.get("dimensions"), whole.get("max_tokens")
    fields: dict[str, str] = {}
    if base.loader != "dense":
        fields[""] = "A baseline has no variants."
    elif not variant_label(replace(form, label="")):
        fields[""] = "Choose at least one thing that differs: dimensions, precision, tokens, dtype or a prompt."
    if form.truncate_dim and dimensions and form.truncate_dim > dimensions:
        fields["truncate_dim"] = f"The model has only {dimensions} dimensions."
    if form.max_tokens and max_tokens and form.max_tokens > max_tokens:
        fields["max_tokens"] = f"The model reads only {max_tokens} tokens."
    if fields:
        raise Invalid("The form has fields to mend.", details={"fields": fields})


def _store(session: Session, model: Model) -> None:
    """Write a new or changed row; its name, revision and variant together are its own.

    Raises:
        Conflict: another row has them, also one that somebody else adds at this moment.
    """
    twin = select(Model.id).where(
        Model.name == model.name,
        Model.revision == model.revision,
        Model.variant == model.variant,
        Model.id != (model.id or 0),
    )
    with session.no_autoflush:
        if session.scalar(twin) is not None:
            raise _twin_exists(model)
    try:
        with session.begin_nested():
            session.add(model)
    except IntegrityError as error:
        raise _twin_exists(model) from error


def _twin_exists(model: Model) -> Conflict:
    remedy = "Give the variant a label of its own." if model.variant else "Add a variant on its page instead."
    return Conflict(
        f"{title(model)} is registered already at this revision. {remedy}",
        code="model_exists",
        details={"model": model.name},
    )
