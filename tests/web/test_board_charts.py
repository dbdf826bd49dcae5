"""The tabs Charts and Public of a board: points, frontier and figure; ranks on two boards; hostile names, no data."""

import doctest
import json
import re
from typing import Any

import pytest
from sqlalchemy import select

from app.db.session import Database
from app.db.tables import Model
from app.services.board_points import day
from app.web import charts
from tests.board_world import CPU, GPU, World, counted_statements
from tests.conftest import Browser
from tests.result_files import packed, result
from tests.upload_flow import get, text_of

MODELS: tuple[tuple[str, dict[str, Any], float, float | None], ...] = (
    (
        "acme/small",
        {
            "parameters": 20_000_000,
            "memory_mb": 80.5,
            "dimensions": 384,
            "open_weights": True,
            "release_date": "2023-05-01",
        },
        0.6,
        0.5,
    ),
    (
        "acme/large",
        {
            "parameters": 7_000_000_000,
            "memory_mb": 14_000.0,
            "dimensions": 4096,
            "open_weights": False,
            "release_date": "2024-06-01",
        },
        0.9,
        0.7,
    ),
    (
        "acme/beaten",
        {"parameters": 100_000_000, "memory_mb": 400.0, "dimensions": 768, "release_date": "2024-01-01"},
        0.5,
        0.4,
    ),
    ("acme/unknown", {"release_date": "soon", "memory_mb": 0.0}, 0.8, 0.6),
    ("acme/partial", {"parameters": 1_000_000, "dimensions": 64}, 0.95, None),
)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def slug(world: World) -> str:
    """Two datasets and five models: one has no parameters, one lacks a score."""
    world.dataset("pairs", "STS")
    world.dataset("articles", "Retrieval")
    for name, facts, pairs, articles in MODELS:
        model = world.model(name, **facts)
        world.run(model, "pairs", pairs)
        if articles is not None:
            world.run(model, "articles", articles)
    return world.board("pairs", "articles")


def rows(html: str) -> list[list[str]]:
    """The text of each cell of the first table's body, by row."""
    return tables(html)[0]


def tables(html: str) -> list[list[list[str]]]:
    """The text of each cell, by row and table."""
    return [
        [
            [text_of(cell) for cell in re.findall(r"<(?:td|th)\b.*?</(?:td|th)>", row)]
            for row in re.findall(r"<tr\b.*?</tr>", body)
        ]
        for body in re.findall(r"<tbody>.*?</tbody>", html)
    ]


def figure(html: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" data-chart>(.*?)</script>', html)
    found: dict[str, Any] = json.loads(text)
    return found


def trace(html: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in figure(html)["data"] if one.get("name") == name)
    return dict(found)


def model_keys(world: World) -> dict[str, str]:
    """What stands for each model in addresses, by its name."""
    with world.database.reading() as session:
        return {name: str(key) for key, name in session.execute(select(Model.id, Model.name))}


class TestCharts:
    def test_every_point_is_a_row(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}/charts")
        assert rows(html) == [
            ["1", "acme/large", "7B", "80.00", "yes"],
            ["4", "acme/small", "20M", "55.00", "yes"],
            ["5", "acme/beaten", "100M", "45.00", "— no"],
        ]
        heads = [text_of(head) for head in re.findall(r'<th scope="col".*?</th>', html)]
        assert heads[:5] == ["Rank", "Model", "Parameters", "Mean (Task)", "Frontier"]
        assert "Not drawn: 1 without a known value of parameters, 1 without Mean (Task), which needs" in text_of(html)

    def test_the_figure_has_the_points_of_the_table(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}/charts")
        small, large, beaten = (trace(html, name) for name in ("open weights", "closed weights", "weights not stated"))
        assert [(one["x"], one["y"]) for one in (small, large, beaten)] == [
            ([20_000_000], [55.0]),
            ([7_000_000_000], [80.0]),
            ([100_000_000], [45.0]),
        ]
        assert small["hovertext"] == ["acme/small<br>Mean (Task) 55.00, rank 4<br>Parameters 20M"]
        assert len({one["marker"]["symbol"] for one in (small, large, beaten)}) == 3
        assert [one["marker"]["line"]["width"] for one in (small, large, beaten)] == [[1.5], [1.5], [0]]
        sizes = [one["marker"]["size"][0] for one in (small, beaten, large)]
        assert sizes == sorted(sizes) and 6 < sizes[0] < sizes[2] < 16
        line = trace(html, "Pareto frontier")
        assert (line["x"], line["y"]) == ([20_000_000, 7_000_000_000, 7_000_000_000], [55.0, 80.0, 80.0])
        keys = [one["name"] for one in figure(html)["data"] if one.get("legendgroup") == "size"]
        assert keys == ["10M", "100M", "1B", "10B"]

    def test_the_figure_tells_plotly_to_keep_quiet(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}/charts/memory")
        found = figure(html)
        assert (found["config"]["showSendToCloud"], found["config"]["plotlyServerURL"]) == (False, "")
        assert found["config"]["toImageButtonOptions"]["filename"] == f"{slug}-by-memory"
        assert found["layout"]["xaxis"]["type"] == "log"
        colours = re.findall(r'"\w*color": "([^"]+)"', json.dumps(found))
        assert colours and all(re.fullmatch(r"--[a-z0-9-]+", colour) for colour in colours)
        assert re.search(
            r'<link rel="stylesheet" id="plotly.js-style-global" .*plotly-cartesian.min.js.*charts.js', html
        )
        assert "plotly" not in get(as_viewer, f"/boards/{slug}")

    @pytest.mark.parametrize(
        ("axis", "head", "shown", "kind"),
        [
            ("memory", "Memory (MB)", [("14,000", "yes"), ("80", "yes"), ("400", "— no")], "log"),
            ("dimensions", "Dimensions", [("4,096", "yes"), ("384", "yes"), ("768", "— no")], "log"),
            (
                "released",
                "Release date",
                [("2024-06-01", "yes"), ("2023-05-01", "yes"), ("2024-01-01", "— no")],
                "date",
            ),
        ],
    )
    def test_other_axes(
        self, as_viewer: Browser, slug: str, axis: str, head: str, shown: list[tuple[str, str]], kind: str
    ) -> None:
        html = get(as_viewer, f"/boards/{slug}/charts/{axis}")
        assert [(row[2], row[4]) for row in rows(html)] == shown
        assert f'<th scope="col" class="num">{head}</th>' in html
        assert figure(html)["layout"]["xaxis"]["type"] == kind
        link = f'href="/boards/{slug}/charts/{axis}" aria-current="page"'
        assert link in html and link not in get(as_viewer, f"/boards/{slug}/charts")

    def test_another_score_ranks_the_rows_and_stays_with_every_link(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}/charts?score=type:STS&open_weights=0")
        assert [row[1:] for row in rows(html)] == [
            ["acme/partial", "1M", "95.00", "yes"],
            ["acme/large", "7B", "90.00", "— no"],
            ["acme/small", "20M", "60.00", "— no"],
            ["acme/beaten", "100M", "50.00", "— no"],
        ]
        assert "Semantic textual similarity, times 100" in figure(html)["layout"]["yaxis"]["title"]["text"]
        assert '<option value="type:STS" selected>Semantic textual similarity</option>' in html
        for path in (f"/boards/{slug}", f"/boards/{slug}/tasks", f"/boards/{slug}/charts/memory"):
            assert f'href="{path}?sort=-type%3ASTS"' in html
        assert '<input type="hidden" name="sort" value="-type:STS">' in html

    def test_a_board_sorted_by_a_score_opens_the_chart_of_that_score(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}/charts?sort=mean_task_type")
        assert '<option value="mean_task_type" selected>' in html
        html = get(as_viewer, f"/boards/{slug}/charts?sort=-dimensions")
        assert '<option value="mean_task" selected>' in html

    def test_filters_choose_the_points_and_rank_anew(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}/charts/memory?max_parameters=100M&complete=1")
        assert [row[:2] for row in rows(html)] == [["1", "acme/small"], ["2", "acme/beaten"]]
        assert "parameters ≤ 100M" in text_of(html) and "complete only" in text_of(html)
        assert f'href="/boards/{slug}/charts/memory?complete=1"' in html

    def test_a_search_hides_points_and_keeps_ranks_and_frontier(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}/charts?q=beaten")
        assert rows(html) == [["5", "acme/beaten", "100M", "45.00", "— no"]]
        assert trace(html, "Pareto frontier")["y"] == [55.0, 80.0, 80.0]

    def test_a_filter_that_leaves_no_point_says_so(self, as_viewer: Browser, slug: str) -> None:
        html = get(as_viewer, f"/boards/{slug}/charts/dimensions?q=unknown")
        assert "No model that passes the filter has both this score and a known value of dimensions." in html
        assert f'href="/boards/{slug}/charts/dimensions">Show all</a>' in html
        assert "data-chart" not in html

    def test_boards_without_points(self, as_viewer: Browser, world: World) -> None:
        empty = world.board(name="No datasets")
        world.dataset("pairs")
        idle = world.board("pairs", name="No results")
        for slug in (empty, idle):
            html = get(as_viewer, f"/boards/{slug}/charts")
            assert "No point to draw yet" in html and "data-chart" not in html
        world.run(world.model("acme/bare"), "pairs", 0.5)
        html = text_of(get(as_viewer, f"/boards/{idle}/charts"))
        assert "No point to draw yet" in html and "1 without a known value of parameters." in html

    def test_pinned_models_stand_first_and_wear_a_ring(self, as_viewer: Browser, world: World, slug: str) -> None:
        assert "pinned" not in {one.get("name") for one in figure(get(as_viewer, f"/boards/{slug}/charts"))["data"]}
        beaten = model_keys(world)["acme/beaten"]
        html = get(as_viewer, f"/boards/{slug}/charts?pin={beaten}")
        assert [row[1] for row in rows(html)] == ["acme/beaten", "acme/large", "acme/small"]
        ring, point = trace(html, "pinned"), trace(html, "weights not stated")
        assert (ring["x"], ring["y"]) == (point["x"], point["y"]) == ([100_000_000], [45.0])
        assert ring["marker"]["size"][0] > point["marker"]["size"][0]
        assert ring.get("showlegend", True) and "A wide ring marks what is pinned." in text_of(html)
        (names,) = [one["text"] for one in figure(html)["data"] if one.get("mode") == "text"]
        assert [name.strip() for name in names] == ["beaten", "large", "small"]
        links = re.findall(r'class="pin" href="([^"]+)" aria-label="(\w+)"', html)
        assert links[0] == (f"/boards/{slug}/charts", "Unpin")
        assert links[1][0].startswith(f"/boards/{slug}/charts?pin={beaten}&amp;pin=") and links[1][1] == "Pin"

    def test_names_are_text_for_the_page_and_for_plotly(self, as_viewer: Browser, world: World) -> None:
        world.dataset("a")
        evil = [
            "acme/</script><b>&amp;",
            "acme/نموذج عربي",
            "=1+1",
            '"><img src=x onerror=alert(1)>',
            "acme/$x^2$ %{y}",
        ]
        for place, name in enumerate(evil, 1):
            world.run(world.model(name, parameters=10**place, variant="<i>"), "a", place / 10)
        html = get(as_viewer, f"/boards/{world.board('a', name='<u>Board</u>')}/charts")
        assert not re.search(r"<b>|<i>|<u>|<img|</script><b", html)
        hovers = sorted(trace(html, "weights not stated")["hovertext"])
        assert [hover.partition("<br>")[0] for hover in hovers] == sorted(
            [
                '"&gt;&lt;img src=x onerror=alert(1)&gt; &lt;i&gt;',
                "=1+1 &lt;i&gt;",
                "acme/$x^2$ %{y} &lt;i&gt;",
                "acme/&lt;/script&gt;&lt;b&gt;&amp;amp; &lt;i&gt;",
                "acme/نموذج عربي &lt;i&gt;",
            ]
        )
        texts = [text for one in figure(html)["data"] for text in one.get("text", [])]
        assert texts and not any("<" in text for text in texts)

    @pytest.mark.parametrize(
        ("path", "status", "message"),
        [
            ("nowhere/charts", 404, "There is no board"),
            ("help-desk/charts/speed", 404, "There are: parameters, memory, dimensions, released."),
            ("help-desk/charts?score=speed", 422, "Choose mean_task, mean_task_type or type:NAME"),
            ("help-desk/charts?score=task:pairs", 422, "Choose mean_task, mean_task_type or type:NAME"),
            ("help-desk/charts?score=type:Speed", 422, "cannot be sorted by"),
            ("help-desk/charts?colour=red", 422, "A board has no filter"),
        ],
    )
    def test_what_there_is_not_is_refused(
        self, as_viewer: Browser, slug: str, path: str, status: int, message: str
    ) -> None:
        assert message in text_of(get(as_viewer, f"/boards/{path}", status=status))

    def test_as_many_queries_for_many_models_as_for_few(self, as_viewer: Browser, world: World, slug: str) -> None:
        counts = []
        for round_ in range(2):
            with counted_statements(world.database) as statements:
                get(as_viewer, f"/boards/{slug}/charts")
            counts.append(len(statements))
            for number in range(6):
                world.run(world.model(f"acme/more-{round_}-{number}", parameters=1000), "pairs", 0.5)
        assert counts[0] == counts[1] <= 10

    def test_an_unchanged_chart_is_not_made_again(self, as_viewer: Browser, world: World, slug: str) -> None:
        url = f"/boards/{slug}/charts"
        tag = as_viewer.get(url).headers["etag"]
        assert as_viewer.get(url, headers={"If-None-Match": tag}).status_code == 304
        world.run(world.model("acme/new"), "pairs", 0.5)
        assert as_viewer.get(url, headers={"If-None-Match": tag}).status_code == 200


class TestMeasuredAxes:
    def test_they_are_offered_where_something_was_measured(self, as_viewer: Browser, world: World, slug: str) -> None:
        assert "query_p50" not in get(as_viewer, f"/boards/{slug}/charts")
        get(as_viewer, f"/boards/{slug}/charts/query_p50", status=404)
        html = get(as_viewer, f"/boards/{world.measured()}/charts?q=a")
        for key in ("query_p50", "documents_per_second", "peak_memory"):
            assert f'href="/boards/measured/charts/{key}?q=a"' in html

    @pytest.mark.parametrize(
        ("axis", "title", "shown"),
        [
            ("query_p50", "Query latency p50 (ms)", [["12.2", "yes"], ["0.500", "yes"]]),
            ("documents_per_second", "Documents a second", [["80.0", "yes"], ["9,000", "yes"]]),
            ("peak_memory", "Peak memory (MB)", [["8,000", "yes"], ["200", "yes"]]),
        ],
    )
    def test_the_axis_names_its_device(
        self, as_viewer: Browser, world: World, axis: str, title: str, shown: list[list[str]]
    ) -> None:
        html = get(as_viewer, f"/boards/{world.measured()}/charts/{axis}")
        assert [[row[2], row[4]] for row in rows(html)] == shown
        layout = figure(html)["layout"]
        assert layout["xaxis"]["title"]["text"] == f"{title}<br>{GPU}" and layout["xaxis"]["type"] == "log"
        assert not [tick for tick in layout["xaxis"]["ticktext"] if "." in tick and tick.endswith("0")]
        in_one_line = f"{title[:-1]}, {GPU})" if title.endswith(")") else f"{title} ({GPU})"
        assert f'<th scope="col" class="num">{in_one_line}</th>' in html
        assert re.search(rf"Not drawn: 1 without a known value of [a-z0-9 ]+ on {GPU}\.", text_of(html))

    def test_another_device_shows_its_own_figures_alone(self, as_viewer: Browser, world: World) -> None:
        html = get(as_viewer, f"/boards/{world.measured()}/charts/query_p50?device={CPU}")
        assert [row[1:3] for row in rows(html)] == [["acme/slow", "480"]]
        assert CPU in figure(html)["layout"]["xaxis"]["title"]["text"]
        assert f'<option value="{CPU}" selected>' in html
        (form,) = re.findall(r'<form class="inline".*?</form>', html)
        assert form.count('name="device"') == 1

    def test_where_more_is_better_the_frontier_turns(self, as_viewer: Browser, world: World) -> None:
        slug = world.measured()
        beaten = world.model("acme/beaten")
        world.run(beaten, "a", 0.4)
        world.measure(beaten, GPU, rate=20.0)
        html = get(as_viewer, f"/boards/{slug}/charts/documents_per_second")
        assert [(row[1], row[4]) for row in rows(html)] == [
            ("acme/slow", "yes"),
            ("acme/fast", "yes"),
            ("acme/beaten", "— no"),
        ]
        line = trace(html, "Pareto frontier")
        assert (line["x"], line["y"]) == ([20.0, 80.0, 9000.0], [90.0, 90.0, 50.0])
        assert line["line"]["shape"] == "vh"
        assert "no other model shown is both faster and better" in text_of(html)


class TestRadar:
    @pytest.fixture
    def three(self, world: World) -> str:
        """Seven models on three types; the last has no score on one of them."""
        for name, kind in (("pairs", "STS"), ("articles", "Retrieval"), ("texts", "Clustering")):
            world.dataset(name, kind)
        for number in range(7):
            model = world.model(f"acme/m{number}")
            for name in ("pairs", "articles", "texts")[: 2 if number == 6 else 3]:
                world.run(model, name, 0.9 - number / 10)
        return world.board("pairs", "articles", "texts")

    def test_the_first_five_by_rank_each_with_a_row(self, as_viewer: Browser, three: str) -> None:
        html = get(as_viewer, f"/boards/{three}/charts?sort=model")
        (table,) = tables(html)
        assert [row[:2] for row in table] == [[str(number + 1), f"acme/m{number}"] for number in range(5)]
        assert table[0][2:] == ["90.00"] * 3
        assert len(re.findall(r'<g class="s\d">', html)) == 5 and len(re.findall('class="sample', html)) == 5
        assert "The best 5 by rank; pin others to see them instead." in text_of(html)

    def test_pinned_models_instead_of_the_first(self, as_viewer: Browser, world: World, three: str) -> None:
        keys = model_keys(world)
        html = get(as_viewer, f"/boards/{three}/charts?pin={keys['acme/m6']}&pin={keys['acme/m5']}")
        (table,) = tables(html)
        assert [row[1:] for row in table] == [
            ["acme/m5", "40.00", "40.00", "40.00"],
            ["acme/m6", "30.00", "30.00", "— no value"],
        ]
        assert "What is pinned." in text_of(html)
        pins = "&".join(f"pin={key}" for key in keys.values())
        html = get(as_viewer, f"/boards/{three}/charts?{pins}")
        assert len(tables(html)[0]) == 6 and "What is pinned, the first 6." in text_of(html)

    def test_fewer_than_three_types_have_a_table_and_a_reason(self, as_viewer: Browser, three: str) -> None:
        html = get(as_viewer, f"/boards/{three}/charts?type=STS&type=Retrieval")
        assert 'class="radar"' not in html and len(tables(html)[0]) == 5
        assert "A radar needs 3 task types, and 2 are shown." in text_of(html)

    def test_without_any_score_there_is_nothing(self, as_viewer: Browser, three: str) -> None:
        assert "By task type" not in get(as_viewer, f"/boards/{three}/charts?q=nothing")


def test_the_examples() -> None:
    tested = doctest.testmod(charts)
    assert tested.attempted == 2 and not tested.failed
    assert day(738000) == "2021-07-29"


PUBLIC = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.1, "elsewhere": 0.95}


@pytest.fixture
def public(as_admin: Browser) -> str:
    """An imported board of five models."""
    files = {f"org__{name}/1/STS12.json": result(test=score) for name, score in PUBLIC.items()}
    sent = {"file": ("results.zip", packed(files), "application/zip")}
    answer = as_admin.post_form("/boards/import", {"benchmark": "<b>Public</b>"}, files=sent)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"]).removeprefix("/boards/")


@pytest.fixture
def own(world: World) -> str:
    """A board that turns the public order around, with a variant and a model of its own."""
    world.dataset("pairs")
    for name, score in (("a", 0.1), ("b", 0.2), ("c", 0.3), ("d", 0.4), ("only", 0.5)):
        world.run(world.model(f"org/{name}", revision="1"), "pairs", score)
    world.run(world.model("org/a", variant="128 d"), "pairs", 0.9)
    return world.board("pairs")


class TestPublic:
    def test_ranks_among_the_common_models(self, as_viewer: Browser, own: str, public: str) -> None:
        html = get(as_viewer, f"/boards/{own}/public?with={public}")
        assert rows(html) == [
            ["1", "org/d", "4", "higher by ▲ 3"],
            ["2", "org/c", "3", "higher by ▲ 1"],
            ["3", "org/b", "2", "lower by ▼ 1"],
            ["4", "org/a", "1", "lower by ▼ 3"],
        ]
        text = text_of(html)
        assert "Does the public rank hold here?" in text
        assert "4 models stand on both boards, 1 only here, 1 only on <b>Public</b>" in text
        assert "1 variant with other dimensions, precision or prompts is left out" in text
        assert "Spearman -1.00" in text and "Kendall -1.00" in text
        assert "Biggest climbers org/d 4 → 1 org/c 3 → 2 Biggest fallers org/a 1 → 4 org/b 2 → 3" in text

    def test_the_figure_shows_who_climbs(self, as_viewer: Browser, own: str, public: str) -> None:
        html = get(as_viewer, f"/boards/{own}/public")
        higher, lower = trace(html, "higher here"), trace(html, "lower here")
        assert (higher["x"], higher["y"]) == ([4, 3], [1, 2])
        assert (lower["x"], lower["y"]) == ([2, 1], [3, 4])
        assert higher["hovertext"][0] == "org/d<br>4 there, 1 here"
        assert higher["marker"]["symbol"] != lower["marker"]["symbol"]
        layout = figure(html)["layout"]
        assert layout["xaxis"]["title"]["text"] == "Rank on &lt;b&gt;Public&lt;/b&gt;"
        assert layout["xaxis"]["autorange"] == layout["yaxis"]["autorange"] == "reversed"
        assert "<b>" not in html

    def test_another_board_is_chosen_in_the_form(self, as_viewer: Browser, world: World, own: str, public: str) -> None:
        second = world.board("pairs", name="Second")
        html = get(as_viewer, f"/boards/{own}/public?with={second}")
        assert f'<option value="{second}" selected>Second</option>' in html
        assert f'<option value="{public}" >&lt;b&gt;Public&lt;/b&gt; (imported)</option>' in html
        text = text_of(html)
        assert "Does the rank hold on both boards?" in text
        assert "5 models stand on both boards, 0 only here, 0 only on Second" in text
        assert "Spearman 1.00" in text and "None ranks higher here." in text

    def test_the_other_side_sees_the_same_the_other_way_round(self, as_viewer: Browser, own: str, public: str) -> None:
        html = get(as_viewer, f"/boards/{public}/public")
        assert [row[:3] for row in rows(html)] == [
            ["1", "org/a", "4"],
            ["2", "org/b", "3"],
            ["3", "org/c", "2"],
            ["4", "org/d", "1"],
        ]
        assert "1 variant" not in text_of(html)

    def test_too_few_common_models(self, as_admin: Browser, as_viewer: Browser, world: World, public: str) -> None:
        world.dataset("pairs")
        for name in ("org/a", "org/b"):
            world.run(world.model(name), "pairs", 0.5)
        slug = world.board("pairs")
        html = get(as_admin, f"/boards/{slug}/public?with={public}")
        assert "Ranks can be compared from 3 models on." in html and "data-chart" not in html
        assert '<a class="btn primary" href="/boards/import">Import public results</a>' in html
        html = get(as_viewer, f"/boards/{slug}/public")
        assert "Admins do both." in html and "/boards/import" not in html

    def test_the_only_board_says_what_to_do(self, as_admin: Browser, as_viewer: Browser, own: str) -> None:
        assert 'href="/boards/import"' in get(as_admin, f"/boards/{own}/public")
        html = get(as_viewer, f"/boards/{own}/public")
        assert "No other board to compare with" in html and "An admin imports them." in html

    def test_models_without_a_score_are_not_compared(self, as_viewer: Browser, world: World, own: str) -> None:
        world.dataset("empty")
        slug = world.board("empty", name="Nothing yet")
        text = text_of(get(as_viewer, f"/boards/{own}/public?with={slug}"))
        assert "0 models stand on both boards, 5 only here, 0 only on Nothing yet" in text

    @pytest.mark.parametrize(
        ("path", "status", "message"),
        [
            ("nowhere/public", 404, "There is no board 'nowhere'"),
            ("help-desk/public?with=nowhere", 404, "There is no board 'nowhere'"),
            ("help-desk/public?with=help-desk", 422, "A board cannot be compared with itself."),
        ],
    )
    def test_what_there_is_not_is_refused(
        self, as_viewer: Browser, own: str, path: str, status: int, message: str
    ) -> None:
        assert message in text_of(get(as_viewer, f"/boards/{path}", status=status))

    def test_as_many_queries_for_many_models_as_for_few(
        self, as_viewer: Browser, world: World, own: str, public: str
    ) -> None:
        counts = []
        for round_ in range(2):
            with counted_statements(world.database) as statements:
                get(as_viewer, f"/boards/{own}/public?with={public}")
            counts.append(len(statements))
            for number in range(6):
                world.run(world.model(f"org/more-{round_}-{number}"), "pairs", 0.5)
        assert counts[0] == counts[1] <= 16
