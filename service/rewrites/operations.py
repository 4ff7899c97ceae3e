"""Looking at rewritten rows, and deciding on them while the job waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from asd_rewriter.formats import AnswerFormat
from service.db.tables import JobRow, PhaseRow
from service.deps import Services
from service.errors import InvalidRequest, NotFound, RetainError
from service.idempotency import Once, remember, replay
from service.jobs.events import append_event
from service.jobs.operations import get_job
from service.jobs.queries import find_phase, lock_job, names_of
from service.problems import shown
from service.rewrites.changes import Change, ChangeFile
from service.rewrites.queries import REVIEW, decisions_of
from service.rewrites.schemas import (
    Decision,
    DecisionsRead,
    ImageRead,
    RewritePage,
    RewriteRead,
    Verdict,
)


class ReviewClosed(RetainError):
    """A decision on rows of a job that does not wait for one."""

    status = 409
    code = "review_closed"


@dataclass(frozen=True)
class Look:
    """Which rewritten turns are wanted: into one format or any, which part, in which order."""

    format: AnswerFormat | None = None
    seed: int = 0
    offset: int = 0
    limit: int = 20


def list_rewrites(services: Services, job_id: str, look: Look) -> RewritePage:
    """Return rewritten turns before and after; raises NotFound before there are any."""
    with services.db.read() as session:
        job = get_job(session, job_id)
        digest = _changes_digest(session, job)
        decisions = decisions_of(session, job_id, digest)
        reviewing = is_reviewing(session, job)
        _stream, task = names_of(session, job)
    file = ChangeFile(services.blobs.path(digest))
    places = file.shuffled(look.format, look.seed)
    end = look.offset + look.limit
    rows = [_read(it, decisions) for it in file.at(places[look.offset : end])]
    accepted, rejected = _numbers(decisions)
    return RewritePage(
        job=job_id, task=task, format=look.format, seed=look.seed, offset=look.offset,
        total=len(places), has_more=len(places) > end, reviewing=reviewing,
        accepted=accepted, rejected=rejected, data=rows,
    )  # fmt: skip


def decide(
    services: Services,
    by: str,
    job_id: str,
    wanted: Mapping[str, Verdict],
    intention: Once | None = None,
) -> DecisionsRead:
    """Take decisions on rewritten turns; what was decided so before stays as it is.

    Raises NotFound, InvalidRequest for keys that no rewritten turn has, and ReviewClosed unless
    the job waits for a review: with `resume` it is over.
    """
    with services.db.read() as session:
        digest = _changes_digest(session, get_job(session, job_id))
    _refuse_unknown(wanted, ChangeFile(services.blobs.path(digest)).find(wanted), job_id)

    def work(session: Session) -> DecisionsRead:
        job = lock_job(session, job_id)  # a resume comes before or after, never in between
        assert job is not None
        first = replay(session, intention)
        if first is not None:
            return DecisionsRead.model_validate(first)
        _refuse_closed(session, job, digest)
        answer = _record(session, job, digest, by, wanted)
        remember(session, intention, answer.model_dump(mode="json"))
        return answer

    return services.db.commit(work)


def is_reviewing(session: Session, job: JobRow) -> bool:
    """Return whether a job waits for decisions on its rewritten rows."""
    row = find_phase(session, job.id, "rewrite")
    return job.state == "paused" and row is not None and is_draft(row)


def is_draft(row: PhaseRow) -> bool:
    """Return whether a rewrite phase has made its corpus, but someone has to look at it yet."""
    return bool(row.state == "running" and row.result.get("review") == "open")


def _record(
    session: Session, job: JobRow, digest: str, by: str, wanted: Mapping[str, Verdict]
) -> DecisionsRead:
    before = decisions_of(session, job.id, digest)
    new = {k: it for k, it in wanted.items() if k not in before or before[k].verdict != it}
    if new:
        data: dict[str, Any] = {"phase": "rewrite", "by": by, "changes": digest}
        data |= {v: sorted(k for k, it in new.items() if it == v) for v in ("accept", "reject")}
        append_event(session, job.id, REVIEW, data)
    accepted, rejected = _numbers(decisions_of(session, job.id, digest))
    return DecisionsRead(job=job.id, changed=len(new), accepted=accepted, rejected=rejected)


def _changes_digest(session: Session, job: JobRow) -> str:
    row = find_phase(session, job.id, "rewrite")
    if row is None or row.state == "cancelled" or "changes_digest" not in row.result:
        raise NotFound(
            f"{job.id} has no rewritten rows to look at: its state is {job.state!r} in phase "
            f"{job.phase!r}. Ask again when its phase rewrite has ended."
        )
    return str(row.result["changes_digest"])


def _refuse_closed(session: Session, job: JobRow, digest: str) -> None:
    row = find_phase(session, job.id, "rewrite")
    if is_reviewing(session, job) and row and row.result["changes_digest"] == digest:
        return
    asked = job.plan.get("asd", {}).get("review", False)
    if not asked:
        why = "it was submitted without asd.review, so its rows can be looked at only"
    elif row is not None and is_draft(row):
        why = "it was resumed. Pause it to decide again, as long as its training has not begun"
    else:
        why = "it trains on the rows as they were decided on. Submit the task again to change them"
    raise ReviewClosed(f"{job.id} takes no decisions in state {job.state!r}: {why}.")


def _refuse_unknown(wanted: Mapping[str, Verdict], known: Mapping[str, Change], job: str) -> None:
    if unknown := [key for key in wanted if key not in known]:
        raise InvalidRequest(
            f"{len(unknown)} of {len(wanted)} keys name no rewritten turn of {job}, the first is "
            f"{shown(unknown[0])}. Take keys from GET /v1/jobs/{job}/rewrites.",
            param=unknown[0],
        )


def _numbers(decisions: Mapping[str, Decision]) -> tuple[int, int]:
    rejected = sum(it.verdict == "reject" for it in decisions.values())
    return len(decisions) - rejected, rejected


def _read(change: Change, decisions: Mapping[str, Decision]) -> RewriteRead:
    images = [ImageRead(digest=it, url=f"/v1/images/{it}") for it in change.images]
    return RewriteRead(
        key=change.key, sample=change.sample, turn=change.turn, images=images,
        before=change.before, after=change.after, decision=decisions.get(change.key),
    )  # fmt: skip
