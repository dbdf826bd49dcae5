"""`touchstone vectors`: what the vector store holds, whether it is whole, and room when it is needed."""

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.settings import Settings

if TYPE_CHECKING:
    from app.storage.upkeep import Plan, StoreInfo

vectors_cli = typer.Typer(help="The stored vectors: list, verify, prune.", no_args_is_help=True)

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of all data; TOUCHSTONE_DATA_DIR otherwise.")]

_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_PROMPT = 24


@vectors_cli.command("list")
def list_stores(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False, data_dir: DataDir = None
) -> None:
    """Print every store, the one used last first: a store holds what one model made in one way."""
    stores = _survey(data_dir)
    if as_json:
        typer.echo(json.dumps([_facts(store) for store in stores], ensure_ascii=False, indent=2))
    elif not stores:
        typer.echo("No vectors are stored yet.")
    else:
        _print_table(stores)
        typer.echo(f"{_count(stores)}, {_size(sum(store.bytes for store in stores))}")


@vectors_cli.command()
def verify(data_dir: DataDir = None) -> None:
    """Read every stored byte and set aside what is damaged; exit code 1 if anything is.

    Texts whose vectors were damaged are encoded again when a run wants them.
    """
    from app.storage import upkeep  # noqa: PLC0415 -- numpy, only for commands that need it

    damaged = whole = 0
    for store in _survey(data_dir):
        found = list(upkeep.verify(store))
        bad = found.count(False)
        whole, damaged = whole + found.count(True), damaged + bad
        if bad:
            typer.echo(f"{_name(store)}: {bad} of {len(found)} segments are damaged and were set aside")
    typer.echo(f"{whole:,} segments are whole, {damaged:,} were damaged.")
    raise typer.Exit(1 if damaged else 0)


@vectors_cli.command()
def prune(
    *,
    older_than: Annotated[str, typer.Option(help="Remove stores not used for so long, such as 12h, 30d or 8w.")] = "",
    max_size: Annotated[
        str, typer.Option(help="Remove the stores not used for longest until so much is left, such as 500MB or 20GB.")
    ] = "",
    damaged: Annotated[bool, typer.Option("--damaged", help="Remove what was damaged and set aside.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Remove stores by their last use.

    What was used within the last hour stays, for a run may need it. What another version wrote goes in any case.
    """
    if not (older_than or max_size or damaged):
        raise typer.BadParameter("say what may go: --older-than, --max-size or --damaged")
    from app.storage import upkeep  # noqa: PLC0415

    seconds = _amount(older_than, _SECONDS, "--older-than", "30d")
    most = _amount(max_size, _BYTES, "--max-size", "20GB")
    stores = _survey(data_dir)
    chosen = upkeep.plan(
        stores, now=time.time(), older_than=seconds, max_bytes=None if most is None else int(most), damaged=damaged
    )
    done = chosen if dry_run else upkeep.prune(chosen)
    for store in done.stores:
        typer.echo(f"{'would remove' if dry_run else 'removed'}  {_size(store.bytes):>9}  {_name(store)}")
    _print_summary(stores, done, dry_run=dry_run)
    left = sum(store.bytes for store in stores) - done.bytes
    if most is not None and left > most:
        typer.echo(f"{_size(left)} are more than {max_size}: what was used within the last hour stays.")


def _print_summary(stores: "list[StoreInfo]", done: "Plan", *, dry_run: bool) -> None:
    left = [store for store in stores if store not in done.stores]
    segments = sum(store.damaged for store in done.damaged)
    damaged = f" and {segments:,} damaged segments" if segments else ""
    verb, rest = ("Would remove", "would stay") if dry_run else ("Removed", "stay")
    room = sum(store.bytes for store in stores) - done.bytes
    typer.echo(f"{verb} {_count(done.stores)}{damaged}, {_size(done.bytes)}; {_count(left)}, {_size(room)}, {rest}.")


def _print_table(stores: "list[StoreInfo]") -> None:
    rows = [("MODEL", "REVISION", "PROMPT", "READ AS", "DIM", "TEXTS", "SIZE", "USED", "")]
    for store in stores:
        about = _facts(store)
        rows.append(
            (
                about["model"] or "(another version's)",
                str(about["revision"] or "")[:12],
                _excerpt(about["prompt"]),
                " ".join(str(part) for part in (about["dtype"], _limit(about["max_tokens"]), about["role"]) if part),
                str(store.dimensions or ""),
                f"{store.texts:,}",
                _size(store.bytes),
                _ago(time.time() - store.used),
                f"{store.damaged} damaged" if store.damaged else "",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    to_the_right = {4, 5, 6}
    for row in rows:
        cells = [
            cell.rjust(width) if column in to_the_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())


def _survey(data_dir: Path | None) -> "list[StoreInfo]":
    from app.storage import upkeep  # noqa: PLC0415

    return upkeep.survey((Settings(data_dir=data_dir) if data_dir else Settings()).vectors_dir)


def _facts(store: "StoreInfo") -> dict[str, Any]:
    made_from = store.made_from or {}
    names = ("model", "revision", "prompt", "role", "max_tokens", "dtype", "backend")
    return {
        "folder": str(store.folder),
        **{name: made_from.get(name) for name in names},
        "dimensions": store.dimensions,
        "texts": store.texts,
        "bytes": store.bytes,
        "last_used": store.used,
        "damaged_segments": store.damaged,
    }


def _name(store: "StoreInfo") -> str:
    if store.made_from is None:
        return f"{store.folder.name} (another version's)"
    return f"{store.made_from['model']} {_excerpt(store.made_from['prompt'])}".rstrip()


def _excerpt(prompt: str | None) -> str:
    """A prompt in one line; nothing for none."""
    text = " ".join((prompt or "").split())
    return f'"{text if len(text) <= _PROMPT else text[: _PROMPT - 1] + "…"}"' if text else ""


def _limit(max_tokens: int | None) -> str:
    return f"{max_tokens} tokens" if max_tokens else ""


def _count(stores: "list[StoreInfo] | tuple[StoreInfo, ...]") -> str:
    return f"{len(stores):,} {'store' if len(stores) == 1 else 'stores'}"


def _size(value: float) -> str:
    """1240000 -> "1.2 MB"."""
    for unit, size in reversed(_BYTES.items()):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value / 1000:.1f} kB"


def _ago(seconds: float) -> str:
    """7300 -> "2 h ago"."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def _amount(written: str, units: dict[str, int], option: str, example: str) -> float | None:
    """A number with its unit, in seconds or bytes; None where nothing is written."""
    if not written:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)", written.strip())
    factor = {unit.lower(): size for unit, size in units.items()}.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise typer.BadParameter(f"{option} wants a number and {', '.join(units)}, such as {example}; not {written!r}")
    return float(match[1]) * factor
