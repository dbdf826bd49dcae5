"""What a model costs on a device: memory, the latency of a query, documents a second.

The texts are our own and the same for every model and dataset, so that figures can be compared; the vector store never
sees them.
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import count, product
from typing import Any, Final

import numpy as np
import psutil
import torch

from app.errors import RunFailure
from worker.encoders.base import Encoder, PoisonedText, Role, device_kind

WORKLOAD: Final = 1
"""Counts up with every change of the texts or of how they are timed: figures of different ones do not compare."""

TASK_TYPE: Final = "Retrieval"
"""Whose prompts are used."""

WARM_UP: Final = 5
"""Queries before the clock starts."""

LEAST_QUERIES, MOST_QUERIES = 20, 100
QUERY_SECONDS = 5.0
"""After so long, no more queries than the least number are timed."""

LEAST_PASSAGES, MOST_PASSAGES = 16, 16_384
PASSAGE_SECONDS = 1.0
"""Passages are encoded again, more of them, until they take so long."""

_TOKENS = 64
"""So few that passages for one batch, at that many each, fill at least two."""

_MEGABYTE = 1024**2

_ASKED = (
    "how do I reset",
    "what does it cost to replace",
    "why is there no light on",
    "when was somebody last seen near",
    "who may open",
    "is it safe to clean",
    "which tool do I need for",
    "where is the manual of",
    "can two people share",
    "how long is the guarantee for",
)
_THINGS = (
    "the garden gate",
    "a door sensor with an empty battery",
    "the heating in the old library",
    "my grandmother's sewing machine",
    "the pump behind the greenhouse",
    "a bicycle that was left at the station",
    "the camera above the loading ramp",
    "this kettle",
    "the lift to the third floor",
    "a lighthouse in winter",
)
_SENTENCES = (
    "The ferry leaves the small harbour at seven, when the tide is high enough for the heavier boats to follow it.",
    "Nobody had opened the workshop since spring, and a thin layer of sawdust covered the tools on the long table.",
    "Before you change the filter, close both valves, wait for two minutes and put a bucket under the lower pipe.",
    "Our bakery sells out of rye bread on most mornings, so regular customers telephone the evening before.",
    "The committee agreed to repaint the bridge, but it could not agree on the colour, the price or the season.",
    "A letter that arrives without a stamp is kept for three weeks and then returned to whoever sent it.",
    "She measured the room twice, wrote the numbers on her hand and drove across the town to buy the carpet.",
    "If the alarm rings during a storm, look at the sensor in the attic first, because damp wood moves it.",
    "The museum lends its maps to schools, provided that a teacher signs for them and brings them back dry.",
    "Prices for seed potatoes rose by a tenth last year, mostly because the roads in the north were flooded.",
    "Two engineers walked the whole length of the tunnel at night and marked every crack with yellow chalk.",
    "He keeps bees on the roof of the post office and gives every neighbour a jar of honey in September.",
    "The new timetable has fewer trains on Sundays, yet they stop at all the villages along the river again.",
    "When the printer reports an empty tray although there is paper in it, clean the roller with a wet cloth.",
    "A glass of water, a pencil and a quiet corner are all that the translators asked for in their contract.",
    "The observatory opens its dome to visitors on clear evenings, and children may look through the telescope first.",
    "Old invoices are stored in the cellar for ten years, sorted by month, and then shredded by two people together.",
    "After the concert the orchestra discovered that somebody had exchanged the violin cases of the front row.",
    "Le jardinier arrose les tomates tôt le matin, avant que le soleil ne chauffe les vitres de la serre.",
    "Der Schlüssel zum Heizungskeller hängt neben der Treppe, gleich hinter dem Plan mit den Fluchtwegen.",
    "La biblioteca cierra los lunes, pero los libros se pueden devolver en el buzón que hay junto a la puerta.",
    "It takes about an hour to fold the sails properly, and half as long if somebody holds the other end.",
    "The surveyor found the boundary stone under a hedge, forty metres away from where the old plan had put it.",
)
"""As many as a prime number, so that any step leads through all of them."""

_WORDS = 100
"""A passage ends with the sentence that brings it to so many."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model costs on one kind of device; the units are those of `app.db.tables.Measurement`.

    Attributes:
        details: `workload`, `queries` and `passages` (how many were timed), `memory` ("gpu" or "process").
    """

    device: str
    peak_memory_mb: float
    query_p50_ms: float
    query_p95_ms: float
    documents_per_second: float
    details: dict[str, Any]


class PeakMemory:
    """The greatest memory since it was made, in MB: of this process as often as one looks, of a GPU at any time."""

    def __init__(self) -> None:
        self._process, self._most, self._gpu = psutil.Process(), 0, ""

    def watch(self, device: str) -> None:
        """Count the memory of a GPU too, from here on; other devices have none of their own."""
        if device.startswith("cuda"):
            self._gpu = device
            torch.cuda.reset_peak_memory_stats(device)

    def look(self) -> None:
        """See how much the process holds now."""
        self._most = max(self._most, self._process.memory_info().rss)

    @property
    def process_mb(self) -> float:
        """Of the process."""
        return round(self._most / _MEGABYTE, 1)

    @property
    def gpu_mb(self) -> float | None:
        """Of the GPU; None where none is watched."""
        return round(torch.cuda.max_memory_allocated(self._gpu) / _MEGABYTE, 1) if self._gpu else None


def measure(encoder: Encoder, check: Callable[[], None]) -> Cost:
    """Time single queries, then passages in batches as a run makes them, and watch the memory meanwhile.

    On a fast model it takes some four seconds; on a slow one as long as `LEAST_QUERIES` queries and `LEAST_PASSAGES`
    passages (on a GPU, two batches) do.

    Args:
        encoder: of one vector a text; its weights are loaded first if they are not here.
        check: called after every query and batch, off the clock of queries; what it raises ends the measuring.

    Raises:
        RunFailure: `bad_text`, `gpu_oom`, `out_of_memory`, and those of loading.
    """
    encoder.ready()
    memory = PeakMemory()
    memory.watch(encoder.device)

    def pause() -> None:
        memory.look()
        check()

    pause()
    times = _query_times(encoder, pause)
    texts, seconds = _passage_time(encoder, pause)
    p50, p95 = np.quantile(times, (0.5, 0.95))
    on_gpu = memory.gpu_mb
    return Cost(
        device=device_kind(encoder.device),
        peak_memory_mb=memory.process_mb if on_gpu is None else on_gpu,
        query_p50_ms=round(1_000 * float(p50), 3),
        query_p95_ms=round(1_000 * float(p95), 3),
        documents_per_second=round(texts / seconds, 2),
        details={
            "workload": WORKLOAD,
            "queries": len(times),
            "passages": texts,
            "memory": "process" if on_gpu is None else "gpu",
        },
    )


def queries() -> list[str]:
    """`MOST_QUERIES` different questions of 5 to 14 words."""
    return [f"{asked} {thing}" for thing, asked in product(_THINGS, _ASKED)]


def passages(number: int) -> list[str]:
    """That many different passages of 100 to 150 words; the first ones are always the same."""
    return [_passage(place) for place in range(number)]


def _passage(place: int) -> str:
    """A number, and sentences at a step that differs from passage to passage."""
    kinds = len(_SENTENCES)
    step = 1 + place // kinds % (kinds - 1)
    words = [f"{place + 1}:"]
    for following in count(place, step):
        words += _SENTENCES[following % kinds].split()
        if len(words) >= _WORDS:
            break
    return " ".join(words)


def _query_times(encoder: Encoder, pause: Callable[[], None]) -> list[float]:
    """Seconds of queries that are encoded one by one, tokenising and fetching the vector included."""
    texts, times = queries(), list[float]()
    for text in texts[:WARM_UP]:
        _encode(encoder, [text], "query")
        pause()
    end = time.perf_counter() + QUERY_SECONDS
    for text in texts:
        began = time.perf_counter()
        if len(times) >= LEAST_QUERIES and began > end:
            break
        _encode(encoder, [text], "query")
        times.append(time.perf_counter() - began)
        pause()
    return times


def _passage_time(encoder: Encoder, pause: Callable[[], None]) -> tuple[int, float]:
    """How many passages were encoded at once and how many seconds that took.

    First so many that the device is busy, then as many as fill the time; only the last round counts.
    """
    number = min(MOST_PASSAGES, max(LEAST_PASSAGES, encoder.batch_tokens // _TOKENS))
    while True:
        texts = passages(number)
        began = time.perf_counter()
        _encode(encoder, texts, "document", pause)
        seconds = time.perf_counter() - began
        if seconds >= PASSAGE_SECONDS or number == MOST_PASSAGES:
            return number, seconds
        growth = min(8.0, max(2.0, 1.5 * PASSAGE_SECONDS / seconds))
        number = min(MOST_PASSAGES, int(growth * number))


def _encode(encoder: Encoder, texts: list[str], role: Role, pause: Callable[[], None] | None = None) -> None:
    """Encode as a search does, and pause after every batch, when its vectors have arrived."""
    prompt = encoder.prompt_for(TASK_TYPE, role)
    try:
        with closing(encoder.batches(texts, prompt, role if encoder.by_role else None)) as batches:
            for _ in batches:
                if pause is not None:
                    pause()
    except PoisonedText as error:
        raise RunFailure(
            f"The model cannot read a text that every model is measured with: {error.where} raised {error.kind}.",
            code="bad_text",
            remedy="The scores stand; should texts of other datasets fail too, the model's tokenizer is damaged.",
        ) from error
