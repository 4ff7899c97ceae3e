"""What a task must fulfil to join a stream: a free name, a parent, room in the engine's rank."""

from __future__ import annotations

from sqlalchemy.orm import Session

from adapters_store.servable import RankPlan, check_rank
from service.db.tables import JobRow, StreamRow, TaskRow, VersionRow
from service.errors import PermanentConflict
from service.streams import queries
from service.streams.plans import new_rank, replaces
from service.streams.schemas import TaskPlan
from service.versions.operations import get_version, lineage


class TaskNameTaken(PermanentConflict):
    """The name belongs to a task that was learned or is on its way."""

    code = "task_exists"


def find_parent(session: Session, stream: StreamRow, selector: int | str | None) -> VersionRow:
    """Return the version a task stands on: the one named, else production. Raises NotFound."""
    return get_version(session, stream.name, "production" if selector is None else selector)


def lineage_tasks(session: Session, version: VersionRow) -> list[TaskRow]:
    """Return the tasks learned on the way to a version, oldest first."""
    path = lineage(session, version)
    return [session.get_one(TaskRow, step.task_id) for step in path if step.task_id is not None]


def check_task_name(
    session: Session, stream: StreamRow, name: str, parent: VersionRow, own_job: str | None = None
) -> None:
    """Refuse a name that is on the parent's lineage, or that another unfinished job carries."""
    for job, task in queries.pending_jobs(session, stream.id):
        if task.name == name and job.id != own_job:
            raise TaskNameTaken(
                f"task {name!r} of stream {stream.name!r} is pending in {job.id} ({job.state}). "
                "Wait for it, cancel it, or choose another name.",
                param="name",
            )
    if name in {task.name for task in lineage_tasks(session, parent)}:
        raise TaskNameTaken(
            f"task {name!r} is live on the lineage of {stream.name}@{parent.number}. Choose "
            "another name, or name a parent version from before it (option 'parent').",
            param="name",
        )


def check_room(
    session: Session,
    stream: StreamRow,
    parent: VersionRow,
    plan: TaskPlan,
    limit: int,
    own_job: JobRow | None = None,
) -> RankPlan:
    """Return the rank after the task; raises RankLimitExceeded when no engine could serve it.

    Jobs of the stream that come first count as promoted, unless the task names its parent.
    """
    rank = new_rank(plan)
    if rank == 0:
        return RankPlan(parent.rank, limit, 0)
    if replaces(plan):
        return check_rank(0, rank, limit)
    below = parent.rank
    for earlier in [] if plan.parent is not None else _plans_ahead(session, stream, own_job):
        below = new_rank(earlier) + (0 if replaces(earlier) else below)
    return check_rank(below, rank, limit)


def _plans_ahead(session: Session, stream: StreamRow, own_job: JobRow | None) -> list[TaskPlan]:
    plans = [
        TaskPlan.model_validate(job.plan)
        for job, _task in queries.pending_jobs(session, stream.id)
        if own_job is None or job.queue_position < own_job.queue_position
    ]
    return [plan for plan in plans if plan.parent is None]
