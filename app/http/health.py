"""For machines that watch: is the process alive, can it work, how much does it do."""

import structlog
from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse

from app import __version__
from app.db.queries.accounts import active_runs
from app.http.access import Admin, public
from app.http.dependencies import AppSettings, DatabaseOf, ReadSession
from app.http.metrics import Metrics
from app.services import health

log = structlog.get_logger(__name__)
router = APIRouter(include_in_schema=False)


@router.get("/healthz", dependencies=[Depends(public)])
def healthz() -> dict[str, str]:
    """The process answers; the database is not asked."""
    return {"status": "ok", "version": __version__}


@router.get("/readyz", dependencies=[Depends(public)])
def readyz(settings: AppSettings, database: DatabaseOf) -> JSONResponse:
    """Whether requests can be served; 503 when not. Why stands in the log and in `touchstone doctor`."""
    checks = health.ready(settings, database)
    failed = [check for check in checks if not check.ok]
    for check in failed:
        log.warning("not ready", check=check.name, reason=check.message)
    body = {"status": "failed" if failed else "ready", "checks": {check.name: check.ok for check in checks}}
    return JSONResponse(body, 503 if failed else 200)


@router.get("/metrics")
def metrics(request: Request, _admin: Admin, session: ReadSession) -> Response:
    """Prometheus' text format, for an admin's token or session."""
    numbers: Metrics = request.app.state.metrics
    return Response(numbers.text(active_runs(session)), media_type=CONTENT_TYPE_LATEST)
