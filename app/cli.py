"""`touchstone`: up, serve, worker, migrate, evaluate, gate, import, export, user, vectors, doctor."""

import errno
import json
import os
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.exc import OperationalError

from app.errors import AppError
from app.gate_command import GateCommand, gate
from app.import_command import export_mteb, import_mteb
from app.settings import Settings, get_settings
from app.vectors_command import vectors_cli

if TYPE_CHECKING:
    from app.db.session import Database

cli = typer.Typer(
    help="A self-hosted, private leaderboard for embedding models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
export_cli = typer.Typer(help="Print results.", no_args_is_help=True)
import_cli = typer.Typer(help="Bring data in.", no_args_is_help=True)
user_cli = typer.Typer(help="People and their ways in.", no_args_is_help=True)
cli.add_typer(export_cli, name="export")
cli.add_typer(import_cli, name="import")
cli.add_typer(user_cli, name="user")
cli.add_typer(vectors_cli, name="vectors")
import_cli.command("mteb")(import_mteb)
export_cli.command("mteb")(export_mteb)
cli.command(cls=GateCommand)(gate)

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of all data; TOUCHSTONE_DATA_DIR otherwise.")]


@cli.command()
def up(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    demo: Annotated[
        bool | None, typer.Option("--demo/--no-demo", help="Load the demo pack at the first start.")
    ] = None,
) -> None:
    """Run web, light worker and encode worker on this machine, until Ctrl-C."""
    settings = _configure(
        TOUCHSTONE_DATA_DIR=data_dir, TOUCHSTONE_HOST=host, TOUCHSTONE_PORT=port, TOUCHSTONE_DEMO=demo
    )
    _check_data_dir(settings)
    _check_port(settings)
    from app.db import migrate as migrations
    from app.db.session import Database
    from app.services import accounts
    from app.services import demo as demo_pack
    from app.storage.blobs import BlobStore
    from app.supervisor import Supervisor

    database = Database.from_settings(settings)
    migrations.upgrade(database.engine)
    with database.session() as session:
        token = accounts.first_admin_link(session)
        if settings.demo and demo_pack.begin(session, settings, BlobStore(settings.blobs_dir)):
            typer.echo("First start: the demo pack is being loaded, its board fills by itself.")
    announce = _Announcement(settings, token)
    pending = {"demo": True}

    def now_and_then() -> None:
        pending["demo"] = pending["demo"] and not _advance_demo(database)

    Supervisor(settings, database, announce.when_ready).run(now_and_then)
    typer.echo("Touchstone has stopped.")


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Run the web alone."""
    settings = _configure(TOUCHSTONE_HOST=host, TOUCHSTONE_PORT=port)
    import uvicorn

    from app import logging as app_logging

    app_logging.configure(settings)
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=4,
        proxy_headers=bool(settings.public_url),
    )


@cli.command()
def worker(queue: Annotated[str, typer.Argument(help="light (uploads, inspections) or encode (runs).")]) -> None:
    """Run one worker process for a queue."""
    _configure()
    if queue not in {"light", "encode"}:
        _fail("the queue is light or encode")
    os.environ["TOUCHSTONE_WORKER_QUEUE"] = queue
    options = ["-Q", queue, "--pool", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    quiet = ["-W", "ignore:You're running the worker with superuser"]  # containers do; Celery says it every time
    _exec(
        [*quiet, "-m", "celery", "--quiet", "-A", "worker.main", "worker", *options, "-n", f"{queue}-{os.getpid()}@%h"]
    )


@cli.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to this version's schema."""
    settings = _configure(TOUCHSTONE_DATA_DIR=data_dir)
    _check_data_dir(settings)
    from app.db import migrate as migrations
    from app.db.session import make_engine

    engine = make_engine(settings)
    migrations.upgrade(engine)
    typer.echo(f"The database is at schema {migrations.current(engine)}.")


@cli.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def evaluate(context: typer.Context) -> None:
    """Score a file or folder without a server; see `touchstone evaluate --help`."""
    _exec(["-m", "worker.evaluate_command", *context.args])


@import_cli.command("demo")
def import_demo(
    data_dir: DataDir = None, wait: Annotated[float, typer.Option(help="Seconds to wait for workers.")] = 600
) -> None:
    """Load the demo pack into an empty house; workers must be running."""
    settings = _configure(TOUCHSTONE_DATA_DIR=data_dir)
    from app.db.session import Database
    from app.services import demo as demo_pack
    from app.storage.blobs import BlobStore

    database = Database.from_settings(settings)
    with database.session() as session:
        demo_pack.begin(session, settings, BlobStore(settings.blobs_dir))
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        with database.session() as session:
            if demo_pack.advance(session):
                typer.echo("The demo pack is in, its runs are queued.")
                return
        time.sleep(1)
    _fail(f"the workers did not finish validating and inspecting within {wait:.0f} s; are they running?")


@export_cli.command("board")
def export_board(
    name: Annotated[str, typer.Argument(help="The board's name or slug.")],
    output: Annotated[str, typer.Option("--format", help="csv, json, md or latex")] = "json",
    languages: Annotated[bool, typer.Option("--languages", help="A column a language, as in its tab.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Print a board: csv and json at full precision, scores 0 to 1; md and latex as people read them, times 100."""
    settings = _configure(TOUCHSTONE_DATA_DIR=data_dir)
    from app.db.session import Database
    from app.services import benchmarks, board_export, board_languages

    if output not in board_export.FORMATS:
        _fail(f"the format is one of {', '.join(board_export.FORMATS)}")
    with Database.from_settings(settings).reading() as session:
        board = benchmarks.by_name(session, name)
        if languages:
            text = board_languages.languages_text(session, board, output)
        else:
            text = board_export.board_text(session, board.slug, output)
    typer.echo(text, nl=False)


@user_cli.command("add")
def user_add(
    name: Annotated[str, typer.Argument(help="The name to sign in with.")],
    role: Annotated[str, typer.Option(help="viewer, member or admin")] = "viewer",
    data_dir: DataDir = None,
) -> None:
    """Add a person and print a one-time sign-in link."""
    settings = _configure(TOUCHSTONE_DATA_DIR=data_dir)
    from app.db.session import Database
    from app.db.tables import Role
    from app.services import accounts

    if role not in set(Role):
        _fail("the role is viewer, member or admin")
    with Database.from_settings(settings).session() as session:
        user = accounts.create_user(session, name, Role(role))
        token = accounts.create_sign_in_link(session, user.id)
    typer.echo(f"{_address(settings)}/sign-in/{token}")


@user_cli.command("link")
def user_link(name: Annotated[str, typer.Argument(help="Whose way in.")], data_dir: DataDir = None) -> None:
    """Print a new one-time sign-in link for somebody who cannot sign in."""
    settings = _configure(TOUCHSTONE_DATA_DIR=data_dir)
    from sqlalchemy import select

    from app.db.session import Database
    from app.db.tables import User
    from app.services import accounts

    with Database.from_settings(settings).session() as session:
        user_id = session.scalar(select(User.id).where(User.name == name, User.active))
        if user_id is None:
            _fail(f"there is no active user {name!r}")
        token = accounts.create_sign_in_link(session, user_id)
    typer.echo(f"{_address(settings)}/sign-in/{token}")


@cli.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False, data_dir: DataDir = None
) -> None:
    """Check everything a working house needs; exit code 1 when something fails."""
    settings = _configure(TOUCHSTONE_DATA_DIR=data_dir)
    from app.services import health

    checks = health.examine(settings)
    well = all(check.ok for check in checks)
    if as_json:
        typer.echo(json.dumps({"ok": well, "checks": [check.as_dict() for check in checks]}, indent=2))
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<12} {check.message}")
        typer.echo("Everything is well." if well else "Something needs attention.")
    raise typer.Exit(0 if well else 1)


def _advance_demo(database: "Database") -> bool:
    """The demo's next step; whether none is left. The house stays up, whatever becomes of the demo."""
    from app.services import demo as demo_pack

    try:
        with database.session() as session:
            return demo_pack.advance(session)
    except AppError as error:  # somebody was faster, and took a name or renamed the board
        typer.echo(f"touchstone: the demo pack stays unfinished: {error.message}", err=True)
        with database.session() as session:
            demo_pack.give_up(session, error.message)
        return True
    except OperationalError as error:
        typer.echo(f"touchstone: the demo waits for the database: {error.orig}", err=True)
        return False


class _Announcement:
    """Prints the address, and the first admin's link, once the web answers."""

    def __init__(self, settings: Settings, token: str | None) -> None:
        self._settings, self._token, self._made = settings, token, False

    def when_ready(self) -> bool:
        """Whether the web answers; says so to the person at the terminal, once."""
        if not self._made and _answers(self._settings):
            self._made = True
            self._say()
        return self._made

    def _say(self) -> None:
        typer.echo(f"\nTouchstone is at {_address(self._settings)}")
        if self._token:
            typer.echo(
                "Sign in as the first admin, once, within 24 hours:\n"
                f"  {_address(self._settings)}/sign-in/{self._token}"
            )
        typer.echo("Ctrl-C stops it.\n")
        sys.stdout.flush()


def _configure(**values: object) -> Settings:
    """Settings with command-line values on top; children see them through the environment."""
    for name, value in values.items():
        if value is not None:
            os.environ[name] = str(value)
    get_settings.cache_clear()
    return get_settings()


def _address(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - only shown
    return settings.public_url or f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _answers(settings: Settings) -> bool:
    host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host  # noqa: S104 - only asked
    try:
        with urllib.request.urlopen(f"http://{host}:{settings.port}/healthz", timeout=0.5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _check_data_dir(settings: Settings) -> None:
    folder = settings.data_dir
    try:
        folder.mkdir(
            parents=True, exist_ok=True, mode=0o700
        )  # private texts: for this machine's other users to stay out
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        _fail(f"the data folder {folder} cannot be written ({error.strerror}); choose another with --data-dir")


def _check_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            _fail(f"port {settings.port} on {settings.host} {why}; choose another with --port")


def _exec(arguments: list[str]) -> NoReturn:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - our own modules


def _fail(message: str) -> NoReturn:
    typer.echo(f"touchstone: {message}", err=True)
    raise typer.Exit(1)


def _plainly(run: Callable[[], object]) -> None:
    """Run, and say expected failures in one line."""
    try:
        run()
    except AppError as error:
        sys.exit(f"touchstone: {error.message}")
    except ValidationError as error:
        first = error.errors()[0]
        name = f"the setting {'.'.join(map(str, first['loc']))} is wrong" if first["loc"] else "the settings are wrong"
        sys.exit(f"touchstone: {name}: {first['msg'].removeprefix('Value error, ')}")
    except SettingsError as error:
        sys.exit(f"touchstone: {error}")
    except OperationalError as error:
        sys.exit(f"touchstone: the database cannot be used: {' '.join(str(error.orig).split())}")


def main() -> None:
    """The `touchstone` command."""
    _plainly(cli)


if __name__ == "__main__":
    main()
