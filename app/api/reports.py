"""/api/v1/boards/{slug}/report: a board's scores, intervals and tests, with what is needed to repeat them."""

from fastapi import APIRouter, Request

from app.http.access import Viewer
from app.http.dependencies import Boards, EvidenceOf, ReadSession
from app.services import benchmarks
from app.services.board_look import parse_look
from app.services.report import Report, board_report

router = APIRouter(prefix="/boards", tags=["boards"])


@router.get("/{slug}/report")
def report(
    request: Request, _viewer: Viewer, session: ReadSession, boards: Boards, evidence: EvidenceOf, slug: str
) -> Report:
    """The report of a board; parameters choose models, datasets and their order as on its page."""
    board = boards.board(session, benchmarks.by_slug(session, slug))
    return board_report(session, evidence, board, parse_look(request.query_params.multi_items()))
