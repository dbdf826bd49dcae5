"""The gate's decision for terminals, scripts, pipelines and comments."""

import math
from typing import Any, Final
from xml.etree import ElementTree

from app.core.resampling import RESAMPLES, SEED
from app.core.verdicts import Gate
from app.services.board_export import markdown_text
from app.services.gate import Decision, GateReport, interval_text, points

METHOD: Final = (
    "A decision rests on the 95% interval of the difference, candidate less baseline: on a dataset over its examples, "
    f"on the board over those of all datasets, each of which counts the same. {RESAMPLES:,} resamples, seed {SEED}."
)


def as_dict(report: GateReport) -> dict[str, Any]:
    """JSON-ready, at full precision."""
    return {
        "benchmark": report.board,
        "slug": report.slug,
        "candidate": report.candidate,
        "baseline": report.baseline,
        "min_delta": report.least,
        "outcome": report.whole.word,
        "exit_code": int(report.whole.outcome),
        "sentence": report.sentence,
        "board": _decision_dict(report.whole),
        "datasets": [_decision_dict(decision) for decision in report.datasets],
        "method": METHOD,
    }


def as_text(report: GateReport) -> str:
    """For a terminal: the decision, then a line a dataset."""
    lines = [f"{report.whole.word.upper()}: {report.sentence}"]
    lines += [f"  {decision.word:<11}  {decision.name}: {decision.message}" for decision in report.datasets]
    return "".join(f"{_line(line)}\n" for line in lines)


def as_markdown(report: GateReport) -> str:
    """For the summary of a pipeline or a comment."""
    head = ("Dataset", "Outcome", "Difference, points", "95% CI", "n", "")
    rows = [head, ("---", "---", "---:", "---:", "---:", "---")]
    for decision in (report.whole, *report.datasets):
        found, is_whole = decision.difference, decision is report.whole
        name = f"**{markdown_text(decision.name)}**, all datasets" if is_whole else markdown_text(decision.name)
        figures = (points(found.value), interval_text(found), f"{found.interval.n:,}") if found else ("—", "—", "—")
        note = "" if found and not decision.owed else markdown_text(decision.message)
        rows.append((name, f"**{decision.word}**" if is_whole else decision.word, *figures, note))
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    title = f"### {report.whole.word.capitalize()}"
    return f"{title}\n\n{markdown_text(report.sentence)}\n\n{table}\n{METHOD}\n"


def as_junit(report: GateReport) -> str:
    """A test case a dataset, and one for the board: worse is a failure, what cannot be told is skipped."""
    decisions = (report.whole, *report.datasets)
    counts = {outcome: str(sum(decision.outcome is outcome for decision in decisions)) for outcome in Gate}
    suite = ElementTree.Element(
        "testsuite",
        name=_xml(f"touchstone gate: {report.board}"),
        tests=str(len(decisions)),
        failures=counts[Gate.WORSE],
        errors="0",
        skipped=counts[Gate.CANNOT_TELL],
    )
    for decision in decisions:
        name = f"{decision.name} (all datasets)" if decision is report.whole else decision.name
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(f"touchstone.{report.slug}"), name=_xml(name))
        said = _xml(report.sentence if decision is report.whole else decision.message)
        if decision.outcome is Gate.WORSE:
            ElementTree.SubElement(case, "failure", message=said, type="worse").text = said
        elif decision.outcome is Gate.CANNOT_TELL:
            ElementTree.SubElement(case, "skipped", message=said)
        ElementTree.SubElement(case, "system-out").text = said
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _decision_dict(decision: Decision) -> dict[str, Any]:
    found = decision.difference
    return {
        "key": decision.key,
        "name": decision.name,
        "outcome": decision.word,
        "exit_code": int(decision.outcome),
        "message": decision.message,
        "difference": found and found.value,
        "low": found and _number(found.interval.low),
        "high": found and _number(found.interval.high),
        "n": found.interval.n if found else 0,
    }


def _line(text: str) -> str:
    """Without what would break a line, or tell a terminal what to do."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _xml(text: str) -> str:
    """Without what no XML 1.0 may hold."""
    return "".join(character if character in "\t\n" or _in_xml(ord(character)) else "\ufffd" for character in text)


def _in_xml(code: int) -> bool:
    return 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF
