"""The tabs of a board: its pages, each with an address of its own."""

from dataclasses import dataclass
from typing import Final

from app.services.board_languages import LANGUAGE
from app.services.board_look import Look

_LABELS: Final = {
    "": "Summary",
    "/tasks": "Tasks",
    "/languages": "Languages",
    "/charts": "Charts",
    "/certainty": "Certainty",
    "/public": "Public",
    "/info": "Info",
}
"""By the address behind that of the board."""
_WHOLE: Final = {"/certainty", "/public", "/info"}
"""Those that show the whole board, whatever the look."""


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab of a board."""

    label: str
    href: str
    current: bool

    @property
    def as_item(self) -> tuple[str, str, bool]:
        """What the macro `tabs` takes."""
        return self.label, self.href, self.current


def board_tabs(slug: str, current: str, look: Look) -> tuple[Tab, ...]:
    """The tabs of a board; `current` is an address behind that of the board.

    Filters go along, and so does the order where a tab has it.
    """
    elsewhere = look.without("sort") if look.key.startswith(LANGUAGE) else look
    looks = dict.fromkeys(_WHOLE, Look()) | {"/languages": look}
    return tuple(
        Tab(label, looks.get(tab, elsewhere).at(f"/boards/{slug}{tab}"), tab == current)
        for tab, label in _LABELS.items()
    )
