"""What /compare shows of its verdicts: sentences, a table for each pair of models, and all pairs at once."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from app.core.resampling import RESAMPLES, SEED
from app.core.verdicts import Judgement, Verdict, sentence
from app.services.compare import Comparison, compare_address, examples_address
from app.services.verdicts import DatasetVerdict, PairVerdict, Verdicts
from app.web.critical_difference import CriticalDifference, critical_difference
from app.web.difference_chart import Line, Spread, line, reach, spread

MOST_NEEDED: Final = 1_000_000
"""More examples than that are as good as never."""
NOW: Final = "now"
"""The value of `verdicts` in an address that has them computed."""


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A dataset.

    Attributes:
        sentence: the verdict in words; empty without one.
        winner: place of the model that was found better, None for neither.
        needed: about how many examples would settle it; None where that is no question.
        edit: where its margin is changed; empty for those who may not.
    """

    verdict: DatasetVerdict
    sentence: Markup
    winner: int | None
    p_t: float | None
    needed: int | None
    line: Line | None
    spread: Spread | None
    href: str
    edit: str

    @property
    def settles(self) -> str:
        """How many examples would settle it, to two digits; "" where that is no question."""
        if self.needed is None:
            return ""
        return f"{self.needed:,}" if self.needed <= MOST_NEEDED else f"> {MOST_NEEDED:,}"

    @property
    def relative(self) -> str:
        """The difference as a share of the other's score, in whole percent: "+24%"; "" without one."""
        share = self.verdict.relative
        text = "" if share is None else f"{share * 100:+,.0f}%".replace("-", "−")
        return "0%" if text[1:] == "0%" else text

    @property
    def example(self) -> str:
        """One of what is compared."""
        plural = self.verdict.examples
        return "query" if plural == "queries" else plural.removesuffix("s")


@dataclass(frozen=True, slots=True)
class VerdictTable:
    """The baseline beside another model; `widest` is the difference at the ends of the lines."""

    pair: PairVerdict
    sentence: Markup
    rows: tuple[VerdictRow, ...]
    widest: float

    @property
    def counts(self) -> tuple[tuple[int, str], ...]:
        """How often each verdict was found, in words; those that were."""
        pair = self.pair
        found = (
            (pair.count(Verdict.BETTER), "for A"),
            (pair.count(Verdict.WORSE), "for the other"),
            (pair.count(Verdict.EQUAL), "practically equal"),
            (pair.count(Verdict.UNCLEAR), "without evidence"),
            (pair.count(Verdict.TOO_FEW), "with too few examples"),
            (sum(row.verdict.judgement is None for row in self.rows), "not tested"),
        )
        return tuple((count, words) for count, words in found if count)


@dataclass(frozen=True, slots=True)
class VerdictView:
    """The verdicts as the page shows them.

    Attributes:
        address: has them computed, where they are not here yet.
        datasets: how many there are to test.
        tables: one for each model beside the baseline; empty while the verdicts are not here.
        names: of the models.
        p: of all pairs, a row a model; empty for two models.
        pairs_note: what all pairs rest on.
        waits: whether somebody else's verdicts are computed just now.
        final: whether no file was missing that may come back.
    """

    address: str
    datasets: int
    names: tuple[str, ...] = ()
    tables: tuple[VerdictTable, ...] = ()
    diagram: CriticalDifference | None = None
    p: tuple[tuple[float, ...], ...] = ()
    pairs_note: str = ""
    waits: bool = False
    final: bool = False
    resamples: int = RESAMPLES
    seed: int = SEED

    @property
    def is_final(self) -> bool:
        """Whether nothing is still to come, and nothing may come back: such a page can be kept."""
        return self.final or not self.datasets


def pending(comparison: Comparison, *, waits: bool = False) -> VerdictView:
    """While they are not here."""
    address = f"{compare_address(comparison.board.slug, comparison.keys)}&verdicts={NOW}"
    columns = comparison.board.run_ids[list(comparison.places)].astype(bool)
    return VerdictView(address, int((columns[0] & columns[1:].any(axis=0)).sum()), waits=waits)


def verdict_view(comparison: Comparison, found: Verdicts, editable: Collection[str]) -> VerdictView:
    """As they were found; `editable` are the datasets whose margin this person may change."""
    all_pairs = found.all_pairs
    view = pending(comparison)
    return VerdictView(
        address=view.address,
        datasets=view.datasets,
        final=found.final,
        names=found.names,
        tables=tuple(_table(comparison, found, pair, editable) for pair in found.pairs),
        diagram=None
        if all_pairs is None
        else critical_difference(found.names, all_pairs.means.tolist(), all_pairs.p.tolist()),
        p=() if all_pairs is None else tuple(map(tuple, all_pairs.p.tolist())),
        pairs_note=""
        if all_pairs is None
        else f"{all_pairs.n:,} examples of {all_pairs.datasets} {_datasets(all_pairs.datasets)} that all models share",
    )


def _table(comparison: Comparison, found: Verdicts, pair: PairVerdict, editable: Collection[str]) -> VerdictTable:
    names = found.names[0], found.names[pair.other]
    judged = [(row.judgement.difference, row.column.margin) for row in pair.datasets if row.judgement]
    widest = reach(judged)
    keys = found.keys[0], found.keys[pair.other]
    rows = []
    for verdict in pair.datasets:
        slug, judgement = verdict.column.slug, verdict.judgement
        difference = judgement.difference if judgement else None
        rows.append(
            VerdictRow(
                verdict,
                sentence=_sentence(judgement, names, verdict.units) if judgement else Markup(),
                winner=_winner(judgement, pair.other),
                p_t=None if difference is None or math.isnan(difference.p_t) else difference.p_t,
                needed=_needed(judgement),
                line=line(difference, verdict.column.margin, widest) if difference else None,
                spread=spread(verdict.histogram) if verdict.histogram else None,
                href=examples_address(comparison.board.slug, slug, keys) if difference or verdict.draws else "",
                edit=f"{verdict.column.href}/edit#f-margin" if slug in editable else "",
            )
        )
    whole = _sentence(pair.board, names, "examples") if pair.board else Markup()
    return VerdictTable(pair, whole, tuple(rows), widest)


def _sentence(judgement: Judgement, names: tuple[str, str], examples: str) -> Markup:
    """With names that keep their own direction of writing."""
    a, b = (Markup("<bdi>{}</bdi>").format(name) for name in names)
    return escape(sentence(judgement, "{a}", "{b}", examples=examples)).format(a=a, b=b)


def _winner(judgement: Judgement | None, other: int) -> int | None:
    verdict = judgement.verdict if judgement else None
    return {Verdict.BETTER: 0, Verdict.WORSE: other}.get(verdict) if verdict else None


def _needed(judgement: Judgement | None) -> int | None:
    """To two digits, as in the sentence; for a difference that was not found."""
    if judgement is None or judgement.verdict not in {Verdict.UNCLEAR, Verdict.TOO_FEW}:
        return None
    needed = judgement.difference.needed
    return None if needed is None else int(float(f"{needed:.1e}"))


def _datasets(count: int) -> str:
    return "dataset" if count == 1 else "datasets"
