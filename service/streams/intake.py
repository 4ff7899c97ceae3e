"""Taking a task in: staged, its structure checked, then job, task and first event at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from adapters_store.servable import RankPlan
from asd_rewriter.archive import Archive, ArchiveLimits, check_card_splits, open_archive
from asd_rewriter.cards import TaskCard
from asd_rewriter.limits import RowLimits
from asd_rewriter.readers import RawRow, read_rows
from asd_rewriter.splits import HOLDOUT_FRACTION
from service.db.engine import Database
from service.db.tables import JobRow, StreamRow, TaskRow, VersionRow
from service.deps import Services
from service.errors import InvalidRequest
from service.idempotency import Once, remember, replay
from service.ids import new_id, now
from service.jobs.events import append_event
from service.jobs.operations import job_read
from service.jobs.schemas import JobRead
from service.pagination import Page, page_of
from service.settings import Settings
from service.streams import admission, plans, queries
from service.streams.costs import count_answers
from service.streams.schemas import PlanRead, TaskOptions, TaskPlan, TaskRead
from service.streams.uploads import Upload


@dataclass(frozen=True)
class Submission:
    """A task whose card and archive structure are in order."""

    job_id: str
    stream: str
    card: TaskCard
    options: TaskOptions
    train_rows: int


def check_upload(
    job_id: str, stream: str, upload: Upload, max_bytes: int, *, count: bool
) -> Submission:
    """Check card, options and archive structure; with `count`, count the training rows too."""
    card = plans.checked(TaskCard, _object(upload.card, "card"), "card", "a task card")
    options = plans.checked(
        TaskOptions, _object(upload.options, "options"), "options", "a task's options"
    )
    with open_archive(upload.archive, ArchiveLimits(max_total_bytes=max_bytes)) as archive:
        check_card_splits(archive, card)
        rows = _count_train_rows(archive, card) if count else 0
    return Submission(job_id, stream, card, options, rows)


def enqueue(services: Services, submission: Submission, intention: Once | None) -> JobRead:
    """Commit task, job, first event and idempotency record together; return the job.

    An equal request seen before gets its first answer, whose job has another id.
    """
    return services.db.commit(
        lambda session: _enqueue(session, services.settings, submission, intention)
    )


def plan_only(services: Services, submission: Submission) -> PlanRead:
    """Return what the task would take, after the same checks; nothing is kept."""
    with services.db.read() as session:
        stream = queries.get_stream(session, submission.stream)
        plan, parent, ranks = _admit(session, services.settings, stream, submission)
        answers = count_answers(session, stream, parent, plan)
        pace = queries.measured_pace(session, stream.base_digest, plan.method)
    found = plans.estimate(plan, submission.train_rows, stream.base_path, pace)
    return PlanRead(
        rows=submission.train_rows,
        steps=found.steps,
        seconds_estimate=found.seconds,
        seconds_from="rough" if pace is None else "measured",
        memory_bytes_estimate=found.memory_bytes,
        rank_after=ranks.rank_after,
        rank_limit=ranks.limit,
        tasks_left=ranks.tasks_left,
        parent=parent.number,
        answers=answers[0],
        answers_limit=answers[1],
        plan=plan,
    )


def list_tasks(db: Database, stream_name: str, after: str | None, limit: int) -> Page[TaskRead]:
    """Return a page of a stream's tasks, oldest first; raises NotFound."""
    with db.read() as session:
        stream = queries.get_stream(session, stream_name)
        rows = queries.list_tasks(session, stream.id, after, limit + 1)
        jobs = queries.newest_jobs(session, [row.id for row in rows])
    tasks = _task_reads(stream, rows, jobs)
    return page_of(tasks, limit, lambda task: task.id)


def _enqueue(
    session: Session, settings: Settings, submission: Submission, intention: Once | None
) -> JobRead:
    stream = queries.get_stream(session, submission.stream)
    session.refresh(stream, with_for_update=True)  # an equal request waits, then replays
    first = replay(session, intention)
    if first is not None:
        return JobRead.model_validate(first)
    plan, _parent, _ranks = _admit(session, settings, stream, submission)
    task = TaskRow(
        id=new_id("task"),
        stream_id=stream.id,
        name=submission.card.name,
        state="pending",
        card=submission.card.model_dump(mode="json"),
        counts={},
        created_at=now(),
    )
    session.add(task)
    session.flush()
    job = _job_row(session, submission.job_id, task, plan)
    session.add(job)
    session.flush()
    append_event(session, job.id, "state", {"state": job.state, "reason": job.reason})
    answer = job_read(session, job)
    remember(session, intention, answer.model_dump(mode="json"))
    return answer


def _admit(
    session: Session, settings: Settings, stream: StreamRow, submission: Submission
) -> tuple[TaskPlan, VersionRow, RankPlan]:
    options = submission.options
    parent = admission.find_parent(session, stream, options.parent)
    admission.check_task_name(session, stream, submission.card.name, parent)
    named = None if options.parent is None else parent.number
    plan = plans.resolve_plan(stream, options, named)
    plans.check_engine(plan.asd, settings)
    plans.check_metric(submission.card)
    ranks = admission.check_room(session, stream, parent, plan, settings.engine_max_lora_rank)
    return plan, parent, ranks


def _job_row(session: Session, job_id: str, task: TaskRow, plan: TaskPlan) -> JobRow:
    return JobRow(
        id=job_id,
        queue_position=queries.next_queue_position(session),
        stream_id=task.stream_id,
        task_id=task.id,
        state="validating_files",
        phase="validate",
        desired="run",
        reason="every row and image is being checked",
        plan=plan.model_dump(mode="json"),
        created_at=now(),
    )


def _task_reads(stream: StreamRow, rows: Sequence[TaskRow], jobs: dict[str, str]) -> list[TaskRead]:
    return [
        TaskRead(
            id=row.id,
            name=row.name,
            stream=stream.name,
            state=row.state,
            card=TaskCard.model_validate(row.card),
            counts=row.counts,
            job=jobs.get(row.id),
            created_at=row.created_at,
        )
        for row in rows
    ]


def _object(text: str, part: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the part {part!r} is not JSON: {error}.", param=part) from error
    if not isinstance(value, dict):
        raise InvalidRequest(f"the part {part!r} must be a JSON object.", param=part)
    return value


def _count_train_rows(archive: Archive, card: TaskCard) -> int:
    member = archive.find(card.splits.train)
    assert member is not None
    with archive.open(member) as file:
        rows = read_rows(file, RowLimits().max_row_chars)
        count = sum(isinstance(row, RawRow) for row in rows)
    return count if card.splits.eval else round(count * (1 - HOLDOUT_FRACTION))
