"""Checks an upload in a process of its own with hard limits, and writes its canonical form.

`validate` is the parent's side. The child, `python -m worker.validation`, reads one JSON request from stdin and
writes JSON lines to stdout: progress, then the verdict. It ends when its stdin is closed, so it cannot outlive
its parent. Its limits are set before a byte of the upload is read.
"""

import errno
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from app.core.formats import NO_CHOICES, Choices, InvalidFile, Limits, Problem, Row, Warned, canonical, read_dataset

logger = logging.getLogger(__name__)

PREVIEW_ROWS: Final = 5
PROGRESS_SECONDS: Final = 0.25
MAX_LINE_BYTES: Final = 4 * 1024**2
"""The longest answer that a parent reads."""

_EXIT_MEMORY: Final = 77
_EXIT_ORPHANED: Final = 78
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
_ROOT = Path(__file__).resolve().parents[1]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Verdict:
    """What became of an upload.

    Attributes:
        ok: whether it was accepted.
        status: 200; 413, 415 or 422 for the file's own faults; 507 for a full disk; 500 for a fault of ours.
        revision: 40 hexadecimal digits, the content's hash; "" if refused.
        canonical_path: `<out_dir>/<revision>.jsonl`; None if refused.
        counts: what the file holds, by kind.
        warnings: what was odd and accepted.
        problems: at most 50 of `total_problems`.
        preview: the first records of each kind, texts shortened.
    """

    ok: bool
    status: int
    revision: str = ""
    canonical_path: Path | None = None
    counts: dict[str, int] = field(default_factory=dict)
    warnings: tuple[Warned, ...] = ()
    problems: tuple[Problem, ...] = ()
    total_problems: int = 0
    preview: tuple[dict[str, Any], ...] = ()


def validate(
    path: Path,
    *,
    filename: str,
    task_type: str,
    out_dir: Path,
    limits: Limits,
    choices: Choices = NO_CHOICES,
    memory_bytes: int = 2 * 1024**3,
    cpu_seconds: int = 600,
    file_bytes: int = 8 * 1024**3,
    progress: Progress | None = None,
    timeout: float = 1200,
) -> Verdict:
    """Check an upload in a limited subprocess; on success its canonical form lies in `out_dir`.

    Args:
        path: the upload, under our own name.
        filename: the name that it came under.
        task_type: the name of a task type.
        out_dir: an existing folder for the canonical file.
        limits: what the readers refuse.
        choices: what the file cannot say itself.
        memory_bytes: address space of the child.
        cpu_seconds: its processor time.
        file_bytes: the largest file it may write.
        progress: called with (done, total) a few times a second; bytes, or rows of a Parquet file.
        timeout: seconds on the clock.

    Returns:
        A verdict, also when the child was killed (`too_large`) or failed (`internal`).
    """
    partial_path = out_dir / f".{uuid.uuid4().hex}.part"
    request = {
        "path": str(path.absolute()),
        "filename": filename,
        "task_type": task_type,
        "partial_path": str(partial_path.absolute()),
        "limits": asdict(limits),
        "choices": asdict(choices),
        "memory_bytes": memory_bytes,
        "cpu_seconds": cpu_seconds,
        "file_bytes": file_bytes,
    }
    try:
        return _run_child(request, filename, progress, timeout)
    finally:
        partial_path.unlink(missing_ok=True)


def _run_child(request: dict[str, Any], filename: str, progress: Progress | None, timeout: float) -> Verdict:
    timed_out = threading.Event()
    with tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "worker.validation"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=_environment(),
            start_new_session=True,
        )

        def stop() -> None:
            timed_out.set()
            child.kill()

        timer = threading.Timer(timeout, stop)
        timer.daemon = True
        timer.start()
        try:
            answer = _converse(child, request, progress)
            code = child.wait()
        finally:
            timer.cancel()
            child.kill()
            child.communicate()
        if answer is not None and code == 0:
            return answer
        if timed_out.is_set():
            return _too_large(f"The check took longer than {timeout:,.0f} seconds and was stopped.", filename)
        return _after_failure(code, request, stderr, filename)


def _converse(child: subprocess.Popen[bytes], request: dict[str, Any], progress: Progress | None) -> Verdict | None:
    """Send the request, pass progress on, and return the verdict if one comes."""
    if child.stdin is None or child.stdout is None:
        raise RuntimeError("the child has no pipes")
    try:
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        return None  # it is gone already; its exit code tells why
    verdict = None
    while (line := child.stdout.readline(MAX_LINE_BYTES)).endswith(b"\n"):  # a killed child leaves half a line
        answer = json.loads(line)
        if "verdict" in answer:
            verdict = _verdict_from(answer["verdict"])
        elif progress is not None:
            progress(*answer["progress"])
    child.stdout.close()
    return verdict


def _environment() -> dict[str, str]:
    """As little as a child needs: no secrets, one thread, memory from the system so that its limit is felt."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **passed_on,
        "PYTHONPATH": str(_ROOT),
        "PYTHONUTF8": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "ARROW_IO_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _after_failure(code: int, request: dict[str, Any], stderr: IO[bytes], filename: str) -> Verdict:
    """The verdict on a child that ended without one."""
    if code == _EXIT_MEMORY:
        megabytes = request["memory_bytes"] // 1024**2
        return _too_large(f"Reading the file takes more than {megabytes:,} MB of memory.", filename)
    if code == -signal.SIGXCPU:
        return _too_large(f"Reading the file takes more than {request['cpu_seconds']:,} seconds of work.", filename)
    if code < 0:  # the system's memory killer, or a library that gave up
        return _too_large("Reading the file was stopped: it is damaged, or takes too much memory or time.", filename)
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - 4000))
    logger.error("the validation child failed with code %d: %s", code, stderr.read().decode(errors="replace"))
    message = "The check itself failed; this is a fault of ours. Try again, and tell an admin if it stays."
    return _refused([Problem("internal", message, filename)], status=500)


def _too_large(message: str, filename: str) -> Verdict:
    return _refused([Problem("too_large", f"{message} Split the file into smaller ones.", filename)], status=413)


def _refused(problems: list[Problem], *, status: int, total: int | None = None) -> Verdict:
    return Verdict(False, status, problems=tuple(problems), total_problems=len(problems) if total is None else total)


def _verdict_from(values: dict[str, Any]) -> Verdict:
    """A verdict from its JSON form."""
    canonical_path = values["canonical_path"]
    return Verdict(
        **{
            **values,
            "canonical_path": None if canonical_path is None else Path(canonical_path),
            "warnings": tuple(Warned(**warned) for warned in values["warnings"]),
            "problems": tuple(Problem(**problem) for problem in values["problems"]),
            "preview": tuple(values["preview"]),
        }
    )


# The child's side.


def main() -> None:
    """Serve one request."""
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit(request["memory_bytes"], request["cpu_seconds"], request["file_bytes"])
    try:
        verdict = _check(request)
    except MemoryError:
        os._exit(_EXIT_MEMORY)
    _send({"verdict": {**asdict(verdict), "canonical_path": verdict.canonical_path and str(verdict.canonical_path)}})


def _check(request: dict[str, Any]) -> Verdict:
    filename = request["filename"]
    try:
        result = read_dataset(
            Path(request["path"]),
            filename,
            request["task_type"],
            Limits(**request["limits"]),
            read_parquet=partial(_read_parquet, filename),
            progress=_Reporter(),
            choices=_choices(request["choices"]),
        )
        partial_path = Path(request["partial_path"])
        with partial_path.open("wb") as out:
            revision = canonical.write(result.dataset, out)
            out.flush()
            os.fsync(out.fileno())
        path = partial_path.with_name(f"{revision}.jsonl")
        partial_path.replace(path)
        _sync_folder(path.parent)
    except InvalidFile as error:
        return _refused(error.problems, status=error.status, total=error.total)
    except OSError as error:
        if error.errno == errno.EFBIG:
            return _too_large("What the file unpacks to is larger than a file may be here.", filename)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = "The server's disk is full, so nothing was stored. Tell an admin."
            return _refused([Problem("disk_full", message, filename)], status=507)
        raise
    preview = tuple(canonical.sample(path, PREVIEW_ROWS))
    return Verdict(True, 200, revision, path, result.counts, result.warnings, preview=preview)


def _choices(values: dict[str, Any]) -> Choices:
    """Choices from their JSON form."""
    return Choices(**{**values, "splits": tuple(values["splits"])})


def _read_parquet(filename: str, path: Path, limits: Limits) -> Iterator[Row]:
    """Loads pyarrow only when it is needed."""
    from worker import parquet  # noqa: PLC0415 -- the parent, and a child that reads text, do without it

    return parquet.read_rows(path, limits, filename=filename, progress=_Reporter())


class _Reporter:
    """Sends progress, but not too often."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PROGRESS_SECONDS
            _send({"progress": [done, total]})


def _send(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """End the process once nobody holds the other end of stdin."""
    while os.read(sys.stdin.fileno(), 1):  # not through the buffer: its lock would be held at exit
        pass
    os._exit(_EXIT_ORPHANED)


def _limit(memory_bytes: int, cpu_seconds: int, file_bytes: int) -> None:
    """Set this process's limits, never above what it has."""
    wanted = {resource.RLIMIT_CPU: cpu_seconds, resource.RLIMIT_FSIZE: file_bytes, resource.RLIMIT_CORE: 0}
    if sys.platform == "linux":  # elsewhere the kernel refuses to limit the address space
        wanted[resource.RLIMIT_AS] = memory_bytes
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (soft, hard if kind == resource.RLIMIT_CPU else soft))  # SIGXCPU comes at the soft one


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
