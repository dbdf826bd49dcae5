"""What a comparison of two models comes to, as a decision and in a sentence."""

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from app.core.significance import FEW, INDICATIVE, MARGIN, Difference

SIGNIFICANT: Final = 0.05


class Verdict(StrEnum):
    """What the tests say of A beside B."""

    BETTER = "better"
    WORSE = "worse"
    EQUAL = "practically equal"
    UNCLEAR = "no evidence of a difference"
    TOO_FEW = "too few examples"


class Gate(IntEnum):
    """Whether a candidate may take a baseline's place; the values are exit codes."""

    NOT_WORSE = 0
    WORSE = 1
    CANNOT_TELL = 2


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and what it rests on.

    Attributes:
        p: of the permutation test, adjusted where several comparisons were made.
        adjusted: whether it was.
        indicative: there are so few examples that the verdict is a hint.
        negligible: the difference lies within the margin, found or not.
    """

    verdict: Verdict
    difference: Difference
    p: float
    adjusted: bool
    indicative: bool
    negligible: bool


def judge(difference: Difference, *, adjusted_p: float | None = None, margin: float = MARGIN) -> Judgement:
    """Decide.

    Below 30 examples there is no verdict; below 50 it is indicative. A found difference (p < 0.05) comes first; else
    two models whose 90% interval lies within the margin are practically equal.

    Args:
        difference: of A less B.
        adjusted_p: for one of several comparisons, instead of the difference's own p.
        margin: what counts as no difference in practice, on the metric's scale; at least 0.
    """
    p = difference.p if adjusted_p is None else adjusted_p
    low, high = difference.equality.low, difference.equality.high
    negligible = -margin <= low and high <= margin
    if difference.interval.n < FEW or math.isnan(low):
        verdict = Verdict.TOO_FEW
    elif p < SIGNIFICANT:
        verdict = Verdict.BETTER if difference.value > 0 else Verdict.WORSE
    else:
        verdict = Verdict.EQUAL if negligible else Verdict.UNCLEAR
    indicative = FEW <= difference.interval.n < INDICATIVE
    return Judgement(verdict, difference, p, adjusted_p is not None, indicative, negligible)


def gate(difference: Difference, least: float) -> Gate:
    """Whether a candidate is at least so good beside a baseline, by its 95% interval.

    Args:
        difference: of the candidate less the baseline.
        least: the smallest difference that is accepted, such as -0.01: a loss of one point of a hundred.
    """
    low, high = difference.interval.low, difference.interval.high
    if difference.interval.n < FEW or math.isnan(low):
        return Gate.CANNOT_TELL
    if low >= least:
        return Gate.NOT_WORSE
    return Gate.WORSE if high < least else Gate.CANNOT_TELL


def sentence(judgement: Judgement, a: str, b: str, *, examples: str = "examples", scale: float = 100) -> str:
    """The verdict in words.

    Args:
        judgement: of A beside B.
        a: the name of the first model.
        b: that of the second.
        examples: what was compared, such as queries.
        scale: scores are shown times this.

    Example:
        >>> from app.core.significance import Interval
        >>> found = Difference(0.031, Interval(0.012, 0.049, 420), Interval(0.015, 0.046, 420), 0.001, 0.001, 118, 241,
        ...     61, 400)
        >>> sentence(judge(found), "A", "B", examples="queries")
        'A beats B by 3.10 points (95% CI 1.20 to 4.90, p = 0.001, n = 420: 118 wins, 241 ties, 61 losses).'
    """
    found = judgement.difference
    if judgement.verdict is Verdict.TOO_FEW:
        if found.interval.n >= FEW:
            return "No verdict: a part with a single example says nothing of how sure it is."
        return f"No verdict: {found.interval.n:,} {examples} are too few, at least {FEW} are needed."
    low, high = found.interval.low, found.interval.high
    first, second, sign = (a, b, 1) if found.value >= 0 else (b, a, -1)
    wins, losses = (found.wins, found.losses) if sign == 1 else (found.losses, found.wins)
    ends = sorted((sign * low * scale, sign * high * scale))
    p = "p < 0.001" if judgement.p < 0.0005 else f"p = {judgement.p:.3f}"
    facts = (
        f"95% CI {_number(ends[0])} to {_number(ends[1])}, {p}{' adjusted' if judgement.adjusted else ''}, "
        f"n = {found.interval.n:,}"
    )
    if wins is not None:
        facts += f": {wins:,} wins, {found.ties:,} ties, {losses:,} losses"
    points = f"{abs(found.value) * scale:.2f} points"
    hint = "Indicative only: " if judgement.indicative else ""
    match judgement.verdict:
        case Verdict.BETTER | Verdict.WORSE:
            equal = " The difference is within the margin." if judgement.negligible else ""
            return f"{hint}{first} beats {second} by {points} ({facts}).{equal}"
        case Verdict.EQUAL:
            return f"{hint}{a} and {b} are practically equal: {points} apart ({facts})."
    more = ""
    if found.needed and found.needed > found.interval.n:
        more = f"; about {_rounded(found.needed):,} {examples} would be needed"
    return f"{hint}No evidence of a difference between {a} and {b} ({facts}){more}."


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _rounded(number: int) -> int:
    """To two digits: more would say more than is known."""
    return int(float(f"{number:.1e}"))
