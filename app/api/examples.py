"""/api/v1/compare: what two models do on every example of a dataset."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.db.tables import Role
from app.http.access import Viewer
from app.http.dependencies import AppSettings, EvidenceOf, ReadSession
from app.http.pagination import SIZE, Listing, Paging
from app.services.compare import split_keys
from app.services.examples.columns import columns_of
from app.services.examples.matchups import SORTS, Outcome, examples_of, find_matchup, order, parse_look
from app.services.examples.rows import as_dict, rows
from app.storage.blobs import BlobStore

router = APIRouter(prefix="/compare", tags=["compare"])

PerPage = Annotated[int, Query(ge=1, le=200)]
Keys = Annotated[list[str], Query(description="Two keys, A first, with a comma between or repeated")]
Fact = str | int | float | None


class ExampleOut(BaseModel):
    """One example with the values of both models, on the scale of the main metric."""

    split: str
    subset: str
    place: int = Field(description="Where it stands in its part of the dataset, from 0")
    id: str = Field(description="Of a query; empty where examples have none")
    texts: list[str] | None = Field(description="What it says; null for viewers, who may not see texts")
    a: float
    b: float
    difference: float = Field(description="a less b")
    facts: dict[str, Fact] = Field(description="What its task type adds, such as gold, label or first_relevant_a")


class SideOut(BaseModel):
    """One of the two models, and the run that counts."""

    key: str
    model: str
    run_id: int
    score: float | None


class ExamplesOut(BaseModel):
    """A page of examples."""

    dataset: str
    revision: str
    metric: str
    models: list[SideOut] = Field(description="A, then B")
    is_mean: bool = Field(
        description="Whether the score is the mean of a and of b; else they are what each example contributes to it"
    )
    counts: dict[str, int] = Field(description="How many examples each choice of `only` has")
    items: list[ExampleOut]
    total: int
    next: str | None = Field(description="The address of the next page")


@router.get("/{slug}/examples", response_model=ExamplesOut)
def get_examples(
    viewer: Viewer,
    session: ReadSession,
    settings: AppSettings,
    evidence: EvidenceOf,
    *,
    paging: Paging,
    slug: str,
    models: Keys,
    board: Annotated[str, Query(description="A board's slug; the runs are the same without")] = "",
    only: Annotated[str, Query(description=f"One of: {', '.join(Outcome)}; of a beside b")] = Outcome.ALL.value,
    cell: Annotated[str, Query(description="One part: test, or test:eng-deu for the subset eng-deu")] = "",
    sort: Annotated[str, Query(description=f"One of: {', '.join(SORTS)}; a minus: the largest first")] = SORTS[0],
    per_page: PerPage = SIZE,
) -> Any:
    """The newest finished runs of two models on the newest revision, example by example, the largest loss first."""
    blobs = BlobStore(settings.blobs_dir)
    matchup = find_matchup(session, evidence, blobs, slug, split_keys(models), board=board)
    look = parse_look({"only": only, "cell": cell, "sort": sort})
    place = matchup.cell(look.cell) if look.cell else None
    found = examples_of(matchup)
    chosen = order(found, look, place)
    asked = replace(paging, size=per_page)
    may_see = viewer.can(Role.MEMBER)
    numbers = chosen[asked.offset : asked.offset + asked.size].tolist()
    columns = columns_of(matchup, may_see)
    items: Sequence[Any] = [as_dict(row, columns) for row in rows(matchup, found, numbers, may_see=may_see)]
    return {
        "dataset": matchup.dataset.slug,
        "revision": matchup.dataset.revision,
        "metric": matchup.task_type.main_metric,
        "models": [
            {"key": side.key, "model": side.full_name, "run_id": side.run_id, "score": side.score}
            for side in matchup.sides
        ],
        "is_mean": found.is_mean,
        "counts": {outcome.value: count for outcome, count in found.counts(place).items()},
        "items": items,
        "total": len(chosen),
        "next": Listing(items, len(chosen), asked).next,
    }
