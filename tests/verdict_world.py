"""A board whose runs kept values of their examples, written as workers write them."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.core.contributions import average_precision_contributions
from app.core.correlation import spearman
from app.db.session import Database
from app.db.tables import Evidence
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests.board_world import World

Cell = tuple[str, str]
ONLY: Cell = ("test", "default")


class VerdictWorld(World):
    """Adds runs with values; each method returns the run's id. Models and datasets are made first."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__(database)
        self.blobs = BlobStore(settings.blobs_dir)

    def queries(self, model: int, slug: str, values: ArrayLike, *, sources: ArrayLike | None = None) -> int:
        """Of a search: a value a query; with `sources` the only relevant document of each."""
        found = np.asarray(values, np.float64)
        arrays = {"query": np.arange(len(found)), "value": found}
        if sources is not None:
            arrays["source"] = np.asarray(sources)
        return self.kept(model, slug, {ONLY: (float(found.mean()), arrays)})

    def texts(self, model: int, slug: str, by_cell: Mapping[Cell, ArrayLike]) -> int:
        """Of a classification: the share of experiments that got each text right, cell by cell."""
        shares = {cell: np.asarray(values, np.float64) for cell, values in by_cell.items()}
        return self.kept(model, slug, {cell: (float(one.mean()), {"correct": one}) for cell, one in shares.items()})

    def sts(self, model: int, slug: str, similarity: ArrayLike, gold: ArrayLike) -> int:
        arrays = {"similarity": np.asarray(similarity), "gold": np.asarray(gold, np.float64)}
        return self.kept(model, slug, {ONLY: (spearman(arrays["similarity"], arrays["gold"]), arrays)})

    def pairs(self, model: int, slug: str, similarity: ArrayLike, label: ArrayLike) -> int:
        arrays = {"similarity": np.asarray(similarity), "label": np.asarray(label, np.int8)}
        score = float(average_precision_contributions(similarity, label).mean())
        return self.kept(model, slug, {ONLY: (score, arrays)})

    def draws(self, model: int, slug: str, v_measures: ArrayLike, levels: ArrayLike) -> int:
        """Of a clustering."""
        found = np.asarray(v_measures, np.float32)
        arrays = {"v_measure": found, "ami": found, "level": np.asarray(levels)}
        return self.kept(model, slug, {ONLY: (float(found.mean()), arrays)})

    def kept(self, model: int, slug: str, cells: Mapping[Cell, tuple[float, Mapping[str, NDArray[Any]]]]) -> int:
        """A run with these scores and arrays."""
        run_id = self.run(model, slug, {cell: score for cell, (score, _) in cells.items()})
        for (split, subset), (_, arrays) in cells.items():
            file = io.BytesIO()
            np.savez_compressed(file, **dict(arrays))
            file.seek(0)
            sha256 = self.blobs.put(file).sha256
            row = Evidence(run_id=run_id, split=split, subset=subset, kind="examples", blob_sha256=sha256)
            with self.database.session() as session:
                session.add(row)
        return run_id

    def lose(self, run_id: int) -> None:
        """Delete the files of a run."""
        with self.database.reading() as session:
            rows = session.query(Evidence).filter(Evidence.run_id == run_id).all()
            for row in rows:
                self.blobs.delete(row.blob_sha256)

    def two(self, difference: float = 0.1, *, n: int = 200, noise: float = 0.2, name: str = "Help desk") -> str:
        """A board with one search, on which acme/new is better than acme/old by about so much. Returns its slug."""
        self.dataset("articles", "Retrieval", name="Articles")
        new, old = self.model("acme/new"), self.model("acme/old")
        values = np.random.default_rng(0).random(n)
        gained = np.random.default_rng(1).normal(difference, noise, n)
        self.queries(old, "articles", values)
        self.queries(new, "articles", values + gained)
        return self.board("articles", name=name)
