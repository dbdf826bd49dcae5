"""A board by language: means as MTEB has them, which languages a subset is in, order, what is written out."""

import csv
import doctest
import io
import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import update

from app.core import languages
from app.core.languages import named_languages
from app.db.changes import board_stamp
from app.db.session import Database
from app.db.tables import Dataset
from app.errors import Invalid
from app.services import benchmarks, imports
from app.services.board_languages import (
    LanguageCache,
    LanguageView,
    as_dict,
    as_text,
    load_language_scores,
    view_languages,
)
from app.services.board_look import Look, parse_look
from app.services.boards import BoardCache, load_board
from app.services.import_scope import ImportForm
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests.board_world import World, counted_statements
from tests.result_files import PUBLIC, card, result, write

with_public = pytest.mark.skipif(
    not PUBLIC.is_dir(), reason="the public results are not beside the repository (../shared/data/mteb)"
)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def speaks(database: Database, slug: str, *codes: str) -> None:
    """Give a dataset its languages."""
    with database.session() as session:
        session.execute(update(Dataset).where(Dataset.slug == slug).values(languages=list(codes)))


def view(database: Database, slug: str, *parameters: tuple[str, str], most: int | None = None) -> LanguageView:
    """A look at a board by language."""
    with database.reading() as session:
        benchmark = benchmarks.by_slug(session, slug)
        board = load_board(session, benchmark)
        scores = load_language_scores(session, benchmark, board)
    return view_languages(board, scores, parse_look(parameters), most)


def means(found: LanguageView) -> dict[str, dict[str, float | None]]:
    """Language -> model -> mean."""
    names = [found.model(row).name for row in range(len(found.models))]
    return {column.label: dict(zip(names, column.values, strict=True)) for column in found.languages}  # type: ignore[arg-type]


def order(found: LanguageView) -> list[str]:
    """The names of the rows, in their order."""
    return [found.model(row).name for row in found.order]


@pytest.fixture
def spoken(world: World, database: Database) -> str:
    """A bilingual set with a pair, a Spanish one in two splits, an English one; the second model lacks some."""
    world.dataset("talk")
    world.dataset("calls")
    world.dataset("tickets", "Retrieval")
    speaks(database, "talk", "eng-Latn", "spa-Latn")
    speaks(database, "calls", "spa-Latn")
    first, second = world.model("acme/first"), world.model("zeta/second")
    world.run(first, "talk", {("test", "en"): 0.1, ("test", "es"): 0.3, ("test", "en-es"): 0.8})
    world.run(first, "calls", {("dev", "default"): 0.5, ("test", "default"): 0.7})
    world.run(first, "tickets", 0.9)
    world.run(second, "talk", {("test", "es"): 0.9})
    world.run(second, "tickets", 0.4)
    return world.board("talk", "calls", "tickets")


class TestNames:
    def test_the_examples(self) -> None:
        assert doctest.testmod(languages).failed == 0

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("spa", {"spa-Latn"}),
            ("spa-Latn", {"spa-Latn"}),
            ("spa_Latn-zho_Hant", {"spa-Latn", "zho-Hant"}),
            ("ES", {"spa-Latn"}),
            ("zh", {"zho-Hans", "zho-Hant"}),
            ("zho-Hans", {"zho-Hans"}),
            ("zh-CN", {"zho-Hans", "zho-Hant"}),
            ("deu-es", {"deu", "spa-Latn"}),
            ("en-ext", {"eng-Latn"}),
            ("default", {"deu", "eng-Latn", "spa-Latn", "zho-Hans", "zho-Hant"}),
            ("fra", {"deu", "eng-Latn", "spa-Latn", "zho-Hans", "zho-Hant"}),
            ("", {"deu", "eng-Latn", "spa-Latn", "zho-Hans", "zho-Hant"}),
            ("<b>\u202eeng", {"eng-Latn"}),
        ],
    )
    def test_what_a_name_tells(self, name: str, told: set[str]) -> None:
        of = ("deu", "eng-Latn", "spa-Latn", "zho-Hans", "zho-Hant")
        found = named_languages(name, of)
        assert set(found) == told
        assert list(found) == [language for language in of if language in told]

    def test_a_set_without_languages_has_none(self) -> None:
        assert named_languages("eng", ()) == ()


class TestMeans:
    @pytest.mark.both_databases
    def test_every_cell_weighs_the_same_and_what_is_missing_is_left_out(self, database: Database, spoken: str) -> None:
        found = view(database, spoken)
        assert [column.label for column in found.languages] == ["eng-Latn", "spa-Latn"]
        assert means(found) == {
            "eng-Latn": {"acme/first": pytest.approx((0.1 + 0.8 + 0.9) / 3), "zeta/second": pytest.approx(0.4)},
            "spa-Latn": {
                "acme/first": pytest.approx((0.3 + 0.8 + 0.5 + 0.7) / 4),
                "zeta/second": pytest.approx(0.9),
            },
        }
        assert (found.cells.tolist(), found.counts.tolist()) == ([3, 4], [[3, 4], [1, 1]])
        assert found.has_partial
        assert [column.unit for column in found.languages] == ["2 datasets", "2 datasets"]

    @pytest.mark.both_databases
    def test_only_the_latest_run_on_the_newest_revision_counts(
        self, world: World, database: Database, spoken: str
    ) -> None:
        model = world.model("acme/third")
        world.run(model, "tickets", 0.1)
        world.run(model, "tickets", 0.2)
        assert means(view(database, spoken))["eng-Latn"]["acme/third"] == pytest.approx(0.2)
        world.revision("tickets", 1)
        assert "acme/third" not in means(view(database, spoken))["eng-Latn"]

    def test_filters_choose_datasets_columns_and_models(self, database: Database, spoken: str) -> None:
        search = means(view(database, spoken, ("type", "Retrieval")))
        assert search == {"eng-Latn": {"acme/first": pytest.approx(0.9), "zeta/second": pytest.approx(0.4)}}
        spanish = view(database, spoken, ("language", "spa-Latn"), ("language", "deu-Latn"))
        assert list(means(spanish)) == ["spa-Latn"] and spanish.more == 0
        assert order(view(database, spoken, ("complete", "1"))) == ["acme/first"]

    def test_of_many_languages_those_of_the_most_datasets_are_shown(self, database: Database, spoken: str) -> None:
        speaks(database, "calls", "spa-Latn", "cat-Latn")
        found = view(database, spoken, most=2)
        assert [column.label for column in found.languages] == ["eng-Latn", "spa-Latn"]
        assert found.more == 1
        chosen = view(database, spoken, ("language", "cat-Latn"), most=0)
        assert ([column.label for column in chosen.languages], chosen.more) == (["cat-Latn"], 0)

    def test_a_board_without_results_has_no_language(self, world: World, database: Database) -> None:
        world.dataset("empty")
        found = view(database, world.board("empty", name="Empty"))
        assert (found.languages, found.order, found.more, found.has_partial) == ((), (), 0, False)


class TestOrder:
    def test_by_a_language_with_pinned_ones_first_and_missing_ones_last(
        self, world: World, database: Database, spoken: str
    ) -> None:
        third = world.model("acme/third")
        world.run(third, "tickets", 0.95)
        assert order(view(database, spoken, ("sort", "-language:spa-Latn"))) == [
            "zeta/second",
            "acme/first",
            "acme/third",
        ]
        assert order(view(database, spoken, ("sort", "language:spa-Latn")))[0] == "acme/first"
        pinned = view(database, spoken, ("sort", "-language:spa-Latn"), ("pin", str(third)))
        assert order(pinned) == ["acme/third", "zeta/second", "acme/first"]
        assert [pinned.model(row).name for row in pinned.pinned] == ["acme/third"]

    def test_by_a_language_that_is_not_shown(self, database: Database, spoken: str) -> None:
        found = view(database, spoken, ("sort", "-language:spa-Latn"), ("language", "eng-Latn"))
        assert order(found) == ["zeta/second", "acme/first"]
        assert list(means(found)) == ["eng-Latn"]

    def test_by_what_other_tabs_sort_by(self, database: Database, spoken: str) -> None:
        assert order(view(database, spoken, ("sort", "-task:tickets"))) == ["acme/first", "zeta/second"]

    def test_by_a_language_that_nobody_speaks(self, database: Database, spoken: str) -> None:
        with pytest.raises(Invalid, match=r"no scores in the language 'tlh'.*such as language:eng-Latn"):
            view(database, spoken, ("sort", "language:tlh"))


class TestTexts:
    def test_json_says_what_each_mean_is_over(self, database: Database, spoken: str) -> None:
        found = json.loads(as_text(view(database, spoken, ("language", "spa-Latn")), "json"))
        assert found["languages"] == [{"language": "spa-Latn", "scores": 4}]
        assert [(row["model"], row["rank"], row["scores"]) for row in found["models"]] == [
            ("zeta/second", 1, {"spa-Latn": 1}),
            ("acme/first", 2, {"spa-Latn": 4}),
        ]
        assert found["models"][1]["languages"]["spa-Latn"] == pytest.approx(2.3 / 4)

    def test_csv_has_full_precision(self, database: Database, spoken: str) -> None:
        table = list(csv.DictReader(io.StringIO(as_text(view(database, spoken), "csv"))))
        assert list(table[0]) == [
            "Rank (Borda)",
            "Model",
            "Variant",
            "Revision",
            "Mean (Task)",
            "eng-Latn",
            "spa-Latn",
        ]
        assert float(table[0]["spa-Latn"]) == pytest.approx(2.3 / 4)
        assert (table[1]["Model"], table[1]["Mean (Task)"]) == ("zeta/second", "")

    def test_markdown_and_latex_are_what_the_page_shows(self, database: Database, spoken: str) -> None:
        found = view(database, spoken, ("language", "spa-Latn"))
        assert "57.50 |" in as_text(found, "md") and "**90.00** |" in as_text(found, "md")
        assert r"\textbf{90.00} \\" in as_text(found, "latex")


class TestReading:
    @pytest.mark.both_databases
    def test_one_query_whatever_the_size(self, world: World, database: Database, spoken: str) -> None:
        def queries() -> int:
            with database.reading() as session:
                benchmark = benchmarks.by_slug(session, spoken)
                board = load_board(session, benchmark)
                with counted_statements(database) as statements:
                    load_language_scores(session, benchmark, board)
            return len(statements)

        few = queries()
        for number in range(5):
            world.run(world.model(f"more/{number}"), "talk", {("test", "en"): 0.5, ("test", "es"): 0.6})
        assert queries() == few == 1

    def test_scores_are_kept_until_the_board_changes(self, world: World, database: Database, spoken: str) -> None:
        boards, cache = BoardCache(), LanguageCache()

        def read() -> tuple[Any, int]:
            with database.reading() as session:
                benchmark, stamp = benchmarks.by_slug(session, spoken), board_stamp(session)
                board = boards.board(session, benchmark, stamp)
                with counted_statements(database) as statements:
                    return cache.scores(session, benchmark, board, stamp), len(statements)

        first, queries = read()
        again, none = read()
        assert again is first and (queries, none) == (1, 0)
        world.run(world.model("acme/third"), "talk", 0.5)
        changed, _ = read()
        assert changed.sums.shape[0] == 3


def take(
    database: Database, settings: Settings, files: Mapping[str, bytes], tmp_path: Any, definition: str = ""
) -> str:
    """Import files as a board. Returns its slug."""
    folder = write(tmp_path / "results", dict(files))
    blobs = BlobStore(settings.blobs_dir)
    return imports.import_folder(database, blobs, ImportForm("Public", definition), folder).slug


class TestImported:
    @pytest.mark.both_databases
    def test_languages_are_those_of_mteb_for_its_tasks_and_the_files_for_others(
        self, database: Database, settings: Settings, tmp_path: Any
    ) -> None:
        files = {
            "org__m/abc/model_meta.json": card("org/m"),
            "org__m/abc/STS17.json": result("STS17", test__en_en=0.8, test__es_en=0.4, test__ko_ko=0.2),
            "org__m/abc/Ours.json": result("Ours", test=0.6),
        }
        assert means(view(database, take(database, settings, files, tmp_path))) == {
            "eng-Latn": {"org/m": pytest.approx((0.8 + 0.4 + 0.6) / 3)},
            "spa-Latn": {"org/m": pytest.approx(0.4)},
            "kor-Hang": {"org/m": pytest.approx(0.2)},
        }

    def test_without_languages_there_is_no_column(self, database: Database, settings: Settings, tmp_path: Any) -> None:
        bare = {"task_name": "Ours", "scores": {"test": [{"main_score": 0.5, "hf_subset": "default"}]}}
        files = {"org__m/abc/model_meta.json": card("org/m"), "org__m/abc/Ours.json": json.dumps(bare).encode()}
        found = view(database, take(database, settings, files, tmp_path))
        assert (found.languages, len(found.order)) == ((), 1)


@with_public
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
class TestParity:
    """The table by language of the public files is the one that mteb makes of them."""

    @pytest.mark.parametrize("definition", ["", "MTEB(eng, v2)"])
    def test_the_public_files(self, database: Database, settings: Settings, definition: str) -> None:
        ours = self._ours(database, settings, definition)
        theirs = self._theirs(definition)
        assert set(ours) == set(theirs) and len(ours) > (0 if definition else 50)
        compared = 0
        for language, of_models in theirs.items():
            assert set(ours[language]) == set(of_models)
            for model, value in of_models.items():
                mine = ours[language][model]
                assert (math.nan if mine is None else mine) == pytest.approx(
                    math.nan if value is None else value, abs=1e-9, nan_ok=True
                ), (language, model)
                compared += value is not None
        assert compared >= 30

    @staticmethod
    def _ours(database: Database, settings: Settings, definition: str) -> dict[str, dict[str, float | None]]:
        form = ImportForm("Public", definition)
        done = imports.import_folder(database, BlobStore(settings.blobs_dir), form, PUBLIC / "results")
        return means(view(database, done.slug))

    @staticmethod
    def _theirs(definition: str) -> dict[str, dict[str, float | None]]:
        import mteb
        from mteb import ResultCache
        from mteb.benchmarks._create_table import _create_per_language_table_from_benchmark_results

        loaded: Any = ResultCache(PUBLIC).load_results(include_remote=False)
        tasks: Any = mteb.get_benchmark(definition).tasks if definition else mteb.get_tasks(tasks=loaded.task_names)
        frame = loaded._to_results_df(tasks)
        table = _create_per_language_table_from_benchmark_results(frame, "all").to_dicts()
        columns = [name for name in table[0] if name != "Model"]
        return {language: {row["Model"]: row[language] for row in table} for language in columns}


def test_a_look_is_kept_as_it_was_asked_for(database: Database, spoken: str) -> None:
    found = view(database, spoken, ("sort", "-language:spa-Latn"), ("dense", "1"))
    assert found.look == Look(sort="-language:spa-Latn", dense=True)
    assert as_dict(found)["slug"] == spoken
    assert "language:spa-Latn" in found.falling
