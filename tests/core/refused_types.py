"""Files that must be refused for what their task type asks, and choices that fit no file."""

import json

from app.core.formats import Choices
from tests.core.refused_files import CORPUS, GOOD_STS, QRELS, TRAIN, Case, beir, zipped


def table(task_type: str, name: str, content: str, code: str, row: int | None = None, column: str = "", **more) -> Case:
    return Case(f"{task_type}: {name}", content, code, row, column, task_type=task_type, **more)


def lines(task_type: str, name: str, rows: list, code: str, row: int | None = None, column: str = "", **more) -> Case:
    content = "".join(json.dumps(row) + "\n" for row in rows)
    return table(task_type, name, content, code, row, column, filename="data.jsonl", **more)


def zip_of(task_type: str, name: str, files: dict, code: str, row: int | None = None, column: str = "", **more) -> Case:
    return Case(f"{task_type}: {name}", zipped(files), code, row, column, "set.zip", task_type, **more)


def chosen(name: str, task_type: str, content: str | bytes, code: str, column: str, **more) -> Case:
    choices = {key: more.pop(key) for key in ("splits", "ignore_identical_ids", "cluster_sets") if key in more}
    return Case(f"chosen: {name}", content, code, None, column, task_type=task_type, choices=Choices(**choices), **more)


PAIRS = "sentence1,sentence2,label\na,b,1\nc,d,0\n"
SUMMARY = {"text": "t", "human_summaries": ["h"], "machine_summaries": ["m", "n"], "relevance": [1, 2]}
MULTI = "text,labels,split\n" + "".join(f't{i},"[""{label}""]",train\n' for i, label in enumerate("xyxyx"))
MULTI_TEST = 't,"[""x""]",test\n'
VALUES = "text,value,split\na,1,train\nb,2,train\nc,3,test\nd,4,test\n"
TOPICS = "text,label\na,x\nb,y\n"
JUDGED = {"query": "q", "positive": ["p"], "negative": ["n"]}

RANKED = '{"query-id":"q1","corpus-ids":["d1","d2"]}\n{"query-id":"q2","corpus-ids":["d2"]}\n'
INSTRUCTED = '{"_id":"a-og","text":"eins","instruction":"i"}\n{"_id":"a-changed","text":"eins","instruction":"not i"}\n'
FOLLOWED = {
    "corpus.jsonl": CORPUS,
    "queries.jsonl": INSTRUCTED,
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\na-og\td1\t1\na-changed\td2\t1\n",
    "top_ranked/test.tsv": "query-id\tcorpus-id\na-og\td1\na-og\td2\na-changed\td1\na-changed\td2\n",
    "qrel_diff.jsonl": '{"query-id":"a","corpus-ids":["d1"]}\n',
}


def reranking(name: str, ranked: str, code: str, row: int | None = None, column: str = "", **more) -> Case:
    content = beir(**{"top_ranked/test.jsonl": ranked})
    return Case(f"Reranking: {name}", content, code, row, column, "set.zip", "Reranking", **more)


def following(
    name: str, changed: dict[str, str | None], code: str, row: int | None = None, column: str = "", **more
) -> Case:
    files = {file: text for file, text in {**FOLLOWED, **changed}.items() if text is not None}
    return zip_of("InstructionReranking", name, files, code, row, column, **more)


TASK_TYPES_AND_CHOICES = [
    # Pair classification and bitext mining
    *(
        table(
            "PairClassification", f"label {label!r}", PAIRS + f"e,f,{label}\n", "bad_label", 4, "label", hint="0 nor 1"
        )
        for label in ("2", "-1", "0.5", "1.0", "yes", "")
    ),
    lines("PairClassification", "null", [{"sentence1": "a", "sentence2": "b", "label": None}], "bad_label", 1, "label"),
    table("PairClassification", "only matches", PAIRS.replace("0", "true"), "one_class", None, "label"),
    table(
        "PairClassification",
        "only matches in a subset",
        "sentence1,sentence2,label,language\na,b,1,de\nc,d,0,de\ne,f,1,en\n",
        "one_class",
        None,
        "label",
        hint='"en"',
    ),
    table("BitextMining", "a blank translation", "sentence1,sentence2\na,b\nc, \n", "blank_text", 3, "sentence2"),
    table("BitextMining", "one column", "sentence1\na\n", "missing_column", 1, "sentence2"),
    # Summarization
    lines("Summarization", "no list", [SUMMARY, {**SUMMARY, "relevance": 3}], "not_a_list", 2, "relevance"),
    lines("Summarization", "an empty list", [{**SUMMARY, "human_summaries": []}], "empty_list", 1, "human_summaries"),
    lines(
        "Summarization",
        "a blank summary",
        [{**SUMMARY, "machine_summaries": ["m", " "]}],
        "blank_text",
        1,
        "machine_summaries",
        hint="entry 2",
    ),
    lines("Summarization", "a word", [{**SUMMARY, "relevance": [1, "good"]}], "bad_number", 1, "relevance"),
    lines("Summarization", "NaN", [{**SUMMARY, "relevance": [1, float("nan")]}], "not_finite", 1, "relevance"),
    lines(
        "Summarization",
        "three scores for two summaries",
        [SUMMARY, {**SUMMARY, "relevance": [1, 2, 3]}],
        "unequal_lists",
        2,
        "relevance",
        hint="3 entries for 2",
    ),
    lines("Summarization", "all alike", [{**SUMMARY, "relevance": [2, 2]}], "constant_scores", None, "relevance"),
    table(
        "Summarization",
        "no JSON in the cell",
        "text,human_summaries,machine_summaries,relevance\nt,h,[],[1]\n",
        "not_a_list",
        2,
        "human_summaries",
        total=2,
    ),
    # Classes
    table("MultilabelClassification", "a plain text", MULTI + "t,x,test\n", "not_a_list", 7, "labels", hint='["one", '),
    table("MultilabelClassification", "half a list", MULTI + 't,"[""x""",test\n', "not_a_list", 7, "labels"),
    table("MultilabelClassification", "blank", MULTI + "t,,test\n", "not_a_list", 7, "labels", hint="[] for none"),
    table("MultilabelClassification", "a fraction", MULTI + "t,[1.5],test\n", "wrong_type", 7, "labels"),
    table("MultilabelClassification", "too deep", MULTI + f"t,{'[' * 99_999},test\n", "not_a_list", 7, "labels"),
    table(
        "MultilabelClassification",
        "too long a label",
        MULTI + f't,"[""{"x" * 1001}""]",test\n',
        "field_too_long",
        7,
        "labels",
        status=413,
        hint="entry 1",
    ),
    table("MultilabelClassification", "no split", "text,labels\nt,[]\n", "missing_column", 1, "split"),
    table(
        "MultilabelClassification",
        "one label",
        MULTI.replace("y", "x") + MULTI_TEST,
        "one_class",
        None,
        "labels",
    ),
    table(
        "MultilabelClassification",
        "four labelled rows",
        MULTI.replace('t4,"[""x""]"', "t4,[]") + MULTI_TEST,
        "too_few_samples",
        None,
        "labels",
    ),
    table("MultilabelClassification", "no label in test", MULTI + "t,[],test\n", "no_labels", None, "labels"),
    table("MultilabelClassification", "no train", "text,label,split\nt,[1],test\n", "no_train_rows", None, "split"),
    table("Regression", "a word", VALUES + "e,much,test\n", "bad_number", 6, "value"),
    table("Regression", "all test values alike", VALUES.replace("4", "3"), "constant_scores", None, "value"),
    table("Regression", "all train values alike", VALUES.replace("2", "1"), "constant_scores", None, "value"),
    table("Regression", "no test", VALUES.replace("test", "train"), "no_test_rows", None, "split"),
    table("Regression", "label for value", VALUES.replace("value", "label"), "missing_column", 1, "value"),
    # Clustering
    table("Clustering", "blank topic", TOPICS + "c, \n", "blank_name", 4, "label"),
    table("Clustering", "no topics", TOPICS + "c,[]\n", "empty_list", 4, "label"),
    table("Clustering", "a blank subtopic", TOPICS + 'c,"[""x"",""""]"\n', "blank_name", 4, "label", hint="entry 2"),
    table("Clustering", "one topic", TOPICS.replace("y", "x"), "one_class", None, "label"),
    table("Clustering", "no topic column", "text,topic\na,x\n", "missing_column", 1, "label"),
    table("Clustering", "half the old form", "sentences,topic\n[],x\n", "missing_column", 1, "labels"),
    table("Clustering", "blank set", "text,label,set\na,x,1\nb,y,\n", "blank_name", 3, "set"),
    table(
        "Clustering",
        "several topics in whole sets",
        'text,label,set\na,"[""x"",""y""]",1\nb,y,1\n',
        "several_topics",
        None,
        "label",
    ),
    lines(
        "Clustering",
        "a topic too few",
        [{"sentences": ["a", "b"], "labels": ["x"]}],
        "unequal_lists",
        1,
        "labels",
        hint="1 entries for 2 sentences",
    ),
    # Reranking from a table
    lines("Reranking", "a text for a list", [JUDGED, {**JUDGED, "positive": "p"}], "not_a_list", 2, "positive"),
    lines("Reranking", "a blank candidate", [{**JUDGED, "negative": ["n", ""]}], "blank_text", 1, "negative"),
    lines("Reranking", "nothing to choose from", [{**JUDGED, "negative": []}], "no_rows"),
    zip_of("Reranking", "neither table nor corpus", {"a.txt": "x"}, "missing_file"),
    # Reranking from BEIR
    zip_of(
        "Reranking", "no candidates", {"corpus.jsonl": CORPUS}, "missing_file", total=2, hint="top_ranked/test.jsonl"
    ),
    Case("Reranking: no candidates of the split", beir(), "missing_file", None, "", "set.zip", "Reranking"),
    reranking(
        "a query without candidates", RANKED.split("\n")[0], "query_without_candidates", 2, "_id", file="queries.jsonl"
    ),
    reranking("an unknown candidate", RANKED.replace('"d1"', '"d9"'), "unknown_document", 1, "corpus-ids"),
    reranking("candidates of an unknown query", RANKED.replace("q2", "q9"), "unknown_query", 2, "query-id"),
    reranking("a candidate twice", RANKED.replace('["d2"]', '["d2","d2"]'), "duplicate_candidate", 2, "corpus-ids"),
    reranking("an empty list", RANKED.replace('["d2"]', "[]"), "empty_list", 2, "corpus-ids"),
    reranking(
        "a second list", RANKED + RANKED.split("\n")[0], "duplicate_id", 3, "query-id", file="top_ranked/test.jsonl"
    ),
    reranking("no list", RANKED.replace('["d2"]', '"d2"'), "not_a_list", 2, "corpus-ids"),
    Case(
        "Reranking: a candidate twice in a table",
        beir(**{"top_ranked/test.tsv": "query-id\tcorpus-id\nq1\td1\nq2\td2\nq1\td1\n"}),
        "duplicate_candidate",
        4,
        "corpus-id",
        "set.zip",
        "Reranking",
    ),
    Case(
        "Reranking: two files with candidates",
        beir(**{"top_ranked/test.jsonl": RANKED, "top_ranked/test.tsv": "x"}),
        "doubled_split",
        filename="set.zip",
        task_type="Reranking",
    ),
    # Instructions
    *(
        Case("one table", GOOD_STS, "unsupported_file", task_type=name, status=415, hint="queries.jsonl")
        for name in ("InstructionRetrieval", "InstructionReranking")
    ),
    Case(
        "InstructionRetrieval: no instruction",
        beir(),
        "no_instruction",
        None,
        "instruction",
        "set.zip",
        "InstructionRetrieval",
        file="queries.jsonl",
    ),
    following("no changes", {"qrel_diff.jsonl": None}, "missing_file", hint="qrel_diff.jsonl"),
    following("only empty changes", {"qrel_diff.jsonl": '{"query-id":"a","corpus-ids":[]}\n'}, "no_changes"),
    following(
        "changes of an unknown pair",
        {"qrel_diff.jsonl": '{"query-id":"b","corpus-ids":["d1"]}\n'},
        "unknown_query",
        1,
        "query-id",
        total=2,
        hint='"b-og"',
    ),
    following(
        "an unknown changed document",
        {"qrel_diff.jsonl": '{"query-id":"a","corpus-ids":["d1","d9"]}\n'},
        "unknown_document",
        1,
        "corpus-ids",
    ),
    following(
        "a query that is no half of a pair",
        {
            "queries.jsonl": INSTRUCTED + '{"_id":"b","text":"zwei"}\n',
            "qrels/test.tsv": FOLLOWED["qrels/test.tsv"] + "b\td1\t1\n",
            "top_ranked/test.tsv": FOLLOWED["top_ranked/test.tsv"] + "b\td1\n",
        },
        "unpaired_query",
        3,
        "_id",
        file="queries.jsonl",
    ),
    following(
        "an instruction for an unknown query",
        {"instructions.jsonl": '{"query-id":"b","instruction":"i"}\n'},
        "unknown_query",
        1,
        "query-id",
        file="instructions.jsonl",
    ),
    following(
        "a blank instruction",
        {"instructions.jsonl": '{"query-id":"a-og","instruction":" "}\n'},
        "blank_text",
        1,
        "instruction",
    ),
    following(
        "two instructions for a query",
        {"instructions.jsonl": '{"query-id":"a-changed","instruction":"something else"}\n'},
        "contradiction",
        2,
        "instruction",
        file="queries.jsonl",
    ),
    following(
        "an instruction twice",
        {"instructions.jsonl": '{"query-id":"a-og","instruction":"i"}\n' * 2},
        "duplicate_id",
        2,
        "query-id",
    ),
    # Folders of subsets
    zip_of(
        "Retrieval",
        "a subset without queries",
        {
            **{f"de/{name}": "x" for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")},
            "en/corpus.jsonl": CORPUS,
            "en/qrels/test.tsv": QRELS,
        },
        "missing_file",
        hint='"en/queries.jsonl"',
    ),
    zip_of(
        "Retrieval",
        "a subset without the scored split",
        {
            f"{subset}/{name}": CORPUS
            for subset, split in (("de", "test"), ("en", "dev"))
            for name in ("corpus.jsonl", "queries.jsonl", f"qrels/{split}.tsv")
        },
        "no_test_rows",
        None,
        "split",
        hint="en/qrels/test.tsv",
    ),
    zip_of("Retrieval", "the default subset twice", {"corpus.jsonl": "", "default/corpus.jsonl": ""}, "doubled_split"),
    zip_of(
        "Classification",
        "a folder without train",
        {"de/train.csv": "text,label\n" + TRAIN.replace(",train", ""), "de/test.csv": TOPICS, "en/test.csv": TOPICS},
        "no_train_rows",
        None,
        "split",
        hint='"en"',
    ),
    zip_of(
        "STS",
        "too long a name of a subset",
        {"x" * 1001 + "/test.csv": GOOD_STS, "a": ""},
        "unsafe_name",
        None,
        "subset",
    ),
    # Choices
    chosen(
        "a split that is not there", "STS", GOOD_STS, "unknown_split", "split", splits=("test", "dev"), hint='"test"'
    ),
    chosen("no name of a split", "STS", GOOD_STS, "bad_choice", "splits", splits=("a b",)),
    chosen("train of a type that learns", "Regression", VALUES, "bad_choice", "splits", splits=("train",)),
    chosen("documents in STS", "STS", GOOD_STS, "bad_choice", "ignore_identical_ids", ignore_identical_ids=True),
    chosen("sets in STS", "STS", GOOD_STS, "bad_choice", "cluster_sets", cluster_sets=2),
    chosen("no sets", "Clustering", TOPICS, "bad_choice", "cluster_sets", cluster_sets=0),
    chosen("too many sets", "Clustering", TOPICS, "bad_choice", "cluster_sets", cluster_sets=3, hint="2 texts"),
    chosen(
        "sets of sets",
        "Clustering",
        "text,label,set\na,x,1\nb,y,1\n",
        "bad_choice",
        "cluster_sets",
        cluster_sets=2,
        hint="sets of its own",
    ),
    chosen(
        "judgements that are not there",
        "Retrieval",
        beir(),
        "unknown_split",
        "split",
        splits=("test_2",),
        filename="set.zip",
        hint='"test"',
    ),
]
