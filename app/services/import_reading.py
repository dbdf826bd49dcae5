"""Reads a source of MTEB results file by file, and writes what counts as lines that can become rows."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Literal, Self

from app.errors import Invalid
from app.mteb.model_cards import ModelCard, named_by_folder, read_model_card
from app.mteb.results import Result, UnreadableFile, read_result
from app.services.import_files import MODEL_CARD, Source, check_name, find_layout, result_folders
from app.services.import_scope import Scope

MAX_PROBLEMS = 20
LAYOUT_HELP = "Results lie as <org__name>/<revision>/<Task>.json, with a model_meta.json beside them."

ModelLine = tuple[Literal["model"], str, str, dict[str, Any]]
"""Name, revision and what its card states, before its results."""
ResultLine = tuple[Literal["result"], str, str | None, list[tuple[str, str, float]]]
"""Task, mteb version and (split, subset, value) of what counts."""
Line = ModelLine | ResultLine


@dataclass(slots=True)
class Reading:
    """What was found in the files.

    Attributes:
        files: at the places of results, `model_meta.json` included.
        others: files elsewhere; they are not read.
        models: revisions of models with a result that counts.
        results: those kept.
        unused: results of tasks that the board has not, or without any score.
        scores: cells with a value that counts.
        broken: files that cannot be read; `problems` says why of the first.
        languages: by task, for those that mteb does not know.
    """

    files: int = 0
    others: int = 0
    models: int = 0
    results: int = 0
    unused: int = 0
    scores: int = 0
    broken: int = 0
    problems: list[str] = field(default_factory=list)
    languages: dict[str, set[str]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers, for the audit trail and for machines."""
        names = ("files", "others", "models", "results", "unused", "scores", "broken")
        return {name: getattr(self, name) for name in names}

    @property
    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, for another process."""
        return {**asdict(self), "languages": {task: sorted(found) for task, found in self.languages.items()}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """What `as_dict` held."""
        return cls(**{**values, "languages": {task: set(found) for task, found in values["languages"].items()}})


def read_results(
    source: Source,
    scope: Scope,
    spool: IO[str],
    keep: Callable[[str, bytes], None] | None = None,
    *,
    skip_broken: bool = False,
) -> Reading:
    """Read everything.

    Args:
        source: the files.
        scope: what of them counts.
        spool: is given a line of JSON for each revision of a model and each of its results, see `Line`.
        keep: is given the bytes of each file, by `<org__name>/<revision>/<file>`.
        skip_broken: go on when files cannot be read.

    Raises:
        Invalid: there is nothing to import (`no_results`), or files are broken (`broken_files`, see `details`).
    """
    return _Reader(source, scope, spool, keep).read(skip_broken=skip_broken)


class _Reader:
    """Reads every result of a source into the spool, one line each, and collects what cannot be read."""

    def __init__(self, source: Source, scope: Scope, spool: IO[str], keep: Callable[[str, bytes], None] | None) -> None:
        self._source, self._scope, self._spool, self._keep = source, scope, spool, keep
        self._found = Reading()

    def read(self, *, skip_broken: bool) -> Reading:
        """See `read_results`."""
        found = self._found
        layout = find_layout(self._source)
        if layout is None:
            raise Invalid(f"There is no result. {LAYOUT_HELP}", code="no_results")
        for folder, names in result_folders(self._source, layout):
            self._read_folder(folder, names, len(layout.top))
        found.others = layout.files - found.files
        if found.broken and not skip_broken:
            raise Invalid(
                f"{found.broken:,} of {found.files:,} files cannot be read, so nothing was imported. "
                "Mend or remove them, or skip broken files.",
                code="broken_files",
                details={"problems": found.problems, "total": found.broken},
            )
        if not found.scores:
            named = f" of {self._scope.name}" if self._scope.name else ""
            raise Invalid(f"None of {found.files:,} files holds a score{named} that counts.", code="no_results")
        return found

    def _read_folder(self, folder: str, names: list[str], top: int) -> None:
        """One revision of a model; its card comes first and names it, else the folder does."""
        card: ModelCard | None = None
        written = False
        for name in names:
            self._found.files += 1
            try:
                content = self._content(name, name[top:])
                if name.endswith(f"/{MODEL_CARD}"):
                    card = read_model_card(content)
                    continue
                card = card or named_by_folder(*folder.split("/"))
                line = self._line(read_result(content))
            except UnreadableFile as error:
                self._found.broken += 1
                if len(self._found.problems) < MAX_PROBLEMS:
                    self._found.problems.append(f"{name}: {error}")
                continue
            if line and not written:
                written = True
                self._found.models += 1
                self._write(("model", card.name, card.revision, card.facts))
            if line:
                self._write(line)

    def _content(self, name: str, kept_as: str) -> bytes:
        check_name(name)
        content = self._source.read(name)
        if self._keep:
            self._keep(kept_as, content)
        return content

    def _line(self, result: Result) -> Line | None:
        cells = self._scope.counted(result)
        if cells is None or not result.scores:
            self._found.unused += 1
            return None
        self._found.results += 1
        self._found.scores += len(cells)
        if result.known is None:
            named = self._found.languages.setdefault(result.task, set())
            named.update(code for score in result.scores for code in score.languages)
        return "result", result.task, result.mteb_version, cells

    def _write(self, line: Line) -> None:
        self._spool.write(json.dumps(line) + "\n")
