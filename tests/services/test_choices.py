"""Scoring options: from what was typed to what the reader is told, and back into a form and into words."""

from dataclasses import asdict
from typing import Any

import pytest

from app.core.formats import Choices
from app.core.formats.forms import FORMS
from app.core.task_types import RETRIEVAL_FAMILY, TASK_TYPES
from app.services import choices


def test_the_usual_is_what_the_reader_takes_without_a_word() -> None:
    assert {**asdict(Choices()), "splits": []} == choices.USUAL
    assert choices.reader_choices({}) == Choices()


@pytest.mark.parametrize(
    ("kind", "typed", "stored"),
    [
        ("STS", {}, {}),
        ("STS", {"splits": "", "ignore_identical_ids": "0", "cluster_sets": ""}, {}),
        ("STS", {"splits": " Test , dev,,test "}, {"splits": ["test", "dev"]}),
        ("STS", {"splits": "train"}, {"splits": ["train"]}),
        ("Reranking", {"ignore_identical_ids": "1"}, {"ignore_identical_ids": True}),
        ("Retrieval", {"ignore_identical_ids": " TRUE "}, {"ignore_identical_ids": True}),
        ("Retrieval", {"ignore_identical_ids": "false"}, {}),
        ("Clustering", {"cluster_sets": "10"}, {"cluster_sets": 10}),
    ],
)
def test_only_what_differs_is_stored(kind: str, typed: dict[str, str], stored: dict[str, Any]) -> None:
    assert choices.parse(typed, kind, {}) == (stored, {})


@pytest.mark.parametrize(
    ("kind", "typed", "words"),
    [
        ("STS", {"splits": "a b"}, "'a b' is no name of a split"),
        ("STS", {"splits": "x" * 41}, "is no name of a split"),
        ("STS", {"splits": "half \ud800"}, "is no name of a split"),
        ("STS", {"splits": ",".join(map(str, range(21)))}, "At most 20"),
        ("Classification", {"splits": "train, test"}, "Classification learns from train"),
        ("MultilabelClassification", {"splits": "TRAIN"}, "learns from train"),
        ("Regression", {"splits": "train"}, "learns from train"),
        ("STS", {"ignore_identical_ids": "1"}, "leave it off for STS"),
        ("Retrieval", {"ignore_identical_ids": "perhaps"}, "true or false"),
        ("STS", {"cluster_sets": "3"}, "leave it empty for STS"),
        *(("Clustering", {"cluster_sets": text}, "from 1 to 10,000") for text in ("0", "-1", "ten", "10001", "9" * 30)),
        ("Clustering", {"cluster_sets": "²"}, "from 1 to 10,000"),
    ],
)
def test_what_is_wrong_is_told_beside_its_field(kind: str, typed: dict[str, str], words: str) -> None:
    _, wrong = choices.parse(typed, kind, {})
    assert list(wrong) == list(typed)
    assert words in wrong[next(iter(typed))]


def test_what_is_not_said_is_as_before_and_what_is_empty_is_as_usual() -> None:
    before = {"splits": ["dev"], "cluster_sets": 5}
    assert choices.parse({}, "Clustering", before) == (before, {})
    assert choices.parse({"cluster_sets": "6"}, "Clustering", before) == ({"splits": ["dev"], "cluster_sets": 6}, {})
    assert choices.parse({"splits": "", "cluster_sets": ""}, "Clustering", before) == ({}, {})


def test_the_way_to_the_reader_into_a_form_and_into_words() -> None:
    stored = {"splits": ["test", "dev"], "ignore_identical_ids": True}
    assert choices.reader_choices(stored) == Choices(("test", "dev"), ignore_identical_ids=True)
    assert choices.reader_choices({"cluster_sets": 5}) == Choices(cluster_sets=5)
    for kind, made in (("Retrieval", stored), ("Clustering", {"cluster_sets": 5}), ("STS", {})):
        assert choices.parse(choices.as_typed(made), kind, {}) == (made, {})
    assert [text for _, text in choices.in_words(stored)] == [
        "test, dev",
        "a query never finds the document with its own id",
    ]
    assert choices.in_words({"cluster_sets": 1200}) == (("Cluster sets", "1,200, each clustered as a whole"),)
    assert choices.in_words({}) == ()


def test_the_families_are_made_of_task_types() -> None:
    assert set(TASK_TYPES) >= set(RETRIEVAL_FAMILY)
    learning = {"Classification", "MultilabelClassification", "Regression"}
    assert {name for name, kind in TASK_TYPES.items() if kind.learns} == learning
    assert {name for name, form in FORMS.items() if form.learns} == learning
