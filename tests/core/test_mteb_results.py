"""MTEB's result files: every form is read as mteb reads it, broken ones are refused with a reason; and written."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from packaging.version import InvalidVersion, Version

from app.mteb.model_cards import ModelCard, named_by_folder, read_model_card, write_model_card
from app.mteb.results import (
    Candidate,
    Result,
    ResultScore,
    UnreadableFile,
    prefer,
    read_result,
    read_version,
    write_result,
)

RESULTS = Path(__file__).resolve().parents[2] / "../shared/data/mteb/results"
HUGE = b"0" * 400
with_results = pytest.mark.skipif(
    not RESULTS.is_dir(), reason="the public results are not beside the repository (../shared/data/mteb)"
)


def read(data: object) -> Result:
    return read_result(json.dumps(data).encode())


def today(scores: Any, **others: Any) -> dict[str, Any]:
    """A file in the present form."""
    return {"task_name": "STS12", "mteb_version": "2.3.3", "dataset_revision": "abc", "scores": scores, **others}


def cell(value: object, subset: object = "default", **others: Any) -> dict[str, Any]:
    return {"main_score": value, "hf_subset": subset, "languages": ["eng-Latn"], **others}


def values(result: Result) -> dict[tuple[str, str], float | None]:
    return {(score.split, score.subset): score.main_score for score in result.scores}


class TestPresentForm:
    def test_every_split_and_subset(self) -> None:
        result = read(
            today({"test": [cell(0.5), cell(0.25, "de")], "dev": [cell(1)]}, date=1.5, evaluation_phases=[{}])
        )
        assert (result.task, result.mteb_version, result.dataset_revision) == ("STS12", "2.3.3", "abc")
        assert result.scores == (
            ResultScore("test", "default", ("eng-Latn",), 0.5),
            ResultScore("test", "de", ("eng-Latn",), 0.25),
            ResultScore("dev", "default", ("eng-Latn",), 1.0),
        )

    @pytest.mark.parametrize("bare", ["NaN", "null", "Infinity", "-Infinity", "1e999"])
    def test_no_score_is_none(self, bare: str) -> None:
        text = json.dumps(today({"test": [cell("?"), cell(0.5, "de")]})).replace('"?"', bare)
        assert values(read_result(text.encode())) == {("test", "default"): None, ("test", "de"): 0.5}

    def test_a_task_of_ones_own_is_itself_even_where_mteb_has_one_in_other_letter_case(self) -> None:
        assert read(today({}, task_name="Our tickets")).known is None
        result = read(today({}, task_name="sts12"))
        assert (result.task, result.known) == ("sts12", None)

    def test_a_renamed_task_has_its_present_name(self) -> None:
        assert read(today({}, task_name="PersianTextTone")).task == "SynPerTextToneClassification"

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
    def test_whatever_unicode_it_is_written_in(self, encoding: str) -> None:
        text = json.dumps(today({"test": [cell(0.5, "é")]}), ensure_ascii=False)
        assert values(read_result(text.encode(encoding))) == {("test", "é"): 0.5}

    def test_what_only_the_slower_parser_reads_counts_too(self) -> None:
        deep: list[Any] = []
        for _ in range(300):
            deep = [deep]
        assert values(read(today({"test": [cell(0.5)]}, note="\ud800", deep=deep))) == {("test", "default"): 0.5}

    @pytest.mark.parametrize(
        "text", ["0.1", "0.30000000000000004", "1e-7", "5e-324", "0.12345678901234567890123", "-0.0"]
    )
    def test_numbers_are_exact(self, text: str) -> None:
        content = json.dumps(today({"test": [cell("?")]})).replace('"?"', text)
        (value,) = values(read_result(content.encode())).values()
        assert repr(value) == repr(float(text))

    def test_hostile_names_are_kept_as_text(self) -> None:
        assert read(today({}, task_name="<b>=1+1</b> عربي")).task == "<b>=1+1</b> عربي"

    def test_odd_languages_and_versions_are_left_out(self) -> None:
        result = read(today({"test": [cell(0.5, languages=["eng-Latn", 3, "\x00", "x" * 99])]}, mteb_version=7))
        assert (result.scores[0].languages, result.mteb_version) == (("eng-Latn",), None)
        assert read(today({"test": [cell(0.5, languages="eng")]})).scores[0].languages == ()


class TestOldForm:
    @pytest.mark.parametrize(
        ("task", "metrics", "expected"),
        [
            ("STS12", {"cos_sim": {"spearman": 0.5}}, {"default": 0.5}),
            ("STS12", {"cosine_spearman": 0.5, "evaluation_time": 3}, {"default": 0.5}),
            ("STS17", {"en-en": {"cos_sim": {"spearman": 0.5}}, "evaluation_time": 9.5}, {"en-en": 0.5}),
            ("TwitterSemEval2015", {"cos_sim": {"ap": 0.5}}, {"default": None}),
            ("TwitterSemEval2015", {"max": {"ap": 0.5}}, {"default": 0.5}),
            ("AskUbuntuDupQuestions", {"map": 0.5}, {"default": None}),
            ("8TagsClustering", {"v_measure": 0.5, "v_measures": {"a": [1]}}, {"default": 0.5}),
            ("ScalaNbClassification", {"accuracy": 0.5}, {"default": 0.5}),
            ("arguana", {"main_score": 0.5}, {"default": 0.5}),
            ("MLSUMClusteringP2P", {"v_measure": 0.5}, {"fr": 0.5}),
            ("XPQARetrieval", {"fr": {"ndcg_at_10": 0.5}}, {"fra-fra": 0.5}),
        ],
    )
    def test_the_main_metric_by_any_of_its_names(self, task: str, metrics: Any, expected: dict[str, Any]) -> None:
        result = read({"mteb_dataset_name": task, "mteb_version": "1.1.2.dev0", "test": metrics})
        assert values(result) == {("test", subset): value for subset, value in expected.items()}

    def test_the_task_has_its_present_name_and_its_languages(self) -> None:
        result = read({"mteb_dataset_name": "8TagsClustering", "dataset_revision": "r", "test": {"v_measure": 0.5}})
        assert (result.task, result.mteb_version, result.dataset_revision) == ("EightTagsClustering", None, "r")
        assert result.scores[0].languages == ("pol-Latn",)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no JSON"),
        (b'{"task_name": "STS12", ', "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[1]", "no JSON object"),
        (b"{}", "no task_name"),
        (b'{"task_name": "STS12"}', 'no "scores"'),
        (b'{"task_name": "STS12", "scores": [1]}', 'no "scores"'),
        (b'{"task_name": "STS12", "scores": {"test": {"a": 1}}}', "is no list"),
        (b'{"task_name": "STS12", "scores": {"test": [{"hf_subset": "default"}]}}', 'no "main_score"'),
        (b'{"task_name": "STS12", "scores": {"test": [{"main_score": 1}]}}', "no hf_subset"),
        (b'{"task_name": "STS12", "scores": {"test": [{"main_score": "1", "hf_subset": "x"}]}}', "is no number"),
        (b'{"task_name": "STS12", "scores": {"test": [{"main_score": true, "hf_subset": "x"}]}}', "is no number"),
        (b'{"task_name": "STS12", "scores": {"test": [{"main_score": 1e300, "hf_subset": "x"}]}}', "beyond"),
        (b'{"task_name": "STS12", "scores": {"test": [{"main_score": 1' + HUGE + b', "hf_subset": "x"}]}}', "beyond"),
        (b'{"task_name": "a\\u0000b", "scores": {}}', "control"),
        (b'{"task_name": "a\\ud800b", "scores": {}}', "control"),
        (b'{"task_name": "a\\u202eb", "scores": {}}', "control"),
        (b'{"task_name": "' + b"x" * 201 + b'", "scores": {}}', "longer than 200"),
        (b'{"mteb_dataset_name": "Our tickets", "test": {"accuracy": 1}}', "no known task"),
        (b'{"mteb_dataset_name": "STS12", "test": {"cosine_spearman": [1]}}', "is no number"),
    ],
)  # fmt: skip
def test_a_broken_file_says_why(content: bytes, why: str) -> None:
    with pytest.raises(UnreadableFile, match=why):
        read_result(content)


class TestModelCards:
    def test_what_it_states_is_kept_and_nothing_else(self) -> None:
        card = read_model_card(
            b'{"name": "org/model", "revision": null, "n_parameters": 5, "memory_usage_mb": NaN,'
            b' "max_tokens": Infinity, "open_weights": true,'
            b' "license": "mit", "framework": ["API", 3, "\\u0000"], "loader": {"a": 1},'
            b' "training_datasets": {"NQ": ["train"], "FEVER": []}, "public_training_data": true}'
        )
        assert (card.name, card.revision) == ("org/model", "no_revision_available")
        assert card.facts == {
            "n_parameters": 5,
            "open_weights": True,
            "license": "mit",
            "framework": ["API"],
            "training_datasets": ["FEVER", "NQ"],
            "public_training_data": True,
        }

    def test_keys_that_were_called_otherwise(self) -> None:
        card = read_model_card(b'{"name": "a/b", "revision": "1", "open_source": false, "use_instuctions": true}')
        assert card.facts == {"open_weights": False, "use_instructions": True}

    def test_a_folder_names_its_model(self) -> None:
        assert named_by_folder("org__name", "abc") == ModelCard("org/name", "abc", {})

    @pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"name": 3}', b'{"name": "a", "revision": {}, "x": 1'])
    def test_a_broken_one_is_refused(self, content: bytes) -> None:
        with pytest.raises(UnreadableFile):
            read_model_card(content)

    def test_what_is_written_is_read_again(self) -> None:
        card = ModelCard("org/name", "abc", {"n_parameters": 5, "languages": ["eng-Latn"], "license": "mit"})
        assert read_model_card(write_model_card(card)) == card


class TestPrefer:
    @pytest.mark.parametrize(
        ("candidates", "main", "best"),
        [
            ([("a", "2.0.0"), ("main", None)], "main", 1),
            ([("a", None), ("external", "1.0")], None, 1),
            ([("a", None), ("external", None)], None, 0),
            ([("no_revision_available", "2.0"), ("a", "1.0")], None, 1),
            ([("a", "1.9.2"), ("b", "1.12.0"), ("c", "1.12.0.dev1")], None, 1),
            ([("a", "1.2.0-2.3.0"), ("b", "0.1")], None, 1),
            ([("a", "1.0"), ("b", "1.0")], None, 1),
        ],
    )
    def test_by_mtebs_rule(self, candidates: list[tuple[str, str | None]], main: str | None, best: int) -> None:
        assert prefer([Candidate(*candidate) for candidate in candidates], main) == best

    @pytest.mark.parametrize("text", ["1.0.dev1", "1.0a1", "1.0a2.dev1", "1.0b1", "1.0rc1", "1.0", "1.0.0", "1.0-1"])
    @pytest.mark.parametrize("other", ["v1.0.dev2", "1.0.post1.dev2", "1.0.1", "1.10", "1!0.1", "1.0rc1", "1.0.post1"])
    def test_versions_compare_as_packaging_says(self, text: str, other: str) -> None:
        ours, theirs = read_version(text), read_version(other)
        assert ours is not None and theirs is not None
        assert (ours < theirs, ours == theirs) == (Version(text) < Version(other), Version(text) == Version(other))

    @pytest.mark.parametrize("text", ["1.29.10-2.18.7", "external", "", "1..2", "mteb version not available", "1.0+"])
    def test_what_packaging_refuses_is_no_version(self, text: str) -> None:
        assert read_version(text) is None
        with pytest.raises(InvalidVersion):
            Version(text)


class TestWriting:
    def test_what_is_written_is_read_again_with_every_digit(self) -> None:
        content = write_result(
            task="our-tickets",
            dataset_revision="1" * 40,
            main_metric="accuracy",
            languages=["eng-Latn"],
            scores={("test", "default"): {"accuracy": 0.1 + 0.2, "f1": 0.5}, ("test", "de"): {"f1": 0.5}},
            seconds=2.5,
            finished=datetime(2026, 11, 21, tzinfo=UTC),
        )
        result = read_result(content)
        assert (result.task, result.dataset_revision) == ("our-tickets", "1" * 40)
        assert values(result) == {("test", "default"): 0.1 + 0.2, ("test", "de"): None}
        assert json.loads(content)["date"] == 1_795_219_200


@pytest.mark.slow
@with_results
@pytest.mark.filterwarnings("ignore:Main score .* not found:UserWarning")
def test_every_public_file_is_read_as_mteb_reads_it() -> None:
    from mteb.results import TaskResult

    paths = [path for path in sorted(RESULTS.glob("*/*/*.json")) if path.name != "model_meta.json"]
    assert len(paths) == 1157
    for path in paths:
        theirs, ours = TaskResult.from_disk(path), read_result(path.read_bytes())
        assert ours.task == theirs.task_name
        expected = {
            (split, score["hf_subset"]): score["main_score"]
            for split, cells in theirs.scores.items()
            for score in cells
        }
        known = {key: None if value is None or math.isnan(value) else value for key, value in expected.items()}
        assert values(ours) == known, path
