"""The registry of task types: which columns each reads, which metrics it reports, which one counts."""

from dataclasses import dataclass

from app.errors import Invalid

DEFAULT_SUBSET = "default"
RETRIEVAL_CUTOFFS = (1, 3, 5, 10, 20, 100, 1000)


@dataclass(frozen=True, slots=True)
class Field:
    """A column or JSON key of an upload."""

    name: str
    help: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class TaskType:
    """One task type. `scored` is False while the engine cannot score it: uploads are then refused."""

    name: str
    abbreviation: str
    title: str
    main_metric: str
    summary: str
    fields: tuple[Field, ...] = ()
    scored: bool = True


_SUBSET = Field("subset", "a name for a part that gets a score of its own, such as a language", required=False)

_ALL = (
    TaskType(
        "Retrieval",
        "Retr.",
        "Retrieval",
        "ndcg_at_10",
        "Queries, a corpus and graded relevance, as a BEIR zip.",
        (
            Field("corpus.jsonl", "one document a line: _id, text, title (optional)"),
            Field("queries.jsonl", "one query a line: _id, text"),
            Field("qrels/test.tsv", "query-id, corpus-id, score; a whole number, 0 = irrelevant"),
        ),
    ),
    TaskType(
        "STS",
        "STS",
        "Semantic textual similarity",
        "cosine_spearman",
        "Sentence pairs with a gold similarity.",
        (
            Field("sentence1", "the one sentence"),
            Field("sentence2", "the other"),
            Field("score", "a number; higher is more alike"),
            _SUBSET,
        ),
    ),
    TaskType(
        "Classification",
        "Class.",
        "Classification",
        "accuracy",
        "Labelled texts: a classifier learns from train and is tested on test.",
        (
            Field("text", "the text"),
            Field("label", "its class"),
            Field("split", "train or test (or give a zip with train.* and test.*)"),
            _SUBSET,
        ),
    ),
    TaskType("Reranking", "Rerank.", "Reranking", "map_at_1000", "Queries with their own candidates.", scored=False),
    TaskType(
        "PairClassification", "Pair", "Pair classification", "max_ap", "Pairs that match or do not.", scored=False
    ),
    TaskType("Clustering", "Clust.", "Clustering", "v_measure", "Texts with topics to find again.", scored=False),
    TaskType("BitextMining", "Bitext", "Bitext mining", "f1", "Translations to find again.", scored=False),
    TaskType("Summarization", "Summ.", "Summarization", "cosine_spearman", "Judged summaries.", scored=False),
    TaskType(
        "MultilabelClassification",
        "Multi.",
        "Multilabel classification",
        "accuracy",
        "Texts with labels.",
        scored=False,
    ),
    TaskType("Regression", "Regr.", "Regression", "kendalltau", "Texts with a number to predict.", scored=False),
    TaskType(
        "InstructionRetrieval",
        "I.Retr.",
        "Instruction retrieval",
        "ndcg_at_20",
        "Queries with instructions.",
        scored=False,
    ),
    TaskType(
        "InstructionReranking",
        "I.Rerank.",
        "Instruction reranking",
        "p-MRR",
        "Candidates under changed instructions.",
        scored=False,
    ),
)

TASK_TYPES: dict[str, TaskType] = {task_type.name: task_type for task_type in _ALL}
SCORED = tuple(task_type for task_type in _ALL if task_type.scored)


def task_type(name: str) -> TaskType:
    """The task type of that name.

    Raises:
        Invalid: code `unknown_task_type`, naming the ones there are.
    """
    try:
        return TASK_TYPES[name]
    except KeyError:
        names = ", ".join(known.name for known in SCORED)
        problem = f"There is no task type {name!r}." if name else "No task type was given."
        raise Invalid(f"{problem} Choose one of: {names}.", code="unknown_task_type") from None


def scored_task_type(name: str) -> TaskType:
    """The task type of that name, if this version can score it.

    Raises:
        Invalid: `unknown_task_type`, or `task_type_not_scored` naming the ones that are.
    """
    found = task_type(name)
    if not found.scored:
        names = ", ".join(known.name for known in SCORED)
        raise Invalid(
            f"{found.title} cannot be scored by this version yet, so nothing was stored. It scores: {names}.",
            code="task_type_not_scored",
            details={"fields": {"task_type": f"Not scored yet. Choose one of: {names}."}},
        )
    return found
