"""Where one model is better than another: the same test, slice by slice. To look around, not to decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from app.core.resampling import Strata, Stratum, units_of
from app.core.significance import FEW, benjamini_hochberg, compare_strata
from app.core.slicing import Slice, slices
from app.core.verdicts import Judgement, judge
from app.services.evidence import PairedCell, paired
from app.services.examples import facts
from app.services.examples.matchups import CellMatch, Matchup

RESAMPLES: Final = 2_000
"""Fewer than for a verdict: there are many slices, and each is a hint."""
_KEPT: Final = 32


@dataclass(frozen=True, slots=True, eq=False)
class ComparedSlice:
    """Two models on one slice.

    Attributes:
        label: the number of its label; None for other slices.
        examples: how many there are.
        a: the first model's score on them, each cell counting as much as another; `b` the second one's.
        judgement: with p adjusted over all slices; below 30 examples with its own p, and no verdict.
    """

    group: str
    name: str
    label: int | None
    examples: int
    a: float
    b: float
    judgement: Judgement

    @property
    def decided(self) -> bool:
        """Whether there are enough examples for a verdict."""
        return self.judgement.difference.interval.n >= FEW


@dataclass(frozen=True, slots=True, eq=False)
class SliceTable:
    """All slices of two models on a dataset.

    Attributes:
        rows: group by group.
        judged: over how many of them p was adjusted.
        why_not: what keeps a dataset from being sliced; "" where it is.
    """

    rows: tuple[ComparedSlice, ...]
    judged: int
    why_not: str = ""


def compare_slices(matchup: Matchup) -> SliceTable:
    """Test every slice.

    Raises:
        NotFound: code `evidence_missing` or `dataset_missing`.
    """
    return _compared(matchup.path, matchup.dataset.task_type, matchup.cells, matchup.margin)


@lru_cache(maxsize=_KEPT)
def _compared(path: Path, task_type: str, cells: Sequence[CellMatch], margin: float) -> SliceTable:
    pairs = paired([cell.a for cell in cells], [cell.b for cell in cells])
    if not pairs:
        return SliceTable((), 0, f"A score on {task_type} is no sum over texts, so a part of them has none.")
    if not all(pair.is_mean for pair in pairs):
        why = "The metric is computed from all examples together: an example has no score of its own to take a mean of."
        return SliceTable((), 0, why)
    traits = [facts.traits(path, task_type, (pair.split, pair.subset)).at(pair.place) for pair in pairs]
    found = slices(traits)
    if not found:
        return SliceTable((), 0, "The examples do not differ in anything that slices are made of.")
    differences = [compare_strata(_strata(pairs, one), resamples=RESAMPLES) for one in found]
    enough = [place for place, difference in enumerate(differences) if difference.interval.n >= FEW]
    adjusted = dict(zip(enough, benjamini_hochberg([differences[place].p for place in enough]).tolist(), strict=True))
    rows = tuple(
        ComparedSlice(
            one.group,
            one.name,
            one.label,
            len(one),
            *_means(pairs, one),
            judge(difference, adjusted_p=adjusted.get(place), margin=margin),
        )
        for place, (one, difference) in enumerate(zip(found, differences, strict=True))
    )
    return SliceTable(rows, len(enough))


def _strata(pairs: Sequence[PairedCell], one: Slice) -> Strata:
    """The differences of a slice; each cell that has some counts as much as another."""
    chosen = [(pair, flags) for pair, flags in zip(pairs, one.members, strict=True) if flags.any()]
    return [
        Stratum(
            units_of((pair.a - pair.b)[flags], None if pair.clusters is None else pair.clusters[flags]),
            1 / len(chosen),
        )
        for pair, flags in chosen
    ]


def _means(pairs: Sequence[PairedCell], one: Slice) -> tuple[float, float]:
    """The two models' scores on a slice."""
    chosen = [(pair, flags) for pair, flags in zip(pairs, one.members, strict=True) if flags.any()]
    return (
        float(np.mean([pair.a[flags].mean() for pair, flags in chosen])),
        float(np.mean([pair.b[flags].mean() for pair, flags in chosen])),
    )
