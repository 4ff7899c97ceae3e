"""The gate: a pure function of paired item scores and a policy that says whether a version may
serve. `docs/gate.md` says what is claimed, why, and how often it is wrong.

pass: the lower bound of every change is at or above minus its allowance.
block: an upper bound is below that, or nothing is left to ask and it is still undecided.
need_more_samples: undecided so far; `wanted` says how many items to have at the next look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from eval.evidence import Change, TaskEvidence, changes_of_items, mean_change
from eval.gate_text import explain
from eval.verdicts import GateCheck, GatePolicy, GateVerdict, Outcome

__all__ = ["GateCheck", "GatePolicy", "GateVerdict", "Outcome", "TaskEvidence", "judge"]

_ROUNDING = 1e-9  # a bound that equals the limit passes, whatever the last float digit says


def judge(
    evidence: Mapping[str, TaskEvidence],
    policy: GatePolicy,
    *,
    version: str,
    parent: str,
    first: int | None = None,
    served: bool = True,
) -> GateVerdict:
    """Return whether a version may be promoted. The order of tasks and items plays no role.

    While it needs more, ask the items that `wanted` names and judge again.

    Args:
        evidence: by old task: all tasks that the parent's lineage has learned, none for a first.
        policy: the stream's policy.
        version: name of the version.
        parent: name of its parent.
        first: how many items per task the first look took (>= 1); None: this is the first.
        served: whether a service keeps the version; the explanation names what it offers.
    """
    changes = changes_of_items(evidence, policy, first) if evidence else []
    return _verdict(changes, policy, version, parent, served)


def _verdict(
    changes: Sequence[Change], policy: GatePolicy, version: str, parent: str, served: bool
) -> GateVerdict:
    rest = [change.next_look is not None for change in changes]
    checks = [
        _check(change, policy.max_drop_per_task, more)
        for change, more in zip(changes, rest, strict=True)
    ]
    if changes:
        checks.append(_check(mean_change(changes), policy.max_mean_drop, any(rest)))
    outcome = _overall(check.outcome for check in checks)
    wanted = _wanted(changes, checks) if outcome == "need_more_samples" else {}
    return GateVerdict(
        outcome=outcome,
        version=version,
        parent=parent,
        policy=policy,
        checks=tuple(checks),
        explanation=explain(outcome, version, parent, policy, checks, wanted, served),
        wanted=wanted,
    )


def _check(change: Change, allowance: float, goes_on: bool) -> GateCheck:
    decided = _decide(change, -allowance / 100)
    undecided: Outcome = "need_more_samples" if goes_on else "block"
    return GateCheck(
        name="mean_change" if change.task is None else "task_change",
        task=change.task,
        measured=100 * change.measured,
        limit=-allowance,
        n=change.n,
        outcome=decided or undecided,
        before=100 * change.before,
        now=100 * change.now,
        lower=100 * change.lower,
        upper=100 * change.upper,
        available=change.available,
        undecided=decided is None,
    )


def _decide(change: Change, limit: float) -> Outcome | None:
    if not change.may_decide:
        return None
    if change.lower >= limit - _ROUNDING:
        return "pass"
    return "block" if change.upper < limit - _ROUNDING else None


def _overall(outcomes: Iterable[Outcome]) -> Outcome:
    seen = set(outcomes)
    if "block" in seen:
        return "block"
    return "need_more_samples" if "need_more_samples" in seen else "pass"


def _wanted(changes: Sequence[Change], checks: Sequence[GateCheck]) -> dict[str, int]:
    """The next look of the undecided tasks; of all where only their mean is undecided."""
    open_ones = [it for it, check in zip(changes, checks, strict=False) if check.undecided]
    return {str(it.task): it.next_look for it in open_ones or changes if it.next_look is not None}
