"""Growth: time against the size of the corpus, and a plot of it."""

import math
from collections.abc import Sequence
from typing import Final

from bench.common import HEAD, RESULTS, ROUNDS, Result, Target, median, raw, seconds, stages_in_words, take_turns

SIZES: Final = (10_000, 100_000, 1_000_000)
QUICK: Final = (1_000, 3_000, 9_000)
QUERIES: Final = 1_000
PICTURE: Final = "growth.svg"

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 640, 400, 76, 30, 24, 56


def measure(name: str, *, quick: bool = False) -> Result:
    """Each size in turn."""
    sizes = QUICK if quick else SIZES
    warm_up = {"documents": 1_000, "queries": 50}
    found = take_turns(
        {
            f"{size:,}": (
                "bench.engine:ours",
                {
                    "case": "retrieval",
                    "size": {"documents": size, "queries": QUERIES // (20 if quick else 1)},
                    "warm_up": warm_up,
                },
            )
            for size in sizes
        },
        1 if quick else ROUNDS,
    )
    points = [(size, median(runs)) for size, runs in zip(sizes, found.values(), strict=True)]
    (_, _), (middle, before), (largest, after) = points
    if not quick:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / PICTURE).write_text(plot(points), encoding="utf-8")
    return Result(
        name,
        "Growth",
        f"Retrieval with {QUERIES:,} queries without a model, from records in memory to scores, the vectors written to "
        "an empty store: how the time grows with the corpus.",
        ("documents", *HEAD[1:]),
        tuple((size, seconds(median(runs)), stages_in_words(runs)) for size, runs in found.items()),
        (
            Target(
                f"the time a document at {largest:,} beside that at {middle:,}",
                1.2,
                (after / largest) / (before / middle),
                "×",
                "less",
            ),
        ),
        (),
        raw(found),
        picture="" if quick else PICTURE,
    )


def plot(points: Sequence[tuple[int, float]]) -> str:
    """An SVG of seconds against documents, both axes logarithmic, with a line of equal time a document.

    Args:
        points: documents and seconds; at least one, all above 0.
    """
    left, right = (math.log10(points[place][0]) for place in (0, -1))
    bottom = math.floor(math.log10(min(taken for _, taken in points)))
    top = math.ceil(math.log10(max(taken for _, taken in points)))

    def x(documents: float) -> float:
        return _LEFT + (math.log10(documents) - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT)

    def y(taken: float) -> float:
        return _HEIGHT - _BOTTOM - (math.log10(taken) - bottom) / (top - bottom) * (_HEIGHT - _TOP - _BOTTOM)

    lines = [_grid_line(y(10.0**power), f"{10.0**power:g} s") for power in range(bottom, top + 1)]
    last, taken = points[-1]
    proportional = [(size, taken * size / last) for size, _ in points if taken * size / last >= 10**bottom]
    (x1, y1), (x2, y2) = ((x(size), y(value)) for size, value in (proportional[0], proportional[-1]))
    lines.append(f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#b8b4ac" stroke-dasharray="5 4"/>')
    path = "L".join(f"{x(size):.1f} {y(value):.1f}" for size, value in points)
    lines.append(f'<path d="M{path}" stroke="#1f4e8c" stroke-width="2" fill="none"/>')
    for size, value in points:
        lines.append(f'<circle cx="{x(size):.1f}" cy="{y(value):.1f}" r="4" fill="#1f4e8c"/>')
        lines.append(_text(x(size), y(value) - 12, seconds(value), "middle" if size != last else "end"))
        lines.append(_text(x(size), _HEIGHT - _BOTTOM + 20, f"{size:,}", "middle" if size != last else "end"))
    lines.append(
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, "documents; dashed: equal time a document", "middle")
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="13" fill="none"><title>Seconds against documents</title>'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>\n' + "\n".join(lines) + "\n</svg>\n"
    )


def _grid_line(height: float, label: str) -> str:
    line = f'<path d="M{_LEFT} {height:.1f}H{_WIDTH - _RIGHT}" stroke="#e6e3dc"/>'
    return line + _text(_LEFT - 8, height + 4, label, "end")


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="#2b2a27" text-anchor="{anchor}">{words}</text>'
