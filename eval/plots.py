"""Figures and the self-contained HTML report. Nothing in them is loaded over a network."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]
from jinja2 import Environment
from markupsafe import Markup

from eval.matrix import AccuracyMatrix, Cell
from eval.report import NO_ANSWERS, NOT_JUDGED, ForgettingReport, flatten
from eval.report_page import PAGE, STYLE

_INK, _QUIET, _LINE = "#1d2733", "#5d6b79", "#dfe5ea"
_BLUES = [[0.0, "#f4f8fa"], [0.5, "#b5d5e0"], [1.0, "#62a8c0"]]
_LINES = ["#1f6f8b", "#c2703d", "#5b8c5a", "#8f5b8c", "#b3372f", "#6b7a8f", "#a08a2c", "#3f5f9e"]
_MAX_WRITTEN_CELLS = 150
_OUTCOMES = {"pass": "passed", "block": "blocked", "need_more_samples": "needs more samples"}
_NAMES = {
    "mft": "MFT",
    "mfn": "MFN",
    "maa": "MAA",
    "bwt": "BWT (divisor T)",
    "bwt_t_minus_1": "BWT (divisor T - 1)",
    "forgetting_last": "Forgetting since learned",
    "forgetting_max": "Forgetting since best",
    "last": "Last",
    "forward_transfer": "Forward transfer",
    "transfer": "Transfer",
    "average": "Average",
}
_SCRIPT = re.compile(r"<script[^>]*>(.*?)</script>", re.DOTALL)


def heatmap(matrix: AccuracyMatrix, include_plotlyjs: bool = False) -> str:
    """Return the matrix as an HTML fragment: a row per version, base on top, points 0 to 100.

    Args:
        matrix: holes stay blank.
        include_plotlyjs: True puts plotly's script (about 4 MB) in, once per page; False expects
            it on the page already.
    """
    cells = [[row.cells.get(task) for task in matrix.tasks] for row in matrix.rows]
    written = len(matrix.rows) * len(matrix.tasks) <= _MAX_WRITTEN_CELLS
    trace = go.Heatmap(
        z=[[cell.accuracy if cell else None for cell in row] for row in cells],
        x=[_plain(task) for task in matrix.tasks],
        y=[_plain(row.version) for row in matrix.rows],
        customdata=[[cell.n if cell else 0 for cell in row] for row in cells],
        text=[[_cell_text(cell) for cell in row] for row in cells],
        texttemplate="%{text}" if written else None,
        textfont={"color": _INK, "size": 13},
        hovertemplate="%{y} on %{x}: %{z:.1f} points, n=%{customdata}<extra></extra>",
        zmin=0,
        zmax=100,
        colorscale=_BLUES,
        xgap=2,
        ygap=2,
        hoverongaps=False,
        colorbar={"title": {"text": "points"}, "thickness": 10, "outlinewidth": 0},
    )
    figure = go.Figure(trace)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(side="top", showgrid=False)
    rows = len(matrix.rows)
    return _fragment(figure, min(90 + 46 * rows, 900), include_plotlyjs)


def accuracy_curves(matrix: AccuracyMatrix, include_plotlyjs: bool = False) -> str:
    """Return each task's accuracy over the versions as an HTML fragment.

    A larger marker shows the version that learned the task. `include_plotlyjs` as in `heatmap`.
    """
    figure = go.Figure()
    for index, task in enumerate(matrix.tasks):
        cells = [row.cells.get(task) for row in matrix.rows]
        colour = _LINES[index % len(_LINES)]
        figure.add_scatter(
            x=[_plain(row.version) for row in matrix.rows],
            y=[cell.accuracy if cell else None for cell in cells],
            customdata=[cell.n if cell else 0 for cell in cells],
            name=_plain(task),
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={
                "size": [13 if row.task == task else 6 for row in matrix.rows],
                "opacity": 1.0,
                "line": {"width": 0},
            },
            hovertemplate="%{x}: %{y:.1f} points, n=%{customdata}",
        )
    figure.update_yaxes(range=[-3, 103], title={"text": "points"}, gridcolor=_LINE, zeroline=False)
    figure.update_xaxes(type="category", showgrid=False)
    return _fragment(figure, 340, include_plotlyjs)


def report_html(report: ForgettingReport, images: Mapping[str, str] | None = None) -> str:
    """Return the report as one self-contained page for screen and print.

    All text from data sets and models is escaped, and the page carries a content security policy
    that runs its own scripts only and loads nothing.

    Args:
        report: what to show.
        images: `data:image/...` URLs by image digest, for the worst items; others are left out.
    """
    environment = Environment(autoescape=True, trim_blocks=True)
    page = environment.from_string(PAGE).render(
        report=report,
        images=images or {},
        style=Markup(STYLE),
        names=_NAMES,
        outcomes=_OUTCOMES,
        not_judged=NOT_JUDGED,
        no_answers=NO_ANSWERS,
        training=flatten(report.training),
        heatmap=Markup(heatmap(report.matrix, include_plotlyjs=True)),
        curves=Markup(accuracy_curves(report.matrix)),
    )
    policy = content_security_policy(page)
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return page.replace("<!--policy-->", meta, 1)


def content_security_policy(page: str) -> str:
    """Return the policy under which exactly the page's own inline scripts run, named by hash."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(page))
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _cell_text(cell: Cell | None) -> str:
    return f"{cell.accuracy:.1f}" if cell else ""


def _plain(text: str) -> str:
    """Return text that plotly's own small markup leaves as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fragment(figure: Any, height: int, include_plotlyjs: bool) -> str:
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        font={"family": "system-ui, DejaVu Sans, sans-serif", "size": 12, "color": _INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        colorway=_LINES,
        hoverlabel={"bgcolor": "#fff", "bordercolor": _QUIET},
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return str(
        figure.to_html(
            full_html=False,
            include_plotlyjs=include_plotlyjs,
            config={"displayModeBar": False, "responsive": True},
        )
    )
