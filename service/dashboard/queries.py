"""What the pages show, read in one short transaction each."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from eval.matrix import SUMMARY_MEANINGS, AccuracyMatrix, Cell
from service.db.tables import (
    AliasMoveRow,
    AliasRow,
    JobEventRow,
    JobRow,
    PhaseRow,
    RecordRow,
    StreamRow,
    TaskRow,
    VersionRow,
)
from service.errors import NotFound
from service.jobs.queries import phase_state
from service.reports.queries import current_matrix
from service.workflow.states import PHASES, TERMINAL

View = dict[str, Any]
LOST_POINTS = 5.0


def short_source(source: str) -> str:
    """Return a hub id as it is, and a local folder as its last two names."""
    return "/".join(Path(source).parts[-2:]) if source.startswith("/") else source


def streams(session: Session) -> list[View]:
    """Return all streams with their production version and number of versions."""
    per_stream = select(VersionRow.stream_id, func.count()).group_by(VersionRow.stream_id)
    counts = {stream: number for stream, number in session.execute(per_stream)}
    in_production = (
        select(AliasRow.stream_id, VersionRow.number)
        .join(VersionRow, AliasRow.version_id == VersionRow.id)
        .where(AliasRow.name == "production")
    )
    production = {stream: number for stream, number in session.execute(in_production)}
    rows = session.scalars(select(StreamRow).order_by(StreamRow.name))
    return [
        {
            "name": row.name,
            "base": row.base_source,
            "method": row.method,
            "production": f"@{production[row.id]}" if row.id in production else None,
            "versions": counts.get(row.id, 0),
        }
        for row in rows
    ]


def jobs(session: Session, stream_id: str | None = None, limit: int = 20) -> list[View]:
    """Return the latest jobs, newest first."""
    query = (
        select(JobRow, StreamRow.name, TaskRow.name)
        .join(StreamRow, JobRow.stream_id == StreamRow.id)
        .join(TaskRow, JobRow.task_id == TaskRow.id)
        .order_by(JobRow.queue_position.desc())
        .limit(limit)
    )
    if stream_id is not None:
        query = query.where(JobRow.stream_id == stream_id)
    return [_job(job, stream, task) for job, stream, task in session.execute(query)]


def _job(job: JobRow, stream: str, task: str) -> View:
    return {
        "id": job.id,
        "stream": stream,
        "task": task,
        "state": job.state,
        "phase": job.phase,
        "reason": job.reason,
        "error": job.error,
        "created_at": job.created_at,
        "terminal": job.state in TERMINAL,
    }


def stream_page(session: Session, name: str) -> View:
    """Return everything on a stream's page; raises NotFound."""
    stream = session.scalar(select(StreamRow).where(StreamRow.name == name))
    if stream is None:
        raise NotFound(f"there is no stream {name!r}.")
    rows = list(
        session.scalars(
            select(VersionRow)
            .where(VersionRow.stream_id == stream.id)
            .order_by(VersionRow.number.desc())
        )
    )
    refs = {row.id: row for row in rows}
    matrix = current_matrix(session, stream)
    return {
        "stream": stream,
        "versions": _versions(session, stream, rows),
        "matrix": _matrix_view(matrix) if matrix is not None else None,
        "summaries": _summaries(matrix) if matrix is not None else [],
        "jobs": jobs(session, stream.id),
        "journal": _journal(session, stream, refs),
    }


def _matrix_view(matrix: AccuracyMatrix) -> View:
    learned: dict[str, float] = {}
    rows = []
    for row in matrix.rows:
        cells = [_cell_view(row.cells.get(task), learned.get(task)) for task in matrix.tasks]
        rows.append({"version": row.version, "note": row.task or "base", "cells": cells})
        if row.task in row.cells:
            learned[row.task] = row.cells[row.task].accuracy
    return {"tasks": matrix.tasks, "rows": rows}


def _cell_view(cell: Cell | None, learned: float | None) -> View | None:
    if cell is None:
        return None
    change = None if learned is None else cell.accuracy - learned
    return {
        "accuracy": cell.accuracy,
        "n": cell.n,
        "change": change,
        "lost": change is not None and change <= -LOST_POINTS,
        "heat": min(9, int(cell.accuracy // 10)),
    }


def _summaries(matrix: AccuracyMatrix) -> list[tuple[str, str, str]]:
    return [
        (name.upper().replace("_T_MINUS_1", " (T-1)"), f"{value:.1f}", SUMMARY_MEANINGS[name])
        for name, value in matrix.summaries().items()
        if name in ("mft", "mfn", "maa", "bwt", "bwt_t_minus_1")
    ]


def _versions(session: Session, stream: StreamRow, rows: list[VersionRow]) -> list[View]:
    aliases: dict[str, list[str]] = defaultdict(list)
    for alias in session.scalars(select(AliasRow).where(AliasRow.stream_id == stream.id)):
        aliases[alias.version_id].append(alias.name)
    tasks = {task: name for task, name in session.execute(select(TaskRow.id, TaskRow.name))}
    numbers = {row.id: row.number for row in rows}
    records = {
        (record.version_id, record.kind): record.data
        for record in session.scalars(select(RecordRow).where(RecordRow.version_id.in_(numbers)))
    }
    return [
        {
            "number": row.number,
            "task": tasks.get(row.task_id or ""),
            "parent": numbers.get(row.parent_id or ""),
            "aliases": sorted(aliases[row.id]),
            "outcome": records.get((row.id, "verdict"), {}).get("outcome"),
            "explanation": records.get((row.id, "verdict"), {}).get("explanation", ""),
            "has_report": (row.id, "report") in records,
            "digest": row.digest,
            "created_at": row.created_at,
        }
        for row in rows
    ]


def _journal(session: Session, stream: StreamRow, refs: dict[str, VersionRow]) -> list[View]:
    query = (
        select(AliasMoveRow)
        .where(AliasMoveRow.stream_id == stream.id)
        .order_by(AliasMoveRow.id.desc())
        .limit(50)
    )
    return [
        {
            "at": move.at,
            "alias": move.alias,
            "from": f"@{refs[move.from_version_id].number}" if move.from_version_id else None,
            "to": f"@{refs[move.to_version_id].number}",
            "kind": move.kind,
            "actor": move.actor,
            "reason": move.reason,
            "switch_ms": move.switch_ms,
        }
        for move in session.scalars(query)
    ]


def job_page(session: Session, job_id: str) -> View:
    """Return everything on a job's page; raises NotFound."""
    job = session.get(JobRow, job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id!r}.")
    stream = session.get_one(StreamRow, job.stream_id)
    task = session.get_one(TaskRow, job.task_id)
    events = list(
        session.scalars(
            select(JobEventRow)
            .where(JobEventRow.job_id == job_id)
            .order_by(JobEventRow.seq.desc())
            .limit(200)
        )
    )
    done = {
        row.phase: row for row in session.scalars(select(PhaseRow).where(PhaseRow.job_id == job_id))
    }
    return {
        "job": _job(job, stream.name, task.name),
        "phases": [_phase(name, job, done.get(name), events) for name in PHASES],
        "events": [{"at": e.at, "kind": e.kind, "text": _event_text(e.data)} for e in events[:40]],
    }


def _phase(name: str, job: JobRow, row: PhaseRow | None, events: list[JobEventRow]) -> View:
    latest: View = next(
        (e.data for e in events if e.kind == "progress" and e.data.get("phase") == name), {}
    )
    ended = row.finished_at if row else None
    return {
        "name": name,
        "state": phase_state(job, row) if row else None,
        "seconds": (ended - row.started_at).total_seconds() if row and ended else None,
        "done": latest.get("done", 0),
        "total": latest.get("total"),
        "message": latest.get("message"),
    }


def _event_text(data: View) -> str:
    return ", ".join(f"{key} {value}" for key, value in data.items() if value is not None)
