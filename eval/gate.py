"""The gate: a pure function of two matrix rows and a policy that says whether a version may serve.

It compares point values. Confidence intervals come in where `_outcome` compares one measured
change with its limit; checks, verdict and callers stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from eval.errors import InvalidGateInput
from eval.matrix import AccuracyMatrix, Cell, MatrixRow

Outcome = Literal["pass", "block", "need_more_samples"]

_MAX_TASKS_TOLD = 3
_ROUNDING = 1e-9  # a drop that equals the allowance passes, whatever the last float digit says


class GatePolicy(BaseModel):
    """How much a new version may lose against its parent.

    Args:
        max_drop_per_task: points that one old task may lose, 0 to 100.
        max_mean_drop: points that the mean over old tasks may lose, 0 to 100.
        min_samples: fewest items per old task that a decision may rest on (>= 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_drop_per_task: float = Field(default=5.0, ge=0, le=100)
    max_mean_drop: float = Field(default=5.0, ge=0, le=100)
    min_samples: int = Field(default=50, ge=1)


class GateCheck(BaseModel):
    """One comparison. `measured` is a change in points, now minus parent; `limit` is the lowest
    change allowed (<= 0); `n` counts the items behind it; `task` is None for the mean.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["task_change", "mean_change"]
    task: str | None
    measured: float
    limit: float
    n: int
    outcome: Outcome


class GateVerdict(BaseModel):
    """The outcome with every check behind it, and a text for people: reason and way out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome
    version: str
    parent: str
    policy: GatePolicy
    checks: tuple[GateCheck, ...]
    explanation: str


def judge_last(matrix: AccuracyMatrix, policy: GatePolicy) -> GateVerdict:
    """Judge a matrix's last version against the one before it, over all old tasks.

    Raises:
        InvalidGateInput: if the matrix holds the base alone, or a needed cell is missing.
    """
    if matrix.num_learned == 0:
        raise InvalidGateInput("the base has no parent: only versions that learned are judged.")
    return judge(matrix.rows[-1], matrix.rows[-2], policy, matrix.old_tasks)


def judge(
    row: MatrixRow, parent: MatrixRow, policy: GatePolicy, old_tasks: Sequence[str]
) -> GateVerdict:
    """Return whether a version may be promoted. Any clear loss blocks; too few items never pass.

    Args:
        row: what the version scores.
        parent: what its parent scores, on the same items.
        policy: the stream's policy.
        old_tasks: the tasks the parent's lineage has learned; empty for a first task.

    Raises:
        InvalidGateInput: if a row lacks a cell of an old task, or the two used another metric.
    """
    pairs = {task: _pair(row, parent, task) for task in old_tasks}
    checks = [_task_check(task, *pair, policy) for task, pair in pairs.items()]
    if checks:
        checks.append(_mean_check(checks, policy))
    outcome = _overall(check.outcome for check in checks)
    return GateVerdict(
        outcome=outcome,
        version=row.version,
        parent=parent.version,
        policy=policy,
        checks=tuple(checks),
        explanation=_explain(outcome, row, parent, policy, checks, pairs),
    )


Pair = tuple[Cell, Cell]


def _pair(row: MatrixRow, parent: MatrixRow, task: str) -> Pair:
    for side in (row, parent):
        if task not in side.cells:
            raise InvalidGateInput(
                f"{row.version} cannot be judged: {side.version} was not measured on the old task "
                f"{task!r}. Evaluate {side.version} on it first."
            )
    now, before = row.cells[task], parent.cells[task]
    if now.metric != before.metric:
        raise InvalidGateInput(
            f"{row.version} cannot be judged on {task!r}: it was scored by {now.metric!r}, its "
            f"parent {parent.version} by {before.metric!r}. Score both by the same metric."
        )
    return now, before


def _task_check(task: str, now: Cell, before: Cell, policy: GatePolicy) -> GateCheck:
    change, n = now.accuracy - before.accuracy, min(now.n, before.n)
    limit = -policy.max_drop_per_task
    outcome = _outcome(change, limit, n, policy)
    return GateCheck(
        name="task_change", task=task, measured=change, limit=limit, n=n, outcome=outcome
    )


def _mean_check(checks: Sequence[GateCheck], policy: GatePolicy) -> GateCheck:
    mean = sum(check.measured for check in checks) / len(checks)
    limit, fewest = -policy.max_mean_drop, min(check.n for check in checks)
    return GateCheck(
        name="mean_change",
        task=None,
        measured=mean,
        limit=limit,
        n=sum(check.n for check in checks),
        outcome=_outcome(mean, limit, fewest, policy),
    )


def _outcome(change: float, limit: float, n: int, policy: GatePolicy) -> Outcome:
    if n < policy.min_samples:
        return "need_more_samples"
    return "pass" if change >= limit - _ROUNDING else "block"


def _overall(outcomes: Iterable[Outcome]) -> Outcome:
    seen = set(outcomes)
    if "block" in seen:
        return "block"
    return "need_more_samples" if "need_more_samples" in seen else "pass"


def _explain(
    outcome: Outcome,
    row: MatrixRow,
    parent: MatrixRow,
    policy: GatePolicy,
    checks: Sequence[GateCheck],
    pairs: dict[str, Pair],
) -> str:
    if not checks:
        return (
            f"{row.version} passes: {row.task or 'its task'} is the first task of this lineage, so "
            "there is no earlier task to lose."
        )
    facts = _facts(outcome, checks, pairs, policy)
    if outcome == "pass":
        return f"{row.version} passes against {parent.version}. Lowest change: {facts}"
    if outcome == "block":
        return f"{row.version} is blocked against {parent.version}. {facts} {_WAY_OUT_BLOCK}"
    return (
        f"{row.version} is undecided against {parent.version}, so it is not promoted. {facts} "
        f"{_WAY_OUT_MORE.format(n=policy.min_samples)}"
    )


def _facts(
    outcome: Outcome, checks: Sequence[GateCheck], pairs: dict[str, Pair], policy: GatePolicy
) -> str:
    """Tell the checks that decided: the worst tasks first, then the mean."""
    *of_tasks, mean = checks
    deciding = sorted((c for c in of_tasks if c.outcome == outcome), key=lambda c: c.measured)
    shown = deciding[: 1 if outcome == "pass" else _MAX_TASKS_TOLD]
    facts = [_task_fact(check, *pairs[str(check.task)], policy) for check in shown]
    if outcome != "pass" and len(deciding) > len(shown):
        facts.append(f"{len(deciding) - len(shown)} more old tasks likewise.")
    if mean.outcome == outcome != "need_more_samples" and (len(pairs) > 1 or not facts):
        facts.append(_mean_fact(mean, len(pairs)))
    return " ".join(facts)


def _task_fact(check: GateCheck, now: Cell, before: Cell, policy: GatePolicy) -> str:
    if check.outcome == "need_more_samples":
        return f"'{check.task}' has n={check.n}, at least {policy.min_samples} are needed."
    return (
        f"'{check.task}' changed by {check.measured:+.1f} points, from {before.accuracy:.1f} to "
        f"{now.accuracy:.1f} (n={check.n}, limit {check.limit:+.1f})."
    )


def _mean_fact(check: GateCheck, num_tasks: int) -> str:
    tasks = "1 old task" if num_tasks == 1 else f"{num_tasks} old tasks"
    return (
        f"The mean over {tasks} changed by {check.measured:+.1f} points (n={check.n}, limit "
        f"{check.limit:+.1f})."
    )


_WAY_OUT_BLOCK = (
    "The version stays addressable under its number. Way out: train the task again with more "
    "protection (a stronger penalty, a lower learning rate, answer-style rewriting on), widen the "
    "stream's gate policy, or promote this version by an override with a reason."
)
_WAY_OUT_MORE = (
    "Way out: evaluate at least {n} items per old task (raise the evaluation limit or submit "
    "larger evaluation splits), lower the policy's min_samples, or promote this version by an "
    "override with a reason."
)
