"""The registry of task types: which columns each reads, which metric counts."""

from dataclasses import dataclass

from app.errors import Invalid

DEFAULT_SUBSET = "default"
RETRIEVAL_CUTOFFS = (1, 3, 5, 10, 20, 100, 1000)
RETRIEVAL_FAMILY = ("Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking")
"""The task types of queries and documents with ids."""
PAIR_MEASURES = ("cosine", "similarity", "dot", "euclidean", "manhattan")
"""How the sentences of a pair are compared; `similarity` is the model's own way."""
OWN_SCALE = frozenset({"mae", "mse", "r2", "rmse"})
"""Metrics without bounds, shown as they are; all others are shown times 100."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column, JSON key or file of an upload."""

    name: str
    help: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class TaskType:
    """One task type; `main_metric` is the one that a board shows, by MTEB's name."""

    name: str
    abbreviation: str
    title: str
    main_metric: str
    summary: str
    fields: tuple[Field, ...]

    @property
    def learns(self) -> bool:
        """Whether something is trained on the vectors of a split train."""
        return _SPLIT in self.fields


_SUBSET = Field("subset", "a name for a part that gets a score of its own, such as a language", required=False)
_SPLIT = Field("split", "train or test (or give a zip with train.* and test.*)")
_CORPUS = Field("corpus.jsonl", "one document a line: _id, text, title (optional)")
_QUERIES = Field("queries.jsonl", "one query a line: _id, text")
_INSTRUCTED = Field("queries.jsonl", "one query a line: _id, text, instruction")
_QRELS = Field("qrels/test.tsv", "query-id, corpus-id, score; a whole number, 0 = irrelevant")
_CANDIDATES = Field("top_ranked/test.jsonl", "the candidates of one query a line: query-id, corpus-ids (a list)")
_PAIR = (Field("sentence1", "the one sentence"), Field("sentence2", "the other"))

_ALL = (
    TaskType(
        "Retrieval",
        "Retr.",
        "Retrieval",
        "ndcg_at_10",
        "Queries, a corpus and graded relevance, as a BEIR zip.",
        (_CORPUS, _QUERIES, _QRELS),
    ),
    TaskType(
        "Reranking",
        "Rerank.",
        "Reranking",
        "map_at_1000",
        "Queries, each with candidates of its own: a table, or a BEIR zip with top_ranked.",
        (
            Field("query", "the query"),
            Field("positive", "a list of relevant texts"),
            Field("negative", "a list of irrelevant texts"),
            _SUBSET,
        ),
    ),
    TaskType(
        "InstructionRetrieval",
        "I.Retr.",
        "Instruction retrieval",
        "ndcg_at_20",
        "Retrieval whose queries say what counts as relevant, as a BEIR zip.",
        (_CORPUS, _INSTRUCTED, _QRELS),
    ),
    TaskType(
        "InstructionReranking",
        "I.Rerank.",
        "Instruction reranking",
        "p-MRR",
        "Does a changed instruction change the ranking? A BEIR zip whose queries come in pairs, x-og and x-changed.",
        (
            _CORPUS,
            _INSTRUCTED,
            _QRELS,
            _CANDIDATES,
            Field("qrel_diff.jsonl", "what a change makes irrelevant, one pair a line: query-id (x), corpus-ids"),
        ),
    ),
    TaskType(
        "STS",
        "STS",
        "Semantic textual similarity",
        "cosine_spearman",
        "Sentence pairs with a gold similarity.",
        (*_PAIR, Field("score", "a number; higher is more alike"), _SUBSET),
    ),
    TaskType(
        "Summarization",
        "Summ.",
        "Summarization",
        "cosine_spearman",
        "Texts with summaries by people, and judged summaries by machines.",
        (
            Field("text", "the text"),
            Field("human_summaries", "a list of summaries by people"),
            Field("machine_summaries", "a list of summaries by machines"),
            Field("relevance", "a list with a number for each machine summary; higher is better"),
            _SUBSET,
        ),
    ),
    TaskType(
        "PairClassification",
        "Pair",
        "Pair classification",
        "max_ap",
        "Sentence pairs that match or do not.",
        (*_PAIR, Field("label", "1 = they match, 0 = they do not"), _SUBSET),
    ),
    TaskType(
        "Classification",
        "Class.",
        "Classification",
        "accuracy",
        "Labelled texts: a classifier learns from train and is tested on test.",
        (Field("text", "the text"), Field("label", "its class"), _SPLIT, _SUBSET),
    ),
    TaskType(
        "MultilabelClassification",
        "Multi.",
        "Multilabel classification",
        "accuracy",
        "Texts that can have several classes.",
        (Field("text", "the text"), Field("labels", "a list of its classes; it may be empty"), _SPLIT, _SUBSET),
    ),
    TaskType(
        "Regression",
        "Regr.",
        "Regression",
        "kendalltau",
        "Texts with a number to predict.",
        (Field("text", "the text"), Field("value", "its number"), _SPLIT, _SUBSET),
    ),
    TaskType(
        "Clustering",
        "Clust.",
        "Clustering",
        "v_measure",
        "Texts with topics to find again.",
        (
            Field("text", "the text"),
            Field("label", "its topic, or a list of topics from coarse to fine"),
            Field("set", "which set it is in, where each set is clustered by itself", required=False),
            _SUBSET,
        ),
    ),
    TaskType(
        "BitextMining",
        "Bitext",
        "Bitext mining",
        "f1",
        "Sentences and their translations, to find again.",
        (Field("sentence1", "a sentence"), Field("sentence2", "its translation"), _SUBSET),
    ),
)

TASK_TYPES: dict[str, TaskType] = {task_type.name: task_type for task_type in _ALL}


def task_type(name: str) -> TaskType:
    """The task type of that name.

    Raises:
        Invalid: code `unknown_task_type`, naming the ones there are.
    """
    try:
        return TASK_TYPES[name]
    except KeyError:
        problem = f"There is no task type {name!r}." if name else "No task type was given."
        names = ", ".join(TASK_TYPES)
        raise Invalid(f"{problem} Choose one of: {names}.", code="unknown_task_type") from None
