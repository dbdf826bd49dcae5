"""The datasets of a board, as benchmarks and publishing change them."""

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from app.db.session import lock_name
from app.db.tables import Benchmark, BenchmarkDataset, BoardKind
from app.errors import Conflict, NotFound

BOARDS = "boards"
"""The name that every change of a board locks, see `lock_name`."""


def find_and_lock(session: Session, slug: str) -> Benchmark:
    """The board of that slug; nobody else changes a board until the transaction ends.

    Raises:
        NotFound: there is none.
    """
    lock_name(session, BOARDS)
    benchmark = session.scalar(select(Benchmark).where(Benchmark.slug == slug))
    if benchmark is None:
        raise NotFound(f"There is no board {slug!r}.")
    return benchmark


def add(session: Session, benchmark: Benchmark, dataset_id: int) -> None:
    """Make a dataset the last column, unless it is a column already.

    Raises:
        Conflict: the board is an imported one.
    """
    _refuse_imported(benchmark)
    last = session.scalar(select(func.max(BenchmarkDataset.position)).where(_of(benchmark)))
    if session.get(BenchmarkDataset, (benchmark.id, dataset_id)) is None:
        position = 0 if last is None else last + 1
        session.add(BenchmarkDataset(benchmark_id=benchmark.id, dataset_id=dataset_id, position=position))


def set_all(session: Session, benchmark: Benchmark, dataset_ids: list[int]) -> None:
    """Make these datasets the columns, in this order.

    Raises:
        Conflict: the board is an imported one, and there are some.
    """
    if dataset_ids:
        _refuse_imported(benchmark)
    session.execute(delete(BenchmarkDataset).where(_of(benchmark)))
    session.add_all(
        BenchmarkDataset(benchmark_id=benchmark.id, dataset_id=dataset_id, position=position)
        for position, dataset_id in enumerate(dataset_ids)
    )
    session.flush()


def _of(benchmark: Benchmark) -> ColumnElement[bool]:
    return BenchmarkDataset.benchmark_id == benchmark.id


def _refuse_imported(benchmark: Benchmark) -> None:
    if benchmark.kind == BoardKind.IMPORTED:
        raise Conflict(
            f"The board “{benchmark.name}” holds imported results; make a board of its own for your datasets.",
            code="imported_board",
        )
