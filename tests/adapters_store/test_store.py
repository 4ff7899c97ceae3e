"""Publishing, reading back, and what an attempt must be to become a version."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from adapters_store.errors import (
    BlobNotFound,
    CorruptContent,
    DestinationTaken,
    IncompleteAttempt,
    LineageBroken,
    NotComposable,
    StoreError,
    UnsafeFile,
    VersionConflict,
    VersionNotFound,
)
from adapters_store.memory import InMemoryBlobStore
from adapters_store.store import VersionStore
from tests.adapters_store.factories import (
    BASE,
    fields,
    finish_attempt,
    publish_chain,
    write_attempt,
)


def test_a_published_version_can_be_read_back(store: VersionStore, tmp_path: Path) -> None:
    attempt = write_attempt(tmp_path / "attempt", dtype=ml_dtypes.bfloat16)
    manifest = store.publish(attempt, fields())
    assert store.get("demo", 1) == manifest == store.find("demo", manifest.digest)
    assert store.list("demo") == (manifest,)
    assert store.streams() == ("demo",)
    assert manifest.delta.rank == 2
    assert set(manifest.delta.files) == {"adapter_config.json", "adapter_model.safetensors"}
    assert store.canary(manifest) == (attempt / "canary.json").read_bytes()
    store.verify(manifest)
    assert store.fsck() == ()


def test_delta_and_state_come_back_byte_for_byte(store: VersionStore, tmp_path: Path) -> None:
    attempt = write_attempt(tmp_path / "attempt", dtype=ml_dtypes.bfloat16)
    manifest = store.publish(attempt, fields())
    delta = store.materialise_delta(manifest, tmp_path / "out" / "delta")
    state = store.materialise_state(manifest, tmp_path / "out" / "state")
    assert state is not None
    name = "adapter_model.safetensors"
    assert (delta / name).read_bytes() == (attempt / "delta" / name).read_bytes()
    assert load_file(delta / name).popitem()[1].dtype == ml_dtypes.bfloat16
    assert load_file(state / "masks.safetensors")["mask"].shape == (8,)
    assert store.materialise_delta(manifest, delta) == delta
    with pytest.raises(DestinationTaken):
        store.materialise_delta(manifest, state)
    assert not list((tmp_path / "out").glob(".*"))


def test_blobs_on_another_file_system_are_copied(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "versions", InMemoryBlobStore())
    manifest = store.publish(write_attempt(tmp_path / "attempt", state=False), fields())
    assert len(list(store.materialise_delta(manifest, tmp_path / "delta").iterdir())) == 2
    assert store.materialise_state(manifest, tmp_path / "state") is None


def test_publishing_again_gives_the_first_manifest(store: VersionStore, tmp_path: Path) -> None:
    attempt = write_attempt(tmp_path / "attempt")
    assert store.publish(attempt, fields()) == store.publish(attempt, fields())


def test_a_number_is_given_once(store: VersionStore, tmp_path: Path) -> None:
    store.publish(write_attempt(tmp_path / "a"), fields())
    before = set(store.blobs.digests())
    with pytest.raises(VersionConflict, match="publish under the next number"):
        store.publish(write_attempt(tmp_path / "b", seed=1), fields())
    assert set(store.blobs.digests()) == before


def test_a_version_is_withdrawn_only_while_nothing_builds_on_it(
    store: VersionStore, tmp_path: Path
) -> None:
    publish_chain(store, tmp_path, [{}, {}])
    with pytest.raises(LineageBroken, match="demo@2"):
        store.withdraw("demo", 1)
    second = store.get("demo", 2)
    alone = store.withdraw("demo", 2)
    assert [manifest.number for manifest in store.list("demo")] == [1]
    assert alone == second.referenced_digests() - store.referenced()
    assert store.withdraw("demo", 2) == frozenset()
    assert store.fsck() == ()


def test_of_two_publishers_one_wins(store: VersionStore, tmp_path: Path) -> None:
    attempts = [write_attempt(tmp_path / f"a{i}", seed=i % 2) for i in range(6)]
    outcomes: list[str] = []

    def work(attempt: Path) -> None:
        try:
            outcomes.append(store.publish(attempt, fields()).digest)
        except VersionConflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=work, args=(attempt,)) for attempt in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = store.get("demo", 1).digest
    assert sorted(outcomes) == sorted([winner] * 3 + ["conflict"] * 3)


@pytest.mark.parametrize(("stream", "number"), [("demo", 1), ("../x", 1), ("demo", 0), ("", 1)])
def test_unknown_versions_are_not_found(store: VersionStore, stream: str, number: int) -> None:
    with pytest.raises(VersionNotFound):
        store.get(stream, number)
    assert store.list(stream) == ()


def test_parents_must_exist_be_older_and_share_the_base(
    store: VersionStore, tmp_path: Path
) -> None:
    attempt = write_attempt(tmp_path / "attempt")
    with pytest.raises(LineageBroken, match="lacks"):
        store.publish(attempt, fields(2, parent="f" * 64))
    first = store.publish(attempt, fields(2))
    with pytest.raises(LineageBroken, match="not older"):
        store.publish(attempt, fields(1, parent=first.digest))
    other = BASE.model_copy(update={"digest": "9" * 64})
    with pytest.raises(LineageBroken, match="another base"):
        store.publish(attempt, fields(3, parent=first.digest, base=other))


def _add(relative: str, data: bytes = b"{}") -> Callable[[Path], object]:
    def act(folder: Path) -> None:
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        (folder / relative).write_bytes(data)
        finish_attempt(folder)

    return act


def _add_late(folder: Path) -> None:
    (folder / "state" / "more.json").write_text("{}")


def _change_late(folder: Path) -> None:
    other = (folder / "delta" / "adapter_model.safetensors").read_bytes()
    (folder / "state" / "masks.safetensors").write_bytes(other)


def _remove_weights(folder: Path) -> None:
    (folder / "delta" / "adapter_model.safetensors").unlink()
    finish_attempt(folder)


def _link(folder: Path) -> None:
    (folder / "state" / "secret.json").symlink_to(folder / "canary.json")
    finish_attempt(folder)


def _link_folder(folder: Path) -> None:
    (folder / "state").rename(folder.parent / "elsewhere")
    (folder / "state").symlink_to(folder.parent / "elsewhere")


BROKEN: dict[str, tuple[type[StoreError], Callable[[Path], object]]] = {
    "no result": (IncompleteAttempt, lambda f: (f / "result.json").unlink()),
    "result without files": (IncompleteAttempt, lambda f: (f / "result.json").write_text("{}")),
    "result a list": (IncompleteAttempt, lambda f: (f / "result.json").write_text("[]")),
    "no canary": (IncompleteAttempt, lambda f: (f / "canary.json").unlink()),
    "a file after the result": (IncompleteAttempt, _add_late),
    "a change after the result": (IncompleteAttempt, _change_late),
    "a named file gone": (
        IncompleteAttempt,
        lambda f: (f / "state" / "masks.safetensors").unlink(),
    ),
    "no delta": (IncompleteAttempt, lambda f: (f / "delta").rename(f / "other")),
    "pickled weights": (UnsafeFile, _add("delta/adapter_model.bin", b"\x80\x04.")),
    "pickled state": (UnsafeFile, _add("state/masks.pt", b"\x80\x04.")),
    "a pickle": (UnsafeFile, _add("state/masks.pkl", b"\x80\x04.")),
    "code": (UnsafeFile, _add("delta/modeling.py", b"print()")),
    "a pickle renamed": (UnsafeFile, _add("state/x.safetensors", b"\x80\x04." * 9)),
    "broken JSON": (UnsafeFile, _add("state/x.json", b"{")),
    "a hidden file": (UnsafeFile, _add("delta/.x.json")),
    "a deep folder": (UnsafeFile, _add("state/a/b/c/d/e.json")),
    "an odd name": (UnsafeFile, _add("state/a b.json")),
    "a link": (UnsafeFile, _link),
    "a linked folder": (UnsafeFile, _link_folder),
    "no weights": (
        NotComposable,
        _remove_weights,
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_attempts_leave_nothing_behind(
    store: VersionStore, tmp_path: Path, case: str
) -> None:
    kind, act = BROKEN[case]
    attempt = write_attempt(tmp_path / "attempt")
    act(attempt)
    with pytest.raises(kind):
        store.publish(attempt, fields())
    assert store.list("demo") == ()
    assert list(store.blobs.digests()) == []


def test_too_many_files_are_refused(
    store: VersionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters_store.attempt.MAX_FILES", 1)
    with pytest.raises(UnsafeFile, match="more than 1 files"):
        store.publish(write_attempt(tmp_path / "attempt"), fields())


def test_weights_and_bundles_have_no_rank(store: VersionStore, tmp_path: Path) -> None:
    for number, kind in enumerate(("weights", "replace"), start=1):
        attempt = write_attempt(tmp_path / kind)
        for path in (attempt / "delta").iterdir():
            path.unlink()
        save_file({"w": np.ones(3, np.float32)}, attempt / "delta" / "sparse.safetensors")
        manifest = store.publish(finish_attempt(attempt), fields(number, delta_kind=kind))
        assert manifest.delta.rank == 0


def _flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def test_every_flipped_byte_of_a_manifest_is_noticed(store: VersionStore, tmp_path: Path) -> None:
    store.publish(write_attempt(tmp_path / "attempt"), fields())
    path = tmp_path / "versions" / "demo" / "1.json"
    good = path.read_bytes()
    for position in range(0, len(good), 7):
        _flip(path, position)
        with pytest.raises(CorruptContent):
            store.get("demo", 1)
        path.write_bytes(good)
    assert store.fsck() == ()


def test_a_manifest_under_another_name_is_noticed(store: VersionStore, tmp_path: Path) -> None:
    store.publish(write_attempt(tmp_path / "attempt"), fields())
    folder = tmp_path / "versions" / "demo"
    (folder / "2.json").write_bytes((folder / "1.json").read_bytes())
    with pytest.raises(CorruptContent, match="says it is demo@1"):
        store.get("demo", 2)


def test_fsck_and_reads_notice_flipped_and_missing_blobs(
    store: VersionStore, tmp_path: Path
) -> None:
    first, second = publish_chain(store, tmp_path, [{}, {}]).versions
    weights = first.delta.files["adapter_model.safetensors"].sha256
    _flip(store.blobs.path(weights), 200)
    store.blobs.delete(second.canary.sha256)
    assert [(p.where, p.what) for p in store.fsck(deep=False)] == [
        ("demo@2", f"no blob has the digest {second.canary.sha256}")
    ]
    assert [problem.where for problem in store.fsck()] == ["demo@1", "demo@2"]
    with pytest.raises(CorruptContent):
        store.materialise_delta(first, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(BlobNotFound):
        store.verify(second)


def test_fsck_notices_a_missing_parent(store: VersionStore, tmp_path: Path) -> None:
    publish_chain(store, tmp_path, [{}, {}])
    (tmp_path / "versions" / "demo" / "1.json").unlink()
    assert [problem.where for problem in store.fsck()] == ["demo@2"]


def test_referenced_digests_cover_all_streams(store: VersionStore, tmp_path: Path) -> None:
    attempt = write_attempt(tmp_path / "attempt")
    a = store.publish(attempt, fields())
    b = store.publish(attempt, fields(stream="other", data={"train": "1" * 64}))
    assert store.referenced() == a.referenced_digests() | b.referenced_digests()
    assert a.digest != b.digest


def test_the_result_may_leave_the_canary_out(store: VersionStore, tmp_path: Path) -> None:
    attempt = write_attempt(tmp_path / "attempt")
    result: dict[str, Any] = json.loads((attempt / "result.json").read_text())
    del result["files"]["canary.json"]
    (attempt / "result.json").write_text(json.dumps(result))
    assert store.publish(attempt, fields()).canary.size > 0
