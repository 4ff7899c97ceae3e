"""The gate on histories whose truth is known: a small part of `tests.bench.eval_gate`."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from eval.gate import GatePolicy
from tests.bench.eval_gate import HARDEST, POLICY, Task, simulate, verdicts


def share(found, outcome):
    return float(np.mean([verdict.outcome == outcome for verdict, _ in found]))


def test_harmful_versions_do_not_pass_and_harmless_ones_are_not_blocked():
    figures = simulate(histories=60, seed=1)

    assert figures["gate_false_pass_pct"] <= 5
    assert figures["gate_false_block_pct"] <= 10
    assert 200 <= figures["gate_items_harmful"] < figures["gate_items_harmless"] < 2500


def test_the_hardest_versions_that_should_pass_do():
    found = verdicts([Task(*HARDEST)] * 4, POLICY, histories=60, seed=2)

    assert share(found, "pass") >= 0.9


@pytest.mark.parametrize("task", [Task(-0.04, 0.06), Task(-0.04, 0.15, soft=True)])
def test_a_task_at_the_limit_passes_no_more_often_than_the_policy_says(task):
    policy = GatePolicy(max_drop_per_task=4, max_mean_drop=100, max_samples=1600)
    histories = 250
    found = verdicts([task], policy, histories, seed=3)

    noise = 3 * sqrt(0.05 * 0.95 / histories)
    assert share(found, "pass") <= 0.05 + noise
    clear = [v for v, _ in found if any(c.outcome == "block" and not c.undecided for c in v.checks)]
    assert len(clear) / histories <= 0.025 + noise


def test_a_mean_at_its_limit_passes_no_more_often_than_the_policy_says():
    policy = GatePolicy(max_drop_per_task=50, max_mean_drop=2, max_samples=1600)
    histories = 200
    found = verdicts([Task(-0.05, 0.1), Task(0.01, 0.2), Task(-0.02, 0.05)], policy, histories, 4)

    assert share(found, "pass") <= 0.05 + 3 * sqrt(0.05 * 0.95 / histories)


def test_two_hundred_items_are_enough_for_what_is_clear():
    unchanged = verdicts([Task(0.0, 0.0)] * 3, GatePolicy(), histories=1, seed=5, split=200)
    lost = verdicts([Task(-0.23, 0.3), Task(0.0, 0.1)], GatePolicy(), 40, seed=5, split=200)

    assert [verdict.outcome for verdict, _ in unchanged] == ["pass"]
    assert {verdict.outcome for verdict, _ in lost} == {"block"}
    assert all(not verdict.checks[0].undecided for verdict, _ in lost)
