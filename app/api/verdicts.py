"""/api/v1/boards/{slug}/verdicts and /gate: what the tests say, and whether a candidate may take a baseline's place."""

import math
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from app.core.resampling import RESAMPLES, SEED
from app.core.verdicts import Judgement, Verdict, sentence
from app.errors import Invalid
from app.http.access import Viewer
from app.http.dependencies import Boards, ReadSession, VerdictsOf
from app.services import benchmarks, gate_formats
from app.services.board_look import Look
from app.services.board_view import view_board
from app.services.compare import compare, split_keys
from app.services.gate import decide
from app.services.verdicts import DatasetVerdict, Verdicts

router = APIRouter(prefix="/boards/{slug}", tags=["verdicts"])

_MEDIA = {"junit": "application/xml", "markdown": "text/markdown"}


class JudgementOut(BaseModel):
    """The first model beside another; differences are the first's score less the other's, on the metric's scale."""

    verdict: Verdict = Field(description="Of the first model beside the other")
    sentence: str
    difference: float
    low: float | None = Field(description="Of the 95% interval, like `high`; null for a single example")
    high: float | None
    p: float = Field(description="Of the permutation test, two-sided")
    p_t: float | None = Field(description="Of the paired t-test; null where all differences are the same")
    p_adjusted: float | None = Field(description="By Holm, where several models stand beside the first")
    n: int = Field(description="Examples, or clusters of them")
    wins: int | None = Field(description="Null, like `ties` and `losses`, where an example has no score of its own")
    ties: int | None
    losses: int | None
    needed: int | None = Field(description="So many examples would find this difference in 80 of 100 cases")
    margin: float = Field(description="What counts as practically equal")
    indicative: bool = Field(description="Whether there are so few examples that the verdict is a hint")


class DatasetVerdictOut(BaseModel):
    """A dataset; `result` is null where nothing could be tested, and `why` says why."""

    dataset: str
    name: str
    examples: str = Field(description="What is compared, such as queries")
    scores: list[float | None] = Field(description="Of the first model and of the other")
    result: JudgementOut | None
    relative: float | None = Field(description="The difference as a share of the other's score")
    parts: tuple[int, int] = Field(
        description="On how many splits and subsets both have values, and how many there are"
    )
    why: str


class PairOut(BaseModel):
    """The first model beside another."""

    model: str = Field(description="The other's key")
    name: str
    board: JudgementOut | None = Field(description="Over all datasets that could be tested; null without any")
    datasets: list[DatasetVerdictOut]


class AllPairsOut(BaseModel):
    """Every model beside every other, by Tukey's randomised test, in the order of `models`."""

    p: list[list[float]]
    means: list[float]
    datasets: int
    n: int


class NamedOut(BaseModel):
    """A model."""

    key: str
    name: str


class VerdictsOut(BaseModel):
    """What the tests say of some models of a board; the first is the baseline."""

    benchmark: str
    slug: str
    models: list[NamedOut]
    pairs: list[PairOut]
    all_pairs: AllPairsOut | None = Field(description="For three models or more")
    resamples: int
    seed: int


class DecisionOut(BaseModel):
    """Of the candidate beside the baseline, on a dataset or on all of them."""

    key: str
    name: str
    outcome: Literal["not worse", "worse", "cannot tell"]
    exit_code: int
    message: str
    difference: float | None = Field(description="Candidate less baseline; null where nothing could be tested")
    low: float | None
    high: float | None
    n: int


class GateOut(BaseModel):
    """Whether a candidate may take a baseline's place."""

    benchmark: str
    slug: str
    candidate: str
    baseline: str
    min_delta: float
    outcome: Literal["not worse", "worse", "cannot tell"]
    exit_code: int = Field(description="0 not worse, 1 worse, 2 cannot tell, as `touchstone gate` leaves with")
    sentence: str
    board: DecisionOut
    datasets: list[DecisionOut]
    method: str


@router.get("/verdicts", response_model=VerdictsOut)
def get_verdicts(
    _viewer: Viewer,
    session: ReadSession,
    boards: Boards,
    keeper: VerdictsOf,
    slug: str,
    models: Annotated[
        list[str], Query(description="2 to 6 keys, with commas between or repeated; the first is the baseline")
    ],
) -> Any:
    """Is the first model really better than the others? On each dataset, and on the board."""
    comparison = compare(
        view_board(boards.board(session, benchmarks.by_slug(session, slug)), Look()), split_keys(models)
    )
    found = keeper.of(session, comparison.board, comparison.places)
    assert found is not None  # noqa: S101 -- it waits
    return {"benchmark": comparison.board.name, "slug": slug, **_verdicts(found)}


@router.get(
    "/gate",
    response_model=GateOut,
    responses={200: {"content": {media: {} for media in _MEDIA.values()}}},
)
def get_gate(
    _viewer: Viewer,
    session: ReadSession,
    boards: Boards,
    keeper: VerdictsOf,
    slug: str,
    *,
    candidate: Annotated[str, Query(description="A model by key, or by name with its variant")],
    baseline: Annotated[str, Query(description="Likewise")],
    min_delta: Annotated[
        float, Query(description="The smallest difference that is accepted: -0.01 is a loss of one point of a hundred")
    ] = 0.0,
    dataset: Annotated[tuple[str, ...], Query(description="Slugs of the datasets that count; all by default")] = (),
    format_name: Annotated[str, Query(alias="format", description="json, junit or markdown")] = "json",
) -> Any:
    """May the candidate take the baseline's place? What `touchstone gate` answers."""
    if format_name not in {"json", *_MEDIA}:
        raise Invalid(f"The format is json, junit or markdown, not {format_name[:40]!r}.", code="unknown_format")
    board = boards.board(session, benchmarks.by_slug(session, slug))
    report = decide(session, keeper, board, candidate=candidate, baseline=baseline, least=min_delta, datasets=dataset)
    if format_name == "json":
        return gate_formats.as_dict(report)
    write = gate_formats.as_junit if format_name == "junit" else gate_formats.as_markdown
    return Response(write(report), media_type=_MEDIA[format_name])


def _verdicts(found: Verdicts) -> dict[str, Any]:
    pairs = []
    for pair in found.pairs:
        names = found.names[0], found.names[pair.other]
        pairs.append(
            {
                "model": found.keys[pair.other],
                "name": names[1],
                "board": _judgement(pair.board, names, "examples", pair.margin),
                "datasets": [_dataset(verdict, names) for verdict in pair.datasets],
            }
        )
    every = found.all_pairs
    return {
        "models": [{"key": key, "name": name} for key, name in zip(found.keys, found.names, strict=True)],
        "pairs": pairs,
        "all_pairs": every
        and {"p": every.p.tolist(), "means": every.means.tolist(), "datasets": every.datasets, "n": every.n},
        "resamples": RESAMPLES,
        "seed": SEED,
    }


def _dataset(verdict: DatasetVerdict, names: tuple[str, str]) -> dict[str, Any]:
    column = verdict.column
    return {
        "dataset": column.slug,
        "name": column.name,
        "examples": verdict.examples,
        "scores": list(verdict.scores),
        "result": _judgement(verdict.judgement, names, verdict.units, column.margin),
        "relative": verdict.relative,
        "parts": verdict.parts,
        "why": verdict.why,
    }


def _judgement(
    judgement: Judgement | None, names: tuple[str, str], examples: str, margin: float
) -> dict[str, Any] | None:
    if judgement is None:
        return None
    found = judgement.difference
    return {
        "verdict": judgement.verdict,
        "sentence": sentence(judgement, *names, examples=examples),
        "difference": found.value,
        "low": _finite(found.interval.low),
        "high": _finite(found.interval.high),
        "p": found.p,
        "p_t": _finite(found.p_t),
        "p_adjusted": judgement.p if judgement.adjusted else None,
        "n": found.interval.n,
        "wins": found.wins,
        "ties": found.ties,
        "losses": found.losses,
        "needed": found.needed,
        "margin": margin,
        "indicative": judgement.indicative,
    }


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value
