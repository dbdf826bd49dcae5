"""`touchstone evaluate`: score a file or folder without a server. Standard output has the scores and nothing else."""

import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from app.core.formats import InvalidFile, Limits, ReadResult, Row, read_dataset
from app.core.records import ClassificationData, Dataset, StsData
from app.errors import AppError, Invalid
from worker.encoders.base import ModelSpec

if TYPE_CHECKING:
    from worker.evaluate import Evaluation

BASELINES = {"bm25": "baseline/bm25", "random": "baseline/random"}

_SPLITS = {"test", "validation", "dev"}
_CORPUS = "corpus.jsonl"
_BAR = 30
_REFRESH_SECONDS = 0.1

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def evaluate(
    path: Annotated[Path, typer.Argument(help="A table, a zip, or a folder laid out like one.")],
    *,
    model: Annotated[str, typer.Option(help="A hub id (org/name), a folder, bm25 or random.")],
    task_type: Annotated[
        str, typer.Option(help="Retrieval, STS or Classification; told by the files if omitted.")
    ] = "",
    split: Annotated[str, typer.Option(help="The split of a folder to score; test if omitted.")] = "",
    prompt_query: Annotated[str | None, typer.Option(help="Put before queries, instead of the model's own.")] = None,
    prompt_document: Annotated[str | None, typer.Option(help="Put before documents, likewise.")] = None,
    dimensions: Annotated[int | None, typer.Option(min=1, help="Keep only the first dimensions.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Read at most so many tokens of a text.")] = None,
    batch_tokens: Annotated[int, typer.Option(min=0, help="Tokens a batch; 0 = chosen for the device.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    language: Annotated[str | None, typer.Option(help="Of the texts, such as deu; for bm25.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a model on a file or a folder, without a server."""
    began = time.monotonic()
    with _quiet():
        try:
            read = _read(path, task_type, split)
            spec = _spec(
                model,
                truncate_dim=dimensions,
                max_tokens=max_tokens,
                query_prompt=prompt_query,
                document_prompt=prompt_document,
            )
            from worker.evaluate import evaluate as run  # noqa: PLC0415 -- torch, only for input that is in order

            progress = _Bar() if sys.stderr.isatty() else _Silence()
            evaluation = run(
                read.dataset, spec, progress=progress, device=device, batch_tokens=batch_tokens, language=language
            )
            progress.end()
        except InvalidFile as error:
            _fail(_problem_line(error))
        except AppError as error:
            _fail(f"{error.message} {getattr(error, 'remedy', '')}".rstrip())
        except KeyboardInterrupt:
            _fail("Interrupted.", code=130)
    seconds = time.monotonic() - began
    report = _report(model, read.dataset, evaluation, seconds)
    typer.echo(json.dumps(report, ensure_ascii=False) if as_json else "\n".join(_table(report)))


def _spec(model: str, **choices: Any) -> ModelSpec:
    """What `--model` names: a baseline, a folder that exists, or else a model of the hub."""
    if model in BASELINES:
        return ModelSpec(BASELINES[model], loader=model, source="builtin", **choices)
    folder = Path(model).expanduser()
    if folder.is_dir():
        return ModelSpec(f"local/{folder.resolve().name}", source="folder", path=str(folder.resolve()), **choices)
    return ModelSpec(model, **choices)


def _read(path: Path, task_type: str, split: str) -> ReadResult:
    """The dataset at a path.

    Raises:
        InvalidFile: of the task type whose columns fit best.
        Invalid: there is no such file, or its split cannot be chosen.
    """
    if not path.exists():
        raise Invalid(f"There is no {path}.")
    with _chosen_split(path, split) as chosen:
        failures = []
        for candidate in [task_type] if task_type else _candidates(chosen):
            try:
                return read_dataset(chosen, path.name, candidate, Limits(), read_parquet=_parquet_rows)
            except InvalidFile as error:
                failures.append(error)
                if any(problem.code != "missing_column" for problem in error.problems):
                    break
        raise min(failures, key=lambda error: error.total)


def _candidates(path: Path) -> list[str]:
    """The task types that files with these names can be of."""
    names: Iterable[str] = ()
    if path.is_dir():
        names = (file.name for file in path.rglob("*.jsonl"))
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name).name for name in archive.namelist()]
    return ["Retrieval"] if _CORPUS in names else ["STS", "Classification"]


@contextlib.contextmanager
def _chosen_split(path: Path, split: str) -> Iterator[Path]:
    """The folder as it is without its other scored splits."""
    if not split:
        yield path
        return
    if not path.is_dir():
        raise Invalid("--split chooses among the files of a folder; a single file has its split in a column.")
    files = [file for file in path.rglob("*") if file.is_file()]
    if not any(file.stem == split for file in files):
        raise Invalid(f"There is no file for the split {split!r} in {path}.")
    with tempfile.TemporaryDirectory(prefix="touchstone-") as made:
        for file in files:
            if file.stem == split or file.stem not in _SPLITS:
                copy = Path(made) / file.relative_to(path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.symlink_to(file.resolve())
        yield Path(made)


def _parquet_rows(path: Path, limits: Limits) -> Iterator[Row]:
    from worker import parquet  # noqa: PLC0415 -- only for Parquet

    return parquet.read_rows(path, limits, filename=path.name)


def _report(model: str, dataset: Dataset, evaluation: "Evaluation", seconds: float) -> dict[str, Any]:
    """What is printed; with several subsets a score is the mean over those that have it."""
    values: defaultdict[str, list[float]] = defaultdict(list)
    cells: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for score in evaluation.scores:
        values[score.metric].append(score.value)
        cells[f"{score.split}/{score.subset}"][score.metric] = score.value
    report: dict[str, Any] = {
        "model": model,
        "revision": evaluation.provenance["revision"],
        "task_type": dataset.task_type,
        "main_metric": evaluation.main_metric,
        "main_score": evaluation.main_score,
        "scores": {name: sum(found) / len(found) for name, found in values.items()},
        "n": _count(dataset),
        "seconds": round(seconds, 2),
    }
    return report if len(cells) == 1 else {**report, "cells": dict(cells)}


def _count(dataset: Dataset) -> int:
    """Scored examples: pairs, test texts or judged queries."""
    total = 0
    for cell in dataset.cells:
        match cell.data:
            case StsData(pairs):
                total += len(pairs)
            case ClassificationData(_, test):
                total += len(test)
            case retrieval:
                total += sum(bool(retrieval.qrels.get(query.id)) for query in retrieval.queries)
    return total


def _table(report: dict[str, Any]) -> Iterator[str]:
    """Lines for people; metrics with cutoffs become a grid, areas of abstention are left to the JSON."""
    yield f"{report['model']} on {report['task_type']}, {report['n']:,} examples, {report['seconds']:,.1f} s"
    yield f"{report['main_metric']}  {100 * report['main_score']:.2f}"
    yield ""
    grid: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for name, value in report["scores"].items():
        metric, _, cutoff = name.partition("_at_")
        if cutoff.isdigit():
            grid[metric][int(cutoff)] = value
        elif not name.startswith("nauc_"):
            yield f"{name:<20}{100 * value:>8.2f}"
    if grid:
        cutoffs = sorted({cutoff for values in grid.values() for cutoff in values})
        yield f"{'at':<20}" + "".join(f"{cutoff:>8}" for cutoff in cutoffs)
        for metric, values in grid.items():
            yield f"{metric:<20}" + "".join(f"{100 * values[cutoff]:>8.2f}" for cutoff in cutoffs)


class _Silence:
    """Progress for nobody."""

    def stage(self, name: str, total: int) -> None:
        """See `worker.evaluate.Progress`."""

    def advance(self, done: int) -> None:
        """See `worker.evaluate.Progress`."""

    def check(self) -> None:
        """See `worker.evaluate.Progress`."""

    def end(self) -> None:
        """Nothing more comes."""


class _Bar(_Silence):
    """Progress as one line of a terminal, on standard error."""

    def __init__(self) -> None:
        self._name, self._total, self._shown = "", 0, 0.0

    def stage(self, name: str, total: int) -> None:
        """See `worker.evaluate.Progress`."""
        self._name, self._total, self._shown = name, total, 0.0
        self.advance(0)

    def advance(self, done: int) -> None:
        """See `worker.evaluate.Progress`."""
        now = time.monotonic()
        if now - self._shown < _REFRESH_SECONDS and done < self._total:
            return
        self._shown = now
        filled = _BAR * done // self._total if self._total else 0
        counts = f"[{'#' * filled:<{_BAR}}] {done:,} of {self._total:,}" if self._total else "..."
        self._write(f"{self._name} {counts}")

    def end(self) -> None:
        """Clear the line."""
        self._write("")

    def _write(self, line: str) -> None:
        width = shutil.get_terminal_size().columns
        typer.echo(f"\r{line[: width - 1]:<{width - 1}}\r", err=True, nl=False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No library writes to the terminal; what one prints goes to standard error."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _problem_line(error: InvalidFile) -> str:
    """The first problem with its place, and how many more there are."""
    first = error.problems[0]
    place = ", ".join(filter(None, (first.file, f"row {first.row}" if first.row else "", first.column)))
    more = f" (and {error.total - 1:,} more)" if error.total > 1 else ""
    return f"{place}: {first.message}{more}" if place else f"{first.message}{more}"


def _fail(message: str, code: int = 1) -> NoReturn:
    typer.echo(" ".join(message.split()), err=True)
    raise typer.Exit(code)


def main() -> None:
    """The command line."""
    cli(prog_name="touchstone evaluate")


if __name__ == "__main__":
    main()
