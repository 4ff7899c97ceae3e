"""What an engine loads: a lineage composed, in a folder named by its digest.

Three forms: one LoRA (`compose_servable`), a model folder with everything merged into the base
(`compose_merged`), or, where neither is possible, the deltas side by side for a worker that can
read them (`compose_offline`).

A servable's digest is the SHA-256 of its record, the canonical JSON in `servable.json`: the base,
the version, the digests of the versions composed, and the SHA-256 of every file. Hence equal
inputs give the same servable, anything else another name. The digest is the adapter's name in the
engine; since the version is part of it, no two versions share a name, and no name ever changes
its meaning. The path never moves: an engine may read it again at any time.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters_store.backends import check_digest, hash_file
from adapters_store.compose import compose_folders, write_composition
from adapters_store.disk import Disk
from adapters_store.errors import (
    BlobNotFound,
    CorruptContent,
    NotComposable,
    RankLimitExceeded,
    UnsafeFile,
)
from adapters_store.lineage import Lineage
from adapters_store.manifest import VersionManifest, canonical_json
from adapters_store.merge import WEIGHTS_CONFIG, merge_folders
from adapters_store.peft_folder import CONFIG_FILE, WEIGHTS_FILE
from adapters_store.safetensors_check import check_json
from adapters_store.store import VersionStore

ENGINE_RANK_LIMITS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The rank limits an engine can be started with (vLLM's `--max-lora-rank`)."""
RECORD_FILE = "servable.json"


@dataclass(frozen=True)
class Servable:
    """A composed lineage: its name in the engine, its folder, its rank (0: no LoRA)."""

    digest: str
    path: Path
    rank: int


@dataclass(frozen=True)
class RankPlan:
    """A lineage's rank after one more task, and how many further tasks of that rank would fit."""

    rank_after: int
    limit: int
    tasks_left: int


def check_rank(chain_rank: int, new_rank: int, limit: int) -> RankPlan:
    """Return what adding a task of rank `new_rank` (>= 1) to a lineage of `chain_rank` leads to.

    Raises `RankLimitExceeded` when the sum is over the engine's fixed `limit`.
    """
    rank_after = chain_rank + new_rank
    if rank_after > limit:
        raise _over(rank_after, chain_rank, limit, f"{chain_rank} so far plus {new_rank} new")
    return RankPlan(rank_after, limit, (limit - rank_after) // new_rank)


def compose_servable(
    chain: Lineage,
    store: VersionStore,
    servable_root: Path,
    rank_limit: int,
    disk: Disk | None = None,
) -> Servable:
    """Compose a lineage's effective deltas and keep the result under `servable_root/<digest>/`.

    The same lineage gives the same servable however often it is composed. Raises
    `RankLimitExceeded` over `rank_limit`, `NotComposable` for deltas that are not plain LoRAs,
    and `CorruptContent` when stored bytes changed; then no servable was made.
    """
    _check_chain(chain, rank_limit)
    disk = disk or Disk()

    def write(folders: list[Path], ready: Path) -> tuple[str, ...]:
        write_composition(compose_folders(folders), ready, disk)
        return CONFIG_FILE, WEIGHTS_FILE

    return _build(chain, store, servable_root, disk, write, {"rank": chain.rank})


def compose_merged(
    chain: Lineage,
    store: VersionStore,
    servable_root: Path,
    base_folder: Path,
    disk: Disk | None = None,
) -> Servable:
    """Merge a lineage's effective deltas into a copy of its base, kept as by `compose_servable`.

    `base_folder` holds the base's files. Raises `NotComposable` for deltas that do not fit it or
    are neither LoRAs nor weights, and `CorruptContent` when stored bytes changed.
    """
    disk = disk or Disk()

    def write(folders: list[Path], ready: Path) -> tuple[str, ...]:
        return merge_folders(base_folder, folders, ready, disk)

    return _build(chain, store, servable_root, disk, write, {"rank": 0, "form": "merged"})


def compose_offline(
    chain: Lineage, store: VersionStore, servable_root: Path, disk: Disk | None = None
) -> Servable:
    """Lay a lineage's effective deltas side by side, `delta-0000` the oldest, kept likewise.

    No engine loads this; a worker that knows the deltas' formats applies them to the base.
    Raises `CorruptContent` when stored bytes changed.
    """
    disk = disk or Disk()

    def write(folders: list[Path], ready: Path) -> tuple[str, ...]:
        for index, folder in enumerate(folders):
            disk.rename(folder, ready / f"delta-{index:04d}")
        files = (path for path in ready.rglob("*") if path.is_file())
        return tuple(sorted(path.relative_to(ready).as_posix() for path in files))

    return _build(chain, store, servable_root, disk, write, {"rank": 0, "form": "offline"})


def _build(
    chain: Lineage,
    store: VersionStore,
    servable_root: Path,
    disk: Disk,
    write: Callable[[list[Path], Path], tuple[str, ...]],
    facts: dict[str, Any],
) -> Servable:
    """Have `write(deltas, folder)` fill a folder, name it by its digest, and keep it."""
    building = servable_root / f".building-{uuid.uuid4().hex}"
    try:
        ready = building / "ready"
        disk.make_folder(ready)
        folders = [
            store.materialise_delta(version, building / f"{index:04d}-{version.task}")
            for index, version in enumerate(chain.effective)
        ]
        names = write(folders, ready)
        digest = _write_record(chain, ready, names, facts, disk)
        return _keep(ready, Servable(digest, servable_root / digest, facts["rank"]), disk)
    finally:
        disk.remove_folder(building)


def verify_servable(servable_root: Path, digest: str) -> Servable:
    """Return a servable after checking every byte of it against its digest.

    Raises `BlobNotFound` when it is not there and `CorruptContent` when it was changed.
    """
    path = servable_root / check_digest(digest)
    if not path.is_dir():
        msg = f"no servable has the digest {digest}: compose it again from its version"
        raise BlobNotFound(msg)
    record = path / RECORD_FILE
    if not record.is_file() or hash_file(record) != digest:
        raise _changed(digest, RECORD_FILE)
    content: dict[str, Any] = check_json(record)
    for name, sha256 in content["files"].items():
        if not (path / name).is_file() or hash_file(path / name) != sha256:
            raise _changed(digest, name)
    return Servable(digest, path, int(content["rank"]))


def servables_of(servable_root: Path, version_digest: str) -> tuple[str, ...]:
    """Return the digests of the servables composed for a version; none when there is no root."""
    records = sorted(servable_root.glob(f"*/{RECORD_FILE}"))
    return tuple(it.parent.name for it in records if _version_of(it) == version_digest)


def discard_servable(servable_root: Path, digest: str, disk: Disk | None = None) -> None:
    """Delete a servable; what a kill leaves of it no longer counts as one."""
    disk = disk or Disk()
    doomed = servable_root / f".building-{uuid.uuid4().hex}"
    disk.rename(servable_root / check_digest(digest), doomed)
    disk.remove_folder(doomed)


def clear_unfinished(
    servable_root: Path, older_than_seconds: float = 86_400, disk: Disk | None = None
) -> int:
    """Delete what broken-off compositions left behind; return how many folders went."""
    limit = time.time() - older_than_seconds
    stale = [p for p in servable_root.glob(".building-*") if p.stat().st_mtime < limit]
    for path in stale:
        (disk or Disk()).remove_folder(path)
    return len(stale)


def _version_of(record: Path) -> str | None:
    """Return the digest of a servable's version; None for a damaged record, which names none."""
    try:
        content = check_json(record)
    except (UnsafeFile, OSError):
        return None
    return content.get("version") if isinstance(content, dict) else None


def _check_chain(chain: Lineage, rank_limit: int) -> None:
    for version in chain.effective:
        if not version.delta.rank or WEIGHTS_CONFIG in version.delta.files:
            what = "with weights beside its LoRA" if version.delta.rank else "without a LoRA rank"
            msg = (
                f"{version.name} is a {version.delta.kind!r} delta {what}: it cannot be served as "
                "an adapter, serve it merged or offline"
            )
            raise NotComposable(msg)
    if chain.rank > rank_limit:
        parent_rank = Lineage(chain.versions[:-1]).rank if chain.versions[1:] else 0
        ranks = " + ".join(str(version.delta.rank) for version in chain.effective)
        raise _over(chain.rank, parent_rank, rank_limit, ranks)


def _over(rank: int, chain_rank: int, limit: int, how: str) -> RankLimitExceeded:
    room = max(0, limit - chain_rank)
    smaller = f"use a rank of at most {room}, " if room else ""
    larger = [str(value) for value in ENGINE_RANK_LIMITS if value >= rank]
    raise_it = f"start the engine with a rank limit of {larger[0]}, " if larger else ""
    return RankLimitExceeded(
        f"the lineage would have rank {rank} ({how}), the engine's limit is {limit}; "
        f"0 more tasks of this rank fit. Way out: {smaller}{raise_it}"
        "continue from an older version, or begin a stream on a merged base."
    )


def _write_record(
    chain: Lineage, folder: Path, names: tuple[str, ...], facts: dict[str, Any], disk: Disk
) -> str:
    record = canonical_json(
        {
            "schema_version": 1,
            "base": chain.head.base.model_dump(mode="json"),
            "version": chain.head.digest,
            "composed": [_input(version) for version in chain.effective],
            "files": {name: hash_file(folder / name) for name in names},
            **facts,
        }
    )
    with (folder / RECORD_FILE).open("xb") as file:
        disk.write(file, record)
        disk.sync(file)
    disk.sync_folder(folder)
    return hashlib.sha256(record).hexdigest()


def _input(version: VersionManifest) -> dict[str, str]:
    return {"version": version.digest, "name": version.name}


def _keep(ready: Path, servable: Servable, disk: Disk) -> Servable:
    root = servable.path.parent
    if not servable.path.exists():
        try:
            disk.rename(ready, servable.path)
        except OSError:
            # Another thread may have kept the same servable first.
            if not servable.path.exists():
                raise
    disk.sync_folder(root)
    return verify_servable(root, servable.digest)


def _changed(digest: str, name: str) -> CorruptContent:
    return CorruptContent(
        f"{name} of the servable {digest} was changed: move the folder away and compose it again"
    )
