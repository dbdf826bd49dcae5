"""Reads a zip of results in a process of its own with hard limits, so that the web never parses a user's file.

`read_in_child` is the parent's side. The child, `python -m app.services.import_child`, takes one JSON request from
stdin, writes its lines into the parent's spool and its answer to stdout: what was found, or why it is refused. Its
limits are set before a byte of the zip is read.
"""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import structlog

from app.core.formats.reading import Limits
from app.errors import AppError, Conflict, Invalid, TooLarge
from app.services.import_files import open_zip
from app.services.import_reading import Reading, read_results
from app.services.import_scope import Scope, parse_scope
from app.storage.blobs import StorageFull

log = structlog.get_logger(__name__)

_EXIT_MEMORY: Final = 77
_EXIT_SPOOL: Final = 78
_EXIT_DISK: Final = 79
_ANSWER_BYTES: Final = 16 * 1024**2
_PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
_ROOT: Final = Path(__file__).resolve().parents[2]
_COMMAND_LINE: Final = "Send fewer files at once, or use `touchstone import mteb` on the server."
_NO_ROOM: Final = {errno.EFBIG: _EXIT_SPOOL, errno.ENOSPC: _EXIT_DISK, errno.EDQUOT: _EXIT_DISK}
_running = threading.Lock()


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What a child may take.

    Attributes:
        zip: how many entries, and how many bytes unpacked.
        memory_bytes: address space.
        cpu_seconds: of work; `seconds` by the clock.
        spool_bytes: of what it writes, which become rows in this process.
    """

    zip: Limits = field(default_factory=lambda: Limits(max_entries=100_000, max_unpacked_bytes=4 * 1024**3))
    memory_bytes: int = 1024**3
    cpu_seconds: int = 180
    seconds: float = 300
    spool_bytes: int = 128 * 1024**2


def read_in_child(
    path: Path, file_name: str, scope: Scope, spool: IO[str], *, skip_broken: bool, limits: ChildLimits | None = None
) -> Reading:
    """As `app.services.import_reading.read_results`, of a zip.

    Raises:
        Invalid: nothing to import, broken files, or a zip that is not safe to read.
        TooLarge: it takes more than the limits, `ChildLimits()` unless others are given.
    """
    limits = limits or ChildLimits()
    request = {
        "path": str(path.absolute()),
        "file_name": file_name,
        "definition": scope.name,
        "excluded": sorted(scope.excluded),
        "skip_broken": skip_broken,
        "spool": spool.fileno(),
        "limits": asdict(limits),
    }
    return _run(request, spool, limits)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep other imports of this process out.

    Raises:
        Conflict: `import_running`: there is one.
    """
    if not _running.acquire(blocking=False):
        raise Conflict("Another import is under way. Try again when it is done.", code="import_running")
    try:
        yield
    finally:
        _running.release()


def _run(request: dict[str, Any], spool: IO[str], limits: ChildLimits) -> Reading:
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as stderr:
        try:
            code = subprocess.run(  # noqa: S603 -- our own program
                [sys.executable, "-P", "-m", __name__],
                input=json.dumps(request).encode(),
                stdout=answer,
                stderr=stderr,
                pass_fds=(spool.fileno(),),
                env=_environment(),
                timeout=limits.seconds,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise _too_large(f"Reading the zip took longer than {limits.seconds:,.0f} seconds") from None
        if code:
            raise _failed(code, limits, stderr)
        if answer.seek(0, os.SEEK_END) > _ANSWER_BYTES:
            raise _too_large("The results name too many tasks and languages")
        answer.seek(0)
        found = json.load(answer)
    if "reading" in found:
        return Reading.from_dict(found["reading"])
    refused = found["refused"]
    kind = TooLarge if refused["status"] == TooLarge.status else Invalid
    raise kind(refused["message"], code=refused["code"], details=refused["details"])


def _environment() -> dict[str, str]:
    """As little as a child needs, and no secrets."""
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        "PYTHONPATH": str(_ROOT),
        "PYTHONUTF8": "1",
    }


def _failed(code: int, limits: ChildLimits, stderr: IO[bytes]) -> AppError:
    """What a child that ended without an answer says."""
    if code == _EXIT_MEMORY:
        return _too_large(f"Reading the zip takes more than {limits.memory_bytes // 1024**2:,} MB of memory")
    if code == _EXIT_SPOOL:
        return _too_large(f"The zip holds more than {limits.spool_bytes // 1024**2:,} MB of scores")
    if code == _EXIT_DISK:
        return StorageFull("The server's disk is full, so nothing was imported. Tell an admin.")
    if code == -signal.SIGXCPU:
        return _too_large(f"Reading the zip takes more than {limits.cpu_seconds:,} seconds of work")
    if code < 0:  # the system's memory killer, or a library that gave up
        return _too_large("Reading the zip takes too much memory, time or room")
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - 4000))
    log.error("the import's child failed", code=code, stderr=stderr.read().decode(errors="replace"))
    return AppError("The zip could not be read; this is a fault of ours. Try again, and tell an admin if it stays.")


def _too_large(what: str) -> TooLarge:
    return TooLarge(f"{what}, so nothing was imported. {_COMMAND_LINE}")


# The child's side.


def main() -> None:
    """Serve one request."""
    request = json.load(sys.stdin)
    limits = request["limits"]
    _limit(limits)
    try:
        answer = _answer(request, Limits(**limits["zip"]))
    except MemoryError:
        os._exit(_EXIT_MEMORY)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        os._exit(_NO_ROOM[error.errno])
    sys.stdout.write(answer)


def _answer(request: dict[str, Any], limits: Limits) -> str:
    scope = parse_scope(request["definition"], request["excluded"])
    try:
        with (
            os.fdopen(request["spool"], "w", encoding="utf-8") as spool,
            open_zip(Path(request["path"]), request["file_name"], limits) as source,
        ):
            reading = read_results(source, scope, spool, skip_broken=request["skip_broken"])
    except AppError as error:
        values = {"status": error.status, "message": error.message, "code": error.code, "details": error.details}
        return json.dumps({"refused": values})
    return json.dumps({"reading": reading.as_dict})


def _limit(limits: dict[str, Any]) -> None:
    """Set this process's limits, never above what it has."""
    wanted = {resource.RLIMIT_CPU: limits["cpu_seconds"], resource.RLIMIT_FSIZE: limits["spool_bytes"]}
    if sys.platform == "linux":  # elsewhere the kernel refuses to limit the address space
        wanted[resource.RLIMIT_AS] = limits["memory_bytes"]
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == "__main__":
    main()
