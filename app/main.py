"""The web application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from anyio import to_thread
from fastapi import APIRouter, FastAPI
from starlette.datastructures import QueryParams
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app import __version__
from app.api import router as api
from app.db.session import Database
from app.http import errors, health
from app.http.limits import SignInLimits
from app.http.metrics import Metrics
from app.http.middleware import AroundRequests
from app.http.unchanged import UnchangedPages
from app.services.board_languages import LanguageCache
from app.services.boards import BoardCache
from app.services.evidence import EvidenceReader
from app.services.passwords import Passwords
from app.services.verdicts import VerdictKeeper
from app.settings import Settings, get_settings
from app.storage.blobs import BlobStore
from app.web.pages import (
    accounts,
    admin,
    board_certainty,
    board_charts,
    board_forms,
    board_languages,
    board_report,
    board_views,
    boards,
    compare,
    datasets,
    examples,
    house,
    imports,
    models,
    runs,
)
from app.web.rendered import RenderedPieces
from app.web.templating import STATIC, error_page, static_version

PAGES = (
    imports,
    board_forms,
    board_views,
    boards,
    board_certainty,
    board_charts,
    board_languages,
    board_report,
    compare,
    examples,
    models,
    datasets,
    runs,
    accounts,
    admin,
    house,
)
ROUTERS: tuple[APIRouter, ...] = (health.router, api, *(page.router for page in PAGES))

_THREADS: Final = 8
"""For endpoints. Each is mostly Python, which one thread computes at a time: more of them only wait for one another."""


def create_app(settings: Settings | None = None, *, passwords: Passwords | None = None) -> FastAPI:
    """The application for these settings, those of the environment by default; `passwords` is for tests."""
    settings = settings or get_settings()
    app = FastAPI(
        title="Touchstone",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.database = Database.from_settings(settings)
    app.state.limiter = SignInLimits(settings)
    app.state.passwords = passwords or Passwords()
    app.state.metrics = Metrics()
    app.state.boards = BoardCache()
    app.state.evidence = EvidenceReader(BlobStore(settings.blobs_dir))
    app.state.verdicts = VerdictKeeper(app.state.evidence)
    app.state.languages = LanguageCache()
    app.state.pieces = RenderedPieces()
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=1)
    app.add_middleware(UnchangedPages)
    app.add_middleware(AroundRequests, settings=settings, metrics=app.state.metrics)
    errors.install(app, error_page)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", OpenFiles(directory=STATIC), name="static")
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = _THREADS
    yield
    app.state.database.dispose()


class OpenFiles(StaticFiles):
    """static/, open to everyone. An address with the hash of its content may be kept for a year."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, with how long it may be kept."""
        response = await super().get_response(path, scope)
        asked = QueryParams(scope["query_string"]).get("v")
        hashed = response.status_code in {200, 304} and asked == static_version(path)
        kept = "public, max-age=31536000, immutable" if hashed else "no-cache"
        response.headers["Cache-Control"] = kept
        return response
