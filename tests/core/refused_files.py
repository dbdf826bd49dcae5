"""Files that must be refused, with what the answer says: what every text table and every BEIR zip can get wrong."""

import io
import zipfile
from dataclasses import dataclass

from app.core.formats import NO_CHOICES, Choices, Limits

STS_HEAD = "sentence1,sentence2,score\n"
GOOD_STS = STS_HEAD + "a,b,1\nc,d,2\n"
CLASS_HEAD = "text,label,split\n"
TRAIN = "t1,x,train\nt2,x,train\nt3,y,train\nt4,y,train\n"
CORPUS = '{"_id":"d1","title":"T","text":"one"}\n{"_id":"d2","text":"two"}\n'
QUERIES = '{"_id":"q1","text":"eins"}\n{"_id":"q2","text":"zwei"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\n"
DEFAULT = Limits()
SMALL = Limits(max_rows=5, max_field_chars=50, max_unpacked_bytes=10_000, max_entries=5)


def beir(corpus: str = CORPUS, queries: str = QUERIES, qrels: str = QRELS, **more: str) -> bytes:
    files = {"corpus.jsonl": corpus, "queries.jsonl": queries, "qrels/test.tsv": qrels, **more}
    return zipped({name: text for name, text in files.items() if text is not None})


def zipped(files: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@dataclass(frozen=True)
class Case:
    name: str
    content: str | bytes
    code: str
    row: int | None = None
    column: str = ""
    filename: str = "data.csv"
    task_type: str = "STS"
    status: int = 422
    total: int = 1
    limits: Limits = DEFAULT
    hint: str = ""
    file: str | None = None
    choices: Choices = NO_CHOICES


def sts(name: str, content: str | bytes, code: str, row: int | None = None, column: str = "", **more) -> Case:
    return Case(name, content, code, row, column, **more)


def jsonl(name: str, content: str | bytes, code: str, row: int | None = None, column: str = "", **more) -> Case:
    return Case(name, content, code, row, column, filename="data.jsonl", **more)


def classes(name: str, rows: str, code: str, row: int | None = None, column: str = "", **more) -> Case:
    return Case(name, CLASS_HEAD + rows, code, row, column, task_type="Classification", **more)


def retrieval(
    name: str, content: bytes, code: str, row: int | None = None, column: str = "", file=None, **more
) -> Case:
    return Case(name, content, code, row, column, "set.zip", "Retrieval", file=file, **more)


GOOD_LINE = '{"sentence1":"a","sentence2":"b","score":1}\n'
DEEP = '{"sentence1":"a","sentence2":"b","score":1,"x":' + "[" * 100_000 + "]" * 100_000 + "}\n"
DEEPISH = '{"sentence1":"a","sentence2":"b","score":1,"x":' + "[" * 40 + "]" * 40 + "}\n"

TABLES_AND_RETRIEVAL = [
    # Nothing there
    sts("empty", b"", "empty_file"),
    sts("only a byte order mark", b"\xef\xbb\xbf", "empty_file"),
    sts("only empty lines", "\n\n\n", "empty_file"),
    sts("header only", STS_HEAD, "no_rows"),
    jsonl("no line", "\n \n", "no_rows"),
    jsonl("empty jsonl", b"", "empty_file"),
    # Encodings
    sts("latin-1", GOOD_STS.encode() + b"caf\xe9,b,1\n", "bad_encoding", 4, hint="Byte 41 "),
    sts("latin-1 in row 2", STS_HEAD.encode() + b"caf\xe9,b,1\n", "bad_encoding", 2, hint="Byte 29 "),
    sts("bad byte within a quoted field of two lines", STS_HEAD.encode() + b'"a\n\xff",b,1\n', "bad_encoding", 2),
    sts("UTF-16", GOOD_STS.encode("utf-16"), "bad_encoding", 1, hint="UTF-16"),
    sts("UTF-16 without mark", GOOD_STS.encode("utf-16-le"), "missing_column", 1, "sentence1", total=3),
    jsonl("surrogate bytes", b'{"sentence1":"\xed\xa0\x80","sentence2":"b","score":1}\n', "bad_encoding", 1),
    # Shape of CSV and TSV
    sts("ragged, too few", GOOD_STS + "a,b\n", "ragged_row", 4),
    sts("ragged, too many", STS_HEAD + "a,b,1,2\nc,d,2\n", "ragged_row", 2, hint="quotation marks"),
    sts("all rows ragged", STS_HEAD + "a,b\nc\n", "ragged_row", 2, total=2),
    sts("unclosed quote", GOOD_STS + '"a,b,3\nc,d,4\n', "unclosed_quote", 4),
    sts("text after a quote", STS_HEAD + '"a"x,b,3\n', "bad_quote", 2),
    sts("a row after a row of two lines", STS_HEAD + '"a\nb",c,3\nd\n', "ragged_row", 3),
    sts("a row after an empty line", STS_HEAD + "\na,b,x\n", "bad_number", 3, "score"),
    sts("old Mac line ends", GOOD_STS.replace("\n", "\r"), "bad_line_end", 1),
    sts("semicolons", GOOD_STS.replace(",", ";"), "wrong_delimiter", 1, hint="semicolons"),
    sts("tabs in .csv", GOOD_STS.replace(",", "\t"), "wrong_delimiter", 1, hint="tabs"),
    sts("commas in .tsv", GOOD_STS, "wrong_delimiter", 1, filename="data.tsv", hint="commas"),
    sts("no score column", "sentence1,sentence2\na,b\n", "missing_column", 1, "score", hint='It has: "sentence1"'),
    sts("no header at all", "a,b,1\nc,d,2\n", "missing_column", 1, "sentence1", total=3),
    sts("doubled column", "sentence1,sentence2,score,score\na,b,1,1\n", "doubled_column", 1, "score"),
    sts("doubled column with NUL", "sentence1,sentence2,score,a\0,a\0\na,b,1,,\n", "doubled_column", 1, r"a\x00"),
    sts("two columns without a name", "sentence1,sentence2,score,,\na,b,1,,\n", "doubled_column", 1, ""),
    sts("NUL", STS_HEAD + "a\0,b,1\nc,d,2\n", "bad_character", 2, "sentence1"),
    # Shape of JSON Lines
    jsonl("not JSON", GOOD_LINE + "{oops\n", "bad_line", 2),
    jsonl("an array", "[1]\n", "bad_line", 1, hint="not an object"),
    jsonl("half a line at the end", GOOD_LINE + GOOD_LINE[:20], "bad_line", 2),
    jsonl("line number counts empty lines", GOOD_LINE + "\n\nx\n", "bad_line", 4),
    jsonl("too deep for the parser", DEEP, "json_too_deep", 1),
    jsonl("too deep for us", DEEPISH, "json_too_deep", 1),
    jsonl("doubled key", '{"score":1,"score":2}\n', "doubled_key", 1, hint='"score"'),
    jsonl("doubled key inside", GOOD_LINE[:-2] + ',"x":{"a":1,"a":1}}\n', "doubled_key", 1),
    jsonl("a number of 5000 digits", '{"score":' + "1" * 5000 + "}\n", "bad_line", 1),
    jsonl("key missing at once", '{"sentence1":"a","score":1}\n', "missing_column", 1, "sentence2"),
    jsonl("key missing later", GOOD_LINE + '{"sentence1":"a","score":1}\n', "missing_column", 2, "sentence2"),
    jsonl("lone surrogate", GOOD_LINE.replace('"a"', '"\\ud800"'), "bad_character", 1, "sentence1"),
    jsonl("escaped NUL", GOOD_LINE.replace('"a"', '"\\u0000"'), "bad_character", 1, "sentence1"),
    jsonl("a number for a text", GOOD_LINE.replace('"a"', "5"), "wrong_type", 1, "sentence1"),
    jsonl("null for a text", GOOD_LINE.replace('"a"', "null"), "blank_text", 1, "sentence1"),
    jsonl("a truth value for a number", GOOD_LINE.replace("1}", "true}"), "bad_number", 1, "score"),
    jsonl("NaN", GOOD_LINE.replace("1}", "NaN}"), "not_finite", 1, "score"),
    jsonl("1e999", GOOD_LINE.replace("1}", "1e999}"), "not_finite", 1, "score"),
    jsonl("a huge whole number", GOOD_LINE.replace("1}", "1" * 400 + "}"), "out_of_range", 1, "score"),
    # Values
    sts("blank text", GOOD_STS + "a, ,1\n", "blank_text", 4, "sentence2"),
    sts("score is a word", GOOD_STS + "a,b,high\n", "bad_number", 4, "score"),
    sts("decimal comma", GOOD_STS + 'a,b,"1,5"\n', "bad_number", 4, "score", hint="point"),
    sts("digits of another script", GOOD_STS + "a,b,１\n", "bad_number", 4, "score"),
    sts("underscore in a number", GOOD_STS + "a,b,1_0\n", "bad_number", 4, "score"),
    sts("no score", GOOD_STS + "a,b,\n", "bad_number", 4, "score"),
    sts("nan", GOOD_STS + "a,b,NaN\n", "not_finite", 4, "score"),
    sts("-inf", GOOD_STS + "a,b,-inf\n", "not_finite", 4, "score"),
    sts("out of range", GOOD_STS + "a,b,1e10\n", "out_of_range", 4, "score"),
    sts("all scores equal", STS_HEAD + "a,b,1\nc,d,1.0\n", "constant_scores", None, "score"),
    sts("a single pair", STS_HEAD + "a,b,1\n", "constant_scores", None, "score"),
    sts(
        "all scores of a subset equal",
        "sentence1,sentence2,score,subset\na,b,1,de\nc,d,2,de\ne,f,3,en\ng,h,3,en\n",
        "constant_scores",
        None,
        "score",
        hint='"en"',
    ),
    sts("bidi in a subset", "sentence1,sentence2,score,subset\na,b,1,x\u202ey\n", "bad_character", 2, "subset"),
    sts("control in a split", "sentence1,sentence2,score,split\na,b,1,te\x07st\n", "bad_character", 2, "split"),
    sts("blank split", "sentence1,sentence2,score,split\na,b,1,\n", "blank_name", 2, "split"),
    sts("train only", "sentence1,sentence2,score,split\na,b,1,train\n", "no_test_rows", None, "split", hint="train"),
    sts(
        "validation and dev but no test",
        "sentence1,sentence2,score,split\na,b,1,dev\na,b,2,validation\n",
        "no_test_rows",
        None,
        "split",
    ),
    # Too large
    sts("too many rows", STS_HEAD + "a,b,1\n" * 6, "too_many_rows", 7, status=413, limits=SMALL),
    sts("too long a field", STS_HEAD + "a" * 51 + ",b,1\n", "field_too_long", 2, status=413, limits=SMALL),
    sts("an endless line", STS_HEAD + "a," * 500, "field_too_long", 2, status=413, limits=SMALL),
    jsonl(
        "too long a JSON text",
        GOOD_LINE.replace('"a"', f'"{"a" * 51}"'),
        "field_too_long",
        1,
        "sentence1",
        status=413,
        limits=SMALL,
    ),
    classes("too long a label", TRAIN + f"t,{'x' * 1001},test\n", "field_too_long", 6, "label", status=413),
    sts(
        "too many subsets",
        "sentence1,sentence2,score,subset\n" + "".join(f"a,b,{i},s{i}\n" for i in range(501)),
        "too_many_subsets",
        502,
        "subset",
        status=413,
    ),
    # Classification
    Case("no split column", "text,label\na,x\n", "missing_column", 1, "split", task_type="Classification"),
    classes("no test rows", TRAIN, "no_test_rows", None, "split"),
    classes("no train rows", "t,x,test\n", "no_train_rows", None, "split"),
    classes("one class only", "a,x,train\nb,x,train\nc,x,test\n", "one_class", None, "label"),
    classes("one sample of a class", TRAIN + "t5,z,train\nt,x,test\n", "too_few_samples", 6, "label", hint='"z"'),
    classes("blank label", TRAIN + "t, ,test\n", "blank_name", 6, "label"),
    classes("bidi in a label", TRAIN + "t,x\u2066,test\n", "bad_character", 6, "label"),
    Case(
        "a label that is a fraction",
        '{"text":"a","label":1.5,"split":"test"}\n',
        "wrong_type",
        1,
        "label",
        "data.jsonl",
        "Classification",
    ),
    Case(
        "train lacks in a subset",
        "text,label,split,subset\na,x,train,de\nb,x,train,de\nc,y,train,de\nd,y,train,de\ne,x,test,de\nf,x,test,en\n",
        "no_train_rows",
        None,
        "split",
        task_type="Classification",
        hint='"en"',
    ),
    Case(
        "the same split twice in a zip",
        zipped({"test.csv": "text,label\na,x\n", "test.tsv": "text\tlabel\na\tx\n"}),
        "doubled_split",
        filename="set.zip",
        task_type="Classification",
    ),
    Case("no table in a zip", zipped({"a.csv": "x"}), "missing_file", filename="set.zip", task_type="Classification"),
    Case(
        "an empty table in a zip",
        zipped({"test.csv": "text,label\na,x\n", "train.csv": "text,label\n"}),
        "no_rows",
        filename="set.zip",
        task_type="Classification",
        file="train.csv",
    ),
    Case(
        "a fault in a zip's table",
        zipped({"test.csv": "text,label\na,x\n,y\n", "train.csv": "text,label\na,x\n"}),
        "blank_text",
        3,
        "text",
        filename="set.zip",
        task_type="Classification",
        file="test.csv",
    ),
    # Retrieval
    retrieval("no corpus", zipped({"queries.jsonl": QUERIES, "qrels/test.tsv": QRELS}), "missing_file"),
    retrieval("nothing of it", zipped({"a.txt": "x"}), "missing_file", total=3),
    retrieval(
        "qrels for train only",
        zipped({"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/train.tsv": QRELS}),
        "no_test_rows",
        None,
        "split",
    ),
    retrieval("no documents", beir(corpus="\n"), "no_rows", file="corpus.jsonl"),
    retrieval("no judgements", beir(qrels=QRELS.split("\n")[0] + "\n"), "no_rows", file="qrels/test.tsv"),
    retrieval(
        "the same id twice",
        beir(corpus=CORPUS + CORPUS),
        "duplicate_id",
        3,
        "_id",
        "corpus.jsonl",
        total=2,
        hint="rows 1 and 3",
    ),
    retrieval(
        "ids alike but for case",
        beir(queries=QUERIES + '{"_id":"Q2","text":"drei"}\n'),
        "duplicate_id",
        3,
        "_id",
        "queries.jsonl",
        hint="rows 2 and 3",
    ),
    retrieval(
        "ids alike but for spaces", beir(corpus=CORPUS + '{"_id":" d1 ","text":"x"}\n'), "duplicate_id", 3, "_id"
    ),
    retrieval(
        "ids alike but for Unicode form",
        beir(corpus=CORPUS + '{"_id":"é","text":"x"}\n{"_id":"e\u0301","text":"y"}\n'),
        "duplicate_id",
        4,
        "_id",
        hint="rows 3 and 4",
    ),
    retrieval("control in an id", beir(corpus=CORPUS + '{"_id":"d\\u0007","text":"x"}\n'), "bad_character", 3, "_id"),
    retrieval("bidi in an id", beir(corpus=CORPUS + '{"_id":"d\u202e","text":"x"}\n'), "bad_character", 3, "_id"),
    retrieval("blank id", beir(corpus=CORPUS + '{"_id":" ","text":"x"}\n'), "blank_name", 3, "_id"),
    retrieval(
        "blank document", beir(corpus=CORPUS + '{"_id":"d3","text":" "}\n'), "blank_text", 3, "text", "corpus.jsonl"
    ),
    retrieval(
        "blank query", beir(queries=QUERIES + '{"_id":"q3","text":""}\n'), "blank_text", 3, "text", "queries.jsonl"
    ),
    retrieval(
        "unknown query",
        beir(qrels=QRELS + "q9\td1\t1\n"),
        "unknown_query",
        4,
        "query-id",
        "qrels/test.tsv",
        hint='"q9"',
    ),
    retrieval("unknown document", beir(qrels=QRELS + "q1\tD1\t1\n"), "unknown_document", 4, "corpus-id"),
    retrieval(
        "a hundred unknown documents",
        beir(qrels=QRELS + "".join(f"q1\tx{i}\t1\n" for i in range(100))),
        "unknown_document",
        4,
        "corpus-id",
        total=100,
    ),
    retrieval("relevance is a word", beir(qrels=QRELS + "q1\td2\tyes\n"), "bad_relevance", 4, "score"),
    retrieval("negative relevance", beir(qrels=QRELS + "q1\td2\t-1\n"), "bad_relevance", 4, "score"),
    retrieval("relevance is a fraction", beir(qrels=QRELS + "q1\td2\t0.5\n"), "bad_relevance", 4, "score"),
    retrieval("huge relevance", beir(qrels=QRELS + "q1\td2\t1000001\n"), "bad_relevance", 4, "score"),
    retrieval("contradicting judgements", beir(qrels=QRELS + "q1\td1\t2\n"), "contradiction", 4, "score"),
    retrieval("qrels without header", beir(qrels="q1\t0\td1\t1\n"), "missing_column", 1, "query-id", total=3),
    retrieval("qrels with spaces", beir(qrels=QRELS.replace("\t", ",")), "wrong_delimiter", 1, file="qrels/test.tsv"),
    Case(
        "one table for Retrieval", GOOD_STS, "unsupported_file", task_type="Retrieval", status=415, hint="corpus.jsonl"
    ),
    # Task types
    Case("unknown task type", GOOD_STS, "unknown_task_type", task_type="Guessing", hint="Retrieval, Reranking"),
]
