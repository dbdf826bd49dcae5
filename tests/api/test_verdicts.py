"""/api/v1: verdicts, the gate and margins for scripts."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from app.db.session import Database
from app.db.tables import AuditEntry
from app.services import benchmarks
from app.settings import Settings
from tests.conftest import Browser
from tests.verdict_world import VerdictWorld

BOARDS = "/api/v1/boards"


@pytest.fixture
def world(database: Database, settings: Settings) -> VerdictWorld:
    return VerdictWorld(database, settings)


class TestVerdicts:
    def test_two_models(self, as_viewer: Browser, world: VerdictWorld) -> None:
        slug = world.two(0.1)
        found = as_viewer.get(f"{BOARDS}/{slug}/verdicts?models=1,2").json()
        assert found["models"] == [{"key": "1", "name": "acme/new"}, {"key": "2", "name": "acme/old"}]
        assert (found["all_pairs"], found["resamples"], found["seed"]) == (None, 10_000, 42)
        (pair,) = found["pairs"]
        assert (pair["model"], pair["board"]["verdict"], pair["board"]["p_adjusted"]) == ("2", "better", None)
        (row,) = pair["datasets"]
        assert (row["dataset"], row["examples"], row["why"]) == ("articles", "queries", "")
        result = row["result"]
        assert result["low"] < result["difference"] < result["high"]
        assert result["wins"] + result["ties"] + result["losses"] == result["n"] == 200
        assert result["sentence"].startswith("acme/new beats acme/old by ")
        assert (result["margin"], result["indicative"]) == (0.01, False)

    def test_a_baseline_beside_two(self, as_viewer: Browser, world: VerdictWorld) -> None:
        slug = world.two(0.1)
        world.queries(world.model("acme/third"), "articles", np.random.default_rng(9).random(200))
        found = as_viewer.get(f"{BOARDS}/{slug}/verdicts?models=2&models=1,3").json()
        assert [pair["model"] for pair in found["pairs"]] == ["1", "3"]
        assert found["pairs"][0]["board"]["verdict"] == "worse"
        assert all(pair["board"]["p_adjusted"] >= pair["board"]["p"] for pair in found["pairs"])
        assert (len(found["all_pairs"]["p"]), found["all_pairs"]["datasets"], found["all_pairs"]["n"]) == (3, 1, 200)

    def test_nothing_is_null_and_no_nan(self, as_viewer: Browser, world: VerdictWorld) -> None:
        slug = world.two()
        world.dataset("topics", "Clustering")
        world.dataset("one", "Retrieval")
        for model in (1, 2):
            world.draws(model, "topics", [0.5], [0])
            world.queries(model, "one", [0.5])
        with world.database.session() as session:
            benchmarks.edit(session, world.person, slug, dataset_slugs=["topics", "one"])
        (pair,) = as_viewer.get(f"{BOARDS}/{slug}/verdicts?models=1,2").json()["pairs"]
        topics, one = pair["datasets"]
        assert (pair["board"], topics["result"], topics["scores"]) == (None, None, [0.5, 0.5])
        assert topics["why"].startswith("Clustering has no score for each text")
        assert (one["result"]["verdict"], one["result"]["low"], one["result"]["p_t"]) == (
            "too few examples",
            None,
            None,
        )

    @pytest.mark.parametrize(("models", "code"), [("1", "compare_count"), ("1,9", "unknown_model")])
    def test_what_cannot_be_compared(self, as_viewer: Browser, world: VerdictWorld, models: str, code: str) -> None:
        answer = as_viewer.get(f"{BOARDS}/{world.two()}/verdicts?models={models}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)


class TestGate:
    def ask(self, browser: Browser, slug: str, query: str = "candidate=acme/new&baseline=2", status: int = 200) -> str:
        answer = browser.get(f"{BOARDS}/{slug}/gate?{query}")
        assert answer.status_code == status, answer.text
        return str(answer.text)

    @pytest.mark.parametrize(
        ("difference", "outcome", "code"), [(0.1, "not worse", 0), (-0.1, "worse", 1), (0.0, "cannot tell", 2)]
    )
    def test_outcomes(
        self, as_viewer: Browser, world: VerdictWorld, difference: float, outcome: str, code: int
    ) -> None:
        query = "candidate=acme/new&baseline=acme/old&min_delta=-0.01&dataset=articles"
        found = json.loads(self.ask(as_viewer, world.two(difference), query))
        assert (found["outcome"], found["exit_code"], found["min_delta"]) == (outcome, code, -0.01)
        assert [row["key"] for row in found["datasets"]] == ["articles"]
        assert found["sentence"].endswith(found["board"]["message"])

    def test_formats(self, as_viewer: Browser, world: VerdictWorld) -> None:
        slug = world.two(0.1)
        junit = as_viewer.get(f"{BOARDS}/{slug}/gate?candidate=1&baseline=2&format=junit")
        assert junit.headers["content-type"].startswith("application/xml")
        assert ElementTree.fromstring(junit.text).get("failures") == "0"
        markdown = as_viewer.get(f"{BOARDS}/{slug}/gate?candidate=1&baseline=2&format=markdown")
        assert markdown.headers["content-type"].startswith("text/markdown")
        assert markdown.text.startswith("### Not worse\n")

    @pytest.mark.parametrize(
        ("query", "status", "code"),
        [
            ("candidate=x&baseline=1", 422, "unknown_model"),
            ("candidate=1&baseline=2&min_delta=5", 422, "limit"),
            ("candidate=1&baseline=2&dataset=none", 422, "unknown_dataset"),
            ("candidate=1&baseline=2&format=csv", 422, "unknown_format"),
        ],
    )
    def test_what_cannot_be_asked(
        self, as_viewer: Browser, world: VerdictWorld, query: str, status: int, code: str
    ) -> None:
        assert json.loads(self.ask(as_viewer, world.two(), query, status))["error"]["code"] == code

    def test_no_such_board(self, as_viewer: Browser) -> None:
        self.ask(as_viewer, "nowhere", status=404)


class TestMargin:
    def change(self, browser: Browser, body: object) -> tuple[int, dict[str, object]]:
        headers = {"X-CSRF-Token": browser.csrf_token, "Content-Type": "application/json"}
        answer = browser.patch("/api/v1/datasets/articles", content=json.dumps(body), headers=headers)
        return answer.status_code, answer.json()

    def test_changed_and_forgotten_again(self, as_admin: Browser, world: VerdictWorld) -> None:
        slug = world.two(0.0, noise=0.05)
        assert self.change(as_admin, {"margin": 0.001}) == (200, {"slug": "articles", "margin": 0.001})
        url = f"{BOARDS}/{slug}/verdicts?models=1,2"
        row = as_admin.get(url).json()["pairs"][0]["datasets"][0]["result"]
        assert (row["verdict"], row["margin"]) == ("no evidence of a difference", 0.001)
        assert self.change(as_admin, {"margin": None}) == (200, {"slug": "articles", "margin": 0.01})
        assert as_admin.get(url).json()["pairs"][0]["board"]["verdict"] == "practically equal"
        with world.database.reading() as session:
            entries = session.query(AuditEntry).filter(AuditEntry.action == "dataset.describe").all()
        assert [entry.detail["margin"] for entry in entries] == [0.001, None]

    @pytest.mark.parametrize("margin", [-0.1, 1.5, "much", True, [0.1]])
    def test_what_is_no_margin(self, as_admin: Browser, world: VerdictWorld, margin: object) -> None:
        world.two()
        assert self.change(as_admin, {"margin": margin})[0] == 422

    def test_others_do_not(self, as_member: Browser, as_viewer: Browser, world: VerdictWorld) -> None:
        world.two()
        for browser in (as_member, as_viewer):
            assert self.change(browser, {"margin": 0.5})[0] == 403
