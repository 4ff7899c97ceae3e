"""The gate's explanation, for people: what decided, its numbers, and the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eval.verdicts import GateCheck, GatePolicy, Outcome

_MAX_TASKS_TOLD = 3


def explain(
    outcome: Outcome,
    version: str,
    parent: str,
    policy: GatePolicy,
    checks: Sequence[GateCheck],
    wanted: Mapping[str, int],
    served: bool,
) -> str:
    """Return why a version passes, is blocked or needs more items.

    Args:
        outcome: what the checks come to.
        version: name of the version.
        parent: name of its parent.
        policy: what was to be held.
        checks: of every old task, then of their mean; none for a first task.
        wanted: how many items each undecided task is to have, for `need_more_samples`.
        served: whether a service keeps the version, so that it can be promoted nevertheless.
    """
    if not checks:
        return (
            f"{version} passes: it learned the first task of its lineage, so there is no earlier "
            "task to lose."
        )
    deciding = _deciding(outcome, checks)
    facts = _facts(outcome, deciding, checks, policy)
    if outcome == "pass":
        return f"{version} passes against {parent}. Closest to its limit: {facts}"
    if outcome == "need_more_samples":
        return f"{version} against {parent} is undecided so far. {facts} {_next_look(wanted)}"
    if not all(check.undecided for check in deciding):
        return f"{version} is blocked against {parent}. {facts} {_way_out([_AGAIN], served)}"
    return (
        f"{version} is blocked against {parent}: undecided, and nothing is left to ask. {facts} "
        f"{_way_out(_ways_to_tell(deciding, policy), served)}"
    )


def _deciding(outcome: Outcome, checks: Sequence[GateCheck]) -> list[GateCheck]:
    """The checks behind the outcome, clear losses before undecided ones, the worst first."""
    found = [check for check in checks if check.outcome == outcome]
    clear = [check for check in found if not check.undecided]
    return sorted(clear or found, key=lambda check: (check.task is None, _room(check)))


def _room(check: GateCheck) -> float:
    return (check.measured if check.lower is None else check.lower) - check.limit


def _facts(
    outcome: Outcome,
    deciding: Sequence[GateCheck],
    checks: Sequence[GateCheck],
    policy: GatePolicy,
) -> str:
    of_tasks = [check for check in deciding if check.task is not None]
    of_mean = [check for check in deciding if check.task is None]
    shown = of_tasks[: 1 if outcome == "pass" else _MAX_TASKS_TOLD]
    facts = [_fact(f"'{check.task}'", check, policy) for check in shown]
    if outcome != "pass" and len(of_tasks) > len(shown):
        facts.append(f"{len(of_tasks) - len(shown)} more old tasks likewise.")
    num_tasks = len(checks) - 1
    if of_mean and (num_tasks > 1 or not facts):
        tasks = "1 old task" if num_tasks == 1 else f"{num_tasks} old tasks"
        facts.append(_fact(f"The mean over {tasks}", of_mean[0], policy))
    return " ".join(facts)


def _fact(what: str, check: GateCheck, policy: GatePolicy) -> str:
    if check.task is not None and check.n < policy.min_samples:
        return f"{what} has n={check.n}, at least {policy.min_samples} are needed."
    levels = f", from {check.before:.1f} to {check.now:.1f}" if check.now is not None else ""
    return (
        f"{what} changed by {_signed(check.measured)} points{levels} (n={_count(check)}, between "
        f"{_signed(check.lower)} and {_signed(check.upper)}, limit {_signed(check.limit)})."
    )


def _count(check: GateCheck) -> str:
    used_up = check.undecided and check.n == check.available
    return f"{check.n}, all there are" if used_up else f"{check.n}"


def _signed(points: float | None) -> str:
    return "?" if points is None else f"{round(points, 1) + 0.0:+.1f}"


def _next_look(wanted: Mapping[str, int]) -> str:
    tasks = ", ".join(
        f"'{task}' at {n} items" for task, n in list(wanted.items())[:_MAX_TASKS_TOLD]
    )
    others = f" and {len(wanted) - _MAX_TASKS_TOLD} more" if len(wanted) > _MAX_TASKS_TOLD else ""
    return f"Next look: {tasks}{others}."


def _ways_to_tell(deciding: Sequence[GateCheck], policy: GatePolicy) -> list[str]:
    ways = []
    if any((check.available or 0) > check.n for check in deciding):
        ways.append(f"ask more items (max_samples is {policy.max_samples})")
    if any(check.available == check.n for check in deciding):
        ways.append("give the old tasks larger evaluation splits")
    if any(check.n < policy.min_samples for check in deciding if check.task is not None):
        ways.append("lower the policy's min_samples")
    return ways


def _way_out(ways: Sequence[str], served: bool) -> str:
    if not served:
        return f"Way out: {', '.join(ways)}, or widen the policy."
    return (
        f"The version stays addressable under its number. Way out: {', '.join(ways)}, widen the "
        "stream's gate policy, or promote this version by an override with a reason."
    )


_AGAIN = (
    "train the task again with more protection (a stronger penalty, a lower learning rate, "
    "answer-style rewriting on)"
)
