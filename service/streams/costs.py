"""What evaluating a task would ask of the model."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from eval.gate import GatePolicy
from eval.probes import MAX_QUESTIONS
from service.db.tables import CellRow, StreamRow, TaskRow, VersionRow
from service.streams.schemas import TaskPlan
from service.versions.operations import lineage


def count_answers(
    session: Session, stream: StreamRow, parent: VersionRow, plan: TaskPlan
) -> tuple[int, int]:
    """Return how many answers evaluation asks for: in any case, and at most.

    In any case: the new version on all tasks, base and parent (or, with `future_tasks`, every
    version) on the new one, and what the lineage was not asked yet. At most: the gate's whole
    budget for version and parent, and all questions about lost answers. Fewer where the new
    task's split is small; more where the engine is of another build than before, so that the
    parent is asked again.
    """
    chain = lineage(session, parent)
    old = [session.get_one(TaskRow, it.task_id) for it in chain if it.task_id is not None]
    own_row = plan.eval_limit + sum(_wanted(task, plan) for task in old)
    new_column = plan.eval_limit * (len(chain) if plan.future_tasks else min(len(chain), 2))
    always = own_row + new_column + _missing(session, chain, old, plan)
    policy = GatePolicy.model_validate(stream.gate)
    return always, always + 2 * sum(_further(task, plan, policy) for task in old)


def _further(task: TaskRow, plan: TaskPlan, policy: GatePolicy) -> int:
    """Count what one version may be asked of an old task besides the first look."""
    budget = min(max(policy.max_samples, policy.min_samples), _items(task))
    probed = min(plan.probe_limit, _items(task))
    return max(0, budget - plan.eval_limit) + MAX_QUESTIONS * probed


def _missing(
    session: Session, chain: Sequence[VersionRow], old: Sequence[TaskRow], plan: TaskPlan
) -> int:
    """Count what versions were not asked of old tasks; the parent is compared on all items."""
    query = select(CellRow.version_id, CellRow.task_id, CellRow.n).where(
        CellRow.version_id.in_([version.id for version in chain])
    )
    asked = {(version, task): n for version, task, n in session.execute(query)}
    missing = 0
    for stage, version in enumerate(chain):
        for task in old if plan.future_tasks or stage == 0 else old[:stage]:
            known = asked.get((version.id, task.id), 0)
            if known == 0 or version is chain[-1]:
                missing += max(0, _wanted(task, plan) - known)
    return missing


def _wanted(task: TaskRow, plan: TaskPlan) -> int:
    return min(plan.eval_limit, _items(task))


def _items(task: TaskRow) -> int:
    return int(task.counts.get("eval_items", task.counts["eval"]))
