"""Moving an alias: the target is made ready first, then one transaction moves and journals.

That transaction also remembers the `Idempotency-Key`; the transactions of one stream's moves
come one after the other.

`production` is gated: a version whose forgetting report did not pass needs an override. Going
back to what the alias named before, or to the base, is a rollback (a restore, when it goes to a
newer version) and never gated. `production` is always served; another alias may also name a
version that no engine serves: chats with it are refused, reports and later tasks find it.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.db.engine import Database
from service.db.tables import AliasMoveRow, AliasRow, StreamRow, VersionRow
from service.engines.adapters import is_servable, refuse_unservable
from service.engines.lifecycle import Check, never
from service.errors import InvalidRequest, NotFound, PermanentConflict, PromotionRefused
from service.idempotency import Once, remember, replay
from service.ids import now
from service.streams.queries import get_stream
from service.versions import queries

log = structlog.get_logger()

PRODUCTION = "production"
PREVIOUS = "previous"
ALIAS_PATTERN = r"^[a-z][a-z0-9._-]{0,62}$"


class Engines(Protocol):
    """What a move needs of the engines: that a version answers, proven, before it is named."""

    def ensure_ready(self, version: VersionRow, check: Check = never) -> object:
        """Return once an engine serves the version; raises when it cannot.

        `check` is called while waiting and may raise to stop waiting.
        """
        ...


class AliasMovedMeanwhile(PermanentConflict):
    """The alias does not name what its mover last saw it name."""


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
    expected_from_id: str | None = None
    intention: Once | None = None


@dataclass(frozen=True)
class Move:
    """A journal entry; `moved` is False when the alias named the version already."""

    entry: AliasMoveRow
    moved: bool


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
    expected_from_id: str | None = None,
    intention: Once | None = None,
    check: Check = never,
) -> Move:
    """Let an alias name a version (or "previous") and return the journal entry.

    `kind` names the move of an alias that has no gate; moves of `production` are classified
    here. With `job_id` or `intention` a repeated call returns the first one's entry; naming what
    the alias names already changes nothing and returns the entry that made it so.
    `expected_from_id` is the version that the alias has to name until the end; `check` may raise
    while an engine starts. Raises NotFound, PermanentConflict for a `production` that no engine
    can serve, PromotionRefused, AliasMovedMeanwhile, and what the engine raises when it cannot
    prove the version: then the alias has not moved.
    """
    wish = Wish(
        stream_name, alias, version_number, actor, reason, kind, job_id, override,
        expected_from_id, intention,
    )  # fmt: skip
    _check_alias(alias)
    with db.write() as session:
        stream = _lock_stream(session, wish)
        done = _done_before(session, stream, wish)
        if done is not None:
            return done
        target = _find_target(session, stream, wish)
        done = _named_already(session, stream, target, wish)
        if done is not None:
            return done
        if alias == PRODUCTION:
            refuse_unservable(target)
        _classify(session, stream, target, wish)
    if is_servable(target):
        engines.ensure_ready(target, check)
    return _switch(db, target, wish)


def _switch(db: Database, target: VersionRow, wish: Wish) -> Move:
    started = time.perf_counter()

    def work(session: Session) -> tuple[Move, bool]:
        stream = _lock_stream(session, wish)
        done = _done_before(session, stream, wish)
        done = done or _named_already(session, stream, target, wish)
        if done is not None:
            return done, False
        _check_still_there(session, stream, target)
        return Move(_write(session, stream, target, wish), moved=True), True

    move, is_new = db.commit(work)
    return _note_time(db, move.entry, time.perf_counter() - started) if is_new else move


def _note_time(db: Database, entry: AliasMoveRow, seconds: float) -> Move:
    try:
        with db.write() as session:
            entry = session.get_one(AliasMoveRow, entry.id)
            entry.switch_ms = round(seconds * 1000, 3)
    except SQLAlchemyError:  # the alias has moved: that is what the caller must be told
        log.exception("alias.time_not_noted", move=entry.id)
    log.info("alias.moved", alias=entry.alias, to=entry.to_version_id, kind=entry.kind)
    return Move(entry, moved=True)


def _check_still_there(session: Session, stream: StreamRow, target: VersionRow) -> None:
    """A job that was cancelled meanwhile has taken its version with it."""
    if queries.find_version(session, stream.id, target.number) is None:
        raise NotFound(f"{stream.name}@{target.number} was withdrawn meanwhile.", param="version")


def _check_alias(alias: str) -> None:
    if not re.fullmatch(ALIAS_PATTERN, alias) or alias == PREVIOUS:
        raise InvalidRequest(
            f"alias {alias[:80]!r} is refused: a lower-case letter, then up to 62 letters, "
            f"digits, '.', '_' or '-', and not {PREVIOUS!r}.",
            param="alias",
        )


def _lock_stream(session: Session, wish: Wish) -> StreamRow:
    stream = get_stream(session, wish.stream_name)
    session.refresh(stream, with_for_update=True)
    return stream


def _find_target(session: Session, stream: StreamRow, wish: Wish) -> VersionRow:
    if wish.version_number == PREVIOUS:
        return _previous(session, stream, wish.alias)
    version = queries.find_version(session, stream.id, int(wish.version_number))
    if version is None:
        raise NotFound(
            f"there is no version {stream.name}@{wish.version_number}. "
            f"List them with GET /v1/streams/{stream.name}/versions.",
            param="version",
        )
    return version


def _previous(session: Session, stream: StreamRow, alias: str) -> VersionRow:
    last = queries.last_move(session, stream.id, alias)
    if last is None or last.from_version_id is None:
        raise PermanentConflict(
            f"alias {alias!r} of {stream.name!r} has named one version only, so there is no "
            "previous one. Name a version by its number.",
            param="version",
        )
    return session.get_one(VersionRow, last.from_version_id)


def _done_before(session: Session, stream: StreamRow, wish: Wish) -> Move | None:
    """Return the entry of an earlier call with the same intention, or for the same job."""
    first = replay(session, wish.intention)
    if first is not None:
        return Move(session.get_one(AliasMoveRow, first["id"]), first.get("moved", True))
    if wish.job_id is None:
        return None
    entry = queries.move_of_job(session, stream.id, wish.alias, wish.job_id)
    return Move(entry, moved=True) if entry else None


def _named_already(
    session: Session, stream: StreamRow, target: VersionRow, wish: Wish
) -> Move | None:
    if queries.find_alias(session, stream.id, wish.alias) != target.id:
        return None
    entry = queries.last_move(session, stream.id, wish.alias)
    if entry is None:
        return None
    remember(session, wish.intention, {"id": entry.id, "moved": False})
    return Move(entry, moved=False)


def _classify(session: Session, stream: StreamRow, target: VersionRow, wish: Wish) -> str:
    held = queries.was_held(session, stream.id, wish.alias, target.id)
    if held or (target.number == 0 and wish.alias == PRODUCTION):
        return "rollback" if _is_older(session, stream, target, wish) else "restore"
    if wish.alias != PRODUCTION:
        return wish.kind or "manual"
    outcome = queries.verdicts(session, [target.id]).get(target.id)
    if outcome == "pass":
        return "promote"
    if wish.override:
        return "override"
    raise _refusal(stream, target, outcome)


def _is_older(session: Session, stream: StreamRow, target: VersionRow, wish: Wish) -> bool:
    named = queries.find_alias(session, stream.id, wish.alias)
    return named is None or target.number < session.get_one(VersionRow, named).number


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
    origin = queries.find_alias(session, stream.id, wish.alias)
    if wish.expected_from_id not in (None, origin):
        raise AliasMovedMeanwhile(
            f"alias {wish.alias!r} was moved by somebody else meanwhile and stays as it is. "
            f"Name {stream.name}@{target.number} by hand if it shall replace it."
        )
    last = queries.last_move(session, stream.id, wish.alias)
    move = AliasMoveRow(
        stream_id=stream.id,
        alias=wish.alias,
        kind=kind,
        from_version_id=origin,
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
    remember(session, wish.intention, {"id": move.id})
    return move
