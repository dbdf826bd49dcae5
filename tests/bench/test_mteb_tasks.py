"""Our datasets as mteb's tasks: what mteb scores in them is what we score, for every task type."""

from pathlib import Path

import numpy as np
import pytest

from app.core.records import (
    BitextMiningData,
    Cell,
    CellData,
    ClassificationData,
    ClusteredText,
    ClusteringData,
    Dataset,
    Document,
    LabelledPair,
    LabelledText,
    MultilabelClassificationData,
    MultilabelText,
    PairClassificationData,
    Query,
    RegressionData,
    RetrievalData,
    SentencePair,
    StsData,
    SummarizationData,
    SummarizedText,
    Translation,
    ValuedText,
)
from app.core.task_types import TASK_TYPES
from bench import our_side
from bench.common import TOLERANCE
from bench.instant import SPEC, Instant, Vectors

COUNT = 40
TEXTS = [f"text {row}" for row in range(3 * COUNT)]
LABELS = ("10", "2", "b", "a")


def retrieval(*, candidates: bool = False, instructed: bool = False, ignore: bool = False) -> RetrievalData:
    ends = ("-og", "-changed") if instructed else ("", "")
    ids = [f"q{row // 2}{ends[row % 2]}" if instructed else f"d{row}" for row in range(8)]
    queries = tuple(Query(name, TEXTS[row], "only new ones" if instructed else "") for row, name in enumerate(ids))
    documents = tuple(Document(f"d{row}", TEXTS[COUNT + row], "A title" if row % 3 else "") for row in range(20))
    qrels = {name: {f"d{row}": 2, f"d{row + 5}": 1, f"d{row + 9}": 0} for row, name in enumerate(ids)}
    own = {name: tuple(f"d{place}" for place in range(row, row + 12)) for row, name in enumerate(ids)}
    changed = {f"q{pair}": (f"d{2 * pair}", f"d{2 * pair + 3}") for pair in range(4)}
    return RetrievalData(
        queries, documents, qrels, own if candidates else None, changed if instructed and candidates else None, ignore
    )


def labelled(count: int, start: int) -> tuple[LabelledText, ...]:
    return tuple(LabelledText(TEXTS[start + row], LABELS[row % 4]) for row in range(count))


DATA: dict[str, tuple[str, CellData]] = {
    "Retrieval": ("Retrieval", retrieval()),
    "identical ids ignored": ("Retrieval", retrieval(ignore=True)),
    "Reranking": ("Reranking", retrieval(candidates=True)),
    "InstructionRetrieval": ("InstructionRetrieval", retrieval(instructed=True)),
    "InstructionReranking": ("InstructionReranking", retrieval(candidates=True, instructed=True)),
    "STS": ("STS", StsData(tuple(SentencePair(TEXTS[row], TEXTS[-1 - row], row % 7 / 2) for row in range(COUNT)))),
    "PairClassification": (
        "PairClassification",
        PairClassificationData(tuple(LabelledPair(TEXTS[row], TEXTS[-1 - row], row % 2) for row in range(COUNT))),
    ),
    "BitextMining": (
        "BitextMining",
        BitextMiningData(tuple(Translation(TEXTS[row], TEXTS[COUNT + row]) for row in range(COUNT))),
    ),
    "Summarization": (
        "Summarization",
        SummarizationData(
            tuple(
                SummarizedText(
                    TEXTS[row], tuple(TEXTS[row + 1 : row + 3]), tuple(TEXTS[row + 3 : row + 7]), (1, 3, 2, 5)
                )
                for row in range(6)
            )
        ),
    ),
    "Classification": ("Classification", ClassificationData(labelled(COUNT, 0), labelled(20, COUNT))),
    "MultilabelClassification": (
        "MultilabelClassification",
        MultilabelClassificationData(
            *(
                tuple(
                    MultilabelText(TEXTS[start + row], ("x", "y", "z")[: row % 3 + 1] if row % 5 else ("y",))
                    for row in range(COUNT)
                )
                for start in (0, COUNT)
            )
        ),
    ),
    "Regression": (
        "Regression",
        RegressionData(
            *(tuple(ValuedText(TEXTS[start + row], row * 1.5) for row in range(COUNT)) for start in (0, COUNT))
        ),
    ),
    "Clustering": (
        "Clustering",
        ClusteringData(tuple(ClusteredText(TEXTS[row], (LABELS[row % 4],)) for row in range(3 * COUNT))),
    ),
    "whole sets": (
        "Clustering",
        ClusteringData(
            tuple(ClusteredText(TEXTS[row], (LABELS[row % 4],), row // COUNT) for row in range(3 * COUNT)), True
        ),
    ),
}


def test_every_task_type_is_here() -> None:
    assert {task_type for task_type, _ in DATA.values()} == set(TASK_TYPES)


@pytest.mark.slow
@pytest.mark.parametrize(("task_type", "data"), DATA.values(), ids=DATA)
def test_mteb_scores_our_records_as_we_do(task_type: str, data: CellData, tmp_path: Path) -> None:
    from bench import mteb_side, mteb_tasks

    dataset = Dataset(task_type, (Cell("test", "default", data),))
    texts = dict.fromkeys(TEXTS)
    if isinstance(data, RetrievalData):
        texts |= dict.fromkeys(query.full_text for query in data.queries)
        texts |= dict.fromkeys(document.full_text for document in data.documents)
    vectors = np.random.default_rng(3).standard_normal((len(texts), 16), np.float32)
    known = Vectors(list(texts), vectors)

    theirs = mteb_side.evaluate(mteb_side.Instant(known), mteb_tasks.from_dataset(dataset))
    ours = our_side.evaluate(dataset, SPEC, encoder=Instant(known), store=tmp_path)

    assert ours == pytest.approx(theirs, abs=TOLERANCE)
    assert TASK_TYPES[task_type].main_metric in ours
