"""A report as files: Markdown to be read anywhere, LaTeX for an appendix."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from app.services.board_export import latex_text, markdown_text
from app.services.report import Report, ReportRow, ReportScore, ends_text, ranks_text

_A_PAGE: Final = 4
"""Scores that stand beside each other on a page of paper."""
_DATASET_HEADS: Final = ("Dataset", "Type", "Metric", "Examples", "Margin", "Revision", "Not tested, because")


def as_markdown(report: Report) -> str:
    """The whole report; text of others is escaped, so that it neither ends a cell nor is taken for markup."""
    return "\n".join(_markdown_lines(report)) + "\n"


def as_latex(report: Report) -> str:
    """Tables with booktabs and longtable, four scores wide, then methods and references: a part of a document.

    Every special character of others' texts is escaped; the braces and environments are balanced.
    """
    return "\n".join(_latex_lines(report)) + "\n"


@dataclass(frozen=True, slots=True)
class ReportFormat:
    """A kind of file; `label` for people."""

    label: str
    media_type: str
    write: Callable[[Report], str]


REPORT_FORMATS: Final = {
    "md": ReportFormat("Markdown", "text/markdown", as_markdown),
    "tex": ReportFormat("LaTeX", "text/x-tex", as_latex),
}
"""By the suffix of the file."""


def _markdown_lines(report: Report) -> Iterator[str]:
    yield f"# {markdown_text(report.name)}: report"
    yield ""
    if report.missing:
        yield f"**{report.missing}**"
        yield ""
    heads = ("", "Model", "Rank", "Tier", *map(markdown_text, report.heads))
    yield _line(heads)
    yield _line(("---", "---", *("---:",) * (len(heads) - 2)))
    for row in report.rows:
        scores = (_markdown_score(score) for score in row.scores)
        yield _line((row.letter, markdown_text(row.model), _rank(row), str(row.tier or ""), *scores))
    yield ""
    yield "## Datasets"
    yield ""
    yield _line(_DATASET_HEADS)
    yield _line(["---"] * len(_DATASET_HEADS))
    for cells in _dataset_cells(report):
        yield _line(map(markdown_text, cells))
    yield ""
    yield "## Methods"
    yield ""
    for paragraph in report.methods:
        yield paragraph
        yield ""
    for label, text in report.facts.items():
        yield f"- {label}: {markdown_text(text)}"
    yield ""
    yield "## References"
    yield ""
    for reference in report.references:
        yield f"- {reference}"


def _latex_lines(report: Report) -> Iterator[str]:
    yield r"% In the preamble: \usepackage{booktabs,longtable}; for names beyond Latin script use LuaLaTeX or XeLaTeX."
    if report.missing:
        yield rf"\textbf{{{_tex(report.missing)}}}"
    for start in range(0, len(report.heads), _A_PAGE):
        yield ""
        yield from _latex_scores(report, slice(start, start + _A_PAGE))
    yield ""
    yield from _longtable("lllrrlp{0.2\\linewidth}", f"Datasets of {report.name}.", _DATASET_HEADS)
    for cells in _dataset_cells(report):
        yield _row(map(_tex, cells))
    yield from _END
    yield r"\paragraph{Methods.}"
    for paragraph in report.methods:
        yield _tex(paragraph)
        yield ""
    yield r"\begin{itemize}"
    for label, text in report.facts.items():
        yield rf"\item {_tex(label)}: {_tex(text)}"
    yield r"\end{itemize}"
    yield r"\paragraph{References.}"
    yield r"\begin{itemize}"
    for reference in report.references:
        yield rf"\item {_tex(reference)}"
    yield r"\end{itemize}"


def _latex_scores(report: Report, part: slice) -> Iterator[str]:
    """A table of some of the scores; ranks stand in the first one."""
    ranked = part.start == 0
    heads = ("", "Model", *(("Rank", "Tier") if ranked else ()), *report.heads[part])
    kinds = "ll" + "r" * (len(heads) - 2)
    yield from _longtable(kinds, f"Scores on {report.name}, times 100, with 95% intervals.", heads)
    for row in report.rows:
        ranks = (_tex(_rank(row)), str(row.tier or "")) if ranked else ()
        yield _row((row.letter, _tex(row.model), *ranks, *map(_latex_score, row.scores[part])))
    yield from _END


_END: Final = (r"\bottomrule", r"\end{longtable}")


def _longtable(kinds: str, caption: str, heads: tuple[str, ...]) -> Iterator[str]:
    yield rf"\begin{{longtable}}{{{kinds}}}"
    head = (r"\toprule", _row(map(_tex, heads)), r"\midrule")
    yield rf"\caption{{{_tex(caption)}}}\\"
    yield from (*head, r"\endfirsthead", *head, r"\endhead")


def _dataset_cells(report: Report) -> Iterator[tuple[str, ...]]:
    for one in report.datasets:
        n, margin = f"{one.n:,}" if one.n else "—", f"{one.margin * 100:g}"
        yield one.name, one.task_type, one.metric, n, margin, one.revision[:12] or "—", one.untested


def _rank(row: ReportRow) -> str:
    if row.rank is None:
        return "—"
    between = ranks_text(row.ranks)
    return f"{row.rank} ({between})" if between else str(row.rank)


def _markdown_score(score: ReportScore) -> str:
    if score.value is None:
        return "—"
    text, between = f"{score.value * 100:.2f}", ends_text(score.ends)
    above = f"<sup>{score.beats}</sup>" if score.beats else ""
    return f"{f'**{text}**' if score.best else text}{above}{f' ({between})' if between else ''}"


def _latex_score(score: ReportScore) -> str:
    if score.value is None:
        return "---"
    text, between = f"{score.value * 100:.2f}", ends_text(score.ends)
    above = rf"\textsuperscript{{{_tex(score.beats)}}}" if score.beats else ""
    bold = rf"\textbf{{{text}}}" if score.best else text
    return bold + above + (rf" {{\scriptsize ({_tex(between)})}}" if between else "")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(cells: Iterable[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _tex(text: str) -> str:
    """Escaped, without what no TeX reads; nothing that a command before it would take for its option or its star."""
    printable = "".join(sign for sign in " ".join(text.split()) if sign.isprintable())
    found = latex_text(printable)
    return f"{{}}{found}" if found.startswith(("[", "*")) else found
