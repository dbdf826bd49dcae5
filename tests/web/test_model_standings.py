"""The page of a model: where it stands on every board, what it costs by device, hostile names, few queries."""

import re

import pytest
from sqlalchemy import update

from app.db.session import Database
from app.db.tables import Benchmark, Dataset
from tests.board_world import GPU, World, counted_statements
from tests.conftest import Browser
from tests.upload_flow import get, text_of

HOSTILE = "<img src=x onerror=alert(1)>\u202e"


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def article(html: str, slug: str) -> str:
    """What the page says of a board."""
    (found,) = re.findall(rf'<article[^>]*aria-labelledby="standing-{slug}".*?</article>', html)
    return str(found)


def test_rank_means_and_percentiles_of_the_chosen_row(as_viewer: Browser, world: World) -> None:
    slug = world.full()
    board = article(get(as_viewer, "/models/acme/strong"), slug)
    said = text_of(board)
    assert "Rank (Borda) 1 of 3 Mean (Task) 82.50 Mean (TaskType) 82.50 Zero-shot 50%" in said
    assert "Semantic textual similarity 1 dataset 90.00 percentile 50 pairs cosine_spearman 90.00" in said
    assert "Retrieval 1 dataset 75.00 — no percentile articles ndcg_at_10 75.00" in said
    assert "The share of the other ranked models with a mean for this type whose mean is lower; ties count half" in said
    assert '<rect class="part" width="50.0" height="6"/>' in board
    assert re.search(r'<a href="/datasets/pairs"><bdi>pairs</bdi></a>.*?<a href="/runs/\d+">90.00</a>', board)
    assert f'<a href="/boards/{slug}">' in board


def test_each_variant_has_its_row(as_viewer: Browser, world: World) -> None:
    slug = world.full()
    html = get(as_viewer, "/models/acme/strong")
    ids = re.findall(r'href="/models/acme/strong\?id=(\d+)">(as it comes|128 d)</a></th> <td class="num">\d of 3', html)
    assert [label for _, label in ids] == ["as it comes", "128 d"]
    small = article(get(as_viewer, f"/models/acme/strong?id={ids[1][0]}"), slug)
    assert (
        'class="selected" aria-current="true"> <th scope="row" class="model"><a href="/models/acme/strong?id=' in small
    )
    assert "Rank (Borda) 3 of 3 Mean (Task) 1 of 2 datasets" in text_of(small)
    assert re.search(r'<progress value="30" max="120"', small)
    other = world.model("acme/strong", variant="int8")
    assert "This variant has no score here" in article(get(as_viewer, f"/models/acme/strong?id={other}"), slug)


def test_a_model_on_no_board_says_so(as_viewer: Browser, world: World) -> None:
    world.dataset("pairs")
    world.run(world.model("acme/alone"), "pairs", 0.5)
    assert "On no board yet." in get(as_viewer, "/models/acme/alone")
    world.model("acme/new")
    html = get(as_viewer, "/models/acme/new")
    assert "Scores by benchmark" not in html and "What it costs" not in html


def test_what_it_costs_by_device(as_viewer: Browser, world: World) -> None:
    world.measured()
    html = text_of(get(as_viewer, "/models/acme/slow"))
    assert re.search(r"cpu: AMD EPYC 9454, 2 threads 9,000 480 960 1.50 .*? ago", html)
    assert re.search(rf"{GPU} 8,000 12.2 24.5 80.0 .*? ago", html)
    assert "Not measured yet" in get(as_viewer, "/models/acme/other")


def test_an_admin_has_it_measured_again(as_admin: Browser, as_viewer: Browser, world: World) -> None:
    world.measured()
    (url,) = re.findall(r'action="(/models/\d+/remeasure)"', get(as_admin, "/models/acme/slow"))
    assert "/remeasure" not in get(as_viewer, "/models/acme/slow")
    answer = as_admin.post_form(url, {})
    assert answer.status_code == 303
    html = get(as_admin, answer.headers["location"])
    assert "its next run measures it again" in html and "Not measured yet" in html
    assert GPU in get(as_admin, "/models/acme/fast")


def test_hostile_names_do_nothing_but_appear(as_viewer: Browser, world: World, database: Database) -> None:
    slug = world.full()
    world.model("acme/strong", variant=HOSTILE)
    with database.session() as session:
        session.execute(update(Benchmark).values(name=HOSTILE))
        session.execute(update(Dataset).values(name=HOSTILE))
    model = world.model("acme/fast")
    world.measure(model, HOSTILE)
    for url in ("/models/acme/strong", "/models/acme/fast"):
        html = get(as_viewer, url)
        assert "<img src=x" not in html and "&lt;img src=x onerror=alert(1)&gt;\u202e" in html
    assert "<bdi>&lt;img" in article(get(as_viewer, "/models/acme/strong"), slug)


def test_more_boards_and_models_are_no_more_queries_once_boards_are_read(
    as_viewer: Browser, world: World, database: Database
) -> None:
    def queries() -> int:
        get(as_viewer, "/models/acme/model-0")
        with counted_statements(database) as statements:
            get(as_viewer, "/models/acme/model-0")
        return len(statements)

    for slug in ("a", "b", "c"):
        world.dataset(slug)
    world.run(world.model("acme/model-0"), "a", 0.5)
    world.board("a", name="One")
    few = queries()
    for number in range(1, 6):
        world.run(world.model(f"acme/model-{number}"), "a", number / 10)
    world.board("a", "b", name="Two")
    world.board("a", "c", name="Three")
    assert queries() == few
