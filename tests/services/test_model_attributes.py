"""The attributes of a model: who is believed, where a value comes from, what may be set by hand."""

from typing import Any

import pytest

from app.db.tables import Model
from app.errors import Invalid
from app.mteb import registry
from app.services import model_attributes as attributes
from app.services.model_attributes import Source

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def _first(choose: Any) -> str:
    """The first known model that is chosen."""
    models = (registry.find_model(name) for name in registry.model_names())
    return next(model.name for model in models if model is not None and choose(model))


def test_a_name_that_nobody_knows_has_no_facts() -> None:
    assert attributes.known("acme/small") == {}
    assert attributes.values("acme/small", {"licence": "mit", "languages": []}, {}) == {"licence": "mit"}
    assert not attributes.is_unlimited("acme/small")


def test_what_mteb_writes_is_said_in_our_words() -> None:
    facts = attributes.known(MINILM)
    assert (facts["release_date"], facts["max_tokens"], facts["kinds"]) == ("2021-08-30", 256, ["dense"])
    public = attributes.known(_first(lambda model: model.training_data is True))
    assert public["training_data"] == attributes.PUBLIC
    unlimited = _first(lambda model: model.max_tokens == float("inf"))
    assert "max_tokens" not in attributes.known(unlimited)
    assert attributes.is_unlimited(unlimited) and not attributes.is_unlimited(MINILM)
    nothing = _first(lambda model: model.training_datasets == ())
    assert attributes.known(nothing)["training_datasets"] == [], "it saw none, which is not unknown"


def test_every_known_model_fits_into_the_columns() -> None:
    for name in registry.model_names():
        for attribute, value in attributes.known(name).items():
            room = getattr(Model.__table__.c[attribute].type, "length", None)
            assert room is None or len(value) <= room, (name, attribute)
            assert attributes.is_text(value), (name, attribute)
        assert set(attributes.known(name)["kinds"]) <= set(attributes.KINDS), name


def test_each_value_has_its_source() -> None:
    found = {"licence": "mit", "languages": (), "prompts": {}, "training_datasets": ["org/pairs"], "library": "x"}
    origins = attributes.sources(MINILM, found, {"release_date": "2022-01-01"})
    assert (origins["licence"], origins["languages"]) == (Source.FILES, Source.REGISTRY)
    assert (origins["release_date"], origins["training_datasets"]) == (Source.CORRECTED, Source.BOTH)
    assert origins.keys() == attributes.values(MINILM, found, {"release_date": "2022-01-01"}).keys()
    assert "prompts" not in origins and "library" not in origins
    corrected = attributes.sources(MINILM, found, {"training_datasets": []})
    assert corrected["training_datasets"] == Source.CORRECTED
    assert attributes.values(MINILM, found, {"training_datasets": []})["training_datasets"] == []


@pytest.mark.parametrize(
    "values",
    [
        {"release_date": "2024-02-29"},
        {"open_weights": False},
        {"active_parameters": 0},
        {"training_code": "https://example.org/train?x=1#top"},
        {"training_data": "public"},
        {"training_data": "https://example.org/data"},
        {"reference": "https://example.org"},
        {"citation": "@article{a,\n  title = {B}\n}"},
        {"kinds": ["dense", "sparse"]},
        {"kinds": []},
        {"training_datasets": []},
        {"release_date": None, "kinds": None},
    ],
)
def test_what_an_admin_may_say(values: dict[str, Any]) -> None:
    attributes.check(values)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("release_date", "31.01.2024", "year-month-day"),
        ("release_date", "20240131", "year-month-day"),
        ("release_date", "2024-02-30", "no day 2024-02-30"),
        ("release_date", 2024, "year-month-day"),
        ("open_weights", "yes", "Say yes or no"),
        ("active_parameters", -1, "not negative"),
        ("active_parameters", True, "not negative"),
        ("parameters", 1.5, "not negative"),
        ("training_code", "http://example.org", "begins with https://"),
        ("training_code", "javascript:alert(1)", "begins with https://"),
        ("training_code", "https://", "begins with https://"),
        ("reference", "https://example.org/a b", "begins with https://"),
        ("reference", "https://example.org\u202e/a", "begins with https://"),
        ("reference", "https://good.org@evil.org/", "begins with https://"),
        ("reference", "https://example.org/" + "x" * 1000, "At most 1,000"),
        ("training_data", "ftp://example.org", "begins with https://"),
        ("training_data", "x" * 1001, "At most 1,000"),
        ("citation", "x" * 20_001, "At most 20,000"),
        ("citation", "a\0b", "no text"),
        ("kinds", ["dense", "magic"], "Choose among dense, sparse"),
        ("kinds", ["dense", "dense"], "each once"),
        ("kinds", "dense", "Choose among"),
        ("languages", ["x" * 201], "1 to 200"),
        ("languages", [""], "1 to 200"),
        ("languages", ["eng-Latn"] * 10_001, "10,000"),
        ("prompts", {"query": 1}, "each of them a text"),
        ("colour", "blue", "no such attribute"),
        ("colour", None, "no such attribute"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(name: str, value: Any, message: str) -> None:
    with pytest.raises(Invalid) as error:
        attributes.check({name: value})
    assert list(error.value.fields) == [name]
    assert message in error.value.fields[name]
