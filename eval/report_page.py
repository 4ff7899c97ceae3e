"""The report as one self-contained HTML page for screen and print. It loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from eval.compliance import RULES
from eval.findings import (
    OUTCOMES,
    bounds_of,
    change_in_words,
    change_since_parent,
    clear_change,
    count_of_change,
    findings,
    signed,
)
from eval.forgetting import TaskChange
from eval.intervals import Interval
from eval.plots import Figure, accuracy_curve, heatmap, split_bars
from eval.pooling import how_asked, pooled_superficial
from eval.probes import ProbeKind
from eval.report import ForgettingReport, flatten

TASKS_PER_TABLE = 6
MAX_SPLITS_BY_KIND = 12
"""With more tasks the page leaves the single kinds of probes to CSV, JSON and Markdown."""
_SCRIPT = re.compile(r"<script[^>]*>(.*?)</script>", re.DOTALL)
_NAMES = {
    "mft": "Just after learning (MFT)",
    "mfn": "Now (MFN)",
    "maa": "Along the way (MAA)",
    "bwt": "BWT, divided by T",
    "bwt_t_minus_1": "BWT, divided by T - 1",
    "forgetting_last": "Forgetting since learned",
    "forgetting_max": "Forgetting since best",
    "last": "Last",
    "forward_transfer": "Forward transfer",
    "transfer": "Transfer",
    "average": "Average",
}
_KINDS = {
    ProbeKind.LENIENT: "style forgiven",
    ProbeKind.FORCED: "answer space forced",
    ProbeKind.YES_NO: "as yes or no, both ways",
    ProbeKind.CHOICE: "as a choice, all orders",
}
_KEY_FIGURES = ("mfn", "mft", "bwt")
_DRAW = """
for (const [id, figure] of Object.entries(FIGURES)) {
  const place = document.getElementById(id);
  const scalable = () => {  // so that paper and other widths scale what was drawn
    for (const svg of place.querySelectorAll(".main-svg")) {
      const width = svg.getAttribute("width"), height = svg.getAttribute("height");
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.parentElement.style.aspectRatio = `${width} / ${height}`;
      svg.parentElement.style.maxWidth = `${width}px`;
    }
  };
  Plotly.newPlot(place, figure.data, figure.layout, {displayModeBar: false, responsive: true})
    .then(() => { scalable(); place.on("plotly_afterplot", scalable); });
}
"""


def report_html(report: ForgettingReport, images: Mapping[str, str] | None = None) -> str:
    """Return the report's page: what matters first, then figures and tables.

    All text from data sets and models is escaped, and the page carries a content security policy
    that runs its own scripts only and loads nothing.

    Args:
        report: what to show.
        images: `data:image/...` URLs by image digest, for the worst items; others are left out.
    """
    figures = _figures(report)
    page = (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            found=findings(report),
            pooled=pooled_superficial(report.splits),
            key_figures=sorted(
                (it for it in report.summaries if it.name in _KEY_FIGURES),
                key=lambda it: _KEY_FIGURES.index(it.name),
            ),
            names=_NAMES,
            rules=RULES,
            kinds=_KINDS,
            by_kind=len(report.splits) <= MAX_SPLITS_BY_KIND,
            images=images or {},
            training=flatten(report.training),
            widest=_widest(report.changes),
            task_groups=_groups(report.matrix.tasks),
            scripts=Markup(f"<script>{get_plotlyjs()}</script>\n{_drawing(figures)}"),
        )
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{content_security_policy(page)}">'
    return page.replace("<!--policy-->", meta, 1)


def content_security_policy(page: str) -> str:
    """Return the policy under which exactly the page's own inline scripts run, named by hash."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(page))
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("eval"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals |= {
        "signed": signed,
        "between": bounds_of,
        "in_words": change_in_words,
        "since_parent": change_since_parent,
        "clear": clear_change,
        "count": count_of_change,
        "how_asked": how_asked,
        "outcomes": OUTCOMES,
        "style": Markup(environment.get_template("report.css").render()),
    }
    return environment


def _figures(report: ForgettingReport) -> dict[str, Figure]:
    matrix = report.matrix
    figures = {
        f"curve-{at}": accuracy_curve(matrix, task) for at, task in enumerate(matrix.tasks)
    } | {"heatmap": heatmap(matrix)}
    return figures | ({"split-figure": split_bars(report.splits)} if report.splits else {})


def _drawing(figures: Mapping[str, Figure]) -> str:
    text = json.dumps(figures, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":  # nothing in it can close the script
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f"<script>const FIGURES = {text};{_DRAW}</script>"


def _widest(changes: Sequence[TaskChange]) -> float:
    """Return the largest change or bound, in points: the half width of the changes' scale."""
    ends: list[float] = [1.0]
    for change in changes:
        for points, bounds in (
            (change_since_parent(change), change.since_parent_interval),
            (change.since_learned, change.since_learned_interval),
        ):
            ends += [abs(points or 0.0), *_ends(bounds)]
    return max(ends)


def _ends(bounds: Interval | None) -> list[float]:
    return [abs(bounds.low), abs(bounds.high)] if bounds else []


def _groups(tasks: Sequence[str]) -> list[Sequence[str]]:
    return [tasks[at : at + TASKS_PER_TABLE] for at in range(0, len(tasks), TASKS_PER_TABLE)]
