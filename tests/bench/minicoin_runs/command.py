"""The command of both forms: run what is missing, write the table, print it as JSON."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from eval.minicoin.tasks import TASKS
from tests.bench.minicoin_runs.cells import Cells
from tests.bench.minicoin_runs.driving import drive
from tests.bench.minicoin_runs.pages import markdown, plot
from tests.bench.minicoin_runs.plan import (
    EXTRA,
    FORMS,
    SETTINGS,
    TABLE,
    Form,
    Plan,
    estimated_seconds,
)
from tests.bench.minicoin_runs.table import make_table

RESULTS = Path(".bench")
CORES = min(os.cpu_count() or 1, 8)


def main(form: Form, arguments: Sequence[str] | None = None) -> int:
    """Run a form's plan, as far as the command line leaves it."""
    args, console = _parser(form).parse_args(arguments), Console(stderr=True)
    plan = _plan(FORMS[form], args)
    cells = Cells(args.out, plan)
    console.print(
        f"{len(plan.runs())} runs over {len(plan.tasks)} tasks into {args.out}: about "
        f"{estimated_seconds(plan, args.jobs) / 60:.0f} minutes where {args.jobs} cores are quiet; "
        "break off and start again at will"
    )
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end the runs, as Ctrl-C does
    try:
        drive(cells, console, args.threads, args.jobs)
    finally:
        signal.signal(signal.SIGTERM, before)
    sys.stdout.write(json.dumps(write_table(cells)) + "\n")
    return 0


def write_table(cells: Cells) -> dict[str, Any]:
    """Write `table.json`, `table.md` and `table.html` beside the cells; return the JSON."""
    table = make_table(cells)
    figures = table.as_json()
    (cells.root / "table.json").write_text(json.dumps(figures, indent=1) + "\n")
    (cells.root / "table.md").write_text(markdown(table, cells.plan))
    plot(table, cells.root / "table.html")
    return figures


def plan_of(form: Form, arguments: Sequence[str]) -> Plan:
    """Return a form's plan with the changes that a command line asks for."""
    return _plan(FORMS[form], _parser(form).parse_args(arguments))


def _plan(plan: Plan, args: argparse.Namespace) -> Plan:
    settings = dict(plan.settings)
    for name, rate in args.rate:
        settings[name] = settings[name].model_copy(update={"learning_rate": rate})
    changes = {
        "settings": settings,
        "seeds": tuple(args.seeds),
        "methods": tuple(args.methods),
        "without_twin": tuple(args.without_asd),
        "tasks": tuple(task for task in TASKS if task in args.tasks),  # in CoIN's order
        "ranks": args.ranks,
    }
    return plan.model_copy(update=changes)


def _rate(text: str) -> tuple[str, float]:
    name, _, rate = text.partition("=")
    if name not in SETTINGS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SETTINGS)}")
    return name, float(rate)


def _parser(form: Form) -> argparse.ArgumentParser:
    plan = FORMS[form]
    methods = list(plan.methods) if form == "tuning" else [*TABLE, *EXTRA]
    name = "minicoin" if form == "quick" else f"minicoin-{form}"
    parser = argparse.ArgumentParser(prog=f"make bench-{name}", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / name, help="cells and table")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(plan.seeds))
    parser.add_argument("--methods", nargs="+", choices=methods, default=list(plan.methods))
    parser.add_argument(
        "--without-asd",
        nargs="+",
        choices=methods,
        default=list(plan.without_twin),
        help="methods that run without ASD only",
    )
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(plan.tasks))
    parser.add_argument(
        "--rate", type=_rate, nargs="+", default=[], help="other learning rates, e.g. full=1e-3"
    )
    parser.add_argument("--ranks", type=int, default=plan.ranks)
    parser.add_argument("--jobs", type=int, default=CORES, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="per rank")
    return parser
