"""From what runs keep to one value an example, type by type."""

import numpy as np
import pytest
from scipy import stats

from app.core.example_values import ExampleValues, interval_of, needed_arrays, sampled_values, values_of
from app.core.significance import mean_interval
from app.core.task_types import RETRIEVAL_FAMILY, TASK_TYPES


def found(task_type: str, score: float = 0.0, **arrays: list[float] | list[int] | list[list[int]]) -> ExampleValues:
    """The values of a cell."""
    values = values_of(task_type, {name: np.array(array) for name, array in arrays.items()}, score)
    assert values is not None
    return values


def test_a_query_has_its_own_score_and_stands_with_those_of_its_document() -> None:
    values = found("Retrieval", query=[0, 2, 5, 6], value=[1.0, 0.5, 0.0, 0.2], source=[7, -1, 7, -1])
    assert values.place.tolist() == [0, 2, 5, 6] and values.value.tolist() == [1.0, 0.5, 0.0, 0.2]
    assert values.clusters is not None
    first, second, third, fourth = values.clusters.tolist()
    assert first == third and len({first, second, fourth}) == 3
    assert values.is_mean


def test_queries_without_a_document_of_their_own_are_no_clusters() -> None:
    assert found("Reranking", query=[0, 1], value=[1.0, 0.0], source=[-1, -1]).clusters is None
    assert found("InstructionRetrieval", query=[0, 1], value=[1.0, 0.0]).clusters is None


def test_a_pair_of_queries_counts_once() -> None:
    values = found("InstructionReranking", pair=[1, 0, 1, -1, 2], value=[0.4, 0.2, 0.4, np.nan, np.nan])
    assert (values.place.tolist(), values.value.tolist()) == ([0, 1], [0.2, 0.4])


def test_a_text_has_the_share_of_experiments_that_got_it_right() -> None:
    assert found("Classification", correct=[0.5, 1.0]).value.tolist() == [0.5, 1.0]
    multi = found("MultilabelClassification", correct=[0.5, 1.0, 0.0], text=[9, 2, 4])
    assert (multi.place.tolist(), multi.value.tolist()) == ([2, 4, 9], [1.0, 0.0, 0.5])


def test_a_sentence_has_its_part_of_f1() -> None:
    """Places 0 and 2 are found right, 2 by two sentences; see `worker.scoring.bitext.score`."""
    values = found("BitextMining", neighbour=[0, 2, 2], correct=[1, 0, 1])
    assert values.value.tolist() == [1.0, 0.0, 2 / 3]


def test_a_text_with_summaries_has_the_correlation_within_it() -> None:
    values = found(
        "Summarization",
        text=[0, 0, 0, 1, 1, 2, 2],
        similarity=[0.1, 0.2, 0.3, 0.5, 0.5, 0.9, 0.1],
        gold=[1.0, 2.0, 3.0, 1.0, 2.0, 1.0, 2.0],
    )
    assert (values.place.tolist(), values.value.tolist()) == ([0, 2], [1.0, -1.0])


@pytest.mark.parametrize("task_type", ["STS", "PairClassification", "Regression"])
def test_where_the_metric_is_no_mean_values_are_contributions_to_the_stored_score(task_type: str) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=50)
    y = x + generator.normal(size=50)
    arrays = {"similarity": x, "predicted": x, "gold": y, "label": (y > 0).astype(int)}
    values = values_of(task_type, {name: arrays[name] for name in needed_arrays(task_type)}, 0.6)
    assert values is not None and not values.is_mean
    assert values.value.mean() == pytest.approx(0.6) and values.value.std() > 0.1


def test_nothing_is_said_where_nothing_is_defined() -> None:
    assert values_of("Clustering", {"v_measure": np.ones(3)}, 1.0) is None
    assert values_of("STS", {"similarity": np.ones(3), "gold": np.arange(3.0)}, 0.0) is None
    assert values_of("PairClassification", {"similarity": np.arange(3.0), "label": np.zeros(3)}, 0.0) is None
    assert values_of("Retrieval", {"query": np.arange(0), "value": np.zeros(0)}, 0.0) is None


def test_every_task_type_but_clustering_has_values() -> None:
    assert {name for name in TASK_TYPES if needed_arrays(name)} == set(TASK_TYPES) - {"Clustering"}
    assert all("query" in needed_arrays(name) for name in RETRIEVAL_FAMILY if name != "InstructionReranking")


def cells(*sizes: int) -> list[ExampleValues]:
    """Cells of random values."""
    generator = np.random.default_rng(0)
    return [ExampleValues(np.arange(size), generator.random(size)) for size in sizes]


def test_the_interval_of_a_score_is_that_of_its_examples() -> None:
    (one,) = cells(200)
    found = interval_of([one])
    assert found is not None and found == mean_interval(one.value)
    assert found.low < one.value.mean() < found.high and found.n == 200


def test_every_cell_counts_alike_in_the_interval_of_a_mean() -> None:
    small, large = cells(60, 3_000)
    found = interval_of([small, large])
    assert found is not None and found.n == 3_060
    error = np.hypot(stats.sem(small.value), stats.sem(large.value)) / 2
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.06)
    assert (found.high + found.low) / 2 == pytest.approx((small.value.mean() + large.value.mean()) / 2, abs=error / 4)


@pytest.mark.parametrize("n", [30, 12_000])
def test_few_and_very_many_examples_have_students_interval(n: int) -> None:
    (one,) = cells(n)
    found = interval_of([one])
    expected = stats.t.interval(0.95, n - 1, one.value.mean(), stats.sem(one.value))
    assert found is not None and (found.low, found.high) == pytest.approx(expected)


def test_a_few_perfect_examples_are_no_certainty() -> None:
    assert interval_of([ExampleValues(np.arange(2), np.ones(2))]) is None
    many = interval_of([ExampleValues(np.arange(80), np.ones(80))])
    assert many is not None and (many.low, many.high) == (1.0, 1.0)


def test_one_example_or_an_unknown_cell_says_nothing() -> None:
    assert interval_of(cells(1)) is None
    assert interval_of([*cells(50), None]) is None
    assert interval_of([]) is None


def test_clustering_has_the_spread_of_its_draws() -> None:
    draws = sampled_values("Clustering", {"v_measure": np.linspace(0.4, 0.6, 10)}, 0.5)
    assert draws is not None
    found = interval_of([draws])
    assert found is not None and found.n == 10
    assert (found.low, found.high) == pytest.approx(
        stats.t.interval(0.95, 9, 0.5, stats.sem(np.linspace(0.4, 0.6, 10)))
    )
