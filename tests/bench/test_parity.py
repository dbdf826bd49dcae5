"""What the parity table says of a metric: equal, within mteb's own spread, or outside."""

from math import nan

import pytest

from bench.parity import HEADER, Comparison, Row, compare, line, lines


@pytest.mark.parametrize(
    ("ours", "theirs", "expected", "word"),
    [
        (0.5, (0.5,), 0.5, "equal"),
        (0.50004, (0.5,), None, "equal"),
        (0.50006, (0.5,), 0.5, "OUTSIDE"),
        (0.5002, (0.5, 0.5003, 0.4999), None, "within"),
        (0.5006, (0.5, 0.5003, 0.4999), None, "within"),
        (0.4994, (0.5, 0.5003, 0.4999), None, "OUTSIDE"),
        (0.5008, (0.5, 0.5003, 0.4999), None, "OUTSIDE"),
        (0.5002, (0.5, 0.5), None, "OUTSIDE"),
        (0.5002, (0.5, 0.5), 0.5004, "within"),
        (nan, (0.5,), 0.5, "OUTSIDE"),
        (0.5, (nan,), None, "OUTSIDE"),
        (nan, (0.5, 0.6), None, "OUTSIDE"),
        (0.5, (nan, nan), None, "OUTSIDE"),
    ],
)
def test_a_row_is_inside_if_it_is_as_near_to_theirs_as_they_are_to_each_other(
    ours: float, theirs: tuple[float, ...], expected: float | None, word: str
) -> None:
    row = Row("cosine_spearman", ours, theirs, expected)

    assert row.verdict.split(" ")[0] == word
    assert row.equal == (word == "equal")
    assert row.inside == (word != "OUTSIDE")


def test_what_only_one_side_has_is_a_row_outside() -> None:
    found = compare("set", "main", {"main": 0.5, "mine": 0.1}, [{"main": 0.5, "theirs": 0.2, "main_score": 0.5}])

    assert [(row.metric, row.inside) for row in found.rows] == [("main", True), ("mine", False), ("theirs", False)]


def test_every_run_of_theirs_counts() -> None:
    found = compare("set", "main", {"main": 0.5002}, [{"main": 0.5}, {"main": 0.5003}], expected={"main": 0.5})

    assert found.rows == (Row("main", 0.5002, (0.5, 0.5003), 0.5),)
    assert found.rows[0].inside


def test_the_main_metric_comes_first_and_the_worst_below_it() -> None:
    found = compare("STSB", "b", {"a": 0.1, "b": 0.2, "c": 0.30001}, [{"a": 0.1, "b": 0.2, "c": 0.3}], published=0.2)

    shown = list(lines(found, everything=False))

    assert [row.metric for row in found.rows] == ["b", "a", "c"]
    assert shown[0].split()[:6] == ["STSB", "b", "0.20000", "0.20000", "—", "0.20000"]
    assert shown[1].split()[:4] == ["worst", "of", "3", "c"]
    assert len(list(lines(found, everything=True))) == 3
    assert all(len(one.split("equal")[0]) == len(HEADER.split("verdict")[0]) for one in shown)


def test_a_metric_outside_is_worse_than_any_that_is_inside() -> None:
    far_but_inside = Row("a", 0.6, (0.5, 0.7))
    outside = Row("b", 0.5002, (0.5,))

    assert Comparison("set", (far_but_inside, outside)).worst == outside
    assert line("set", outside).endswith("OUTSIDE (mteb alone: 0.50000 to 0.50000)")
