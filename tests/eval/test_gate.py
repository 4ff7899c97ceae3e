"""The gate: verdicts on hand-made evidence, what is refused, and what people are told."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eval.errors import InvalidGateInput
from eval.gate import GatePolicy, GateVerdict, TaskEvidence, judge

RANK = {"block": 0, "need_more_samples": 1, "pass": 2}


def pairs(kept: int, lost: int = 0, gained: int = 0, more: int = 0) -> TaskEvidence:
    """Return evidence of items that stayed right, were lost, were gained."""
    before = [1.0] * (kept + lost) + [0.0] * gained
    after = [1.0] * kept + [0.0] * lost + [1.0] * gained
    return TaskEvidence(before, after, more)


def verdict(first=None, policy=None, **evidence: TaskEvidence) -> GateVerdict:
    return judge(evidence, policy or GatePolicy(), version="s@3", parent="s@2", first=first)


def test_a_first_task_has_nothing_to_lose():
    result = verdict()

    assert (result.outcome, result.checks, result.wanted) == ("pass", (), {})
    assert "first task" in result.explanation


def test_two_hundred_items_that_lost_nothing_pass_at_once():
    result = verdict(a=pairs(200))

    assert result.outcome == "pass"
    assert "'a' changed by +0.0 points, from 100.0 to 100.0 (n=200, between" in result.explanation


def test_a_task_that_lost_23_points_blocks_at_once_with_numbers_and_a_way_out():
    result = verdict(a=pairs(154, lost=46, more=4800), b=pairs(200, more=4800))

    assert (result.outcome, result.wanted) == ("block", {})
    check = next(check for check in result.checks if check.outcome == "block")
    assert (check.task, check.n, check.limit, check.undecided) == ("a", 200, -5, False)
    assert check.measured == pytest.approx(-23)
    assert check.upper is not None
    assert check.upper < -5
    assert "'a' changed by -23.0 points, from 100.0 to 77.0 (n=200" in result.explanation
    assert "override with a reason" in result.explanation


def test_undecided_tasks_ask_for_their_next_look_alone():
    result = verdict(a=pairs(180, lost=13, gained=7, more=4800), b=pairs(5000), first=200)

    assert result.outcome == "need_more_samples"
    assert result.wanted == {"a": 400}
    assert "undecided so far" in result.explanation
    assert "Next look: 'a' at 400 items." in result.explanation


def test_the_last_look_takes_the_budget_or_the_split_whichever_ends_first():
    policy = GatePolicy(max_samples=1000)

    def asked(more):
        return verdict(200, policy, a=pairs(180, lost=13, gained=7, more=more)).wanted

    assert asked(4800) == {"a": 400}
    assert asked(450) == {"a": 650}  # 400 of 650 would leave less than a doubling
    assert asked(150) == {"a": 350}  # 200 of 350 leave no room for a look before the last


def test_an_undecided_task_blocks_when_its_split_is_used_up():
    result = verdict(a=pairs(180, lost=13, gained=7))

    assert result.outcome == "block"
    assert [check.undecided for check in result.checks] == [True, True]
    assert "undecided, and nothing is left to ask" in result.explanation
    assert "n=200, all there are" in result.explanation
    assert "larger evaluation splits" in result.explanation
    assert "max_samples" not in result.explanation


def test_an_undecided_task_blocks_when_its_budget_is_used_up():
    policy = GatePolicy(max_samples=200)
    result = verdict(policy=policy, a=pairs(180, lost=13, gained=7, more=500))

    assert result.outcome == "block"
    assert "max_samples is 200" in result.explanation
    assert "larger evaluation splits" not in result.explanation


def test_no_more_is_asked_when_one_task_can_no_longer_pass():
    result = verdict(a=pairs(180, lost=13, gained=7), b=pairs(180, lost=13, gained=7, more=900))

    assert (result.outcome, result.wanted) == ("block", {})


def test_too_few_items_never_decide():
    result = verdict(a=pairs(0, lost=49, more=2000), b=pairs(1, gained=48, more=2000))

    assert result.outcome == "need_more_samples"
    assert result.wanted == {"a": 98, "b": 98}
    assert "'a' has n=49, at least 50 are needed." in result.explanation
    assert verdict(a=pairs(1, gained=48)).outcome == "block"  # and there are no more


def test_the_next_look_has_at_least_the_fewest_items():
    assert verdict(a=pairs(10, more=2000)).wanted == {"a": 80}
    assert verdict(a=pairs(10, more=45)).wanted == {"a": 55}


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_a_handful_of_items_never_passes_whatever_the_policy_asks_for(n):
    policy = GatePolicy(min_samples=1)

    assert verdict(policy=policy, a=pairs(n)).outcome == "block"
    assert verdict(policy=policy, a=pairs(0, gained=n)).outcome == ("pass" if n > 2 else "block")


def test_an_allowance_of_100_points_lets_everything_pass():
    policy = GatePolicy(max_drop_per_task=100, max_mean_drop=100, min_samples=1)

    assert verdict(policy=policy, a=pairs(0, lost=1), b=pairs(0, lost=9)).outcome == "pass"


def test_the_mean_alone_can_block():
    tasks = {f"t{k}": pairs(960, lost=40) for k in range(4)}
    result = verdict(policy=GatePolicy(max_drop_per_task=8, max_mean_drop=2), **tasks)

    assert result.outcome == "block"
    assert [c.name for c in result.checks if c.outcome == "block"] == ["mean_change"]
    assert "The mean over 4 old tasks changed by -4.0 points" in result.explanation
    assert "n=4000" in result.explanation


def test_where_the_mean_alone_is_undecided_all_tasks_are_asked_more():
    tasks = {f"t{k}": pairs(980, lost=20, more=1000) for k in range(2)} | {"done": pairs(300)}
    result = verdict(500, GatePolicy(max_drop_per_task=8, max_mean_drop=1.4), **tasks)

    assert [c.task for c in result.checks if c.undecided] == [None]
    assert result.wanted == {"t0": 2000, "t1": 2000}


def test_a_look_that_is_none_of_the_planned_ones_decides_nothing():
    assert verdict(200, a=pairs(250, more=1000)).wanted == {"a": 400}
    assert verdict(200, a=pairs(400, more=1000)).outcome == "pass"


def test_the_same_numbers_say_less_after_many_looks_than_at_once():
    evidence = pairs(1520, lost=50, gained=30)
    at_once, later = verdict(a=evidence).checks[0], verdict(first=200, a=evidence).checks[0]

    assert later.lower is not None
    assert at_once.lower is not None
    assert later.lower < at_once.lower < at_once.measured


def test_half_right_answers_count_by_their_size():
    soft = TaskEvidence([0.9] * 400, [0.6] * 40 + [0.9] * 360)
    check = verdict(a=soft).checks[0]

    assert check.measured == pytest.approx(-3)
    hard = verdict(a=pairs(388, lost=12)).checks[0]  # the same mean
    assert check.lower is not None
    assert hard.lower is not None
    assert check.lower > hard.lower


def test_many_losses_are_told_in_short():
    text = verdict(**{f"t{k}": pairs(100, lost=100) for k in range(6)}).explanation

    assert text.count("changed by") == 4  # three tasks and the mean
    assert "3 more old tasks likewise" in text


@dataclass(frozen=True)
class Scored:
    scores: dict[str, float]
    task: str = "a"
    scorer: str = "exact:1:fixed"


def test_scores_are_paired_by_item_whatever_their_order():
    found = TaskEvidence.paired(Scored({"x": 1, "y": 0}), Scored({"y": 0.5, "x": 0.25}), more=3)

    assert (list(found.before), list(found.after), found.n, found.more) == (
        [1, 0],
        [0.25, 0.5],
        2,
        3,
    )


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (Scored({"x": 1, "y": 1}), "1 items of 'a' were scored for only one"),
        (Scored({"x": 1}, scorer="vqa:1:fixed"), "by 'vqa:1:fixed'"),
        (Scored({"x": 1}, task="b"), "on 'b'"),
    ],
)
def test_what_cannot_be_paired_is_refused(after, told):
    with pytest.raises(InvalidGateInput, match=told):
        TaskEvidence.paired(Scored({"x": 1}), after)


@pytest.mark.parametrize(
    ("before", "after", "more"),
    [([1], [1, 1], 0), ([], [], 5), ([1], [1], -1), ([1], [float("nan")], 0), ([1.5], [1], 0)],
)
def test_evidence_that_is_none_is_refused(before, after, more):
    with pytest.raises(InvalidGateInput):
        TaskEvidence(before, after, more)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_drop_per_task": -1},
        {"min_samples": 0},
        {"max_samples": 0},
        {"confidence": 0.99995},
        {"confidence": 1},
        {"confidence": 0.4},
        {"max_drop": 5},
        {"max_mean_drop": 101},
    ],
)
def test_a_wrong_policy_is_refused(wrong):
    with pytest.raises(ValidationError):
        GatePolicy(**wrong)


def test_the_highest_confidence_is_judged():
    checks = verdict(policy=GatePolicy(confidence=0.9999), a=pairs(1000, more=9)).checks

    assert -5 < checks[0].lower < 0


def test_a_policy_and_a_verdict_stored_before_there_were_bounds_are_still_read():
    policy = {"max_drop_per_task": 5.0, "max_mean_drop": 5.0, "min_samples": 9000}
    check = {
        "name": "task_change", "task": "a", "measured": -3.0, "limit": -5.0, "n": 200,
        "outcome": "pass",
    }  # fmt: skip
    stored = {
        "outcome": "pass", "version": "s@2", "parent": "s@1", "policy": policy, "checks": [check],
        "explanation": "s@2 passes.",
    }  # fmt: skip

    read = GateVerdict.model_validate(stored)

    assert (read.checks[0].lower, read.wanted, read.policy.max_samples) == (None, {}, 5000)
    assert verdict(policy=read.policy, a=pairs(5000, more=9000)).wanted == {"a": 9000}


def test_json_round_trip():
    result = verdict(a=pairs(180, lost=13, gained=7, more=400), b=pairs(100, lost=3))

    assert GateVerdict.model_validate_json(result.model_dump_json()) == result


score = st.sampled_from([0.0, 0.3, 0.5, 1.0])
item = st.tuples(score, score)
some_tasks = st.lists(st.lists(item, min_size=1, max_size=40), min_size=1, max_size=4)
policies = st.builds(
    GatePolicy,
    max_drop_per_task=st.floats(0, 60),
    max_mean_drop=st.floats(0, 60),
    min_samples=st.integers(1, 20),
    confidence=st.floats(0.5, 0.99),
)


def of(tasks, more=100) -> dict[str, TaskEvidence]:
    return {
        f"t{at}": TaskEvidence([it[0] for it in items], [it[1] for it in items], more)
        for at, items in enumerate(tasks)
    }


@given(some_tasks, policies, st.integers(0, 100), st.data())
def test_more_loss_never_helps(tasks, policy, more, data):
    at = data.draw(st.integers(0, len(tasks) - 1))
    index = data.draw(st.integers(0, len(tasks[at]) - 1))
    before, after = tasks[at][index]
    worse = [list(items) for items in tasks]
    worse[at][index] = (before, data.draw(st.floats(0, after)))

    then = verdict(policy=policy, **of(tasks, more)).outcome
    now = verdict(policy=policy, **of(worse, more)).outcome

    assert RANK[now] <= RANK[then]


@given(some_tasks, policies, st.randoms(use_true_random=False))
def test_the_order_of_tasks_and_items_plays_no_role(tasks, policy, random):
    evidence = of(tasks)
    shuffled = {}
    for name in random.sample(sorted(evidence), len(evidence)):
        items = list(zip(evidence[name].before, evidence[name].after, strict=True))
        random.shuffle(items)
        shuffled[name] = TaskEvidence([it[0] for it in items], [it[1] for it in items], 100)

    assert verdict(policy=policy, **shuffled).outcome == verdict(policy=policy, **evidence).outcome


@given(some_tasks, policies, st.integers(0, 100))
def test_an_outcome_is_what_its_checks_say(tasks, policy, more):
    result = verdict(policy=policy, **of(tasks, more))

    if result.outcome == "pass":
        assert all(c.lower is not None and c.lower >= c.limit - 1e-6 for c in result.checks)
        assert all(len(items) >= policy.min_samples for items in tasks)
    assert bool(result.wanted) == (result.outcome == "need_more_samples")
    for task, n in result.wanted.items():
        assert len(tasks[int(task[1:])]) < n <= len(tasks[int(task[1:])]) + more
