"""Pages of a long list: which one is asked for, and links to its neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query
from starlette.requests import Request

Row = TypeVar("Row")
SIZE = 50


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The page asked for, counted from 1, and the address it was asked with."""

    number: int
    path: str
    query: tuple[tuple[str, str], ...]
    size: int = SIZE

    @property
    def offset(self) -> int:
        """Rows before this page."""
        return (self.number - 1) * self.size

    def url(self, number: int) -> str:
        """The address of another page of the same list."""
        kept = [(key, value) for key, value in self.query if key != "page"]
        return f"{self.path}?{urlencode([*kept, ('page', str(number))])}"


def page_request(request: Request, page: Annotated[int, Query(ge=1, le=1_000_000)] = 1) -> PageRequest:
    """Read `?page=`."""
    return PageRequest(page, request.url.path, tuple(request.query_params.multi_items()))


Paging = Annotated[PageRequest, Depends(page_request)]


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """One page of `total` rows."""

    rows: Sequence[Row]
    total: int
    request: PageRequest

    @property
    def text(self) -> str:
        """What is shown, such as "51–100 of 1,240"."""
        if not self.rows:
            return f"0 of {self.total:,}"
        first = self.request.offset + 1
        return f"{first:,}–{first + len(self.rows) - 1:,} of {self.total:,}"

    @property
    def previous(self) -> str | None:
        """The address of the page before."""
        return self.request.url(self.request.number - 1) if self.request.number > 1 else None

    @property
    def next(self) -> str | None:
        """The address of the page after."""
        more = self.request.offset + self.request.size < self.total
        return self.request.url(self.request.number + 1) if more else None
