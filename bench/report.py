"""docs/performance.md, written from the results beside it and nothing else."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.common import RESULTS, Result, Target

PAGE: Final = RESULTS.with_suffix(".md")
ORDER: Final = (
    *("retrieval", "reranking", "pairs", "classification", "clustering"),
    *("job", "again", "variants", "memory", "growth", "gpu", "board", "browser", "imports", "certainty"),
)

_HARDWARE: Final = ("processor", "cores", "memory", "gpu", "system")
"""What of a machine's facts is not the version of a library."""

_INTRODUCTION: Final = """# Performance

`make bench` measures and writes this page; `make bench ARGS="retrieval"` measures one thing. Where two sides are
compared, each run is a fresh process of its own, the sides take turns for three rounds (or fewer, where it says
so; `BENCH_ROUNDS` sets it), and medians are shown. Imports and making the data do not count, and every comparison
asserts that both sides come to the same scores. mteb is `mteb.evaluate` of 2.26.24
as it is called by default, without a cache and in batches of 32. Every single run stands in
[performance/](performance/)."""


def write(folder: Path = RESULTS, page: Path = PAGE) -> Path:
    """Write the page anew, from the results that there are."""
    paths = [folder / f"{name}.json" for name in ORDER]
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
    page.write_text("\n".join(render(results)) + "\n", encoding="utf-8")
    return page


def render(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of the page, from the content of results that were saved."""
    machines = {_machine(content["machine"]): None for content in results}
    letters = {words: chr(ord("A") + number) for number, words in enumerate(machines)}
    yield _INTRODUCTION
    yield ""
    for words, letter in letters.items():
        yield f"- Machine {letter}: {words}."
    yield ""
    yield "## Targets"
    yield ""
    found = [(_result(content), content) for content in results]
    yield from _table(
        ("measurement", "wanted", "reached", ""),
        [
            (f"{result.title}: {target.what}", _wanted(target), _number(target, target.reached), _verdict(target))
            for result, _ in found
            for target in result.targets
        ],
    )
    for result, content in found:
        yield ""
        yield from section(result)
        yield ""
        yield f"Machine {letters[_machine(content['machine'])]}, {content['date']}."


def section(result: Result) -> Iterator[str]:
    """The lines about one measurement."""
    yield f"## {result.title}"
    yield ""
    yield result.what
    yield ""
    yield from _table(result.head, result.rows)
    for target in result.targets:
        reached = f"{_number(target, target.reached)}, wanted {_wanted(target)}: {_verdict(target)}"
        yield ""
        yield f"{target.what[0].upper()}{target.what[1:]}: {reached}."
    for note in result.notes:
        yield ""
        yield note
    if result.picture:
        yield ""
        yield f"![{result.title}]({RESULTS.name}/{result.picture})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _result(content: Mapping[str, Any]) -> Result:
    fields = {name: value for name, value in content.items() if name not in {"date", "machine"}}
    return Result(**{**fields, "targets": tuple(Target(**target) for target in content["targets"])})


def _wanted(target: Target) -> str:
    return f"at {'least' if target.better == 'more' else 'most'} {_number(target, target.wanted)}"


def _number(target: Target, value: float) -> str:
    shown = f"{value:,.2f}" if value < 10 else f"{value:,.0f}"
    return f"{shown} {target.unit}".rstrip()


def _verdict(target: Target) -> str:
    return "met" if target.met else "**not met**"


def _machine(facts: Mapping[str, str]) -> str:
    hardware = (f"{facts[name]} cores" if name == "cores" else facts[name] for name in _HARDWARE if name in facts)
    libraries = (f"{name} {version}" for name, version in facts.items() if name not in _HARDWARE)
    return f"{', '.join(hardware)}; {', '.join(libraries)}"
