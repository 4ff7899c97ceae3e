"""`make bench-asd`: rules on 200,000 rows, and a model's calls kept in flight.

Each measurement is a process of its own. The rate is rows per second of that process's CPU time,
so that other work on the machine counts less: once as a job rewrites (validated samples read
twice, rewritten, written), and twice as `retain rewrite` does (LLaVA rows as they lie on disk):
with a card, and without one, where the rows are read once more to make it.
Memory is the peak resident size, also where each of the 200,000 answers is another one.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from asd_rewriter import rewrite_dataset
from asd_rewriter.cards import TaskCard
from asd_rewriter.mix import RewriteStream
from asd_rewriter.plan import RewritePlan
from asd_rewriter.report import RewriteReport
from asd_rewriter.samples import Sample, SampleFile, write_samples
from asd_rewriter.sources.opening import open_source
from asd_rewriter.sources.samples import SourceSamples
from tests.bench.asd_llm import measure_overhead
from tests.bench.asd_material import write

ROWS = 200_000
PLAN = RewritePlan(x_percent=20)
CARD = TaskCard.model_validate(
    {"name": "synthetic", "answer_format": "short_answer", "metric": "exact_match"}
)
console = Console(stderr=True)


def main() -> int:
    """Measure everything and print the figures."""
    with tempfile.TemporaryDirectory(prefix="retain-bench-") as name:
        folder = Path(name)
        usual, titles = _material(folder, "usual"), _material(folder, "distinct")
        job = _measured("job", usual)
        peaks = [job["peak_mb"], _measured("job", titles)["peak_mb"]]
        alone = _measured("alone", usual.with_suffix(".rows.json"))
        no_card = _measured("no-card", usual.with_suffix(".rows.json"))
        peaks += [alone["peak_mb"], no_card["peak_mb"]]
        peaks += [_measured("alone", titles.with_suffix(".rows.json"))["peak_mb"]]
    report = job["report"]
    model = measure_overhead()
    console.print(f"model calls: {model}")
    figures = {
        "rows_per_s_core": round(ROWS / job["cpu_s"]),
        "rows_per_s_core_standalone": round(ROWS / alone["cpu_s"]),
        "rows_per_s_core_no_card": round(ROWS / no_card["cpu_s"]),
        "peak_mem_mb": max(peaks),
        "rejected_pct": round(100 * sum(report["rejects"].values()) / report["requested"], 2),
        "fallback_pct": round(
            100 * report["fallback_wordings"] / report["converted_by_format"]["yes_no"], 2
        ),
        "second_run_calls": model["second_run_calls"],
        "llm_overhead_pct": model["llm_overhead_pct"],
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def _material(folder: Path, kind: str) -> Path:
    """Write a set as LLaVA rows and as the samples that validation makes of them."""
    samples = folder / f"{kind}.jsonl"
    rows = samples.with_suffix(".rows.json")
    write(rows, ROWS, distinct=kind == "distinct")
    found = SourceSamples(open_source(rows), CARD)
    plain = (Sample(id=it.id, images=it.images, turns=it.turns) for it in found)
    write_samples(samples, plain)
    return samples


def _measured(way: str, source: Path) -> dict[str, Any]:
    """Return a run's figures: CPU seconds, peak MB and the report."""
    command = [sys.executable, "-m", "tests.bench.asd", way, str(source)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    shown = {name: value for name, value in figures.items() if name != "report"}
    console.print(f"{ROWS:,} rows, {way}, {source.name}: {shown}")
    return figures


def run(way: str, source: Path) -> int:
    """Rewrite one set and print what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    out = source.with_name(f"{source.name}.{way}")
    if way == "job":
        report = _as_a_job(source, out)
    else:
        report = rewrite_dataset(source, out, CARD if way == "alone" else None, PLAN.x_percent)
    figures = {
        "cpu_s": round(time.process_time() - cpu, 2),
        "wall_s": round(time.perf_counter() - wall, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "report": report.model_dump(mode="json", include=set(RewriteReport.model_fields)),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def _as_a_job(source: Path, out: Path) -> RewriteReport:
    stream = RewriteStream(SampleFile(source), CARD, PLAN)
    write_samples(out, (it.sample for it in stream))
    return stream.report


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1], Path(sys.argv[2])) if len(sys.argv) > 1 else main())
