"""A board's results as files that mteb loads: imported ones byte for byte, our own in the same layout."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from hashlib import sha1
from itertools import groupby
from pathlib import Path
from zipfile import ZipFile

from sqlalchemy.orm import Session

from app.core.task_types import task_type
from app.db.queries.imports import OwnResult, archives_of, own_results
from app.db.tables import Benchmark, BoardKind, Model
from app.errors import Conflict, NotFound
from app.mteb.model_cards import ModelCard, write_model_card
from app.mteb.results import UnreadableFile, write_result
from app.services.import_files import MODEL_CARD, ZipSource, result_names
from app.storage.blobs import BlobStore

Files = Iterator[tuple[str, bytes]]
"""`<org__name>/<revision>/<file>` and its content."""

_NOT_IN_FILE_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\s]')


def result_files(session: Session, blobs: BlobStore, board: Benchmark) -> Files:
    """Every file of a board, one after the other; the session is not needed any more once this returns.

    Raises:
        NotFound: there is no result yet, or an original file is lost.
    """
    if board.kind == BoardKind.IMPORTED:
        paths = [blobs.path(archive.blob_sha256) for archive in archives_of(session, board.id)]
        if not all(path.is_file() for path in paths):
            raise NotFound("The original files of this board are lost: they are not in the data folder any more.")
        return _imported_files(paths)
    results = own_results(session, board.id)
    if not results:
        raise NotFound(f"The board {board.name!r} has no result yet.")
    return _own_files(results)


def write_folder(files: Files, folder: Path) -> int:
    """Write them below an empty or new folder; returns how many.

    Raises:
        Conflict: the folder holds something, or cannot be written.
    """
    written = 0
    try:
        if folder.exists() and any(folder.iterdir()):
            raise Conflict(f"The folder {folder} is not empty. Name one that is, or that does not exist yet.")
        for name, content in files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            written += 1
    except OSError as error:
        raise Conflict(f"The folder {folder} cannot be written ({error.strerror}).") from error
    return written


def _imported_files(paths: Sequence[Path]) -> Files:
    """The files of these archives; of the same name, that of the newest archive."""
    with ExitStack() as stack:
        places: dict[str, tuple[ZipSource, str]] = {}
        for path in paths:
            source = ZipSource(stack.enter_context(ZipFile(path)))
            places |= {name: (source, stored) for name, stored in result_names(source).items()}
        for name, (source, stored) in sorted(places.items()):
            try:
                content = source.read(stored)
            except UnreadableFile:
                continue  # damaged or huge when it came, and named then
            yield name, content


def _own_files(results: Sequence[OwnResult]) -> Files:
    for _, group in groupby(results, key=lambda result: result.model.id):
        of_model = list(group)
        model = of_model[0].model
        folder = f"{_file_name(_name(model).replace('/', '__'))}/{_revision(model)}"
        for result in of_model:
            yield (
                f"{folder}/{_result_name(result.dataset.slug)}",
                write_result(
                    task=result.dataset.slug,
                    dataset_revision=result.dataset_revision,
                    main_metric=task_type(result.dataset.task_type).main_metric,
                    languages=result.dataset.languages,
                    scores=result.scores,
                    seconds=result.seconds,
                    finished=result.finished,
                ),
            )
        yield f"{folder}/{MODEL_CARD}", write_model_card(_card(model))


def _card(model: Model) -> ModelCard:
    facts = {
        "n_parameters": model.parameters,
        "n_active_parameters_override": model.active_parameters,
        "memory_usage_mb": model.memory_mb,
        "max_tokens": model.max_tokens,
        "embed_dim": model.dimensions,
        "license": model.licence,
        "open_weights": model.open_weights,
        "release_date": model.release_date,
        "public_training_code": model.training_code,
        "public_training_data": model.training_data,
        "citation": model.citation,
        "reference": model.reference,
        "model_type": list(model.kinds),
        "languages": list(model.languages),
        "similarity_fn_name": model.similarity,
        "training_datasets": model.training_datasets,
        "framework": [],
        "modalities": ["text"],
    }
    return ModelCard(_name(model), _revision(model), facts)


def _name(model: Model) -> str:
    """`org/name`, and for a variant `org/name (64 d)`, as mteb writes it: its boards have one row a name."""
    return f"{model.name} ({model.variant})" if model.variant else model.name


def _revision(model: Model) -> str:
    """The model's revision; a hash of its name where it has none."""
    return model.revision or sha1(_name(model).encode(), usedforsecurity=False).hexdigest()


def _result_name(slug: str) -> str:
    """The file of a dataset's results, beside the model's card and never in its place."""
    name = f"{_file_name(slug)}.json"
    return f"_{name}" if name == MODEL_CARD else name


def _file_name(name: str) -> str:
    """A name that every file system takes, and that leads nowhere else."""
    return re.sub(r"^\.+", "_", _NOT_IN_FILE_NAMES.sub("_", name)) or "_"
