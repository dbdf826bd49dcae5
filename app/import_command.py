"""`touchstone import mteb` and `touchstone export mteb`: MTEB's result files in and out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import AppError
from app.settings import Settings

if TYPE_CHECKING:
    from app.services.import_scope import ImportForm
    from app.services.imports import Imported

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of all data; TOUCHSTONE_DATA_DIR otherwise.")]


def import_mteb(
    source: Annotated[Path, typer.Argument(help="A folder or zip of <org__name>/<revision>/<Task>.json.")],
    benchmark: Annotated[str, typer.Option(help="The board's name; one of imported results is added to.")],
    definition: Annotated[
        str, typer.Option(help='A benchmark of MTEB\'s whose cells alone count, such as "MTEB(eng, v2)".')
    ] = "",
    *,
    except_task: Annotated[list[str] | None, typer.Option(help="A task to leave out; may be given again.")] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Import the rest when files cannot be read.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Make a board of MTEB result files, or add to one; nothing is kept when a file cannot be read."""
    from app.services.import_scope import ImportForm  # noqa: PLC0415 -- the database, only for commands that need it

    form = ImportForm(benchmark, definition, tuple(except_task or ()), skip_broken=skip_broken)
    try:
        done = _import(source, form, _settings(data_dir))
    except AppError as error:
        for message in [error.message, *error.details.get("fields", {}).values()]:
            typer.echo(f"touchstone: {message}", err=True)
        _print_problems(error.details.get("problems", []), error.details.get("total", 0))
        raise typer.Exit(1) from None
    found = done.reading
    _print_problems(found.problems, found.broken)
    typer.echo(
        f"{'Imported' if done.new else 'Added to'} the board {done.name!r} (/boards/{done.slug}): "
        f"{found.results:,} results of {found.models:,} models, {found.scores:,} scores."
    )
    for count, what in (
        (found.unused, "results do not belong to the board or have no score; they are kept with its files"),
        (found.broken, "files cannot be read and were skipped"),
        (found.others, "files are no results and were not read"),
    ):
        if count:
            typer.echo(f"{count:,} {what}.")


def export_mteb(
    benchmark: Annotated[str, typer.Argument(help="The board's name or slug.")],
    folder: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    data_dir: DataDir = None,
) -> None:
    """Write a board's results as files that mteb loads; imported ones as they came, byte for byte."""
    from app.db.session import Database  # noqa: PLC0415
    from app.services import benchmarks, result_export  # noqa: PLC0415
    from app.storage.blobs import BlobStore  # noqa: PLC0415

    settings = _settings(data_dir)
    with Database.from_settings(settings).reading() as session:
        board = benchmarks.by_name(session, benchmark)
        files = result_export.result_files(session, BlobStore(settings.blobs_dir), board)
    written = result_export.write_folder(files, folder)
    typer.echo(f"Wrote {written:,} files to {folder}.")


def _import(source: Path, form: "ImportForm", settings: Settings) -> "Imported":
    from app.db.session import Database  # noqa: PLC0415
    from app.services import imports  # noqa: PLC0415
    from app.storage.blobs import BlobStore  # noqa: PLC0415

    database, blobs = Database.from_settings(settings), BlobStore(settings.blobs_dir)
    if source.is_dir():
        return imports.import_folder(database, blobs, form, source)
    if not source.is_file():
        raise typer.BadParameter(f"there is no folder or file {source}")
    return imports.import_zip(database, blobs, form, blobs.put_file(source), source.name)


def _print_problems(problems: list[str], total: int) -> None:
    for problem in problems:
        typer.echo(f"  {problem}", err=True)
    if total > len(problems):
        typer.echo(f"  and {total - len(problems):,} more", err=True)


def _settings(data_dir: Path | None) -> Settings:
    return Settings(data_dir=data_dir) if data_dir else Settings()
