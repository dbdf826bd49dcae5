"""Looking after the vector stores: what there is, whether it is whole, and what may go."""

import contextlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.fingerprints import encode_key
from app.storage import segments
from app.storage.embeddings import ABOUT, FORMAT, is_segment, open_or_set_aside

IN_USE_SECONDS = 3600.0
"""A store that was used so lately may belong to a run that goes on; a run says every minute that it uses its stores."""

_REMOVED = f"{segments.TEMPORARY}removed-"


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """One store.

    Attributes:
        folder: where it lies.
        made_from: what its key was made from; None where another version wrote it, which this one does not read.
        dimensions: of a vector; None without any.
        texts: rows; a text that several workers encoded at the same time counts more than once.
        bytes: all of its files.
        damaged: segments that were set aside.
        damaged_bytes: their part of the bytes.
        used: when it was used last, in seconds since 1970.
    """

    folder: Path
    made_from: Mapping[str, Any] | None
    dimensions: int | None
    texts: int
    bytes: int
    damaged: int
    damaged_bytes: int
    used: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What `prune` would remove: whole stores, and the damaged segments of others."""

    stores: tuple[StoreInfo, ...] = ()
    damaged: tuple[StoreInfo, ...] = ()

    @property
    def bytes(self) -> int:
        """How much room that makes."""
        return sum(store.bytes for store in self.stores) + sum(store.damaged_bytes for store in self.damaged)


def survey(root: Path) -> list[StoreInfo]:
    """All stores, the one used last first.

    Args:
        root: the folder of all stores; need not exist.
    """
    folders = [path for path in root.iterdir() if _is_store(path)] if root.is_dir() else []
    found = [_examine(folder) for folder in folders]
    return sorted(found, key=lambda store: (-store.used, store.folder.name))


def verify(store: StoreInfo) -> Iterator[bool]:
    """Read every byte of a store; what is damaged is set aside, and is encoded again when it is wanted.

    Yields:
        For each segment whether it is whole.
    """
    if store.made_from is None:
        return
    for path in sorted(store.folder.iterdir()):
        if path.is_dir() and is_segment(path.name):
            yield open_or_set_aside(path, again=True) is not None


def plan(
    stores: Sequence[StoreInfo],
    *,
    now: float,
    older_than: float | None = None,
    max_bytes: int | None = None,
    damaged: bool = False,
) -> Plan:
    """What to remove. Stores of another version go in any case, and none goes that may be in use.

    Args:
        stores: all of them.
        now: in seconds since 1970.
        older_than: remove what was not used for so many seconds.
        max_bytes: remove what was not used for longest until no more than this is left.
        damaged: remove the segments that were set aside.
    """
    free = [store for store in stores if now - store.used > IN_USE_SECONDS]
    going = [
        store for store in free if store.made_from is None or (older_than is not None and now - store.used > older_than)
    ]
    aside = [store for store in stores if damaged and store.damaged and store not in going]
    if max_bytes is not None:
        left = sum(store.bytes for store in stores) - Plan(tuple(going), tuple(aside)).bytes
        for store in sorted(free, key=lambda store: store.used):
            if left <= max_bytes:
                break
            if store not in going:
                left -= store.bytes - (store.damaged_bytes if store in aside else 0)
                going.append(store)
    return Plan(tuple(going), tuple(store for store in aside if store not in going))


def prune(chosen: Plan) -> Plan:
    """Remove what was planned, less the stores that were used since.

    Returns:
        What was removed.
    """
    gone = [store for store in chosen.stores if _used(store.folder) == store.used and _remove(store.folder)]
    for store in chosen.damaged:
        for path in store.folder.glob(f"*{segments.DAMAGED}"):
            shutil.rmtree(path, ignore_errors=True)
    return Plan(tuple(gone), chosen.damaged)


def _is_store(path: Path) -> bool:
    """Whether a folder is a store; what a removal left that was cut short goes now."""
    if path.name.startswith(_REMOVED):
        shutil.rmtree(path, ignore_errors=True)
    return path.is_dir() and not path.name.startswith(segments.TEMPORARY)


def _examine(folder: Path) -> StoreInfo:
    texts, dimensions, damaged, damaged_bytes = 0, None, 0, 0
    for path in folder.iterdir():
        if path.name.endswith(segments.DAMAGED):
            damaged, damaged_bytes = damaged + 1, damaged_bytes + _bytes(path)
        elif path.is_dir() and is_segment(path.name):
            with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):  # `verify` tells of damage
                meta = json.loads((path / segments.META).read_text(encoding="utf-8"))
                texts, dimensions = texts + int(meta["rows"]), int(meta["dimensions"])
    return StoreInfo(
        folder, _made_from(folder), dimensions, texts, _bytes(folder), damaged, damaged_bytes, _used(folder)
    )


def _made_from(folder: Path) -> dict[str, Any] | None:
    """What a store of this version was made from; None for another's."""
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        made_from = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if made_from["format"] == FORMAT and encode_key(**made_from) == folder.name:
            return dict(made_from)
    return None


def _used(folder: Path) -> float:
    """When a store was used last: as it says itself, or when something was put into it."""
    with contextlib.suppress(FileNotFoundError):
        return (folder / ABOUT).stat().st_mtime
    with contextlib.suppress(FileNotFoundError):
        return folder.stat().st_mtime
    return 0.0


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _remove(folder: Path) -> bool:
    """Take a store away at once, then delete it; whether it was there."""
    taken = folder.with_name(f"{_REMOVED}{uuid.uuid4().hex[:8]}")
    try:
        folder.rename(taken)
    except FileNotFoundError:
        return False
    shutil.rmtree(taken, ignore_errors=True)
    return True
