"""Moving an alias: the target is made ready first, then one transaction moves and journals.

`production` is gated: a version whose forgetting report did not pass needs an override. Going
back to what the alias named before, or to the base, is a rollback and never gated.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy.orm import Session

from service.db.engine import Database
from service.db.tables import AliasMoveRow, AliasRow, StreamRow, VersionRow
from service.errors import InvalidRequest, NotFound, PermanentConflict, PromotionRefused
from service.ids import now
from service.versions import queries

log = structlog.get_logger()

PRODUCTION = "production"
PREVIOUS = "previous"
ALIAS_PATTERN = r"^[a-z][a-z0-9._-]{0,62}$"


class Engines(Protocol):
    """What a move needs of the engines: that a version answers, proven, before it is named."""

    def ensure_ready(self, version: VersionRow) -> object:
        """Return once an engine serves the version; raises when it cannot."""
        ...


@dataclass(frozen=True)
class Wish:
    """Who wants an alias to name which version, and why."""

    stream_name: str
    alias: str
    version_number: int | str
    actor: str
    reason: str
    kind: str | None = None
    job_id: str | None = None
    override: bool = False


def move_alias(
    db: Database,
    engines: Engines,
    *,
    stream_name: str,
    alias: str,
    version_number: int | str,
    actor: str,
    reason: str,
    kind: str | None = None,
    job_id: str | None = None,
    override: bool = False,
) -> AliasMoveRow:
    """Let an alias name a version (or "previous") and return the journal entry.

    `kind` names the move of an alias that has no gate; moves of `production` are classified
    here. With `job_id` a repeated call returns the first one's entry; naming what the alias
    names already changes nothing. Raises NotFound, PromotionRefused, and what the engine
    raises when it cannot prove the version: then the alias has not moved.
    """
    wish = Wish(stream_name, alias, version_number, actor, reason, kind, job_id, override)
    _check_alias(alias)
    with db.read() as session:
        stream, target = _find(session, wish)
        done = _already(session, stream, target, wish)
        if done is not None:
            return done
        _classify(session, stream, target, wish)
    engines.ensure_ready(target)
    return _switch(db, target, wish)


def _switch(db: Database, target: VersionRow, wish: Wish) -> AliasMoveRow:
    started = time.perf_counter()
    with db.write() as session:
        stream = session.get_one(StreamRow, target.stream_id)
        move = _already(session, stream, target, wish) or _write(session, stream, target, wish)
    if move.switch_ms is None:
        elapsed = (time.perf_counter() - started) * 1000
        with db.write() as session:
            move = session.get_one(AliasMoveRow, move.id)
            move.switch_ms = round(elapsed, 3)
    log.info(
        "alias.moved", stream=wish.stream_name, alias=wish.alias, to=target.number, kind=move.kind
    )
    return move


def _check_alias(alias: str) -> None:
    if not re.fullmatch(ALIAS_PATTERN, alias) or alias == PREVIOUS:
        raise InvalidRequest(
            f"alias {alias[:80]!r} is refused: a lower-case letter, then up to 62 letters, "
            f"digits, '.', '_' or '-', and not {PREVIOUS!r}.",
            param="alias",
        )


def _find(session: Session, wish: Wish) -> tuple[StreamRow, VersionRow]:
    stream = queries.find_stream(session, wish.stream_name)
    if stream is None:
        raise NotFound(f"there is no stream {wish.stream_name!r}. List them with GET /v1/streams.")
    if wish.version_number == PREVIOUS:
        return stream, _previous(session, stream, wish.alias)
    version = queries.find_version(session, stream.id, int(wish.version_number))
    if version is None:
        raise NotFound(
            f"there is no version {stream.name}@{wish.version_number}. "
            f"List them with GET /v1/streams/{stream.name}/versions.",
            param="version",
        )
    return stream, version


def _previous(session: Session, stream: StreamRow, alias: str) -> VersionRow:
    last = queries.last_move(session, stream.id, alias)
    if last is None or last.from_version_id is None:
        raise PermanentConflict(
            f"alias {alias!r} of {stream.name!r} has named one version only, so there is no "
            "previous one. Name a version by its number.",
            param="version",
        )
    return session.get_one(VersionRow, last.from_version_id)


def _already(
    session: Session, stream: StreamRow, target: VersionRow, wish: Wish
) -> AliasMoveRow | None:
    if wish.job_id is not None:
        done = queries.move_of_job(session, stream.id, wish.alias, wish.job_id)
        if done is not None:
            return done
    if queries.find_alias(session, stream.id, wish.alias, lock=True) != target.id:
        return None
    return queries.last_move(session, stream.id, wish.alias)


def _classify(session: Session, stream: StreamRow, target: VersionRow, wish: Wish) -> str:
    held = queries.was_held(session, stream.id, wish.alias, target.id)
    if held or (target.number == 0 and wish.alias == PRODUCTION):
        return "rollback"
    if wish.alias != PRODUCTION:
        return wish.kind or "manual"
    outcome = queries.verdicts(session, [target.id]).get(target.id)
    if outcome == "pass":
        return "promote"
    if wish.override:
        return "override"
    raise _refusal(stream, target, outcome)


def _refusal(stream: StreamRow, target: VersionRow, outcome: str | None) -> PromotionRefused:
    name = f"{stream.name}@{target.number}"
    seen = f"its gate says {outcome!r}" if outcome else "it has not been judged by the gate yet"
    return PromotionRefused(
        f"{name} may not become {PRODUCTION}: {seen}, 'pass' is needed. "
        f"Read GET /v1/streams/{stream.name}/versions/{target.number}/report; then train again "
        'with more protection, or let an admin send "override": true with a reason. '
        f"The version stays addressable as {name}.",
        param="version",
    )


def _write(session: Session, stream: StreamRow, target: VersionRow, wish: Wish) -> AliasMoveRow:
    kind = _classify(session, stream, target, wish)
    last = queries.last_move(session, stream.id, wish.alias)
    move = AliasMoveRow(
        stream_id=stream.id,
        alias=wish.alias,
        kind=kind,
        from_version_id=queries.find_alias(session, stream.id, wish.alias),
        to_version_id=target.id,
        actor=wish.actor,
        reason=wish.reason,
        job_id=wish.job_id,
        previous_id=last.id if last else None,
        at=now(),
    )
    session.add(move)
    session.merge(
        AliasRow(stream_id=stream.id, name=wish.alias, version_id=target.id, moved_at=move.at)
    )
    session.flush()
    return move
