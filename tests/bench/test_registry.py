"""registry.json is what bench/registry.py makes of the installed mteb, and says what mteb itself says."""

import warnings
from collections.abc import Iterator

import mteb
import numpy as np
import pytest

from app.core.aggregation import zero_shot_percents
from app.mteb.registry import definition_names, find_definition, find_model, find_task, model_names
from bench import registry

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def what_mteb_warns_of() -> Iterator[None]:
    """Beta tasks, renamed models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_the_file_is_what_the_script_makes() -> None:
    committed = registry.TARGET.read_text(encoding="utf-8").splitlines()
    made = registry.written(registry.bundle()).splitlines()

    differing = {line.partition(":{")[0] for line in set(made) ^ set(committed)}
    assert differing == set(), "run `make registry`"
    assert made == committed


def test_another_release_of_mteb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mteb, "__version__", "2.26.25")
    monkeypatch.setattr(registry, "TARGET", None)

    with pytest.raises(RuntimeError, match=r"mteb 2\.26\.25 is installed, but the registry is made from 2\.26\.24"):
        registry.bundle()
    assert registry.main() == 1


def test_every_text_model_of_mteb_is_known() -> None:
    assert {meta.name for meta in mteb.get_model_metas(modalities=["text"])} == set(model_names())


@pytest.mark.parametrize("name", ["MTEB(eng, v2)", "MTEB(Multilingual, v2)"])
def test_zero_shot_is_that_of_mteb_for_every_model(name: str) -> None:
    definition = find_definition(name)
    assert definition is not None
    models = [model for model in map(find_model, model_names()) if model]
    trained_on = [[task.task in (model.training_datasets or ()) for task in definition.tasks] for model in models]
    known = [model.training_datasets is not None for model in models]
    ours = zero_shot_percents(np.array(trained_on), np.array(known))
    tasks = mteb.get_benchmark(name).tasks
    theirs = {meta.name: meta.zero_shot_percentage(tasks) for meta in mteb.get_model_metas(modalities=["text"])}

    assert {model.name: percent for model, percent in zip(models, ours.tolist(), strict=True)} == {
        name: -1 if percent is None else percent for name, percent in theirs.items()
    }
    assert len(set(theirs.values())) > 10


def test_every_task_has_mtebs_subsets_and_languages() -> None:
    for task in registry.text_tasks():
        known = find_task(task.metadata.name)
        assert known is not None
        subsets = task.metadata.hf_subsets_to_langscripts
        assert known.subsets == {name: tuple(dict.fromkeys(languages)) for name, languages in subsets.items()}
        assert list(known.languages) == task.metadata.bcp47_codes
        assert list(known.splits) == list(task.eval_splits)


def test_every_benchmark_of_text_tasks_is_known_with_mtebs_cells() -> None:
    benchmarks = registry.text_benchmarks()

    assert sorted(benchmark.name for benchmark in benchmarks) == list(definition_names())
    for benchmark in benchmarks:
        known = find_definition(benchmark.name)
        assert known is not None
        assert [defined.task for defined in known.tasks] == [task.metadata.name for task in benchmark.tasks]
        for defined, task in zip(known.tasks, benchmark.tasks, strict=True):
            expected = {(split, subset) for split in task.eval_splits for subset in task.hf_subsets}
            assert set(defined.cells) == expected, (benchmark.name, defined.task)


def test_subsets_are_only_written_as_pairs_if_they_are_all_pairs() -> None:
    every = {f"{a}-{b}": f"{a}-Latn {b}-Latn" for a in ("ab", "cd", "ef") for b in ("ab", "cd", "ef") if a != b}

    assert registry._pairs(every) == {"ab": "ab-Latn", "cd": "cd-Latn", "ef": "ef-Latn"}
    assert registry._pairs({name: both for name, both in every.items() if name != "ef-ab"}) is None
    assert registry._pairs(every | {"ab-ab": "ab-Latn ab-Latn"}) is None
    assert registry._pairs(every | {"ab-cd": "ab-Arab cd-Latn"}) is None
    assert registry._pairs({"default": "ab-Latn"}) is None
