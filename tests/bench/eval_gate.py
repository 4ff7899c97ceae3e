"""How often the gate is wrong, on histories whose truth is known, and how much it asks.

`python -m tests.bench.eval_gate` prints the figures, `tests.bench.eval_gate_tables` the tables of
`docs/gate.md`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from eval.gate import GatePolicy, GateVerdict, TaskEvidence, judge

HISTORIES = 2000
FIRST = 200
SPLIT = 6000
POLICY = GatePolicy(max_drop_per_task=4, max_mean_drop=4)
HARDEST = -0.01, 0.25
"""The change and discordance that are hardest to let pass, of those that should."""

Scores = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Task:
    """The truth about one old task.

    `change` is the mean change of all questions there could be, a fraction; `discordance` the share
    of questions whose score changes; with `soft` they change by a third, two thirds or all.
    """

    change: float
    discordance: float
    soft: bool = False

    def draw(self, rng: np.random.Generator, n: int) -> Scores:
        """Return n scores before and after."""
        sizes = np.array([1, 2, 3]) / 3 if self.soft else np.ones(1)
        fall = (self.discordance - self.change / sizes.mean()) / 2
        kind = rng.random(n)
        size = rng.choice(sizes, n) if self.soft else 1.0
        lost, gained = kind < fall, (kind >= fall) & (kind < self.discordance)
        return lost * size, gained * size


def walk(
    history: Sequence[Scores], policy: GatePolicy, first: int = FIRST
) -> tuple[GateVerdict, int]:
    """Judge, draw what is wanted, judge again; return the verdict and the items drawn in all."""
    sizes = {f"t{at}": min(first, len(before)) for at, (before, _) in enumerate(history)}
    while True:
        evidence = {
            task: TaskEvidence(before[:n], after[:n], len(before) - n)
            for (task, n), (before, after) in zip(sizes.items(), history, strict=True)
        }
        verdict = judge(evidence, policy, version="s@2", parent="s@1", first=first)
        if verdict.outcome != "need_more_samples":
            return verdict, sum(sizes.values())
        sizes |= verdict.wanted


def harmless(rng: np.random.Generator) -> list[Task]:
    """Return a history that should pass: 2 to 6 tasks, each at -1 point (half of them) or better,
    where 2 to 25 % of the items change and a third of the tasks have soft scores."""
    return [
        _task(rng, rng.uniform(-0.01, 0.01) if rng.random() < 0.5 else -0.01) for _ in _some(rng)
    ]


def harmful(rng: np.random.Generator) -> list[Task]:
    """Return a history that should not: one task lost 8 points (half of the time) to 20."""
    tasks = harmless(rng)
    lost = rng.uniform(-0.20, -0.08) if rng.random() < 0.5 else -0.08
    tasks[int(rng.integers(len(tasks)))] = _task(rng, lost)
    return tasks


def _some(rng: np.random.Generator) -> range:
    return range(int(rng.integers(2, 7)))


def _task(rng: np.random.Generator, change: float) -> Task:
    soft = bool(rng.random() < 1 / 3)
    least = abs(change) * (1.5 if soft else 1.0)
    return Task(change, max(rng.uniform(0.02, 0.25), least), soft)


def verdicts(
    tasks: Sequence[Task], policy: GatePolicy, histories: int, seed: int, split: int = SPLIT
) -> list[tuple[GateVerdict, int]]:
    """Return verdict and items drawn of histories that share one truth."""
    rng = np.random.default_rng(seed)
    return [walk([it.draw(rng, split) for it in tasks], policy) for _ in range(histories)]


def simulate(
    histories: int = HISTORIES, seed: int = 0, policy: GatePolicy = POLICY
) -> dict[str, float]:
    """Return how often the gate is wrong, in percent, and the mean of items drawn per old task.

    `gate_false_pass_pct` of the harmful histories passed; `gate_false_block_pct` of the harmless
    ones were blocked, undecided included. There are `histories` of either kind.
    """
    harmed, harmed_items = _outcomes(harmful, histories, seed, policy)
    spared, spared_items = _outcomes(harmless, histories, seed + 1, policy)
    return {
        "gate_false_pass_pct": round(100 * harmed.count("pass") / histories, 2),
        "gate_false_block_pct": round(100 * spared.count("block") / histories, 2),
        "gate_items_harmful": round(harmed_items, 1),
        "gate_items_harmless": round(spared_items, 1),
    }


def _outcomes(
    make: Callable[[np.random.Generator], list[Task]],
    histories: int,
    seed: int,
    policy: GatePolicy,
) -> tuple[list[str], float]:
    rng = np.random.default_rng(seed)
    outcomes, items, num_tasks = [], 0, 0
    for _ in range(histories):
        tasks = make(rng)
        verdict, drawn = walk([task.draw(rng, SPLIT) for task in tasks], policy)
        outcomes.append(verdict.outcome)
        items, num_tasks = items + drawn, num_tasks + len(tasks)
    return outcomes, items / num_tasks


def main() -> int:
    """Print the figures."""
    sys.stdout.write(json.dumps(simulate()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
