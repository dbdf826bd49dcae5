"""Charts as Plotly draws them: from what a page shows to the figure that static/js/charts.js draws.

A colour is the name of a CSS variable, which the script looks up, so that both themes have theirs. What Plotly would
read as markup in a name is written as entities.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from app.core.units import short_count
from app.db.queries.boards import BoardModel
from app.services.board_points import Axis, ScorePoint, ScorePoints, day, score_name
from app.services.board_view import full_name
from app.services.rank_comparison import RankComparison, RankPair

Figure = dict[str, Any]
"""`data`, `layout` and `config` as `Plotly.react` takes them, or a part of one."""

_LABEL_LENGTH: Final = 24
_HOVER_LENGTH: Final = 80
_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})

_SMALLEST, _LARGEST, _UNSIZED = 6.0, 16.0, 4.0  # pixels; a legend shows none larger than 16
_LEAST, _MOST = 1e6, 1e10  # parameters
_OPENNESS: Final = {
    True: ("open weights", "circle", "--accent"),
    False: ("closed weights", "diamond", "--warn"),
    None: ("weights not stated", "x", "--ink-3"),
}
_MOVES: Final = {
    1: ("higher here", "triangle-up", "--ok"),
    0: ("the same", "circle", "--ink-3"),
    -1: ("lower here", "triangle-down", "--fail"),
}
_QUIET: Final = {"hoverinfo": "skip"}


def score_figure(chart: ScorePoints, file_name: str) -> Figure:
    """Scores against an attribute: shape and colour say whether weights are open, size how many parameters.

    A wide ring marks what is pinned.

    Args:
        chart: its points.
        file_name: of the image that people download, without its ending.
    """
    axis, score = chart.axis, label(score_name(chart.score))
    known = [min(max(value, _LEAST), _MOST) for value in map(_size_of, chart.points) if value]
    sizes = _ticks(known, 10, most=4)
    unsized = sizes and len(known) < len(chart.points)
    data: list[Figure] = [
        _frontier_line(chart),
        *(
            _markers(found, look, axis, score)
            for openness, look in _OPENNESS.items()
            if (found := [point for point in chart.points if point.model.open_weights is openness])
        ),
        *(_size_key(short_count(size), _size(size)) for size in sizes),
        *([_size_key("unknown", _UNSIZED)] if unsized else []),
        *([_pins(pinned, axis)] if (pinned := [point for point in chart.points if point.pinned]) else []),
        _names(chart),
    ]
    return {
        "data": data,
        "layout": _layout(_x_axis(axis, [point.x for point in chart.points]), _axis(f"{score}, times 100")),
        "config": _config(file_name),
    }


def rank_figure(comparison: RankComparison, here: str, there: str, file_name: str) -> Figure:
    """Ranks on this board against those on the other one; the best stand at the top right.

    Args:
        comparison: of both boards.
        here: this board's name.
        there: the other's.
        file_name: of the image that people download, without its ending.
    """
    pairs = comparison.pairs
    data: list[Figure] = [
        {**_QUIET, **_line([1, len(pairs)], [1, len(pairs)]), "name": "the same rank"},
        *(
            _moved(found, look)
            for sign, look in _MOVES.items()
            if (found := [pair for pair in pairs if _sign(pair.climb) == sign])
        ),
        _movers(comparison.climbers, "top left", len(pairs)),
        _movers(comparison.fallers, "bottom right", len(pairs)),
    ]
    ranks: Figure = {"autorange": "reversed", "tick0": 1, "dtick": math.ceil(len(pairs) / 10), "zeroline": False}
    x, y = (_axis(f"Rank on {label(_cut(name, _HOVER_LENGTH))}") | ranks for name in (there, here))
    return {"data": data, "layout": _layout(x, y), "config": _config(file_name)}


def label(text: str) -> str:
    """A text that Plotly shows as it is.

    Example:
        >>> label("<b>a & b")
        '&lt;b&gt;a &amp; b'
    """
    return text.translate(_ENTITIES)


# Scores


def _markers(points: Sequence[ScorePoint], look: tuple[str, str, str], axis: Axis, score: str) -> Figure:
    """The points of one openness, by its name, symbol and colour; a ring marks those on the frontier."""
    name, symbol, colour = look
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "legendgroup": "openness",
        "legendgrouptitle": {"text": "Shape and colour"},
        "x": [_place(axis, point.x) for point in points],
        "y": [_hundredfold(point.score) for point in points],
        "hoverinfo": "text",
        "hovertext": [_score_words(point, axis, score) for point in points],
        "marker": {
            "symbol": symbol,
            "color": colour,
            "opacity": 0.75,
            "size": [_size(_size_of(point)) for point in points],
            "line": {"color": "--ink", "width": [1.5 if point.on_frontier else 0 for point in points]},
        },
    }


def _pins(points: Sequence[ScorePoint], axis: Axis) -> Figure:
    """A ring with some room around each pinned model."""
    return {
        **_QUIET,
        "type": "scatter",
        "mode": "markers",
        "name": "pinned",
        "x": [_place(axis, point.x) for point in points],
        "y": [_hundredfold(point.score) for point in points],
        "marker": {
            "symbol": "circle-open",
            "color": "--ink",
            "size": [_size(_size_of(point)) + 10 for point in points],
            "line": {"width": 2},
        },
    }


def _score_words(point: ScorePoint, axis: Axis, score: str) -> str:
    rank = f", rank {point.rank}" if point.rank else ""
    lines = [
        label(_cut(full_name(point.model), _HOVER_LENGTH)),
        f"{score} {point.score * 100:.2f}{rank}",
        f"{axis.label} {axis.text(point.x)} {axis.unit}".rstrip(),
    ]
    if axis.key != "parameters" and (parameters := _size_of(point)):
        lines.append(f"Parameters {short_count(parameters)}")
    return "<br>".join(lines)


def _frontier_line(chart: ScorePoints) -> Figure:
    """Steps through the frontier, on to the last point on the dearer side: what lies below them is beaten."""
    points, more = chart.frontier, chart.axis.more_is_better
    xs, ys = [point.x for point in points], [_hundredfold(point.score) for point in points]
    if points:
        everywhere = [point.x for point in (*points, *chart.points)]
        xs = [min(everywhere), *xs] if more else [*xs, max(everywhere)]
        ys = [ys[0], *ys] if more else [*ys, ys[-1]]
    steps = _line([_place(chart.axis, x) for x in xs], ys)
    steps["line"]["shape"] = "vh" if more else "hv"
    return {**_QUIET, **steps, "name": "Pareto frontier"}


def _names(chart: ScorePoints) -> Figure:
    """Names of what is pinned, and beside the frontier, where there is room: beyond it there is no point."""
    heights = [_hundredfold(point.score) for point in chart.points]
    named = (point for point in chart.points if point.on_frontier or point.pinned)
    on = sorted(named, key=lambda point: (not point.pinned, -point.score))
    middle = _middle(chart)
    names = [
        (
            _place(chart.axis, point.x),
            _hundredfold(point.score),
            _short(point.model),
            "top left" if point.x > middle else "top right",
        )
        for point in on
    ]
    return _text(names, room=(max(heights, default=0.0) - min(heights, default=0.0)) / 20)


def _middle(chart: ScorePoints) -> float:
    """Left of it a name stands at the right of its point, or it would leave the chart."""
    xs = [point.x for point in chart.points] or [1.0]
    low, high = min(xs), max(xs)
    share = 0.7 if chart.axis.more_is_better else 0.3
    return low * (high / low) ** share if chart.axis.ticks else low + (high - low) * share


def _size_of(point: ScorePoint) -> float | None:
    parameters = point.model.parameters
    return parameters if parameters and parameters > 0 else None


def _size(parameters: float | None) -> float:
    """Pixels: 6 for a million and fewer to 16 for ten billion and more; 4 where the number is unknown."""
    if parameters is None:
        return _UNSIZED
    share = math.log(min(max(parameters, _LEAST), _MOST) / _LEAST) / math.log(_MOST / _LEAST)
    return round(_SMALLEST + share * (_LARGEST - _SMALLEST), 1)


def _size_key(name: str, size: float) -> Figure:
    """A line of the legend: how large so many parameters are drawn."""
    return {
        **_QUIET,
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "legendgroup": "size",
        "legendgrouptitle": {"text": "Size: parameters"},
        "x": [None],
        "y": [None],
        "marker": {"symbol": "circle-open", "color": "--ink-2", "size": size},
    }


# Ranks


def _moved(pairs: Sequence[RankPair], look: tuple[str, str, str]) -> Figure:
    """The models that stand higher, lower or the same on this board, by name, symbol and colour."""
    name, symbol, colour = look
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [pair.there for pair in pairs],
        "y": [pair.here for pair in pairs],
        "hoverinfo": "text",
        "hovertext": [
            f"{label(_cut(full_name(pair.model), _HOVER_LENGTH))}<br>{pair.there} there, {pair.here} here"
            for pair in pairs
        ],
        "marker": {"symbol": symbol, "color": colour, "opacity": 0.8, "size": 9},
    }


def _movers(pairs: Sequence[RankPair], position: str, of: int) -> Figure:
    """The names of those that move most, on the side away from the diagonal."""
    return _text([(pair.there, pair.here, _short(pair.model), position) for pair in pairs], room=of / 20)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


# What both share


def _line(xs: Sequence[Any], ys: Sequence[Any]) -> Figure:
    line = {"color": "--rule", "width": 1.5, "dash": "dot"}
    return {"type": "scatter", "mode": "lines", "x": xs, "y": ys, "line": line}


def _text(names: Iterable[tuple[Any, float, str, str]], room: float) -> Figure:
    """Names as (x, y, name, position), the most important first; one too close below or above another is left out."""
    shown: list[tuple[Any, float, str, str]] = []
    for name in names:
        if all(abs(name[1] - other[1]) >= max(room, 1e-9) for other in shown):
            shown.append(name)
    return {
        **_QUIET,
        "type": "scatter",
        "mode": "text",
        "showlegend": False,
        "cliponaxis": False,
        "x": [x for x, _, _, _ in shown],
        "y": [y for _, y, _, _ in shown],
        "text": [f"\N{NO-BREAK SPACE}{label(_cut(name, _LABEL_LENGTH))}\N{NO-BREAK SPACE}" for _, _, name, _ in shown],
        "textposition": [position for _, _, _, position in shown],
        "textfont": {"color": "--ink", "size": 12},
    }


def _x_axis(axis: Axis, values: Sequence[float]) -> Figure:
    """A logarithmic axis with its ticks, or one of days."""
    title = "<br>".join(label(_cut(line, _HOVER_LENGTH)) for line in axis.title_lines)
    if not axis.ticks:
        return _axis(title) | {"type": "date"}
    ticks = _ticks(values, axis.ticks)
    return _axis(title) | {"type": "log", "tickvals": ticks, "ticktext": [_whole(axis.text(tick)) for tick in ticks]}


def _whole(text: str) -> str:
    """1.00 -> 1, 0.50 -> 0.5."""
    return text.rstrip("0").removesuffix(".") if "." in text else text


def _ticks(values: Iterable[float], base: int, most: int = 8) -> list[float]:
    """Round numbers around positive values, at most `most`: powers of the base; of ten 1, 2 and 5 times them.

    Example:
        >>> _ticks([3e7, 6e8], 10, most=4), _ticks([100, 3000], 2)
        ([10000000.0, 100000000.0, 1000000000.0], [64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0])
    """
    present = list(values)
    if not present:
        return []
    first = math.floor(math.log(min(present), base) + 1e-9)
    last = max(math.ceil(math.log(max(present), base) - 1e-9), first + 1)
    powers = [float(base) ** power for power in range(first, last + 1)]
    finer = [factor * power for power in powers[:-1] for factor in (1, 2, 5)] + powers[-1:]
    if base == 10 and len(finer) <= most:
        return finer
    return powers[:: math.ceil(len(powers) / most)]


def _axis(title: str) -> Figure:
    return {
        "title": {"text": title, "font": {"color": "--ink-2", "size": 13}, "standoff": 12},
        "tickfont": {"color": "--ink-2"},
        "gridcolor": "--line",
        "linecolor": "--line-strong",
        "zerolinecolor": "--line",
        "automargin": True,
    }


def _layout(x: Figure, y: Figure) -> Figure:
    lines = x["title"]["text"].count("<br>") + 1
    return {
        "autosize": True,
        "xaxis": x,
        "yaxis": y,
        "font": {"color": "--ink", "size": 13, "family": "sans-serif"},
        "paper_bgcolor": "--paper",
        "plot_bgcolor": "--paper",
        "margin": {"l": 8, "r": 8, "t": 32, "b": 8},
        "legend": {
            "orientation": "h",
            "y": -0.08 - 0.08 * lines,
            "yanchor": "top",
            "itemsizing": "trace",
            "groupclick": "toggleitem",
            "bgcolor": "--paper",
            "font": {"color": "--ink-2"},
        },
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "--raised", "bordercolor": "--line-strong", "font": {"color": "--ink"}},
        "modebar": {"bgcolor": "--paper", "color": "--ink-3", "activecolor": "--accent"},
        "uirevision": "kept",
    }


def _config(file_name: str) -> Figure:
    """Nothing leaves the house; one button saves an image."""
    return {
        "showSendToCloud": False,
        "plotlyServerURL": "",
        "displaylogo": False,
        "displayModeBar": True,
        "responsive": True,
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        "toImageButtonOptions": {"format": "png", "filename": file_name, "scale": 2},
    }


def _place(axis: Axis, x: float) -> float | str:
    """A value as Plotly takes it."""
    return x if axis.ticks else day(x)


def _hundredfold(score: float) -> float:
    return round(score * 100, 4)


def _short(model: BoardModel) -> str:
    """Its name without the organisation."""
    return model.short_name or model.name


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
