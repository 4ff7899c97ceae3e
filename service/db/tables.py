"""The tables. Rows are named `*Row`; the meaning of each noun is fixed in the docs' glossary."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    UniqueConstraint,
    false,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC moment on every database (SQLite itself forgets the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo:
            return value
        return value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Declarative base with named constraints (Alembic needs the names)."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {dict[str, Any]: JSON, datetime: UtcDateTime}  # noqa: RUF012


class StreamRow(Base):
    """One model line: base, method with defaults, gate policy, counters."""

    __tablename__ = "streams"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    base_source: Mapped[str]  # local folder or hub id, as given
    base_revision: Mapped[str | None]
    base_path: Mapped[str]  # local folder that trainers and engines load
    base_digest: Mapped[str]
    method: Mapped[str]
    method_config: Mapped[dict[str, Any]]
    hyperparameters: Mapped[dict[str, Any]]
    rewrite: Mapped[dict[str, Any]]  # x_percent, seed, asd: {formats, unit, engine, review}
    gate: Mapped[dict[str, Any]]
    eval_limit: Mapped[int]  # evaluation items per task
    probe_limit: Mapped[int] = mapped_column(server_default="32")  # lost answers asked again
    future_tasks: Mapped[bool] = mapped_column(server_default=false())  # earlier versions asked too
    next_version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]


class TaskRow(Base):
    """One dataset of a stream. `state`: pending, live (its version exists) or failed."""

    __tablename__ = "tasks"

    id: Mapped[str] = mapped_column(primary_key=True)
    stream_id: Mapped[str] = mapped_column(ForeignKey("streams.id"), index=True)
    name: Mapped[str]
    state: Mapped[str]
    card: Mapped[dict[str, Any]]
    train_digest: Mapped[str | None]  # JSON lines of Sample, in the blob store
    eval_digest: Mapped[str | None]
    corpus_digest: Mapped[str | None]  # rewritten training corpus
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]


class JobRow(Base):
    """Background work on one task.

    `state`: validating_files, queued, running, paused, cancelling, succeeded, failed, cancelled.
    `desired`: run, pause or cancel; polled by the runner. `plan` is the resolved request.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    queue_position: Mapped[int] = mapped_column(unique=True)  # FIFO order over all streams
    stream_id: Mapped[str] = mapped_column(ForeignKey("streams.id"), index=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"))
    state: Mapped[str] = mapped_column(index=True)
    phase: Mapped[str]
    desired: Mapped[str] = mapped_column(default="run")
    reason: Mapped[str | None]  # why it waits, or why it ended
    plan: Mapped[dict[str, Any]]
    error: Mapped[dict[str, Any] | None]
    parent_version_id: Mapped[str | None]
    version_id: Mapped[str | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class PhaseRow(Base):
    """The durable outcome of one phase of one job: written once, so a restart skips it."""

    __tablename__ = "job_phases"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    phase: Mapped[str] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(default=1)
    state: Mapped[str]  # running, succeeded, failed
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class JobEventRow(Base):
    """One event of a job; `seq` counts from 1 without gaps."""

    __tablename__ = "job_events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]


class VersionRow(Base):
    """An immutable version; number 0 is the base. `servable_digest` is its engine name."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("stream_id", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    stream_id: Mapped[str] = mapped_column(ForeignKey("streams.id"), index=True)
    number: Mapped[int]
    digest: Mapped[str]
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("versions.id"))
    task_id: Mapped[str | None] = mapped_column(ForeignKey("tasks.id"))
    job_id: Mapped[str | None] = mapped_column(unique=True)
    servable_by: Mapped[str]  # base, lora, merged, plugin, offline
    servable_digest: Mapped[str]
    servable_path: Mapped[str]
    canary_digest: Mapped[str | None]
    rank: Mapped[int] = mapped_column(default=0)  # summed over the lineage
    created_at: Mapped[datetime]


class RecordRow(Base):
    """A record attached to a version, outside its digest: forgetting report, verdict, proof."""

    __tablename__ = "version_records"

    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class AliasRow(Base):
    """A movable name of a version."""

    __tablename__ = "aliases"

    stream_id: Mapped[str] = mapped_column(ForeignKey("streams.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id"))
    moved_at: Mapped[datetime]


class AliasMoveRow(Base):
    """One journaled move: who, when, why, from, to. Entries of an alias form a chain."""

    __tablename__ = "alias_moves"
    __table_args__ = (Index("ix_alias_moves_alias", "stream_id", "alias"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    stream_id: Mapped[str] = mapped_column(ForeignKey("streams.id"))
    alias: Mapped[str]
    kind: Mapped[str]  # promote, rollback, restore, manual, override
    from_version_id: Mapped[str | None]
    to_version_id: Mapped[str]
    actor: Mapped[str]
    reason: Mapped[str]
    job_id: Mapped[str | None]
    previous_id: Mapped[int | None] = mapped_column(unique=True)
    switch_ms: Mapped[float | None]
    at: Mapped[datetime]


class PredictionRow(Base):
    """A stored answer; `key` digests servable, item, decoding and engine version."""

    __tablename__ = "predictions"

    key: Mapped[str] = mapped_column(primary_key=True)
    servable_digest: Mapped[str] = mapped_column(index=True)
    item_digest: Mapped[str]
    text: Mapped[str]
    created_at: Mapped[datetime]


class ScoreRow(Base):
    """What a stored answer scores, in [0, 1], by one scorer (name, version and mode)."""

    __tablename__ = "scores"

    prediction_key: Mapped[str] = mapped_column(ForeignKey("predictions.key"), primary_key=True)
    scorer: Mapped[str] = mapped_column(primary_key=True)
    score: Mapped[float]


class CellRow(Base):
    """accuracy[version][task] in points 0..100 with the number of items scored.

    `engine` is the build that gave the answers behind it.
    """

    __tablename__ = "matrix_cells"

    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    accuracy: Mapped[float]
    n: Mapped[int]
    metric: Mapped[str]
    scorer: Mapped[str] = mapped_column(server_default="")
    engine: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime]


class ApiKeyRow(Base):
    """An API key: shown once, stored as a hash. `role`: admin, operator or reader."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class IdempotencyRow(Base):
    """The first response to an `Idempotency-Key`, replayed to later equal requests."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_digest: Mapped[str]
    status: Mapped[int | None]  # None while the first request is still running
    response: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
