"""The registry: what may be registered, what an inspection fills in, what an admin corrects."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.session import Database
from app.db.tables import AuditEntry, JobState, Model, Role, Run
from app.errors import AppError, Conflict, Invalid, NotFound
from app.services import jobs, model_attributes, models
from app.services.accounts import Person
from app.services.models import ModelForm
from tests import factories

both = pytest.mark.both_databases

FOUND: dict[str, Any] = {
    "parameters": 22_700_000,
    "dimensions": 384,
    "max_tokens": 256,
    "memory_mb": 86.6,
    "memory_dtype": "float32",
    "licence": "apache-2.0",
    "languages": ["eng-Latn"],
    "similarity": "cosine",
    "prompts": {"query": "query: "},
    "training_datasets": None,
    "active_parameters": 10_900_000,
    "kinds": ["dense"],
}
UNTOLD = dict.fromkeys(
    ("release_date", "open_weights", "training_code", "training_data", "citation", "reference"), None
)
KNOWN = "sentence-transformers/all-MiniLM-L6-v2"
"""A model of MTEB's registry."""
COMMIT = "a" * 40


@pytest.fixture
def admin(database: Database) -> Person:
    with database.session() as session:
        return factories.person(session, "ada", Role.ADMIN)


def _register(database: Database, admin: Person, **values: Any) -> int:
    with database.session() as session:
        return models.register(session, admin, ModelForm(**{"name": "acme/small", **values})).id


def _inspect(database: Database, **found: Any) -> int:
    """Let a worker inspect what waits; returns its id."""
    with database.session() as session:
        held = jobs.claim(session, Model, worker="light@test", lease_seconds=60)
        assert held is not None
        assert models.inspected(session, held, revision=COMMIT, found={**FOUND, **found})
        return held.id


def _ready(database: Database, admin: Person, **values: Any) -> int:
    _register(database, admin, **values)
    return _inspect(database)


def _fields(error: pytest.ExceptionInfo[Invalid]) -> set[str]:
    return set(error.value.fields)


@both
def test_a_registered_model_waits_for_its_inspection(database: Database, admin: Person, woken: list[str]) -> None:
    model_id = _register(database, admin)
    assert woken == ["light"]
    with database.reading() as session:
        model = models.get(session, model_id)
        assert (model.state, model.variant, model.revision) == (JobState.QUEUED, "", "")
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "model.register")).one()
        assert (entry.actor, entry.subject) == ("ada", "acme/small")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "no-organisation"}, "name"),
        ({"name": "a/../b"}, "name"),
        ({"name": "a/b c"}, "name"),
        ({"name": "a/" + "b" * 200}, "name"),
        ({"source": "pickle"}, "source"),
        ({"source": "folder"}, "path"),
        ({"path": "models/x"}, "path"),
        ({"source": "folder", "path": "models/\0"}, "path"),
        ({"source": "folder", "path": "x" * 1001}, "path"),
        ({"revision": "main"}, "revision"),
        ({"dtype": "int3"}, "dtype"),
        ({"precision": "int4"}, "precision"),
        ({"truncate_dim": 0}, "truncate_dim"),
        ({"truncate_dim": 2**40}, "truncate_dim"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"label": "x" * 65}, "label"),
        ({"label": "a\nb"}, "label"),
        ({"query_prompt": "a\0b"}, "query_prompt"),
        ({"query_prompt": "a\ud800"}, "query_prompt"),
        ({"document_prompt": "x" * 10_001}, "document_prompt"),
        ({"loader": "magic"}, "loader"),
    ],
)
def test_what_cannot_be_registered_is_refused_by_field(
    database: Database, admin: Person, values: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as error:
        _register(database, admin, **values)
    assert _fields(error) == {field}
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Model)) == 0


def test_a_baseline_needs_no_name_and_exists_once(database: Database, admin: Person) -> None:
    model_id = _register(database, admin, name="", loader="bm25", dtype="whatever")
    with database.reading() as session:
        model = models.get(session, model_id)
        assert (model.name, model.source, model.dtype) == ("baseline/bm25", "builtin", "float32")
    with pytest.raises(Conflict, match="baseline/bm25 is registered already"):
        _register(database, admin, loader="bm25")


def test_the_same_model_twice_is_a_conflict_and_another_revision_is_not(database: Database, admin: Person) -> None:
    _register(database, admin)
    with pytest.raises(Conflict) as error:
        _register(database, admin)
    assert error.value.details == {"model": "acme/small"}
    assert _register(database, admin, revision="b" * 40)
    assert _register(database, admin, truncate_dim=128)


def _at_once(acts: list[Callable[[], Any]]) -> list[Any]:
    """What each act returns or raises when all start at the same moment."""
    barrier, answers = threading.Barrier(len(acts)), [None] * len(acts)

    def work(index: int) -> None:
        barrier.wait()
        try:
            answers[index] = acts[index]()
        except AppError as error:
            answers[index] = error

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@both
def test_two_people_who_register_one_model_at_once_get_one_row(database: Database, admin: Person) -> None:
    answers = _at_once([lambda: _register(database, admin) for _ in range(6)])
    assert sum(isinstance(answer, int) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 5


@both
def test_an_insert_that_loses_the_race_leaves_the_transaction_usable(
    database: Database, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    _register(database, admin)
    monkeypatch.setattr(Session, "scalar", lambda *_: None)  # as if the other row came right after the look
    with database.session() as session:
        with pytest.raises(Conflict):
            models.register(session, admin, ModelForm("acme/small"))
        assert len(session.scalars(select(Model)).all()) == 1


@both
def test_an_inspection_fills_the_columns_and_the_revision(database: Database, admin: Person) -> None:
    model_id = _ready(database, admin)
    with database.reading() as session:
        model = models.get(session, model_id)
        assert (model.state, model.revision, model.token) == (JobState.DONE, COMMIT, None)
        assert {name: getattr(model, name) for name in model_attributes.ATTRIBUTES} == {**FOUND, **UNTOLD}


@both
def test_a_model_that_mteb_knows_is_filled_before_anybody_looks_at_it(database: Database, admin: Person) -> None:
    model_id = _register(database, admin, name=KNOWN, truncate_dim=128)
    with database.reading() as session:
        model = models.get(session, model_id)
        assert (model.state, model.parameters, model.active_parameters) == (JobState.QUEUED, 22_713_216, 10_992_768)
        assert (model.dimensions, model.max_tokens, model.memory_mb) == (128, 256, 87)
        assert (model.licence, model.release_date, model.open_weights) == ("apache-2.0", "2021-08-30", True)
        assert (model.languages, model.similarity, model.kinds) == (["eng-Latn"], "cosine", ["dense"])
        assert (model.citation or "").startswith("@inproceedings{reimers")
        assert model.reference == f"https://huggingface.co/{KNOWN}"
        assert "MSMARCO" in (model.training_datasets or [])
        assert (model.training_code, model.training_data, model.found) == (None, None, {})


@both
def test_files_count_before_the_registry_and_corrections_before_both(database: Database, admin: Person) -> None:
    _register(database, admin, name=KNOWN)
    model_id = _inspect(database, languages=(), licence="mit", training_datasets=("org/pairs",), max_tokens=None)
    with database.session() as session:
        model = models.get(session, model_id)
        assert (model.licence, model.parameters, model.release_date) == ("mit", 22_700_000, "2021-08-30")
        assert (model.languages, model.max_tokens) == (["eng-Latn"], 256), "what the files leave open"
        assert {"org/pairs", "MSMARCO"} <= set(model.training_datasets or []), "joined, for zero-shot"
        models.correct(session, admin, model_id, {"release_date": "2022-01-01", "training_datasets": ["NQ"]})
        assert (model.release_date, model.training_datasets) == ("2022-01-01", ["NQ"])
        models.correct(session, admin, model_id, {"release_date": None})
        assert model.release_date == "2021-08-30"


@both
def test_a_row_from_before_the_registry_is_filled_by_its_next_inspection(database: Database, admin: Person) -> None:
    with database.session() as session:
        model = factories.model(session, admin, KNOWN)
        model.loader, model.source = "dense", "hub"
        model_id = model.id
        assert (model.kinds, model.release_date) == ([], None)
        models.inspect_again(session, admin, model_id)
    _inspect(database)
    with database.reading() as session:
        assert models.get(session, model_id).release_date == "2021-08-30"


def test_a_variant_of_a_known_model_is_cut_from_what_the_registry_knows(database: Database, admin: Person) -> None:
    _register(database, admin, name=KNOWN)
    base_id = _inspect(database, dimensions=None)
    with database.session() as session:
        with pytest.raises(Invalid) as error:
            models.add_variant(session, admin, base_id, ModelForm(truncate_dim=512))
        assert _fields(error) == {"truncate_dim"}
        assert models.add_variant(session, admin, base_id, ModelForm(truncate_dim=64)).dimensions == 64


@both
def test_an_inspection_of_a_revision_that_is_registered_already_is_a_conflict(
    database: Database, admin: Person
) -> None:
    _register(database, admin, revision=COMMIT)
    _inspect(database)
    _register(database, admin)
    with pytest.raises(Conflict, match="registered already at this revision"):
        _inspect(database)


def test_an_inspection_whose_claim_is_lost_changes_nothing(database: Database, admin: Person) -> None:
    model_id = _register(database, admin)
    with database.session() as session:
        old = jobs.claim(session, Model, worker="a", lease_seconds=-1)
        jobs.sweep(session, max_attempts=3)
        assert jobs.claim(session, Model, worker="b", lease_seconds=60) is not None
    assert old is not None
    with database.session() as session:
        assert models.inspected(session, old, revision=COMMIT, found=FOUND) is False
    with database.reading() as session:
        model = models.get(session, model_id)
        assert (model.state, model.revision, model.found, model.licence) == (JobState.RUNNING, "", {}, None)


@both
def test_a_found_text_that_is_too_long_for_its_column_is_cut(database: Database, admin: Person) -> None:
    _register(database, admin)
    model_id = _inspect(database, licence="x" * 300)
    with database.reading() as session:
        assert models.get(session, model_id).licence == "x" * 100


@both
def test_what_an_admin_corrects_counts_and_outlives_the_next_inspection(database: Database, admin: Person) -> None:
    model_id = _ready(database, admin)
    with database.session() as session:
        models.correct(session, admin, model_id, {"licence": "mit", "parameters": 1, "training_datasets": ["pairs"]})
        models.inspect_again(session, admin, model_id)
    _inspect(database, licence="other", dimensions=512)
    with database.session() as session:
        model = models.get(session, model_id)
        assert (model.licence, model.parameters, model.dimensions) == ("mit", 1, 512)
        assert model.training_datasets == ["pairs"]
        models.correct(session, admin, model_id, {"licence": None})
        assert (model.licence, model.corrected) == ("other", {"parameters": 1, "training_datasets": ["pairs"]})


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"colour": "blue"}, "colour"),
        ({"parameters": -1}, "parameters"),
        ({"dimensions": 2**31}, "dimensions"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"memory_mb": float("inf")}, "memory_mb"),
        ({"memory_mb": float("nan")}, "memory_mb"),
        ({"licence": "x" * 101}, "licence"),
        ({"similarity": "x" * 33}, "similarity"),
        ({"similarity": "\ud800"}, "similarity"),
        ({"licence": "a\0b"}, "licence"),
        ({"languages": ["eng-Latn", "\udfff"]}, "languages"),
        ({"prompts": {"query": "\ud800"}}, "prompts"),
        ({"prompts": {"\0": "query: "}}, "prompts"),
    ],
)
def test_a_correction_out_of_range_is_refused(
    database: Database, admin: Person, values: dict[str, Any], field: str
) -> None:
    model_id = _ready(database, admin)
    with pytest.raises(Invalid) as error, database.session() as session:
        models.correct(session, admin, model_id, values)
    assert _fields(error) == {field}


@both
def test_a_variant_has_the_attributes_cut_to_its_choices_and_is_ready(database: Database, admin: Person) -> None:
    base_id = _ready(database, admin)
    with database.session() as session:
        variant = models.add_variant(session, admin, base_id, ModelForm(truncate_dim=128, dtype="float16"))
        assert (variant.variant, variant.state) == ("128 d · fp16", JobState.DONE)
        assert (variant.dimensions, variant.max_tokens, variant.revision) == (128, 256, COMMIT)
        smaller = models.add_variant(session, admin, variant.id, ModelForm(truncate_dim=256))
        assert smaller.dimensions == 256, "a variant of a variant is cut from the whole model"


@both
def test_a_precision_makes_a_variant_of_its_own(database: Database, admin: Person) -> None:
    base_id = _ready(database, admin)
    with database.session() as session:
        assert models.get(session, base_id).precision == "float32"
        variant = models.add_variant(session, admin, base_id, ModelForm(precision="int8"))
        assert (variant.variant, variant.precision, variant.dimensions) == ("int8", "int8", 384)
        both = models.add_variant(session, admin, base_id, ModelForm(truncate_dim=128, precision="binary"))
        assert (both.variant, both.dimensions) == ("128 d · binary", 128)
        with pytest.raises(Conflict, match="label of its own"):
            models.add_variant(session, admin, variant.id, ModelForm(precision="int8"))
        with pytest.raises(Invalid) as error:
            models.add_variant(session, admin, base_id, ModelForm(precision="half"))
    assert _fields(error) == {"precision"}


@pytest.mark.parametrize(
    ("choices", "field"),
    [
        ({}, ""),
        ({"label": "only a word"}, ""),
        ({"truncate_dim": 512}, "truncate_dim"),
        ({"max_tokens": 512}, "max_tokens"),
    ],
)
def test_a_variant_that_the_model_cannot_have_is_refused(
    database: Database, admin: Person, choices: dict[str, Any], field: str
) -> None:
    base_id = _ready(database, admin)
    with pytest.raises(Invalid) as error, database.session() as session:
        models.add_variant(session, admin, base_id, ModelForm(**choices))
    assert _fields(error) == {field}


def test_variants_need_an_inspected_model_that_is_no_baseline(database: Database, admin: Person) -> None:
    waiting = _register(database, admin)
    with pytest.raises(Invalid, match="once the model is inspected"), database.session() as session:
        models.add_variant(session, admin, waiting, ModelForm(truncate_dim=8))
    _inspect(database)
    _register(database, admin, loader="bm25")
    baseline = _inspect(database)
    with pytest.raises(Invalid) as error, database.session() as session:
        models.add_variant(session, admin, baseline, ModelForm(truncate_dim=8))
    assert _fields(error) == {""}


def test_two_prompts_need_labels_of_their_own(database: Database, admin: Person) -> None:
    base_id = _ready(database, admin)
    with database.session() as session:
        models.add_variant(session, admin, base_id, ModelForm(query_prompt="ask: "))
        with pytest.raises(Conflict, match="label of its own"):
            models.add_variant(session, admin, base_id, ModelForm(query_prompt="find: "))
        labelled = models.add_variant(session, admin, base_id, ModelForm(query_prompt="find: ", label="prompt B"))
        assert labelled.variant == "prompt B"


def test_an_open_inspection_is_not_queued_again(database: Database, admin: Person, woken: list[str]) -> None:
    model_id = _register(database, admin)
    with pytest.raises(Conflict), database.session() as session:
        models.inspect_again(session, admin, model_id)
    _inspect(database)
    woken.clear()
    with database.session() as session:
        assert models.inspect_again(session, admin, model_id).state == JobState.QUEUED
    assert woken == ["light"]


@both
def test_a_model_with_runs_stays(database: Database, admin: Person) -> None:
    model_id = _ready(database, admin)
    other = _ready(database, admin, truncate_dim=128)
    with database.session() as session:
        revision = factories.revision(session, admin)
        session.add(Run(model_id=model_id, dataset_revision_id=revision.id, queued_by=admin.id))
    with pytest.raises(Conflict, match="a model with results stays"), database.session() as session:
        models.remove(session, admin, model_id)
    with database.session() as session:
        models.remove(session, admin, other)
    with database.reading() as session:
        assert session.scalars(select(Model.id)).all() == [model_id]
        with pytest.raises(NotFound):
            models.get(session, other)


@both
def test_a_run_that_is_queued_while_its_model_is_deleted_keeps_the_model(
    database: Database, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = _ready(database, admin)
    with database.session() as session:
        revision = factories.revision(session, admin)
        session.add(Run(model_id=model_id, dataset_revision_id=revision.id, queued_by=admin.id))
    monkeypatch.setattr(Session, "scalar", lambda *_: 0)  # as if the run came right after the look
    with database.session() as session:
        with pytest.raises(Conflict, match="queued just now"):
            models.remove(session, admin, model_id)
        assert session.get(Model, model_id) is not None
