"""What every test may ask for: settings, a migrated database, the application, signed-in browsers, servers."""

import ipaddress
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import pytest
import redis
import structlog
from fastapi import FastAPI
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.db import migrate
from app.db.session import Database, make_engine
from app.db.tables import Base, Role
from app.http import csrf
from app.http.identity import cookie_name
from app.main import create_app
from app.services import accounts
from app.services.accounts import Person
from app.services.passwords import Passwords
from app.settings import Settings
from tests import factories

# Both kinds of database


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests marked `both_databases` on SQLite and on PostgreSQL, if they use a database at all."""
    if "database_kind" in metafunc.fixturenames and metafunc.definition.get_closest_marker("both_databases"):
        kinds = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
        metafunc.parametrize("database_kind", kinds, indirect=True)


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """`sqlite`, or what the marker `both_databases` chose."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def settings(tmp_path: Path, database_kind: str, sqlite_template: Path, request: pytest.FixtureRequest) -> Settings:
    """Settings of an empty, migrated house of its own."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    url = ""
    if database_kind == "postgresql":
        url = request.getfixturevalue("pg_database")
    else:
        shutil.copy(sqlite_template, data_dir / "touchstone.db")
    return Settings(data_dir=data_dir, database_url=url, broker_url="", public_url="", demo=False)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The migrated database; a test that also uses a client opens short sessions of its own on it."""
    made = Database.from_settings(settings)
    yield made
    made.dispose()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """One writing transaction for the whole test, for services; on SQLite it keeps every other writer waiting."""
    with database.session() as opened:
        yield opened


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    folder = tmp_path_factory.mktemp("template")
    engine = make_engine(Settings(data_dir=folder, database_url=""))
    migrate.upgrade(engine)
    engine.dispose()
    return folder / "touchstone.db"


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queues that were woken, in order; no message leaves a test."""
    queues: list[str] = []

    def wake(queue: str) -> bool:
        queues.append(queue)
        return True

    monkeypatch.setattr("app.queue.wake", wake)
    return queues


# The application and its visitors


@pytest.fixture
def app(settings: Settings, database: Database) -> FastAPI:
    """The application on the test's database, with cheap password hashes."""
    made = create_app(settings, passwords=Passwords(time_cost=1, memory_kib=32))
    made.state.database.dispose()
    made.state.database = database
    return made


class Browser(TestClient):
    """A TestClient that sends what a browser sends from our own pages, and follows no redirect by itself."""

    person: Person | None = None
    csrf_token: str = ""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            app,
            base_url="http://testserver",
            follow_redirects=False,
            headers={"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Site": "same-origin"},
        )

    def post_form(self, url: str, data: dict[str, Any] | None = None, **options: Any) -> Any:
        """Post a form with its CSRF token: as a field, or in the query when it has `files`."""
        if options.get("files"):
            separator = "&" if "?" in url else "?"
            return self.post(f"{url}{separator}{csrf.QUERY}={self.csrf_token}", data=data, **options)
        return self.post(url, data={csrf.FIELD: self.csrf_token, **(data or {})}, **options)


@pytest.fixture
def client(app: FastAPI) -> Browser:
    """A browser in which nobody is signed in."""
    return Browser(app)


@pytest.fixture
def sign_in(app: FastAPI) -> Callable[[Role], Browser]:
    """Signs a new person of a role in; the role's name is theirs."""

    def signed_in(role: Role) -> Browser:
        browser = Browser(app)
        with app.state.database.session() as session:
            browser.person = factories.person(session, role.value, role)
            token = accounts.open_session(session, browser.person.id, days=1, agent="pytest")
        browser.cookies.set(cookie_name(app.state.settings), token)
        browser.csrf_token = csrf.token_for(token)
        return browser

    return signed_in


@pytest.fixture
def as_admin(sign_in: Callable[[Role], Browser]) -> Browser:
    """A browser with an admin."""
    return sign_in(Role.ADMIN)


@pytest.fixture
def as_member(sign_in: Callable[[Role], Browser]) -> Browser:
    """A browser with a member."""
    return sign_in(Role.MEMBER)


@pytest.fixture
def as_viewer(sign_in: Callable[[Role], Browser]) -> Browser:
    """A browser with a viewer."""
    return sign_in(Role.VIEWER)


# Servers in temporary folders


def _missing(what: str, remedy: str) -> NoReturn:
    """Skip a test for want of a program; in CI nothing may be skipped."""
    reason = f"{what} is not installed; {remedy}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def pg_url() -> Iterator[str]:
    """The address of a temporary PostgreSQL server's maintenance database, reached by a socket in its folder."""
    found = [shutil.which("initdb"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)]
    initdb = next((Path(path) for path in found if path), None)
    if initdb is None or not initdb.with_name("pg_ctl").exists():
        _missing("PostgreSQL (initdb, pg_ctl)", "on Debian: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="touchstone-pg-"))
    run = _as_server_user(folder)
    options = f"-k {folder} -c listen_addresses='' -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    pg_ctl = [str(initdb.with_name("pg_ctl")), "-D", str(folder / "data")]
    run([str(initdb), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"])
    try:
        run([*pg_ctl, "start", "-w", "-l", str(folder / "log"), "-o", options])
        yield f"postgresql://postgres@/postgres?host={quote(str(folder))}"
    finally:
        run([*pg_ctl, "stop", "-m", "immediate"])
        shutil.rmtree(folder)


def _as_server_user(folder: Path) -> Callable[[list[str]], None]:
    """Runs commands; as the user postgres where the tests run as root, whom PostgreSQL refuses."""
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)

    def run(command: list[str]) -> None:
        answer = subprocess.run(
            command, cwd=folder, user=user, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert answer.returncode == 0, answer.stdout

    return run


@pytest.fixture(scope="session")
def pg_migrated(pg_url: str) -> Iterator[tuple[str, Engine]]:
    """The address of one migrated database on that server, and an engine on it."""
    server = create_engine(pg_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE touchstone"))
    server.dispose()
    url = pg_url.replace("/postgres?", "/touchstone?")
    engine = create_engine(url)
    migrate.upgrade(engine)
    yield url, engine
    engine.dispose()


@pytest.fixture
def pg_database(pg_migrated: tuple[str, Engine]) -> str:
    """The address of a migrated, empty PostgreSQL database; emptied because making one takes ten times as long.

    A test that changes the schema makes a database of its own on `pg_url`.
    """
    url, engine = pg_migrated
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    leftover = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with engine.begin() as connection:
        connection.execute(text(leftover))
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))
    return url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a temporary Redis server on a free port of this machine."""
    program = shutil.which("redis-server")
    if program is None:
        _missing("redis-server", "on Debian: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    arguments = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        _wait_for_redis(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=10)


def _wait_for_redis(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 10
    with redis.Redis.from_url(url) as connection:
        while time.monotonic() < deadline:
            assert server.poll() is None, "redis-server ended at once"
            try:
                connection.ping()
            except redis.ConnectionError:
                time.sleep(0.05)
            else:
                return
    raise AssertionError("redis-server did not answer within 10 s")


# Nothing from outside


class NetworkBlocked(RuntimeError):
    """A test tried to reach another machine."""


@pytest.fixture(autouse=True, scope="session")
def plain_log() -> None:
    """Log lines as they come and short tracebacks; the default would draw every local variable."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, plain])


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Let tests reach this machine only, and keep the developer's own settings out."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TOUCHSTONE_")]:
            patch.delenv(name)
        patch.setenv("HF_HUB_OFFLINE", "1")
        for method in ("connect", "connect_ex"):
            patch.setattr(socket.socket, method, _guarded(getattr(socket.socket, method)))
        yield


def _guarded(original: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(address[0]):
            raise NetworkBlocked(f"tests may not reach {address[0]}")
        return original(self, address)

    return connect


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
