"""Delete blobs that nothing refers to any more, sparing what was touched lately."""

from __future__ import annotations

import time
from collections.abc import Set
from dataclasses import dataclass

from adapters_store.backends import BlobStore
from adapters_store.errors import BlobNotFound

CLOCK_SLACK_SECONDS = 600.0
"""Added to every grace period, so that a clock set forward by minutes does not shorten it."""


@dataclass(frozen=True)
class GcReport:
    """Digests deleted (or, in a dry run, to be deleted), digests spared, bytes freed."""

    deleted: frozenset[str]
    spared: frozenset[str]
    freed_bytes: int


def collect(
    blobs: BlobStore,
    referenced: Set[str],
    grace_seconds: float = 86_400.0,
    now: float | None = None,
    *,
    dry_run: bool = False,
) -> GcReport:
    """Delete blobs outside `referenced` that were neither put nor touched within the grace.

    `referenced` holds every digest reachable from versions, alias journal, running jobs and open
    uploads. It may be some minutes old: whoever refers to a blob anew puts or touches it first,
    and the grace period spares it. `now` is in POSIX seconds, by the clock of the blob store.
    Raises ValueError for a negative grace.
    """
    if grace_seconds < 0:
        msg = f"grace_seconds is {grace_seconds}: it must be 0 or more"
        raise ValueError(msg)
    moment = time.time() if now is None else now
    limit = moment - grace_seconds - CLOCK_SLACK_SECONDS
    deleted, spared, freed = set[str](), set[str](), 0
    for digest in blobs.digests():
        if digest in referenced:
            continue
        size = _delete(blobs, digest, limit, dry_run=dry_run)
        if size is None:
            spared.add(digest)
        else:
            deleted.add(digest)
            freed += size
    return GcReport(frozenset(deleted), frozenset(spared), freed)


def _delete(blobs: BlobStore, digest: str, limit: float, *, dry_run: bool) -> int | None:
    """Return the size of a blob that went, or None for one that stays."""
    try:
        size = blobs.size(digest)
        if dry_run:
            return None if blobs.touched_at(digest) >= limit else size
    except BlobNotFound:
        # Another collector was faster.
        return None
    return size if blobs.delete(digest, not_touched_since=limit) else None
