"""Driving the runs of a plan: one launch per run, several at a time, what is finished skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tests.bench.minicoin_runs.cells import Cells
from tests.bench.minicoin_runs.plan import Plan, Run, steps_of

ROOT = Path(__file__).resolve().parents[3]
POLL_SECONDS = 1.0
_QUIET = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TORCHDYNAMO_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONPATH": str(ROOT),
}


class RunFailed(SystemExit):
    """A run ended before its last stage; what is finished stays."""


def drive(cells: Cells, console: Console, threads: int, jobs: int = 1) -> None:
    """Run whatever the plan's cells lack, `jobs` runs at a time with `threads` threads each."""
    watch = Watch(cells, console)
    waiting = deque(run for run in cells.plan.runs() if not cells.complete(run))
    active: list[Launch] = []
    with watch.progress:
        try:
            while waiting or active:
                while waiting and len(active) < jobs:
                    active.append(Launch(cells, waiting.popleft(), threads))
                time.sleep(POLL_SECONDS)
                watch.look([launch.run for launch in active])
                active = [launch for launch in active if not launch.ended()]
        finally:
            for launch in active:
                launch.end()


def command_of(root: Path, plan: Plan, run: Run) -> list[str]:
    """Return the command that walks a run: all its ranks, its whole sequence."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    worker = ["-m", "tests.bench.minicoin_runs.sequence", str(root), run.model_dump_json()]
    return [sys.executable, *launcher, f"--nproc-per-node={plan.ranks}", *worker]


class Launch:
    """A run's processes at work; what they print goes to the run's log."""

    def __init__(self, cells: Cells, run: Run, threads: int) -> None:
        """Start them."""
        self.run, self._cells = run, cells
        self._log = cells.root / "work" / run.folder / "run.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **_QUIET, "OMP_NUM_THREADS": str(threads)}
        with self._log.open("ab") as file:
            self._process = subprocess.Popen(
                command_of(cells.root.resolve(), cells.plan, run),
                cwd=ROOT, env=environment, stdout=file, stderr=file,
            )  # fmt: skip

    def ended(self) -> bool:
        """Tell whether the run is over; raises RunFailed when it ended before its last stage."""
        if self._process.poll() is None:
            return False
        if not self._cells.complete(self.run):
            tail = self._log.read_text(errors="replace")[-3000:]
            code = self._process.returncode
            raise RunFailed(f"{tail}\n{self.run.folder} ended with {code}: see {self._log}")
        return True

    def end(self) -> None:
        """Stop the processes: what is finished stays, a broken-off stage is resumed."""
        self._process.terminate()
        self._process.wait()


class Watch:
    """The bar over all steps of a plan, and a line for each cell as it comes."""

    def __init__(self, cells: Cells, console: Console) -> None:
        self._cells, self._console = cells, console
        self._told: set[tuple[str, int]] = set()
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TimeRemainingColumn(), console=console,
            disable=not console.is_terminal,
        )  # fmt: skip
        plan = cells.plan
        total = sum(self._steps(run, len(plan.stages(run))) for run in plan.runs())
        self._bar: TaskID = self.progress.add_task("steps", total=total)
        for run in plan.runs():
            self._told |= {(run.folder, at) for at in range(cells.finished(run))}
        if self._told:
            console.print(f"{len(self._told)} cells are there already")

    def look(self, runs: Sequence[Run]) -> None:
        """Bring the bar up to date and tell of new cells; `runs` are at work."""
        plan, cells = self._cells.plan, self._cells
        done = sum(self._steps(it, cells.finished(it)) for it in plan.runs())
        for run in runs:
            stage = cells.finished(run)
            if stage < len(plan.stages(run)):
                done += last_step(cells.work(run, stage) / "events.jsonl")
            for at in range(stage):
                if (run.folder, at) not in self._told:
                    self._told.add((run.folder, at))
                    self._tell(run, at)
        names = ", ".join(run.folder for run in runs)
        self.progress.update(self._bar, completed=done, description=names)

    def _steps(self, run: Run, stages: int) -> int:
        return sum(steps_of(self._cells.plan, run, at) for at in range(stages))

    def _tell(self, run: Run, stage: int) -> None:
        cell = self._cells.read(run, stage)
        assert cell is not None
        scores = " ".join(f"{name} {it.cell.accuracy:.1f}" for name, it in cell.scores.items())
        took = f"{cell.train_seconds:.0f} s + {cell.eval_seconds:.0f} s"
        self._console.print(f"{run.folder} after {cell.task}: {scores} ({took})", highlight=False)


def last_step(events: Path) -> int:
    """Return the newest step that an attempt's events tell of, 0 without any."""
    try:
        lines = events.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except ValueError:  # torn, as it is being written
            continue
        if event.get("kind") == "step":
            return int(event["step"])
    return 0
