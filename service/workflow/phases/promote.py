"""Promote: a version that passed becomes production; one that did not becomes the candidate."""

from __future__ import annotations

from typing import Any

from service.db.tables import RecordRow, VersionRow
from service.engines.adapters import is_servable
from service.versions.moves import AliasMovedMeanwhile
from service.versions.operations import get_version, move_alias
from service.workflow.context import Context, Facts

PRODUCTION = "production"
CANDIDATE = "candidate"


def run(ctx: Context) -> dict[str, Any]:
    """Move one alias; return which, and the reason."""
    facts = ctx.facts()
    with ctx.tools.db.read() as session:
        version = session.get_one(VersionRow, facts.job.version_id)
        verdict = session.get_one(RecordRow, (version.id, "verdict")).data
        production = get_version(session, facts.stream.name, PRODUCTION)
    alias, reason = _choose(facts, version, verdict, production)
    ctx.progress(0, 1, "moves", f"{alias} to {facts.stream.name}@{version.number}")
    ctx.check()
    try:
        _move(ctx, facts, version, alias, reason, production.id if alias == PRODUCTION else None)
    except AliasMovedMeanwhile as error:  # while the engine started
        alias, reason = CANDIDATE, f"passed the gate, but {error.message}"
        _move(ctx, facts, version, alias, reason, None)
    ctx.progress(1, 1, "moves", f"{alias} is {facts.stream.name}@{version.number}")
    return {"alias": alias, "version": version.number, "reason": reason}


def _move(
    ctx: Context,
    facts: Facts,
    version: VersionRow,
    alias: str,
    reason: str,
    expected_from_id: str | None,
) -> None:
    move_alias(
        ctx.tools.db,
        ctx.tools.engines,
        stream_name=facts.stream.name,
        alias=alias,
        version_number=version.number,
        actor="gate",
        reason=reason,
        kind="promote" if alias == PRODUCTION else "manual",
        job_id=ctx.job_id,
        expected_from_id=expected_from_id,
        check=ctx.check,
    )


def _choose(
    facts: Facts, version: VersionRow, verdict: dict[str, Any], production: VersionRow
) -> tuple[str, str]:
    """Return alias and reason. Production only ever moves on from the job's own parent:

    a rollback or promotion that somebody made meanwhile is not undone behind their back.
    """
    if verdict["outcome"] != "pass":
        return CANDIDATE, f"blocked by gate: {verdict['explanation']}"
    name = facts.stream.name
    if not is_servable(version):
        return CANDIDATE, (
            f"passed the gate, but {name}@{version.number} is served {version.servable_by}: no "
            f"engine here can answer for it, so {PRODUCTION} stays {name}@{production.number}"
        )
    assert facts.parent is not None
    if production.id not in (facts.parent.id, version.id):
        return CANDIDATE, (
            f"passed the gate against {name}@{facts.parent.number}, but production is "
            f"{name}@{production.number}: promote {name}@{version.number} by hand if it shall "
            "replace it"
        )
    return PRODUCTION, str(verdict["explanation"])
