"""Publishing, reading back, and what an attempt must be to become a version."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from adapters_store.backends import LocalBlobStore
from adapters_store.disk import Disk
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
from adapters_store.manifest import FileRef, VersionManifest
from adapters_store.memory import InMemoryBlobStore
from adapters_store.records import _signed
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


class NoLinks(Disk):
    """Blobs lie on another file system."""

    def link_new(self, source: Path, target: Path) -> None:
        """Refuse a second name outside the manifests' folder."""
        if target.suffix == ".safetensors" or target.parent.name != "demo":
            raise OSError(18, "cross-device link")
        super().link_new(source, target)


@pytest.fixture
def copied(tmp_path: Path) -> tuple[VersionStore, VersionManifest, Path]:
    blobs = LocalBlobStore(tmp_path / "blobs")
    store = VersionStore(tmp_path / "versions", blobs, NoLinks())
    manifest = store.publish(write_attempt(tmp_path / "attempt"), fields())
    return store, manifest, store.materialise_delta(manifest, tmp_path / "delta")


def test_copies_and_their_names_are_synced_before_the_folder_shows(
    store: VersionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = store.publish(write_attempt(tmp_path / "attempt"), fields())
    synced: list[Path] = []
    monkeypatch.setattr(
        "os.fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink())
    )
    store._disk = NoLinks()
    store.materialise_delta(manifest, tmp_path / "delta")
    assert {path.name for path in synced} >= set(manifest.delta.files)
    assert any(path.name.startswith(".delta.") for path in synced)


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "short": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "short zeros": lambda data: bytes(7),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_copy_cut_short_by_a_power_cut_is_made_anew(
    copied: tuple[VersionStore, VersionManifest, Path], cut: str
) -> None:
    store, manifest, delta = copied
    weights = delta / "adapter_model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(CUTS[cut](good))
    (delta / "adapter_config.json").unlink()
    assert store.materialise_delta(manifest, delta) == delta
    assert weights.read_bytes() == good
    assert len(list(delta.iterdir())) == 2
    assert not list(delta.parent.glob(".delta*"))


def _more(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def _hidden_link(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()
    (folder / "adapter_config.json").symlink_to("/dev/null")


def _longer(folder: Path) -> None:
    with (folder / "adapter_config.json").open("a") as file:
        file.write("more")


def _other(folder: Path) -> None:
    _flip(folder / "adapter_model.safetensors", -1)


def _no_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"")


@pytest.mark.parametrize("change", [_more, _hidden_link, _longer, _other, _no_folder])
def test_a_strangers_folder_is_never_deleted(
    copied: tuple[VersionStore, VersionManifest, Path], change: Callable[[Path], None]
) -> None:
    store, manifest, delta = copied
    (delta / "adapter_model.safetensors").chmod(0o644)
    change(delta)
    before = [(path, path.is_dir() or path.read_bytes()) for path in delta.parent.rglob("*")]
    with pytest.raises(DestinationTaken):
        store.materialise_delta(manifest, delta)
    assert [(p, p.is_dir() or p.read_bytes()) for p in delta.parent.rglob("*")] == before


def test_another_versions_folder_is_never_deleted(store: VersionStore, tmp_path: Path) -> None:
    first, second = publish_chain(store, tmp_path, [{}, {}]).versions
    delta = store.materialise_delta(first, tmp_path / "delta")
    with pytest.raises(DestinationTaken):
        store.materialise_delta(second, delta)
    assert store.materialise_delta(first, delta) == delta


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


def test_a_stored_manifest_outlives_a_new_field(
    store: VersionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LaterFile(FileRef):
        compression: str | None = None

    class Later(VersionManifest):
        canary: LaterFile
        note: str = "none"

    stored = store.publish(write_attempt(tmp_path / "attempt"), fields())
    monkeypatch.setattr("adapters_store.records.VersionManifest", Later)
    found = store.get("demo", 1)
    assert isinstance(found, Later)
    assert (found.note, found.canary.compression) == ("none", None)
    assert found.digest == stored.digest
    assert store.fsck() == ()
    assert found.model_copy(update={"note": "new"}).digest != stored.digest
    child = found.model_copy(update={"number": 2, "parent": found.digest, "note": "new"})
    assert store._records.create(child)
    assert store.get("demo", 2) == child


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"later": 1}, {"seed": 0.0}])
def test_a_later_releases_manifest_is_not_called_damaged(
    store: VersionStore, tmp_path: Path, change: dict[str, Any]
) -> None:
    store.publish(write_attempt(tmp_path / "attempt"), fields())
    path = tmp_path / "versions" / "demo" / "1.json"
    content = json.loads(path.read_bytes())["manifest"] | change
    path.write_bytes(_signed(content))
    with pytest.raises(CorruptContent, match=r"demo@1 .* whole, but this release cannot read it"):
        store.get("demo", 1)


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
