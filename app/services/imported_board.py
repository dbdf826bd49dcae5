"""The board of imported MTEB results, as `app.db.queries.boards.Board` has it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.core.aggregation import DatasetMeans
from app.core.task_types import TASK_TYPES
from app.db.imported_tables import ImportedColumn
from app.db.queries.boards import Board, BoardColumn, BoardModel, trained_on
from app.db.queries.imported_board import ImportedMean, imported_columns, imported_means, imported_models, last_import
from app.db.tables import Benchmark
from app.mteb import registry
from app.services.model_attributes import known

_FACTS = {
    "parameters": "n_parameters",
    "dimensions": "embed_dim",
    "max_tokens": "max_tokens",
    "memory_mb": "memory_usage_mb",
    "licence": "license",
    "open_weights": "open_weights",
    "training_code": "public_training_code",
    "training_data": "public_training_data",
    "citation": "citation",
    "release_date": "release_date",
    "training_datasets": "training_datasets",
    "kinds": "model_type",
}
"""What a board shows of a model, by the key of its model_meta.json."""


def load_imported_board(session: Session, benchmark: Benchmark) -> Board:
    """The board of an imported benchmark, in four queries: columns, models, means, the last import.

    A row is a model's name; which revision counts on which task was settled by the import. What MTEB's registry
    states of a model goes before its model_meta.json.
    """
    tasks = imported_columns(session, benchmark.id)
    found = imported_models(session, benchmark.id)
    means = imported_means(session, benchmark.id)
    scored = {mean.model_id for mean in means}
    revisions = {model.name: model for model in found if model.id in scored}
    facts = {name: _facts(name, model.meta) for name, model in revisions.items()}
    rows = {name: row for row, name in enumerate(facts)}
    columns = tuple(_column(task) for task in tasks)
    training = [facts[name]["training_datasets"] for name in facts]
    return Board(
        slug=benchmark.slug,
        name=benchmark.name,
        description=benchmark.description,
        is_default=benchmark.is_default,
        columns=columns,
        models=tuple(_model(name, revisions[name].revision, facts[name]) for name in facts),
        means=_means(means, {model.id: rows[model.name] for model in found if model.id in scored}, tasks),
        trained_on=trained_on(training, columns),
        training_known=np.array([names is not None for names in training], np.bool_),
        run_ids=np.zeros((len(facts), len(columns)), np.int64),
        marks={},
        left_out=(),
        last_result=last_import(session, benchmark.id),
        imported=True,
    )


def _facts(name: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    stated = {fact: meta.get(key) for fact, key in _FACTS.items()} | {"active_parameters": _active_parameters(meta)}
    return stated | {fact: value for fact, value in known(name).items() if fact in stated and value is not None}


def _active_parameters(meta: Mapping[str, Any]) -> int | None:
    """As mteb has them: what the card states of a mixture of experts, else all but those of the token embeddings."""
    override, every, embeddings = (
        meta.get(key) for key in ("n_active_parameters_override", "n_parameters", "n_embedding_parameters")
    )
    if override is not None:
        return int(override)
    return None if every is None or embeddings is None else int(every - embeddings)


def _column(task: ImportedColumn) -> BoardColumn:
    found, kind = registry.find_task(task.task), TASK_TYPES.get(task.task_type)
    metric = found.main_metric if found else kind.main_metric if kind else "main_score"
    domains = found.domains if found else ()
    return BoardColumn(task.task, task.task, task.task_type, metric, tuple(task.languages), domains)


def _model(name: str, revision: str, facts: Mapping[str, Any]) -> BoardModel:
    tokens = facts["max_tokens"]
    return BoardModel(
        key=name,
        name=name,
        revision=revision,
        parameters=facts["parameters"],
        active_parameters=facts["active_parameters"],
        dimensions=facts["dimensions"],
        max_tokens=None if tokens is None else int(tokens),
        memory_mb=facts["memory_mb"],
        licence=facts["licence"],
        open_weights=facts["open_weights"],
        training_code=_public(facts["training_code"]),
        training_data=_public(facts["training_data"]),
        citation=_public(facts["citation"]),
        release_date=facts["release_date"],
        kinds=tuple(facts["kinds"] or ()),
    )


def _public(stated: str | bool | None) -> bool | None:
    """Whether something is public: where it is, or just whether it is; without words nothing is known."""
    return None if stated in {None, ""} else bool(stated)


def _means(means: Sequence[ImportedMean], rows: Mapping[int, int], tasks: Sequence[ImportedColumn]) -> DatasetMeans:
    """Shape (models, tasks); `rows` by the ids of their revisions."""
    places = {task.task: (place, len(task.cells)) for place, task in enumerate(tasks)}
    known_means, complete = (np.full((len({*rows.values()}), len(tasks)), np.nan) for _ in range(2))
    for mean in means:
        place, required = places[mean.task]
        known_means[rows[mean.model_id], place] = mean.mean
        if mean.cells == required:
            complete[rows[mean.model_id], place] = mean.mean
    return DatasetMeans(known_means, complete)
