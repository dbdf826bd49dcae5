"""A board's report: a page, and the same as Markdown and LaTeX."""

from dataclasses import dataclass
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from app.db.changes import board_stamp
from app.errors import NotFound
from app.http.access import Viewer
from app.http.dependencies import ReadSession, boards_of, evidence_of
from app.http.unchanged import kept
from app.services import benchmarks
from app.services.board_look import Look, parse_look
from app.services.report import Report, board_report, ends_text, ranks_text
from app.services.report_files import REPORT_FORMATS
from app.web.board_filter import Choice
from app.web.templating import page

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class ReportPage:
    """What the page of a report shows."""

    report: Report
    look: Look

    @property
    def board_href(self) -> str:
        """The board as the report sees it."""
        return self.look.at(f"/boards/{self.report.slug}")

    @property
    def downloads(self) -> tuple[Choice, ...]:
        """The same report as files."""
        path = f"/boards/{self.report.slug}/report"
        return tuple((one.label, self.look.at(f"{path}.{suffix}")) for suffix, one in REPORT_FORMATS.items())

    ends_text = staticmethod(ends_text)
    ranks_text = staticmethod(ranks_text)


@router.get("/boards/{slug}/report")
def report(request: Request, _viewer: Viewer, session: ReadSession, slug: str) -> Response:
    """What a look shows of a board, for an appendix."""
    stamp = board_stamp(session)
    found, look = _report(request, session, slug, stamp)
    headers = {} if found.missing else kept(request, stamp)
    return page(request, "boards/report.html", ReportPage(found, look), headers=headers)


@router.get("/boards/{slug}/report.{suffix}")
def download(request: Request, _viewer: Viewer, session: ReadSession, slug: str, suffix: str) -> Response:
    """The same as a file."""
    chosen = REPORT_FORMATS.get(suffix)
    if chosen is None:
        raise NotFound(f"There is no report as {suffix[:80]!r}. There are: {', '.join(REPORT_FORMATS)}.")
    found, _ = _report(request, session, slug)
    disposition = f"attachment; filename*=UTF-8''{quote(f'{slug}-report.{suffix}', safe='')}"
    return Response(chosen.write(found), media_type=chosen.media_type, headers={"Content-Disposition": disposition})


def _report(request: Request, session: Session, slug: str, stamp: int | None = None) -> tuple[Report, Look]:
    board = boards_of(request).board(session, benchmarks.by_slug(session, slug), stamp)
    look = parse_look(request.query_params.multi_items())
    return board_report(session, evidence_of(request), board, look), look
