"""Summarization: are the machine summaries that people find good the ones that are nearest to people's own?"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.core.records import SummarizationData
from worker.encoders.base import IntArray, Similarity
from worker.scoring.base import CellScores, Matrix, Part, Source, Tick
from worker.scoring.similarity import Pairs, Values, compare, dot, gather, own
from worker.scoring.sts import pearson, spearman

_MAIN: Final = "cosine_spearman"


@dataclass(frozen=True, slots=True)
class JudgedSummaries:
    """The summaries of one text.

    Attributes:
        machine: shape (m,), rows of the vectors of the summaries by machines.
        human: shape (h,), of those by people; h at least 1.
        gold: shape (m,), how good people find each machine summary, on any scale; higher is better.
    """

    machine: IntArray
    human: IntArray
    gold: npt.NDArray[np.float64]


class SummarizationTask:
    """See `worker.scoring.base.Task`."""

    def parts(self, data: SummarizationData) -> tuple[Part, ...]:
        """The summaries; the texts themselves are not compared."""
        return (
            Part("human summary", None, tuple(one for text in data.texts for one in text.human_summaries)),
            Part("machine summary", None, tuple(one for text in data.texts for one in text.machine_summaries)),
        )

    def score(self, data: SummarizationData, source: Source, tick: Tick) -> CellScores:
        """See `score`."""
        human, machine = self.parts(data)
        vectors, rows = gather(source, (*human.texts, *machine.texts))
        humans = np.split(rows[: len(human.texts)], np.cumsum([len(text.human_summaries) for text in data.texts]))
        machines = np.split(rows[len(human.texts) :], np.cumsum([len(text.machine_summaries) for text in data.texts]))
        judged = [
            JudgedSummaries(machines[number], humans[number], np.array(text.relevance, np.float64))
            for number, text in enumerate(data.texts)
        ]
        return score(vectors, judged, source.similarity, tick)


def score(vectors: Matrix, texts: Sequence[JudgedSummaries], similarity: Similarity, tick: Tick) -> CellScores:
    """Within each text the correlation of gold scores with the similarity to the nearest human summary; their means.

    `cosine_spearman` is the main metric. A text whose gold scores, cosines or dot products are all the same is left
    out, as in MTEB.

    Args:
        vectors: shape (different summaries, d).
        texts: at least one.
        similarity: the model's own, for `pearson` and `spearman`.
        tick: see `Tick`.

    Returns:
        Six means of correlations in [-1, 1], higher is better; those that are undefined, because one side is constant
        in some text, are left out, but for the main one, which is NaN where every text is left out. For each machine
        summary its greatest cosine (`similarity`), its `gold` score, and the place of its `text` in the dataset.

    Reference:
        Fabbri et al. 2021, SummEval; MTEB 2.26.24, `AbsTaskSummarization` with `SummarizationEvaluator`.

    Example:
        >>> vectors = np.array([[1, 0], [9, 1], [1, 1], [0, 1]], dtype=np.float32)
        >>> text = JudgedSummaries(np.array([1, 2, 3]), np.array([0]), np.array([5.0, 2.0, 3.0]))
        >>> round(score(vectors, [text], "cosine", lambda: None).metrics["cosine_spearman"], 6)
        0.5
    """
    correlations: defaultdict[str, list[float]] = defaultdict(list)
    nearest = _nearest(vectors, texts, similarity, tick)
    for text, found in zip(texts, nearest, strict=True):
        if any(np.ptp(values) == 0 for values in (text.gold, found["cosine_"], found["dot_"])):
            continue
        for prefix, values in found.items():
            correlations[f"{prefix}pearson"].append(pearson(values, text.gold))
            correlations[f"{prefix}spearman"].append(spearman(values, text.gold))
    means = {name: math.fsum(values) / len(values) for name, values in correlations.items()}
    defined = {name: mean for name, mean in means.items() if not math.isnan(mean)}
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "similarity": np.concatenate([found["cosine_"] for found in nearest]).astype(np.float32),
        "gold": np.concatenate([text.gold for text in texts]),
        "text": np.repeat(np.arange(len(texts), dtype=np.int32), [len(text.machine) for text in texts]),
    }
    return CellScores({_MAIN: math.nan} | defined, "summaries", arrays)


def _nearest(
    vectors: Matrix, texts: Sequence[JudgedSummaries], similarity: Similarity, tick: Tick
) -> list[dict[str, Values]]:
    """By text and the metrics' prefix, shape (m,): each machine summary's similarity to the human one it is nearest to.

    Every pair is multiplied by itself, not as part of a matrix product, so that equal summaries stay exactly equal.
    """
    pairs = Pairs(
        vectors,
        np.concatenate([np.repeat(text.machine, len(text.human)) for text in texts]),
        np.concatenate([np.tile(text.human, len(text.machine)) for text in texts]),
    )
    found = compare(pairs, {"": own(similarity), "cosine_": own("cosine"), "dot_": dot}, tick)
    ends = np.cumsum([len(text.machine) * len(text.human) for text in texts])
    by_text = {prefix: np.split(values, ends[:-1]) for prefix, values in found.items()}
    return [
        {prefix: parts[place].reshape(-1, len(text.human)).max(axis=1) for prefix, parts in by_text.items()}
        for place, text in enumerate(texts)
    ]
