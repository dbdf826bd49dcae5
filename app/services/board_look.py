"""How a board is looked at: sort and filters, read once from the address; they also build the links."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlencode

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app.core.units import parse_count
from app.errors import Invalid

FILTER_LENGTH = 200
MOST_CHOICES = 500

_NO_FILTERS = {"sort", "pin", "show", "column", "dense", "plain", "device"}

Choices = Annotated[tuple[Annotated[str, Field(max_length=FILTER_LENGTH)], ...], Field(max_length=MOST_CHOICES)]
Count = Annotated[int | None, BeforeValidator(lambda text: parse_count(text) if isinstance(text, str) else text)]


class Look(BaseModel):
    """Sort and filters of one look at a board; every field is a parameter of the address.

    `q` keeps models whose name or variant contains it and changes no rank. Every other filter chooses datasets or
    models, and ranks are computed anew from exactly those. The models of `pin` stand first, whatever `q` says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    sort: str = "rank"
    q: str = Field("", max_length=FILTER_LENGTH)
    type: Choices = Field((), description="task types")
    dataset: Choices = Field((), description="datasets")
    language: Choices = Field((), description="languages of the datasets")
    domain: Choices = Field((), description="domains of the datasets")
    complete: bool = Field(False, description="only models with a score on every dataset")
    zero_shot: Literal["all", "known", "full"] = Field("all", description="known: no unknown; full: only 100%")
    open_weights: bool = Field(False, description="only models whose weights anybody may have")
    commercial: bool = Field(False, description="only models whose licence allows commercial use")
    kind: Choices = Field((), description="kinds of models")
    min_parameters: Count = Field(None, ge=0)
    max_parameters: Count = Field(None, ge=0)
    max_memory_gb: float | None = Field(None, gt=0, allow_inf_nan=False)
    min_dimensions: Count = Field(None, ge=0)
    max_dimensions: Count = Field(None, ge=0)
    min_tokens: Count = Field(None, ge=0)
    show: Literal["summary", "quality", "cost", "everything"] = Field("summary", description="which columns")
    column: Choices = Field((), description="columns by key, in this order, instead of those")
    device: str = Field("", max_length=FILTER_LENGTH, description="whose measured figures are shown")
    dense: bool = Field(False, description="rows of less height")
    plain: bool = Field(False, description="no intervals and no rank ranges")
    pin: Choices = Field((), description="keys of the models that stand first")

    @property
    def key(self) -> str:
        """The column that the table is sorted by."""
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Whether the largest come first."""
        return self.sort.startswith("-")

    def with_(self, **changes: Any) -> Self:
        """The same with some fields changed; None or () takes a filter away."""
        return self.model_copy(update=changes)

    def without(self, *names: str) -> Self:
        """The same with these fields as they are at first."""
        return self.with_(**{name: type(self).model_fields[name].default for name in names})

    @property
    def filters(self) -> tuple[str, ...]:
        """The fields that are not as they are at first and hide something."""
        return tuple(name for name in self.parameters if name not in _NO_FILTERS)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the address: whatever is not as it is at first."""
        found = self.model_dump(exclude_defaults=True)
        return {name: "1" if value is True else value for name, value in found.items()}

    def pairs(self, *without: str) -> tuple[tuple[str, str], ...]:
        """Every parameter and value of the address but those of some fields; for the hidden fields of a form."""
        kept = {name: value for name, value in self.parameters.items() if name not in without}
        return tuple(
            (name, str(one))
            for name, value in kept.items()
            for one in (value if isinstance(value, tuple) else (value,))
        )

    def at(self, path: str) -> str:
        """The address of this look at a page or a download."""
        query = urlencode(self.parameters, doseq=True)
        return f"{path}?{query}" if query else path


@dataclass(frozen=True)
class BoardLinks:
    """The links of one page: a look, where it is shown, and which columns sort downwards at first.

    With the path "" they are relative, for what stands in every row.
    """

    path: str
    look: Look
    falling: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """See `Look.key`."""
        return self.look.key

    @property
    def descending(self) -> bool:
        """See `Look.descending`."""
        return self.look.descending

    @property
    def address(self) -> str:
        """The address of this very look."""
        return self.look.at(self.path)

    def url(self, key: str) -> str:
        """The link of a head: its own first direction, the other one when the table is sorted by it already."""
        falls = not self.descending if key == self.key else key in self.falling
        return self.look.with_(sort=f"-{key}" if falls else key).at(self.path)

    def without(self, *names: str) -> str:
        """The link that takes filters away."""
        return self.look.without(*names).at(self.path)

    def pin(self, key: str) -> str:
        """The link that pins a model, or unpins a pinned one."""
        if key not in self.look.pin:
            return f"{self._one_more_pin}{quote(key, safe='/')}"
        others = tuple(pinned for pinned in self.look.pin if pinned != key)
        return self.look.with_(pin=others).at(self.path) or "?"

    @cached_property
    def _one_more_pin(self) -> str:
        """The address of this look with one more pin, up to its key: rows by the hundred end it."""
        return f"{self.address}{'&' if self.look.parameters else '?'}pin="


def parse_look(parameters: Iterable[tuple[str, str]]) -> Look:
    """Read a look from an address. Empty parameters count as absent; of a doubled one that takes one value the last.

    `left=KEY` and `right=KEY` are what the buttons of a form add: that one of `column` changes places with a neighbour.

    Raises:
        Invalid: a parameter or a value that does not exist; the message says which do.
    """
    given: dict[str, Any] = {}
    many = {name for name, field in Look.model_fields.items() if field.default == ()}
    for name, value in parameters:
        if name in many:
            given[name] = (*given.get(name, ()), *filter(None, [value]))
        elif value.strip():
            given[name] = value
    for name, places in (("left", -1), ("right", 1)):
        given["column"] = _moved(given.get("column", ()), given.pop(name, ""), places)
    if unknown := [name for name in given if name not in Look.model_fields]:
        raise _invalid(
            f"A board has no filter {unknown[0][:FILTER_LENGTH]!r}. There are: {', '.join(Look.model_fields)}."
        )
    try:
        return Look(**given)
    except ValidationError as error:
        raise _invalid(_words(error.errors()[0])) from error


def _moved(keys: Sequence[str], key: str, places: int) -> tuple[str, ...]:
    """The keys, one of them so many places further; what is not there or has no room stays."""
    order = list(dict.fromkeys(keys))
    if key in order and 0 <= (place := order.index(key) + places) < len(order):
        order.remove(key)
        order.insert(place, key)
    return tuple(order)


def _words(problem: Mapping[str, Any]) -> str:
    name = str(problem["loc"][0])
    what = Look.model_fields[name].description
    return (
        f"The filter {name}{f' ({what})' if what else ''} cannot be {str(problem['input'])[:80]!r}: {problem['msg']}."
    )


def _invalid(message: str) -> Invalid:
    return Invalid(message, code="unknown_filter")
