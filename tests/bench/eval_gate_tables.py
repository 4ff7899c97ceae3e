"""The tables of `docs/gate.md`: items drawn, errors at the limit, small splits, other tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from statistics import NormalDist

import numpy as np

from eval.gate import GatePolicy, GateVerdict
from eval.sequential import error_at, looks, lower_bounds
from tests.bench.eval_gate import FIRST, POLICY, Task, verdicts

BUDGET = GatePolicy().max_samples
VALUES = np.array([0.0, 0.5, 1.0])  # lost, unchanged, gained, on the scale of `lower_bounds`
DISCORDANCES = (0.02, 0.05, 0.10, 0.15, 0.20, 0.25)

Found = Sequence[tuple[GateVerdict, int]]
Passes = Callable[[np.ndarray, float], np.ndarray]


def main() -> int:
    """Print all tables as Markdown."""
    for title, rows in (
        (
            "| items change | soft | true change | pass % | blocked % | undecided % | items/task |",
            by_discordance(),
        ),
        ("| items change | soft | pass % | blocked % | undecided % |", at_the_limit()),
        (
            "| allowance | items change | true change | pass % | blocked % | undecided % |",
            small_splits(),
        ),
        ("| test | hardest passes % | items | passes at the limit % | of 50 first |", rivals()),
    ):
        sys.stdout.write(f"{title}\n|{'---|' * (title.count('|') - 1)}\n")
        sys.stdout.writelines(f"| {' | '.join(row)} |\n" for row in rows)
    return 0


def by_discordance() -> Iterable[list[str]]:
    """Four old tasks that all changed alike."""
    for soft in (False, True):
        for discordance in DISCORDANCES:
            for change in (0.0, -0.01):
                found = verdicts([Task(change, discordance, soft)] * 4, POLICY, 500, 11)
                items = np.mean([drawn for _, drawn in found]) / 4
                head = [f"{discordance:.0%}", "yes" if soft else "no", f"{100 * change:+.0f}"]
                yield [*head, *_shares(found), f"{items:.0f}"]


def at_the_limit() -> Iterable[list[str]]:
    """One task that truly changed by the limit: to pass or to be clearly blocked is wrong."""
    for soft in (False, True):
        for discordance in (0.06, 0.15, 0.25):
            found = verdicts([Task(-0.04, discordance, soft)], POLICY, 2000, 12)
            yield [f"{discordance:.0%}", "yes" if soft else "no", *_shares(found)]


def small_splits() -> Iterable[list[str]]:
    """One task with a split of 200 items."""
    for allowance in (5.0, 10.0, 20.0):
        policy = GatePolicy(max_drop_per_task=allowance, max_mean_drop=allowance)
        for discordance, change in _small():
            found = verdicts([Task(change, discordance)], policy, 1000, 13, split=FIRST)
            head = [f"{allowance:.0f}", f"{discordance:.0%}", f"{100 * change:+.0f}"]
            yield [*head, *_shares(found)]


def _small() -> list[tuple[float, float]]:
    return [
        (0.0, 0.0),
        (0.02, 0.0),
        (0.05, 0.0),
        (0.10, 0.0),
        (0.25, 0.0),
        (0.25, -0.10),
        (0.3, -0.23),
    ]


def _shares(found: Found) -> list[str]:
    passed = sum(verdict.outcome == "pass" for verdict, _ in found)
    clear = sum(
        any(check.outcome == "block" and not check.undecided for check in verdict.checks)
        for verdict, _ in found
    )
    counts = (passed, clear, len(found) - passed - clear)
    return [f"{100 * count / len(found):.1f}" for count in counts]


def rivals() -> Iterable[list[str]]:
    """The pass side of one task by three tests, over the same looks and budget."""
    for name, passes, spends in (
        ("likelihood ratio, one item added (in use)", _likelihood, True),
        ("betting, mixture of 40 stakes", _betting, False),
        ("normal, spent alike", _normal, True),
    ):
        power, items = _walk(passes, spends, FIRST, -0.01, 0.25, 13)
        at_limit, _ = _walk(passes, spends, FIRST, -0.04, 0.0401, 14)
        early, _ = _walk(passes, spends, 50, -0.04, 0.0401, 15)
        yield [
            name,
            f"{100 * power:.1f}",
            f"{items:.0f}",
            f"{100 * at_limit:.1f}",
            f"{100 * early:.1f}",
        ]


def _walk(
    passes: Passes, spends: bool, first: int, change: float, discordance: float, seed: int
) -> tuple[float, float]:
    """Return how many of 10,000 tasks pass, and the mean items until then or until the budget."""
    rng = np.random.default_rng(seed)
    shares = [(discordance - change) / 2, 1 - discordance, (discordance + change) / 2]
    sizes = looks(first, BUDGET)
    counts, used, before = np.zeros((10_000, 3)), np.full(10_000, BUDGET), 0
    passed = np.zeros(10_000, dtype=bool)
    for n in sizes:
        counts = counts + rng.multinomial(n - before, shares, size=len(counts))
        alpha = error_at(0.05, n, sizes) if spends else 0.05
        new = ~passed & passes(counts, alpha)
        used[new], passed, before = n, passed | new, n
    return float(passed.mean()), float(used.mean())


def _likelihood(counts: np.ndarray, alpha: float) -> np.ndarray:
    bounds = 2 * lower_bounds(VALUES, counts, np.full(len(counts), alpha)) - 1
    return bounds >= -POLICY.max_drop_per_task / 100


def _normal(counts: np.ndarray, alpha: float) -> np.ndarray:
    shares = counts / counts.sum(-1, keepdims=True)
    mean = shares[:, 2] - shares[:, 0]
    spread = np.sqrt((shares[:, 2] + shares[:, 0] - mean**2) / counts.sum(-1))
    return mean - NormalDist().inv_cdf(1 - alpha) * spread >= -POLICY.max_drop_per_task / 100


def _betting(counts: np.ndarray, alpha: float) -> np.ndarray:
    """Wealth of stakes against "the mean is at the limit" (Waudby-Smith and Ramdas, JRSS B 2024):
    valid at any time without a plan of looks, as wealth rarely grows 1 / alpha fold."""
    stakes, limit = np.geomspace(0.005, 0.95, 40), (1 - POLICY.max_drop_per_task / 100) / 2
    logs = counts @ np.log(1 + stakes * (VALUES / limit - 1)[:, None])
    wealth = np.log(np.exp(logs - logs.max(-1, keepdims=True)).mean(-1)) + logs.max(-1)
    return wealth >= np.log(1 / alpha)


if __name__ == "__main__":
    raise SystemExit(main())
