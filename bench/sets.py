"""The public datasets beside the repository, as the product reads them."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from app.core.formats import Choices, Limits, read_dataset
from app.core.records import Dataset
from bench.common import SETS

CLUSTER_SETS = {"MasakhaNEWSClusteringS2S-eng": 5}
"""Sets that mteb cuts into whole cluster sets."""


@dataclass(frozen=True, slots=True)
class PublicSet:
    """One of them.

    Attributes:
        name: its folder.
        task_type: ours.
        mteb_task: the task of mteb's that scores it.
        split: mteb's name of the scored split; the file is always called test.
        main_metric: of that task.
        published: the score that mteb's results repository has for this model; None where there is none.
        expected: every metric as mteb 2.26.24 computed it once on these files.
    """

    name: str
    task_type: str
    mteb_task: str
    split: str
    main_metric: str
    published: float | None
    expected: dict[str, float]

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return SETS / self.name

    @property
    def subset(self) -> str:
        """The subset by mteb's name: what the folder's name has after the task's."""
        task, _, subset = self.name.partition(f"{self.mteb_task}-")
        return subset if subset and not task else "default"

    def read(self) -> Dataset:
        """The dataset as the product reads it."""
        choices = Choices(cluster_sets=CLUSTER_SETS.get(self.name))
        return read_dataset(self.folder, self.name, self.task_type, Limits(), choices=choices).dataset


def public_sets(names: Collection[str] = ()) -> list[PublicSet]:
    """Those of these names, or all of them, in the order of expected.json.

    Raises:
        FileNotFoundError: they are not there.
    """
    known = json.loads((SETS / "expected.json").read_text(encoding="utf-8"))
    return [
        PublicSet(
            name,
            facts["task_type"],
            facts["mteb_task"],
            facts["split"],
            facts["main_metric"],
            facts["published"],
            facts["scores"],
        )
        for name, facts in known.items()
        if not names or name in names
    ]
