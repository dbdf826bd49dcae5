"""`touchstone gate`: whether a candidate may take a baseline's place, as an exit code for pipelines."""

import io
import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from typer.core import TyperCommand

from app.errors import AppError
from app.settings import Settings

if TYPE_CHECKING:
    from app.services.gate import GateReport

BAD_INPUT: Final = 64
"""The gate could not be asked: EX_USAGE of sysexits.h, apart from the three answers."""

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of all data; TOUCHSTONE_DATA_DIR otherwise.")]


class GateCommand(TyperCommand):
    """A command whose wrong usage is told apart from "cannot tell", which is 2 too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `TyperCommand`."""
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            error.exit_code = BAD_INPUT  # what typer leaves with
            raise


def gate(
    board: Annotated[str, typer.Option(help="The board's name or slug.")],
    candidate: Annotated[str, typer.Option(help="A model on it: its name (with its variant) or its key.")],
    baseline: Annotated[str, typer.Option(help="The model that it is to replace, likewise.")],
    *,
    min_delta: Annotated[
        float,
        typer.Option(
            help="The smallest difference, candidate - baseline, that is accepted, on the scale of the scores: "
            "-0.01 accepts the loss of one point of a hundred."
        ),
    ] = 0.0,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Decide on this dataset (its slug) alone; may be given again.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    markdown: Annotated[str, typer.Option(help="Write Markdown to this file; - prints it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Decide whether a candidate is no worse than a baseline, by tests over the examples of a board.

    Exit code: 0 not worse, 1 worse, 2 cannot tell; 64 where the question cannot be asked, with what to do about it.
    """
    from app.services import gate_formats  # noqa: PLC0415 -- numpy and the database, only for commands that need them

    with _in_words():
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a minus sign is no reason to leave with another code
        report = _decided(board, candidate, baseline, min_delta, dataset or [], data_dir)
        if junit:
            _write(junit, gate_formats.as_junit(report))
        if markdown and markdown != "-":
            _write(Path(markdown), gate_formats.as_markdown(report))
        if markdown == "-":
            typer.echo(gate_formats.as_markdown(report), nl=False)
        if as_json:
            typer.echo(json.dumps(gate_formats.as_dict(report), ensure_ascii=False, allow_nan=False, indent=2))
        elif markdown != "-":
            typer.echo(gate_formats.as_text(report), nl=False)
    raise typer.Exit(int(report.whole.outcome))


def _decided(  # noqa: PLR0917
    name: str, candidate: str, baseline: str, least: float, datasets: list[str], data_dir: Path | None
) -> "GateReport":
    from app.db.session import Database  # noqa: PLC0415
    from app.services import benchmarks  # noqa: PLC0415
    from app.services.boards import load_board  # noqa: PLC0415
    from app.services.evidence import EvidenceReader  # noqa: PLC0415
    from app.services.gate import decide  # noqa: PLC0415
    from app.services.verdicts import VerdictKeeper  # noqa: PLC0415
    from app.storage.blobs import BlobStore  # noqa: PLC0415

    settings = Settings(data_dir=data_dir) if data_dir else Settings()
    keeper = VerdictKeeper(EvidenceReader(BlobStore(settings.blobs_dir)))
    with Database.from_settings(settings).reading() as session:
        board = load_board(session, benchmarks.by_name(session, name))
        return decide(session, keeper, board, candidate=candidate, baseline=baseline, least=least, datasets=datasets)


@contextmanager
def _in_words() -> Iterator[None]:
    """Say what went wrong in one line, and leave with `BAD_INPUT`: any other code would be an answer."""
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    try:
        yield
    except AppError as error:
        message = error.message
    except (ValidationError, SettingsError) as error:
        message = f"the settings are wrong: {' '.join(str(error).split())}"
    except DBAPIError as error:
        message = f"the database cannot be used: {' '.join(str(error.orig).split())}"
    except OSError as error:
        message = f"{error.filename} cannot be written: {error.strerror}"
    except Exception as error:  # Python's own exit code would be an answer: worse
        typer.echo(traceback.format_exc(), err=True, nl=False)
        message = f"something unforeseen happened, {type(error).__name__}; report it with the lines above"
    else:
        return
    typer.echo(f"touchstone gate: {message}", err=True)
    raise typer.Exit(BAD_INPUT)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
