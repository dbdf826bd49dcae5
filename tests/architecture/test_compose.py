"""Dockerfile and docker-compose.yml name only what exists: commands, variables, paths, targets, extras, volumes."""

import re
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from app.cli import cli
from app.http import health
from app.queue import TASKS
from app.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
IMAGES = ("web", "worker")


@dataclass
class Stage:
    """One FROM of the Dockerfile; `parent` is an image or another stage."""

    parent: str
    instructions: list[tuple[str, str]] = field(default_factory=list)


def _stages() -> dict[str, Stage]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: dict[str, Stage] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            parent, _, name = rest.partition(" AS ")
            stage = stages[name] = Stage(parent)
        else:
            stage.instructions.append((word, rest))
    return stages


STAGES = _stages()


def instructions(target: str, word: str) -> list[str]:
    """What a target's stage and those it builds on say after `word`, first things first."""
    lines: list[str] = []
    while stage := STAGES.get(target):
        lines = [rest for found, rest in stage.instructions if found == word] + lines
        target = stage.parent
    return lines


def copied(target: str) -> list[str]:
    return [source for line in instructions(target, "COPY") for source in line.split()[:-1]]


def command_of(line: str | list[str]) -> list[str]:
    """A command in either form, as words."""
    if isinstance(line, list):
        return line
    return list(yaml.safe_load(line)) if line.startswith("[") else line.split()


def health_check(name: str) -> str:
    """The check of a service: its own, or else its image's."""
    service = SERVICES[name]
    if "healthcheck" in service:
        return " ".join(service["healthcheck"].get("test", []))
    return "".join(instructions(service["build"]["target"], "HEALTHCHECK")[-1:]) if "build" in service else ""


def one_shot(name: str) -> bool:
    return bool(SERVICES[name].get("restart") == "no")


def touchstone_commands() -> list[list[str]]:
    """The arguments of every `touchstone ...` in both files."""
    candidates = [service["command"] for name, service in SERVICES.items() if name in OURS]
    candidates += [line for target in IMAGES for line in instructions(target, "CMD")]
    candidates += [
        found for line in instructions("worker", "HEALTHCHECK") for found in re.findall(r"touchstone [^|]+", line)
    ]
    commands = [command_of(line) for line in candidates]
    assert {words[0] for words in commands} == {"touchstone"}
    return [words[1:] for words in commands]


@pytest.mark.parametrize("arguments", touchstone_commands(), ids=" ".join)
def test_every_command_exists(arguments: list[str]) -> None:
    name, *rest = arguments
    group = typer.main.get_command(cli)
    command = group.get_command(typer.Context(group), name)  # type: ignore[attr-defined]
    assert command is not None, f"there is no `touchstone {name}`"
    parsed = command.make_context(name, list(rest)).params
    assert parsed.get("queue", "light") in TASKS


def test_every_queue_has_a_worker() -> None:
    commands = [service["command"] for service in SERVICES.values() if "command" in service]
    assert {command[2] for command in commands if command[:2] == ["touchstone", "worker"]} == set(TASKS)


def variables() -> set[str]:
    named = {name for service in SERVICES.values() for name in service.get("environment", {})}
    named |= set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    for target in IMAGES:
        named |= {word.partition("=")[0] for line in instructions(target, "ENV") for word in line.split()}
    return {name for name in named if name.startswith(PREFIX)}


def test_every_variable_is_a_setting() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert {f"{PREFIX}DATABASE_URL_FILE", f"{PREFIX}BROKER_URL", f"{PREFIX}DATA_DIR"} <= variables()
    assert {name for name in variables() if name not in known and name.removesuffix("_FILE") not in known} == set()


@pytest.mark.parametrize("name", OURS)
def test_targets_and_build_arguments_exist(name: str) -> None:
    build = SERVICES[name]["build"]
    assert build["target"] in IMAGES
    assert (ROOT / build["context"] / "Dockerfile").is_file()
    known = {line.partition("=")[0] for line in instructions(build["target"], "ARG")}
    assert set(build.get("args", {})) <= known
    assert SERVICES[name]["image"] == f"touchstone-{build['target']}"


@pytest.mark.parametrize("target", IMAGES)
def test_every_copied_path_exists_and_is_let_in(target: str) -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    assert ignore[1] == "*"
    assert [path for path in copied(target) if not (ROOT / path).exists()] == []
    assert {path.split("/")[0] for path in copied(target)} <= allowed


def test_each_image_has_the_code_it_runs() -> None:
    assert {"app", "migrations", "templates", "static", "demo", "pyproject.toml"} <= set(copied("web"))
    assert {"app", "worker", "migrations", "pyproject.toml"} <= set(copied("worker"))
    assert "worker" not in copied("web")


def test_packages_are_pinned_extras_exist_and_the_web_has_no_torch() -> None:
    known = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    extras = {}
    for target in IMAGES:
        (install,) = [line for line in instructions(target, "RUN") if "pip install" in line]
        assert "--constraint constraints.txt" in install
        found = re.search(r"\.\[([\w,]+)\]", install)
        extras[target] = set(found[1].split(",")) if found else set()
    assert extras["web"] == set()
    assert extras["worker"] == {"worker", "demo"} <= known


@pytest.mark.parametrize("target", IMAGES)
def test_images_are_pinned_and_do_not_run_as_root(target: str) -> None:
    users = instructions(target, "USER")
    assert users
    assert users[-1] not in {"root", "0"}
    assert any(f"useradd --uid 10001 --create-home {users[-1]}" in line for line in instructions(target, "RUN"))
    assert STAGES["base"].parent == "python:3.11-slim-bookworm"


def test_other_images_are_pinned() -> None:
    assert {SERVICES[name]["image"] for name in SERVICES if name not in OURS} == {"postgres:15", "redis:7"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_watched_or_runs_once(name: str) -> None:
    assert bool(health_check(name)) is not one_shot(name)


def test_health_paths_are_routes() -> None:
    routes = {getattr(route, "path", "") for route in health.router.routes}
    asked = re.findall(r"http://127\.0\.0\.1:(\d+)(/[\w/]*)", health_check("web"))
    assert asked
    assert {path for _, path in asked} <= routes
    assert {int(port) for port, _ in asked} == {Settings.model_fields["port"].default}
    assert SERVICES["web"]["ports"] == ["127.0.0.1:8000:8000"]


@pytest.mark.parametrize("name", SERVICES)
def test_dependencies_exist_and_can_be_met(name: str) -> None:
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        condition = wanted["condition"]
        assert other in SERVICES
        assert condition == ("service_completed_successfully" if one_shot(other) else "service_healthy")
        assert one_shot(other) or health_check(other)


def test_everything_waits_for_the_migration() -> None:
    running = [name for name in OURS if not one_shot(name)]
    assert [name for name in running if "migrate" not in SERVICES[name]["depends_on"]] == []
    assert SERVICES["migrate"]["command"] == ["touchstone", "migrate"]


def test_volumes_are_declared_used_and_where_the_data_folder_is() -> None:
    mounts = {name: dict(v.split(":", 1) for v in service.get("volumes", [])) for name, service in SERVICES.items()}
    assert {volume for found in mounts.values() for volume in found} == set(COMPOSE["volumes"])
    for name in OURS:
        assert mounts[name] == {"data": "/data"}
    for target in IMAGES:
        assert instructions(target, "VOLUME") == ["/data"]
        assert any(f"{PREFIX}DATA_DIR=/data" in line for line in instructions(target, "ENV"))


def test_secrets_come_from_files_that_are_declared_mounted_and_never_committed() -> None:
    declared = COMPOSE["secrets"]
    used = set()
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            assert "PASSWORD" not in variable or variable.endswith("_FILE"), name
            if variable.endswith("_FILE"):
                secret = value.removeprefix("/run/secrets/")
                assert secret in service["secrets"]
                used.add(secret)
    assert used == set(declared)
    for secret, source in declared.items():
        path = source["file"]
        assert path == f"./secrets/{secret}"
        ignored = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT, check=False)
        assert ignored.returncode == 0, f"{path} is not in .gitignore"


def test_only_the_encode_worker_reserves_a_gpu() -> None:
    reserving = {name: service["deploy"] for name, service in SERVICES.items() if "deploy" in service}
    assert set(reserving) == {"encode"}
    (device,) = reserving["encode"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def test_the_broker_is_the_redis_that_keeps_its_file() -> None:
    assert SERVICES["redis"]["command"] == ["redis-server", "--appendonly", "yes"]
    assert {SERVICES[name]["environment"][f"{PREFIX}BROKER_URL"] for name in OURS} == {"redis://redis:6379/0"}
