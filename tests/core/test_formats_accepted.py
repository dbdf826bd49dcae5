"""What the readers accept, what they warn of, and that texts come through unchanged."""

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest

from app.core.formats import Limits, ReadResult, Warned, read_dataset
from app.core.records import (
    Cell,
    ClassificationData,
    Dataset,
    Document,
    LabelledText,
    Query,
    RetrievalData,
    SentencePair,
    StsData,
)

ODD_TEXTS = [
    "<script>alert(1)</script> & <b>bold</b>",
    '=HYPERLINK("http://x")',
    "+1 -1 @x",
    "'; DROP TABLE datasets; --",
    "שלום עולם",
    "abc\u202edef\u2066",
    "👩‍👩‍👧‍👦 🇩🇪",
    "e\u0301 and é",
    "bell\x07 escape\x1b tab\t end",
    "two\nlines",
    "line\r\nend",
    "  spaces around  ",
    "\ufeffmark inside",
    "separator\u2028here",
    'a "quoted" word, and a comma; a semicolon\\',
    "{}[]",
    "𝒳",
]


def read(
    tmp_path: Path, content: str | bytes, filename: str = "data.csv", task_type: str = "STS", **options
) -> ReadResult:
    path = tmp_path / "upload"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_dataset(path, filename, task_type, Limits(), **options)


def zipped(files: dict[str, str], folder: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(folder + name, text)
    return out.getvalue()


PAIRS = (SentencePair("a", "b", 1.0), SentencePair("c", "d", 2.5))
STS = Dataset("STS", (Cell("test", "default", StsData(PAIRS)),))
CSV = "sentence1,sentence2,score\na,b,1\nc,d,2.5\n"


@pytest.mark.parametrize(
    ("content", "filename"),
    [
        (CSV, "data.csv"),
        (CSV, "DATA.CSV"),
        ("\ufeff" + CSV, "data.csv"),
        (CSV.replace("\n", "\r\n"), "data.csv"),
        (CSV.rstrip("\n"), "data.csv"),
        (CSV + "\n\n", "data.csv"),
        ('"sentence1","sentence2","score"\n"a","b","1"\n"c","d"," 2.5 "\n', "data.csv"),
        ("score,sentence2,sentence1\n1e0,b,a\n+2.50,d,c\n", "data.csv"),
        (CSV.replace(",", "\t"), "data.tsv"),
        ("sentence1,sentence2,score,split\na,b,1,test\nc,d,2.5,Test \n", "data.csv"),
        ("sentence1,sentence2,score,subset\na,b,1,\nc,d,2.5,default\n", "data.csv"),
        (
            '{"sentence1":"a","sentence2":"b","score":1}\n\n{"score":"2.5","sentence2":"d","sentence1":"c","subset":null}',
            "data.jsonl",
        ),
        (
            '\ufeff{"sentence1":"a","sentence2":"b","score":1}\r\n{"sentence1":"c","sentence2":"d","score":2.5}\r\n',
            "x.ndjson",
        ),
        (zipped({"test.csv": CSV}), "data.zip"),
        (zipped({"test.tsv": CSV.replace(",", "\t")}, folder="mine/"), "by magic, not by name.csv"),
    ],
)
def test_the_same_sts_set_in_many_forms(tmp_path: Path, content: str | bytes, filename: str) -> None:
    result = read(tmp_path, content, filename)
    assert result == ReadResult(STS, (), {"pairs": 2})


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "ascii jsonl"])
def test_odd_texts_come_through_unchanged(tmp_path: Path, form: str) -> None:
    rows = [(text, f"x{text}y", str(i)) for i, text in enumerate(ODD_TEXTS)]
    out = io.StringIO(newline="")
    if "jsonl" in form:
        for first, second, score in rows:
            record = {"sentence1": first, "sentence2": second, "score": float(score)}
            out.write(json.dumps(record, ensure_ascii=form.startswith("ascii")) + "\n")
    else:
        writer = csv.writer(out, delimiter="," if form == "csv" else "\t", lineterminator="\n")
        writer.writerows([("sentence1", "sentence2", "score"), *rows])
    result = read(tmp_path, out.getvalue(), f"data.{form.split()[-1]}")
    (cell,) = result.dataset.cells
    assert isinstance(cell.data, StsData)
    assert [(pair.sentence1, pair.sentence2) for pair in cell.data.pairs] == [row[:2] for row in rows]
    assert result.warnings == ()


def test_sts_splits_and_subsets(tmp_path: Path) -> None:
    rows = "a,b,1,test,en\nc,d,2,test,de\ne,f,3,test,en\ng,h,1,train,en\ni,j,9,dev,en\nk,l,4,test,de\n,,,extra,\n"
    result = read(tmp_path, "sentence1,sentence2,score,split,subset\n" + rows)
    assert result.dataset.cells == (
        Cell("test", "de", StsData((SentencePair("c", "d", 2.0), SentencePair("k", "l", 4.0)))),
        Cell("test", "en", StsData((SentencePair("a", "b", 1.0), SentencePair("e", "f", 3.0)))),
    )
    assert result.counts == {"pairs": 4}
    assert [(warned.code, warned.message.split('"')[1], warned.count) for warned in result.warnings] == [
        ("dropped_split", "train", 1),
        ("dropped_split", "dev", 1),
        ("dropped_split", "extra", 1),
    ]


@pytest.mark.parametrize("split", ["validation", "dev"])
def test_a_stand_in_for_a_missing_test_split(tmp_path: Path, split: str) -> None:
    result = read(tmp_path, f"sentence1,sentence2,score,split\na,b,1,{split}\nc,d,2.5,{split}\ne,f,3,train\n")
    assert result.dataset == Dataset("STS", (Cell(split, "default", StsData(PAIRS)),))
    assert [(warned.code, warned.count) for warned in result.warnings] == [("scored_split", 1), ("dropped_split", 1)]


def test_repeated_rows_stay(tmp_path: Path) -> None:
    result = read(tmp_path, CSV + "a,b,1\n")
    assert result.counts == {"pairs": 3}


CLASSES = ClassificationData(
    train=tuple(LabelledText(text, label) for text, label in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "y"))),
    test=(LabelledText("e", "y"), LabelledText("f", "x")),
)
CLASSIFICATION = Dataset("Classification", (Cell("test", "default", CLASSES),))
TRAIN_CSV = "text,label\na,x\nb,x\nc,y\nd,y\n"
TEST_CSV = "text,label\ne,y\nf,x\n"


def test_the_demo_form_of_classification(tmp_path: Path) -> None:
    lines = [
        json.dumps({"text": text.text, "label": text.label, "topic": "t", "split": split})
        for split, texts in (("test", CLASSES.test), ("train", CLASSES.train))
        for text in texts
    ]
    result = read(tmp_path, "\n".join(lines), "tickets.jsonl", "Classification")
    assert result.dataset == CLASSIFICATION
    assert result.counts == {"train": 4, "test": 2, "labels": 2}
    assert result.warnings == (Warned("unknown_column", 'The column "topic" is not used.', 6),)


@pytest.mark.parametrize("folder", ["", "my set/"])
@pytest.mark.parametrize("train", ["train.csv", "train.tsv", "train.jsonl"])
def test_a_zip_with_a_file_a_split(tmp_path: Path, train: str, folder: str) -> None:
    text = TRAIN_CSV.replace(",", "\t") if train.endswith("tsv") else TRAIN_CSV
    if train.endswith("jsonl"):
        text = "".join(json.dumps({"text": x.text, "label": x.label}) + "\n" for x in CLASSES.train)
    result = read(tmp_path, zipped({train: text, "test.csv": TEST_CSV}, folder), "set.zip", "Classification")
    assert result == ReadResult(CLASSIFICATION, (), {"train": 4, "test": 2, "labels": 2})


def test_a_folder_is_read_like_its_zip(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(TRAIN_CSV)
    (tmp_path / "test.csv").write_text(TEST_CSV)
    (tmp_path / "SOURCE.md").write_text("by hand")
    result = read_dataset(tmp_path, "a folder", "Classification", Limits())
    assert result.dataset == CLASSIFICATION
    assert result.warnings == (Warned("ignored_file", 'The file "SOURCE.md" is not used.', 1),)


def test_validation_rows_of_a_classification_set_are_dropped(tmp_path: Path) -> None:
    files = {"train.csv": TRAIN_CSV, "test.csv": TEST_CSV, "validation.csv": TEST_CSV}
    result = read(tmp_path, zipped(files), "set.zip", "Classification")
    assert result.dataset == CLASSIFICATION
    assert result.warnings == (Warned("dropped_split", 'Rows of the split "validation" are not used.', 2),)


def test_test_labels_that_train_lacks_are_a_warning(tmp_path: Path) -> None:
    files = {"train.csv": TRAIN_CSV, "test.csv": TEST_CSV + "g,z\nh,z\n"}
    result = read(tmp_path, zipped(files), "set.zip", "Classification")
    assert [(warned.code, warned.count) for warned in result.warnings] == [("label_not_in_train", 2)]
    assert result.counts["labels"] == 3


def test_whole_numbers_are_labels(tmp_path: Path) -> None:
    rows = [(i % 2, split) for split in ("train", "test") for i in range(4)]
    lines = "".join(json.dumps({"text": "t", "label": label, "split": split}) + "\n" for label, split in rows)
    result = read(tmp_path, lines, "data.jsonl", "Classification")
    assert result.dataset.cells[0].data.train[1].label == "1"


def test_classification_subsets(tmp_path: Path) -> None:
    rows = [
        f"t,{label},{split},{subset}\n" for subset in ("en", "de") for split in ("train", "test") for label in "xxyy"
    ]
    result = read(tmp_path, "text,label,split,subset\n" + "".join(rows), task_type="Classification")
    assert [(cell.split, cell.subset, len(cell.data.train)) for cell in result.dataset.cells] == [
        ("test", "de", 4),
        ("test", "en", 4),
    ]
    assert result.counts == {"train": 8, "test": 8, "labels": 2}


BEIR = {
    "corpus.jsonl": '{"_id":"d1","title":"T","text":"one"}\n{"_id":"d2","text":"two"}\n'
    '{"_id":"d3","title":"only","text":""}\n{"_id":4,"title":null,"text":"four"}\n',
    "queries.jsonl": '{"_id":"q2","text":"zwei"}\n{"_id":"q1","text":"eins"}\n',
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\t4\t1.0\n",
}
RETRIEVAL = Dataset(
    "Retrieval",
    (
        Cell(
            "test",
            "default",
            RetrievalData(
                (Query("q2", "zwei"), Query("q1", "eins")),
                (Document("d1", "one", "T"), Document("d2", "two"), Document("d3", "", "only"), Document("4", "four")),
                {"q1": {"d1": 2, "d2": 0}, "q2": {"4": 1}},
            ),
        ),
    ),
)


@pytest.mark.parametrize("folder", ["", "help-centre/"])
def test_a_beir_zip(tmp_path: Path, folder: str) -> None:
    result = read(tmp_path, zipped(BEIR, folder), "set.zip", "Retrieval")
    assert result == ReadResult(RETRIEVAL, (), {"queries": 2, "documents": 4, "judgements": 3})


def test_a_beir_folder(tmp_path: Path) -> None:
    for name, text in BEIR.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert read_dataset(tmp_path, "a folder", "Retrieval", Limits()).dataset == RETRIEVAL


def test_beir_oddities_are_warnings_with_counts(tmp_path: Path) -> None:
    files = {
        **BEIR,
        "queries.jsonl": BEIR["queries.jsonl"]
        + '{"_id":"q3","text":"drei","metadata":{}}\n{"_id":"q4","text":"vier"}\n',
        "qrels/test.tsv": BEIR["qrels/test.tsv"] + "q1\td1\t2\nq4\td1\t0\n",
        "qrels/train.tsv": "query-id\tcorpus-id\tscore\nanything\tgoes\there\n\nand\there\t1\n",
        "README.md": "hello",
    }
    result = read(tmp_path, zipped(files), "set.zip", "Retrieval")
    assert [query.id for query in result.dataset.cells[0].data.queries] == ["q2", "q1", "q4"]
    assert result.counts == {"queries": 3, "documents": 4, "judgements": 4}
    assert [(warned.code, warned.count) for warned in result.warnings] == [
        ("ignored_file", 1),
        ("dropped_split", 2),
        ("unknown_column", 1),
        ("query_without_judgement", 1),
        ("query_without_positive", 1),
    ]


def test_a_stand_in_for_missing_test_judgements(tmp_path: Path) -> None:
    files = {("qrels/dev.tsv" if "qrels" in name else name): text for name, text in BEIR.items()}
    result = read(tmp_path, zipped(files), "set.zip", "Retrieval")
    assert result.dataset.cells[0].split == "dev"
    assert [warned.code for warned in result.warnings] == ["scored_split"]


def test_many_unknown_columns_do_not_flood(tmp_path: Path) -> None:
    header = "sentence1,sentence2,score," + ",".join(f"c{i}" for i in range(100))
    rest = "," * 100
    result = read(tmp_path, f"{header}\na,b,1{rest}\nc,d,2{rest}\n")
    assert len(result.warnings) == 31
    assert sum(warned.count for warned in result.warnings) == 200


@pytest.mark.parametrize(
    ("content", "filename", "task_type"),
    [
        (CSV, "data.csv", "STS"),
        (zipped(BEIR), "set.zip", "Retrieval"),
        (zipped({"test.csv": CSV}), "set.zip", "STS"),
    ],
)
def test_progress_ends_at_the_total(tmp_path: Path, content: str | bytes, filename: str, task_type: str) -> None:
    seen: list[tuple[int, int]] = []
    read(tmp_path, content, filename, task_type, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert len({total for _, total in seen}) == 1
    assert seen[-1][0] == seen[-1][1] > 0


def test_any_reader_of_rows_can_stand_in_for_parquet(tmp_path: Path) -> None:
    rows = [
        (1, {"sentence1": "a", "sentence2": "b", "score": 1}),
        (2, {"sentence1": "c", "sentence2": "d", "score": 2.5}),
    ]
    result = read(tmp_path, b"PAR1", "x.parquet", read_parquet=lambda path, limits: iter(rows))
    assert result.dataset == STS
