"""Does a run that is repeated give the same score? If not, what changed between the two."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, select
from sqlalchemy.orm import Session, aliased

from app.db.tables import JobState, Run

TOLERANCE: Final = 0.001
"""Scores of one model on the same texts that differ by more call for an explanation; on the metric's scale."""

_COMPARED: Final = {
    "revision": "model revision",
    "device": "device",
    "dtype": "computed in",
    "precision": "compared as",
    "backend": "backend",
    "similarity": "similarity",
    "max_tokens": "longest text",
    "dimensions": "dimensions",
    "batch_tokens": "batch",
    "prompts": "prompts",
}
"""What a score may hang on, by its name in a run's provenance, in words; the libraries' versions come on top."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was otherwise in the earlier run; both "" where only the fact of a change may be told."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Repeat:
    """A run beside the one before it of the same model on the same texts.

    Attributes:
        run_id: the earlier one.
        before: its main score.
        after: that of the later one.
        fresh: whether the later one encoded every text anew.
        changes: what may explain a difference.
    """

    run_id: int
    before: float
    after: float
    fresh: bool
    changes: tuple[Change, ...]

    @property
    def difference(self) -> float:
        """How much higher the later score is."""
        return self.after - self.before

    @property
    def differs(self) -> bool:
        """Whether by more than `TOLERANCE`, rounding aside."""
        return abs(self.difference) > TOLERANCE * (1 + 1e-9)


def repeat_of(session: Session, run_id: int) -> Repeat | None:
    """The run beside the last finished one before it; None where one of the two has no result."""
    earlier = aliased(Run)
    query = (
        select(earlier, Run)
        .join(
            Run,
            and_(
                Run.model_id == earlier.model_id,
                Run.dataset_revision_id == earlier.dataset_revision_id,
                Run.id > earlier.id,
            ),
        )
        .where(Run.id == run_id, Run.main_score.is_not(None))
        .where(earlier.state == JobState.DONE, earlier.main_score.is_not(None))
        .order_by(earlier.id.desc())
        .limit(1)
    )
    found = session.execute(query).one_or_none()
    before, after = found if found is not None else (None, None)
    if before is None or after is None or before.main_score is None or after.main_score is None:
        return None
    changes = _changes(before.provenance or {}, after.provenance or {})
    return Repeat(before.id, before.main_score, after.main_score, after.fresh, changes)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    found = [
        Change(words, *(("", "") if name == "prompts" else (_text(before.get(name)), _text(after.get(name)))))
        for name, words in _COMPARED.items()
        if before.get(name) != after.get(name)
    ]
    own, other = (known.get("versions") or {} for known in (before, after))
    found += [
        Change(name, _text(own.get(name)), _text(other.get(name)))
        for name in sorted(own.keys() | other.keys())
        if own.get(name) != other.get(name)
    ]
    return tuple(found)


def _text(value: Any) -> str:
    return "none" if value is None else str(value)
