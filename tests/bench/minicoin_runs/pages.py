"""The table as Markdown and as a plot, and the list of settings behind it."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go  # type: ignore[import-untyped]

from tests.bench.minicoin_runs.plan import MULTITASK, SETTLED_ON, Plan
from tests.bench.minicoin_runs.table import SUMMARIES, Row, Table

_COLOURS = {"mfn": "#1f6f8b", "bwt": "#c2703d"}


def markdown(table: Table, plan: Plan) -> str:
    """Return the table as SEFE prints it, with intervals, differences and settings."""
    parts = [_figures(table), _notes(table), _differences(table), _settings(plan)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(table: Table) -> str:
    heads = ["run", *table.tasks, *(it.upper() for it in SUMMARIES), "seeds"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in table.rows.values():
        cells = [row.name, *(f"{row.per_task[task]:.1f}" for task in table.tasks)]
        cells += [_summary(row, name) for name in SUMMARIES]
        lines.append("| " + " | ".join([*cells, ", ".join(map(str, row.seeds))]) + " |")
    return "\n".join(lines)


def _summary(row: Row, name: str) -> str:
    if row.name == MULTITASK and name != "mfn":
        return ""  # it has one stage: nothing could be forgotten
    low, high = row.interval(name)
    return f"{row.summaries[name]:.2f} [{low:.1f}, {high:.1f}]"


def _notes(table: Table) -> str:
    return (
        f"Final accuracy per task and summaries in points, n = {table.items_per_task} items per "
        "task and seed; BWT divided by the number of tasks. Brackets: 95 % bootstrap intervals "
        "over items (and seeds where there are several); one seed's say nothing of other seeds."
    )


def _differences(table: Table) -> str:
    found = table.as_json()["differences"]
    if not found:
        return ""
    lines = ["| difference | MFN | BWT |", "|---|---|---|"]
    for name, it in found.items():
        cells = (f"{it[key][0]:+.2f} [{it[key][1]:+.1f}, {it[key][2]:+.1f}]" for key in _COLOURS)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _settings(plan: Plan) -> str:
    budget = plan.budget
    lines = [
        f"Per task and method: {budget.num_train} rows, {budget.epochs:g} epochs, "
        f"{budget.rows_per_step} rows a step, warm-up {budget.warmup_fraction:.0%}, AdamW, cosine; "
        f"ASD rewrites {budget.asd_percent:g} %. Rates and coefficients settled on: {SETTLED_ON}.",
        "",
        "| method | learning rate | config |",
        "|---|---|---|",
    ]
    for name, setting in plan.settings.items():
        config = ", ".join(f"{key} {value:g}" for key, value in setting.config.items())
        lines.append(f"| {name} | {setting.learning_rate:g} | {config or 'defaults'} |")
    return "\n".join(lines)


def plot(table: Table, path: Path) -> None:
    """Write MFN and BWT of every run, with intervals, as one page that loads nothing."""
    names = list(table.rows)
    figure = go.Figure()
    for key, colour in _COLOURS.items():
        values = [table.rows[name].summaries[key] for name in names]
        bounds = [table.rows[name].interval(key) for name in names]
        figure.add_bar(
            x=names, y=values, name=key.upper(), marker_color=colour,
            error_y={
                "type": "data", "symmetric": False, "color": "#5d6b79",
                "array": [high - it for it, (_, high) in zip(values, bounds, strict=True)],
                "arrayminus": [it - low for it, (low, _) in zip(values, bounds, strict=True)],
            },
        )  # fmt: skip
    figure.update_layout(barmode="group", template="plotly_white", yaxis_title="points")
    figure.write_html(path, include_plotlyjs=True, config={"displayModeBar": False})
