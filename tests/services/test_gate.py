"""May a candidate take a baseline's place? The decision, its exit codes, and what pipelines read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli import cli
from app.core.verdicts import Gate
from app.db.session import Database
from app.errors import Invalid
from app.services import benchmarks, gate_formats
from app.services.boards import load_board
from app.services.evidence import EvidenceReader
from app.services.gate import GateReport, decide
from app.services.verdicts import VerdictKeeper
from app.settings import Settings
from tests.verdict_world import VerdictWorld

EVIL = '<img src=x onerror="a">|`]]>&*_\x1b\u202e'


@pytest.fixture
def world(database: Database, settings: Settings) -> VerdictWorld:
    return VerdictWorld(database, settings)


@pytest.fixture
def ask(world: VerdictWorld) -> Callable[..., GateReport]:
    """Asks the gate on a board."""
    keeper = VerdictKeeper(EvidenceReader(world.blobs))

    def answer(
        slug: str, candidate: str = "acme/new", baseline: str = "acme/old", least: float = -0.01, **options: Any
    ) -> GateReport:
        with world.database.reading() as session:
            board = load_board(session, benchmarks.by_slug(session, slug))
            return decide(session, keeper, board, candidate=candidate, baseline=baseline, least=least, **options)

    return answer


class TestDecision:
    @pytest.mark.parametrize(
        ("difference", "least", "outcome", "words"),
        [
            (0.1, -0.01, Gate.NOT_WORSE, "the interval lies above the limit of −1.00."),
            (-0.1, -0.01, Gate.WORSE, "the whole interval lies below the limit of −1.00."),
            (0.0, -0.01, Gate.CANNOT_TELL, "the interval holds the limit of −1.00, so both are possible."),
            (0.1, 0.3, Gate.WORSE, "the whole interval lies below the limit of +30.00."),
            (0.1, 0.0, Gate.NOT_WORSE, "the interval lies above the limit of 0.00."),
        ],
    )
    def test_outcomes(
        self,
        world: VerdictWorld,
        ask: Callable[..., GateReport],
        difference: float,
        least: float,
        outcome: Gate,
        words: str,
    ) -> None:
        report = ask(world.two(difference), least=least)
        (dataset,) = report.datasets
        assert (report.whole.outcome, dataset.outcome) == (outcome, outcome)
        assert words in dataset.message and words in report.sentence
        assert report.whole.difference == dataset.difference

    def test_a_sentence(self, world: VerdictWorld, ask: Callable[..., GateReport]) -> None:
        said = ask(world.two(-0.1)).sentence
        assert said.startswith("acme/new is worse than acme/old on Help desk, over 1 dataset: −")
        assert "n = 200); the whole interval lies below the limit of −1.00." in said

    def test_few_examples(self, world: VerdictWorld, ask: Callable[..., GateReport]) -> None:
        report = ask(world.two(n=20))
        assert report.whole.outcome is Gate.CANNOT_TELL
        assert report.datasets[0].message.endswith("points on 20 queries: too few, at least 30 are needed.")

    def test_nothing_is_decided_for_a_candidate_that_was_not_run_everywhere(
        self, world: VerdictWorld, ask: Callable[..., GateReport]
    ) -> None:
        slug = world.two(0.1)
        world.dataset("b", "Retrieval")
        world.queries(2, "b", np.ones(40))
        with world.database.session() as session:
            benchmarks.edit(session, world.person, slug, dataset_slugs=["articles", "b"])
        report = ask(slug)
        assert [decision.outcome for decision in report.datasets] == [Gate.NOT_WORSE, Gate.CANNOT_TELL]
        assert report.datasets[1].message == "not tested. acme/new has no result here."
        assert report.whole.outcome is Gate.CANNOT_TELL
        assert "But 1 of 2 has no whole test (b). Let the missing runs finish" in report.sentence
        assert ask(slug, datasets=["articles"]).whole.outcome is Gate.NOT_WORSE
        assert ask(slug, "acme/old", "acme/new").whole.outcome is Gate.WORSE  # the baseline's gap is no excuse

    def test_a_dataset_that_does_not_count_is_owed(self, world: VerdictWorld, ask: Callable[..., GateReport]) -> None:
        """One part of a single example, and one dataset of which only a part has values of both."""
        slug = world.two(0.1)
        world.dataset("single", "Classification")
        world.dataset("partly", "Classification")
        for model, name in ((1, "fra"), (2, "deu")):
            many = np.random.default_rng(model).random(60)
            world.texts(model, "single", {("test", "eng"): many, ("test", "deu"): [0.5 * model]})
            world.texts(model, "partly", {("test", "eng"): many, ("test", name): many})
        with world.database.session() as session:
            benchmarks.edit(session, world.person, slug, dataset_slugs=["articles", "single", "partly"])
        report = ask(slug)
        assert [decision.owed for decision in report.datasets] == [False, True, True]
        assert "over 2 datasets" in report.whole.message and "have no whole test (single, partly)" in report.sentence
        assert "Only 1 of its 3 parts have values of both models." in report.datasets[2].message

    def test_a_lost_file_is_owed_and_clustering_is_not(
        self, world: VerdictWorld, ask: Callable[..., GateReport]
    ) -> None:
        slug = world.two(0.1)
        world.dataset("topics", "Clustering")
        for model in (1, 2):
            world.draws(model, "topics", [0.5, 0.6], [0, 0])
        world.dataset("b", "Retrieval")
        lost = [world.queries(model, "b", np.random.default_rng(model).random(60)) for model in (1, 2)]
        with world.database.session() as session:
            benchmarks.edit(session, world.person, slug, dataset_slugs=["articles", "topics"])
        report = ask(slug)
        assert (report.whole.outcome, report.datasets[1].owed) == (Gate.NOT_WORSE, False)
        assert report.datasets[1].message.startswith("not tested. Clustering has no score for each text")
        with world.database.session() as session:
            benchmarks.edit(session, world.person, slug, dataset_slugs=["articles", "b"])
        world.lose(lost[0])
        assert ask(slug).whole.outcome is Gate.CANNOT_TELL

    def test_models_by_key_by_whole_name_and_by_a_name_that_one_bears(
        self, world: VerdictWorld, ask: Callable[..., GateReport]
    ) -> None:
        slug = world.two()
        variant = world.model("acme/new", variant="128 d")
        world.queries(variant, "articles", np.random.default_rng(5).random(200))
        assert ask(slug, "1", "2").candidate == "acme/new"
        assert ask(slug, "acme/new", "acme/new 128 d").baseline == "acme/new 128 d"
        alone = world.model("acme/only", variant="64 d")
        world.queries(alone, "articles", np.random.default_rng(6).random(200))
        assert ask(slug, "acme/only").candidate == "acme/only 64 d"

    @pytest.mark.parametrize(
        ("options", "code", "words"),
        [
            ({"candidate": "acme/nwe"}, "unknown_model", "Did you mean 'acme/new' or 'acme/old'?"),
            (
                {"baseline": "x"},
                "unknown_model",
                "The baseline 'x' has no result on the board 'Help desk'. Models: 'acme/",
            ),
            ({"baseline": "OLD"}, "unknown_model", "Did you mean 'acme/old'?"),
            ({"candidate": "acme/old"}, "same_model", "Candidate and baseline are the same model, 'acme/old'."),
            ({"datasets": ["article"]}, "unknown_dataset", "no dataset 'article'. Did you mean 'articles'?"),
            ({"least": -1}, "limit", "-1 is no such difference. If you mean -1 points, give -0.01."),
            ({"least": float("nan")}, "limit", "nan is no such difference."),
        ],
    )
    def test_what_cannot_be_asked(
        self, world: VerdictWorld, ask: Callable[..., GateReport], options: dict[str, Any], code: str, words: str
    ) -> None:
        slug = world.two()
        with pytest.raises(Invalid) as caught:
            ask(slug, **options)
        assert caught.value.code == code
        assert words in caught.value.message

    def test_a_name_that_several_bear(self, world: VerdictWorld, ask: Callable[..., GateReport]) -> None:
        slug = world.two()
        for variant in ("64 d", "32 d"):
            world.queries(world.model("acme/many", variant=variant), "articles", np.ones(200))
        with pytest.raises(Invalid, match=r"is 2 rows .*'acme/many 32 d' \(key 4\); 'acme/many 64 d' \(key 3\)\."):
            ask(slug, "acme/many")

    def test_nothing_to_compare_on(self, world: VerdictWorld, ask: Callable[..., GateReport]) -> None:
        world.dataset("a", "Retrieval")
        for name in ("acme/new", "acme/old"):
            world.run(world.model(name), "a", 0.5)
        with pytest.raises(Invalid, match="nothing on the board 'Help desk' that both models can be compared on"):
            ask(world.board("a"))


class TestFormats:
    @pytest.fixture
    def report(self, world: VerdictWorld, ask: Callable[..., GateReport]) -> GateReport:
        slug = world.two(-0.1)
        world.dataset("topics", "Clustering", name=f"Topics {EVIL}")
        for model in (1, 2):
            world.draws(model, "topics", [0.5, 0.6], [0, 0])
        evil = world.model(f"acme/{EVIL}")
        world.draws(evil, "topics", [0.5, 0.6], [0, 0])
        world.queries(evil, "articles", np.random.default_rng(1).random(200) - 0.5)
        with world.database.session() as session:
            benchmarks.edit(session, world.person, slug, dataset_slugs=["articles", "topics"])
        return ask(slug, str(evil), "acme/old")

    def test_junit_is_xml_whatever_names_hold(self, report: GateReport) -> None:
        suite = ElementTree.fromstring(gate_formats.as_junit(report))
        assert suite.attrib | {"name": ""} == {"name": "", "tests": "3", "failures": "2", "errors": "0", "skipped": "1"}
        board, articles, topics = suite.findall("testcase")
        assert [case.get("name") for case in (board, articles)] == ["Help desk (all datasets)", "Articles"]
        assert '<img src=x onerror="a">|`]]>&*_\ufffd\u202e' in str(topics.get("name"))
        assert articles.find("failure") is not None and topics.find("failure") is None
        skipped, failure = topics.find("skipped"), board.find("failure")
        assert skipped is not None and "Clustering has no score" in str(skipped.get("message"))
        assert failure is not None and failure.get("message") == failure.text == str(failure.text)

    def test_markdown_keeps_names_in_their_cells(self, report: GateReport) -> None:
        text = gate_formats.as_markdown(report)
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert len(rows) == 5
        assert text.startswith("### Worse\n\nacme/")
        assert "<img" not in text.replace("\\<img", "")
        assert "seed 42" in text

    def test_text_is_a_line_a_dataset(self, report: GateReport) -> None:
        lines = gate_formats.as_text(report).splitlines()
        assert lines[0].startswith("WORSE: acme/")
        assert [line.split()[0] for line in lines[1:]] == ["worse", "cannot"]
        assert all(line.isprintable() for line in lines)

    def test_json_has_every_figure(self, report: GateReport) -> None:
        found = json.loads(json.dumps(gate_formats.as_dict(report), allow_nan=False))
        assert (found["outcome"], found["exit_code"], found["min_delta"]) == ("worse", 1, -0.01)
        articles, topics = found["datasets"]
        assert articles["low"] < articles["difference"] < articles["high"] < -0.01
        assert (articles["n"], topics["difference"], topics["n"], topics["exit_code"]) == (200, None, 0, 2)


class TestCommand:
    @pytest.fixture
    def gate(self, world: VerdictWorld, settings: Settings) -> Callable[..., Result]:
        def run(*arguments: str, code: int) -> Result:
            result: Result = CliRunner().invoke(cli, ["gate", *arguments, "--data-dir", str(settings.data_dir)])
            assert result.exit_code == code, result.output
            return result

        return run

    MODELS = ("--candidate", "acme/new", "--baseline", "acme/old")

    @pytest.mark.parametrize(("difference", "code"), [(0.1, 0), (-0.1, 1), (0.0, 2)])
    def test_exit_codes(self, world: VerdictWorld, gate: Callable[..., Result], difference: float, code: int) -> None:
        world.two(difference)
        result = gate("--board", "Help desk", *self.MODELS, "--min-delta", "-0.01", code=code)
        word = ("NOT WORSE", "WORSE", "CANNOT TELL")[code]
        assert result.stdout.startswith(f"{word}: ")
        assert "Articles: " in result.stdout

    def test_files_and_json(self, world: VerdictWorld, gate: Callable[..., Result], tmp_path: Path) -> None:
        world.two(0.1)
        junit, markdown = tmp_path / "reports/gate.xml", tmp_path / "gate.md"
        files = ("--junit", str(junit), "--markdown", str(markdown))
        result = gate("--board", "help-desk", *self.MODELS, *files, "--json", code=0)
        assert json.loads(result.stdout)["outcome"] == "not worse"
        assert ElementTree.parse(junit).getroot().get("tests") == "2"
        assert markdown.read_text().startswith("### Not worse")
        printed = gate("--board", "help-desk", *self.MODELS, "--markdown", "-", code=0).stdout
        assert printed == markdown.read_text()

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--board", "nowhere", *MODELS), "There is no board 'nowhere'. Boards: Help desk."),
            (("--board", "Help desk", "--candidate", "acme/x", "--baseline", "acme/old"), "has no result on the board"),
            (("--board", "Help desk", *MODELS, "--dataset", "none"), "has no dataset 'none'"),
            (("--board", "Help desk", *MODELS, "--min-delta", "-1"), "If you mean -1 points, give -0.01."),
            (("--board", "Help desk", *MODELS, "--junit", "/proc/none/x.xml"), "/proc/none"),
            (("--board", "Help desk"), "Missing option '--candidate'"),
            (("--board", "Help desk", *MODELS, "--min-delta", "much"), "unable to parse string as a number"),
            (("--board", "Help desk", *MODELS, "--unknown"), "No such option"),
        ],
    )
    def test_what_cannot_be_asked_leaves_with_64(
        self, world: VerdictWorld, gate: Callable[..., Result], arguments: tuple[str, ...], words: str
    ) -> None:
        world.two()
        assert words in " ".join(gate(*arguments, code=64).output.replace("│", " ").split())

    def test_no_database_leaves_with_64(self, tmp_path: Path) -> None:
        arguments = ["gate", "--board", "b", *self.MODELS, "--data-dir", str(tmp_path / "none")]
        result = CliRunner().invoke(cli, arguments)
        assert (result.exit_code, "the database cannot be used" in result.output) == (64, True)

    def test_wrong_settings_leave_with_64(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TOUCHSTONE_PORT", "no")
        result = CliRunner().invoke(cli, ["gate", "--board", "b", *self.MODELS, "--data-dir", str(tmp_path)])
        assert (result.exit_code, "the settings are wrong" in result.output) == (64, True)

    def test_a_damaged_database_leaves_with_64(self, tmp_path: Path) -> None:
        (tmp_path / "touchstone.db").write_bytes(bytes(range(256)) * 64)
        result = CliRunner().invoke(cli, ["gate", "--board", "b", *self.MODELS, "--data-dir", str(tmp_path)])
        assert (result.exit_code, "the database cannot be used" in result.output) == (64, True)

    def test_a_fault_of_ours_is_no_answer(
        self, world: VerdictWorld, gate: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Python would leave with 1, which says worse."""
        slug = world.two(0.1)

        def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("app.services.gate.decide", fail)
        assert "something unforeseen happened, ZeroDivisionError" in gate("--board", slug, *self.MODELS, code=64).output

    def test_help_is_no_error(self) -> None:
        result = CliRunner().invoke(cli, ["gate", "--help"])
        assert (result.exit_code, "cannot tell" in result.output) == (0, True)
