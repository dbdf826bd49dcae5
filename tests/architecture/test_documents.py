"""The documents are a contract: settings, commands, addresses and links in them exist, and every setting is told."""

import re
from pathlib import Path

import pytest
import typer
from fastapi import FastAPI
from starlette.routing import Match

from app.cli import cli
from app.core.task_types import TASK_TYPES, TaskType
from app.main import create_app
from app.services.choices import USUAL, parse
from app.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md")), ROOT / "demo" / "README.md"]
ROW = re.compile(r"^\| `(TOUCHSTONE_\w+)` \| (.*?) \| (.*?) \|$", re.MULTILINE)
IN_SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def shown(default: object) -> str:
    """A default as the table writes it."""
    if default == "":
        return "empty"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def shell_lines(page: Path) -> list[str]:
    """What a page tells to type, without the remarks behind it."""
    return [line.partition("  #")[0] for block in IN_SHELL.findall(page.read_text()) for line in block.splitlines()]


def commands() -> list[str]:
    """Every `touchstone ...` that a page names: the one or two words after it."""
    found = set()
    for page in PAGES:
        lines = [*shell_lines(page), *re.findall(r"`(touchstone [^`]+)`", page.read_text())]
        found |= {match for line in lines for match in re.findall(r"(?<![\w/.-])touchstone ([a-z]+(?: [a-z]+)?)", line)}
    return sorted(found)


def test_every_setting_is_in_the_readme_with_its_default_and_no_other() -> None:
    fields = Settings.model_fields
    documented = {name: (default, text) for name, default, text in ROW.findall(README.read_text())}
    assert list(documented) == [PREFIX + name.upper() for name in fields]
    for name, field in fields.items():
        assert documented[PREFIX + name.upper()] == (shown(field.default), field.description), name


def test_every_variable_in_the_documents_exists() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    named = {name for page in PAGES for name in re.findall(r"TOUCHSTONE_[A-Z_]*[A-Z]", page.read_text())}
    assert named
    assert {name for name in named if name not in known and name.removesuffix("_FILE") not in known} == set()


@pytest.mark.parametrize("command", commands())
def test_every_command_in_the_documents_exists(command: str) -> None:
    group = typer.main.get_command(cli)
    for word in command.split():
        if not hasattr(group, "commands"):
            break  # an argument
        assert word in group.commands, f"there is no `touchstone {command}`"
        group = group.commands[word]


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert {"up", "test", "lint"} <= named <= targets


def test_every_api_address_in_the_documents_exists(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path))
    named = {path for page in PAGES for path in re.findall(r"http://127\.0\.0\.1:8000(/\S+)", page.read_text())}
    assert named
    assert [path for path in named if not _answered(app, path)] == []
    assert _answered(app, "/healthz")
    assert not _answered(app, "/no-such-page")


def _answered(app: FastAPI, path: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(scope)[0] is Match.FULL for route in app.routes)


@pytest.mark.parametrize("kind", TASK_TYPES.values(), ids=lambda kind: kind.name)
def test_every_task_type_is_told_with_its_fields_metric_and_options(kind: TaskType) -> None:
    sections = re.split(r"^## ", (ROOT / "docs" / "task-types.md").read_text(), flags=re.MULTILINE)
    (section,) = [text for text in sections if text.startswith(f"{kind.name}\n")]
    for field in kind.fields:
        assert f"`{field.name}`" in section, field.name
    assert f"- Main metric: `{kind.main_metric}`" in section
    assert re.search(r"^- Others: .*`", section, re.MULTILINE) or "as for Retrieval" in section
    assert re.search(r"^- Per example: ", section, re.MULTILINE)
    (options,) = re.findall(r"^- Options: (.*)$", section, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", options)) == {name for name in USUAL if _takes(kind, name)}


def _takes(kind: TaskType, name: str) -> bool:
    """Whether a task type takes that scoring option."""
    return not parse({name: {"splits": "dev"}.get(name, "1")}, kind.name, {})[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []
