"""What the pages of examples show, and how its values read."""

from dataclasses import dataclass
from typing import Final

from app.core.verdicts import Verdict
from app.http.pagination import Listing
from app.services.compare import compare_address
from app.services.examples import facts
from app.services.examples.columns import Column, Fact
from app.services.examples.details import Detail, QueryDetail
from app.services.examples.matchups import CellMatch, ExampleLook, Examples, Matchup
from app.services.examples.overviews import Overview
from app.services.examples.rows import ExampleRow
from app.services.examples.slices import ComparedSlice, SliceTable
from app.web.example_charts import Curves, Scatter
from app.web.templating import NOTHING

FEW, MANY = 10, 100
"""Documents of a ranking that are shown at first, and on request."""
_SHORT: Final = 160
"""Characters of a text in a list."""
_LONG: Final = 400
"""Characters of a text on the page of its example, until it is asked for whole."""

Charts = tuple[Scatter, Scatter] | tuple[Curves, Curves] | None


@dataclass(frozen=True, slots=True)
class Choice:
    """A link that chooses, with how many examples it leads to."""

    label: str
    href: str
    current: bool
    count: int | None = None


@dataclass(frozen=True, slots=True)
class ExampleSort:
    """By what the table is sorted, for heads that sort; see macros/table.html."""

    matchup: Matchup
    look: ExampleLook

    @property
    def key(self) -> str:
        """The column."""
        return self.look.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Whether the largest come first."""
        return self.look.sort.startswith("-")

    def url(self, key: str) -> str:
        """Sorts by a column; the other way round where it is sorted by that already."""
        sort = f"-{key}" if key == self.look.sort and key != "place" else key
        return f"{self.matchup.address(**self.look.query(sort=sort))}#examples"


class _Shown:
    """How values of examples read."""

    @staticmethod
    def signed(difference: float) -> str:
        """0.0123 -> "+1.23", with a true minus; nothing has no sign."""
        text = f"{difference * 100:+.2f}".replace("-", "−")
        return "0.00" if text[1:] == "0.00" else text

    @staticmethod
    def plain(value: float) -> str:
        """0.0123 -> "1.23", with a true minus."""
        return f"{value * 100:.2f}".replace("-", "−")

    @staticmethod
    def short(text: str, most: int = _SHORT) -> str:
        """The beginning of a text, in one line."""
        beginning = " ".join(text[: 2 * most].split())
        return beginning if len(text) <= 2 * most and len(beginning) <= most else f"{beginning[: most - 1]}…"

    @staticmethod
    def fact(column: Column, value: Fact) -> str:
        """One value of a column."""
        if value is None:
            return f">{MANY}" if column.key == "first_relevant" else NOTHING
        return f"{value:.4g}".replace("-", "−") if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class SlicesPage(_Shown):
    """The same test by slice; `table` is None where it is loaded after the page."""

    matchup: Matchup
    table: SliceTable | None
    problem: str
    label_names: tuple[str, ...]
    may_see: bool

    @property
    def address(self) -> str:
        """Where the slices are by themselves."""
        return self.matchup.address("slices")

    def name(self, row: ComparedSlice) -> str:
        """What a slice is called; labels stand in the dataset's rows, which not everybody may see."""
        return row.name if row.label is None else facts.naming(self.label_names, self.may_see)(row.label)

    @staticmethod
    def verdict(row: ComparedSlice) -> str:
        """In few words."""
        words = {Verdict.BETTER: "A is better", Verdict.WORSE: "B is better", Verdict.UNCLEAR: "no evidence"}
        found = words.get(row.judgement.verdict, row.judgement.verdict.value)
        return f"{found} (indicative)" if row.judgement.indicative else found


@dataclass(frozen=True, slots=True)
class ExamplesPage(_Shown):
    """What /compare/{dataset} shows.

    Attributes:
        problem: why the texts cannot be read; "" where they can.
        part: the cell that the overview is of; None where there is no overview.
    """

    matchup: Matchup
    look: ExampleLook
    found: Examples
    listing: Listing[ExampleRow]
    columns: tuple[Column, ...]
    outcomes: tuple[Choice, ...]
    cells: tuple[Choice, ...]
    part: CellMatch | None
    overview: Overview | None
    charts: Charts
    slices: SlicesPage
    may_see: bool
    problem: str

    @property
    def sort(self) -> ExampleSort:
        """For the heads of the table."""
        return ExampleSort(self.matchup, self.look)

    @property
    def compare_href(self) -> str:
        """The two models on their whole board; "" without one."""
        slug, keys = self.matchup.board[0], [side.key for side in self.matchup.sides]
        return compare_address(slug, keys) if slug else ""

    def href(self, row: ExampleRow) -> str:
        """The page of one example."""
        return self.matchup.address(row.cell.key, str(row.place), **self.look.query())

    def example_href(self, place: int) -> str:
        """The same of an example of the overview's cell."""
        return self.matchup.address(self.part.key if self.part else "", str(place))

    def lean(self, row: ExampleRow) -> tuple[float, float] | None:
        """Where the bar of a difference begins and how long it is, the widest as long as half of 100."""
        widest = self.found.widest()
        if not row.difference or not widest:
            return None
        width = round(50 * abs(row.difference) / widest, 2)
        return (50 if row.difference > 0 else 50 - width, width)


@dataclass(frozen=True, slots=True)
class ExamplePage(_Shown):
    """What the page of one example shows.

    Attributes:
        number: its place in the look, from 1; None where the look leaves it out.
        total: how many examples the look has.
        whole: which text is shown whole.
        values: A's and B's; None where not both have one.
    """

    matchup: Matchup
    cell: CellMatch
    place: int
    detail: Detail
    look: ExampleLook
    values: tuple[float, float] | None
    is_mean: bool
    number: int | None
    total: int
    previous: str | None
    next: str | None
    charts: Charts
    may_see: bool
    shown: int
    whole: str

    @property
    def back(self) -> str:
        """All examples."""
        return self.matchup.address(**self.look.query())

    def at(self, **query: str) -> str:
        """This page with something else shown."""
        shown = str(self.shown) if self.shown != FEW else ""
        asked = {**self.look.query(), "show": shown, "whole": self.whole, **query}
        return self.matchup.address(self.cell.key, str(self.place), **asked)

    @property
    def more(self) -> str | None:
        """The page with all documents that runs keep; None where they are shown."""
        rankings = self.detail.queries[0].kept if isinstance(self.detail, QueryDetail) else ()
        return self.at(show=str(MANY)) if self.shown < max(rankings, default=0) else None

    def cut(self, name: str, text: str) -> str:
        """As much of a text as is shown; `name` tells it from the others of the page."""
        return text if len(text) <= _LONG or name == self.whole else f"{text[:_LONG]}…"

    def is_cut(self, name: str, text: str) -> bool:
        """Whether there is more of a text."""
        return len(text) > _LONG and name != self.whole
