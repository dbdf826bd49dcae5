"""Imports of MTEB results: what becomes rows, what is refused and leaves nothing, and exports that give it back."""

import io
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result as CommandResult
from sqlalchemy import func, select
from typer.testing import CliRunner

from app.cli import cli
from app.db.imported_tables import ImportedArchive, ImportedColumn, ImportedModel, ImportedResult, ImportedScore
from app.db.session import Database
from app.db.tables import AuditEntry, Benchmark
from app.errors import AppError, Conflict, Invalid, NotFound, TooLarge
from app.services import benchmarks, imports
from app.services.board_look import Look, parse_look
from app.services.board_view import view_board
from app.services.boards import load_board
from app.services.import_files import ZipStream, zip_pieces
from app.services.import_scope import ImportForm, parse_form
from app.services.imports import Imported
from app.services.result_export import result_files, write_folder
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests.board_world import World, counted_statements
from tests.result_files import PUBLIC, card, imported_scores, packed, read_folder, read_zip, result, write

TWO_MODELS = {
    "org__one/abc/model_meta.json": card("org/one", "abc", n_parameters=5),
    "org__one/abc/STS12.json": result(test=0.5, train=0.1),
    "org__one/abc/Ours.json": result("Ours", dev=0.25, test__de_en=0.75),
    "org__two/external/STS12.json": result(version=None, test=0.625),
}
with_public = pytest.mark.skipif(
    not PUBLIC.is_dir(), reason="the public results are not beside the repository (../shared/data/mteb)"
)


class House:
    """A house that imports and exports."""

    def __init__(self, database: Database, settings: Settings, tmp_path: Path) -> None:
        self.database, self.blobs, self.tmp_path = database, BlobStore(settings.blobs_dir), tmp_path
        self._count = 0

    def take_folder(self, files: dict[str, bytes], name: str = "Public", **options: Any) -> Imported:
        self._count += 1
        folder = write(self.tmp_path / f"results-{self._count}", files)
        return imports.import_folder(self.database, self.blobs, ImportForm(name, **options), folder)

    def take_zip(self, content: bytes, name: str = "Public", **options: Any) -> Imported:
        blob = self.blobs.put(io.BytesIO(content))
        return imports.import_zip(self.database, self.blobs, ImportForm(name, **options), blob, "results.zip")

    def scores(self, slug: str = "public") -> dict[tuple[str, str, str, str], float]:
        """(model revision, task, split, subset) -> value of what counts."""
        with self.database.reading() as session:
            rows = imported_scores(session, benchmarks.by_slug(session, slug).id)
        return {(f"{row.model}@{row.revision}", row.task, row.split, row.subset): row.value for row in rows}

    def columns(self) -> dict[str, Any]:
        with self.database.reading() as session:
            rows = session.scalars(select(ImportedColumn).order_by(ImportedColumn.position)).all()
        return {row.task: (row.task_type, [tuple(cell) for cell in row.cells], row.languages) for row in rows}

    def counts(self) -> list[int]:
        """How many boards, archives, models, results, scores and files there are."""
        tables = (Benchmark, ImportedArchive, ImportedModel, ImportedResult, ImportedScore)
        with self.database.reading() as session:
            rows = [session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]
        return [*rows, sum(path.is_file() for path in self.blobs.root.rglob("*"))]

    def exported(self, slug: str = "public") -> dict[str, bytes]:
        with self.database.reading() as session:
            files = result_files(session, self.blobs, benchmarks.by_slug(session, slug))
        return read_zip(b"".join(zip_pieces(files)))


@pytest.fixture
def house(database: Database, settings: Settings, tmp_path: Path) -> House:
    return House(database, settings, tmp_path)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


NOTHING = [0, 0, 0, 0, 0, 0]


class TestWhatIsFound:
    pytestmark = pytest.mark.both_databases

    def test_known_tasks_take_their_evaluated_splits_and_others_everything(self, house: House) -> None:
        done = house.take_folder(TWO_MODELS)
        assert (done.slug, done.name, done.new) == ("public", "Public", True)
        found = done.reading.counts
        assert found == {"files": 4, "others": 0, "models": 2, "results": 3, "unused": 0, "scores": 4, "broken": 0}
        assert house.scores() == {
            ("org/one@abc", "STS12", "test", "default"): 0.5,
            ("org/one@abc", "Ours", "dev", "default"): 0.25,
            ("org/one@abc", "Ours", "test", "de-en"): 0.75,
            ("org/two@external", "STS12", "test", "default"): 0.625,
        }
        assert house.columns() == {
            "Ours": ("Other", [("dev", "default"), ("test", "de-en")], ["eng-Latn"]),
            "STS12": ("STS", [("test", "default")], ["eng-Latn"]),
        }

    def test_it_is_marked_audited_and_the_first_board_is_the_default(self, house: House) -> None:
        house.take_folder(TWO_MODELS, except_tasks=("Ours",))
        with house.database.reading() as session:
            board = session.scalars(select(Benchmark)).one()
            assert (board.kind, board.is_default) == ("imported", True)
            archive = session.scalars(select(ImportedArchive)).one()
            assert (archive.file_name, archive.files, archive.excluded) == ("results-1.zip", 4, ["Ours"])
            entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "benchmark.import")).one()
            assert (entry.subject, entry.detail["results"], entry.detail["unused"]) == ("public", 2, 1)
            models = session.scalars(select(ImportedModel).order_by(ImportedModel.name)).all()
            assert [(model.name, model.revision, model.meta) for model in models] == [
                ("org/one", "abc", {"n_parameters": 5}),
                ("org/two", "external", {}),
            ]

    def test_the_scores_of_a_board_take_one_query(self, house: House) -> None:
        house.take_folder(TWO_MODELS)
        with house.database.reading() as session:
            board_id = session.scalars(select(Benchmark.id)).one()
            with counted_statements(house.database) as statements:
                assert len(imported_scores(session, board_id)) == 4
        assert len(statements) == 1

    def test_no_score_is_no_row(self, house: House) -> None:
        nan = result(test=0.5).replace(b"0.5", b"NaN")
        done = house.take_folder({"a__b/1/STS12.json": nan, "a__b/1/STS13.json": result("STS13", test=1)})
        assert (done.reading.results, done.reading.scores) == (2, 1)
        assert list(house.columns()) == ["STS13"]

    def test_more_cells_than_a_batch(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("app.services.import_rows.BATCH_CELLS", 3)
        files = {f"org__{n}/1/T.json": result("T", test=n / 8, dev=0.5, train=1) for n in range(5)}
        house.take_folder(files)
        assert [house.scores()[f"org/{n}@1", "T", "test", "default"] for n in range(5)] == [0, 0.125, 0.25, 0.375, 0.5]

    def test_more_results_than_a_batch(self, house: House) -> None:
        files = {f"org__{n}/1/T{n}.json": result(f"T{n}", test=n / 2000, dev=0.5) for n in range(1005)}
        assert house.take_folder(files).reading.results == 1005
        scores = house.scores()
        assert len(scores) == 2010
        assert all(scores[f"org/{n}@1", f"T{n}", "test", "default"] == n / 2000 for n in (0, 999, 1000, 1004))


class TestByDefinition:
    def test_exactly_its_cells_count_and_its_columns_stand_in_its_order(self, house: House) -> None:
        mtop = "MTOPDomainClassification"
        files = {
            "a__b/1/STS17.json": result("STS17", test__en_en=0.5, test__de_de=0.25),
            f"a__b/1/{mtop}.json": result(mtop, validation__en=0.1, test__en=0.75),
            "a__b/1/NFCorpus.json": result("NFCorpus", test=0.5),
        }
        done = house.take_folder(files, definition="MTEB(eng, v2)", except_tasks=("ArguAna",))
        assert (done.reading.results, done.reading.unused) == (2, 1)
        assert set(house.scores().values()) == {0.5, 0.75}
        columns = house.columns()
        assert len(columns) == 40
        assert columns["STS17"] == ("STS", [("test", "en-en")], ["eng-Latn"])
        assert "NFCorpus" not in columns
        assert house.exported() == files

    def test_a_definition_has_aliases(self, house: House) -> None:
        house.take_folder(TWO_MODELS, definition="MTEB(eng)")
        with house.database.reading() as session:
            assert session.scalars(select(ImportedArchive.definition)).one() == "MTEB(eng, v2)"

    @pytest.mark.parametrize(
        ("options", "field", "message"),
        [
            ({"definition": "MTEB(english)"}, "definition", "Did you mean"),
            ({"definition": "MTEB(eng, v2)", "except_tasks": ("STS11",)}, "except_tasks", "has no task 'STS11'"),
            ({"definition": "NanoBEIR", "except_tasks": ("Nano",)}, "except_tasks", "has no task"),
            ({"name": "Import"}, "benchmark", "taken by a page"),
            ({"name": "  "}, "benchmark", "a name"),
            ({"name": "a\x00b"}, "benchmark", "control"),
        ],
    )
    def test_a_wrong_field_is_named(self, house: House, options: Any, field: str, message: str) -> None:
        with pytest.raises(Invalid) as refused:
            house.take_folder(TWO_MODELS, **options)
        assert message in refused.value.fields[field]
        assert house.counts() == NOTHING


class TestWhichResultCounts:
    pytestmark = pytest.mark.both_databases

    def test_of_several_revisions_one_by_mtebs_rule(self, house: House) -> None:
        minilm = "sentence-transformers/all-MiniLM-L6-v2"
        main = "8b3219a92973c328a8e22fadcfa821b5dc75636a"
        house.take_folder(
            {
                "x__y/a/STS12.json": result(version="1.9.0", test=0.1),
                "x__y/b/STS12.json": result(version="1.12.0", test=0.2),
                "x__y/external/STS12.json": result(version=None, test=0.3),
                "x__y/external/STS13.json": result("STS13", version=None, test=0.4),
                f"m__m/{main}/model_meta.json": card(minilm, main),
                f"m__m/{main}/STS12.json": result(version=None, test=0.5),
                "m__m/other/model_meta.json": card(minilm, "other"),
                "m__m/other/STS12.json": result(version="2.3.0", test=0.6),
            }
        )
        assert house.scores() == {
            ("x/y@b", "STS12", "test", "default"): 0.2,
            ("x/y@external", "STS13", "test", "default"): 0.4,
            (f"{minilm}@{main}", "STS12", "test", "default"): 0.5,
        }

    def test_a_second_import_adds_and_the_newer_file_replaces(self, house: House) -> None:
        house.take_folder(TWO_MODELS)
        again = house.take_folder(
            {
                "org__one/abc/STS12.json": result(test=0.9),
                "org__one/def/Ours.json": result("Ours", version="2.9.0", test=0.8),
                "org__three/1/STS13.json": result("STS13", test=0.7),
            }
        )
        assert (again.slug, again.new) == ("public", False)
        assert house.scores() == {
            ("org/one@abc", "STS12", "test", "default"): 0.9,
            ("org/one@def", "Ours", "test", "default"): 0.8,
            ("org/two@external", "STS12", "test", "default"): 0.625,
            ("org/three@1", "STS13", "test", "default"): 0.7,
        }
        assert list(house.columns()) == ["Ours", "STS12", "STS13"]
        assert house.columns()["Ours"][1] == [("test", "default")]
        with house.database.reading() as session:
            kept = session.scalars(select(ImportedModel.meta).where(ImportedModel.revision == "abc")).one()
        assert kept == {"n_parameters": 5}
        files = house.exported()
        assert len(files) == 6
        assert files["org__one/abc/STS12.json"] == result(test=0.9)

    def test_the_same_again_changes_nothing(self, house: House) -> None:
        content = packed(TWO_MODELS)
        house.take_zip(content)
        before, counts = house.scores(), house.counts()
        house.take_zip(content, name="public")
        assert house.scores() == before
        assert house.counts() == [1, 2, *counts[2:]]

    def test_two_files_of_one_task(self, house: House) -> None:
        house.take_folder(
            {
                "a__b/1/PersianTextTone.json": result("PersianTextTone", version="1.0.0", test=0.1),
                "a__b/1/SynPerTextToneClassification.json": result(
                    "SynPerTextToneClassification", version="2.0.0", test=0.2
                ),
            }
        )
        assert list(house.scores().values()) == [0.2]


class TestBoards:
    pytestmark = pytest.mark.both_databases

    @pytest.mark.parametrize("name", ["Help desk", "help-desk", "HELP DESK"])
    def test_a_board_of_our_own_is_never_added_to(self, house: House, world: World, name: str) -> None:
        world.board(name="Help desk")
        with pytest.raises(Conflict) as refused:
            house.take_folder(TWO_MODELS, name=name)
        assert refused.value.code == "own_board"
        assert house.counts() == [1, 0, 0, 0, 0, 0]

    def test_a_board_keeps_its_rules(self, house: House) -> None:
        house.take_folder(TWO_MODELS, definition="MTEB(eng, v2)", except_tasks=("STS13",))
        for options in ({"definition": "MTEB(eng, v1)"}, {"except_tasks": ("STS14",)}):
            with pytest.raises(Conflict, match=r"MTEB\(eng, v2\), without STS13"):
                house.take_folder(TWO_MODELS, **options)
        more = {"org__four/1/STS14.json": result("STS14", test=0.5)}
        house.take_folder(more)
        house.take_folder(more, definition="MTEB(eng, v2)")
        assert house.counts()[1] == 3

    def test_deleting_leaves_nothing(self, house: House, world: World) -> None:
        house.take_zip(packed(TWO_MODELS))
        house.take_zip(packed(TWO_MODELS), name="Other")
        for left, slug in ((1, "public"), (0, "other")):
            with house.database.session() as session:
                imports.drop_archives(session, house.blobs, benchmarks.by_slug(session, slug).id)
                benchmarks.delete(session, world.person, slug)
            assert house.counts() == ([1, 1, 2, 3, 4, 1] if left else NOTHING)


class TestRefused:
    def test_any_broken_file_refuses_all_and_the_first_are_named(self, house: House) -> None:
        broken = {f"a__b/1/T{n:02}.json": b"{" for n in range(25)}
        with pytest.raises(Invalid) as refused:
            house.take_folder({**TWO_MODELS, **broken})
        error = refused.value
        assert (error.code, error.details["total"], len(error.details["problems"])) == ("broken_files", 25, 20)
        assert error.details["problems"][0].startswith("a__b/1/T00.json: it is no JSON")
        assert error.message.startswith("25 of 29 files cannot be read, so nothing was imported.")
        assert house.counts() == NOTHING

    def test_broken_files_can_be_skipped_and_are_kept(self, house: House) -> None:
        files = {**TWO_MODELS, "org__one/abc/Bad.json": b"{", "org__two/external/model_meta.json": b"[]"}
        done = house.take_folder(files, skip_broken=True)
        assert (done.reading.results, done.reading.broken) == (3, 2)
        assert [problem.partition(":")[0] for problem in done.reading.problems] == [
            "org__one/abc/Bad.json",
            "org__two/external/model_meta.json",
        ]
        assert house.exported() == files

    @pytest.mark.parametrize(
        "files",
        [
            {},
            {"readme.md": b"x", "a/b.json": b"{}"},
            {"org__one/abc/model_meta.json": card()},
            {"org__one/abc/STS12.json": result(train=0.5)},
            {"org__one/abc/STS12.json": result()},
        ],
    )
    def test_nothing_that_counts(self, house: House, files: dict[str, bytes]) -> None:
        house.tmp_path.joinpath("results-1").mkdir()
        with pytest.raises(Invalid) as refused:
            house.take_folder(files)
        assert refused.value.code == "no_results"
        assert house.counts() == NOTHING

    def test_a_file_that_is_too_large(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("app.services.import_files.MAX_FILE_BYTES", 100)
        for take in (lambda: house.take_folder(TWO_MODELS), lambda: house.take_zip(packed(TWO_MODELS))):
            with pytest.raises(Invalid) as refused:
                take()
            assert "bytes, and a result has at most 100" in refused.value.details["problems"][0]
        assert house.counts() == NOTHING

    def test_a_failure_on_the_way_leaves_nothing(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise Conflict("Now.")

        monkeypatch.setattr("app.services.imports.set_columns", fail)
        for take in (lambda: house.take_folder(TWO_MODELS), lambda: house.take_zip(packed(TWO_MODELS))):
            with pytest.raises(Conflict, match=r"Now\."):
                take()
        assert house.counts() == NOTHING

    def test_a_refused_zip_stays_where_another_board_has_it(self, house: House, world: World) -> None:
        world.board(name="Help desk")
        house.take_zip(packed(TWO_MODELS))
        before = house.counts()
        with pytest.raises(Conflict):
            house.take_zip(packed(TWO_MODELS), name="Help desk")
        assert house.counts() == before
        assert house.exported() == TWO_MODELS


def doubled() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("org__one/abc/STS12.json", result(test=0.5))
        archive.writestr("org__one/abc/sts12.json", result(test=0.9))
    return buffer.getvalue()


def encrypted() -> bytes:
    content = bytearray(packed(TWO_MODELS))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def damaged() -> bytes:
    content = bytearray(packed({"org__one/abc/STS12.json": result(test=0.5)}))
    content[60] ^= 0xFF
    return bytes(content)


class TestZips:
    def test_the_zip_is_kept_as_it_is(self, house: House) -> None:
        content = packed({**TWO_MODELS, "README.md": b"Hello"})
        done = house.take_zip(content)
        assert done.reading.others == 1
        with house.database.reading() as session:
            archive = session.scalars(select(ImportedArchive)).one()
        assert house.blobs.path(archive.blob_sha256).read_bytes() == content
        assert house.exported() == TWO_MODELS

    @pytest.mark.parametrize("top", ["results/", "results-main/results/", "Zürich/"])
    @pytest.mark.parametrize("kind", ["zip", "folder"])
    def test_results_may_lie_deeper(self, house: House, top: str, kind: str) -> None:
        around = {"paths.json": b"{}", f"{top}README.md": b"", f"{top}org__one/abc/experiments/x/STS12.json": b"{"}
        litter = {"__MACOSX/org__one/abc/STS12.json": b"{", ".git/a/b.json": b"{"}
        files = {**{f"{top}{name}": content for name, content in TWO_MODELS.items()}, **around}
        done = house.take_zip(packed(files | litter)) if kind == "zip" else house.take_folder(files)
        assert (done.reading.results, done.reading.others) == (3, 3)
        assert house.exported() == TWO_MODELS

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"no zip", "bad_zip"),
            (packed(TWO_MODELS)[:-30], "bad_zip"),
            (packed({"../org__one/abc/STS12.json": b"{}"}), "unsafe_name"),
            (packed({"/org__one/abc/STS12.json": b"{}"}), "unsafe_name"),
            (packed({"org__one/abc/a.zip": b"{}"}), "nested_archive"),
            (doubled(), "doubled_name"),
            (encrypted(), "encrypted"),
            (packed({"org__one/abc/STS12.json": b" " * 20_000_000}), "zip_bomb"),
            (damaged(), "broken_files"),
        ],
        ids=["text", "cut", "climbs", "absolute", "nested", "doubled", "encrypted", "bomb", "damaged"],
    )
    def test_what_is_not_safe_is_refused_and_leaves_nothing(self, house: House, content: bytes, code: str) -> None:
        with pytest.raises(AppError) as refused:
            house.take_zip(content)
        assert refused.value.code == code
        assert isinstance(refused.value, TooLarge if code == "zip_bomb" else Invalid)
        assert house.counts() == NOTHING

    def test_a_zip_whose_bytes_others_drop_meanwhile(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        def drop(*_: object) -> None:
            for blob in list(house.blobs.stored()):
                house.blobs.delete(blob.sha256)

        monkeypatch.setattr("app.services.imports.set_columns", drop)
        with pytest.raises(Conflict) as refused:
            house.take_zip(packed(TWO_MODELS))
        assert refused.value.code == "file_gone"
        assert house.counts() == NOTHING


class TestZipStream:
    def test_with_a_sink_the_same_bytes_go_on_in_pieces(self) -> None:
        files = {f"org__one/abc/T{n}.json": result(f"T{n}", test=n / 40_000) for n in range(20_000)}
        pieces: list[bytes] = []
        with ZipStream(pieces.append) as stream:
            for name, content in files.items():
                stream.add(name, content)
            stream.close()
        assert b"".join(pieces) == b"".join(zip_pieces(files.items()))
        assert len(pieces) > 3
        assert max(map(len, pieces)) < 1.1 * 1024**2, "the directory, too, is never whole in memory"

    def test_it_is_packed_fast(self) -> None:
        name, content = "org__one/abc/T.json", json.dumps([n * 0.37 for n in range(20_000)]).encode()
        fast = zlib.compressobj(1, zlib.DEFLATED, -15)
        packed_fast = len(fast.compress(content) + fast.flush())
        with zipfile.ZipFile(io.BytesIO(b"".join(zip_pieces([(name, content)])))) as archive:
            assert archive.getinfo(name).compress_size == packed_fast


class TestExports:
    def test_a_folders_archive_is_the_same_bytes_each_time(self, house: House) -> None:
        house.take_folder(TWO_MODELS)
        house.take_folder(TWO_MODELS, name="Other")
        with house.database.reading() as session:
            first, second = session.scalars(select(ImportedArchive.blob_sha256)).all()
        assert first == second

    def test_lost_files_are_told(self, house: House) -> None:
        house.take_folder(TWO_MODELS)
        for blob in list(house.blobs.stored()):
            house.blobs.delete(blob.sha256)
        with pytest.raises(NotFound, match="lost"):
            house.exported()

    def test_a_folder_that_holds_something_is_left_alone(self, house: House, tmp_path: Path) -> None:
        write(tmp_path / "full", {"mine.txt": b"mine"})
        with pytest.raises(Conflict, match="not empty"):
            write_folder(iter([("a/b/c.json", b"{}")]), tmp_path / "full")
        with pytest.raises(Conflict, match="cannot be written"):
            write_folder(iter([("a/b/c.json", b"{}")]), tmp_path / "full" / "mine.txt" / "deeper")

    def test_a_board_without_results(self, house: House, world: World) -> None:
        world.board(name="Empty")
        with pytest.raises(NotFound, match="no result"):
            house.exported("empty")

    def test_our_own_results_come_in_again_as_they_went_out(self, house: House, world: World) -> None:
        slug = own_board(world)
        files = house.exported(slug)
        plain, variant = f"acme__strong/{'a' * 40}", f"acme__strong_(64_d)/{'a' * 40}"
        assert sorted(files) == [
            f"{plain}/articles.json",
            f"{plain}/model_meta.json",
            f"{plain}/pairs.json",
            f"{variant}/model_meta.json",
            f"{variant}/pairs.json",
        ]
        house.take_folder(files, name="Back")
        scores = house.scores("back")
        assert scores["acme/strong@" + "a" * 40, "pairs", "test", "default"] == 0.1 + 0.2
        assert scores["acme/strong@" + "a" * 40, "articles", "test", "de"] == 0.25
        assert scores["acme/strong (64 d)@" + "a" * 40, "pairs", "test", "default"] == 0.5
        assert len(scores) == 4

    def test_a_dataset_never_takes_the_place_of_the_models_card(self, house: House, world: World) -> None:
        world.dataset("model_meta")
        facts = {
            "active_parameters": 7,
            "open_weights": True,
            "release_date": "2024-05-01",
            "kinds": ["dense"],
            "citation": "@misc{m}",
        }
        world.run(world.model("acme/m", revision="a" * 40, **facts), "model_meta", 0.5)
        files = house.exported(world.board("model_meta", name="Own"))
        folder = f"acme__m/{'a' * 40}"
        assert set(files) == {f"{folder}/_model_meta.json", f"{folder}/model_meta.json"}
        about = json.loads(files[f"{folder}/model_meta.json"])
        assert (about["name"], about["open_weights"], about["release_date"]) == ("acme/m", True, "2024-05-01")
        assert (about["model_type"], about["citation"]) == (["dense"], "@misc{m}")
        assert about["n_active_parameters_override"] == 7

    @pytest.mark.slow
    def test_mteb_loads_our_own_results(self, house: House, world: World, tmp_path: Path) -> None:
        from mteb import ResultCache
        from mteb.results import TaskResult

        slug = own_board(world)
        files = house.exported(slug)
        assert write_folder(iter(files.items()), tmp_path / "cache" / "results") == len(files)
        loaded = ResultCache(tmp_path / "cache").load_results(include_remote=False)
        scores = {
            (model.model_name, model.model_revision, task.task_name): task.get_score()
            for model in loaded
            for task in model.task_results
        }
        assert len(scores) == 3
        assert scores["acme/strong", "a" * 40, "pairs"] == 0.1 + 0.2
        assert scores["acme/strong", "a" * 40, "articles"] == 0.5
        path = tmp_path / "cache" / "results" / "acme__strong" / ("a" * 40) / "pairs.json"
        assert TaskResult.from_disk(path).dataset_revision == f"{0:040x}"


def own_board(world: World) -> str:
    """A board of our own with a model, one of its datasets run twice, and a variant of it."""
    world.dataset("pairs")
    world.dataset("articles", "Retrieval")
    strong = world.model("acme/strong", revision="a" * 40, dimensions=128, licence="mit")
    variant = world.model("acme/strong", revision="a" * 40, variant="64 d")
    world.run(strong, "pairs", 0.9)
    world.run(strong, "pairs", 0.1 + 0.2)
    world.run(strong, "articles", {("test", "de"): 0.25, ("test", "en"): 0.75})
    world.run(variant, "pairs", 0.5)
    return world.board("pairs", "articles", name="Help desk")


class TestTheBoard:
    def test_it_shows_what_mteb_registers_and_what_the_files_state(self, house: House) -> None:
        known = "sentence-transformers/all-MiniLM-L6-v2"
        files = {
            "a/1/model_meta.json": card(known, "1", n_parameters=5, embed_dim=1),
            "a/1/STS12.json": result("STS12", test=0.5),
            "a/1/NFCorpus.json": result("NFCorpus", test=0.25),
            "b/1/model_meta.json": card("acme/own", "1", n_parameters=5, embed_dim=8, license="mit", open_weights=True),
            "b/1/STS12.json": result("STS12", test=0.75),
        }
        house.take_folder(files)
        with house.database.reading() as session:
            board = load_board(session, benchmarks.by_slug(session, "public"))
        view = view_board(board, Look())
        own, public = (view.model(row) for row in view.order)
        assert board.imported and [column.task_type for column in board.columns] == ["Retrieval", "STS"]
        assert (own.name, own.parameters, own.dimensions, own.licence, own.open_weights) == (
            "acme/own",
            5,
            8,
            "mit",
            True,
        )
        assert (public.name, public.dimensions, public.licence) == (known, 384, "apache-2.0")
        assert public.parameters and public.parameters > 20_000_000
        assert public.active_parameters and public.active_parameters < public.parameters
        assert [view.complete(row) for row in view.order] == [False, True]
        medical = view_board(board, parse_look([("domain", "Medical")]))
        assert [column.name for column in medical.shown_columns] == ["NFCorpus"]

    @pytest.mark.parametrize(
        ("stated", "active"),
        [
            ({"n_parameters": 5}, None),
            ({"n_embedding_parameters": 2}, None),
            ({"n_parameters": 5, "n_embedding_parameters": 2}, 3),
            ({"n_parameters": 5, "n_embedding_parameters": 2, "n_active_parameters_override": 1}, 1),
        ],
    )
    def test_active_parameters_are_those_that_mteb_counts(
        self, house: House, stated: dict[str, int], active: int | None
    ) -> None:
        about = card("acme/own", "1", **stated)
        house.take_folder({"b/1/model_meta.json": about, "b/1/STS12.json": result("STS12", test=0.75)})
        with house.database.reading() as session:
            board = load_board(session, benchmarks.by_slug(session, "public"))
        assert board.models[0].active_parameters == active


@with_public
class TestPublicResults:
    def test_they_give_the_board_that_mteb_makes(self, house: House) -> None:
        form = ImportForm("MTEB(eng, v2)", "MTEB(eng, v2)")
        done = imports.import_folder(house.database, house.blobs, form, PUBLIC / "results")
        assert done.reading.counts["results"] == 1157
        with house.database.reading() as session:
            view = view_board(load_board(session, benchmarks.by_slug(session, done.slug)), Look())
        expected = json.loads((PUBLIC / "results_expected.json").read_text())
        found, models = view.standings, [view.model(row).name for row in range(len(view.models))]
        assert (len(view.datasets), set(models)) == (expected["n_tasks"], set(expected["models"]))
        for place, model in enumerate(models):
            wanted = expected["models"][model]
            assert (found.ranks[place], found.points[place]) == (wanted["rank"], wanted["borda_points"]), model
            assert found.scored[place] == wanted["n_tasks_scored"]
            ours = {"task": found.mean_task[place], "type": found.mean_task_type[place]}
            ours |= {name: values[place] for name, values in found.types.items()}
            theirs = {"task": wanted["mean_task"], "type": wanted["mean_task_type"], **wanted["types"]}
            for name, value in theirs.items():
                assert ours[name] == pytest.approx(math.nan if value is None else value, abs=1e-9, nan_ok=True), name

    def test_they_come_out_as_they_went_in(self, house: House) -> None:
        imports.import_folder(house.database, house.blobs, ImportForm("Public"), PUBLIC / "results")
        assert house.exported() == read_folder(PUBLIC / "results")


class TestForm:
    def test_what_was_typed(self) -> None:
        fields = {"benchmark": "Public", "except_tasks": " STS12, STS13\n,", "skip_broken": "On", "definition": " x "}
        assert parse_form(fields) == ImportForm("Public", "x", ("STS12", "STS13"), skip_broken=True)
        assert parse_form({}) == ImportForm("")


class TestCommands:
    @pytest.fixture
    def touchstone(self, settings: Settings) -> Iterator[Callable[..., str]]:
        def run(*arguments: object, code: int = 0) -> str:
            words = [*map(str, arguments), "--data-dir", str(settings.data_dir)]
            answer: CommandResult = CliRunner().invoke(cli, words)
            assert answer.exit_code == code, (answer.output, answer.exception)
            return answer.output

        yield run

    def test_a_folder_in_and_out(self, touchstone: Callable[..., str], tmp_path: Path) -> None:
        folder = write(tmp_path / "in", {**TWO_MODELS, "README.md": b""})
        said = touchstone("import", "mteb", folder, "--benchmark", "Public", "--except-task", "Ours")
        assert said.splitlines() == [
            "Imported the board 'Public' (/boards/public): 2 results of 2 models, 2 scores.",
            "1 results do not belong to the board or have no score; they are kept with its files.",
            "1 files are no results and were not read.",
        ]
        assert touchstone("export", "mteb", "Public", tmp_path / "out") == f"Wrote 4 files to {tmp_path / 'out'}.\n"
        assert read_folder(tmp_path / "out") == TWO_MODELS

    def test_a_zip_with_a_definition(self, touchstone: Callable[..., str], tmp_path: Path) -> None:
        path = tmp_path / "in.zip"
        path.write_bytes(packed(TWO_MODELS))
        said = touchstone("import", "mteb", path, "--benchmark", "Public", "--definition", "MTEB(eng, v2)")
        assert said.startswith("Imported the board 'Public' (/boards/public): 2 results of 2 models, 2 scores.")
        assert touchstone("import", "mteb", path, "--benchmark", "Public").startswith("Added to the board 'Public'")

    def test_an_imported_board_is_printed(self, touchstone: Callable[..., str], tmp_path: Path) -> None:
        folder = write(tmp_path / "in", TWO_MODELS)
        touchstone("import", "mteb", folder, "--benchmark", "Public")
        heads = "| Rank | Model | Zero-shot | Memory (MB) |"
        assert touchstone("export", "board", "Public", "--format", "md").startswith(heads)
        said = touchstone("export", "board", "Public", "--format", "csv", "--languages")
        assert said.splitlines() == [
            "Rank (Borda),Model,Variant,Revision,Mean (Task),eng-Latn",
            "1,org/one,,abc,0.5,0.5",
            "1,org/two,,external,,0.625",
        ]

    def test_broken_files_are_named(self, touchstone: Callable[..., str], tmp_path: Path) -> None:
        broken = {f"a__b/1/T{n:02}.json": b"{" for n in range(21)}
        folder = write(tmp_path / "in", {**TWO_MODELS, **broken})
        said = touchstone("import", "mteb", folder, "--benchmark", "Public", code=1)
        assert said.startswith("touchstone: 21 of 25 files cannot be read, so nothing was imported.")
        assert "  a__b/1/T00.json: it is no JSON" in said
        assert said.endswith("  and 1 more\n")
        said = touchstone("import", "mteb", folder, "--benchmark", "Public", "--skip-broken")
        assert "21 files cannot be read and were skipped." in said

    def test_wrong_words_are_told(self, touchstone: Callable[..., str], tmp_path: Path) -> None:
        folder = write(tmp_path / "in", TWO_MODELS)
        said = touchstone("import", "mteb", folder, "--benchmark", "Public", "--definition", "MTEB(eng v2)", code=1)
        assert "MTEB has no benchmark 'MTEB(eng v2)'. Did you mean 'MTEB(eng, v2)'" in said
        assert "there is no folder" in touchstone("import", "mteb", tmp_path / "x", "--benchmark", "P", code=2)
