"""The registry and the page of a model: what is shown, who may change what, and the whole way of a model."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select

from app.db.session import Database
from app.db.tables import JobState, Model, Role, Run
from app.services import jobs, models
from app.services.models import ModelForm
from tests import factories
from tests.board_world import World, counted_statements
from tests.conftest import Browser

HTMX = {"HX-Request": "true"}
FOUND = {
    "parameters": 22_713_216,
    "dimensions": 384,
    "max_tokens": 256,
    "memory_mb": 86.6,
    "memory_dtype": "float32",
    "licence": "apache-2.0",
    "languages": ["eng-Latn", "deu-Latn", "cmn-Hans"],
    "similarity": "cosine",
    "prompts": {"query": "query: "},
    "training_datasets": None,
}
KNOWN = "sentence-transformers/all-MiniLM-L6-v2"
"""A model of MTEB's registry."""
NASTY = '<img src=x onerror="alert(1)">'


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def _model(world: World, name: str = "acme/small", **columns: Any) -> int:
    return world.model(name, **{**FOUND, "found": FOUND, "revision": "c0ffee" * 6 + "0000", **columns})


def _row(database: Database, model_id: int) -> Model:
    with database.reading() as session:
        return session.get_one(Model, model_id)


# The registry


def test_the_registry_shows_every_row_with_its_attributes(world: World, as_viewer: Browser) -> None:
    model_id = _model(world)
    _model(world, variant="128 d", dimensions=128)
    world.dataset("pairs")
    world.run(model_id, "pairs", 0.5)
    html = as_viewer.get("/models").text
    for text in ("22.7M", "256", "87", "apache-2.0", "eng-Latn and 2 more", '<span class="chip">128 d</span>', "Ready"):
        assert text in html
    assert f'href="/models/acme/small?id={model_id}"' in html
    assert "2 models, counting every revision and variant" in html
    assert "/models/new" not in html, "viewers add none"


@pytest.mark.both_databases
def test_two_revisions_of_one_model_are_told_apart(world: World, as_viewer: Browser) -> None:
    _model(world)
    _model(world, revision="d" * 40)
    html = as_viewer.get("/models").text
    assert '<span class="chip">c0ffeec</span>' in html
    assert '<span class="chip">ddddddd</span>' in html


@pytest.mark.both_databases
def test_the_registry_is_searched_sorted_and_paged(world: World, as_viewer: Browser) -> None:
    _model(world, "acme/small", parameters=10)
    _model(world, "acme/large", parameters=1000)
    _model(world, "zeta/unknown", parameters=None, licence="mit")
    names = re.compile(r'<span class="name">([^<]+)</span>')
    assert names.findall(as_viewer.get("/models").text) == ["large", "small", "unknown"]
    assert names.findall(as_viewer.get("/models?sort=-parameters").text) == ["large", "small", "unknown"]
    assert names.findall(as_viewer.get("/models?sort=parameters").text) == ["small", "large", "unknown"]
    assert names.findall(as_viewer.get("/models?sort=-nonsense").text) == ["large", "small", "unknown"]
    assert names.findall(as_viewer.get("/models?q=ACME+small").text) == ["small"]
    assert names.findall(as_viewer.get("/models?q=mit").text) == ["unknown"]
    assert "No model has “100%”" in as_viewer.get("/models", params={"q": "100%"}).text
    assert "No such page" in as_viewer.get("/models?page=2").text


def test_an_empty_registry_says_what_to_do(as_admin: Browser, as_viewer: Browser) -> None:
    assert 'href="/models/new"' in as_admin.get("/models").text
    html = as_viewer.get("/models").text
    assert "No models yet" in html
    assert 'href="/models/new"' not in html


def test_the_registry_updates_itself_only_while_an_inspection_is_open(world: World, as_viewer: Browser) -> None:
    _model(world)
    assert "hx-trigger" not in as_viewer.get("/models", headers=HTMX).text
    _model(world, "acme/new", state=JobState.QUEUED)
    fragment = as_viewer.get("/models?q=acme", headers=HTMX).text
    assert fragment.lstrip().startswith('<div id="registry"')
    assert 'hx-get="/models?q=acme&amp;page=1" hx-trigger="every 2s"' in fragment
    assert "Waits for inspection" in fragment


def test_the_registry_needs_few_queries(world: World, as_viewer: Browser, database: Database) -> None:
    for number in range(12):
        _model(world, f"acme/m{number}")
    as_viewer.get("/models")
    with counted_statements(database) as statements:
        assert as_viewer.get("/models").status_code == 200
    assert len(statements) <= 4, statements


# Adding a model


def test_an_admin_adds_a_model_by_its_name(as_admin: Browser, database: Database, woken: list[str]) -> None:
    assert as_admin.get("/models/new").status_code == 200
    answer = as_admin.post_form("/models", {"source": "hub", "name": " acme/small "})
    assert (answer.status_code, woken) == (303, ["light"])
    assert re.fullmatch(r"/models/acme/small\?id=\d+", answer.headers["location"])
    page = as_admin.get(answer.headers["location"]).text
    assert "A worker inspects it now." in page
    assert "Waits for a worker to inspect it" in page


def test_a_folder_with_choices_is_added_as_typed(as_admin: Browser, database: Database) -> None:
    answer = as_admin.post_form(
        "/models",
        {
            "source": "folder",
            "name": "acme/own",
            "path": "models/own",
            "truncate_dim": "1,024",
            "max_tokens": "512",
            "dtype": "bfloat16",
            "prompts": "these",
            "query_prompt": "Instruct: find\r\nQuery: ",
        },
    )
    assert answer.status_code == 303
    with database.reading() as session:
        model = session.scalars(select(Model)).one()
    assert (model.source, model.path, model.truncate_dim, model.max_tokens_limit) == ("folder", "models/own", 1024, 512)
    assert (model.query_prompt, model.document_prompt) == ("Instruct: find\nQuery: ", None)
    assert model.variant == "1024 d · 512 tokens · bf16 · own prompt"


def test_no_prompts_is_another_choice_than_the_models_own(as_admin: Browser, database: Database) -> None:
    as_admin.post_form("/models", {"name": "acme/own", "prompts": "none", "query_prompt": "left over"})
    with database.reading() as session:
        model = session.scalars(select(Model)).one()
    assert (model.query_prompt, model.document_prompt, model.variant) == ("", "", "no prompt")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "small"}, "Write it as organisation/name"),
        ({"name": "acme/small", "truncate_dim": "many"}, "Write a whole number"),
        ({"name": "acme/small", "source": "folder"}, "Name the folder"),
        ({"name": "acme/small", "revision": "main"}, "40 hexadecimal digits"),
    ],
)
def test_a_wrong_form_comes_back_as_it_was_typed(
    as_admin: Browser, database: Database, values: dict[str, str], message: str
) -> None:
    answer = as_admin.post_form("/models", {"source": "hub", "label": NASTY, **values})
    assert answer.status_code == 422
    assert message in answer.text
    assert f'value="{values["name"]}"' in answer.text
    assert NASTY not in answer.text and "&lt;img" in answer.text
    assert "<details open>" in answer.text, "what was typed is in sight"
    with database.reading() as session:
        assert session.scalars(select(Model)).all() == []


def test_a_baseline_is_one_press_and_exists_once(as_admin: Browser, database: Database) -> None:
    for loader in ("bm25", "random"):
        assert as_admin.post_form("/models", {"loader": loader}).status_code == 303
    with database.reading() as session:
        assert session.scalars(select(Model.name).order_by(Model.id)).all() == [
            "baseline/bm25",
            "baseline/random-vectors",
        ]
    answer = as_admin.post_form("/models", {"loader": "bm25"})
    assert answer.status_code == 409
    assert "registered already" in answer.text
    assert 'href="/models/baseline/bm25"' in as_admin.get("/models/new").text


# What MTEB's registry knows


def test_a_known_name_is_recognised_while_it_is_typed(as_admin: Browser) -> None:
    form = as_admin.get("/models/new").text
    assert 'hx-get="/models/new"' in form and 'hx-target="#known"' in form
    assert "Known: from" not in form and "does not have this name" not in form
    fragment = as_admin.get("/models/new", params={"name": f" {KNOWN} "}, headers=HTMX).text
    assert "<html" not in fragment
    for text in ("Known: from MTEB's registry.", "22,713,216, 10,992,768 active", "384", "2021-08-30", "apache-2.0"):
        assert text in fragment.replace("&#39;", "'")
    assert "does not have this name" in as_admin.get("/models/new", params={"name": "acme/own"}, headers=HTMX).text
    assert as_admin.get("/models/new", params={"name": "acm"}, headers=HTMX).text.strip() == ""


def test_without_scripts_a_name_is_looked_up_by_a_form(as_admin: Browser) -> None:
    html = as_admin.get("/models/new", params={"name": KNOWN}).text
    assert '<form class="form" action="/models/new" method="get">' in html.partition("<noscript>")[2]
    assert html.count(f'value="{KNOWN}"') == 2, "in the form that looks up, and in the one that adds"
    assert "Known: from" in html
    rejected = as_admin.post_form("/models", {"name": KNOWN, "revision": "main"})
    assert rejected.status_code == 422 and "Known: from" in rejected.text


def test_what_is_typed_is_only_text(as_admin: Browser) -> None:
    for headers in ({}, HTMX):
        answer = as_admin.get("/models/new", params={"name": f"a/{NASTY}"}, headers=headers)
        assert answer.status_code == 200 and NASTY not in answer.text
    assert as_admin.get("/models/new", params={"name": "a/" + "b" * 5000}).status_code == 200


def test_a_model_of_another_kind_is_told_to_be_one(as_admin: Browser) -> None:
    fragment = as_admin.get("/models/new", params={"name": "colbert-ir/colbertv2.0"}, headers=HTMX).text
    assert "this one is another kind" in fragment and "late-interaction" in fragment


def test_every_fact_says_where_it_comes_from(as_admin: Browser, database: Database) -> None:
    address = as_admin.post_form("/models", {"name": KNOWN}).headers["location"]
    html = " ".join(as_admin.get(address).text.split())
    assert '<dt>Parameters</dt><dd>22,713,216 <span class="muted small">MTEB</span></dd>' in html
    with database.session() as session:
        held = jobs.claim(session, Model, worker="light@host", lease_seconds=60)
        assert held is not None
        assert models.inspected(session, held, revision="e" * 40, found={**FOUND, "training_datasets": ["org/set"]})
    as_admin.post_form(f"/models/{held.id}/correct", {"release_date": "2020-05-17", "open_weights": "no"})
    html = " ".join(as_admin.get(address).text.split())
    assert '<dt>Dimensions</dt><dd>384 <span class="muted small">files</span></dd>' in html
    assert '<span class="muted small">files and MTEB</span>' in html, "training datasets"
    released = html.partition("<dt>Released</dt>")[2].partition("</dd>")[0]
    assert "2020-05-17" in released
    assert 'MTEB&#39;s registry says: 2021-08-30">corrected</span>' in released
    assert "closed" in html.partition("<dt>Weights</dt>")[2].partition("</dd>")[0]
    assert f'<a href="https://huggingface.co/{KNOWN}" rel="noopener noreferrer nofollow">' in html
    assert "@inproceedings{reimers-2019-sentence-bert" in html
    assert "More is known" not in html


def test_a_row_from_before_asks_for_an_inspection(world: World, as_admin: Browser, as_viewer: Browser) -> None:
    _model(world, KNOWN)
    assert "inspect it again to fill it in" in as_admin.get(f"/models/{KNOWN}").text
    assert "inspect it again to fill it in" not in as_viewer.get(f"/models/{KNOWN}").text
    _model(world, "acme/small", kinds=["dense"])
    assert "inspect it again to fill it in" not in as_admin.get("/models/acme/small").text


def test_what_nobody_tells_is_a_dash(world: World, as_viewer: Browser) -> None:
    world.model("acme/bare", corrected={"languages": []})
    html = as_viewer.get("/models/acme/bare").text
    for label in ("Parameters", "Kind", "Weights", "Training code", "Trained on", "Citation", "Page"):
        fact = html.partition(f"<dt>{label}</dt>")[2].partition("</dd>")[0]
        assert fact == '<dd><span class="dash" aria-hidden="true">—</span><span class="visually-hidden">unknown</span>'
    languages = html.partition("<dt>Languages</dt>")[2].partition("</dd>")[0]
    assert ">none</span>" in languages and 'title="Nobody else tells it.">corrected' in languages


def test_a_model_without_a_limit_says_so(world: World, as_viewer: Browser) -> None:
    name = "minishlab/potion-base-8M"
    _model(world, name, max_tokens=None, found={**FOUND, "max_tokens": None})
    assert "<dt>Max tokens</dt><dd>no limit</dd>" in as_viewer.get(f"/models/{name}").text


def test_what_is_known_of_openness_is_corrected_by_hand(world: World, as_admin: Browser, database: Database) -> None:
    model_id = _model(world)
    typed = {
        "active_parameters": "10,000,000",
        "open_weights": "yes",
        "release_date": "2024-01-31",
        "training_code": "https://example.org/code",
        "training_data": "public",
        "citation": "@misc{a,\r\n  title = {B}\r\n}",
        "kinds": "dense, sparse",
        "reference": "https://example.org/",
    }
    assert as_admin.post_form(f"/models/{model_id}/correct", typed).status_code == 303
    row = _row(database, model_id)
    assert (row.active_parameters, row.open_weights, row.release_date) == (10_000_000, True, "2024-01-31")
    assert (row.training_code, row.training_data) == ("https://example.org/code", "public")
    assert (row.citation, row.kinds) == ("@misc{a,\n  title = {B}\n}", ["dense", "sparse"])
    html = " ".join(as_admin.get("/models/acme/small").text.split())
    assert '<option value="yes" selected>yes</option>' in html
    assert 'value="dense, sparse"' in html and 'value="2024-01-31"' in html
    as_admin.post_form(f"/models/{model_id}/correct", {})
    assert _row(database, model_id).open_weights is None


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"release_date": "31.1.2024"}, "year-month-day"),
        ({"training_code": "http://example.org"}, "begins with https://"),
        ({"reference": "javascript:alert(1)"}, "begins with https://"),
        ({"kinds": "dense, magic"}, "Choose among dense"),
        ({"open_weights": "perhaps"}, "Choose yes or no"),
        ({"active_parameters": "many"}, "Write a whole number"),
    ],
)
def test_a_wrong_attribute_is_refused_with_its_reason(
    world: World, as_admin: Browser, database: Database, typed: dict[str, str], message: str
) -> None:
    model_id = _model(world)
    answer = as_admin.post_form(f"/models/{model_id}/correct", typed)
    assert answer.status_code == 422 and message in answer.text
    name = next(iter(typed))
    assert f'<a href="#f-{name}">' in answer.text and f'id="f-{name}"' in answer.text
    assert _row(database, model_id).corrected == {}


def test_what_is_no_address_is_no_link(world: World, as_viewer: Browser) -> None:
    _model(world, training_code="javascript:alert(1)", training_data=NASTY, citation=f"</pre>{NASTY}", licence="mit")
    html = as_viewer.get("/models/acme/small").text
    assert 'href="javascript' not in html and NASTY not in html
    assert "&lt;/pre&gt;" in html


# Using it elsewhere


def test_a_model_is_used_as_its_variant_was_measured(world: World, as_viewer: Browser) -> None:
    choices = {"variant": "128 d", "truncate_dim": 128, "max_tokens_limit": 64, "document_prompt": f"</pre>{NASTY}"}
    model_id = _model(world, **choices)
    html = unescape(as_viewer.get(f"/models/acme/small?id={model_id}").text)
    for text in (
        "Use this model",
        "SentenceTransformer(",
        "HuggingFaceEmbedding(",
        "HuggingFaceEmbeddings(",
        "--model-id acme/small",
        "truncate_dim=128",
        f"revision='{'c0ffee' * 6}0000'",
        "prompt='query: '",
        "max_length=64",
    ):
        assert text in html
    assert NASTY not in as_viewer.get(f"/models/acme/small?id={model_id}").text


def test_a_correction_is_laid_over_the_models_own_prompts(world: World, as_viewer: Browser) -> None:
    found = {**FOUND, "prompts": {"query": "query: ", "document": "text: "}}
    _model(world, found=found, corrected={"prompts": {"query": "find: "}}, prompts={"query": "find: "})
    html = unescape(as_viewer.get("/models/acme/small").text)
    assert "prompt='find: '" in html and "prompt='text: '" in html


def test_where_a_folder_lies_is_not_told(world: World, as_viewer: Browser) -> None:
    _model(world, source="folder", path="/srv/secret/model")
    html = as_viewer.get("/models/acme/small").text
    assert "path/to/the/folder" in html and "secret" not in html


@pytest.mark.parametrize("columns", [{"loader": "bm25"}, {"revision": ""}, {"state": JobState.FAILED, "failure": {}}])
def test_what_cannot_be_used_elsewhere_has_no_code(world: World, as_viewer: Browser, columns: dict[str, Any]) -> None:
    _model(world, **columns)
    assert "Use this model" not in as_viewer.get("/models/acme/small").text


# One model


@pytest.mark.both_databases
def test_a_model_shows_its_rows_facts_and_scores(world: World, as_viewer: Browser) -> None:
    model_id = _model(world, corrected={"licence": "mit"}, licence="mit")
    _model(world, variant="128 d", dimensions=128)
    world.dataset("pairs", name=f"Pairs {NASTY}")
    world.dataset("texts", "Classification")
    done = world.run(model_id, "pairs", 0.7142, main_score=0.7142)
    world.revision("pairs", 7)
    failed = world.run(model_id, "texts", state=JobState.FAILED)
    html = as_viewer.get(f"/models/acme/small?id={model_id}").text
    assert f'<a href="/runs/{done}">71.42</a>' in html
    assert "older revision" in html
    assert f'href="/runs/{failed}"' in html and "Failed" in html
    assert 'title="The inspection found: apache-2.0">corrected</span>' in html
    for text in ("22,713,216", "86.6 MB", "eng-Latn, deu-Latn, cmn-Hans", "c0ffee", "query: ", "128 d"):
        assert text in html
    assert NASTY not in html
    assert '<form class="form"' not in html, "viewers change nothing"


@pytest.mark.both_databases
def test_the_newest_revision_is_chosen_unless_the_address_says_otherwise(world: World, as_viewer: Browser) -> None:
    old = _model(world, revision="a" * 40)
    _model(world, revision="b" * 40)
    chosen = re.compile(r"<dt>Revision</dt><dd><code[^>]*>(\w)")
    assert chosen.findall(as_viewer.get("/models/acme/small").text) == ["b"]
    assert chosen.findall(as_viewer.get(f"/models/acme/small?id={old}").text) == ["a"]
    assert chosen.findall(as_viewer.get("/models/acme/small?id=nonsense").text) == ["b"]


def test_an_unknown_model_is_not_found(as_viewer: Browser) -> None:
    assert as_viewer.get("/models/acme/none").status_code == 404


def test_the_page_updates_itself_until_the_inspection_ends(
    world: World, as_viewer: Browser, database: Database
) -> None:
    model_id = _model(world, state=JobState.RUNNING, worker="light@host", attempt=2)
    fragment = as_viewer.get(f"/models/acme/small?id={model_id}", headers=HTMX).text
    assert fragment.lstrip().startswith('<div id="model"')
    assert f'hx-get="/models/acme/small?id={model_id}" hx-trigger="every 2s"' in fragment
    assert "Being inspected by light@host, attempt 2" in fragment
    with database.session() as session:
        session.get_one(Model, model_id).state = JobState.DONE
    fragment = as_viewer.get(f"/models/acme/small?id={model_id}", headers=HTMX).text
    assert "hx-trigger" not in fragment and "Ready" in fragment


def test_a_failed_inspection_says_why_and_is_repeated(world: World, as_admin: Browser, database: Database) -> None:
    failure = {"message": f"Only pickle weights. {NASTY}", "remedy": "Convert them to safetensors."}
    model_id = _model(world, state=JobState.FAILED, failure=failure, failure_code="model_unsafe")
    html = as_admin.get("/models/acme/small").text
    assert "Only pickle weights." in html and "Convert them to safetensors." in html
    assert NASTY not in html
    assert html.count(f'action="/models/{model_id}/inspect"') == 1
    answer = as_admin.post_form(f"/models/{model_id}/inspect")
    assert answer.headers["location"] == f"/models/acme/small?id={model_id}"
    row = _row(database, model_id)
    assert (row.state, row.failure) == (JobState.QUEUED, None)
    assert as_admin.post_form(f"/models/{model_id}/inspect").status_code == 409


def test_an_admin_corrects_facts_and_takes_it_back(world: World, as_admin: Browser, database: Database) -> None:
    model_id = _model(world)
    typed = {"licence": "mit", "parameters": "1,000", "languages": "eng-Latn, \n deu-Latn", "training_datasets": "none"}
    assert as_admin.post_form(f"/models/{model_id}/correct", typed).status_code == 303
    row = _row(database, model_id)
    assert (row.licence, row.parameters, row.languages, row.training_datasets) == (
        "mit",
        1000,
        ["eng-Latn", "deu-Latn"],
        [],
    )
    assert row.dimensions == 384, "an empty field takes what was found"
    html = " ".join(as_admin.get("/models/acme/small").text.split())
    assert 'name="training_datasets" type="text" value="none"' in html
    assert 'value="mit"' in html and 'placeholder="apache-2.0"' in html
    assert as_admin.post_form(f"/models/{model_id}/correct", {}).status_code == 303
    assert _row(database, model_id).corrected == {}


def test_a_wrong_correction_comes_back_as_it_was_typed(world: World, as_admin: Browser, database: Database) -> None:
    model_id = _model(world)
    answer = as_admin.post_form(f"/models/{model_id}/correct", {"dimensions": "a lot", "licence": NASTY})
    assert answer.status_code == 422
    assert "Write a whole number" in answer.text and 'value="a lot"' in answer.text
    assert NASTY not in answer.text
    answer = as_admin.post_form(f"/models/{model_id}/correct", {"memory_mb": "nan"})
    assert (answer.status_code, _row(database, model_id).corrected) == (422, {})


def test_an_admin_adds_a_variant_that_can_run_at_once(world: World, as_admin: Browser, database: Database) -> None:
    model_id = _model(world)
    answer = as_admin.post_form(f"/models/{model_id}/variants", {"truncate_dim": "128"})
    assert answer.status_code == 303
    variant = _row(database, int(answer.headers["location"].rpartition("=")[2]))
    assert (variant.variant, variant.dimensions, variant.state) == ("128 d", 128, JobState.DONE)
    for values, status in (({"truncate_dim": "128"}, 409), ({"truncate_dim": "512"}, 422), ({}, 422)):
        again = as_admin.post_form(f"/models/{model_id}/variants", values)
        assert again.status_code == status
        assert '<details class="card quiet" id="variant" open>' in again.text


def test_a_model_is_deleted_only_without_runs(world: World, as_admin: Browser, database: Database) -> None:
    used, unused = _model(world), _model(world, "acme/unused")
    world.dataset("pairs")
    world.run(used, "pairs", 0.5)
    assert "cannot be deleted" in as_admin.get("/models/acme/small").text
    assert as_admin.post_form(f"/models/{used}/delete").status_code == 409
    answer = as_admin.post_form(f"/models/{unused}/delete")
    assert answer.headers["location"] == "/models"
    with database.reading() as session:
        assert session.scalars(select(Model.id)).all() == [used]


def test_the_whole_way_of_a_model(as_admin: Browser, database: Database) -> None:
    """Registered, inspected, corrected, varied: every step shows on its page."""
    address = as_admin.post_form("/models", {"name": "acme/small"}).headers["location"]
    with database.session() as session:
        held = jobs.claim(session, Model, worker="light@host", lease_seconds=60)
        assert held is not None
    assert "Being inspected by light@host" in as_admin.get(address).text
    with database.session() as session:
        assert models.inspected(session, held, revision="e" * 40, found=FOUND)
    html = as_admin.get(address).text
    assert "Ready" in html and "e" * 40 in html
    assert f'href="/runs/new?model={held.id}"' in html


@pytest.mark.both_databases
def test_a_variant_in_another_precision_says_what_its_vectors_take(world: World, as_admin: Browser) -> None:
    model_id = _model(world)
    form = as_admin.get("/models/acme/small").text
    for precision in ("float32", "int8", "uint8", "binary"):
        assert f'<option value="{precision}"' in form
    typed = {"truncate_dim": "128", "precision": "int8"}
    address = as_admin.post_form(f"/models/{model_id}/variants", typed).headers["location"]
    html = " ".join(as_admin.get(address).text.split())
    assert '<span class="chip">128 d · int8</span>' in html
    assert "<dt>Compared as</dt><dd>int8, 128 bytes a vector</dd>" in html
    assert '<td class="num">384</td> <td class="num">1,536</td>' in html, "dimensions and bytes of the whole model"
    again = as_admin.post_form(f"/models/{model_id}/variants", {"precision": "half"})
    assert again.status_code == 422
    assert "Choose one of float32, int8, uint8, binary." in again.text


# Rights


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
def test_only_admins_change_the_registry(
    world: World, sign_in: Callable[[Role], Browser], database: Database, role: Role
) -> None:
    model_id = _model(world)
    browser = sign_in(role)
    assert browser.get("/models/new").status_code == 403
    for path in ("/models", *(f"/models/{model_id}/{act}" for act in ("inspect", "correct", "variants", "delete"))):
        assert browser.post_form(path, {"name": "a/b", "licence": "mit", "truncate_dim": "8"}).status_code == 403, path
    with database.reading() as session:
        assert session.scalars(select(Model.id)).all() == [model_id]
    assert _row(database, model_id).corrected == {}


def test_nobody_sees_the_registry_without_signing_in(client: Browser) -> None:
    for path in ("/models", "/models/new", "/models/acme/small"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/sign-in")


def test_a_form_without_its_token_changes_nothing(as_admin: Browser, database: Database) -> None:
    assert as_admin.post("/models", data={"name": "acme/small"}).status_code == 403
    with database.reading() as session:
        assert session.scalars(select(Model)).all() == []


def test_html_in_a_label_is_text_everywhere(database: Database, as_admin: Browser) -> None:
    with database.session() as session:
        owner = factories.person(session, "ada", Role.ADMIN)
        base = factories.model(session, owner, "acme/small")
        base.loader, base.source, base.found = "dense", "hub", {"dimensions": 384}
        models.add_variant(session, owner, base.id, ModelForm(truncate_dim=8, label=NASTY))
        factories.revision(session, owner)
    for path in ("/models", "/models/acme/small", "/runs/new"):
        html = as_admin.get(path).text
        assert NASTY not in html
        assert "&lt;img" in html
    with database.reading() as session:
        assert session.scalars(select(Run)).all() == []


def test_prompts_are_corrected_as_json(world: World, as_admin: Browser, database: Database) -> None:
    model_id = _model(world)
    answer = as_admin.post_form(f"/models/{model_id}/correct", {"prompts": '{"query": "query: "}'})
    assert answer.status_code == 303
    assert _row(database, model_id).prompts == {"query": "query: "}
    assert "&#34;query: &#34;" in as_admin.get(answer.headers["location"]).text


@pytest.mark.parametrize("text", ["query: ", '["query: "]', '{"query": 1}'])
def test_prompts_that_are_no_object_of_texts_are_refused(world: World, as_admin: Browser, text: str) -> None:
    answer = as_admin.post_form(f"/models/{_model(world)}/correct", {"prompts": text})
    assert answer.status_code == 422
    assert "Write a JSON object of texts" in answer.text
