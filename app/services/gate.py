"""May a candidate take a baseline's place? A decision for pipelines; `app.services.gate_formats` writes it down."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from app.core.significance import FEW, Difference
from app.core.verdicts import Gate, gate
from app.db.queries.boards import Board
from app.errors import Invalid
from app.services.board_view import full_name
from app.services.verdicts import DatasetVerdict, VerdictKeeper

_NAMED: Final = 10
_SHOWN: Final = 80
_WORDS: Final = {Gate.NOT_WORSE: "not worse", Gate.WORSE: "worse", Gate.CANNOT_TELL: "cannot tell"}


@dataclass(frozen=True, slots=True)
class Decision:
    """Of the candidate beside the baseline, on a dataset or on all of them.

    Attributes:
        name: the dataset's, or the board's.
        key: its slug.
        outcome: the value is the exit code.
        difference: candidate less baseline; None where nothing could be tested.
        message: one sentence: what was found, and what to do where it does not suffice.
        owed: whether a test is missing that could be had: nothing is decided in the candidate's favour without it.
    """

    name: str
    key: str
    outcome: Gate
    difference: Difference | None
    message: str
    owed: bool = False

    @property
    def word(self) -> str:
        """The outcome in words."""
        return _WORDS[self.outcome]


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate says.

    Attributes:
        board: the board's name.
        least: the smallest difference that is accepted, on the metric's scale.
        whole: the decision, over all datasets that were asked for.
        datasets: each by itself.
    """

    board: str
    slug: str
    candidate: str
    baseline: str
    least: float
    whole: Decision
    datasets: tuple[Decision, ...]

    @property
    def sentence(self) -> str:
        """The outcome, and why, in one line."""
        head = {
            Gate.NOT_WORSE: f"{self.candidate} is not worse than {self.baseline}",
            Gate.WORSE: f"{self.candidate} is worse than {self.baseline}",
            Gate.CANNOT_TELL: f"It cannot be told whether {self.candidate} is worse than {self.baseline}",
        }[self.whole.outcome]
        return f"{head} on {self.board}, {self.whole.message}"


def decide(
    session: Session,
    keeper: VerdictKeeper,
    board: Board,
    *,
    candidate: str,
    baseline: str,
    least: float,
    datasets: Sequence[str] = (),
) -> GateReport:
    """Decide.

    Args:
        session: a snapshot.
        keeper: tests, and keeps what it found.
        board: of our own runs.
        candidate: a model by its key, or by its name with its variant.
        baseline: likewise.
        least: the smallest difference candidate - baseline that is accepted, such as -0.01 for a point of a hundred.
        datasets: slugs; all of the board's by default.

    Raises:
        Invalid: with words on what to do: an imported board (code `no_evidence`), a model (`unknown_model`) or a
            dataset (`unknown_dataset`) that is not on it, a limit that is none (`limit`), or nothing that both models
            can be compared on (`no_evidence`).
    """
    _check_limit(least)
    if board.imported:
        raise Invalid(
            f"The board {board.name!r} has imported scores, without values of each example; nothing can be tested on "
            "it. Choose a board of your own runs.",
            code="no_evidence",
        )
    first, second = _model(board, candidate, "candidate"), _model(board, baseline, "baseline")
    if first == second:
        raise Invalid(
            f"Candidate and baseline are the same model, {full_name(board.models[first])!r}. Name two.",
            code="same_model",
        )
    found = keeper.of(session, board, (first, second), _columns(board, datasets))
    assert found is not None  # noqa: S101 -- it waits
    (pair,) = found.pairs
    decisions = tuple(_decision(verdict, least) for verdict in pair.datasets)
    if pair.board is None:
        raise _nothing(board, decisions)
    whole = _whole(board, pair.board.difference, pair.tested, decisions, least)
    names = [full_name(board.models[place]) for place in (first, second)]
    return GateReport(board.name, board.slug, names[0], names[1], least, whole, decisions)


def points(value: float) -> str:
    """0.0123 -> "+1.23", of a hundred; with a true minus, and nothing has no sign."""
    text = f"{value * 100:+.2f}".replace("-", "−")
    return "0.00" if text[1:] == "0.00" else text


def interval_text(found: Difference) -> str:
    """The 95% interval in points."""
    return f"{points(found.interval.low)} to {points(found.interval.high)}"


def _check_limit(least: float) -> None:
    if math.isfinite(least) and abs(least) < 1:
        return
    meant = f" If you mean {least:g} points, give {least / 100:g}." if 1 <= abs(least) <= 100 else ""
    raise Invalid(
        f"The smallest difference that is accepted is given on the scale of the scores, 0 to 1: -0.01 accepts the loss "
        f"of one point of a hundred. {least:g} is no such difference.{meant}",
        code="limit",
    )


def _model(board: Board, wanted: str, role: str) -> int:
    """The place of a model by key, by name with variant, or by name alone where only one bears it."""
    models = board.models
    for told in (
        [place for place, model in enumerate(models) if model.key == wanted],
        [place for place, model in enumerate(models) if full_name(model) == wanted],
        [place for place, model in enumerate(models) if model.name == wanted],
    ):
        if len(told) == 1:
            return told[0]
        if told:
            rows = "; ".join(f"{full_name(models[place])!r} (key {models[place].key})" for place in told[:_NAMED])
            raise Invalid(
                f"The {role} {wanted[:_SHOWN]!r} is {len(told)} rows of the board {board.name!r}. Name one of them by "
                f"its whole name or its key: {rows}.",
                code="unknown_model",
            )
    names = [full_name(model) for model in models]
    raise Invalid(
        f"The {role} {wanted[:_SHOWN]!r} has no result on the board {board.name!r}. "
        f"{_there_are(wanted, names, 'Models')} A new one is there once its runs are queued.",
        code="unknown_model",
    )


def _columns(board: Board, slugs: Sequence[str]) -> tuple[int, ...]:
    """The places of the datasets that count."""
    places = {column.slug: place for place, column in enumerate(board.columns)}
    if unknown := [slug for slug in slugs if slug not in places]:
        raise Invalid(
            f"The board {board.name!r} has no dataset {unknown[0][:_SHOWN]!r}. "
            f"{_there_are(unknown[0], list(places), 'Datasets')}",
            code="unknown_dataset",
        )
    return tuple(places[slug] for slug in dict.fromkeys(slugs)) or tuple(places.values())


def _there_are(wanted: str, names: Sequence[str], what: str) -> str:
    """Those that are spelt alike or hold what was typed, else the first few."""
    holding = [name for name in names if wanted.casefold() in name.casefold()][:3]
    if alike := difflib.get_close_matches(wanted, names, n=3) or holding:
        return f"Did you mean {' or '.join(map(repr, alike))}?"
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{what}: {'; '.join(map(repr, names[:_NAMED])) or 'none yet'}{more}."


def _nothing(board: Board, decisions: Sequence[Decision]) -> Invalid:
    reasons = " ".join(f"{decision.name}: {decision.message}" for decision in decisions[:_NAMED])
    return Invalid(
        f"There is nothing on the board {board.name!r} that both models can be compared on. {reasons}",
        code="no_evidence",
        details={"datasets": {decision.key: decision.message for decision in decisions}},
    )


def _decision(verdict: DatasetVerdict, least: float) -> Decision:
    name, key = verdict.column.name, verdict.column.slug
    if verdict.judgement is None:
        owed = verdict.lost or verdict.lacking == (0,)
        return Decision(name, key, Gate.CANNOT_TELL, None, f"not tested. {verdict.why}", owed=owed)
    found = verdict.judgement.difference
    message, (both, parts) = _message(found, least, verdict.units), verdict.parts
    if both < parts:
        message += f" Only {both} of its {parts} parts have values of both models."
    owed = both < parts or not verdict.counts
    return Decision(name, key, gate(found, least), found, message, owed=owed)


def _message(found: Difference, least: float, examples: str) -> str:
    figures = f"{points(found.value)} points (95% CI {interval_text(found)}, n = {found.interval.n:,})"
    limit = f"the limit of {points(least)}"
    if found.interval.n < FEW:
        return f"{points(found.value)} points on {found.interval.n:,} {examples}: too few, at least {FEW} are needed."
    match gate(found, least):
        case Gate.NOT_WORSE:
            return f"{figures}; the interval lies above {limit}."
        case Gate.WORSE:
            return f"{figures}; the whole interval lies below {limit}."
    if math.isnan(found.interval.low):
        return f"{points(found.value)} points: a part with a single example has no interval."
    return f"{figures}; the interval holds {limit}, so both are possible. More {examples} narrow it."


def _whole(board: Board, found: Difference, tested: int, decisions: Sequence[Decision], least: float) -> Decision:
    """Over all datasets that count; never in the candidate's favour while a test is owed."""
    message = f"over {tested} {'dataset' if tested == 1 else 'datasets'}: {_message(found, least, 'examples')}"
    owed = [decision for decision in decisions if decision.owed]
    outcome = gate(found, least)
    if owed and outcome is Gate.NOT_WORSE:
        outcome = Gate.CANNOT_TELL
        names = ", ".join(decision.name for decision in owed[:_NAMED])
        message += (
            f" But {len(owed)} of {len(decisions)} {'has' if len(owed) == 1 else 'have'} no whole test ({names}). Let "
            "the missing runs finish, or name the datasets that count."
        )
    return Decision(board.name, board.slug, outcome, found, message, owed=bool(owed))
