"""The report's figures, as Plotly takes them: plain data and layout, no number without its n."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, TypedDict

from eval.findings import bounds_of
from eval.matrix import AccuracyMatrix, Cell
from eval.recovery import Share
from eval.split import TaskSplit

INK, QUIET, LINE, ACCENT = "#1d2733", "#5d6b79", "#dfe5ea", "#1f6f8b"
STYLE, KNOWLEDGE, UNTOLD = "#7fb3c4", "#b5533c", "#c9d0d6"
_BAND = "rgba(31,111,139,0.22)"
_BLUES = [[0.0, "#f4f8fa"], [0.5, "#b5d5e0"], [1.0, "#62a8c0"]]
_MAX_WRITTEN_CELLS = 150
_MAX_TICKS = 6


class Figure(TypedDict):
    """What `Plotly.newPlot` takes."""

    data: list[dict[str, Any]]
    layout: dict[str, Any]


def heatmap(matrix: AccuracyMatrix) -> Figure:
    """Return the matrix, a row per version, base on top, points 0 to 100; holes stay blank."""
    cells = [[row.cells.get(task) for task in matrix.tasks] for row in matrix.rows]
    written = len(matrix.rows) * len(matrix.tasks) <= _MAX_WRITTEN_CELLS
    trace = {
        "type": "heatmap",
        "z": [[cell.accuracy if cell else None for cell in row] for row in cells],
        "x": _names(matrix.tasks),
        "y": _names([row.version for row in matrix.rows]),
        "hovertext": [[_hover(cell) for cell in row] for row in cells],
        "text": [[_cell_text(cell) for cell in row] for row in cells],
        **({"texttemplate": "%{text}"} if written else {}),
        "textfont": {"color": INK, "size": 13},
        "hovertemplate": "%{y} on %{x}: %{hovertext}<extra></extra>",
        "zmin": 0,
        "zmax": 100,
        "colorscale": _BLUES,
        "xgap": 2,
        "ygap": 2,
        "hoverongaps": False,
        "showscale": not written,
        "colorbar": {"title": {"text": "points"}, "thickness": 10, "outlinewidth": 0},
    }
    height = 50 + (46 if written else 15) * len(matrix.rows)
    axes = {
        "xaxis": {"side": "top", "showgrid": False, "zeroline": False, "type": "category"},
        "yaxis": {
            "autorange": "reversed",
            "showgrid": False,
            "zeroline": False,
            "type": "category",
        },
    }
    return {"data": [trace], "layout": _layout(max(height, 140), **axes)}


def accuracy_curve(matrix: AccuracyMatrix, task: str) -> Figure:
    """Return one task's accuracy over the stages (0 is the base), with its 95 % band.

    A larger marker shows the version that learned the task.
    """
    cells = [row.cells.get(task) for row in matrix.rows]
    stages = list(range(len(cells)))
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": stages,
        "y": [cell.accuracy if cell else None for cell in cells],
        "customdata": [[_plain(row.version), _hover(row.cells.get(task))] for row in matrix.rows],
        "line": {"color": ACCENT, "width": 2},
        "marker": {"size": [11 if row.task == task else 5 for row in matrix.rows], "opacity": 1},
        "hovertemplate": "%{customdata[0]}: %{customdata[1]}<extra></extra>",
    }
    step = max(1, -(-len(cells) // _MAX_TICKS))
    axes = {
        "xaxis": {"range": [-0.3, len(cells) - 0.7], "dtick": step, "showgrid": False,
                  "zeroline": False},
        "yaxis": {"range": [-4, 104], "dtick": 50, "gridcolor": LINE, "zeroline": False},
    }  # fmt: skip
    bands = [_band(segment) for segment in _measured(cells)]
    return {"data": [*bands, line], "layout": _layout(130, **axes)}


def split_bars(splits: Sequence[TaskSplit]) -> Figure:
    """Return a bar per task: of 100 answers right when learned, those lost, divided."""
    tasks = _names([split.task for split in splits])
    parts = {
        "style (superficial)": (STYLE, [_part(it, it.superficial) for it in splits]),
        "knowledge (essential)": (KNOWLEDGE, [_part(it, it.essential) for it in splits]),
        "cannot be told": (UNTOLD, [round(_untold(it), 9) for it in splits]),
    }
    bars = [
        {
            "type": "bar", "orientation": "h", "name": name, "y": tasks, "x": values,
            "marker": {"color": colour}, "width": 0.6,
            "hovertext": [_split_hover(it) for it in splits],
            "hovertemplate": "%{y}: %{x:.0f} of 100, %{fullData.name}<br>%{hovertext}"
                             "<extra></extra>",
        }
        for name, (colour, values) in parts.items()
        if any(values)
    ]  # fmt: skip
    counts = {
        "type": "scatter", "mode": "text", "y": tasks, "x": [_lost(it) for it in splits],
        "text": [f" {it.lost} of {it.learned} lost" for it in splits],
        "textposition": "middle right", "textfont": {"color": QUIET},
        "hoverinfo": "skip", "cliponaxis": False,
    }  # fmt: skip
    axes = {
        "xaxis": {"range": [0, max([10.0, *map(_lost, splits)])], "gridcolor": LINE,
                  "zeroline": False, "title": {"text": "lost, of 100 answers right when learned"}},
        "yaxis": {"autorange": "reversed", "type": "category"},
        "barmode": "stack",
    }  # fmt: skip
    layout = _layout(70 + 36 * len(splits), **axes)
    layout["margin"] |= {"r": 110, "b": 44}
    return {"data": [*bars, counts], "layout": layout}


def _lost(split: TaskSplit) -> float:
    return 100 * split.lost / split.learned if split.learned else 0.0


def _part(split: TaskSplit, share: Share | None) -> float:
    return _lost(split) * share.percent / 100 if share else 0.0


def _untold(split: TaskSplit) -> float:
    return max(0.0, _lost(split) - _part(split, split.superficial) - _part(split, split.essential))


def _split_hover(split: TaskSplit) -> str:
    share = split.superficial
    if share is None:
        return f"cannot be told, n={split.probed}"
    return f"style {share.percent:.0f} % ({share.low:.0f} to {share.high:.0f}), n={split.probed}"


def _measured(cells: Sequence[Cell | None]) -> Iterator[list[tuple[int, Cell]]]:
    """Yield runs of stages that were measured without a hole."""
    for is_measured, run in groupby(enumerate(cells), lambda pair: pair[1] is not None):
        if is_measured:
            yield [(stage, cell) for stage, cell in run if cell is not None]


def _band(segment: Sequence[tuple[int, Cell]]) -> dict[str, Any]:
    stages: list[float] = [stage for stage, _ in segment]
    if len(stages) == 1:  # a band of no width would not show
        stages = [stages[0] - 0.08, stages[0] + 0.08]
        segment = [segment[0], segment[0]]
    intervals = [cell.interval for _, cell in segment]
    return {
        "type": "scatter",
        "x": [*stages, *reversed(stages)],
        "y": [*(it.high for it in intervals), *(it.low for it in reversed(intervals))],
        "mode": "lines",
        "fill": "toself",
        "fillcolor": _BAND,
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def _hover(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return f"{cell.accuracy:.1f} points ({bounds_of(cell.interval)}), n={cell.n}"


def _cell_text(cell: Cell | None) -> str:
    return f'{cell.accuracy:.1f}<br><span style="font-size:10px">n={cell.n}</span>' if cell else ""


def _names(names: Sequence[str]) -> list[str]:
    return [_plain(name) for name in names]


def _plain(text: str) -> str:
    """Return text that plotly's own small markup leaves as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _layout(height: int, **more: Any) -> dict[str, Any]:
    axes = {
        name: {"automargin": True, "ticks": "", **more.pop(name)} for name in ("xaxis", "yaxis")
    }
    return {
        "height": height,
        "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        "font": {"family": "system-ui, DejaVu Sans, sans-serif", "size": 12, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"bgcolor": "#fff", "bordercolor": QUIET},
        "showlegend": False,
        "dragmode": False,
        **axes,
        **more,
    }
