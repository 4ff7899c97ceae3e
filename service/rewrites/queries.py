"""Decisions as the job's events tell them, and the blobs that its rewriting made."""

from __future__ import annotations

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from service.db.tables import JobEventRow, PhaseRow
from service.rewrites.schemas import Decision, Verdict

REVIEW = "review"
"""The kind of the events that journal decisions."""

_corpus = PhaseRow.result["corpus_digest"].as_string()
_changes = PhaseRow.result["changes_digest"].as_string()
_kept = (PhaseRow.phase == "rewrite", PhaseRow.state != "cancelled")


def decisions_of(session: Session, job_id: str, changes_digest: str) -> dict[str, Decision]:
    """Return the decision in force on each turn that one was taken on, by key.

    Decisions belong to the changes that people saw: on others they do not count.
    """
    query = (
        select(JobEventRow)
        .where(JobEventRow.job_id == job_id, JobEventRow.kind == REVIEW)
        .order_by(JobEventRow.seq)
    )
    found: dict[str, Decision] = {}
    for event in session.scalars(query):
        if event.data["changes"] == changes_digest:
            verdicts: tuple[Verdict, ...] = ("accept", "reject")
            for verdict in verdicts:
                decision = Decision(verdict=verdict, by=event.data["by"], at=event.at)
                found |= dict.fromkeys(event.data[verdict], decision)
    return found


def blobs_of_rewriting(session: Session) -> set[str]:
    """Return the corpora and changes that jobs made; those of cancelled jobs count no longer."""
    rows = session.execute(select(_corpus, _changes).where(*_kept)).all()
    return {digest for row in rows for digest in row if digest is not None}


def is_used_by_rewriting(session: Session, digest: str) -> bool:
    """Return whether a blob is the corpus or the changes of a job that was not cancelled."""
    query = select(PhaseRow.job_id).where(*_kept, or_(_corpus == digest, _changes == digest))
    return session.scalar(query.limit(1)) is not None
