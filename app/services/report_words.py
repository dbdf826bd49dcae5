"""How a board's figures were found, in paragraphs that can be pasted into an appendix, and what they refer to."""

from collections.abc import Iterator, Sequence
from typing import Final

from app import __version__
from app.core.board_certainty import BoardCertainty
from app.core.significance import FEW, INDICATIVE
from app.core.verdicts import SIGNIFICANT
from app.services.board_view import BoardView

MTEB_RULES: Final = "2.26.24"
"""Whose metrics and ranking rules the house keeps."""

_CONTRIBUTED: Final = {"STS", "PairClassification", "Regression"}
"""The task types whose metric is no mean over examples."""
_CLUSTERING: Final = "Clustering"


def methods(view: BoardView, tested: Sequence[str]) -> Iterator[str]:
    """Paragraphs about what is shown.

    Args:
        view: of the board.
        tested: the names of the datasets on which all pairs were tested one by one.
    """
    certainty = view.board.certainty
    yield _scores(view)
    if certainty is None:
        return
    yield _by_task(view, certainty) if certainty.by_task else _by_example(view, certainty)
    whole = len(view.datasets) == len(view.board.columns) and bool(certainty.tiers.any())
    if whole or tested:
        yield _tested(view, certainty, tested, whole=whole)


def references(view: BoardView) -> Iterator[str]:
    """One line each, by name."""
    certainty = view.board.certainty
    types = {column.task_type for column in view.shown_columns}
    if certainty is not None:
        yield (
            "B. Carterette (2012). Multiple testing in statistical analysis of systems-based information retrieval "
            "experiments. ACM Transactions on Information Systems 30(1)."
        )
        yield "B. Efron and R. J. Tibshirani (1993). An Introduction to the Bootstrap. Chapman & Hall."
    if certainty is not None and not certainty.by_task and types & _CONTRIBUTED:
        yield "B. Efron (1982). The Jackknife, the Bootstrap and Other Resampling Plans. SIAM."
    yield (
        "N. Muennighoff, N. Tazi, L. Magne and N. Reimers (2023). MTEB: Massive Text Embedding Benchmark. "
        "Proceedings of EACL 2023."
    )
    if certainty is not None:
        yield "P. H. Westfall and S. S. Young (1993). Resampling-Based Multiple Testing. Wiley."


def _scores(view: BoardView) -> str:
    return (
        f"{len(view.order):,} embedding models are compared on {_datasets(len(view.datasets))} with Touchstone "
        f"{__version__}; metrics and ranks follow the rules of MTEB {MTEB_RULES} (Muennighoff et al. 2023). The score "
        "on a dataset is the mean of its main metric over its parts, times 100. Mean (Task) is the mean over "
        "datasets, Mean (TaskType) that of the means of the task types. Models are ranked by Borda count over the "
        "datasets."
    )


def _by_example(view: BoardView, certainty: BoardCertainty) -> str:
    types = {column.task_type for column in view.shown_columns}
    parts = [
        f"Intervals are 95% percentile bootstrap intervals over examples ({certainty.resamples:,} resamples, seed "
        f"{certainty.seed}; Efron and Tibshirani 1993), or Student's where the spread is known from fewer than "
        f"{INDICATIVE} examples. Examples are drawn within each part of a dataset, the same "
        "ones for every model; queries whose only relevant document is the same are drawn together. Intervals of means "
        "average the resampled scores of the datasets; rank intervals rank all models again on every resample.",
    ]
    if own := types & _CONTRIBUTED:
        *first, last = sorted(own)
        names = f"{', '.join(first)} and {last}" if first else last
        parts.append(
            f"For {names}, whose metric is no mean over examples, an example counts with its contribution to the "
            "metric to first order (infinitesimal jackknife; Efron 1982)."
        )
    if _CLUSTERING in types:
        parts.append("For clustering the interval is that of the mean over its repeated draws; it is not tested.")
    return " ".join(parts)


def _by_task(view: BoardView, certainty: BoardCertainty) -> str:
    return (
        "The scores were imported and no value of a single example is known. Intervals of means and ranks are 95% "
        f"percentile bootstrap intervals over the board's {len(view.board.columns):,} tasks ({certainty.resamples:,} "
        f"resamples, seed {certainty.seed}; Efron and Tibshirani 1993): they tell how much the order depends on which "
        "tasks were chosen, not how exact a score is. Single scores have no interval."
    )


def _tested(view: BoardView, certainty: BoardCertainty, tested: Sequence[str], *, whole: bool) -> str:
    """`whole` says whether all datasets are shown and were tested together."""
    board = view.board
    family = (
        "All pairs of models are tested by Tukey's randomised test in its studentised form (single-step max T; "
        "Westfall and Young 1993, Carterette 2012): the signs of all differences within each "
        f"{'task' if certainty.by_task else 'example'} are flipped at random, and the clearest difference between any "
        f"two of the board's {len(board.models):,} models is what chance makes, so that the whole family of pairs errs "
        f"in {SIGNIFICANT:.0%} of cases."
    )
    letters = (
        "A superscript names, by its letter, each model that the model of the row beats with p < "
        f"{SIGNIFICANT} in that family."
    )
    if certainty.by_task:
        where = "The test is of Mean (Task)."
    else:
        mean = f"the mean over the {_datasets(int(certainty.tested.sum()))} with values an example" if whole else ""
        each = f"{_datasets(len(tested))} by itself" if len(tested) == 1 else f"each of {_datasets(len(tested))}"
        what = " and ".join(filter(None, (mean, each if tested else "")))
        where = (
            f"The tests are of {what}; every test is a family of its own. With fewer than {FEW} examples nothing is "
            f"tested, with fewer than {INDICATIVE} a result is indicative."
        )
    return f"{family} {letters} {where}"


def _datasets(count: int) -> str:
    return f"{count:,} {'dataset' if count == 1 else 'datasets'}"
