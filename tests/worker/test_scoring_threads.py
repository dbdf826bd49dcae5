"""Experiments run side by side, in order, with one library thread each, and end cleanly."""

import doctest
import threading
import warnings
from collections.abc import Iterator

import pytest
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info

from worker.scoring import threads
from worker.scoring.threads import side_by_side


class Stop(Exception):
    """What ends a run."""


def library_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info()}


@pytest.fixture
def two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MAX_THREADS", 2)
    monkeypatch.setattr(threads, "threadpool_info", lambda: [{"num_threads": 8}])


@pytest.mark.usefixtures("two_at_a_time")
def test_items_are_worked_on_side_by_side_and_answered_in_order() -> None:
    both = threading.Barrier(2, timeout=10)
    ticks: list[threading.Thread] = []

    def work(item: int) -> int:
        both.wait()
        return -item

    assert side_by_side(work, range(4), lambda: ticks.append(threading.current_thread())) == [0, -1, -2, -3]
    assert ticks == [threading.current_thread()] * 4


def test_the_libraries_have_one_thread_each_and_theirs_again_afterwards() -> None:
    before = library_threads()

    found = side_by_side(lambda _: library_threads(), range(3), lambda: None)

    assert found == [{1}] * 3
    assert library_threads() == before


def test_no_items_are_no_results() -> None:
    assert side_by_side(abs, [], lambda: None) == []


@pytest.mark.usefixtures("two_at_a_time")
def test_a_tick_that_raises_ends_it_and_no_thread_stays() -> None:
    before, taken, begun = threading.active_count(), [], []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        side_by_side(begun.append, items(), stop)

    assert threading.active_count() == before
    assert taken == [0, 1, 2]
    assert set(begun) <= set(taken)


@pytest.mark.usefixtures("two_at_a_time")
def test_what_work_or_items_raise_is_passed_on() -> None:
    before = threading.active_count()

    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda item: 1 // item, [1, 0, 1], lambda: None)
    with pytest.raises(ZeroDivisionError):
        side_by_side(abs, (1 // item for item in (1, 0)), lambda: None)

    assert threading.active_count() == before


def test_advice_of_scikit_learn_is_not_passed_on_but_other_warnings_are() -> None:
    filters = list(warnings.filters)

    side_by_side(lambda _: warnings.warn("more iterations", ConvergenceWarning, stacklevel=1), range(3), lambda: None)
    with pytest.raises(RuntimeWarning, match="overflow"):
        side_by_side(lambda _: warnings.warn("overflow", RuntimeWarning, stacklevel=1), [0], lambda: None)

    assert warnings.filters == filters


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(threads).failed == 0
