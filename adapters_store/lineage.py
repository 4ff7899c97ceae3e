"""A version's path to the base: which deltas add up to it, at what rank, after which tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from adapters_store.errors import LineageBroken
from adapters_store.manifest import VersionManifest


class VersionSource(Protocol):
    """Anything that lists a stream's versions; `VersionStore` does."""

    def list(self, stream: str) -> tuple[VersionManifest, ...]:
        """Return the stream's versions by number."""
        ...


@dataclass(frozen=True)
class Lineage:
    """Versions from the first task to `head`, oldest first, each the parent of the next."""

    versions: tuple[VersionManifest, ...]

    def __post_init__(self) -> None:
        _check(self.versions)

    @property
    def head(self) -> VersionManifest:
        """The version this is the lineage of."""
        return self.versions[-1]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks learned, oldest first."""
        return tuple(version.task for version in self.versions)

    @property
    def effective(self) -> tuple[VersionManifest, ...]:
        """The versions whose deltas make up `head`: from the last `replace` on, else all.

        A `replace` delta is a whole adapter and stands for everything below it.
        """
        starts = [i for i, version in enumerate(self.versions) if version.delta.kind == "replace"]
        return self.versions[starts[-1] if starts else 0 :]

    @property
    def rank(self) -> int:
        """The summed rank of the effective deltas: what an engine must admit to serve `head`."""
        return sum(version.delta.rank for version in self.effective)


def lineage_of(store: VersionSource, version: VersionManifest) -> Lineage:
    """Return the path from the base to `version`; raises `LineageBroken` if a parent is gone."""
    by_digest = {found.digest: found for found in store.list(version.stream)}
    path = [version]
    # Each parent must have a smaller number, so this ends.
    while (parent := path[-1].parent) is not None:
        if parent not in by_digest:
            msg = f"{path[-1].name} has the parent {parent}, which stream {version.stream!r} lacks"
            raise LineageBroken(msg)
        if by_digest[parent].number >= path[-1].number:
            msg = f"{path[-1].name} has the parent {by_digest[parent].name}, which is not older"
            raise LineageBroken(msg)
        path.append(by_digest[parent])
    return Lineage(tuple(reversed(path)))


def _check(versions: Sequence[VersionManifest]) -> None:
    if not versions:
        msg = "a lineage needs at least one version: the base itself has none"
        raise LineageBroken(msg)
    if versions[0].parent is not None:
        first = versions[0]
        msg = f"a lineage begins at the base, {first.name} has the parent {first.parent}"
        raise LineageBroken(msg)
    for older, newer in pairwise(versions):
        if newer.parent != older.digest:
            msg = f"{newer.name} has the parent {newer.parent}, not {older.name} ({older.digest})"
            raise LineageBroken(msg)
        if newer.base.digest != older.base.digest:
            msg = f"{newer.name} stands on another base than {older.name}: lineages share one base"
            raise LineageBroken(msg)
