"""/api/v1/boards: read boards; admins make, change and delete them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.db.queries.boards import list_boards
from app.http.access import Admin, Viewer
from app.http.dependencies import AppSettings, Boards, ReadSession, WriteSession
from app.services import benchmarks, imports
from app.services.board_certainty_view import as_dict as certainty_dict
from app.services.board_export import board_dict
from app.services.board_languages import as_dict as languages_dict
from app.services.board_languages import load_language_scores, view_languages
from app.services.board_look import Look, parse_look
from app.services.board_view import view_board
from app.services.compare import as_dict as comparison_dict
from app.services.compare import compare, split_keys
from app.storage.blobs import BlobStore

router = APIRouter(prefix="/boards", tags=["boards"])

Slugs = Annotated[list[str], Field(max_length=1000, description="Datasets by slug, in the order of the columns")]


class BoardOut(BaseModel):
    """A board in the list of boards."""

    model_config = ConfigDict(from_attributes=True)

    slug: str
    name: str
    description: str
    is_default: bool
    datasets: int = Field(description="How many datasets it has")
    models: int = Field(description="How many models have a result on it")
    last_result: AwareDatetime | None


class BoardDatasetOut(BaseModel):
    """A column of a board."""

    slug: str
    name: str
    task_type: str
    revision: str | None


class MeasuredOut(BaseModel):
    """What a model costs on one kind of device."""

    device: str
    peak_memory_mb: float = Field(description="In MB of 1,024² bytes: of the GPU, else of the process")
    query_p50_ms: float = Field(description="To encode one query at batch 1: the median")
    query_p95_ms: float = Field(description="Likewise, the 95th percentile")
    documents_per_second: float


class BoardModelOut(BaseModel):
    """A row of a board. Scores are on the metric's own scale (most 0 to 1), null where one is missing."""

    key: str = Field(description="Names the model in `pin` and `compare`")
    model: str
    variant: str
    revision: str
    rank: int | None
    rank_low: int | None = Field(description="The best rank on 95% of the resamples; null where that is not known")
    rank_high: int | None = Field(description="Likewise the worst")
    tier: int | None = Field(description="Models that no test separates share one; null without tests")
    points: float = Field(description="Borda points")
    complete: bool = Field(description="Whether it has a score on every dataset")
    zero_shot: int | None = Field(description="0 to 100; null when the training data is unknown")
    memory_mb: float | None
    memory_dtype: str | None
    parameters: int | None
    active_parameters: int | None
    dimensions: int | None
    index_bytes: int | None = Field(description="Of one document's vector")
    max_tokens: int | None
    licence: str | None
    open_weights: bool | None
    training_code: bool | None = Field(description="Whether it is public; null: unknown, as for the next two")
    training_data: bool | None
    citation: bool | None
    release_date: str | None
    measured: list[MeasuredOut]
    mean_task: float | None
    mean_task_low: float | None = Field(description="The low end of its 95% interval; null where that is not known")
    mean_task_high: float | None
    mean_task_type: float | None
    task_types: dict[str, float | None]
    tasks: dict[str, float | None] = Field(description="By the dataset's name")


class BoardTableOut(BaseModel):
    """A whole board, its models by rank."""

    benchmark: str
    slug: str
    datasets: list[BoardDatasetOut]
    models: list[BoardModelOut]


class ComparedOut(BaseModel):
    """A model among those that are compared, with its place on the whole board."""

    key: str = Field(description="The model's id; on an imported board its name")
    model: str
    variant: str
    revision: str
    rank: int | None
    points: float = Field(description="Borda points")
    zero_shot: int | None = Field(description="0 to 100; null when the training data is unknown")
    parameters: int | None
    memory_mb: float | None
    memory_dtype: str | None
    dimensions: int | None
    max_tokens: int | None
    licence: str | None
    open_weights: bool | None
    release_date: str | None
    wins: int = Field(description="On how many of the contested datasets it alone has the highest score")


class ComparedScoresOut(BaseModel):
    """What each model scores, in the order of `models`; null where a score is missing."""

    key: str
    name: str
    scores: list[float | None]
    to_best: list[float | None] = Field(description="The score less the highest: 0 or below")
    winner: str | None = Field(description="Key of the model that alone has the highest score, if every one has one")
    tie: bool = Field(description="Whether several share the highest score")


class ComparedDatasetOut(ComparedScoresOut):
    """What each model scores on a dataset."""

    task_type: str


class ComparisonOut(BaseModel):
    """Models of a board side by side."""

    benchmark: str
    slug: str
    models: list[ComparedOut]
    means: list[ComparedScoresOut]
    task_types: list[ComparedScoresOut]
    datasets: list[ComparedDatasetOut]
    contested: int = Field(description="On how many datasets every model has a score")
    ties: int


class BoardLanguageOut(BaseModel):
    """A language of a board."""

    language: str
    scores: int = Field(description="On how many splits and subsets any model has a score in it")


class LanguageModelOut(BaseModel):
    """What a model scores by language; a mean is over every score that it has in the language, null for none."""

    key: str = Field(description="Names the model in `pin` and `compare`")
    model: str
    variant: str
    revision: str
    rank: int | None
    languages: dict[str, float | None]
    scores: dict[str, int] = Field(description="How many scores each mean is over")


class BoardLanguagesOut(BaseModel):
    """A board by language, the languages of the most datasets first, its models by rank."""

    benchmark: str
    slug: str
    languages: list[BoardLanguageOut]
    models: list[LanguageModelOut]


class IntervalOut(BaseModel):
    """Between what a figure lies on 95% of the resamples."""

    low: float
    high: float


class CertainDatasetOut(BaseModel):
    """What is known of a dataset."""

    slug: str
    name: str
    task_type: str
    n: int = Field(description="From how many examples; 0 where none are known")
    tested: bool = Field(description="Whether the tests of pairs rest on it")
    left_out: str | None = Field(description="Why not")


class CertainModelOut(BaseModel):
    """How sure a model's place on the whole board is; null where something is not known."""

    key: str
    model: str
    variant: str
    revision: str
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    tier: int | None
    means: dict[str, IntervalOut | None] = Field(description="By mean_task, mean_task_type and type:NAME")
    tasks: dict[str, IntervalOut | None] = Field(description="By the dataset's name")


class PairOut(BaseModel):
    """Two models by key, and p of the test between them, adjusted for all pairs of the board."""

    a: str
    b: str
    p: float


class BoardCertaintyOut(BaseModel):
    """How sure a board's ranks are, its models by rank."""

    benchmark: str
    slug: str
    state: Literal["known", "expected", "none"] = Field(description="Expected: a worker is about to compute it")
    sentence: str
    by_task: bool = Field(description="Whether tasks were resampled because nothing is known of examples")
    seed: int | None
    resamples: int | None
    datasets: list[CertainDatasetOut]
    models: list[CertainModelOut]
    pairs: list[PairOut]


class BoardIn(BaseModel):
    """A new board."""

    model_config = ConfigDict(extra="forbid")

    name: str
    slug: str = Field("", description="Made from the name when empty")
    description: str = ""
    datasets: Slugs = []
    default: bool = Field(False, description="Whether / shows it from now on")


class BoardChange(BaseModel):
    """What to change of a board; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    slug: str | None = None
    description: str | None = None
    datasets: Slugs | None = None
    default: bool = Field(False, description="True makes it the default; another board takes that from it, false never")


class BoardNamed(BaseModel):
    """A board that was made or changed."""

    model_config = ConfigDict(from_attributes=True)

    slug: str
    name: str
    description: str
    is_default: bool


@router.get("", response_model=list[BoardOut])
def get_boards(_viewer: Viewer, session: ReadSession) -> Any:
    """Every board, the default first."""
    return list_boards(session)


@router.get("/{slug}", response_model=BoardTableOut)
def get_board(_viewer: Viewer, session: ReadSession, slug: str) -> Any:
    """One board with every score."""
    return board_dict(session, slug)


@router.get("/{slug}/compare", response_model=ComparisonOut)
def get_comparison(
    _viewer: Viewer,
    session: ReadSession,
    boards: Boards,
    slug: str,
    models: Annotated[list[str], Query(description="2 to 6 keys, with commas between or repeated")],
) -> Any:
    """Models side by side: attributes, scores, where each wins."""
    view = view_board(boards.board(session, benchmarks.by_slug(session, slug)), Look())
    return comparison_dict(compare(view, split_keys(models)))


@router.get("/{slug}/certainty", response_model=BoardCertaintyOut)
def get_certainty(_viewer: Viewer, session: ReadSession, boards: Boards, slug: str) -> Any:
    """Intervals of every rank, mean and score, tiers, and the tests of all pairs."""
    return certainty_dict(boards.board(session, benchmarks.by_slug(session, slug)))


@router.get("/{slug}/languages", response_model=BoardLanguagesOut)
def get_languages(
    _viewer: Viewer,
    session: ReadSession,
    boards: Boards,
    slug: str,
    language: Annotated[tuple[str, ...], Query(description="Only datasets in these, and only their columns")] = (),
) -> Any:
    """A board's models by language; with `language` ranked on the datasets in those alone."""
    look = parse_look(("language", code) for code in language)
    benchmark = benchmarks.by_slug(session, slug)
    board = boards.board(session, benchmark)
    scores = load_language_scores(session, benchmark, board)
    return languages_dict(view_languages(board, scores, look, most=None))


@router.post("", response_model=BoardNamed, status_code=201)
def post_board(admin: Admin, session: WriteSession, body: BoardIn) -> Any:
    """Make a board."""
    return benchmarks.create(
        session,
        admin,
        name=body.name,
        slug=body.slug,
        description=body.description,
        dataset_slugs=body.datasets,
        default=body.default,
    )


@router.patch("/{slug}", response_model=BoardNamed)
def patch_board(admin: Admin, session: WriteSession, slug: str, body: BoardChange) -> Any:
    """Change a board."""
    changed = benchmarks.edit(
        session,
        admin,
        slug,
        name=body.name,
        new_slug=body.slug,
        description=body.description,
        dataset_slugs=body.datasets,
    )
    if body.default:
        benchmarks.set_default(session, admin, changed.slug)
    return changed


@router.delete("/{slug}", status_code=204)
def delete_board(admin: Admin, session: WriteSession, settings: AppSettings, slug: str) -> None:
    """Delete a board; its datasets, runs and scores stay. What was imported into it goes with it."""
    imports.delete_board(session, BlobStore(settings.blobs_dir), admin, slug)
