"""Parts of a dataset's examples that are alike in something: where a model is better may show there."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.core.aggregation import Integers

Flags = NDArray[np.bool_]

MOST_LABELS: Final = 10
"""So many labels, the most frequent ones, are slices."""
_NUMBER: Final = re.compile(r"\d")
_OTHER_LETTER: Final = re.compile(r"[^\W\d_\u0000-\u024f\u1e00-\u1eff]")


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """What the examples of one cell are like.

    Attributes:
        chars: shape (n,), how many characters the text has that a model read.
        numbers: shape (n,), whether there is a digit in it.
        other_letters: shape (n,), whether there is a letter in it that is not Latin.
        relevant: shape (n,), how many documents are relevant; None where there are none to be.
        labels: shape (n,), numbers of labels, the same for all cells; None without labels.
    """

    split: str
    subset: str
    chars: Integers
    numbers: Flags
    other_letters: Flags
    relevant: Integers | None = None
    labels: Integers | None = None

    def at(self, places: Integers) -> "Traits":
        """Those of some of the examples."""
        relevant = None if self.relevant is None else self.relevant[places]
        labels = None if self.labels is None else self.labels[places]
        texts = self.chars[places], self.numbers[places], self.other_letters[places]
        return Traits(self.split, self.subset, *texts, relevant, labels)


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Some examples of a dataset.

    Attributes:
        group: what they are alike in, such as "Length".
        name: how, such as "up to 40 characters"; "" for a label, which may not be shown to everybody.
        members: for each cell which of its examples are in it.
        label: the number of their label; None for others.
    """

    group: str
    name: str
    members: tuple[Flags, ...]
    label: int | None = None

    def __len__(self) -> int:
        return sum(int(flags.sum()) for flags in self.members)


def traits_of(
    split: str,
    subset: str,
    texts: Iterable[str],
    relevant: Integers | None = None,
    labels: Integers | None = None,
) -> Traits:
    """The traits of some examples, from what a model read of each.

    Example:
        >>> found = traits_of("test", "default", ["Plan 9", "Tür", "日本"])
        >>> found.chars.tolist(), found.numbers.tolist(), found.other_letters.tolist()
        ([6, 3, 2], [True, False, False], [False, False, True])
    """
    rows = [(len(text), bool(_NUMBER.search(text)), bool(_OTHER_LETTER.search(text))) for text in texts]
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Traits(
        split,
        subset,
        table[:, 0],
        table[:, 1].astype(np.bool_),
        table[:, 2].astype(np.bool_),
        relevant,
        labels,
    )


def slices(cells: Sequence[Traits]) -> tuple[Slice, ...]:
    """All slices that have an example: by part, length, relevant documents, label, numbers and script.

    An example is in one slice of a group, or in none. A group that would be a single slice is left out: it is the
    whole.

    Args:
        cells: the examples of each cell that are compared, at least one.
    """
    return tuple(one for group in _GROUPS for one in _parted(list(group(cells))))


def _parted(found: list[Slice]) -> list[Slice]:
    found = [one for one in found if len(one)]
    return found if len(found) > 1 else []


def _by_cell(cells: Sequence[Traits]) -> Iterator[Slice]:
    several_splits, several_subsets = len({cell.split for cell in cells}) > 1, len({cell.subset for cell in cells}) > 1
    for cell in cells:
        names = (cell.split if several_splits else "", cell.subset if several_subsets else "")
        members = tuple(np.full(len(other.chars), other is cell) for other in cells)
        yield Slice("Part", " ".join(filter(None, names)), members)


def _by_length(cells: Sequence[Traits]) -> Iterator[Slice]:
    low, high = (int(end) for end in np.quantile(np.concatenate([cell.chars for cell in cells]), [1 / 3, 2 / 3]))
    yield _slice(cells, "Length", f"short, up to {low:,} characters", lambda cell: cell.chars <= low)
    between = f"medium, to {high:,} characters"
    yield _slice(cells, "Length", between, lambda cell: (cell.chars > low) & (cell.chars <= high))
    yield _slice(cells, "Length", f"long, over {high:,} characters", lambda cell: cell.chars > high)


def _by_relevant(cells: Sequence[Traits]) -> Iterator[Slice]:
    counts = [cell.relevant for cell in cells if cell.relevant is not None]
    if len(counts) < len(cells):
        return
    for name, least, most in (("1", 1, 1), ("2 or 3", 2, 3), ("4 or more", 4, np.inf)):
        yield Slice("Relevant documents", name, tuple((least <= count) & (count <= most) for count in counts))


def _by_label(cells: Sequence[Traits]) -> Iterator[Slice]:
    labels = [cell.labels for cell in cells if cell.labels is not None]
    if len(labels) < len(cells):
        return
    codes, counts = np.unique(np.concatenate(labels), return_counts=True)
    for code in codes[np.argsort(-counts, kind="stable")][:MOST_LABELS].tolist():
        yield Slice("Label", "", tuple(np.asarray(own == code) for own in labels), label=code)


def _by_number(cells: Sequence[Traits]) -> Iterator[Slice]:
    yield _slice(cells, "Numbers", "contains a number", lambda cell: cell.numbers)
    yield _slice(cells, "Numbers", "contains none", lambda cell: ~cell.numbers)


def _by_script(cells: Sequence[Traits]) -> Iterator[Slice]:
    yield _slice(cells, "Script", "only Latin letters", lambda cell: ~cell.other_letters)
    yield _slice(cells, "Script", "other letters, too", lambda cell: cell.other_letters)


def _slice(cells: Sequence[Traits], group: str, name: str, chosen: Callable[[Traits], Flags]) -> Slice:
    return Slice(group, name, tuple(chosen(cell) for cell in cells))


_GROUPS: Final = (_by_cell, _by_length, _by_relevant, _by_label, _by_number, _by_script)
