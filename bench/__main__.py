"""`make bench`: measure, and write docs/performance.md."""

import argparse
import importlib
import shutil
import sys
from typing import Any, Final

import torch

from bench import report
from bench.board_house import NO_PUBLIC, PUBLIC
from bench.common import NO_SETS, SETS, Result, save

MODULES: Final = {
    **dict.fromkeys(("retrieval", "reranking", "pairs", "classification", "clustering"), "engine"),
    **{
        name: name
        for name in ("job", "again", "variants", "memory", "growth", "gpu", "board", "browser", "imports", "certainty")
    },
}
"""The module that makes each measurement, by its function `measure`."""

NEED_SETS: Final = ("job", "again", "variants")


def main() -> int:
    """The command line; 1 when a measurement failed. What the others found is written all the same."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure, and write docs/performance.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(MODULES)}; all if omitted")
    parser.add_argument("--quick", action="store_true", help="small, and nothing is written: does it work?")
    parser.add_argument("--device", default="cuda", help="for gpu")
    parser.add_argument("--render", action="store_true", help="only write docs/performance.md anew from its results")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in MODULES]:
        print(f"There is no measurement {', '.join(unknown)}. Choose of: {', '.join(MODULES)}.", file=sys.stderr)
        return 1
    failed = []
    for name in () if options.render else options.names or MODULES:
        try:
            _measure(name, quick=options.quick, device=options.device)
        except (AssertionError, RuntimeError) as error:  # scores that differ, or a child that died
            print(f"{name}: {error}", file=sys.stderr)
            failed.append(name)
    if not options.quick:
        print(f"Written: {report.write()}")
    return int(bool(failed))


def _measure(name: str, *, quick: bool, device: str) -> None:
    if missing := _missing(name, device):
        print(f"{name}: {missing}, so this is left out.", file=sys.stderr)
        return
    how: dict[str, Any] = {"quick": quick, **({"device": device} if name == "gpu" else {})}
    print(f"{name} ...", file=sys.stderr, flush=True)
    result: Result = importlib.import_module(f"bench.{MODULES[name]}").measure(name, **how)
    print("\n".join(report.section(result)), flush=True)
    if not quick:
        save(result)


def _missing(name: str, device: str) -> str:
    """What a measurement needs and this machine has not; "" for nothing."""
    if name in NEED_SETS and not SETS.is_dir():
        return NO_SETS
    if name in {"browser", "imports"} and not PUBLIC.is_dir():
        return NO_PUBLIC
    if name == "browser" and shutil.which("chromium") is None:
        return "Chromium is not installed"
    if name == "gpu" and device.startswith("cuda") and not torch.cuda.is_available():
        return "there is no GPU here"
    if name == "memory" and sys.platform != "linux":
        return "only Linux tells the anonymous memory of a process"
    return ""


if __name__ == "__main__":
    sys.exit(main())
