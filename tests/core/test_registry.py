"""What Touchstone knows of public MTEB: models, tasks and benchmarks, as the rest of the product asks for them."""

import datetime
import json
import math
import tracemalloc
from collections import Counter
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from app.mteb import registry
from app.mteb.registry import (
    definition_names,
    find_definition,
    find_model,
    find_task,
    is_open_licence,
    model_names,
)

BUNDLE = Path(registry.__file__).parent / "registry.json"
PUBLIC = Path(__file__).resolve().parents[2] / "../shared/data/mteb"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
ENGLISH = "MTEB(eng, v2)"


def model(name: str) -> registry.KnownModel:
    found = find_model(name)
    assert found is not None
    return found


def task(name: str) -> registry.KnownTask:
    found = find_task(name)
    assert found is not None
    return found


def definition(name: str) -> registry.Definition:
    found = find_definition(name)
    assert found is not None
    return found


def cells(name: str, of: str) -> tuple[tuple[str, str], ...]:
    (found,) = [defined.cells for defined in definition(name).tasks if defined.task == of]
    return found


def test_a_model_with_all_its_facts() -> None:
    known = model(MINILM)

    assert (known.name, known.revision) == (MINILM, "8b3219a92973c328a8e22fadcfa821b5dc75636a")
    assert known.release_date == datetime.date(2021, 8, 30)
    assert (known.parameters, known.active_parameters) == (22_713_216, 10_992_768)
    assert (known.memory_mb, known.dimensions, known.max_tokens) == (87, 384, 256)
    assert (known.licence, known.open_weights, known.training_code, known.training_data) == (
        "apache-2.0",
        True,
        None,
        None,
    )
    assert known.citation is not None
    assert known.citation.startswith("@inproceedings{reimers-2019-sentence-bert,\n    title = ")
    assert known.languages == ("eng-Latn",)
    assert (known.similarity, known.instructions, known.kinds) == ("cosine", False, ("dense",))
    assert known.training_datasets is not None
    assert {"MSMARCO", "MSMARCOHardNegatives", "NQ"} <= set(known.training_datasets)
    assert known.framework[0] == "Sentence Transformers"


@pytest.mark.parametrize(
    ("name", "field", "expected"),
    [
        ("minishlab/potion-base-8M", "max_tokens", math.inf),
        ("minishlab/potion-base-8M", "active_parameters", 0),
        ("openai/text-embedding-3-large", "open_weights", False),
        ("openai/text-embedding-3-large", "parameters", None),
        ("openai/text-embedding-3-large", "training_datasets", None),
        ("openai/text-embedding-3-large (embed_dim=512)", "dimensions", 512),
        ("google/gemini-embedding-2", "dimensions", 3072),
        ("mteb/baseline-bm25s", "memory_mb", None),
        ("mteb/baseline-bm25s", "kinds", ("sparse",)),
        ("colbert-ir/colbertv2.0", "similarity", "MaxSim"),
        ("BAAI/bge-reranker-v2-m3", "kinds", ("cross-encoder",)),
        ("deepvk/USER-base", "adapted_from", "deepvk/deberta-v1-base"),
        ("consciousAI/cai-lunaris-text-embeddings", "adapted_from", None),
    ],
)
def test_models_of_every_kind(name: str, field: str, expected: object) -> None:
    assert getattr(model(name), field) == expected


def test_models_are_found_by_their_old_names_too() -> None:
    assert model("voyageai/voyage-3") is model("mongodb/voyage-3")
    assert model("bm25s").name == "mteb/baseline-bm25s"


@pytest.mark.parametrize("name", ["", "nobody/nothing", MINILM.lower(), "__class__", "=1+1", "<b>", "x" * 100_000])
def test_what_mteb_does_not_know_is_none(name: str) -> None:
    assert find_model(name) is None
    assert find_task(name) is None
    assert find_definition(name) is None


def test_every_model_is_well_formed() -> None:
    names = model_names()
    known = [model(name) for name in names]

    assert list(names) == sorted(set(names))
    assert len(names) == 877
    for found in known:
        assert "/" in found.name
        assert found.revision
        assert found.kinds
        for number in (found.parameters, found.active_parameters, found.memory_mb, found.dimensions, found.max_tokens):
            assert number is None or number >= 0
        for texts in (found.languages, found.training_datasets or ()):
            assert list(texts) == sorted(set(texts))
    assert sum(found.training_datasets is None for found in known) > 100
    assert sum(found.training_datasets == () for found in known) > 10


def test_a_model_was_trained_on_what_its_base_was_trained_on() -> None:
    bases = {name: find_model(model(name).adapted_from or "") for name in model_names()}
    pairs = {name: (model(name).training_datasets, base.training_datasets) for name, base in bases.items() if base}
    known = {name: (set(own), set(base)) for name, (own, base) in pairs.items() if own is not None and base is not None}

    assert len(known) > 50
    # mteb has that base by its address and so does not find it; zero-shot follows mteb.
    assert {name for name, (own, base) in known.items() if not base <= own} == {"deepvk/USER-base"}


def test_training_on_a_task_is_training_on_the_tasks_that_resemble_it() -> None:
    trained_on = model("BAAI/bge-m3").training_datasets or ()
    assert {"MSMARCO", "MSMARCOHardNegatives", "NanoMSMARCORetrieval", "MSMARCO-PL"} <= set(trained_on)


@pytest.mark.parametrize(
    ("licence", "is_open"),
    [
        ("apache-2.0", True),
        ("MIT", True),
        ("cc-by-sa-4.0", True),
        ("cc-by-nc-4.0", False),
        ("gemma", False),
        ("https://example.org/licence", False),
        ("", False),
        (None, False),
    ],
)
def test_open_licences(licence: str | None, is_open: bool) -> None:
    assert is_open_licence(licence) is is_open


def test_a_task_with_subsets() -> None:
    known = task("AmazonCounterfactualClassification")

    assert (known.task_type, known.main_metric, known.public) == ("Classification", "accuracy", True)
    assert known.languages == ("deu-Latn", "eng-Latn", "jpn-Jpan")
    assert known.domains == ("Reviews", "Written")
    assert known.splits == ("validation", "test")
    assert known.subsets == {
        "de": ("deu-Latn",),
        "en": ("eng-Latn",),
        "en-ext": ("eng-Latn",),
        "ja": ("jpn-Jpan",),
    }


def test_a_task_of_every_pair_of_its_languages() -> None:
    known = task("FloresBitextMining")

    assert len(known.subsets) == 204 * 203
    assert list(known.subsets) == sorted(known.subsets)
    assert known.subsets["deu_Latn-ace_Arab"] == ("deu-Latn", "ace-Arab")
    assert "deu_Latn-deu_Latn" not in known.subsets


@pytest.mark.parametrize(
    ("old", "present"),
    [
        ("NorwegianParliament", "NorwegianParliamentClassification"),
        ("8TagsClustering", "EightTagsClustering"),
        ("PersianTextTone", "SynPerTextToneClassification"),
        ("banking77classification", "Banking77Classification"),
        ("Banking77Classification", "Banking77Classification"),
    ],
)
def test_tasks_are_found_as_old_results_name_them(old: str, present: str) -> None:
    assert task(old).name == present


def test_private_tasks_say_so() -> None:
    assert not task("EnglishFinance1Retrieval").public


def test_the_english_benchmark_is_that_of_the_public_results() -> None:
    types = PUBLIC / "eng_v2_task_types.json"
    if not types.is_file():
        pytest.skip("the public MTEB results (shared/data/mteb) are not beside this checkout")
    tasks = definition(ENGLISH).tasks

    assert len(tasks) == 41
    assert {defined.task: defined.task_type for defined in tasks} == json.loads(types.read_text())


@pytest.mark.parametrize(
    ("name", "of", "expected"),
    [
        (ENGLISH, "AmazonCounterfactualClassification", (("test", "en"),)),
        (ENGLISH, "Banking77Classification", (("test", "default"),)),
        (ENGLISH, "STS22.v2", (("test", "en"),)),
        (ENGLISH, "STS17", (("test", "en-en"),)),
        (ENGLISH, "TwentyNewsgroupsClustering.v2", (("test", "default"),)),
        ("MTEB(eng, v1)", "CQADupstackRetrieval", (("test", "default"),)),
        ("MTEB(eng, v1)", "MSMARCO", (("dev", "default"),)),
        (
            "MTEB(deu, v1)",
            "AmazonCounterfactualClassification",
            (("validation", "de"), ("test", "de")),
        ),
    ],
)
def test_a_benchmark_pins_the_cells_that_count(name: str, of: str, expected: tuple[tuple[str, str], ...]) -> None:
    assert cells(name, of) == expected


def test_every_benchmark_is_made_of_known_tasks_and_cells() -> None:
    names = definition_names()

    assert list(names) == sorted(set(names))
    assert len(names) == 61
    for found in map(definition, names):
        assert found.title
        assert found.tasks
        assert "](" not in found.description
        assert len({defined.task for defined in found.tasks}) == len(found.tasks)
        for defined in found.tasks:
            known = task(defined.task)
            assert defined.task_type == known.task_type
            assert len(set(defined.cells)) == len(defined.cells) > 0
            assert {split for split, _ in defined.cells} <= set(known.splits)
            assert {subset for _, subset in defined.cells} <= set(known.subsets)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("MTEB(eng)", ENGLISH), ("MTEB", "MTEB(eng, v1)"), ("MMTEB", "MTEB(Multilingual, v2)"), (ENGLISH, ENGLISH)],
)
def test_benchmarks_are_found_by_their_aliases(alias: str, name: str) -> None:
    assert definition(alias).name == name
    assert definition(alias) is definition(name)


def test_what_was_handed_out_cannot_be_changed() -> None:
    subsets: Any = task("STS17").subsets

    with pytest.raises(TypeError, match="does not support item assignment"):
        subsets["en-en"] = ()
    with pytest.raises(FrozenInstanceError):
        model(MINILM).parameters = 1  # type: ignore[misc]


def test_the_file_is_plain_json_with_one_entry_a_line() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = BUNDLE.read_text(encoding="utf-8")
    bundle = json.loads(text, parse_constant=refuse)
    starts = Counter(line.partition(":{")[0] for line in text.splitlines())

    assert len(text.encode()) < 3_000_000
    assert bundle["made_by"] == "mteb 2.26.24"
    for section in ("models", "tasks", "definitions"):
        assert {starts[json.dumps(name, ensure_ascii=False)] for name in bundle[section]} == {1}
    renames = (("model_renames", "models"), ("task_renames", "tasks"), ("definition_aliases", "definitions"))
    for renamed, section in renames:
        assert set(bundle[renamed]).isdisjoint(bundle[section])


def test_the_first_question_takes_little_memory() -> None:
    registry._bundle.cache_clear()
    tracemalloc.start()
    try:
        assert find_definition(ENGLISH) is not None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * 1024**2
