"""What an engine loads: a lineage composed into one LoRA, in a folder named by its digest.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters_store.backends import check_digest, hash_file
from adapters_store.compose import compose_folders, write_composition
from adapters_store.disk import Disk
from adapters_store.errors import BlobNotFound, CorruptContent, NotComposable, RankLimitExceeded
from adapters_store.lineage import Lineage
from adapters_store.manifest import VersionManifest, canonical_json
from adapters_store.peft_folder import CONFIG_FILE, WEIGHTS_FILE
from adapters_store.safetensors_check import check_json
from adapters_store.store import VersionStore

ENGINE_RANK_LIMITS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The rank limits an engine can be started with (vLLM's `--max-lora-rank`)."""
RECORD_FILE = "servable.json"


@dataclass(frozen=True)
class Servable:
    """A composed adapter: its name in the engine, its folder, its rank."""

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
    building = servable_root / f".building-{uuid.uuid4().hex}"
    try:
        ready = building / "ready"
        disk.make_folder(ready)
        folders = [
            store.materialise_delta(version, building / f"{index:04d}-{version.task}")
            for index, version in enumerate(chain.effective)
        ]
        composition = compose_folders(folders)
        write_composition(composition, ready, disk)
        digest = _write_record(chain, ready, disk)
        return _keep(ready, Servable(digest, servable_root / digest, composition.rank), disk)
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


def clear_unfinished(
    servable_root: Path, older_than_seconds: float = 86_400, disk: Disk | None = None
) -> int:
    """Delete what broken-off compositions left behind; return how many folders went."""
    limit = time.time() - older_than_seconds
    stale = [p for p in servable_root.glob(".building-*") if p.stat().st_mtime < limit]
    for path in stale:
        (disk or Disk()).remove_folder(path)
    return len(stale)


def _check_chain(chain: Lineage, rank_limit: int) -> None:
    for version in chain.effective:
        if version.delta.kind == "weights" or version.delta.rank == 0:
            msg = (
                f"{version.name} is a {version.delta.kind!r} delta without a LoRA rank: it cannot "
                "be served as an adapter, serve it merged or offline"
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


def _write_record(chain: Lineage, folder: Path, disk: Disk) -> str:
    record = canonical_json(
        {
            "schema_version": 1,
            "base": chain.head.base.model_dump(mode="json"),
            "version": chain.head.digest,
            "composed": [_input(version) for version in chain.effective],
            "rank": chain.rank,
            "files": {name: hash_file(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE)},
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
