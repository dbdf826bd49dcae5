"""The queue, the form for new runs and the page of a run: what is shown to whom, and what updates itself."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.db.session import Database
from app.db.tables import JobState, Model, Role, Run, Score, Worker
from app.db.types import db_now
from app.services import jobs, runs
from app.services.runs import Queued
from app.web.pages.runs import queued_message
from tests.board_world import NOW, World, counted_statements
from tests.conftest import Browser

HTMX = {"HX-Request": "true"}
NASTY = '<img src=x onerror="alert(1)">'
PROVENANCE = {
    "model": "acme/one",
    "revision": "f" * 40,
    "dtype": "float32",
    "precision": "int8",
    "device": "cuda:0 NVIDIA H200",
    "batch_tokens": 16_384,
    "max_tokens": 512,
    "dimensions": 384,
    "similarity": "cosine",
    "backend": "torch",
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "prompts": {"query": f"query: where is my parcel {NASTY}", "document": "passage: Parcels"},
    "durations": {"load": 1.25, "encode": 63.0},
    "texts_total": 57_600,
    "texts_encoded": 45_200,
    "texts_from_store": 12_400,
    "texts_truncated": 17,
    "tokens": 1_234_567,
    "peak_memory_mb": 2345.6,
    "peak_gpu_memory_mb": 1024.0,
    "measured": {
        "device": "cuda: NVIDIA H200",
        "peak_memory_mb": 1_310.4,
        "query_p50_ms": 4.56,
        "query_p95_ms": 6.0,
        "documents_per_second": 3_210.9,
    },
    "dataset_revision": "e" * 40,
    "worker": "encode@host",
    "main_metric": "cosine_spearman",
}


@pytest.fixture
def world(database: Database) -> World:
    """Two models and two datasets."""
    made = World(database)
    made.dataset("pairs", name=f"Pairs {NASTY}")
    made.dataset("articles", "Retrieval", name="Articles")
    return made


@pytest.fixture
def one(world: World) -> int:
    return world.model("acme/one")


@pytest.fixture
def two(world: World) -> int:
    return world.model("acme/two", variant="128 d")


def _flat(html: str) -> str:
    return " ".join(html.split())


def _running(world: World, model_id: int, slug: str = "pairs", **columns: Any) -> int:
    values = {
        "stage": "encode",
        "done": 12_400,
        "total": 57_600,
        "texts_per_second": 830.0,
        "worker": "encode@host",
        "attempt": 1,
        "started_at": NOW,
        **columns,
    }
    return world.run(model_id, slug, state=JobState.RUNNING, **values)


def _state(database: Database, run_id: int) -> str:
    with database.reading() as session:
        return session.get_one(Run, run_id).state


def _encode_worker(database: Database) -> None:
    with database.session() as session:
        session.add(Worker(name="encode@host", queue="encode", device="NVIDIA H200", version="1"))


# The queue


def test_a_running_run_tells_how_far_and_how_long(
    world: World, one: int, database: Database, as_viewer: Browser
) -> None:
    _encode_worker(database)
    run_id = _running(world, one, attempt=2)
    html = _flat(as_viewer.get("/runs").text)
    assert "Encoding · 12,400 of 57,600 texts · 830/s · 54 s left" in html
    assert '<progress value="12400" max="57600"' in html
    for text in (f'<article class="card" id="run-{run_id}">', "encode@host", "NVIDIA H200", "attempt 2", "1 running"):
        assert text in html
    assert NASTY not in html and "Pairs &lt;img" in html
    assert f"/runs/{run_id}/cancel" not in html, "viewers cancel nothing"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"stage": "load", "done": 0, "total": 0, "texts_per_second": None}, "Loading the model"),
        ({"stage": "search", "done": 20, "total": 200}, "Searching · 20 of 200 queries"),
        ({"stage": "encode", "done": 0, "total": 10, "texts_per_second": None}, "Encoding · 0 of 10 texts"),
        ({"stage": "measure", "done": 0, "total": 0}, "Measuring what the model costs"),
        ({"stage": "polish", "done": 3, "total": 5}, "Polish · 3 of 5"),
        ({"stage": None, "done": 0, "total": 0, "texts_per_second": None, "worker": None}, "Starting"),
    ],
)
def test_every_stage_has_its_words(
    world: World, one: int, as_viewer: Browser, columns: dict[str, Any], words: str
) -> None:
    _running(world, one, **columns)
    assert re.search(rf'aria-label="{words}"', _flat(as_viewer.get("/runs").text))


@pytest.mark.both_databases
def test_what_waits_stands_in_the_order_in_which_it_will_run(
    world: World, one: int, two: int, as_viewer: Browser
) -> None:
    late = world.run(one, "pairs", state=JobState.QUEUED)
    urgent = world.run(two, "pairs", state=JobState.QUEUED, priority=5)
    last = world.run(one, "articles", state=JobState.QUEUED)
    html = _flat(as_viewer.get("/runs").text)
    rows = re.findall(r'<tr id="run-(\d+)"> <td class="num">(\d+)</td>', html)
    assert rows == [(str(urgent), "1"), (str(late), "2"), (str(last), "3")]
    only = _flat(as_viewer.get(f"/runs?model={one}").text)
    places = re.findall(r'<tr id="run-(\d+)"> <td class="num">(\d+)</td>', only)
    assert places == [(str(late), "2"), (str(last), "3")], "a place is one among everything that waits"


@pytest.mark.both_databases
def test_sections_follow_one_another_and_failures_say_why(world: World, one: int, two: int, as_admin: Browser) -> None:
    _running(world, one)
    world.run(two, "pairs", state=JobState.QUEUED)
    done = world.run(one, "articles", 0.7142, main_score=0.7142, started_at=NOW - timedelta(seconds=63))
    failure = {"message": f"The GPU is full. {NASTY}", "remedy": "Lower TOUCHSTONE_BATCH_TOKENS."}
    failed = world.run(two, "articles", state=JobState.FAILED, failure=failure, failure_code="gpu_oom")
    html = _flat(as_admin.get("/runs").text)
    places = [html.index(f'<h2 id="{state}">') for state in ("running", "queued", "done", "failed")]
    assert places == sorted(places)
    assert f'<a href="/runs/{done}">71.42</a>' in html and "1 min 3 s" in html
    assert "The GPU is full." in html and "Lower TOUCHSTONE_BATCH_TOKENS." in html
    assert f'action="/runs/{failed}/retry"' in html
    assert NASTY not in html


def test_a_failure_that_was_tried_again_points_to_what_came_after(world: World, one: int, as_admin: Browser) -> None:
    failed = world.run(one, "pairs", state=JobState.FAILED, failure=None, failure_code="internal")
    later = world.run(one, "pairs", 0.5, main_score=0.5)
    html = as_admin.get("/runs").text
    assert f"/runs/{failed}/retry" not in html
    assert f'<a href="/runs/{later}">run {later} came after it</a>' in html
    assert "internal" in html, "without words at least the code"


def test_the_queue_updates_itself_only_while_something_is_open(
    world: World, one: int, database: Database, as_viewer: Browser
) -> None:
    run_id = _running(world, one)
    fragment = as_viewer.get("/runs?dataset=pairs", headers=HTMX)
    assert fragment.headers["vary"] == "HX-Request, Accept-Encoding"
    text = fragment.text.lstrip()
    assert text.startswith('<div id="queue"') and "<html" not in text
    assert 'data-live hx-get="/runs?dataset=pairs&amp;page=1" hx-trigger="every 2s" hx-swap="outerHTML"' in _flat(text)
    assert '<span id="queue-status" hx-swap-oob="true">' in text
    assert '<span id="active-runs" hx-swap-oob="true">' in text
    with database.session() as session:
        session.get_one(Run, run_id).state = JobState.CANCELLED
    text = as_viewer.get("/runs", headers=HTMX).text
    assert "hx-trigger" not in text and "0 running" in text
    restored = as_viewer.get("/runs", headers={**HTMX, "HX-History-Restore-Request": "true"}).text
    assert "<html" in restored, "going back shows a whole page"


@pytest.mark.both_databases
def test_the_queue_is_filtered_by_its_address(world: World, one: int, two: int, as_viewer: Browser) -> None:
    first = world.run(one, "pairs", 0.5, main_score=0.5)
    second = world.run(two, "articles", state=JobState.FAILED)

    def shown(query: str) -> list[int]:
        return [int(number) for number in re.findall(r' id="run-(\d+)"', as_viewer.get(f"/runs?{query}").text)]

    assert shown("") == [first, second]
    assert shown("state=failed") == [second]
    assert shown("state=done") == [first]
    assert shown(f"model={one}") == [first]
    assert shown("dataset=articles") == [second]
    assert shown(f"dataset=articles&model={one}") == []
    assert shown("state=nonsense&model=x&dataset=") == [first, second]
    html = as_viewer.get(f"/runs?model={two}&dataset=articles&state=failed").text
    assert 'href="/runs?state=failed&amp;dataset=articles"' in html, "a chip takes its choice away"
    assert "No run matches this choice" in as_viewer.get("/runs?state=running").text


def test_finished_runs_have_pages_and_other_sections_are_cut_short(world: World, one: int, as_viewer: Browser) -> None:
    for number in range(60):
        world.run(one, "pairs", main_score=number / 100)
    for _ in range(25):
        world.run(one, "articles", state=JobState.FAILED)
    html = as_viewer.get("/runs").text
    assert "1–50 of 60" in html and 'href="/runs?page=2"' in html
    assert 'href="/runs?state=failed">Show all 25</a>' in _flat(html)
    assert len(re.findall(r' id="run-', html)) == 50 + 20
    assert "51–60 of 60" in as_viewer.get("/runs?page=2").text
    assert len(re.findall(r' id="run-', as_viewer.get("/runs?state=failed").text)) == 25


def test_an_empty_queue_says_what_to_do(as_admin: Browser, as_viewer: Browser) -> None:
    assert 'href="/runs/new"' in as_admin.get("/runs").text
    html = as_viewer.get("/runs").text
    assert "No runs yet" in html and 'href="/runs/new"' not in html


def test_a_queue_that_no_worker_takes_says_so(world: World, one: int, database: Database, as_viewer: Browser) -> None:
    world.run(one, "pairs", state=JobState.QUEUED)
    assert "No worker takes runs." in as_viewer.get("/runs").text
    _encode_worker(database)
    assert "No worker takes runs." not in as_viewer.get("/runs").text
    with database.session() as session:
        session.get_one(Worker, "encode@host").seen_at = db_now(-600)
    assert "No worker takes runs." in as_viewer.get("/runs").text


def test_the_queue_needs_few_queries_however_long_it_is(
    world: World, one: int, two: int, database: Database, as_viewer: Browser
) -> None:
    _running(world, one)
    world.run(two, "pairs", state=JobState.QUEUED)
    for _ in range(30):
        world.run(one, "articles", main_score=0.5)
        world.run(two, "articles", state=JobState.FAILED)
        world.run(two, "articles", state=JobState.CANCELLED)
    as_viewer.get("/runs")
    with counted_statements(database) as statements:
        as_viewer.get("/runs")
    assert len(statements) <= 11, statements
    with counted_statements(database) as statements:
        as_viewer.get("/runs", headers=HTMX)
    assert len(statements) <= 9, statements


# New runs


def test_only_what_is_ready_can_be_ticked(world: World, one: int, as_admin: Browser, database: Database) -> None:
    world.model("acme/broken", state=JobState.FAILED)
    world.dataset("empty", name="Empty", revisions=0)
    html = _flat(as_admin.get(f"/runs/new?model={one}&dataset=pairs").text)
    ticked = re.findall(r'<input name="(\w+)" type="checkbox" value="([^"]+)" (checked)?', html)
    assert ticked == [("model", str(one), "checked"), ("dataset", "articles", ""), ("dataset", "pairs", "checked")]
    assert re.search(r"acme/broken</span>\s*<span class=\"note\">its inspection failed", html)
    assert re.search(r"Empty</span>\s*<span class=\"note\">it has no revision yet", html)
    assert "Queue runs</button>" in html


@pytest.mark.both_databases
def test_the_product_is_queued_and_what_exists_is_named(
    world: World, one: int, two: int, as_admin: Browser, woken: list[str]
) -> None:
    world.run(one, "pairs", main_score=0.5)
    world.run(two, "pairs", state=JobState.QUEUED)
    form = {"model": [str(one), str(two)], "dataset": ["pairs", "articles"]}
    answer = as_admin.post_form("/runs/new", form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
    assert "Queued 2 runs; 2 exist already." in as_admin.get("/runs").text
    assert woken == ["encode"]
    as_admin.post_form("/runs/new", form)
    assert "Nothing was queued: 4 exist already." in as_admin.get("/runs").text
    as_admin.post_form("/runs/new", {**form, "again": "1"})
    assert "Queued 1 run; 3 exist already." in as_admin.get("/runs").text


@pytest.mark.parametrize(
    ("queued", "message"),
    [
        (Queued((1, 2), 0, 0), "Queued 2 runs."),
        (Queued((1,), 0, 1), "Queued 1 run; 1 exists already."),
        (Queued(tuple(range(1200)), 0, 0), "Queued 1,200 runs."),
        (Queued((), 0, 3), "Nothing was queued: 3 exist already."),
        (Queued((), 1, 0), "Nothing was queued: 1 exists already. Tick “Run again” to repeat what is finished."),
    ],
)
def test_what_became_of_a_product_is_said_in_words(queued: Queued, message: str) -> None:
    assert queued_message(queued) == message


def test_a_form_with_nothing_ticked_comes_back(world: World, one: int, as_admin: Browser, database: Database) -> None:
    answer = as_admin.post_form("/runs/new", {"model": [str(one)], "again": "1"})
    assert answer.status_code == 422
    html = _flat(answer.text)
    assert 'href="#f-dataset">Choose at least one dataset.' in html
    assert f'value="{one}" checked' in html and re.search(r'name="again"[^>]*checked', html)
    answer = as_admin.post_form("/runs/new", {})
    assert "Choose at least one model." in answer.text and "Choose at least one dataset." in answer.text
    assert as_admin.post_form("/runs/new", {"model": [str(one)], "dataset": ["none"]}).status_code == 404
    with database.reading() as session:
        assert session.scalars(select(Run)).all() == []


@pytest.mark.parametrize("number", ["0", "9" * 30, "one"])
def test_a_number_that_no_model_has_is_refused(as_admin: Browser, world: World, number: str) -> None:
    answer = as_admin.post_form("/runs/new", {"model": [number], "dataset": ["pairs"]})
    assert answer.status_code == 422


def test_a_model_that_became_unready_meanwhile_is_refused(
    world: World, one: int, as_admin: Browser, database: Database
) -> None:
    with database.session() as session:
        session.get_one(Model, one).state = JobState.QUEUED
    answer = as_admin.post_form("/runs/new", {"model": [str(one)], "dataset": ["pairs"]})
    assert answer.status_code == 422
    assert "acme/one is not ready" in answer.text


def test_without_models_or_datasets_the_form_says_what_comes_first(as_admin: Browser, database: Database) -> None:
    assert 'href="/models/new"' in as_admin.get("/runs/new").text
    World(database).model("acme/one")
    assert 'href="/datasets/new"' in as_admin.get("/runs/new").text


# One run


@pytest.fixture
def done(world: World, one: int, database: Database) -> int:
    """A finished run with many metrics, provenance and a log."""
    cells = {("test", "default"): 0.7142, ("test", "deu-Latn"): 0.5}
    run_id = world.run(
        one,
        "pairs",
        cells,
        main_score=0.6071,
        provenance=PROVENANCE,
        log=f"attempt 1 begins\n{NASTY}",
        started_at=NOW - timedelta(seconds=64.25),
        worker="encode@host",
        attempt=1,
    )
    with database.session() as session:
        for metric in ("nauc_ndcg_at_1_max", "changed_ndcg_at_1", "ndcg_at_10", "ndcg_at_3", "ndcg_at_1"):
            session.add(Score(run_id=run_id, split="test", subset="default", metric=metric, value=0.25))
    return run_id


@pytest.mark.both_databases
def test_a_finished_run_shows_every_score_the_main_one_first(done: int, as_viewer: Browser) -> None:
    html = _flat(as_viewer.get(f"/runs/{done}").text)
    metrics = re.findall(r'<th scope="row" class="model">(?:<strong>)?(\w+)', html)
    assert metrics == [
        *("cosine_spearman", "another_metric", "ndcg_at_1", "ndcg_at_3", "ndcg_at_10"),
        *("changed_ndcg_at_1", "nauc_ndcg_at_1_max"),
    ]
    assert ">71.42</td>" in html and ">50.00</td>" in html and ">25.00</td>" in html
    assert "60.71" in html and "1 min 4 s" in html
    assert "hx-trigger" not in html


def test_a_run_that_repeats_says_so_quietly(world: World, one: int, as_viewer: Browser) -> None:
    first = world.run(one, "pairs", 0.5)
    again = world.run(one, "pairs", 0.5, fresh=True)
    assert "It repeats" not in as_viewer.get(f"/runs/{first}").text
    html = _flat(as_viewer.get(f"/runs/{again}").text)
    assert f'It repeats <a href="/runs/{first}">run {first}</a> to within 0.1 points, with every text' in html


def test_a_run_that_does_not_repeat_is_a_warning_with_what_changed(world: World, one: int, as_viewer: Browser) -> None:
    first = world.run(one, "pairs", 0.5, provenance={"device": "cpu", "versions": {"torch": "2.12.0"}})
    again = world.run(one, "pairs", 0.5123, provenance={"device": NASTY, "versions": {"torch": "2.13.0"}})
    html = _flat(as_viewer.get(f"/runs/{again}").text)
    assert 'class="notice warn"' in html and "It does not repeat:" in html
    assert f'<a href="/runs/{first}">run {first}</a> of this model on the same texts scored 50.00, 1.23 less.' in html
    assert "<li>torch: 2.12.0 → 2.13.0</li>" in html
    assert NASTY not in html


def test_an_admin_repeats_a_finished_run(world: World, one: int, as_admin: Browser, as_viewer: Browser) -> None:
    first = world.run(one, "pairs", 0.5)
    assert f"/runs/{first}/repeat" not in as_viewer.get(f"/runs/{first}").text
    assert f"/runs/{first}/repeat" in as_admin.get(f"/runs/{first}").text
    answer = as_admin.post_form(f"/runs/{first}/repeat")
    assert answer.headers["location"] == f"/runs/{first + 1}"
    assert "encodes every text anew" in as_admin.get(f"/runs/{first + 1}").text
    assert f"/runs/{first}/repeat" not in as_admin.get(f"/runs/{first}").text  # the newer one waits
    assert as_admin.post_form(f"/runs/{first}/repeat").status_code == 409


def test_the_main_score_has_its_interval_where_it_is_known(
    world: World, one: int, database: Database, as_viewer: Browser
) -> None:
    run_id = world.run(one, "pairs", 0.5, main_low=0.42, main_high=0.57, main_n=1200)
    with database.session() as session:
        score = session.scalars(select(Score).where(Score.metric == "cosine_spearman")).one()
        score.low, score.high, score.n = 0.42, 0.57, 1200
    html = _flat(as_viewer.get(f"/runs/{run_id}").text)
    assert "42.00 to 57.00 (95%, n = 1,200)" in html
    assert html.count('<span class="second">±7.5</span>') == 1
    older = world.run(one, "pairs", 0.5)
    assert "95%" not in as_viewer.get(f"/runs/{older}").text


def test_the_provenance_is_told_in_words(done: int, as_member: Browser) -> None:
    html = _flat(as_member.get(f"/runs/{done}").text)
    facts = dict(re.findall(r"<dt>([^<]+)</dt><dd>(.*?)</dd>", html))
    for name, digest in (("Model revision", "f" * 40), ("Dataset revision", "e" * 40)):
        assert facts[name] == f'<code class="hash" title="{digest}">{digest}</code>'
    assert facts["Document as encoded"] == "<code>passage: Parcels</code>"
    assert facts["Query as encoded"].startswith("<code>query: where is my parcel &lt;img")
    assert (facts["Computed in"], facts["Compared as"]) == ("float32", "int8")
    assert facts["Batch"] == "16,384 tokens" and facts["Longest text"] == "512 tokens"
    assert (facts["Texts"], facts["Encoded now"], facts["Taken from the store"]) == ("57,600", "45,200", "12,400")
    assert facts["Cut to length"] == "17" and facts["Tokens"] == "1,234,567"
    assert facts["Durations"].replace("\N{NO-BREAK SPACE}", " ") == "load 1.2 s · encode 1 min 3 s"
    assert facts["Versions"].replace("\N{NO-BREAK SPACE}", " ") == "python 3.11.7 · torch 2.13.0"
    assert facts["Peak memory"] == "2,346 MB" and facts["Peak GPU memory"] == "1,024 MB"
    assert facts["Device"] == "cuda:0 NVIDIA H200" and facts["Worker"] == "encode@host"
    assert NASTY not in html and "attempt 1 begins" in html


def test_what_the_model_costs_is_told_with_its_device(done: int, as_viewer: Browser) -> None:
    html = _flat(as_viewer.get(f"/runs/{done}").text).replace("\N{NO-BREAK SPACE}", " ")
    facts = dict(re.findall(r"<dt>(Measured[^<]*|Not measured)</dt><dd>(.*?)</dd>", html))
    assert facts == {
        "Measured on": "cuda: NVIDIA H200",
        "Measured peak memory": "1,310 MB",
        "Measured query": "p50 4.6 ms · p95 6.0 ms",
        "Measured speed": "3,210.9 documents a second",
    }


def test_a_model_that_could_not_be_measured_says_why(world: World, one: int, as_viewer: Browser) -> None:
    provenance = {"measured": {"failure": f"Not even one text fits. {NASTY}"}}
    run_id = world.run(one, "pairs", 0.5, provenance=provenance)
    html = _flat(as_viewer.get(f"/runs/{run_id}").text)
    assert "<dt>Not measured</dt><dd>Not even one text fits. &lt;img" in html
    assert "Measured on" not in html


def test_texts_and_log_are_not_for_viewers(done: int, as_viewer: Browser) -> None:
    html = as_viewer.get(f"/runs/{done}").text
    assert "Versions" in html
    assert "where is my parcel" not in html and "attempt 1 begins" not in html


@pytest.mark.parametrize(
    "provenance",
    [
        None,
        {},
        {"prompts": None, "durations": None, "versions": None, "max_tokens": None, "tokens": "many", "measured": None},
        {"measured": {"device": None, "query_p50_ms": None, "documents_per_second": "many"}},
    ],
)
def test_a_provenance_with_gaps_is_shown_as_far_as_it_goes(
    world: World, one: int, as_admin: Browser, provenance: dict[str, Any] | None
) -> None:
    run_id = world.run(one, "pairs", 0.5, main_score=0.5, provenance=provenance)
    answer = as_admin.get(f"/runs/{run_id}")
    assert answer.status_code == 200
    assert "Dataset revision" in answer.text and "Durations" not in answer.text


@pytest.mark.both_databases
def test_an_open_run_updates_itself_until_it_ends(
    world: World, one: int, two: int, database: Database, as_admin: Browser
) -> None:
    world.run(two, "pairs", state=JobState.QUEUED)
    run_id = world.run(one, "pairs", state=JobState.QUEUED)
    html = _flat(as_admin.get(f"/runs/{run_id}").text)
    assert "place 2 in the queue" in html
    with database.session() as session:
        for _ in range(2):
            held = jobs.claim(session, Run, worker="encode@host", lease_seconds=60)
        assert held is not None
        jobs.renew(session, held, lease_seconds=60, stage="encode", done=5, total=10, texts_per_second=2.5)
    fragment = _flat(as_admin.get(f"/runs/{run_id}", headers=HTMX).text)
    assert fragment.startswith('<div id="run"')
    assert f'hx-get="/runs/{run_id}" hx-trigger="every 2s"' in fragment
    assert "Encoding · 5 of 10 texts · 2/s · 2.0 s left" in fragment
    with database.session() as session:
        scores = [runs.CellScore("test", "default", "cosine_spearman", 0.5)]
        assert runs.complete(
            session, held, main_score=0.5, scores=scores, evidence=[], provenance=PROVENANCE, log="the end"
        )
    fragment = as_admin.get(f"/runs/{run_id}", headers=HTMX).text
    assert "hx-trigger" not in fragment
    assert "50.00" in fragment and "the end" in fragment


def test_a_failed_run_says_why_and_is_tried_again(
    world: World, one: int, database: Database, as_admin: Browser, woken: list[str]
) -> None:
    failure = {"message": f"The disk is full. {NASTY}", "remedy": "Free some space."}
    run_id = world.run(one, "pairs", state=JobState.FAILED, failure=failure, failure_code="disk_full", log="trace")
    html = as_admin.get(f"/runs/{run_id}").text
    assert "The disk is full." in html and "Free some space." in html and "trace" in html
    assert NASTY not in html
    answer = as_admin.post_form(f"/runs/{run_id}/retry")
    new_id = int(answer.headers["location"].rpartition("/")[2])
    assert (answer.status_code, _state(database, new_id), woken) == (303, JobState.QUEUED, ["encode"])
    assert f"run {new_id} came after it" in as_admin.get(f"/runs/{run_id}").text
    assert as_admin.post_form(f"/runs/{run_id}/retry").status_code == 409


@pytest.mark.parametrize(("role", "sees_texts"), [(Role.VIEWER, False), (Role.MEMBER, True)])
def test_a_failure_of_any_code_shows_its_details_to_those_who_may_see_texts(
    world: World, one: int, sign_in: Callable[[Role], Browser], role: Role, sees_texts: bool
) -> None:
    failure = {"message": "Row 7 cannot be read.", "remedy": "Mend it.", "details": {"row": 7, "text_begin": NASTY}}
    run_id = world.run(one, "pairs", state=JobState.FAILED, failure=failure, failure_code="some_new_code")
    html = _flat(sign_in(role).get(f"/runs/{run_id}").text)
    assert "Row 7 cannot be read." in html and "Mend it." in html and "<code>some_new_code</code>" in html
    assert ("row: <bdi>7</bdi> · text begin: <bdi>&lt;img" in html) == sees_texts
    assert NASTY not in html


def test_a_metric_without_bounds_is_shown_as_it_is(
    world: World, one: int, database: Database, as_viewer: Browser
) -> None:
    world.dataset("prices", "Regression")
    run_id = world.run(one, "prices", 0.25, main_score=0.25)
    with database.session() as session:
        for metric, value in (("mse", 12.5), ("r2", 0.5)):
            session.add(Score(run_id=run_id, split="test", subset="default", metric=metric, value=value))
    html = _flat(as_viewer.get(f"/runs/{run_id}").text)
    assert "times 100, but mse, r2 as they are" in html
    assert ">12.5000</td>" in html and ">0.5000</td>" in html and ">25.00</td>" in html


def test_a_run_is_cancelled_from_where_it_was_seen(
    world: World, one: int, two: int, database: Database, as_admin: Browser
) -> None:
    waiting = world.run(one, "pairs", state=JobState.QUEUED)
    running = _running(world, two)
    answer = as_admin.post_form(f"/runs/{waiting}/cancel", {"back": "/runs?state=queued&page=1"})
    assert answer.headers["location"] == "/runs?state=queued&page=1"
    assert f"Run {waiting} is cancelled." in as_admin.get("/runs").text
    assert _state(database, waiting) == JobState.CANCELLED
    answer = as_admin.post_form(f"/runs/{running}/cancel", {"back": "https://evil.example/runs"})
    assert answer.headers["location"] == f"/runs/{running}"
    html = as_admin.get("/runs").text
    assert "Stopping" in html and f"/runs/{running}/cancel" not in html
    assert as_admin.post_form(f"/runs/{waiting}/cancel").status_code == 409


@pytest.mark.parametrize("back", ["//evil.example", "/runsx", "/runs\r\nX: y", "/models", ""])
def test_nobody_is_sent_elsewhere_after_cancelling(world: World, one: int, as_admin: Browser, back: str) -> None:
    run_id = world.run(one, "pairs", state=JobState.QUEUED)
    answer = as_admin.post_form(f"/runs/{run_id}/cancel", {"back": back})
    assert answer.headers["location"] == f"/runs/{run_id}"


def test_an_unknown_run_is_not_found(as_admin: Browser) -> None:
    assert as_admin.get("/runs/4711").status_code == 404
    assert as_admin.get(f"/runs/{2**40}").status_code == 422
    assert as_admin.post_form("/runs/4711/cancel").status_code == 404


def test_a_run_needs_few_queries(done: int, database: Database, as_viewer: Browser) -> None:
    as_viewer.get(f"/runs/{done}")
    with counted_statements(database) as statements:
        as_viewer.get(f"/runs/{done}")
    assert len(statements) <= 5, statements


# Rights


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
def test_only_admins_queue_cancel_and_repeat(
    world: World, one: int, sign_in: Callable[[Role], Browser], database: Database, role: Role
) -> None:
    waiting = world.run(one, "pairs", state=JobState.QUEUED)
    failed = world.run(one, "articles", state=JobState.FAILED)
    browser = sign_in(role)
    assert browser.get("/runs/new").status_code == 403
    for path, data in (
        ("/runs/new", {"model": [str(one)], "dataset": ["pairs"]}),
        (f"/runs/{waiting}/cancel", {}),
        (f"/runs/{failed}/retry", {}),
    ):
        assert browser.post_form(path, data).status_code == 403
    html = browser.get("/runs").text
    assert "/cancel" not in html and "/retry" not in html and "/runs/new" not in html
    with database.reading() as session:
        assert session.scalars(select(Run.id).order_by(Run.id)).all() == [waiting, failed]
    assert _state(database, waiting) == JobState.QUEUED


def test_nobody_sees_the_queue_without_signing_in(client: Browser) -> None:
    for path in ("/runs", "/runs/new", "/runs/1"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/sign-in")
    assert client.get("/runs", headers=HTMX).status_code == 401
