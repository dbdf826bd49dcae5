"""The board as its readers meet it: a real server, one process, asked over HTTP."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from itertools import chain
from pathlib import Path
from typing import Final, Self

import psutil

from bench import board_house
from bench.board_house import SLUG, Cell
from bench.common import ROOT, Result, Target

PATH: Final = f"/boards/{SLUG}"
LOOKS: Final = (
    "?sort=-mean_task",
    "?sort=-type:STS",
    "?type=Retrieval",
    "?max_parameters=100M",
    "?complete=1&sort=model",
    "?q=e5",
    "/tasks",
    "/tasks?sort=-mean_task",
)
VIEWERS: Final = 50


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


PORT: Final = _free_port()
"""Where the server listens."""


@dataclass(frozen=True, slots=True)
class Size:
    """A board to measure, and how much slower than the first it may be."""

    name: str
    cells: Callable[[], Iterator[Cell]]
    allowance: int


def measure(name: str, *, quick: bool = False) -> Result:
    """Both sizes, one after the other."""
    sizes = [Size("made up, 450 × 130", lambda: board_house.made_cells(450, 130), 4)]
    if board_house.PUBLIC.is_dir():
        sizes.insert(0, Size("MTEB(eng, v2), 333 × 41", board_house.public_cells, 1))
    if quick:
        sizes = [Size("quick, 20 × 5", lambda: board_house.made_cells(20, 5), 4)]
    found = {size.name: _measure(size, rounds=3 if quick else 40) for size in sizes}
    return Result(
        name,
        "The board",
        "A server of one web process, asked over HTTP on the same machine; the board's scores are runs of our own. "
        "Looks (sorts, filters, the tab Tasks) are asked for in turn, compressed as browsers ask for them, and read to "
        "their last byte.",
        ("board", *(figure.what for figure in next(iter(found.values())))),
        tuple((size, *map(_shown, figures)) for size, figures in found.items()),
        tuple(
            Target(f"{figure.what}, {size}", figure.wanted, figure.reached, figure.unit, "less")
            for size, figures in found.items()
            for figure in figures
        ),
        raw={size: {figure.what: figure.reached for figure in figures} for size, figures in found.items()},
    )


def _measure(size: Size, *, rounds: int) -> list[Target]:
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as folder:
        data_dir = Path(folder)
        token = board_house.fill(data_dir, list(size.cells()))
        with serving(data_dir) as (process, started), Viewer(token) as viewer:
            memory = process.memory_info().rss / 1024**2
            changed = [_after_a_change(viewer, data_dir) for _ in range(max(3, rounds // 4))]
            compressed = viewer.ask(PATH).bytes / 1000
            looks = [viewer.page(PATH + look) for _ in range(rounds) for look in LOOKS]
            unchanged = [_unchanged(viewer) for _ in range(rounds * 3)]
            crowd = _crowd(token, rounds=max(2, rounds // 8))
    figures = (
        ("start to first answer", 2_500, started, "ms"),
        ("memory at start", 200, memory, "MB"),
        ("first render after a score changed", 150, statistics.median(changed), "ms"),
        ("a look, median", 60, statistics.median(looks), "ms"),
        ("a look, p95", 120, _p95(looks), "ms"),
        ("unchanged (304), median", 2, statistics.median(unchanged), "ms"),
        ("Summary, compressed", 150, compressed, "kB"),
        (f"{VIEWERS} viewers at once, p95", 500, _p95(crowd), "ms"),
    )
    return [Target(what, wanted * size.allowance, reached, unit, "less") for what, wanted, reached, unit in figures]


@contextmanager
def serving(data_dir: Path) -> Iterator[tuple[psutil.Process, float]]:
    """A running server, and how many milliseconds the first answer took."""
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(PORT)]
    environment = {**os.environ, "TOUCHSTONE_DATA_DIR": str(data_dir)}
    silent = subprocess.DEVNULL
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=silent, stderr=silent) as process:
        try:
            while not _answers():
                if process.poll() is not None:
                    raise RuntimeError(f"The server ended at once, with {process.returncode}.")
                time.sleep(0.01)
            yield psutil.Process(process.pid), (time.perf_counter() - began) * 1000
        finally:
            process.terminate()


def _answers() -> bool:
    try:
        with Viewer("") as somebody:
            return somebody.ask("/healthz").status == 200
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came, and after how many milliseconds its last byte."""

    status: int
    tag: str
    bytes: int
    milliseconds: float


class Viewer:
    """A signed-in client with one connection; the standard library's client costs less than the server it times."""

    def __init__(self, token: str) -> None:
        self._headers = {"Cookie": f"touchstone={token}", "Accept-Encoding": "gzip"}
        self._connection = HTTPConnection("127.0.0.1", PORT, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, url: str, **headers: str) -> _Answer:
        """Any answer."""
        began = time.perf_counter()
        self._connection.request("GET", url, headers={**self._headers, **headers})
        answer: HTTPResponse = self._connection.getresponse()
        body = answer.read()
        taken = (time.perf_counter() - began) * 1000
        return _Answer(answer.status, answer.headers.get("ETag", ""), len(body), taken)

    def page(self, url: str) -> float:
        """Milliseconds of a page.

        Raises:
            AssertionError: it is an error.
        """
        answer = self.ask(url)
        assert answer.status == 200, f"{url}: {answer.status}"
        return answer.milliseconds


def _after_a_change(viewer: Viewer, data_dir: Path) -> float:
    """Milliseconds of the first answer after a score has changed."""
    board_house.change_a_score(data_dir)
    return viewer.page(PATH)


def _unchanged(viewer: Viewer) -> float:
    """Milliseconds of the answer that the page is as it was; asked again if a minute ended meanwhile."""
    while True:
        answer = viewer.ask(PATH, **{"If-None-Match": viewer.ask(PATH).tag})
        if answer.status == 304:
            return answer.milliseconds


def _shown(figure: Target) -> str:
    return f"{figure.reached:,.1f} {figure.unit}"


def _crowd(token: str, *, rounds: int) -> list[float]:
    """Milliseconds of each answer while so many viewers ask at once, each for one look after the other."""

    def look_around(first: int) -> list[float]:
        with Viewer(token) as viewer:
            return [viewer.page(PATH + LOOKS[(first + number) % len(LOOKS)]) for number in range(rounds)]

    with ThreadPoolExecutor(VIEWERS) as viewers:
        return list(chain.from_iterable(viewers.map(look_around, range(VIEWERS))))


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
