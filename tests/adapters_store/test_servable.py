"""Servables: named by content and version, never moving, refused over the rank limit."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from adapters_store.disk import Disk
from adapters_store.errors import (
    BlobNotFound,
    CorruptContent,
    InvalidDigest,
    NotComposable,
    RankLimitExceeded,
)
from adapters_store.lineage import Lineage
from adapters_store.servable import (
    check_rank,
    clear_unfinished,
    compose_servable,
    discard_servable,
    servables_of,
    verify_servable,
)
from adapters_store.store import VersionStore
from tests.adapters_store.factories import (
    fields,
    finish_attempt,
    publish_chain,
    write_attempt,
)


def test_a_lineage_becomes_one_folder(store: VersionStore, tmp_path: Path) -> None:
    chain = publish_chain(store, tmp_path, [{"rank": 2}, {"rank": 3}])
    root = tmp_path / "servable"
    servable = compose_servable(chain, store, root, 128)
    assert servable.path == root / servable.digest
    assert servable.rank == 5
    assert {path.name for path in servable.path.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "servable.json",
    }
    tensors = load_file(servable.path / "adapter_model.safetensors")
    assert tensors["base_model.model.layers.0.q_proj.lora_A.weight"].shape == (5, 6)
    assert [path.name for path in root.iterdir()] == [servable.digest]


def test_composing_again_changes_nothing(store: VersionStore, tmp_path: Path) -> None:
    chain = publish_chain(store, tmp_path, [{}, {}])
    first = compose_servable(chain, store, tmp_path / "servable", 128)
    before = (first.path / "adapter_model.safetensors").stat()
    assert compose_servable(chain, store, tmp_path / "servable", 128) == first
    assert (first.path / "adapter_model.safetensors").stat().st_ino == before.st_ino
    assert verify_servable(tmp_path / "servable", first.digest) == first


def test_concurrent_compositions_agree(store: VersionStore, tmp_path: Path) -> None:
    chain = publish_chain(store, tmp_path, [{}, {}])
    found: set[str] = set()

    def work() -> None:
        found.add(compose_servable(chain, store, tmp_path / "servable", 128).digest)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_no_two_versions_share_a_name(store: VersionStore, tmp_path: Path) -> None:
    attempt = write_attempt(tmp_path / "attempt")
    digests = set()
    for number in (1, 2):
        manifest = store.publish(attempt, fields(number))
        digests.add(compose_servable(Lineage((manifest,)), store, tmp_path / "s", 128).digest)
    assert len(digests) == 2


def test_a_damaged_record_hides_no_other_servable(store: VersionStore, tmp_path: Path) -> None:
    root = tmp_path / "servable"
    chain = publish_chain(store, tmp_path, [{}])
    servable = compose_servable(chain, store, root, 128)
    for name, text in (("bad", "{"), ("list", "[]")):
        (root / name).mkdir()
        (root / name / "servable.json").write_text(text)

    assert servables_of(root, chain.head.digest) == (servable.digest,)


def test_what_a_kill_leaves_of_a_discarded_servable_is_cleared(
    store: VersionStore, tmp_path: Path
) -> None:
    class Killed(Disk):
        def remove_folder(self, path: Path) -> None:
            raise KeyboardInterrupt

    root = tmp_path / "servable"
    servable = compose_servable(publish_chain(store, tmp_path, [{}]), store, root, 128)

    with pytest.raises(KeyboardInterrupt):
        discard_servable(root, servable.digest, Killed())

    assert not servable.path.exists()
    assert clear_unfinished(root, older_than_seconds=-1) == 1
    assert list(root.iterdir()) == []


def test_a_changed_servable_is_noticed(store: VersionStore, tmp_path: Path) -> None:
    root = tmp_path / "servable"
    servable = compose_servable(publish_chain(store, tmp_path, [{}]), store, root, 128)
    for name in ("servable.json", "adapter_model.safetensors", "adapter_config.json"):
        good = (servable.path / name).read_bytes()
        (servable.path / name).write_bytes(good[:-1] + b"!")
        with pytest.raises(CorruptContent, match=name):
            verify_servable(root, servable.digest)
        (servable.path / name).unlink()
        with pytest.raises(CorruptContent, match=name):
            verify_servable(root, servable.digest)
        (servable.path / name).write_bytes(good)
    verify_servable(root, servable.digest)
    with pytest.raises(BlobNotFound):
        verify_servable(root, "0" * 64)
    with pytest.raises(InvalidDigest):
        verify_servable(root, "../x")


def test_a_lineage_over_the_limit_is_refused(store: VersionStore, tmp_path: Path) -> None:
    chain = publish_chain(store, tmp_path, [{"rank": 6}, {"rank": 6}])
    with pytest.raises(RankLimitExceeded, match=r"rank 12 \(6 \+ 6\).*limit is 8") as caught:
        compose_servable(chain, store, tmp_path / "servable", 8)
    assert "0 more tasks of this rank fit" in caught.value.message
    assert "a rank of at most 2" in caught.value.message
    assert "rank limit of 16" in caught.value.message
    assert not (tmp_path / "servable").exists()


def test_weights_cannot_be_served_as_an_adapter(store: VersionStore, tmp_path: Path) -> None:
    attempt = write_attempt(tmp_path / "attempt")
    save_file({"w": np.ones(3, np.float32)}, attempt / "delta" / "sparse.safetensors")
    manifest = store.publish(finish_attempt(attempt), fields(delta_kind="weights"))
    with pytest.raises(NotComposable, match="merged or offline"):
        compose_servable(Lineage((manifest,)), store, tmp_path / "servable", 128)


@given(st.integers(0, 600), st.integers(1, 600), st.sampled_from([8, 128, 512]))
def test_check_rank_counts_the_tasks_left(chain_rank: int, new_rank: int, limit: int) -> None:
    if chain_rank + new_rank > limit:
        with pytest.raises(RankLimitExceeded, match=str(limit)):
            check_rank(chain_rank, new_rank, limit)
        return
    plan = check_rank(chain_rank, new_rank, limit)
    assert plan.rank_after == chain_rank + new_rank
    assert plan.rank_after + plan.tasks_left * new_rank <= limit
    assert plan.rank_after + (plan.tasks_left + 1) * new_rank > limit


def test_leftovers_of_broken_compositions_are_cleared(tmp_path: Path) -> None:
    old, new = tmp_path / ".building-old", tmp_path / ".building-new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    assert clear_unfinished(tmp_path) == 1
    assert new.exists()
    assert not old.exists()
