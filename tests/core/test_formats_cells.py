"""Which splits and subsets of an upload become cells: by columns, by files, by folders, by choice."""

from pathlib import Path
from typing import Any

import pytest

from app.core.formats import Choices, InvalidFile, Limits, ReadResult, read_dataset, scored_examples
from app.core.records import Cell, ClassificationData, LabelledText, SentencePair, StsData, Translation
from tests.core.refused_files import zipped

HEAD = "sentence1,sentence2,score"
STS = f"{HEAD}\na,b,1\nc,d,2\n"
LEARNT = "text,label\n" + "a,x\nb,x\nc,y\nd,y\n"
ASKED = "text,label\ne,x\n"


def read(
    folder: Path, content: str | bytes, filename: str = "data.csv", task: str = "STS", **choices: Any
) -> ReadResult:
    path = folder / "upload"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_dataset(path, filename, task, Limits(), choices=Choices(**choices))


def cells(result: ReadResult) -> list[tuple[str, str]]:
    return [(cell.split, cell.subset) for cell in result.dataset.cells]


def warned(result: ReadResult) -> list[tuple[str, int]]:
    return [(warning.code, warning.count) for warning in result.warnings]


def splits(*names: str, subset: str = "") -> str:
    rows = [f"a{n},b,{n},{name},{subset}" for name in names for n in range(2)]
    return "\n".join([f"{HEAD},split,subset", *rows]) + "\n"


@pytest.mark.parametrize(
    ("chosen", "found", "dropped"),
    [
        ((), [("test", "default")], {"train", "validation", "test_2"}),
        (("validation",), [("validation", "default")], {"train", "test", "test_2"}),
        (("validation", "test"), [("test", "default"), ("validation", "default")], {"train", "test_2"}),
        (("test_2", "train", "test_2"), [("test_2", "default"), ("train", "default")], {"validation", "test"}),
    ],
)
def test_chosen_splits_are_scored(tmp_path: Path, chosen: Any, found: Any, dropped: set[str]) -> None:
    result = read(tmp_path, splits("train", "validation", "test", "test_2"), splits=chosen)
    assert cells(result) == found
    assert result.counts == {"pairs": 2 * len(found)}
    assert {warning.message.split('"')[1] for warning in result.warnings} == dropped


@pytest.mark.parametrize("folder", ["", "mine/"])
def test_chosen_splits_may_be_files_of_any_name(tmp_path: Path, folder: str) -> None:
    files = {f"{folder}{name}.csv": STS for name in ("test", "test_2", "test_3")}
    result = read(tmp_path, zipped(files), "set.zip", splits=("test", "test_2"))
    assert cells(result) == [("test", "default"), ("test_2", "default")]
    assert warned(result) == [("ignored_file", 1)]


@pytest.mark.parametrize("column", ["subset", "language"])
def test_a_column_names_the_subset(tmp_path: Path, column: str) -> None:
    result = read(tmp_path, f"sentence1,sentence2,{column}\na,b,en-de\nc,d,en-fr\ne,f,\n", task="BitextMining")
    assert cells(result) == [("test", "default"), ("test", "en-de"), ("test", "en-fr")]
    assert result.dataset.cells[1].data.pairs == (Translation("a", "b"),)
    assert result.warnings == ()


def test_a_language_beside_a_subset_is_not_used(tmp_path: Path) -> None:
    result = read(tmp_path, "sentence1,sentence2,language,subset\na,b,de,news\nc,d,en,news\n", task="BitextMining")
    assert cells(result) == [("test", "news")]
    assert warned(result) == [("unknown_column", 2)]


def test_a_folder_a_subset(tmp_path: Path) -> None:
    files = {
        "de/test.csv": STS,
        "en/test.tsv": STS.replace(",", "\t"),
        "en/validation.csv": STS,
        "en/deep/test.csv": STS,
    }
    result = read(tmp_path, zipped(files), "set.zip")
    assert cells(result) == [("test", "de"), ("test", "en")]
    assert result.dataset.cells[0].data == StsData((SentencePair("a", "b", 1), SentencePair("c", "d", 2)))
    assert warned(result) == [("ignored_file", 1), ("dropped_split", 2)]


def test_a_folder_of_folders_on_this_machine(tmp_path: Path) -> None:
    for subset in ("de", "en"):
        (tmp_path / subset).mkdir()
        (tmp_path / subset / "test.csv").write_text(STS)
    assert cells(read_dataset(tmp_path, "set", "STS", Limits())) == [("test", "de"), ("test", "en")]


def test_a_folder_with_an_unsafe_name(tmp_path: Path) -> None:
    for subset in ("de", "e\u202en"):
        (tmp_path / subset).mkdir()
        (tmp_path / subset / "test.csv").write_text(STS)
    with pytest.raises(InvalidFile) as caught:
        read_dataset(tmp_path, "set", "STS", Limits())
    assert [(problem.code, problem.column) for problem in caught.value.problems] == [("unsafe_name", "subset")]


def test_a_subset_may_lack_one_of_several_splits(tmp_path: Path) -> None:
    content = splits("test", "validation", subset="de") + "\n".join(splits("test", subset="en").split("\n")[1:])
    result = read(tmp_path, content, splits=("test", "validation"))
    assert cells(result) == [("test", "de"), ("validation", "de"), ("test", "en")]
    assert warned(result) == [("missing_split", 1)]
    assert '"en"' in result.warnings[0].message


def test_all_scored_splits_learn_from_the_train_of_their_subset(tmp_path: Path) -> None:
    files = {
        f"{subset}/{name}.csv": text.replace(",x", f",x {subset}")
        for subset in ("de", "en")
        for name, text in (("train", LEARNT), ("test", ASKED), ("dev", ASKED))
    }
    result = read(tmp_path, zipped(files), "set.zip", "Classification", splits=("dev", "test"))
    assert cells(result) == [("dev", "de"), ("test", "de"), ("dev", "en"), ("test", "en")]
    learnt = [cell.data.train for cell in result.dataset.cells]
    assert learnt[0] is learnt[1]
    assert learnt[0][0] == LabelledText("a", "x de")
    assert learnt[2][0] == LabelledText("a", "x en")
    assert result.counts == {"train": 8, "test": 4, "labels": 3}
    assert scored_examples(result.dataset) == 4


def test_what_is_wrong_with_train_is_told_once(tmp_path: Path) -> None:
    files = {"train.csv": LEARNT + "z,z\n", "test.csv": ASKED, "dev.csv": ASKED}
    with pytest.raises(InvalidFile) as caught:
        read(tmp_path, zipped(files), "set.zip", "Classification", splits=("dev", "test"))
    assert [(problem.code, problem.file, problem.row) for problem in caught.value.problems] == [
        ("too_few_samples", "train.csv", 6)
    ]


def test_messages_tell_subset_and_split_where_there_are_several(tmp_path: Path) -> None:
    same = splits("test", "dev", subset="de").replace(",1,dev", ",0,dev")
    with pytest.raises(InvalidFile, match='All scores of the subset "de" in the split "dev" are equal'):
        read(tmp_path, same, splits=("dev", "test"))


def test_a_classification_set_by_language(tmp_path: Path) -> None:
    rows = (
        "".join(f"{n},{n % 2},train,{lang}\n" for lang in ("de", "en") for n in range(4)) + "t,1,test,de\nt,0,test,en\n"
    )
    result = read(tmp_path, "text,label,split,language\n" + rows, task="Classification")
    train = tuple(LabelledText(str(n), str(n % 2)) for n in range(4))
    assert result.dataset.cells == (
        Cell("test", "de", ClassificationData(train, (LabelledText("t", "1"),))),
        Cell("test", "en", ClassificationData(train, (LabelledText("t", "0"),))),
    )
