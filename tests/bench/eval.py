"""`make bench-eval`: scoring, the runner, the report, and what gate and split get wrong."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable

from rich.console import Console

from tests.bench.eval_gate import simulate
from tests.bench.eval_report import report_seconds
from tests.bench.eval_runner import runner_efficiency_pct
from tests.bench.eval_scoring import answers_per_s_core
from tests.bench.eval_split import split_assigned_right_pct
from tests.bench.eval_tables import largest_error

console = Console(stderr=True)


def main() -> int:
    """Measure everything one after the other and print the figures."""
    figures = {
        "answers_per_s_core": _told("scoring", lambda: statistics.median(
            answers_per_s_core(seed) for seed in range(3)
        )),
        "report_s": _told("a report of 50 tasks x 50 versions", report_seconds),
        "published_tables_max_abs_err": _told("published tables", largest_error),
        "split_assigned_right_pct": _told("the split", split_assigned_right_pct),
        "runner_efficiency_pct": _told("the runner, real vLLM", runner_efficiency_pct),
    }  # fmt: skip
    console.print("the gate, 4,000 histories")
    gate = simulate()
    figures |= {
        "gate_false_pass_pct": gate["gate_false_pass_pct"],
        "gate_false_block_pct": gate["gate_false_block_pct"],
    }
    sys.stdout.write(json.dumps({name: round(it, 4) for name, it in figures.items()}) + "\n")
    return 0


def _told(what: str, measure: Callable[[], float]) -> float:
    figure = measure()
    console.print(f"{what}: {figure:,.3f}")
    return figure


if __name__ == "__main__":
    sys.exit(main())
