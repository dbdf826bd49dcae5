"""The calibration can fail: a test that errs too often, or an interval that is too narrow, makes it red."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app.core.aggregation import Floats
from bench import calibration, simulated_metrics, simulations
from bench.calibration import COVERED, FALSE_OF_MANY, FREE, Row, Table, lines, main, misses, simulated, written
from bench.simulations import BINARY, EXCHANGEABLE, SKEWED, VERY_SKEWED, Rates

SMALL = {"repeats": 250, "resamples": 400}
LOOSE = (0.02, 0.085)
"""A share of 5% in 250 repeats."""


def rates(n: int = 200) -> Rates:
    return simulations.equal_models(EXCHANGEABLE, n, **SMALL)


def test_equal_models_are_told_apart_in_one_case_of_twenty() -> None:
    found = rates()
    assert LOOSE[0] <= found.told_apart <= LOOSE[1]
    assert 0.9 <= found.mean <= 0.985 and 0.9 <= found.difference <= 0.985


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("sign_flip", lambda real: lambda *given, **options: real(*given, **options) / 4),
        ("sign_flip", lambda real: lambda *given, **options: np.minimum(1, real(*given, **options) * 4)),
    ],
)
def test_a_test_that_errs_is_out_of_bounds(
    name: str, broken: Callable[..., Callable[..., Floats]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulations, "_assert_same", lambda *_: None)
    monkeypatch.setattr(simulations, name, broken(getattr(simulations, name)))
    found = simulated(table(partial(simulations.equal_models, EXCHANGEABLE, 200)))
    (said,) = misses([found])
    assert said.startswith("Models, noise: errs is ") and said.endswith("% to 6.5%.")


def test_intervals_that_are_too_narrow_are_out_of_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulations, "_assert_same", lambda *_: None)
    monkeypatch.setattr(simulations, "percentiles", lambda samples: np.quantile(samples, [0.2, 0.8], axis=0))
    found = simulated(table(partial(simulations.equal_models, EXCHANGEABLE, 200)))
    assert [said.partition(" is ")[0] for said in misses([found])] == ["Models, noise: mean", "Models, noise: apart"]


def test_a_comparison_that_is_not_its_parts_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = simulations.compare

    def moved(*given: object, **options: object) -> object:
        found = real(*given, **options)  # type: ignore[arg-type]
        return replace(found, interval=replace(found.interval, low=found.interval.low - 0.1))

    monkeypatch.setattr(simulations, "compare", moved)
    with pytest.raises(AssertionError, match="another interval"):
        rates()


def test_a_verdict_below_its_p_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulations, "SIGNIFICANT", 1.1)
    with pytest.raises(AssertionError, match="a verdict at p"):
        rates()


def test_clusters_and_boards_hold_their_level() -> None:
    for found in (
        simulations.equal_in_clusters(100, **SMALL),
        simulations.equal_on_a_board((EXCHANGEABLE, BINARY), (60, 120), **SMALL),
    ):
        assert found.told_apart <= LOOSE[1]
        assert found.mean >= 0.9 and found.difference >= 0.9


def test_a_family_of_equal_models_holds_its_level() -> None:
    assert simulations.families_in_error((EXCHANGEABLE,), (60,), **SMALL) <= LOOSE[1]


def test_the_formula_finds_four_of_five() -> None:
    n, found = simulations.power(EXCHANGEABLE, 0.05, **SMALL)
    assert n == 63
    assert 0.7 <= found <= 0.9


def test_only_the_classical_test_is_blinded_by_a_bad_model() -> None:
    few = {"repeats": 60, "resamples": 200}
    found = {
        classical: simulations.found_beside(baseline=True, classical=classical, **few) for classical in (True, False)
    }
    assert found[True] < 0.1 and found[False] > 0.45


def test_skewed_models_have_the_same_mean() -> None:
    values = SKEWED.draw(np.random.default_rng(0), (20_000, 2, 5))
    assert values.mean(axis=(0, 2)) == pytest.approx(SKEWED.mean, abs=0.005)


@pytest.mark.parametrize(
    "metric", [simulated_metrics.SPEARMAN, simulated_metrics.KENDALL, simulated_metrics.AVERAGE_PRECISION]
)
def test_the_truth_of_a_metric_is_its_value_on_many_examples(metric: simulated_metrics.Metric) -> None:
    scores, gold = metric.draw(np.random.default_rng(0), 4_000)
    assert [metric.contributions(own, gold).mean() for own in scores.T] == pytest.approx([metric.truth] * 2, abs=0.03)


def test_metrics_that_are_no_means_hold_their_level() -> None:
    few = {"repeats": 150, "resamples": 300}
    for found in (
        simulated_metrics.by_contributions(simulated_metrics.SPEARMAN, 100, **few),
        simulated_metrics.computed_again(simulated_metrics.SPEARMAN, 100, **few),
    ):
        assert found.told_apart <= 0.1
        assert found.mean >= 0.88 and found.difference >= 0.88
    with pytest.raises(ValueError, match="Kendall is not computed again"):
        simulated_metrics.computed_again(simulated_metrics.KENDALL, 100, **few)


# The table and the command


def table(simulate: Callable[..., Rates | float | tuple[int, float]], **changes: object) -> Table:
    row = Row(("noise",), simulate, (FALSE_OF_MANY, COVERED, COVERED), 250, 400)
    return Table("Models", "What was done.", ("values", "errs", "mean", "apart"), (replace(row, **changes),))


def steady(
    found: Rates | float | tuple[int, float], *, repeats: int, resamples: int
) -> Rates | float | tuple[int, float]:
    return found


def test_what_is_out_of_bounds_is_bold_and_what_has_none_in_brackets() -> None:
    bounds = (FALSE_OF_MANY, FREE, COVERED)
    found = simulated(table(partial(steady, Rates(0.07, 0.5, 0.95)), bounds=bounds))
    assert list(lines(found))[-1] == "| noise | **7.0%** | (50.0%) | 95.0% |"
    assert list(misses([found])) == ["Models, noise: errs is 7.0%, wanted 3.5% to 6.5%."]


@pytest.mark.parametrize(
    ("told", "words"),
    [((0.05, 0.05, 0.05), "50 examples on"), ((0.05, 0.1, 0.05), "1,000 examples on"), ((0.0, 0.0, 0.1), "more than")],
)
def test_from_when_on_skewed_differences_hold(told: tuple[float, ...], words: str) -> None:
    row = Row(("", ""), steady, (FREE, FREE, FREE), 1, 1)
    rows = [
        replace(row, labels=(noise.name, f"{n:,}"), shares=(share, 0.95, 0.95))
        for noise in (SKEWED, VERY_SKEWED)
        for n, share in zip(calibration.SIZES, told, strict=True)
    ]
    found = list(lines(Table("", "", (), tuple(rows), note=calibration._skewed_from)))[-1]
    assert found.count(words) == 2


def test_the_number_of_the_formula_stands_before_its_share() -> None:
    found = simulated(table(partial(steady, (1_234, 0.8)), bounds=(calibration.POWER,)))
    assert list(lines(found))[-1] == "| noise | 1,234 | 80.0% |"


def test_tables_are_written_between_their_markers() -> None:
    page = f"before\n{calibration.BEGIN}\nold\n{calibration.END}\nafter\n"
    assert written(page, "new") == f"before\n{calibration.BEGIN}\n\nnew\n{calibration.END}\nafter\n"
    assert written(written(page, "new"), "new") == written(page, "new")
    with pytest.raises(ValueError, match="no place for the tables"):
        written("before", "new")


class _HereAndNow:
    """Stands for the pool of processes."""

    def __init__(self, *_: object, **__: object) -> None:
        self.map = map

    def __enter__(self) -> "_HereAndNow":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("errs", "status"), [(0.05, 0), (0.2, 1)])
def test_the_command_prints_writes_and_fails(
    errs: float, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "statistics.md"
    page.write_text(f"{calibration.BEGIN}{calibration.END}\n")
    made = (table(partial(steady, Rates(errs, 0.95, 0.95))),)
    monkeypatch.setattr(calibration, "tables", lambda: made)
    monkeypatch.setattr(calibration, "ProcessPoolExecutor", _HereAndNow)
    assert main([], page) == status
    said = capsys.readouterr()
    assert "### Models" in said.out and ("wanted" in said.err) == bool(status)
    assert "### Models" in page.read_text()
    page.write_text("as it was")
    assert main(["--repeats", "5"], page) == status
    assert page.read_text() == "as it was"


def test_the_page_of_this_repository_has_every_row_within_its_bounds() -> None:
    page = calibration.PAGE.read_text(encoding="utf-8")
    published = page.partition(calibration.BEGIN)[2].partition(calibration.END)[0]
    for found in calibration.tables():
        assert found.title in published and found.what in published
        for row in found.rows:
            assert f"| {' | '.join(row.labels)} |" in published, row.labels
    assert "**" not in published
