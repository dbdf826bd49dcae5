"""Records picked from a canonical file by where their lines stand."""

from pathlib import Path

import pytest

from app.core.formats import canonical
from app.core.formats.canonical import CorruptDataset
from app.core.formats.picking import Picker
from app.core.records import Cell, Dataset, Document, LabelledText, Query, RetrievalData, SentencePair, StsData
from tests.core.examples import EXAMPLES

NAMES = ['d"1', 'd",', 'd","title":', "日\u2028本", "back\\slash", "d0", "d", '{"kind":"document","id":"d0"}']


def written(path: Path, dataset: Dataset) -> Picker:
    with path.open("wb") as out:
        canonical.write(dataset, out)
    return Picker(path)


@pytest.fixture
def retrieval(tmp_path: Path) -> Picker:
    """Two cells; ids that look like the file's own syntax."""
    documents = tuple(
        Document(name, f"text {n}\nsecond line", "title" if n % 2 else "") for n, name in enumerate(NAMES)
    )
    cells = []
    for split in ("dev", "test"):
        queries = tuple(Query(f"{split}-{n}", f"query {n}") for n in range(3))
        cells.append(Cell(split, "default", RetrievalData(queries, documents, {q.id: {NAMES[0]: 1} for q in queries})))
    return written(tmp_path / "file", Dataset("Retrieval", tuple(cells)))


def test_records_by_cell_kind_and_place(retrieval: Picker) -> None:
    found = retrieval.pick(("test", "default"), "query", [2, 0])
    assert {place: record["id"] for place, record in found.items()} == {0: "test-0", 2: "test-2"}
    document = retrieval.pick(("dev", "default"), "document", [3])[3]
    assert (document["id"], document["text"]) == ("日\u2028本", "text 3\nsecond line")
    assert retrieval.task_type == "Retrieval"
    assert retrieval.count(("dev", "default"), "document") == len(NAMES)


def test_places_that_are_none_are_left_out(retrieval: Picker) -> None:
    cell = ("dev", "default")
    assert retrieval.pick(cell, "query", [-1, 3, 10**12]) == {}
    assert retrieval.pick(cell, "pair", [0]) == {}
    assert retrieval.count(cell, "pair") == 0


def test_documents_by_id_whatever_their_ids_look_like(retrieval: Picker) -> None:
    for cell in retrieval.cells:
        assert retrieval.document_places(cell, NAMES) == {name: place for place, name in enumerate(NAMES)}
    assert retrieval.document_places(("dev", "default"), ["title", "nobody", ""]) == {}
    assert retrieval.document_places(("dev", "default"), []) == {}


def test_all_records_of_a_kind_in_their_order(retrieval: Picker) -> None:
    assert [record["id"] for record in retrieval.each(("test", "default"), "query")] == ["test-0", "test-1", "test-2"]
    assert [record["id"] for record in retrieval.each(("test", "default"), "document")] == NAMES
    assert list(retrieval.each(("test", "default"), "change")) == []


@pytest.mark.parametrize("task_type", EXAMPLES)
def test_the_same_records_as_reading_the_whole_file(tmp_path: Path, task_type: str) -> None:
    data = EXAMPLES[task_type][1]
    dataset = Dataset(task_type, (Cell("test", "a", data), Cell("test", "b", data)))
    picker = written(tmp_path / "file", dataset)
    whole = canonical.sample(tmp_path / "file", 100)
    for cell, lines in picker.cells.items():
        each = [record for kind in lines.counts for record in picker.each(cell, kind)]
        assert each == whole
        for kind, count in lines.counts.items():
            of_kind = [record for record in whole if record["kind"] == kind]
            assert list(picker.pick(cell, kind, range(count)).values()) == of_kind


def test_what_a_cell_says_of_itself(tmp_path: Path) -> None:
    data = RetrievalData((Query("q", "t"),), (Document("d", "t"),), {"q": {"d": 1}}, ignore_identical_ids=True)
    picker = written(tmp_path / "file", Dataset("Retrieval", (Cell("test", "default", data),)))
    assert picker.cells["test", "default"].options["ignore_identical_ids"] is True


class TestDamage:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "file"
        data = StsData(tuple(SentencePair(f"a {n}", f"b {n}", float(n)) for n in range(3)))
        written(path, Dataset("STS", (Cell("test", "default", data),)))
        return path

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\n",
            b"not json\n",
            b"[1]\n",
            b'{"format":"other","version":1,"task_type":"STS"}\n',
            b'{"format":"touchstone-dataset","version":2,"task_type":"STS"}\n',
            b'{"format":"touchstone-dataset","version":1,"task_type":"STS"}\n',
            b'{"format":"touchstone-dataset","version":1,"task_type":"STS"}\n{"kind":"cell","split":"test"}\n',
            b'{"format":"touchstone-dataset","version":1,"task_type":"STS"}\n'
            b'{"kind":"cell","split":"test","subset":"x","counts":{"pair":9}}\n',
        ],
    )
    def test_no_dataset_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(CorruptDataset, match="other is not a dataset file"):
            Picker(tmp_path / "other")

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            Picker(tmp_path / "nothing")

    def test_gone_after_it_was_found(self, path: Path) -> None:
        picker = Picker(path)
        path.unlink()
        with pytest.raises(FileNotFoundError):
            picker.pick(("test", "default"), "pair", [0])

    def test_a_record_of_another_kind(self, path: Path) -> None:
        path.write_bytes(
            path.read_bytes().replace(b'{"kind":"pair","sentence1":"a 1"', b'{"kind":"text","sentence1":"a 1"')
        )
        picker = Picker(path)
        assert picker.pick(("test", "default"), "pair", [0])[0]["sentence1"] == "a 0"
        with pytest.raises(CorruptDataset, match="is not where its cell announces it"):
            picker.pick(("test", "default"), "pair", [1])

    def test_no_such_cell(self, path: Path) -> None:
        with pytest.raises(CorruptDataset, match="has no part"):
            Picker(path).pick(("dev", "default"), "pair", [0])


def test_labels_are_told_with_their_texts(tmp_path: Path) -> None:
    _, data, _, _ = EXAMPLES["Classification"]
    picker = written(tmp_path / "file", Dataset("Classification", (Cell("test", "default", data),)))
    found = picker.pick(("test", "default"), "test", [0])[0]
    assert LabelledText(found["text"], found["label"]) == LabelledText("e", "y")
