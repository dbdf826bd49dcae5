"""The board as its readers meet it: a real server, one process, asked over HTTP."""

import gzip
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
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
        "Looks (sorts, filters, the tab Tasks) are asked for in turn, compressed as browsers ask for them.",
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
        with _server(data_dir, token) as (client, process, started):
            memory = process.memory_info().rss / 1024**2
            changed = [_after_a_change(client, data_dir) for _ in range(max(3, rounds // 4))]
            page = client.get(PATH)
            looks = [_timed(client, PATH + look) for _ in range(rounds) for look in LOOKS]
            unchanged = [_unchanged(client) for _ in range(rounds * 3)]
            crowd = _crowd(client, rounds=max(2, rounds // 8))
    compressed = len(gzip.compress(page.content, 4)) / 1000
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
def _server(data_dir: Path, token: str) -> Iterator[tuple[httpx2.Client, psutil.Process, float]]:
    """A running server, a signed-in client, and how many milliseconds the first answer took."""
    port = 18_731
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port)]
    environment = {**os.environ, "TOUCHSTONE_DATA_DIR": str(data_dir)}
    silent = subprocess.DEVNULL
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=silent, stderr=silent) as process:
        try:
            client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", cookies={"touchstone": token}, timeout=30)
            with client:
                while not _answers(client):
                    time.sleep(0.01)
                yield client, psutil.Process(process.pid), (time.perf_counter() - began) * 1000
        finally:
            process.terminate()


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx2.TransportError:
        return False


def _timed(client: httpx2.Client, url: str) -> float:
    """Milliseconds of one answer.

    Raises:
        AssertionError: it is an error.
    """
    began = time.perf_counter()
    answer = client.get(url)
    taken = (time.perf_counter() - began) * 1000
    assert answer.status_code == 200, f"{url}: {answer.status_code}"
    return taken


def _after_a_change(client: httpx2.Client, data_dir: Path) -> float:
    """Milliseconds of the first answer after a score has changed."""
    board_house.change_a_score(data_dir)
    return _timed(client, PATH)


def _unchanged(client: httpx2.Client) -> float:
    """Milliseconds of the answer that the page is as it was; asked again if a minute ended meanwhile."""
    while True:
        tag = client.get(PATH).headers["etag"]
        began = time.perf_counter()
        answer = client.get(PATH, headers={"If-None-Match": tag})
        taken = (time.perf_counter() - began) * 1000
        if answer.status_code == 304:
            return taken


def _shown(figure: Target) -> str:
    return f"{figure.reached:,.1f} {figure.unit}"


def _crowd(client: httpx2.Client, *, rounds: int) -> list[float]:
    """Milliseconds of each answer while so many viewers ask at once, each a look of its own."""
    with ThreadPoolExecutor(VIEWERS) as viewers:
        asked = [PATH + LOOKS[number % len(LOOKS)] for number in range(VIEWERS * rounds)]
        return list(viewers.map(lambda url: _timed(client, url), asked))


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
