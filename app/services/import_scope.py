"""What is asked of an import, and so what of a file counts: the cells of a definition of MTEB's, or what is found."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from app.errors import Invalid
from app.mteb.registry import Definition, definition_names, find_definition, find_task
from app.mteb.results import Result

Cell = tuple[str, str]

_YES = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class ImportForm:
    """What somebody says about the files.

    Attributes:
        name: the board's; one of imported results may exist, and is then added to.
        definition: a benchmark of MTEB's, whose cells alone count; "" for every task found, or as the board has it.
        except_tasks: tasks to leave out.
        skip_broken: import the rest when files cannot be read; else nothing is imported.
    """

    name: str
    definition: str = ""
    except_tasks: tuple[str, ...] = ()
    skip_broken: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """A definition without the tasks that are left out; without a definition, every task but those.

    Then a task that mteb knows counts with its evaluated splits, and any other with everything found.
    """

    definition: Definition | None = None
    excluded: frozenset[str] = frozenset()
    _cells: dict[str, frozenset[Cell]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.definition:
            self._cells.update(
                {task.task: frozenset(task.cells) for task in self.definition.tasks if task.task not in self.excluded}
            )

    @property
    def name(self) -> str:
        """The definition's name, "" without one."""
        return self.definition.name if self.definition else ""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The definition's tasks that count, in its order; nothing without one."""
        return tuple(self._cells)

    def cells(self, task: str) -> tuple[Cell, ...]:
        """What counts of a task of the definition, in its order."""
        definition = self.definition.tasks if self.definition else ()
        return next((found.cells for found in definition if found.task == task), ())

    def counted(self, result: Result) -> list[tuple[str, str, float]] | None:
        """(split, subset, value) of every cell that counts and has a value; None where the task does not count."""
        if result.task in self.excluded or (self.definition and result.task not in self._cells):
            return None
        cells = self._cells.get(result.task)
        splits = result.known.splits if result.known and cells is None else None
        return [
            (score.split, score.subset, score.main_score)
            for score in result.scores
            if score.main_score is not None
            and (cells is None or (score.split, score.subset) in cells)
            and (splits is None or score.split in splits)
        ]


def parse_form(fields: Mapping[str, str]) -> ImportForm:
    """What a form or a script sent: `benchmark`, `definition`, `except_tasks` (commas between), `skip_broken`."""
    tasks = (task.strip() for task in re.split(r"[,\n]", fields.get("except_tasks", "")))
    return ImportForm(
        name=fields.get("benchmark", ""),
        definition=fields.get("definition", "").strip(),
        except_tasks=tuple(task for task in tasks if task),
        skip_broken=fields.get("skip_broken", "").strip().lower() in _YES,
    )


def parse_scope(definition: str, except_tasks: Sequence[str]) -> Scope:
    """The scope that somebody asks for.

    Args:
        definition: a benchmark of MTEB's by name or alias; "" for every task found.
        except_tasks: tasks to leave out, by any name that mteb knows, or somebody's own.

    Raises:
        Invalid: with a message for `definition` or `except_tasks`.
    """
    found = find_definition(definition) if definition else None
    if definition and found is None:
        raise _invalid("definition", f"MTEB has no benchmark {definition!r}.{_alike(definition, definition_names())}")
    excluded = frozenset(_today(task) for task in except_tasks)
    if found:
        tasks = [task.task for task in found.tasks]
        if strange := sorted(excluded.difference(tasks)):
            message = f"{found.name} has no task {strange[0]!r}.{_alike(strange[0], tasks)}"
            raise _invalid("except_tasks", message)
        if excluded.issuperset(tasks):
            raise _invalid("except_tasks", f"That leaves no task of {found.name}.")
    return Scope(found, excluded)


def _today(task: str) -> str:
    known = find_task(task)
    return known.name if known else task


def _alike(name: str, names: Sequence[str]) -> str:
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def _invalid(field_name: str, message: str) -> Invalid:
    return Invalid(message, details={"fields": {field_name: message}})
