"""Decisions at their borders, and the sentences people read."""

import doctest
from dataclasses import replace

import pytest

from app.core import verdicts
from app.core.significance import Difference, Interval
from app.core.verdicts import Gate, Verdict, gate, judge, sentence

FOUND = Difference(
    value=0.031,
    interval=Interval(0.012, 0.049, 420),
    equality=Interval(0.015, 0.046, 420),
    p=0.0012,
    p_t=0.001,
    wins=118,
    ties=241,
    losses=61,
    needed=397,
)
NOTHING = replace(
    FOUND, value=0.012, interval=Interval(-0.01, 0.034, 420), equality=Interval(-0.007, 0.031, 420), p=0.21, needed=1342
)


def of(n: int, difference: Difference = FOUND) -> Difference:
    """The same from so many examples."""
    return replace(difference, interval=replace(difference.interval, n=n), equality=replace(difference.equality, n=n))


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(verdicts).failed == 0


@pytest.mark.parametrize(
    ("difference", "verdict", "indicative"),
    [
        (FOUND, Verdict.BETTER, False),
        (replace(FOUND, value=-0.031), Verdict.WORSE, False),
        (NOTHING, Verdict.UNCLEAR, False),
        (replace(NOTHING, equality=Interval(-0.01, 0.01, 420)), Verdict.EQUAL, False),
        (of(29), Verdict.TOO_FEW, False),
        (of(30), Verdict.BETTER, True),
        (of(49), Verdict.BETTER, True),
        (of(50), Verdict.BETTER, False),
    ],
)
def test_verdicts(difference: Difference, verdict: Verdict, indicative: bool) -> None:
    found = judge(difference)
    assert (found.verdict, found.indicative) == (verdict, indicative)


def test_the_adjusted_p_decides_where_there_is_one() -> None:
    found = judge(FOUND, adjusted_p=0.06)
    assert (found.verdict, found.p, found.adjusted) == (Verdict.UNCLEAR, 0.06, True)


def test_a_found_difference_can_be_too_small_to_matter() -> None:
    small = replace(FOUND, value=0.004, interval=Interval(0.001, 0.007, 9000), equality=Interval(0.002, 0.006, 9000))
    found = judge(small)
    assert (found.verdict, found.negligible) == (Verdict.BETTER, True)
    assert sentence(found, "A", "B").endswith("The difference is within the margin.")


@pytest.mark.parametrize(
    ("interval", "least", "decision"),
    [
        (Interval(-0.01, 0.02, 100), -0.01, Gate.NOT_WORSE),
        (Interval(-0.03, -0.011, 100), -0.01, Gate.WORSE),
        (Interval(-0.03, -0.01, 100), -0.01, Gate.CANNOT_TELL),
        (Interval(-0.03, 0.02, 100), -0.01, Gate.CANNOT_TELL),
        (Interval(0.1, 0.2, 29), -0.01, Gate.CANNOT_TELL),
        (Interval(float("nan"), float("nan"), 100), 0.0, Gate.CANNOT_TELL),
    ],
)
def test_gates(interval: Interval, least: float, decision: Gate) -> None:
    assert gate(replace(FOUND, interval=interval), least) == decision


def test_sentences() -> None:
    worse = replace(FOUND, value=-0.031, interval=Interval(-0.049, -0.012, 420), wins=61, losses=118, p=1 / 10_001)
    assert sentence(judge(worse, adjusted_p=1 / 10_001), "A", "B") == (
        "B beats A by 3.10 points (95% CI 1.20 to 4.90, p < 0.001 adjusted, n = 420: 118 wins, 241 ties, 61 losses)."
    )
    assert sentence(judge(NOTHING), "A", "B", examples="queries") == (
        "No evidence of a difference between A and B (95% CI −1.00 to 3.40, p = 0.210, n = 420: 118 wins, 241 ties, "
        "61 losses); about 1,300 queries would be needed."
    )
    assert sentence(judge(of(12)), "A", "B", examples="pairs") == (
        "No verdict: 12 pairs are too few, at least 30 are needed."
    )
    assert sentence(judge(of(40)), "A", "B").startswith("Indicative only: A beats B by 3.10 points")
    equal = replace(NOTHING, value=0.0, equality=Interval(-0.004, 0.004, 420), needed=None)
    assert sentence(judge(equal), "A", "B").startswith("A and B are practically equal: 0.00 points apart (95% CI −1.00")


def test_examples_that_are_there_already_are_not_asked_for() -> None:
    """The verdict is Holm's, the number is of a test alone."""
    found = Difference(0.028, Interval(0.009, 0.047, 420), Interval(0.012, 0.044, 420), 0.004, 0.004, 1, 2, 3, 390)
    assert "would be needed" not in sentence(judge(found, adjusted_p=0.066), "A", "B")
    assert "about 1,300 examples would be needed" in sentence(
        judge(replace(found, needed=1_300), adjusted_p=0.2), "A", "B"
    )
