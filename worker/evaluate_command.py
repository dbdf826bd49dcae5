"""`touchstone evaluate`: score a file or folder without a server. Standard output has the scores and nothing else."""

import contextlib
import json
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_args

import typer

from app.core.formats import Choices, InvalidFile, Limits, Row, read_dataset
from app.core.records import Dataset
from app.errors import AppError, Invalid
from worker import evaluate_report, guessing
from worker.encoders.base import ModelSpec, Precision

if TYPE_CHECKING:
    from worker.evaluate import Evaluation

BASELINES = {"bm25": "baseline/bm25", "random": "baseline/random"}
PRECISIONS = get_args(Precision)

_UsageError: Any = typer.BadParameter.__mro__[1]
"""Of the click that typer brings along, and does not name."""

_BAR = 30
_REFRESH_SECONDS = 0.1

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def evaluate(
    path: Annotated[Path, typer.Argument(help="A table, a zip, or a folder laid out like one.")],
    *,
    model: Annotated[str, typer.Option(help="A hub id (org/name), a folder, bm25 or random.")],
    task_type: Annotated[str, typer.Option(help="Such as STS; told by the columns or files if omitted.")] = "",
    split: Annotated[str, typer.Option(help="The splits to score, separated by commas; test if omitted.")] = "",
    prompt_query: Annotated[str | None, typer.Option(help="Put before queries, instead of the model's own.")] = None,
    prompt_document: Annotated[str | None, typer.Option(help="Put before documents, likewise.")] = None,
    dimensions: Annotated[int | None, typer.Option(min=1, help="Keep only the first dimensions.")] = None,
    precision: Annotated[str, typer.Option(help=f"Of the vectors: {', '.join(PRECISIONS)}.")] = PRECISIONS[0],
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Read at most so many tokens of a text.")] = None,
    batch_tokens: Annotated[int, typer.Option(min=0, help="Tokens a batch; 0 = chosen for the device.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    language: Annotated[str | None, typer.Option(help="Of the texts, such as deu; for bm25.")] = None,
    ignore_identical_ids: Annotated[
        bool, typer.Option("--ignore-identical-ids", help="Never rank a document whose id is the query's.")
    ] = False,
    cluster_sets: Annotated[
        int | None, typer.Option(min=1, help="Clustering: cut the rows into so many sets, each clustered as a whole.")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Also measure what the model costs, on texts of our own.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    mteb_json: Annotated[Path | None, typer.Option(help="Also write the scores to this file, as mteb does.")] = None,
) -> None:
    """Score a model on a file or a folder, without a server."""
    began = time.monotonic()
    splits = tuple(part.strip() for part in split.split(",") if part.strip())
    with _quiet(), _one_line():
        _check(precision, mteb_json)
        read = _read(path, task_type, Choices(splits, ignore_identical_ids, cluster_sets))
        spec = _spec(
            model,
            truncate_dim=dimensions,
            precision=precision,
            max_tokens=max_tokens,
            query_prompt=prompt_query,
            document_prompt=prompt_document,
        )
        how = {"device": device, "batch_tokens": batch_tokens, "language": language, "measure": measure}
        evaluation = _evaluate(read.dataset, spec, **how)
    seconds = time.monotonic() - began
    report = evaluate_report.report(model, read.dataset, evaluation, seconds)
    if measure:
        report |= evaluate_report.measured(evaluation)
    lines = [json.dumps(report, ensure_ascii=False)] if as_json else [*evaluate_report.table(report), *read.notes]
    typer.echo("\n".join(lines))
    if mteb_json is not None:
        name = path.resolve().stem
        with _one_line():
            evaluate_report.write_mteb(mteb_json, name, read.dataset, evaluation, seconds=seconds, language=language)


@dataclass(frozen=True, slots=True)
class _Read:
    """A dataset, and lines about how its file was understood."""

    dataset: Dataset
    notes: tuple[str, ...]


def _evaluate(dataset: Dataset, spec: ModelSpec, **how: Any) -> "Evaluation":
    from worker.evaluate import evaluate as run  # noqa: PLC0415 -- torch, only for input that is in order

    progress = _Bar() if sys.stderr.isatty() else _Silence()
    try:
        return run(dataset, spec, progress=progress, **how)
    finally:
        progress.end()


def _spec(model: str, **choices: Any) -> ModelSpec:
    """What `--model` names: a baseline, a folder that exists, or else a model of the hub."""
    if model in BASELINES:
        return ModelSpec(BASELINES[model], loader=model, source="builtin", **choices)
    folder = Path(model).expanduser()
    if folder.is_dir():
        return ModelSpec(f"local/{folder.resolve().name}", source="folder", path=str(folder.resolve()), **choices)
    return ModelSpec(model, **choices)


def _check(precision: str, mteb_json: Path | None) -> None:
    """Refuse what would only be noticed after the work.

    Raises:
        Invalid: there is no such precision, or no folder for the file.
    """
    if precision not in PRECISIONS:
        raise Invalid(f"There is no precision {precision!r}. Choose one of: {', '.join(PRECISIONS)}.")
    if mteb_json is not None and (mteb_json.is_dir() or not mteb_json.absolute().parent.is_dir()):
        raise Invalid(f"--mteb-json names a file to write, in a folder that exists; {mteb_json} is none.")


def _read(path: Path, task_type: str, choices: Choices) -> _Read:
    """The dataset at a path.

    Raises:
        InvalidFile: what is wrong with it.
        Invalid: there is no such file, or its columns belong to no task type.
    """
    if not path.exists():
        raise Invalid(f"There is no {path}.")
    told = ""
    if not task_type:
        guess = guessing.guess(path)
        task_type = guess.task_type
        told = f"Taken as {task_type}, by the {guess.told_by}. Another: --task-type."
    try:
        read = read_dataset(path, path.name, task_type, Limits(), read_parquet=_parquet_rows, choices=choices)
    except InvalidFile as error:
        raise Invalid(f"{_problem_line(error)} {told}") from error
    notes = [told] if told else []
    notes += [warned.message + (f" ({warned.count:,})" if warned.count > 1 else "") for warned in read.warnings]
    return _Read(read.dataset, ("", *notes) if notes else ())


def _parquet_rows(path: Path, limits: Limits) -> Iterator[Row]:
    from worker import parquet  # noqa: PLC0415 -- only for Parquet

    return parquet.read_rows(path, limits, filename=path.name)


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


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """An expected failure becomes one line on standard error, and an exit code."""
    try:
        yield
    except InvalidFile as error:
        _fail(_problem_line(error))
    except AppError as error:
        _fail(f"{error.message} {getattr(error, 'remedy', '')}")
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}." if error.filename else str(error))
    except KeyboardInterrupt:
        _fail("Interrupted.", code=130)


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
    """The command line; a wrong option too is one line."""
    try:
        sys.exit(cli(prog_name="touchstone evaluate", standalone_mode=False))
    except typer.Abort:
        typer.echo("Interrupted.", err=True)
        sys.exit(130)
    except _UsageError as error:
        typer.echo(error.format_message(), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
