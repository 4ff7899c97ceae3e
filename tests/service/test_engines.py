"""Starting, proving, watching, adopting and ending engines, with the fake engine process."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.db.tables import RecordRow, VersionRow
from service.engines.process import RECORD_FILE, find_process, free_port, read_record
from service.errors import EngineProofFailed, EngineUnavailable, PermanentConflict
from service.versions.operations import move_alias
from tests.fakes.world import BASE_DIGEST, World, make_world
from trainer.spec import process_start_time


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with make_world(tmp_path) as world:
        yield world


def pid_of(world: World) -> int:
    return int(world.engines.status()["pid"])


def wait_until(condition: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def try_lease(world: World, version: VersionRow) -> bool:
    try:
        world.engines.release(world.engines.lease(version))
    except EngineUnavailable:
        return False
    return True


def test_nothing_runs_until_a_version_is_needed(world: World) -> None:
    assert world.engines.status() == {"state": "stopped", "restarts": 0}
    assert read_record(world.settings.folder("engine")) is None


def test_an_engine_starts_and_ends_with_all_its_processes(world: World) -> None:
    info = world.engines.ensure_running(str(world.folder), BASE_DIGEST)
    assert info.base_name == f"base-{BASE_DIGEST[:16]}"
    assert info.base_url.startswith("http://127.0.0.1:")
    assert world.engines.ensure_running(str(world.folder), BASE_DIGEST) == info
    world.engines.close()
    assert process_start_time(info.pid) is None
    assert find_process(world.settings.folder("engine")) is None


def test_a_version_is_ready_once_its_canary_is_reproduced(world: World) -> None:
    version = world.add_version(1)
    route = world.engines.ensure_ready(version)
    assert route.model_name == version.servable_digest
    with world.db.read() as session:
        proof = session.get_one(RecordRow, (version.id, "proof")).data
    assert proof["prompts"] == 2
    assert proof["max_logprob_gap"] == 0
    assert proof["servable"] == version.servable_digest


def test_the_base_is_served_under_its_own_name(world: World) -> None:
    base = world.add_stream("other")
    assert world.engines.ensure_ready(base).model_name == f"base-{BASE_DIGEST[:16]}"


def test_an_engine_that_ignores_adapters_is_refused(tmp_path: Path) -> None:
    with make_world(tmp_path, FAKE_IGNORES_ADAPTERS="1") as world:
        version = world.add_version(1)
        with pytest.raises(EngineProofFailed, match="parent and its base model answered"):
            world.engines.ensure_ready(version)
        with pytest.raises(EngineProofFailed):
            world.engines.lease(version)
        assert version.servable_digest not in world.engines.status()["serves"]
        with world.db.read() as session:
            assert session.get(RecordRow, (version.id, "proof")) is None


def test_changed_weights_are_refused(world: World) -> None:
    version = world.add_version(1)
    Path(version.servable_path, "adapter_model.safetensors").write_bytes(b"other weights")
    with pytest.raises(EngineProofFailed):
        world.engines.ensure_ready(version)


def test_a_missing_adapter_is_an_engine_error(world: World) -> None:
    version = world.add_version(1, servable_path=str(world.folder / "nowhere"))
    with pytest.raises(EngineUnavailable, match="No adapter found"):
        world.engines.ensure_ready(version)


def test_a_version_that_kills_its_engine_is_not_tried_for_ever(tmp_path: Path) -> None:
    with make_world(tmp_path, FAKE_DIES_LOADING="1") as world, pytest.raises(EngineUnavailable):
        world.engines.ensure_ready(world.add_version(1))


@pytest.mark.parametrize("servable_by", ["plugin", "offline"])
def test_what_no_engine_serves_is_refused(world: World, servable_by: str) -> None:
    version = world.add_version(1, servable_by=servable_by)
    with pytest.raises(PermanentConflict, match=servable_by):
        world.engines.lease(version)


def test_a_failed_start_shows_the_last_log_lines(tmp_path: Path) -> None:
    with make_world(tmp_path, FAKE_DIES="1") as world:
        with pytest.raises(EngineUnavailable, match="told to die"):
            world.engines.ensure_running(str(tmp_path), BASE_DIGEST)
        assert world.engines.status()["state"] == "failed"
        assert read_record(world.settings.folder("engine")) is None


def test_an_interpreter_without_vllm_is_named(tmp_path: Path) -> None:
    with make_world(tmp_path, {"engine_start_timeout_seconds": 5}) as world:
        Path(world.settings.engine_python).write_text("#!/bin/sh\nexit 1\n")
        with pytest.raises(EngineUnavailable, match="has no vLLM"):
            world.engines.ensure_running(str(tmp_path), BASE_DIGEST)


def test_a_start_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    settings = {"engine_start_timeout_seconds": 0.5}
    with make_world(tmp_path, settings, FAKE_START_SECONDS="60") as world:
        with pytest.raises(EngineUnavailable, match="not ready within"):
            world.engines.ensure_running(str(tmp_path), BASE_DIGEST)
        assert find_process(world.settings.folder("engine")) is None


def test_a_lease_never_waits_for_a_start_but_sees_to_it(tmp_path: Path) -> None:
    with make_world(tmp_path, FAKE_START_SECONDS="1") as world:
        version = world.add_version(1)
        started = time.monotonic()
        with pytest.raises(EngineUnavailable, match="starting"):
            world.engines.lease(version)
        assert time.monotonic() - started < 0.9
        wait_until(lambda: try_lease(world, version))


def test_waiting_for_a_start_can_be_interrupted(tmp_path: Path) -> None:
    class StopWaiting(Exception):
        """The job was cancelled."""

    def check() -> None:
        raise StopWaiting

    with make_world(tmp_path, FAKE_START_SECONDS="5") as world:
        version = world.add_version(1)
        started = time.monotonic()
        with pytest.raises(StopWaiting):
            world.engines.ensure_ready(version, check)
        assert time.monotonic() - started < 4
        world.engines.close()
        with pytest.raises(EngineUnavailable, match="stopping"):
            world.engines.ensure_ready(version)


def test_a_service_warms_up_for_what_is_in_production(world: World) -> None:
    world.engines.warm_up()
    world.add_version(1)
    assert world.engines.status()["state"] == "stopped"
    move_alias(
        world.db, world.engines, stream_name="demo", alias="production", version_number=1,
        actor="t", reason="t",
    )  # fmt: skip
    world.engines.close()
    successor = world.restarted()
    successor.engines.warm_up()
    wait_until(lambda: successor.engines.status()["state"] == "running")
    successor.engines.close()


def test_a_dead_engine_is_started_again_with_what_it_served(world: World) -> None:
    first, second = world.add_version(1), world.add_version(2)
    world.engines.ensure_ready(first)
    world.engines.ensure_ready(second)
    old = pid_of(world)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: world.engines.status().get("pid") not in (None, old))
    wait_until(lambda: world.engines.status()["state"] == "running")
    serves = world.engines.status()["serves"]
    assert {first.servable_digest, second.servable_digest} <= set(serves)
    assert world.engines.status()["restarts"] == 1


def test_a_lease_on_a_dead_engine_is_refused_at_once(tmp_path: Path) -> None:
    with make_world(tmp_path, FAKE_START_SECONDS="2") as world:
        version = world.add_version(1)
        world.engines.ensure_ready(version)
        os.kill(pid_of(world), signal.SIGKILL)
        wait_until(lambda: not try_lease(world, version), 1.0)
        wait_until(lambda: try_lease(world, version))


def test_a_new_service_adopts_the_engine_and_proves_again(world: World) -> None:
    version = world.add_version(1)
    world.engines.ensure_ready(version)
    pid = pid_of(world)
    successor = world.restarted()
    assert successor.engines.ensure_ready(version).model_name == version.servable_digest
    assert pid_of(successor) == pid
    successor.engines.close()
    wait_until(lambda: process_start_time(pid) is None)


def test_an_engine_with_other_flags_is_ended_before_another_starts(world: World) -> None:
    version = world.add_version(1)
    world.engines.ensure_ready(version)
    pid = pid_of(world)
    world.settings = world.settings.model_copy(update={"engine_max_loras": 2})
    successor = world.restarted()
    successor.engines.ensure_ready(version)
    assert pid_of(successor) != pid
    wait_until(lambda: process_start_time(pid) is None)
    successor.engines.close()


def test_an_engine_left_without_a_record_is_ended(world: World) -> None:
    folder = world.settings.folder("engine")
    version = world.add_version(1)
    world.engines.ensure_ready(version)
    pid = pid_of(world)
    (folder / RECORD_FILE).unlink()  # as if the service had been killed before writing it
    successor = world.restarted()
    successor.engines.ensure_ready(version)
    assert pid_of(successor) != pid
    assert process_start_time(pid) is None
    successor.engines.close()


def test_an_engine_that_hangs_is_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.engines.launcher.ADOPT_SECONDS", 0.5)
    world.engines.ensure_running(str(world.folder), BASE_DIGEST)
    pid, file = pid_of(world), world.settings.folder("engine") / RECORD_FILE
    record = json.loads(file.read_bytes())
    file.write_text(json.dumps(record | {"port": free_port()}))  # where nobody answers
    successor = world.restarted()
    successor.engines.ensure_running(str(world.folder), BASE_DIGEST)
    assert pid_of(successor) != pid
    wait_until(lambda: process_start_time(pid) is None)
    successor.engines.close()


def test_closing_ends_an_engine_that_was_never_adopted(world: World) -> None:
    world.engines.ensure_running(str(world.folder), BASE_DIGEST)
    pid = pid_of(world)
    world.restarted().engines.close()
    wait_until(lambda: process_start_time(pid) is None)


def test_another_base_ends_the_idle_engine_first(world: World) -> None:
    first = world.add_version(1)
    other = world.add_stream("other", "f" * 64)
    with world.engines.use(first):
        pid = pid_of(world)
        waiting = threading.Thread(target=world.engines.ensure_ready, args=(other,))
        waiting.start()
        time.sleep(0.3)
        assert pid_of(world) == pid
        assert process_start_time(pid) is not None
    waiting.join(20)
    assert world.engines.status()["base"] == f"base-{'f' * 16}"
    assert process_start_time(pid) is None


def test_least_recently_used_adapters_go_but_never_one_in_use(tmp_path: Path) -> None:
    with make_world(tmp_path, {"engine_max_cpu_loras": 2, "engine_max_loras": 1}) as world:
        held, second, third, fourth = (world.add_version(number) for number in range(1, 5))
        with world.engines.use(held):
            for version in (second, third, fourth):
                world.engines.ensure_ready(version)
            serves = set(world.engines.status()["serves"])
        assert serves == {held.servable_digest, fourth.servable_digest}
        assert world.engines.ensure_ready(second).model_name == second.servable_digest


def test_many_threads_make_one_engine_and_one_proof_each(world: World) -> None:
    versions = [world.add_version(number) for number in range(1, 4)]
    failures: list[Exception] = []

    def use(version: VersionRow) -> None:
        try:
            for _ in range(5):
                with world.engines.use(version):
                    pass
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(v,)) for v in versions for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert world.engines.status()["in_use"] == 0
    assert len(list(world.settings.folder("engine").glob("engine-*.log"))) == 1
