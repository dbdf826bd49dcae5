"""docs/performance.md is what its results say, and nothing else."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import common, growth, report
from bench.common import Pair, Result, Target, Timed

RESULT = Result(
    "memory",
    "Memory",
    "What was done.",
    ("", "median"),
    (("ours", "1.50 s"), ("theirs", "12.0 s")),
    (Target("as fast", 6.0, 8.0, "×"), Target("anonymous memory", 700, 812, "MB", "less")),
    ("A note.",),
    picture="growth.svg",
)


def test_the_page_is_written_from_the_results_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = {"processor": "Chip", "cores": "2", "memory": "4 GiB", "system": "Linux", "torch": "2", "numpy": "3"}
    monkeypatch.setattr(common, "machine", lambda: machine)
    common.save(RESULT, tmp_path)
    monkeypatch.setattr(common, "machine", lambda: {**machine, "processor": "Other", "gpu": "Card"})
    common.save(Result("gpu", "On a GPU", "Speed.", ("a",), (("b",),)), tmp_path)

    page = report.write(tmp_path, tmp_path / "page.md").read_text()

    assert (
        "- Machine A: Chip, 2 cores, 4 GiB, Linux; torch 2, numpy 3.\n- Machine B: Other, 2 cores, 4 GiB, Card, Linux;"
        in page
    )
    assert "| Memory: as fast | at least 6.00 × | 8.00 × | met |\n" in page
    assert "| Memory: anonymous memory | at most 700 MB | 812 MB | **not met** |\n" in page
    assert "## Memory\n\nWhat was done.\n\n|  | median |\n|---|---|\n| ours | 1.50 s |\n| theirs | 12.0 s |\n" in page
    assert "\n\nA note.\n\n![Memory](performance/growth.svg)\n\nMachine A, " in page
    assert page.index("## Memory") < page.index("## On a GPU") < page.index("Machine B, ")


def test_the_page_of_this_repository_is_up_to_date() -> None:
    names = [path for name in report.ORDER if (path := common.RESULTS / f"{name}.json").is_file()]
    rendered = "\n".join(report.render([json.loads(path.read_text(encoding="utf-8")) for path in names])) + "\n"

    assert report.PAGE.read_text(encoding="utf-8") == rendered


def test_sides_are_compared_by_their_medians() -> None:
    ours = [Timed(second, [{"a": 0.5}], {"score": second / 2}) for second in (1.0, 9.0, 2.0)]
    pair = Pair(ours, [Timed(second, [{"a": 0.50001}]) for second in (8.0, 8.0, 1.0)])

    assert pair.ratio == 4.0
    assert pair.rows == (("ours", "2.00 s", "score 1.00 s, other 1.00 s"), ("mteb.evaluate", "8.00 s", "other 8.00 s"))
    assert pair.assert_equal() == "All 1 metrics are equal to 4 decimals; the greatest difference is 1e-05."


@pytest.mark.parametrize("theirs", [{"a": 0.5001}, {"a": 0.5, "b": 0.1}, {"b": 0.5}])
def test_scores_that_differ_stop_a_comparison(theirs: dict[str, float]) -> None:
    with pytest.raises(AssertionError):
        Pair([Timed(1.0, [{"a": 0.5}])], [Timed(1.0, [theirs])]).assert_equal()


def test_the_plot_is_a_picture_with_every_point() -> None:
    svg = growth.plot([(10_000, 0.5), (100_000, 4.0), (1_000_000, 45.0)])

    root = ElementTree.fromstring(svg)
    found = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 3
    assert {"10,000", "100,000", "1,000,000", "0.50 s", "4.00 s", "45.0 s", "1 s", "100 s"} <= found
